"""Goals of a policy: one that is missing, not taken, of another shape or not finite is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from policy_files import (
    Floats,
    write_mixture,
)

from vdd_ros.errors import ObservationError
from vdd_ros.policy.onnx_policy import OnnxPolicy

OBSERVATION = np.array([[0.4, 0.1, 0.5, 0.2]])
GOAL = np.array([[0.6, 0.3, 0.6, 0.3], [0.7, 0.4, 0.7, 0.4]])


def _calls(policy: OnnxPolicy, goal: Floats | None) -> list[Callable[[], object]]:
    """Every way to use a goal, still to be called."""
    goals = None if goal is None else goal[None]
    return [
        lambda: policy.act(OBSERVATION, goal),
        lambda: policy.dry_run(OBSERVATION, goal),
        lambda: policy.mixture(OBSERVATION, goal),
        lambda: policy.act_batch(OBSERVATION[None], goals),
    ]


def test_a_goal_that_is_missing_or_not_taken_is_refused(tmp_path: Path) -> None:
    with_goal = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", goal_length=2))
    without = OnnxPolicy.load(write_mixture(tmp_path / "q.onnx"))
    for call in _calls(with_goal, None):
        with pytest.raises(ObservationError, match=r"takes a goal of the shape \(2, 4\)"):
            call()
    for call in _calls(without, GOAL):
        with pytest.raises(ObservationError, match="takes no goal; leave it out"):
            call()


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        (
            GOAL[:1],
            r"goal has the shape .*1, 4\); this policy takes .*2, 4\): goal_length, oldest first, and desired_x",
        ),
        (GOAL[:, :3], r"goal has the shape .*2, 3\)"),
        (np.where(GOAL == 0.4, np.nan, GOAL), "goal entry desired_y is nan"),
    ],
)
def test_a_goal_of_another_shape_or_not_finite_is_refused(tmp_path: Path, goal: Floats, message: str) -> None:
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", goal_length=2))
    for call in _calls(policy, goal):
        with pytest.raises(ObservationError, match=message):
            call()
    assert np.isfinite(policy.act(OBSERVATION, GOAL).action).all()


def test_as_many_goals_as_observations_are_asked_for(tmp_path: Path) -> None:
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", goal_length=2))
    with pytest.raises(ObservationError, match=r"goal has the shape \(2, 2, 4\); this policy takes \(3, 2, 4\)"):
        policy.act_batch(np.tile(OBSERVATION, (3, 1, 1)), np.stack([GOAL, GOAL]))
