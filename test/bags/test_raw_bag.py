"""The serialised messages of bags of every kind, against what rosbags reads and what was written."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import mcap_bytes as mcap
import pytest
from bag_files import NUMBER_TYPE, STORE, number_message
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer

from vdd_ros.bags import mcap_stream
from vdd_ros.bags.raw_messages import RawBag
from vdd_ros.errors import RecordingError

NUMBERS = {"/a": 300, "/b": 200}


def write(path: Path, storage: Any = StoragePlugin.MCAP, mode: Any = None, order: int = 1, split: int = 0) -> Path:
    """Write a bag of two topics, whose messages are not in order if `order` is not 1."""
    writer = Writer(path, version=9, storage_plugin=storage)
    if mode is not None:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connections = {topic: writer.add_connection(topic, NUMBER_TYPE, typestore=STORE) for topic in NUMBERS}
        for topic, connection in connections.items():
            for number in range(NUMBERS[topic])[::order]:
                writer.write(connection, 1000 + 10 * number + (topic == "/b"), number_message(number))
    return path


def expected() -> list[tuple[str, int, bytes]]:
    sent = [
        (topic, 1000 + 10 * number + (topic == "/b"), number_message(number))
        for topic, count in NUMBERS.items()
        for number in range(count)
    ]
    return sorted(sent, key=lambda one: one[1])


def read(path: Path, *topics: str) -> list[tuple[str, int, bytes]]:
    with RawBag(path) as bag:
        places = [place for place, channel in enumerate(bag.channels) if channel.topic in (topics or NUMBERS)]
        return [(one.channel.topic, one.log_ns, one.content) for one in bag.messages(places)]


STORAGES = [
    (StoragePlugin.MCAP, None),
    (StoragePlugin.MCAP, CompressionMode.MESSAGE),
    (StoragePlugin.MCAP, CompressionMode.FILE),
    (StoragePlugin.MCAP, CompressionMode.STORAGE),
    (StoragePlugin.SQLITE3, None),
    (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
    (StoragePlugin.SQLITE3, CompressionMode.FILE),
]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(("storage", "mode"), STORAGES)
def test_every_storage_and_compression(tmp_path: Path, storage: Any, mode: Any, order: int) -> None:
    bag = write(tmp_path / "bag", storage, mode, order)
    assert read(bag) == expected()
    assert read(bag, "/b") == [one for one in expected() if one[0] == "/b"]
    with RawBag(bag) as opened:
        assert {c.topic: n for c, n in zip(opened.channels, opened.counts(), strict=True)} == NUMBERS
        assert len(list(opened.messages())) == len(list(opened.messages())) == sum(NUMBERS.values())


def test_it_is_what_rosbags_reads(tmp_path: Path) -> None:
    bag = write(tmp_path / "bag")
    with Reader(bag) as reader:
        assert read(bag) == [(c.topic, stamp, bytes(raw)) for c, stamp, raw in reader.messages()]


@pytest.mark.parametrize("suffix", [".mcap", ".db3"])
def test_without_its_folder_and_metadata(tmp_path: Path, suffix: str) -> None:
    bag = write(tmp_path / "bag", StoragePlugin.MCAP if suffix == ".mcap" else StoragePlugin.SQLITE3)
    (file,) = bag.glob(f"*{suffix}")
    assert read(file) == expected()
    (bag / "metadata.yaml").unlink()
    assert read(bag) == expected()


def chunks(*numbers: range, step: int = 10, header: bool = True) -> bytes:
    """Chunks of messages on /a whose headers tell their times, or nothing."""
    found = b""
    for part in numbers:
        records = b"".join(mcap.message(1, 1000 + step * n, number_message(n)) for n in part)
        stamps = [1000 + step * n for n in part]
        found += mcap.chunk(records, times=(min(stamps), max(stamps)) if header else None)
    return found


def file_of(content: bytes, counted: int | None) -> bytes:
    topics = mcap.topics("/a", msgtype=NUMBER_TYPE)
    before = mcap.header() + topics + content
    return before + mcap.end(counted, len(before), topics)


def stamps(path: Path) -> list[int]:
    return [stamp for _, stamp, _ in read(path)]


@pytest.mark.parametrize("counted", [30, None])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize(
    "parts",
    [
        (range(10), range(10, 20), range(20, 30)),
        (range(20, 30), range(10), range(10, 20)),
        (range(0, 30, 3), range(1, 30, 3), range(2, 30, 3)),
        (range(9, -1, -1), range(29, 9, -1)),
    ],
    ids=["in order", "chunks out of order", "chunks that overlap", "messages out of order"],
)
def test_chunks_in_any_order(tmp_path: Path, parts: Any, header: bool, counted: int | None) -> None:
    file = tmp_path / "bag.mcap"
    file.write_bytes(file_of(chunks(*parts, header=header), counted))
    assert stamps(file) == [1000 + 10 * n for n in range(30)]


def test_chunks_that_all_overlap_are_not_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcap_stream, "_MOST_OVERLAPPING", 100)
    file = tmp_path / "bag.mcap"
    file.write_bytes(file_of(chunks(range(0, 30, 3), range(1, 30, 3), range(2, 30, 3)), 30))
    monkeypatch.setattr(mcap_stream.McapStream, "blocks", None)
    assert stamps(file) == [1000 + 10 * n for n in range(30)]


def test_messages_outside_of_chunks(tmp_path: Path) -> None:
    file = tmp_path / "bag.mcap"
    outside = b"".join(mcap.message(1, 1000 + 10 * n, number_message(n)) for n in range(10, 20))
    file.write_bytes(file_of(chunks(range(10)) + outside + chunks(range(20, 30)), 30))
    assert stamps(file) == [1000 + 10 * n for n in range(30)]


@pytest.mark.parametrize(("suffix", "storage"), [("mcap", StoragePlugin.MCAP), ("db3", StoragePlugin.SQLITE3)])
@pytest.mark.parametrize("overlap", [False, True])
def test_a_bag_of_several_files(tmp_path: Path, suffix: str, storage: Any, overlap: bool) -> None:
    """In turn, as a recorder splits them, or at the same time."""
    bag = tmp_path / "bag"
    bag.mkdir()
    for part in range(3):
        with Writer(tmp_path / f"part_{part}", version=9, storage_plugin=storage) as writer:
            connection = writer.add_connection("/a", NUMBER_TYPE, typestore=STORE)
            for number in range(part, 30, 3) if overlap else range(10 * part, 10 * part + 10):
                writer.write(connection, 1000 + 10 * number, number_message(number))
        shutil.copy(tmp_path / f"part_{part}" / f"part_{part}.{suffix}", bag / f"bag_{2 - part}.{suffix}")
    assert stamps(bag) == [1000 + 10 * n for n in range(30)]
    with RawBag(bag) as opened:
        assert opened.counts() == [10, 10, 10]


def test_a_chunk_with_a_wrong_checksum(tmp_path: Path) -> None:
    file = tmp_path / "bag.mcap"
    records = mcap.message(1, 1000, number_message(1))
    file.write_bytes(file_of(chunks(range(10)) + mcap.chunk(records, checksum=7, times=(2000, 2000)), 11))
    with pytest.raises(
        RecordingError, match=r"not a whole bag: the chunk at byte .* its checksum is wrong; `vdd bag mend"
    ):
        read(file)


def test_a_chunk_whose_times_are_wrong(tmp_path: Path) -> None:
    """Its messages would come too late."""
    file = tmp_path / "bag.mcap"
    records = mcap.message(1, 1000, number_message(1))
    file.write_bytes(file_of(mcap.chunk(records, times=(2000, 2000)), 1))
    with pytest.raises(RecordingError, match="received outside of its stated time"):
        read(file)


def test_fewer_messages_than_the_file_counts(tmp_path: Path) -> None:
    file = tmp_path / "bag.mcap"
    file.write_bytes(file_of(chunks(range(10)), 11))
    with pytest.raises(RecordingError, match=r"counts 11 messages on /a, of which 10 are found; `vdd bag mend"):
        read(file)


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_fewer_messages_than_the_metadata_counts(tmp_path: Path, storage: Any) -> None:
    bag = write(tmp_path / "bag", storage)
    metadata = bag / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("message_count: 300", "message_count: 301"))
    with pytest.raises(RecordingError, match=r"of 301 messages that are counted on /a 300 are found"):
        RawBag(bag)
    with RawBag(bag, wanted=lambda topic: topic == "/b"):
        pass


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_a_bag_that_is_cut_off(tmp_path: Path, storage: Any) -> None:
    bag = write(tmp_path / "bag", storage)
    file = next(file for file in bag.iterdir() if file.suffix != ".yaml")
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    with pytest.raises(RecordingError, match="vdd bag mend"):
        RawBag(bag)


def test_a_row_that_is_no_message(tmp_path: Path) -> None:
    bag = write(tmp_path / "bag", StoragePlugin.SQLITE3)
    database = sqlite3.connect(next(bag.glob("*.db3")))
    database.execute("UPDATE messages SET data = 'text' WHERE id = 7")
    database.commit()
    database.close()
    with pytest.raises(RecordingError, match="a row that is not a message"):
        read(bag)


def test_no_bag(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="does not exist"):
        RawBag(tmp_path / "nothing")
    (tmp_path / "bag.mcap").write_bytes(b"text")
    with pytest.raises(RecordingError, match="not a readable bag"):
        RawBag(tmp_path / "bag.mcap")


def test_a_chunk_of_empty_records_is_damaged(tmp_path: Path) -> None:
    file = tmp_path / "bag.mcap"
    empty = mcap.chunk(mcap.record(0x80, b"") * 100, times=(2000, 2000))
    file.write_bytes(file_of(chunks(range(10)) + empty, 10))
    with pytest.raises(RecordingError, match="is damaged: its records are too short"):
        stamps(file)


def test_a_bag_without_messages_is_read(tmp_path: Path) -> None:
    file = tmp_path / "bag.mcap"
    file.write_bytes(file_of(b"", 0))
    assert stamps(file) == []
    file.write_bytes(file_of(mcap.chunk(b"", times=(0, 0)), 0))
    assert stamps(file) == []


def test_messages_at_the_time_zero_are_read(tmp_path: Path) -> None:
    """A recorder with a stopped simulated clock writes such a bag."""
    file = tmp_path / "bag.mcap"
    records = b"".join(mcap.message(1, 0, number_message(n)) for n in range(5))
    file.write_bytes(file_of(mcap.chunk(records, times=(0, 0)) + chunks(range(10)), 15))
    assert stamps(file) == [0] * 5 + [1000 + 10 * n for n in range(10)]


def test_a_file_that_is_listed_twice_is_read_once(tmp_path: Path) -> None:
    bag = write(tmp_path / "bag")
    lines = (bag / "metadata.yaml").read_text().splitlines(keepends=True)
    place = next(number for number, line in enumerate(lines) if line.strip() == "- bag.mcap")
    (bag / "metadata.yaml").write_text("".join([*lines[:place], lines[place], *lines[place:]]))
    assert read(bag) == expected()
