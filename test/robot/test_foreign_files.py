"""Files of other tools given as a robot file: each is identified."""

import re
from pathlib import Path

import numpy as np
import pytest
from robot_writing import TEXT, refused

from vdd_ros.errors import RobotFileError
from vdd_ros.robot.robot_file import RobotFile

CONTROLLERS = """
controller_manager:
  ros__parameters:
    update_rate: 100
    arm_controller: {type: joint_trajectory_controller/JointTrajectoryController}
arm_controller:
  ros__parameters:
    joints: [shoulder, elbow]
    command_interfaces: [position]
"""
FOREIGN = {
    "controllers.yaml": (CONTROLLERS, "a file for ros2_control's controllers", "shoulder, elbow"),
    "in a namespace": ("left:\n" + re.sub("(?m)^", "  ", CONTROLLERS), "a file for ros2_control", "shoulder, elbow"),
    "parameters": ("/**:\n  ros__parameters: {rate_hz: 50.0}\n", "a ROS parameter file", "--params-file"),
    "one node": ("policy:\n  ros__parameters: {rate_hz: 50.0}\n", "a ROS parameter file", "`robot_file`"),
    "limits": ("joint_limits:\n  elbow: {max_velocity: 1.0}\n", "MoveIt's joint limits", "max_step"),
    "kinematics": ("arm: {kinematics_solver: kdl}\n", "MoveIt's kinematics", ""),
    "metadata": ("rosbag2_bagfile_information: {version: 9}\n", "the metadata.yaml of a bag", "vdd robot new"),
    "description of a graph": ("rate_hz: 50\nobservation: []\naction: []\n", "a description of a graph", "vdd wrap"),
    "rviz": ("Panels: []\nVisualization Manager: {}\n", "a configuration of RViz", ""),
    "lerobot": ('{"codebase_version": "v3.0", "features": {}}', "info.json of a LeRobot data set", "vdd train"),
    "lerobot policy": ('{"type": "act", "input_features": {}}', "a policy's configuration of LeRobot", ""),
    "train": ("dataset: {repo_id: a}\npolicy: {type: act}\n", "a training configuration", ""),
    "hydra": ("defaults: [_self_]\n_target_: x\n", "for Hydra", ""),
    "camera": ("image_width: 640\ncamera_matrix: {}\n", "the calibration of a camera", ""),
    "urdf": ('<?xml version="1.0"?>\n<robot name="arm"></robot>', "a URDF (XML)", "limits"),
    "mjcf": ("<!-- a --><mujoco/>", "a model for MuJoCo", ""),
    "dds": ('<?xml version="1.0"?><dds/>', "a profile of Fast DDS", ""),
    "page": ("<!DOCTYPE html><html>", "a web page", ""),
    "xml": ("<a/>", "XML, not a robot file", ""),
    "python": ("import launch\n", "a program", ""),
    "text": ("this is a robot\n", "plain text", "this is a robot"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_text_of_another_tool_is_named(tmp_path: Path, kind: str) -> None:
    text, *hints = FOREIGN[kind]
    (tmp_path / "robot.yaml").write_text(text)
    message = refused(lambda: RobotFile.load(tmp_path / "robot.yaml"))
    for hint in hints:
        assert hint in message
    assert "robot file " in message
    assert "config/robots/avoiding.yaml" in message


BINARY = {
    "song.mp3": (b"ID3\x03\x00" + bytes(100), "audio"),
    "bag.mcap": (b"\x89MCAP0\r\n" + bytes(100), "a bag (MCAP)"),
    "bag.db3": (b"SQLite format 3\x00" + bytes(100), "a bag (SQLite)"),
    "set.hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "a data set (HDF5), of which `vdd demos convert`"),
    "episode.parquet": (b"PAR1" + bytes(100), "a data set (Parquet), of which `vdd demos convert`"),
    "set.npz": (
        b"PK\x03\x04" + bytes(100),
        "(.npz), whose folder `vdd train --demos` takes",
    ),
    "policy.onnx": (b"\x08\x0a\x12\x07pytorch\x00" + bytes(100), "an ONNX file, not a robot file: `policy_path`"),
    "utf16.yaml": (TEXT.encode("utf-16"), "text in UTF-16; save it as UTF-8"),
    "latin.yaml": ("# für\n".encode("latin-1"), "is not text in UTF-8"),
    "noise": (bytes(range(256)), "a binary file, not a robot file"),
}


@pytest.mark.parametrize("name", BINARY)
def test_a_binary_file_is_named(tmp_path: Path, name: str) -> None:
    content, hint = BINARY[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RobotFileError) as error:
        RobotFile.load(tmp_path / name)
    assert str(error.value).startswith(f"robot file {tmp_path / name} ")
    assert hint in str(error.value)
    assert "traceback" not in str(error.value).lower()


def test_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(RobotFileError, match="is a folder; give a file"):
        RobotFile.load(tmp_path)


def test_the_policy_file_is_distinguished_from_the_robot_file(tmp_path: Path) -> None:
    """A real one, for both are given side by side."""
    from policy_files import write_mixture

    path = write_mixture(tmp_path / "policy.onnx")
    assert np.fromfile(path, np.uint8).size
    with pytest.raises(
        RobotFileError,
        match="is an ONNX file, not a robot file: `policy_path` takes a policy file, `vdd wrap` another tool's graph",
    ):
        RobotFile.load(path)
