"""The reading of bags and the intake of messages: what is measured; how fast it is is nobody's assertion."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from random_messages import deserialized, value_at
from rosbags.rosbag2 import Reader

from vdd_ros.bags.raw_messages import RawBag
from vdd_ros.benchmark.data import suite
from vdd_ros.benchmark.data.loops import LAYOUTS, LOOPS, by_field
from vdd_ros.benchmark.data.recording import JOINT_STATE, write_recording
from vdd_ros.cli.main import main
from vdd_ros.errors import ProcessError


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bag = tmp_path_factory.mktemp("data") / "recording"
    write_recording(bag, 1300)
    return bag


def test_the_recording_is_one_of_an_arm(recording: Path) -> None:
    """Two seconds: joint states at 500 Hz, poses at 100 Hz, commands at 50 Hz, with the stamps of their receipt."""
    with Reader(recording) as reader:
        messages = [(c.topic, stamp, deserialized(raw, c.msgtype)) for c, stamp, raw in reader.messages()]
    assert Counter(topic for topic, _, _ in messages) == {"/joint_states": 1000, "/tool_pose": 200, "/commands": 100}
    stamps = [stamp for _, stamp, _ in messages]
    assert (stamps[-1] - stamps[0]) * 1e-9 == pytest.approx(2.0, abs=0.01)
    for _, stamp, message in messages:
        if hasattr(message, "header"):
            assert message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec == stamp
    states = [message for topic, _, message in messages if topic == "/joint_states"]
    assert len({tuple(state.position) for state in states}) > 900
    assert all(len(state.name) == len(state.position) == len(state.effort) == 7 for state in states)


def test_every_way_reads_every_message(recording: Path) -> None:
    assert {loop: read(recording) for loop, read in LOOPS.items()} == dict.fromkeys(LOOPS, 1300)


def test_what_is_read_by_field_is_what_rosbags_reads(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[list[float]] = []
    monkeypatch.setattr("vdd_ros.benchmark.data.loops.NumberReader", recording_reader(found))
    by_field(recording)
    with RawBag(recording) as bag:
        expected = []
        for channel, _, _, content in bag.messages():
            message, layout = deserialized(content, channel.msgtype), LAYOUTS[channel.msgtype]
            values = [value_at(message, path) for path in layout.paths]
            picked = layout.select(values)
            expected.append([float(values[path] if item is None else values[path][item]) for path, item in picked])
    assert found == expected


def recording_reader(found: list[list[float]]) -> type:
    """Return a NumberReader that keeps what it reads."""
    from vdd_ros.robot.cdr.readers import NumberReader

    class Kept(NumberReader):
        def read(self, content: bytes, out: np.ndarray) -> int | None:
            stamp = super().read(content, out)
            found.append(out.tolist())
            return stamp

    return Kept


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "data.json"
    assert main(["benchmark", "data", "--quick", "--messages", "1300", "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    assert found["messages"] == 1300
    assert {one["loop"] for one in found["readings"]} == set(LOOPS)
    assert all(one["rate"] > 0 and one["peak_bytes"] > 1 << 20 for one in found["readings"])
    for ratio in (found["decoded"], found["undecoded"]):
        low, high = ratio["interval"]
        assert 0 < low <= ratio["ratio"] <= high
    shown = capsys.readouterr().out
    assert "1,300 messages" in shown
    assert "times as fast as deserialisation by rosbags" in shown


def test_a_reading_that_fails_is_told(tmp_path: Path, recording: Path) -> None:
    with pytest.raises(ProcessError, match=r"reading a bag .vdd_ros. ended with 1: .*does not exist"):
        suite._run("vdd_ros", tmp_path / "nothing", 1)
    with pytest.raises(ProcessError, match="found 1,300 of 1,301 messages"):
        suite._run("vdd_ros", recording, 1301)


def test_without_rclpy_the_intake_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "find_spec", lambda name: None)
    assert suite._intake(1) is None


def test_both_ways_of_taking_in_read_the_same() -> None:
    pytest.importorskip("rclpy")
    from vdd_ros.benchmark.data.intake import ASKED_FOR, JOINTS, by_turns

    seconds = by_turns(2)
    assert seconds.shape == (2, 2)
    assert (seconds > 0).all()
    assert (JOINTS, ASKED_FOR, JOINT_STATE) == (30, 6, "sensor_msgs/msg/JointState")
