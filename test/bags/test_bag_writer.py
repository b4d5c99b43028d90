"""The bag writer: complete bags, bags with gaps, and what a failing disk leaves."""

import errno
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_files import latency_message, text_message
from rosbags.rosbag2 import Reader
from sequence_bags import LATCHED, record, sequences_of, write_sequence

from vdd_ros.bags.records import ARRAY_TYPE as LATENCY_TYPE
from vdd_ros.bags.salvage import salvage
from vdd_ros.bags.sequence import SequenceCheck
from vdd_ros.bags.writer import SEQUENCE_KEY, BagWriter
from vdd_ros.errors import RecordingError


class FullDisk:
    """Wraps a file and runs out of space after some bytes, in the middle of a write, as disks do."""

    def __init__(self, file: Any, space: int) -> None:
        self._file, self._space = file, space

    def write(self, data: Any) -> int:
        data = bytes(data)
        fits = data[: self._space]
        self._file.write(fits)
        self._space -= len(fits)
        if len(fits) < len(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        return len(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_a_closed_bag_holds_every_message_and_the_offered_qos(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / "bag")
    writer.add_topic("/student/policy_info", "std_msgs/msg/String", [LATCHED])
    writer.write("/student/policy_info", 7, text_message("hello"))
    write_sequence(writer, list(range(100)))
    assert not (tmp_path / "bag").exists()
    writer.close()
    assert not (tmp_path / "bag.partial").exists()
    assert sequences_of(tmp_path / "bag") == list(range(100))
    with Reader(tmp_path / "bag") as reader:
        connections = {connection.topic: connection for connection in reader.connections}
        assert connections["/student/policy_info"].ext.offered_qos_profiles == [LATCHED]  # type: ignore[union-attr]
        assert reader.message_count == 101
        custom = reader.storage.metadata.custom
    assert custom is not None
    found = json.loads(custom[SEQUENCE_KEY])["/student/latency"]
    assert (found["count"], found["first"], found["last"], found["gaps"]) == (100, 0, 99, [])


def test_a_gap_is_an_error_with_its_numbers_but_the_bag_stands(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / "bag")
    write_sequence(writer, [0, 1, 2, 5, 6])
    with pytest.raises(RecordingError, match=r"/student/latency: 2 of 7 records missing \(sequence numbers 3 to 4\)"):
        writer.close()
    assert sequences_of(tmp_path / "bag") == [0, 1, 2, 5, 6]


def test_a_node_that_starts_again_from_zero_leaves_no_gap(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / "bag")
    write_sequence(writer, [0, 1, 2, 0, 1])
    writer.close()
    assert writer.sequences["/student/latency"].restarts == 1


def test_records_without_usable_sequence_numbers_are_kept_and_not_counted(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / "bag")
    writer.add_topic("/other/latency", LATENCY_TYPE)
    unusable = [record(3, label="other"), latency_message(np.array([np.nan]), ("seq",)), latency_message(np.array([]))]
    for message in unusable:
        writer.write("/other/latency", 1, message)
    writer.close()
    assert writer.sequences["/other/latency"].count == 0
    with Reader(tmp_path / "bag") as reader:
        assert reader.message_count == len(unusable)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([0, 1, 1, 2], r"come twice 1 time and go back 0 times \(1 after 1\)"),
        ([0, 2, 1, 3], r"come twice 0 times and go back 1 time \(1 after 2\)"),
        ([0, 50, 1, 51, 2, 52], r"come twice 0 times and go back 2 times \(1 after 50, 2 after 51\)"),
        ([5, 4, 3], r"go back 2 times \(4 after 5, 3 after 4\)"),
    ],
)
def test_numbers_that_repeat_or_descend_are_an_error_but_the_bag_stands(
    tmp_path: Path, numbers: list[int], text: str
) -> None:
    """Two nodes of one name, a node that publishes twice, a record out of order."""
    writer = BagWriter(tmp_path / "bag")
    write_sequence(writer, numbers)
    with pytest.raises(RecordingError, match=text):
        writer.close()
    assert sequences_of(tmp_path / "bag") == numbers


def test_records_that_are_none_among_others_are_counted_and_kept(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / "bag")
    write_sequence(writer, [0, 1])
    broken = b"\x00\x01\x00\x00\xff\xff\xff\xff"
    fraction = latency_message(np.array([0.5, 1.5]), ("stamp_s", "seq"))
    for message in (broken, fraction):
        writer.write("/student/latency", 2_000, message)
    with pytest.raises(RecordingError, match="2 records have no sequence number"):
        writer.close()
    with Reader(tmp_path / "bag") as reader:
        assert reader.message_count == 4


