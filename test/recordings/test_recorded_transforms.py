"""Bags of a camera that moves: poses are given in the frame of the robot file, by the transforms in the bag."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vdd_ros.data.demonstrations import DemonstrationSet

pytest.importorskip("rosbags")

from random_messages import schema, serialized
from recorded_arm import MS, Sent, convert, document, drive, write_recording

TF_TYPE, POSE = "tf2_msgs/msg/TFMessage", "geometry_msgs/msg/PoseStamped"


def stamped(message: Any, at_ns: int, frame: str) -> Any:
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(at_ns, 1_000_000_000)
    message.header.frame_id = frame
    return message


def transform(at_ns: int, topic: str, child: str, parent: str, x: float) -> Sent:
    """Return a transform along x."""
    one = stamped(schema("geometry_msgs/msg/TransformStamped").blank(), at_ns, parent)
    one.child_frame_id = child
    one.transform.translation.x, one.transform.rotation.w = x, 1.0
    message = schema(TF_TYPE).blank()
    message.transforms = [one]
    return Sent(at_ns, topic, TF_TYPE, serialized(message, TF_TYPE))


def pose(at_ns: int, frame: str, x: float) -> Sent:
    message = stamped(schema(POSE).blank(), at_ns, frame)
    message.pose.position.x, message.pose.orientation.w = x, 1.0
    return Sent(at_ns, "/target", POSE, serialized(message, POSE))


def inputs() -> dict[str, Any]:
    """Return the inputs of the robot file: the target in the frame of the base, and the last command too."""
    entries = {"x": {"field": "pose.position.x", "unit": "m"}}
    target = {"topic": "/target", "type": POSE, "max_age_s": 0.2, "frame": "base", "entries": entries}
    return document()["inputs"] | {"target": target, "last": {"command": "command", "entries": "all"}}


def recording() -> list[Sent]:
    """Return the drive of an arm with a camera on a carriage, which drives at 1 m/s and sees x = 2 of `base`."""
    sent = drive(2.0)
    begin, end = sent[0].at_ns, sent[-1].at_ns
    more = [transform(begin, "/tf_static", "camera", "carriage", 0.5)]
    for at_ns in range(begin, end, 10 * MS):
        moved = (at_ns - begin) * 1e-9
        more.append(transform(at_ns, "/tf", "carriage", "base", moved))
        more.append(pose(at_ns + MS, "camera", 2.0 - 0.5 - moved - 0.001))
    return sorted([*sent, *more], key=lambda one: one.at_ns)


def test_poses_of_a_moving_camera_stand_still_in_the_base(tmp_path: Path) -> None:
    sent = recording()
    write_recording(tmp_path / "bag", sent)
    assert convert(tmp_path, tmp_path / "bag", inputs=inputs()) == 0
    found = DemonstrationSet.load(tmp_path / "D")
    names = [feature.name for feature in found.header.observation]
    assert names == ["shoulder", "elbow", "x", "shoulder_target_commanded", "elbow_target_commanded"]
    np.testing.assert_allclose(found.observation[:, 2], 2.0, atol=0.002)  # the carriage's place is up to 1 ms old
    assert len(found.observation) > 30


def test_a_last_command_is_the_action_before(tmp_path: Path) -> None:
    """The newest command before each tick. All values of `drive` tell when they were sent."""
    sent = recording()
    write_recording(tmp_path / "bag", sent)
    assert convert(tmp_path, tmp_path / "bag", inputs=inputs()) == 0
    found = DemonstrationSet.load(tmp_path / "D")
    tick_s = found.observation[:, 0]
    before_s = 0.03 + 0.05 * np.floor((tick_s - 0.03) / 0.05 + 1e-6)
    assert (before_s >= 0.03 - 1e-9).all()
    np.testing.assert_allclose(found.observation[:, 3:], np.stack([1 + before_s, -1 - before_s], 1), atol=1e-6)
    np.testing.assert_allclose(found.action[:, 0], 1 + before_s + 0.05, atol=1e-6)


def test_a_bag_without_transforms_leaves_the_episode_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sent = [one for one in recording() if not one.topic.startswith("/tf")]
    write_recording(tmp_path / "bag", sent)
    assert convert(tmp_path, tmp_path / "bag", inputs=inputs()) != 0
    printed = capsys.readouterr()
    assert "no transform leads from 'camera' to 'base'" in printed.out + printed.err


def carried(**of_input: Any) -> dict[str, Any]:
    """Return the inputs of a robot file that reads the carriage's position."""
    entries = {"x": {"field": "transform.translation.x", "unit": "m"}}
    frames = {"parent": "base", "child": "carriage"}
    carriage = {"topic": "/tf", "type": TF_TYPE, "max_age_s": 0.2, "transform": frames, "entries": entries}
    return document()["inputs"] | {"carriage": carriage | of_input}


@pytest.mark.parametrize("by_columns", [True, False])
def test_one_transform_is_an_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_columns: bool) -> None:
    """It is selected by its frames among those of other publishers, and dated by its own stamp, 4 ms before receipt."""
    if not by_columns:
        monkeypatch.setattr("vdd_ros.recordings.bag_conversion.why_not_by_columns", lambda _: "a test says so")
    sent = [one._replace(at_ns=one.at_ns + 4 * MS) if one.topic == "/tf" else one for one in recording()]
    sent += [transform(one.at_ns + MS, "/tf", "lid", "base", 9.0) for one in sent if one.topic == "/tf"]
    write_recording(tmp_path / "bag", sorted(sent, key=lambda one: one.at_ns))
    numbers = tmp_path / "numbers.json"
    assert convert(tmp_path, tmp_path / "bag", options=("--json", str(numbers)), inputs=carried()) == 0
    found = DemonstrationSet.load(tmp_path / "D")
    np.testing.assert_allclose(found.observation[:, 2] - found.observation[:, 0], 0.0, atol=0.011)
    age_s = json.loads(numbers.read_text())["alignment"]["inputs"]["carriage"]["time_s"]
    assert age_s["median"] == pytest.approx(0.010, abs=1e-6)


def test_a_transform_that_is_never_sent_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recording(tmp_path / "bag", recording())
    inputs = carried(transform={"parent": "base", "child": "camera"})
    assert convert(tmp_path, tmp_path / "bag", inputs=inputs) != 0
    told = capsys.readouterr().err
    assert "messages of other transforms (['base → carriage'])" in told
