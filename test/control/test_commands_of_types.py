"""Commands of each message type on a hand-fed loop: the policy's actions are in the right fields."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_rig import TOLERANCE, command_document, command_policy, wanted
from robot_messages import empty_message, joint_state

pytest.importorskip("rosbags")

from loop_rig import Rig

from vdd_ros.errors import RobotFileError
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.messages import find_message
from vdd_ros.robot.robot_file import RobotFile

JOINT_STATE = "sensor_msgs/msg/JointState"
POSE = "geometry_msgs/msg/PoseStamped"
JOINTS = ["shoulder", "elbow", "wrist"]
PARTS = find_message(POSE).field_names
PART_UNITS = ["m"] * 3 + ["1"] * 4


def rig(tmp_path: Path, document: dict[str, Any]) -> Rig:
    """Return a loop that has seen its robot."""
    units = [entry["unit"] for entry in document["command"]["entries"]]
    made = Rig(OnnxPolicy.load(command_policy(tmp_path / "policy.onnx", units)), RobotFile.from_dict(document))
    made.receive("arm", joint_state(10.0, base_joint=0.1), 10.0)
    return made


def written(made: Rig) -> Any:
    """Return the message of the last command."""
    part = made.loop.commander.channel.parts[0]
    message = part.command.message.empty(empty_message)
    part.check(message)
    part.write(np.array(made.out.commands[-1]), message)
    return message


@pytest.mark.parametrize(
    ("unit", "interface", "on_loss"),
    [("rad", "position", "hold"), ("rad/s", "velocity", "zero"), ("Nm", "effort", "zero")],
)
def test_a_joint_state_commands_the_list_of_its_unit(tmp_path: Path, unit: str, interface: str, on_loss: str) -> None:
    made = rig(tmp_path, command_document(JOINT_STATE, JOINTS, [unit] * 3, on_loss=on_loss))
    made.loop.tick(10.01, 0.0)
    message = written(made)
    assert message.name == JOINTS
    assert list(getattr(message, interface)) == pytest.approx(wanted(3), abs=TOLERANCE)
    others = {"position", "velocity", "effort"} - {interface}
    assert [len(getattr(message, other)) for other in others] == [0, 0]
    made.loop.tick(20.0, 0.0)  # the robot is not seen any more
    assert made.out.commands[1:] == ([[0.0] * 3] if on_loss == "zero" else [])


def test_a_joint_state_of_several_lists_is_refused() -> None:
    document = command_document(JOINT_STATE, JOINTS, ["rad", "rad/s", "Nm"], on_loss="call", loss_service="stop")
    with pytest.raises(RobotFileError, match=r"mix position \(shoulder\) and velocity \(elbow\) and effort \(wrist\)"):
        RobotFile.from_dict(document)


def test_a_pose_commands_seven_numbers(tmp_path: Path) -> None:
    made = rig(tmp_path, command_document(POSE, PARTS, PART_UNITS))
    made.loop.tick(10.01, 0.0)
    pose = written(made).pose
    found = [*(getattr(pose.position, axis) for axis in "xyz"), *(getattr(pose.orientation, axis) for axis in "xyzw")]
    assert found == pytest.approx(wanted(7), abs=TOLERANCE)
    made.loop.tick(20.0, 0.0)
    assert len(made.out.commands) == 1


def test_a_pose_that_leaves_out_a_part_is_refused() -> None:
    """The part would be commanded all the same, as an empty message has it."""
    document = command_document(POSE, PARTS[:3], PART_UNITS[:3])
    with pytest.raises(RobotFileError, match=r"give 3 of the numbers .* too: pose.orientation.x, .*orientation.w"):
        RobotFile.from_dict(document)


def test_zeros_are_no_pose() -> None:
    """Nor for an orientation alone, whose parts have no dimension."""
    with pytest.raises(RobotFileError, match=r"on_loss: is 'zero', which is not a safe set point .*pose.orientation.w"):
        RobotFile.from_dict(command_document(POSE, PARTS, PART_UNITS, on_loss="zero"))


def test_a_command_type_is_not_observable() -> None:
    kind = "trajectory_msgs/msg/JointTrajectory"
    document = command_document(JOINT_STATE, JOINTS, ["rad"] * 3)
    document["inputs"]["arm"]["type"] = kind
    with pytest.raises(RobotFileError, match=f"inputs.arm.type: is '{kind}', a command type"):
        RobotFile.from_dict(document)
