"""`vdd bag mend` on what others leave: nothing is thrown away, nothing is touched, and losses are reported."""

import hashlib
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

import lz4.frame
import mcap_bytes as mcap
import pytest
from bag_files import LATENCY_TYPE, STORE, records_of, text_message, write_bag
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer
from sequence_bags import record, sequences_of

from vdd_ros.bags.repair import mend
from vdd_ros.cli.main import main
from vdd_ros.errors import RecordingError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NODE = "/student/latency"
TEXT = "std_msgs/msg/String"


def digests(folder: Path) -> dict[str, str]:
    """Every file below a folder, or the file itself, and the hash of its content."""
    files = [folder] if folder.is_file() else [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def mended(capsys: pytest.CaptureFixture[str], source: Path, output: Path, code: int = 0) -> str:
    """Mend, see that the source stays as it was and that nothing else is left, and return what was said."""
    before = digests(source)
    assert main(["bag", "mend", str(source), "--out", str(output)]) == code
    assert digests(source) == before
    assert not output.with_name(f"{output.name}.mending").exists()
    said = capsys.readouterr()
    return said.out + said.err


def numbers(count: int) -> list[int]:
    return list(range(count))


def bag_file(path: Path, *parts: bytes) -> Path:
    path.write_bytes(b"".join(parts))
    return path


def test_messages_of_an_unfinished_chunk_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The only chunk is cut in the middle of a message: all before it are there."""
    chunk = mcap.chunk(mcap.topics(NODE) + mcap.messages(numbers(3000), record))
    source = bag_file(tmp_path / "bag.mcap", mcap.header(), chunk[: len(chunk) - 1000])
    said = mended(capsys, source, tmp_path / "out")
    found = sequences_of(tmp_path / "out")
    assert found == numbers(len(found))
    size = len(mcap.message(1, 0, record(0)))
    assert len(found) == 3000 - -(-1000 // size)
    assert f"{len(found):,} messages" in said
    assert f"{size - 1000 % size} bytes lost: the file ends in the middle of a record" in said


def test_no_message_is_an_error_and_no_bag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chunk = mcap.chunk(mcap.topics(NODE) + mcap.messages(numbers(2), record))
    for name, parts in {
        "cut in the first message": (chunk[:500],),
        "only topics": (mcap.topics(NODE), mcap.end()),
        "nothing but the magic": (),
    }.items():
        source = bag_file(tmp_path / f"{name}.mcap", mcap.header(), *parts)
        said = mended(capsys, source, tmp_path / "out", code=2)
        assert "holds no readable message, so no bag was made" in said
        assert not (tmp_path / "out").exists()


def test_a_file_that_is_refused_stays_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = mcap.topics(NODE) + mcap.messages([0], record)
    for profile, parts, text in (
        ("ros1", (records, mcap.end()), "profile 'ros1'"),
        ("ros2", (mcap.schema(1, TEXT), mcap.channel(1, NODE, encoding="json"), mcap.message(1, 0, b"{}")), "json"),
    ):
        source = bag_file(tmp_path / "bag.mcap", mcap.header(profile), *parts)
        assert text in mended(capsys, source, tmp_path / "out", code=2)


def test_a_folder_with_metadata_whose_file_is_cut_is_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = write_bag(tmp_path / "bag", {"/student": records_of(400)})
    (file,) = bag.glob("*.mcap")
    file.write_bytes(file.read_bytes()[:100_000])
    said = mended(capsys, bag, tmp_path / "out", code=1)
    with Reader(tmp_path / "out") as reader:
        assert 0 < reader.message_count < 400
        assert f"of 400 counted messages, {reader.message_count} are found" in said
        assert f"{reader.message_count:,} messages" in said


def test_a_whole_bag_is_reported_whole_after_it_was_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = write_bag(tmp_path / "bag", {"/student": records_of(30)})
    assert "is a complete bag of 30 messages; there is nothing to mend" in mended(capsys, bag, tmp_path / "out", code=2)
    (bag / "more.mcap").write_bytes(b"whatever")
    said = mended(capsys, bag, tmp_path / "out", code=2)
    assert "nothing to mend; more.mcap beside it does not belong to it" in said


def by_time(bag: Path) -> list[tuple[int, str]]:
    with Reader(bag) as reader:
        return [(stamp, connection.topic) for connection, stamp, _ in reader.messages()]


@pytest.mark.parametrize("profile", ["", "ros2"])
@pytest.mark.parametrize("chunked", [False, True])
def test_topics_out_of_order_without_an_index_are_merged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, chunked: bool, profile: str
) -> None:
    """Two topics a few ticks out of step, as recorders with several threads leave them."""
    records = [mcap.topics(NODE, "/teacher/latency")]
    for k in range(50):
        records.append(mcap.message(1, 1000 + 10 * k, record(k)))
        records.append(mcap.message(2, 1000 + 10 * k - 45, record(k)))
    body = b"".join(records)
    parts = (mcap.header(profile), mcap.chunk(body) if chunked else body, mcap.end())
    assert "100 messages" in mended(capsys, bag_file(tmp_path / "bag.mcap", *parts), tmp_path / "out")
    found = by_time(tmp_path / "out")
    assert found == sorted(found, key=lambda message: message[0])
    assert len(found) == 100


@pytest.mark.parametrize("metadata", [False, True])
def test_a_split_bag_is_merged(tmp_path: Path, capsys: pytest.CaptureFixture[str], *, metadata: bool) -> None:
    """Ten files and more, the last one truncated; with metadata.yaml of the first ones only, or none."""
    bag = tmp_path / "bag"
    bag.mkdir()
    for part in range(11):
        messages = mcap.messages(range(10 * part, 10 * part + 10), record)
        tail = mcap.end() if part < 10 else b"\x05\x40"
        bag_file(bag / f"bag_{part}.mcap", mcap.header(), mcap.topics(NODE), messages, tail)
    if metadata:
        write_bag(tmp_path / "other", {"/student": records_of(1)})
        text = (tmp_path / "other" / "metadata.yaml").read_text()
        names = "".join(f"\n  - bag_{part}.mcap" for part in range(11))
        (bag / "metadata.yaml").write_text(text.replace("\n  - other.mcap", names))
    said = mended(capsys, bag, tmp_path / "out")
    assert "110 messages" in said
    assert "2 bytes lost" in said
    assert sequences_of(tmp_path / "out") == numbers(110)


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_compressed_chunks_are_read_as_far_as_they_are_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], compression: str
) -> None:
    pack = zstd.compress if compression == "zstd" else lz4.frame.compress
    chunks = []
    for part in range(3):
        topics = mcap.topics(NODE) if not part else b""
        records = topics + mcap.messages(range(500 * part, 500 * part + 500), record)
        chunks.append(mcap.chunk(records, compression, pack(records)))
    source = bag_file(tmp_path / "bag.mcap", mcap.header(), *chunks[:2], chunks[2][: len(chunks[2]) // 2])
    said = mended(capsys, source, tmp_path / "out", code=1)
    found = sequences_of(tmp_path / "out")
    assert found == numbers(len(found))
    assert 1000 <= len(found) < 1500
    assert "the unpacked rest of a truncated compressed chunk" in said


def test_a_chunk_with_a_wrong_checksum_is_skipped_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = mcap.chunk(mcap.topics(NODE) + mcap.messages(range(10), record))
    wrong = mcap.chunk(mcap.messages(range(10, 20), record), checksum=1)
    last = mcap.chunk(mcap.messages(range(20, 30), record))
    source = bag_file(tmp_path / "bag.mcap", mcap.header(), first, wrong, last, mcap.end())
    said = mended(capsys, source, tmp_path / "out", code=1)
    assert "bytes lost: a chunk with a wrong checksum" in said
    assert "10 of 30 records missing (sequence numbers 10 to 19)" in said
    assert sequences_of(tmp_path / "out") == [*range(10), *range(20, 30)]


def test_zeros_at_the_end_are_skipped_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a file system leaves after the power failed."""
    parts = (mcap.header(), mcap.topics(NODE), mcap.messages(range(10), record), bytes(4096))
    said = mended(capsys, bag_file(tmp_path / "bag.mcap", *parts), tmp_path / "out", code=1)
    assert "4,096 bytes lost: the file is damaged there" in said
    assert sequences_of(tmp_path / "out") == numbers(10)


MESSAGES = "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp, data);"
COMPUTED = {
    "its messages are a view": "CREATE VIEW messages AS SELECT 1 id, 1 topic_id, 5 timestamp, zeroblob(8) data;",
    "its message_definitions are a view": MESSAGES
    + "CREATE VIEW message_definitions AS SELECT 'a/msg/B' topic_type, 'int8 a' encoded_message_definition;",
    "its messages are computed": "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp, "
    "data GENERATED ALWAYS AS (zeroblob(8)));",
    "its Messages are computed": "CREATE VIRTUAL TABLE Messages USING fts5(topic_id, timestamp, data);",
}


@pytest.mark.parametrize("what", COMPUTED)
def test_rows_that_a_database_computes_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    """They could be endless or huge; these are few and small."""
    database = sqlite3.connect(tmp_path / "bag.db3")
    database.executescript(
        "CREATE TABLE topics(id INTEGER PRIMARY KEY, name, type, serialization_format, offered_qos_profiles);"
        f"INSERT INTO topics VALUES(1, '{NODE}', '{LATENCY_TYPE}', 'cdr', ''); {COMPUTED[what]}"
    )
    database.close()
    assert main(["bag", "mend", str(tmp_path / "bag.db3")]) == 2
    assert f"{what}, not a table" in capsys.readouterr().err


def test_a_length_that_is_damaged_hides_no_messages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It looks as if the file ended within that record; whole messages behind it say that it does not."""
    ticks = [mcap.message(1, 1000 + k, record(k)) for k in range(20)]
    ticks[5] = ticks[5][:1] + (2**40).to_bytes(8, "little") + ticks[5][9:]
    source = bag_file(tmp_path / "bag.mcap", mcap.header(), mcap.topics(NODE), *ticks, mcap.end())
    said = mended(capsys, source, tmp_path / "out", code=1)
    assert sequences_of(tmp_path / "out") == numbers(5)
    assert "the file is damaged there: a record claims to be longer than the file" in said


def test_bytes_behind_the_end_of_a_file_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    halves = [mcap.messages(range(10 * half, 10 * half + 10), record) for half in (0, 1)]
    files = [mcap.header() + mcap.topics(NODE) + half + mcap.end() for half in halves]
    source = bag_file(tmp_path / "bag.mcap", *files)
    said = mended(capsys, source, tmp_path / "out", code=1)
    assert sequences_of(tmp_path / "out") == numbers(10)
    assert f"{len(files[1]):,} bytes lost: bytes after the end of the file" in said


def test_a_folder_that_no_earlier_try_left_is_not_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = bag_file(tmp_path / "bag.mcap", mcap.header(), mcap.topics(NODE), mcap.messages(range(3), record))
    notes = tmp_path / "out.mending" / "notes.txt"
    notes.parent.mkdir()
    notes.write_text("what is to be mended")
    assert main(["bag", "mend", str(source), "--out", str(tmp_path / "out")]) == 2
    assert "out.mending is in the way and not from an earlier attempt" in capsys.readouterr().err
    assert notes.read_text() == "what is to be mended"


def test_topics_whose_type_has_no_definition_are_left_out_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One has a definition of its own, which stays with it; one has none; a standard one needs none."""
    own = "float64 torque\nstd_msgs/Header header\n" + "=" * 80 + "\nMSG: std_msgs/Header\n"
    own += "builtin_interfaces/Time stamp\nstring frame_id\n" + "=" * 80 + "\nMSG: builtin_interfaces/Time\n"
    own += "int32 sec\nuint32 nanosec\n"
    definitions = {"my_msgs/msg/Torque": own, "my_msgs/msg/Secret": "", TEXT: ""}
    types = [mcap.schema(place, *pair) for place, pair in enumerate(definitions.items(), 1)]
    channels = [mcap.channel(place, name, place) for place, name in enumerate(("/torque", "/secret", "/text"), 1)]
    content = {1: bytes(4) + bytes(24), 2: bytes(8), 3: text_message("hello")}
    messages = [mcap.message(number, 5, content[number]) for number in (1, 2, 2, 3)]
    source = bag_file(tmp_path / "bag.mcap", mcap.header(), *types, *channels, *messages, mcap.end())
    said = mended(capsys, source, tmp_path / "out", code=1)
    assert "2 messages of /secret are left out: topic /secret has the type my_msgs/msg/Secret, whose definition" in said
    with Reader(tmp_path / "out") as reader:
        assert {(c.topic, c.msgtype, c.msgcount) for c in reader.connections} == {
            ("/torque", "my_msgs/msg/Torque", 1),
            ("/text", TEXT, 1),
        }
        assert next(c.msgdef.data for c in reader.connections if c.topic == "/torque") == own


def test_times_of_publishing_and_two_types_of_one_topic_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    types = mcap.schema(1, TEXT) + mcap.schema(2, "std_msgs/msg/Int64")
    channels = mcap.channel(1, "/both") + mcap.channel(2, "/both", 2)
    number = bytes(STORE.serialize_cdr(STORE.types["std_msgs/msg/Int64"](data=7), "std_msgs/msg/Int64"))
    big = text_message("x" * 700_000)
    messages = [mcap.message(1, 100, big, 90), mcap.message(2, 110, number, 95), mcap.message(1, 120, big, 97)]
    source = bag_file(tmp_path / "bag.mcap", mcap.header(), types, channels, *messages, mcap.end())
    mended(capsys, source, tmp_path / "out")
    with Reader(tmp_path / "out") as reader:
        assert [(c.msgtype, t) for c, t, _ in reader.messages()] == [
            (TEXT, 100), ("std_msgs/msg/Int64", 110), (TEXT, 120)
        ]  # fmt: skip
    content = (tmp_path / "out" / "out.mcap").read_bytes()
    for stamp, published in ((100, 90), (110, 95), (120, 97)):
        assert stamp.to_bytes(8, "little") + published.to_bytes(8, "little") in content


@pytest.mark.parametrize("mode", [CompressionMode.MESSAGE, CompressionMode.FILE, CompressionMode.STORAGE])
def test_bags_compressed_in_any_way_are_mended_without_metadata(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: Any
) -> None:
    writer = Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection(NODE, LATENCY_TYPE, typestore=STORE)
        for k in range(100):
            writer.write(connection, 1000 + k, record(k))
    (tmp_path / "bag" / "metadata.yaml").unlink()
    assert "100 messages" in mended(capsys, tmp_path / "bag", tmp_path / "out")
    assert sequences_of(tmp_path / "out") == numbers(100)


def database(folder: Path, count: int) -> Path:
    with Writer(folder, version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connection = writer.add_connection(NODE, LATENCY_TYPE, typestore=STORE)
        for k in range(count):
            writer.write(connection, 1000 + k, record(k))
    (folder / "metadata.yaml").unlink()
    (file,) = folder.glob("*.db3")
    return file


def test_a_database_without_metadata_is_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database(tmp_path / "bag", 100)
    assert "100 messages" in mended(capsys, tmp_path / "bag", tmp_path / "out")
    assert sequences_of(tmp_path / "out") == numbers(100)


def test_a_database_that_was_cut_is_read_as_far_as_it_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = database(tmp_path / "bag", 2000)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    said = mended(capsys, file, tmp_path / "out", code=1)
    assert "rows of a truncated or damaged database" in said
    found = sequences_of(tmp_path / "out")
    assert found == numbers(len(found))
    assert len(found) > 500


def test_rows_that_a_killed_recorder_left_in_a_journal_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = database(tmp_path / "bag", 10)
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executemany(
        "INSERT INTO messages (topic_id, timestamp, data) VALUES (1, ?, ?)", [(1000 + k, record(k)) for k in (10, 11)]
    )
    connection.commit()
    killed = tmp_path / "killed"
    shutil.copytree(tmp_path / "bag", killed)  # as the files lie on the disk while the recorder is open
    connection.close()
    assert list(killed.glob("*-wal"))
    assert "12 messages" in mended(capsys, killed, tmp_path / "out")
    assert sequences_of(tmp_path / "out") == numbers(12)


def test_outputs_are_replaced_only_with_force_and_only_if_they_are_bags(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = bag_file(tmp_path / "a.mcap", mcap.header(), mcap.topics(NODE), mcap.messages(range(5), record))
    old = write_bag(tmp_path / "old", {"/student": records_of(3)})
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("precious")
    before = digests(tmp_path)
    for arguments, text in (
        (["--out", str(old)], "exists already"),
        (["--out", str(tmp_path / "home"), "--force"], "is not a bag"),
        (["--out", str(tmp_path), "--force"], "holds the bag to be mended"),
        (["--out", str(source), "--force"], "name a folder"),
    ):
        assert main(["bag", "mend", str(source), *arguments]) == 2
        assert text in capsys.readouterr().err
        assert digests(tmp_path) == before
    with pytest.raises(RecordingError, match="holds the bag to be mended"):
        mend(source, source, force=True)
    assert digests(tmp_path) == before
    assert main(["bag", "mend", str(source), "--out", str(old), "--force"]) == 0
    assert sequences_of(old) == numbers(5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mcap", "home", "old"]


def test_a_disk_without_room_to_unpack_gives_no_part_of_a_bag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of two files has to be unpacked: it is not passed over."""
    (tmp_path / "bag").mkdir()
    records = mcap.topics(NODE) + mcap.messages(range(5), record)
    bag_file(tmp_path / "bag" / "bag_0.mcap", mcap.header(), mcap.chunk(records, "zstd", zstd.compress(records)))
    bag_file(tmp_path / "bag" / "bag_1.mcap", mcap.header(), records)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vdd_ros.bags.contents.BagContents.keep", full)
    assert "there is no room to unpack" in mended(capsys, tmp_path / "bag", tmp_path / "out", code=2)
    assert not (tmp_path / "out").exists()


def test_the_output_that_a_killed_attempt_was_replacing_is_restored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed between the two renames of --force: the older bag lies among what the next try removes."""
    source = bag_file(tmp_path / "a.mcap", mcap.header(), mcap.topics(NODE), mcap.messages(range(5), record))
    (tmp_path / "old.mending").mkdir()
    write_bag(tmp_path / "old.mending" / "replaced", {"/student": records_of(3)})
    assert main(["bag", "mend", str(source), "--out", str(tmp_path / "old")]) == 2
    assert "exists already" in capsys.readouterr().err
    with Reader(tmp_path / "old") as reader:
        assert reader.message_count == 3
    assert not (tmp_path / "old.mending").exists()


def test_any_cut_of_a_foreign_file_gives_the_messages_before_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = mcap.chunk(mcap.topics(NODE) + mcap.messages(range(10), record))
    second = mcap.chunk(mcap.messages(range(10, 20), record))
    content = b"".join((mcap.header(), first, second, mcap.messages(range(20, 25), record), mcap.end()))
    source, found = tmp_path / "bag.mcap", -1
    for size in (*range(600, len(content), 331), len(content)):
        source.write_bytes(content[:size])
        output = tmp_path / f"out{size}"
        before = found
        if main(["bag", "mend", str(source), "--out", str(output)]) == 2:
            assert not output.exists()
            continue
        found = len(sequences_of(output))
        assert sequences_of(output) == numbers(found)
        assert found >= before
    assert found == 25
    capsys.readouterr()


def test_a_database_whose_structure_is_no_text_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message of SQLite repeats the damaged text, which Python refuses to decode."""
    database = sqlite3.connect(tmp_path / "bag.db3")
    database.executescript("CREATE TABLE topics(id); PRAGMA writable_schema = ON;")
    database.execute("UPDATE sqlite_master SET name = CAST(x'746fb570696373' AS TEXT), sql = 'CREATE TABLE x('")
    database.commit()
    database.close()
    assert main(["bag", "mend", str(tmp_path / "bag.db3")]) == 2
    assert "cannot be opened as a database" in capsys.readouterr().err
