"""`vdd demos from-bags` makes the same set of a recording, however its bag is stored."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mcap_bytes as mcap
import pytest
import yaml

from vdd_ros.data.demonstrations import DemonstrationSet

pytest.importorskip("rosbags")
pytest.importorskip("lz4")
pytest.importorskip("backports.zstd")

import lz4.frame
from backports import zstd
from recorded_arm import ARRAY, JOINT_STATE, Sent, convert, document, drive, write_recording

TOPICS = {"/joint_states": 1, "/commands": 2}
PACK: dict[str, Callable[[bytes], bytes]] = {"": bytes, "lz4": lz4.frame.compress, "zstd": zstd.compress}


def file_of(sent: list[Sent], compression: str, *, counted: bool) -> bytes:
    """Return an MCAP file of chunks without an index; `counted`: with statistics."""
    described = mcap.schema(1, JOINT_STATE) + mcap.schema(2, ARRAY)
    described += b"".join(mcap.channel(number, topic, number) for topic, number in TOPICS.items())
    content = mcap.header() + described
    for first in range(0, len(sent), 25):
        part = sent[first : first + 25]
        records = b"".join(mcap.message(TOPICS[one.topic], one.at_ns, one.content) for one in part)
        times = part[0].at_ns, part[-1].at_ns
        content += mcap.chunk(records, compression, PACK[compression](records), times=times)
    if not counted:
        return content + mcap.end()
    data_end = mcap.record(0x0F, bytes(4))
    numbers = [(number, sum(TOPICS[one.topic] == number for one in sent)) for number in TOPICS.values()]
    counts = struct.pack("<I", 20) + b"".join(struct.pack("<HQ", *one) for one in numbers)
    statistics = mcap.record(0x0B, mcap.SUMMARY.pack(len(sent), 2, 2, 0, 0, 0, 0, 2**62) + counts)
    footer = mcap.record(0x02, struct.pack("<QQI", len(content) + len(data_end), 0, 0))
    return content + data_end + described + statistics + footer + mcap.MAGIC


@pytest.fixture(scope="module")
def sent() -> list[Sent]:
    return drive(1.0)


@pytest.fixture(scope="module")
def expected(sent: list[Sent], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of the set that a plain bag gives."""
    folder = tmp_path_factory.mktemp("plain")
    write_recording(folder / "bag", sent)
    assert convert(folder, folder / "bag") == 0
    return DemonstrationSet.load(folder / "D").sha256


@pytest.mark.parametrize("compression", PACK)
@pytest.mark.parametrize("counted", [True, False], ids=["statistics", "no summary"])
def test_chunks_of_every_compression(
    tmp_path: Path, sent: list[Sent], expected: str, compression: str, counted: bool
) -> None:
    file = tmp_path / "bag.mcap"
    file.write_bytes(file_of(sent, compression, counted=counted))
    assert convert(tmp_path, file) == 0
    assert DemonstrationSet.load(tmp_path / "D").sha256 == expected


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_bag_of_two_files(tmp_path: Path, sent: list[Sent], expected: str, storage: str) -> None:
    suffix, half = "mcap" if storage == "mcap" else "db3", len(sent) // 2
    first = write_recording(tmp_path / "bag", sent[:half], storage)
    second = write_recording(tmp_path / "rest", sent[half:], storage)
    (second / f"rest.{suffix}").rename(first / f"bag_1.{suffix}")
    described = yaml.safe_load((first / "metadata.yaml").read_text())
    described["rosbag2_bagfile_information"]["relative_file_paths"] = [f"bag.{suffix}", f"bag_1.{suffix}"]
    (first / "metadata.yaml").write_text(yaml.safe_dump(described))
    assert convert(tmp_path, first) == 0
    assert DemonstrationSet.load(tmp_path / "D").sha256 == expected


def test_a_chunk_that_is_cut_is_an_error_that_leaves_nothing(
    tmp_path: Path, sent: list[Sent], capsys: pytest.CaptureFixture[str]
) -> None:
    whole = file_of(sent, "lz4", counted=True)
    file = tmp_path / "bag.mcap"
    file.write_bytes(whole[: len(whole) // 2])
    assert convert(tmp_path, file) == 2
    assert "is not a whole bag" in capsys.readouterr().err
    assert not (tmp_path / "D").exists()


def test_two_definitions_of_a_type_in_one_bag_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A joined bag: read by one definition, the messages of the other would be wrong numbers."""
    kind, of = "my_msgs/msg/State", {"/old": ("a", "b"), "/new": ("b", "a")}
    content = mcap.header()
    for number, (topic, fields) in enumerate(of.items(), start=1):
        content += mcap.schema(number, kind, "".join(f"float64 {field}\n" for field in fields))
        content += mcap.channel(number, topic, number)
    content += mcap.schema(3, ARRAY) + mcap.channel(3, "/commands", 3)
    states = b"\0\1\0\0" + struct.pack("<dd", 1.0, 2.0)
    for one in drive(1.0):
        if one.topic == "/commands":
            content += mcap.message(3, one.at_ns, one.content)
        else:
            content += b"".join(mcap.message(number, one.at_ns, states) for number in (1, 2))
    (tmp_path / "joined.mcap").write_bytes(content + mcap.end())
    entry = {"field": "a", "unit": "rad"}
    inputs = {
        name: {"topic": f"/{name}", "type": kind, "max_age_s": 0.2, "entries": {f"{name}_a": entry}}
        for name in ("old", "new")
    }
    command = document()["command"]
    for each, name in zip(command["entries"], ("old_a", "new_a"), strict=True):
        each["measured"] = name
    assert convert(tmp_path, tmp_path / "joined.mcap", inputs=inputs, command=command) == 2
    assert "the bag has two definitions of my_msgs/msg/State, one of them on /new" in capsys.readouterr().err
    assert convert(tmp_path, tmp_path / "joined.mcap", inputs={"old": inputs["old"]}, command=without(command)) == 0


def without(command: dict[str, Any]) -> dict[str, Any]:
    """Return a command whose second number is not measured."""
    del command["entries"][1]["measured"]
    return command