def test_two_nodes_of_one_name_do_not_fill_the_memory(tmp_path: Path) -> None:
    check = SequenceCheck()
    for k in range(20_000):
        check.add(k // 2 + 100_000 * (k % 2))
    assert check.backward == 9_999
    assert check.gap_count == 10_000
    assert len(check.gaps) == len(check.turns) == 1_000
    assert len(json.dumps(check.to_dict())) < 50_000


def test_an_output_that_appears_meanwhile_is_left_alone_and_the_bag_stays_whole(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / "bag")
    write_sequence(writer, [0, 1, 2])
    (tmp_path / "bag").mkdir()
    with pytest.raises(RecordingError, match=r"complete, but could not be moved to .*bag: .*exists already; it is "):
        writer.close()
    assert not list((tmp_path / "bag").iterdir())
    assert sequences_of(tmp_path / "bag.partial" / "bag") == [0, 1, 2]
    with Reader(tmp_path / "bag.partial" / "bag") as reader:
        storage: Any = reader.storage
        assert storage.storages[0].chunks  # the index too


def test_a_second_recorder_leaves_the_first_one_alone_and_names_the_mend(tmp_path: Path) -> None:
    first = BagWriter(tmp_path / "bag")
    write_sequence(first, [0, 1])
    with pytest.raises(RecordingError, match=r"another recorder is writing it, or was killed.* `vdd bag mend .*bag`"):
        BagWriter(tmp_path / "bag")
    first.close()
    assert sequences_of(tmp_path / "bag") == [0, 1]


def test_a_bag_that_cannot_be_begun_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("vdd_ros.bags.writer.ChunkIndex", full)
    with pytest.raises(RecordingError, match="cannot be created"):
        BagWriter(tmp_path / "bag")
    assert not list(tmp_path.iterdir())


def test_memory_does_not_grow_with_the_record(tmp_path: Path) -> None:
    """Thousands of seconds, each with a chunk; the finished bag indexes them all."""
    writer = BagWriter(tmp_path / "bag")
    writer.add_topic("/student/latency", LATENCY_TYPE)
    tracemalloc.start()
    try:
        for seq in range(3000):
            writer.write("/student/latency", seq, record(seq))
            writer.flush()
            if seq == 500:
                before, _ = tracemalloc.get_traced_memory()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 50_000
    writer.close()
    assert {path.name for path in (tmp_path / "bag").iterdir()} == {"bag.mcap", "metadata.yaml"}
    assert sequences_of(tmp_path / "bag") == list(range(3000))
    with Reader(tmp_path / "bag" / "bag.mcap") as reader:
        storage: Any = reader.storage
        assert len(storage.chunks) == 3000


@pytest.mark.parametrize("existing", ["bag", "bag.partial"])
def test_an_existing_output_is_refused_and_left_alone(tmp_path: Path, existing: str) -> None:
    (tmp_path / existing).mkdir()
    (tmp_path / existing / "precious").write_text("data")
    with pytest.raises(RecordingError, match="exists already"):
        BagWriter(tmp_path / "bag")
    assert (tmp_path / existing / "precious").read_text() == "data"


def test_an_output_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="cannot be created"):
        BagWriter(tmp_path / "file" / "bag")


def test_a_message_type_of_unknown_definition_is_refused(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / "bag")
    with pytest.raises(RecordingError, match="my_msgs/msg/Secret"):
        writer.add_topic("/secret", "my_msgs/msg/Secret")


@pytest.mark.parametrize("space", [200, 2_000, 20_000])
def test_a_full_disk_ends_the_record_and_keeps_what_was_flushed(tmp_path: Path, space: int) -> None:
    writer = BagWriter(tmp_path / "bag")
    writer._storage.bio = FullDisk(writer._storage.bio, space)
    writer.add_topic("/student/latency", LATENCY_TYPE)
    flushed: list[int] = []
    for number in range(300):
        writer.write("/student/latency", number, record(number))
        if number % 10 == 9:
            writer.flush()
            if writer.failure is None:
                flushed = list(range(number + 1))
    with pytest.raises(RecordingError, match="No space left on device"):
        writer.close()
    assert not (tmp_path / "bag").exists()
    rescued = tmp_path / "bag.partial" / "bag"
    if flushed:
        assert sequences_of(rescued) == flushed
    else:
        assert "the first 0 messages" in str(writer.failure)


def test_a_disk_that_is_too_full_for_the_index_keeps_every_whole_chunk(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / "bag")
    index: Any = writer._index
    index._file = FullDisk(index._file, 300)
    writer.add_topic("/student/latency", LATENCY_TYPE)
    for number in range(10):
        writer.write("/student/latency", number, record(number))
        writer.flush()
    with pytest.raises(RecordingError, match=r"No space left on device; the first [1-9] messages are readable"):
        writer.close()
    assert sequences_of(tmp_path / "bag.partial" / "bag")


def test_a_disk_that_fills_while_the_bag_is_closed_keeps_all_that_was_flushed(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / "bag")
    write_sequence(writer, list(range(10)))
    writer.flush()
    writer._storage.bio = FullDisk(writer._storage.bio, 300)
    with pytest.raises(RecordingError, match="the first 10 messages are readable"):
        writer.close()
    assert sequences_of(tmp_path / "bag.partial" / "bag") == list(range(10))


def test_the_file_of_a_killed_writer_is_readable_after_salvage_wherever_it_was_cut(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / "bag")
    write_sequence(writer, list(range(20)))
    writer.flush()
    path = writer._storage.path
    first_chunk = path.stat().st_size
    for number in range(20, 40):
        writer.write("/student/latency", 5_000 + number, record(number))
    writer.flush()
    content = path.read_bytes()
    writer._storage.bio.close()  # as the end of its process does, and unlocks it
    for cut in range(first_chunk, len(content), 97):
        path.write_bytes(content[:cut])
        salvage(path)
        found = sequences_of(path)
        assert found in (list(range(20)), list(range(40)))


@pytest.mark.parametrize("content", [b"", b"not an mcap file at all", b"\x89MCAP0\r\n\x01\x50"])
def test_other_files_than_mcap_cannot_be_salvaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bag.mcap"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match="cannot be salvaged"):
        salvage(path)
    assert path.read_bytes() == content
