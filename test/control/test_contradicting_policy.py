"""Policies whose graph contradicts their own metadata: reported and limited."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loop_rig import AVOIDING, PERIOD_S, Rig
from policy_files import mixture_spec, replace_metadata, write_mixture

from vdd_ros.errors import PolicyFileError
from vdd_ros.features import Feature
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.spec import Novelty
from vdd_ros.robot.robot_file import RobotFile

WIDE = tuple(Feature(f"delta_desired_{axis}", "m", -0.01, 0.01) for axis in "xy")


def rig(policy: OnnxPolicy, **settings: Any) -> Rig:
    return Rig(policy, RobotFile.load(AVOIDING), **settings)


def run(made: Rig, ticks: int) -> None:
    for _ in range(ticks):
        made.time_s += PERIOD_S
        made.see((0.5, 0.1), (0.5, 0.1), made.time_s)
        made.loop.tick(made.time_s, 0.0)


@pytest.mark.parametrize("horizon", [1, 4])
def test_answers_outside_the_limits_of_the_file_are_counted(tmp_path: Path, horizon: int) -> None:
    """The metadata state another range than the graph clips to; the robot file's limits hold in any case."""
    path = write_mixture(tmp_path / "p.onnx", action=WIDE, horizon=horizon)
    narrow = tuple(Feature(entry.name, "m", -1e-6, 1e-6) for entry in WIDE)
    replace_metadata(path, mixture_spec(action=narrow, horizon=horizon).to_json())
    made = rig(OnnxPolicy.load(path, expert="greedy"))
    run(made, 5)
    assert made.loop.counters.outside_limits == 5
    assert len(made.out.commands) == 5


@pytest.mark.parametrize("limit", [0.01, 1 / 3, 1e-7, 123456.789])
@pytest.mark.parametrize("horizon", [1, 4])
def test_answers_at_the_limits_are_within_them(tmp_path: Path, limit: float, horizon: int) -> None:
    """Graphs clip in single precision, which rounds the limits."""
    action = tuple(Feature(entry.name, "m", -limit, limit) for entry in WIDE)
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", action=action, horizon=horizon), expert="greedy")
    act = policy.act
    for bound in (-limit, limit):
        answer = np.full((horizon, 2), bound, np.float32)
        policy.act = lambda *given, answer=answer: act(*given)._replace(action=answer)  # type: ignore
        made = rig(policy)
        run(made, 2)
        assert made.loop.counters.outside_limits == 0


def test_chunks_that_are_asked_for_ahead_are_looked_at_too(tmp_path: Path) -> None:
    path = write_mixture(tmp_path / "p.onnx", action=WIDE, horizon=8)
    narrow = tuple(Feature(entry.name, "m", -1e-6, 1e-6) for entry in WIDE)
    replace_metadata(path, mixture_spec(action=narrow, horizon=8).to_json())
    made = rig(OnnxPolicy.load(path, expert="greedy"), action_steps=4)
    run(made, 8)
    assert (made.loop.counters.decisions, made.loop.counters.outside_limits) == (2, 2)


@pytest.mark.parametrize("how", ["sample", "sticky"])
def test_an_expert_that_does_not_exist_ends_commanding(tmp_path: Path, how: str) -> None:
    """The metadata state fewer experts than the graph has; its number would index what does not exist."""
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx"), expert=how)
    policy._single.outputs["expert"] = np.array([7])
    policy._single.run = lambda: None  # type: ignore[method-assign]
    with pytest.raises(PolicyFileError, match="expert 7 acted, but its metadata state 4 experts"):
        policy.act(np.zeros((1, 4), np.float32))
    made = rig(policy)
    run(made, 3)
    assert not made.out.commands
    assert "expert 7 acted" in made.loop.active.guards.fault


def test_a_novelty_that_is_not_finite_is_no_reassurance(tmp_path: Path) -> None:
    """Neither NaN nor an infinite density says that an observation was demonstrated."""
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", novelty=Novelty(1e6, 0.999, 1)), expert="greedy")
    act = policy.act
    made = rig(policy, on_novelty="hold", novelty_ticks=1)
    for count, value in enumerate((np.nan, np.inf, -np.inf), start=1):
        policy.act = lambda *given, value=value: act(*given)._replace(novelty=value)  # type: ignore
        run(made, 1)
        assert made.loop.counters.novel == count
    assert not made.out.commands
