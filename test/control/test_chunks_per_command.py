"""`send` of a command: an arm follows chunks, a gripper of the same type gets one point per tick."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arm_rig import MAX_STEP, Arm, arm_document
from loop_rig import PERIOD_S

from vdd_ros.errors import RobotFileError
from vdd_ros.robot.robot_file import RobotFile

HORIZON = 8
TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"


def document(**of_gripper: Any) -> dict[str, Any]:
    """Return a robot file of an arm and a gripper, both commanded by trajectories."""
    found = arm_document()
    arm = found.pop("command")
    first, second = arm["entries"]
    gripper = {"topic": "gripper/trajectory", "type": TRAJECTORY, "on_loss": "hold", "entries": [second]}
    found["commands"] = {"arm": arm | {"entries": [first]}, "gripper": gripper | of_gripper}
    return found


def test_a_command_of_steps_gets_the_point_of_each_tick(tmp_path: Path) -> None:
    arm = Arm(tmp_path, document(send="step"), horizon=HORIZON, action_steps=4, trajectories=True)
    arm.wants = np.repeat(MAX_STEP * np.arange(1, HORIZON + 1)[:, None], 2, axis=1)
    for _ in range(4):
        arm.tick()
    out = arm.rig.out
    assert len(out.trajectories) == 1
    assert out.parts == [(0, 1), (1,), (1,), (1,)]
    assert [command[1] for command in out.commands] == pytest.approx([0.04, 0.06, 0.08])


def test_a_command_of_steps_gets_one_step_at_a_time_although_ticks_are_lost(tmp_path: Path) -> None:
    """Neither within a chunk nor from one to the next, where the arm has gone on meanwhile."""
    arm = Arm(tmp_path, document(send="step"), horizon=HORIZON, action_steps=6, trajectories=True)
    arm.wants = np.repeat(MAX_STEP * np.arange(1, HORIZON + 1)[:, None], 2, axis=1)
    arm.tick()
    arm.tick()
    arm.rig.time_s += 3 * PERIOD_S
    arm.places = np.full(2, 5 * MAX_STEP)
    arm.tick()
    out = arm.rig.out
    assert [command[1] for command in out.commands] == pytest.approx([2 * MAX_STEP, 3 * MAX_STEP])
    arm.rig.time_s += PERIOD_S
    arm.wants = np.full((HORIZON, 2), 1.0)
    for _ in range(4):
        arm.tick()
    first = out.trajectories[1][0]
    assert (first[0], first[1]) == pytest.approx((9 * MAX_STEP, 5 * MAX_STEP))
    commanded = [record["commanded"] for record in out.records]
    assert (commanded, arm.rig.loop.counters.commands) == ([1, 1, 1, 1, 0, 0, 1], 5)


def test_the_fail_safe_cuts_off_only_what_has_points_left(tmp_path: Path) -> None:
    arm = Arm(tmp_path, document(send="step"), horizon=HORIZON, action_steps=4, trajectories=True)
    arm.wants = np.repeat(MAX_STEP * np.arange(1, HORIZON + 1)[:, None], 2, axis=1)
    arm.tick()
    arm.rig.loop.enter_failsafe()
    assert arm.rig.out.parts == [(0, 1), (0,)]


def test_the_own_key_stands_before_the_parameter() -> None:
    for default, expected in (("step", [False, True]), ("chunk", [True, True])):
        robot = RobotFile.from_dict(document(send="chunk")).sending(default)
        assert [command.send == "chunk" and command.takes_chunks for command in robot.commands] == expected
    robot = RobotFile.from_dict(document(send="step")).sending("chunk")
    assert [command.takes_chunks for command in robot.commands] == [True, False]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"send": "chunks"}, r"commands.gripper.send: is 'chunks' .*allowed are step, chunk"),
        (
            {"send": "chunk", "type": "std_msgs/msg/Float64MultiArray"},
            "commands.gripper.send: is 'chunk', but a std_msgs/msg/Float64MultiArray carries one action",
        ),
    ],
)
def test_what_send_must_not_say(given: dict[str, Any], words: str) -> None:
    with pytest.raises(RobotFileError, match=words):
        RobotFile.from_dict(document(**given))
