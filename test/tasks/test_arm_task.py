"""The example arm: its geometry, its lag, what counts as reached, and both ways to a target."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vdd_ros.errors import TaskError
from vdd_ros.evaluation.compatibility import check_demonstrations
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.tasks import get_task
from vdd_ros.tasks.example_arm.sim import (
    ELBOW_DOWN,
    ELBOW_UP,
    HOME,
    LOWER,
    REACHED_M,
    REACHED_STEPS,
    UPPER,
    ExampleArmSim,
    gripper,
    joint_angles,
)
from vdd_ros.tasks.rollout import replay

TASK = get_task("example_arm")
TARGET = np.array([[0.3, 0.4]])


def along_the_links(shoulder: float, elbow: float) -> complex:
    """Return where the links lead, as a complex number: an independent form of the same geometry."""
    return complex(UPPER * np.exp(1j * shoulder) + LOWER * np.exp(1j * (shoulder + elbow)))


@pytest.mark.parametrize("elbow_up", [True, False])
def test_both_ways_lead_to_the_target(elbow_up: bool) -> None:
    for x, y in ((0.3, 0.4), (-0.2, 0.5), (0.5, 0.1)):
        shoulder, elbow = joint_angles(x, y, elbow_up=elbow_up)
        assert along_the_links(shoulder, elbow) == pytest.approx(complex(x, y))
        assert gripper(np.array([shoulder, elbow])) == pytest.approx([x, y])
        assert (elbow < 0) is elbow_up


def test_joints_follow_with_a_lag_of_the_first_order() -> None:
    """Of a step, (1 - 10/60) to the power of five remains after one period of five substeps."""
    sim = ExampleArmSim(1)
    start = sim.reset(TARGET)[0, 2:]
    seen = sim.step(np.array([[HOME[0] + 1.0, HOME[1] - 0.5]])).observation[0]
    assert seen[2:] - start == pytest.approx((1 - (5 / 6) ** 5) * np.array([1.0, -0.5]))
    assert seen[:2] == pytest.approx(TARGET[0])


@pytest.mark.parametrize(("elbow_up", "mode"), [(True, ELBOW_UP), (False, ELBOW_DOWN)])
def test_a_target_is_reached_by_resting_there(elbow_up: bool, mode: int) -> None:
    sim, goal = ExampleArmSim(1), np.array([joint_angles(*TARGET[0], elbow_up=elbow_up)])
    sim.reset(TARGET)
    near = 0
    for _ in range(60):
        result = sim.step(goal)
        near += math.dist(gripper(result.observation[0, 2:]), TARGET[0]) < REACHED_M
        assert result.success[0] == (near == REACHED_STEPS)
        if result.terminated[0]:
            break
    assert (near, sim.modes().tolist()) == (REACHED_STEPS, [mode])


def test_an_arm_that_passes_by_has_not_reached_it() -> None:
    """It swings to and fro through the target until the time limit."""
    sim, there = ExampleArmSim(1), np.array(joint_angles(*TARGET[0], elbow_up=True))
    sim.reset(TARGET)
    for step in range(TASK.spec.max_steps):
        result = sim.step((there + (1.0 if step // 12 % 2 else -1.0))[None])
    assert (result.success[0], result.truncated[0]) == (False, True)


def test_the_demonstrations_go_both_ways_equally_often_and_are_steps_that_the_robot_file_allows() -> None:
    made = TASK.demonstrate(20, 3, lambda: None)
    assert np.bincount(made.modes).tolist() == [10, 10]
    assert replay(TASK.make_sim(20), made).success.all()
    allowed = RobotFile.load(TASK.get_robot_file()).commands[0].entries
    for entry, wanted in zip(allowed, made.action.T, strict=True):
        assert entry.low < wanted.min() < wanted.max() < entry.high
        changes = [np.abs(np.diff(wanted[pairs])).max() for pairs in made.episodes()]
        assert max(changes) < entry.max_step


def test_recordings_of_the_arm_fit_the_task_though_they_know_no_contexts() -> None:
    made = TASK.demonstrate(2, 0, lambda: None)
    check_demonstrations(made.header, TASK.spec)
    recorded = made.header.__class__(**(vars(made.header) | {"context": ()}))
    check_demonstrations(recorded, TASK.spec)


def test_a_robot_file_is_returned_by_a_function() -> None:
    with pytest.raises(TaskError, match=r"'example_arm' has the robot_file .*arm.yaml'\); give a function"):
        replace(TASK, robot_file=Path("arm.yaml"))  # type: ignore[arg-type]


def test_modes_have_names() -> None:
    assert [TASK.mode_name(mode) for mode in (0, 1, 2)] == ["elbow up", "elbow down", "mode 2"]
    with pytest.raises(TaskError, match="has 2 modes and names for 1"):
        TASK.__class__(**(vars(TASK) | {"mode_names": ("one",)}))


def test_misuse_is_refused() -> None:
    with pytest.raises(TaskError, match="at least 1"):
        ExampleArmSim(0)
    sim = ExampleArmSim(2)
    with pytest.raises(TaskError, match="none were given"):
        sim.reset()
    with pytest.raises(TaskError, match=r"actions of shape \(1, 2\)"):
        sim.step(np.zeros((1, 2)))
