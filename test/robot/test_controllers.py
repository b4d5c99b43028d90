"""A controller's own joints held against the command that it gets."""

from typing import Any

import pytest
from arm_rig import arm_document

from vdd_ros.errors import RobotFileError
from vdd_ros.robot.commands import Command
from vdd_ros.robot.controllers import ControllerJoints, controller_problems
from vdd_ros.robot.robot_file import RobotFile

ARRAY, TRAJECTORY = "std_msgs/msg/Float64MultiArray", "trajectory_msgs/msg/JointTrajectory"


def command(kind: str = ARRAY, **entry: Any) -> Command:
    """Return the command of the arm, for the joints shoulder and elbow."""
    document = arm_document(**entry)
    document["command"] |= {"type": kind, "controller": "/arm_controller"}
    return RobotFile.from_dict(document).commands[0]


@pytest.mark.parametrize("kind", [ARRAY, TRAJECTORY])
@pytest.mark.parametrize("interface", ["", "position"])
def test_the_same_joints_are_no_problem(kind: str, interface: str) -> None:
    controller = ControllerJoints.of({"joints": ["shoulder", "elbow"], "interface_name": interface})
    assert list(controller_problems(command(kind), controller)) == []


@pytest.mark.parametrize(
    ("joints", "problem"),
    [
        (["elbow", "shoulder"], "takes numbers for the joints elbow, shoulder, in a different order from"),
        (["shoulder", "elbow", "wrist"], "takes numbers for the joints shoulder, elbow, wrist, which differ from"),
        (["shoulder"], "which differ from those of the robot file, shoulder, elbow"),
        ([], "has no parameter `joints`"),
        ("shoulder", "has no parameter `joints`"),
        (None, "has no parameter `joints`"),
    ],
)
def test_an_array_has_the_controllers_own_order(joints: Any, problem: str) -> None:
    (found,) = controller_problems(command(), ControllerJoints.of({"joints": joints}))
    assert problem in found


def test_a_trajectory_names_its_joints_in_any_order() -> None:
    assert list(controller_problems(command(TRAJECTORY), ControllerJoints(("elbow", "shoulder"), partial=False))) == []


def test_joints_that_the_controller_does_not_move_are_named() -> None:
    (found,) = controller_problems(command(TRAJECTORY), ControllerJoints(("shoulder", "wrist"), partial=True))
    assert found == "it does not move elbow; its joints are shoulder, wrist"


def test_a_controller_may_refuse_a_part_of_its_joints() -> None:
    joints = ("shoulder", "elbow", "wrist")
    (found,) = controller_problems(command(TRAJECTORY), ControllerJoints(joints, partial=False))
    assert "it refuses commands without wrist, since its allow_partial_joints_goal is false" in found
    assert list(controller_problems(command(TRAJECTORY), ControllerJoints(joints, partial=True))) == []


def test_the_joints_of_the_commands_go_first() -> None:
    """A chained controller is commanded under other names than it moves."""
    values = {"joints": ["a", "b"], "command_joints": ["shoulder", "elbow"], "allow_partial_joints_goal": True}
    assert ControllerJoints.of(values) == ControllerJoints(("shoulder", "elbow"), partial=True)


def test_another_quantity_is_named() -> None:
    controller = ControllerJoints(("shoulder", "elbow"), interface="velocity")
    found = list(controller_problems(command(), controller))
    assert found[0] == "it takes velocity commands, but shoulder is angle (rad)"
    assert list(controller_problems(command(unit="ticks", measured=None), controller)) == []  # nobody knows


def test_a_controller_goes_with_joints() -> None:
    document = arm_document()
    entry = {"name": "linear.x", "action": "go", "unit": "m/s", "low": -1.0, "high": 1.0, "max_step": 1.0}
    kind = "geometry_msgs/msg/Twist"
    document["command"] |= {"type": kind, "controller": "/base", "on_loss": "zero", "entries": [entry]}
    with pytest.raises(RobotFileError, match=f"command.controller: is for commands of joints, not for a {kind}"):
        RobotFile.from_dict(document)
