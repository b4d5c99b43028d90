"""Chunks that are executed to their last action: each trajectory begins where the one before it ends."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arm_rig import MAX_STEP, Arm, arm_document

HORIZON = 4


def walked(folder: Path, wants: list[list[float]], **entry: Any) -> np.ndarray:
    """Return the shoulder's points, chunk after chunk, in steps, of an arm that wants one place after another."""
    arm = Arm(folder, arm_document(**entry), horizon=HORIZON, action_steps=HORIZON, trajectories=True)
    for want in wants:
        arm.wants = np.array(want)
        for _ in range(HORIZON):
            arm.tick()
    return np.array(arm.rig.out.trajectories)[..., 0] / MAX_STEP


@pytest.mark.parametrize("max_error", [10.0, math.inf])
def test_a_chunk_begins_one_step_after_the_last_point_of_the_one_before_it(tmp_path: Path, max_error: float) -> None:
    first, second, third = walked(tmp_path, [[2.0, 2.0], [2.0, 2.0], [-2.0, -2.0]], max_error=max_error)
    assert np.diff([*first, *second]) == pytest.approx(np.ones(2 * HORIZON - 1))
    assert third[0] - second[-1] == pytest.approx(-1.0)


@pytest.mark.parametrize("max_error", [10.0, math.inf])
def test_no_displacement_is_lost_between_two_chunks(tmp_path: Path, max_error: float) -> None:
    step = 0.5 * MAX_STEP
    chunks = walked(tmp_path, [[step, step]] * 3, relative_to="last_command", max_error=max_error)
    assert chunks.ravel() == pytest.approx(0.5 * np.arange(1, 3 * HORIZON + 1))
