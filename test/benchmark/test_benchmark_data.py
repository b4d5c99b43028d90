"""The reading of bags and the intake of messages: the measured figures; no speed is asserted."""

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from random_messages import deserialized, value_at
from rosbags.rosbag2 import Reader

from vdd_ros.bags.raw_messages import RawBag
from vdd_ros.benchmark.data import suite
from vdd_ros.benchmark.data.forge import ForgeRun, convert_by_forge
from vdd_ros.benchmark.data.loops import LAYOUTS, LOOPS, by_field
from vdd_ros.benchmark.data.recording import JOINT_STATE, LATENCY_NS, write_recording
from vdd_ros.cli.main import main
from vdd_ros.errors import ProcessError


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bag = tmp_path_factory.mktemp("data") / "recording"
    write_recording(bag, 1300)
    return bag


def test_the_recording_is_one_of_an_arm(recording: Path) -> None:
    """Two seconds: joint states at 500 Hz, poses at 100 Hz, commands at 50 Hz, stamped 1 ms before."""
    with Reader(recording) as reader:
        messages = [(c.topic, stamp, deserialized(raw, c.msgtype)) for c, stamp, raw in reader.messages()]
    assert Counter(topic for topic, _, _ in messages) == {"/joint_states": 1000, "/tool_pose": 200, "/commands": 100}
    stamps = [stamp for _, stamp, _ in messages]
    assert (stamps[-1] - stamps[0]) * 1e-9 == pytest.approx(2.0, abs=0.01)
    for _, stamp, message in messages:
        if hasattr(message, "header"):
            assert message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec == stamp - LATENCY_NS
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


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way in this process; that it also runs in one of its own is tested below."""

    def run(loop: str, bag: Path, messages: int) -> tuple[float, int]:
        assert LOOPS[loop](bag) == messages
        return 0.5 if loop == "rosbags" else 0.1, messages << 20

    monkeypatch.setattr(suite, "_run", run)
    monkeypatch.setattr(suite, "convert_by_forge", lambda *_: ForgeRun("0.2.0", 1.0, 1 << 30, 1000))


@pytest.mark.usefixtures("in_process")
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, figure = tmp_path / "data.json", tmp_path / "data.png"
    options = (
        "--quick",
        "--messages",
        "1300",
        "--against-forge",
        "python",
        "--json",
        str(file),
        "--figure",
        str(figure),
    )
    assert main(["benchmark", "data", *options]) == 0
    found = json.loads(file.read_text())
    assert found["messages"] == 1300
    assert {one["loop"] for one in found["readings"]} == set(LOOPS)
    assert all(one["rate"] > 0 and one["peak_bytes"] > 1 << 20 for one in found["readings"])
    for ratio in (found["decoded"], found["converted"]):
        assert (ratio["ratio"], ratio["interval"]) == (5.0, [5.0, 5.0])
    assert (found["smaller_messages"], found["smaller_peak_bytes"]) == (260, 260 << 20)
    assert (found["forge"]["rate"], found["forge"]["slower"]["ratio"]) == (1300, 10.0)
    assert figure.read_bytes().startswith(b"\x89PNG")
    shown = capsys.readouterr().out
    assert "1,300 messages" in shown
    assert "forge-robotics 0.2.0: 1,300 messages/s" in shown
    assert "times as fast as deserialisation by rosbags" in shown


def test_forge_converts_the_file_in_its_own_environment(
    tmp_path: Path, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in that writes what forge-robotics does; a program without it is told."""
    with pytest.raises(ProcessError, match="forge-robotics did not convert the bag: ModuleNotFoundError"):
        convert_by_forge(Path(sys.executable), recording, 50)
    with pytest.raises(ProcessError, match="cannot be run"):
        convert_by_forge(tmp_path / "nothing", recording, 50)
    package = tmp_path / "forge"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "cli.py").write_text(
        "import json, pathlib\n"
        "def app(arguments, standalone_mode):\n"
        "    assert arguments[0] == 'convert' and pathlib.Path(arguments[1]).stat().st_size > 1000\n"
        "    info = pathlib.Path(arguments[2], 'meta', 'info.json')\n"
        "    info.parent.mkdir(parents=True)\n"
        "    info.write_text(json.dumps({'total_frames': 1000}))\n"
    )
    about = tmp_path / "forge_robotics-0.2.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: forge-robotics\nVersion: 0.2.0\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = convert_by_forge(Path(sys.executable), recording, 50)
    assert (found.version, found.frames) == ("0.2.0", 1000)
    assert found.seconds > 0
    assert found.peak_bytes > 1 << 20


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
