"""What a robot file needs and is not installed: named with its places, and the same everywhere."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from arm_rig import arm_document, gripper_document

pytest.importorskip("rclpy")

from vdd_ros.errors import RobotFileError
from vdd_ros.nodes.policy.robot_side import load_robot
from vdd_ros.nodes.ros.installed import missing_for_nodes, missing_types, require_installed
from vdd_ros.robot.robot_file import RobotFile


@pytest.fixture(autouse=True)
def nothing_of_a_robot(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment of wheels."""
    for name in ("tf2_msgs", "tf2_msgs.msg", "control_msgs", "control_msgs.action"):
        monkeypatch.setitem(sys.modules, name, None)


def needy(*, joints: str = "sensor_msgs/msg/JointState", pose: str = "geometry_msgs/msg/PoseStamped") -> dict[str, Any]:
    """Return a robot file with a transformed input and a gripper that takes goals."""
    found = gripper_document()
    found["inputs"]["arm"]["type"] = joints
    entries = {"x": {"field": "pose.position.x", "unit": "m"}}
    found["inputs"]["tool"] = {"topic": "tool", "type": pose, "max_age_s": 1.0, "frame": "base", "entries": entries}
    return found


TRANSFORMS = (
    "the package tf2_msgs is not installed, so there are no transforms; it is not on PyPI, so use a ROS installation, "
    "which has it (`apt install ros-$ROS_DISTRO-tf2-msgs`), or omit `frame` if the messages are already in that frame"
)
ACTION = (
    "the package control_msgs is not installed, so a node cannot command here; it is not on PyPI, so use a ROS "
    "installation, which has it (`apt install ros-$ROS_DISTRO-control-msgs`)"
)


def test_transforms_and_actions_are_named_with_their_places() -> None:
    robot = RobotFile.from_dict(needy())
    transforms = ("inputs.tool.frame", TRANSFORMS)
    assert list(missing_for_nodes(robot, control=True)) == [transforms, ("commands.gripper.type", ACTION)]
    assert list(missing_for_nodes(robot, control=False)) == [transforms]
    assert list(missing_types(robot)) == []
    require_installed(RobotFile.from_dict(arm_document()), control=True)


def test_types_are_named_with_their_places() -> None:
    document = arm_document()
    document["inputs"]["arm"]["type"] = "no_such_msgs/msg/State"
    (where, problem), *others = missing_types(RobotFile.from_dict(document))
    assert (where, others) == ("inputs.arm.type", [])
    assert problem.startswith("message type no_such_msgs/msg/State: the package no_such_msgs is not installed here;")
    document["inputs"]["arm"]["type"] = "sensor_msgs/msg/JointStates"
    (_, problem), *_ = missing_types(RobotFile.from_dict(document))
    assert "sensor_msgs has no such message (did you mean sensor_msgs/msg/JointState?)" in problem


def test_a_transform_that_is_read_as_an_input_needs_the_package_too() -> None:
    document = arm_document()
    frames = {"parent": "base", "child": "tool"}
    entries = {"x": {"field": "transform.translation.x", "unit": "m"}}
    kind = "tf2_msgs/msg/TFMessage"
    document["inputs"]["tool"] = {"topic": "/tf", "type": kind, "max_age_s": 1.0, "transform": frames}
    document["inputs"]["tool"]["entries"] = entries
    (where, problem), *_ = missing_types(RobotFile.from_dict(document))
    assert where == "inputs.tool.type"
    assert "the package tf2_msgs is not installed; it is not on PyPI" in problem


@pytest.mark.parametrize("control", [True, False])
def test_a_node_tells_of_everything_before_it_loads_a_policy(tmp_path: Path, control: bool) -> None:
    document = needy(joints="no_such_msgs/msg/State")
    (tmp_path / "arm.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    with pytest.raises(RobotFileError) as refused:
        load_robot(str(tmp_path / "arm.yaml"), "step", control=control)
    said = str(refused.value)
    assert said.startswith(f"robot file {tmp_path / 'arm.yaml'}: inputs.arm.type: message type no_such_msgs/msg/State:")
    assert f"; inputs.tool.frame: {TRANSFORMS}" in said
    assert said.endswith(f"; commands.gripper.type: {ACTION}") == control
