"""A reader of a bag gets every message that it counts, or the reason why not and a remedy."""

from pathlib import Path
from typing import Any

import mcap_bytes as mcap
import numpy as np
import pytest
from bag_files import LABELS, LATENCY_TYPE, STORE, latency_message, number_message, records_of, write_bag
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from vdd_ros.bags.latency import read_latency_bag
from vdd_ros.cli.main import main
from vdd_ros.errors import RecordingError

NODE = "/student/latency"
PROFILE = """- history: 1
  depth: 7
  reliability: 1
  durability: 2
  deadline: {sec: 0, nsec: 0}
  lifespan: {sec: 0, nsec: 0}
  liveliness: 1
  liveliness_lease_duration: {sec: 0, nsec: 0}
  avoid_ros_namespace_conventions: false
"""


def tick(seq: int) -> bytes:
    return latency_message(records_of(1, seq)[0])


def sequences(bag: Path) -> list[int]:
    (node,) = read_latency_bag(bag)
    return [int(number) for number in node.column("seq")]


def replaced(bag: Path, *parts: bytes) -> Path:
    """Put another file into a bag, whose metadata.yaml stays."""
    (file,) = bag.glob("*.mcap")
    file.write_bytes(b"".join(parts))
    return bag


def test_quality_of_service_that_differs_from_the_metadata_loses_no_message(tmp_path: Path) -> None:
    """As after recompression: the library returns nothing from such a folder, and says nothing."""
    bag = write_bag(tmp_path / "bag", {"/student": records_of(30)})
    topics = mcap.schema(1, LATENCY_TYPE) + mcap.channel(1, NODE, qos=PROFILE)
    replaced(bag, mcap.header(), topics, mcap.messages(range(30), tick), mcap.end())
    assert sequences(bag) == list(range(30))


def test_fewer_messages_than_the_bag_counts_are_reported(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", {"/student": records_of(30)})
    replaced(bag, mcap.header(), mcap.topics(NODE), mcap.messages(range(20), tick), mcap.end())
    with pytest.raises(RecordingError, match=r"of 30 messages that are counted on /student/latency 20 .*vdd bag mend"):
        read_latency_bag(bag)


def test_a_topic_with_more_messages_does_not_make_up_for_one_with_fewer(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", {"/student": records_of(30), "/teacher": records_of(30)})
    ticks = mcap.messages(range(40), tick) + mcap.messages(range(20), tick, number=2)
    replaced(bag, mcap.header(), mcap.topics(NODE, "/teacher/latency"), ticks, mcap.end())
    with pytest.raises(RecordingError, match=r"of 30 messages that are counted on /teacher/latency 20 are found"):
        read_latency_bag(bag)


@pytest.mark.parametrize(
    ("mode", "storage"),
    [
        (CompressionMode.MESSAGE, StoragePlugin.MCAP),
        (CompressionMode.FILE, StoragePlugin.MCAP),
        (CompressionMode.STORAGE, StoragePlugin.MCAP),
        (CompressionMode.MESSAGE, StoragePlugin.SQLITE3),
        (CompressionMode.FILE, StoragePlugin.SQLITE3),
    ],
)
def test_the_file_of_a_compressed_bag_is_read_without_its_folder(tmp_path: Path, mode: Any, storage: Any) -> None:
    writer = Writer(tmp_path / "bag", version=9, storage_plugin=storage)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection(NODE, LATENCY_TYPE, typestore=STORE)
        for k in range(30):
            writer.write(connection, 1000 + k, tick(k))
    (file,) = (file for file in (tmp_path / "bag").iterdir() if file.name != "metadata.yaml")
    assert sequences(tmp_path / "bag") == sequences(file) == list(range(30))


def test_fewer_messages_than_a_file_counts_are_reported(tmp_path: Path) -> None:
    body = mcap.header() + mcap.topics(NODE) + mcap.messages(range(20), tick)
    file = tmp_path / "bag.mcap"
    file.write_bytes(body + mcap.end(25, len(body), mcap.topics(NODE)))
    with pytest.raises(RecordingError, match=r"a file counts 25 messages, of which 20 are found.*vdd bag mend"):
        read_latency_bag(file)


@pytest.mark.parametrize("between", [bytes(4096), mcap.end() + mcap.header() + mcap.topics(NODE)])
def test_a_file_that_goes_on_behind_a_damage_or_its_end_is_reported(tmp_path: Path, between: bytes) -> None:
    """Zeros, as of a page that was lost, or two files put together: what is behind is not passed over."""
    first, second = (mcap.messages(range(20 * half, 20 * half + 20), tick) for half in (0, 1))
    file = tmp_path / "bag.mcap"
    file.write_bytes(b"".join((mcap.header(), mcap.topics(NODE), first, between, second, mcap.end())))
    with pytest.raises(RecordingError, match=r"bytes lost: .*vdd bag mend"):
        read_latency_bag(file)


@pytest.mark.parametrize("profile", ["", "ros2"])
def test_a_file_out_of_order_or_of_no_profile_is_read_by_time(tmp_path: Path, profile: str) -> None:
    stamps = [(k, 1000 + 10 * k - (25 if k % 3 == 0 else 0)) for k in range(60)]
    body = b"".join(mcap.message(1, stamp, tick(k)) for k, stamp in stamps)
    file = tmp_path / "bag.mcap"
    file.write_bytes(mcap.header(profile) + mcap.topics(NODE) + body + mcap.end())
    assert sequences(file) == [k for k, _ in sorted(stamps, key=lambda one: one[1])]


def split_bag(folder: Path, parts: int = 3, each: int = 40) -> Path:
    folder.mkdir()
    for part in range(parts):
        ticks = mcap.messages(range(each * part, each * part + each), tick)
        (folder / f"bag_{part}.mcap").write_bytes(mcap.header() + mcap.topics(NODE) + ticks + mcap.end())
    return folder


def test_a_split_bag_without_metadata_is_read_as_one(tmp_path: Path) -> None:
    assert sequences(split_bag(tmp_path / "bag")) == list(range(120))


def test_files_of_a_split_bag_are_no_repeats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = split_bag(tmp_path / "bag")
    assert main(["latency", str(bag / "bag_1.mcap"), str(bag / "bag_0.mcap")]) == 2
    said = capsys.readouterr().err
    assert "bag_1.mcap continues" in said
    assert "parts of one bag, not repeats; give its folder" in said
    assert main(["latency", str(bag)]) == 0


def test_one_bag_given_twice_is_no_repeat(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = write_bag(tmp_path / "bag", {"/student": records_of(60)})
    assert main(["latency", str(bag), str(bag / "bag.mcap")]) == 2
    assert "are the same file" in capsys.readouterr().err


def test_a_file_of_a_bag_that_is_missing_is_reported(tmp_path: Path) -> None:
    bag = split_bag(tmp_path / "bag")
    write_bag(tmp_path / "other", {"/student": records_of(120)})
    names = "".join(f"\n  - bag_{part}.mcap" for part in range(3))
    text = (tmp_path / "other" / "metadata.yaml").read_text().replace("\n  - other.mcap", names)
    (bag / "metadata.yaml").write_text(text)
    assert sequences(bag) == list(range(120))
    (bag / "bag_1.mcap").unlink()
    with pytest.raises(RecordingError, match=r"its file bag_1\.mcap is missing.*vdd bag mend"):
        read_latency_bag(bag)


@pytest.mark.parametrize("identifier", ["", "my_storage"])
def test_a_storage_that_metadata_names_wrongly_does_not_matter(tmp_path: Path, identifier: str) -> None:
    bag = write_bag(tmp_path / "bag", {"/student": records_of(30)})
    metadata = bag / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("storage_identifier: mcap", f"storage_identifier: '{identifier}'"))
    assert identifier in metadata.read_text()
    assert sequences(bag) == list(range(30))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("bag", "it does not exist, but .*bag.partial does: its recorder still runs, or was killed; .*vdd bag mend"),
        ("bag.partial", "has no proper end.*vdd bag mend"),
        ("cut.mcap", "ends in the middle of a record.*vdd bag mend"),
        ("empty.mcap", "it is empty"),
        ("ros1.bag", "a bag of ROS 1"),
        ("absent", "it does not exist; give the folder of a bag"),
        ("two", "holds 2 bags; give one of them"),
    ],
)
def test_unreadable_bags_are_reported_with_a_remedy(tmp_path: Path, name: str, reason: str) -> None:
    begun = mcap.header() + mcap.topics(NODE) + mcap.messages(range(5), tick)
    (tmp_path / "bag.partial" / "bag").mkdir(parents=True)
    (tmp_path / "bag.partial" / "bag" / "bag.mcap").write_bytes(begun)
    (tmp_path / "cut.mcap").write_bytes(begun[:-5])
    (tmp_path / "empty.mcap").write_bytes(b"")
    (tmp_path / "ros1.bag").write_bytes(b"#ROSBAG V2.0\n")
    (tmp_path / "two").mkdir()
    for inner in ("first", "second"):
        split_bag(tmp_path / "two" / inner, 1)
    with pytest.raises(RecordingError, match=reason):
        read_latency_bag(tmp_path / name)


def test_messages_in_the_journal_of_a_database_are_not_passed_over(tmp_path: Path) -> None:
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connection = writer.add_connection(NODE, LATENCY_TYPE, typestore=STORE)
        for k in range(30):
            writer.write(connection, 1000 + k, tick(k))
    (file,) = (tmp_path / "bag").glob("*.db3")
    assert sequences(file) == list(range(30))
    file.with_name(f"{file.name}-wal").write_bytes(b"a journal")
    with pytest.raises(RecordingError, match=r"db3-wal holds messages that are not in the database yet.*vdd bag mend"):
        read_latency_bag(file)


def test_topics_of_others_with_the_same_end_of_their_names_are_skipped(tmp_path: Path) -> None:
    """Of a type without a definition, and of another type; both would be latency records by their names."""
    types = mcap.schema(1, LATENCY_TYPE) + mcap.schema(2, "my_msgs/msg/Latency", "")
    types += mcap.schema(3, "std_msgs/msg/Int64")
    channels = mcap.channel(1, NODE) + mcap.channel(2, "/mine/latency", 2) + mcap.channel(3, "/counter/latency", 3)
    others = mcap.message(2, 1, bytes(12)) + mcap.message(3, 2, number_message(5))
    file = tmp_path / "bag.mcap"
    file.write_bytes(mcap.header() + types + channels + others + mcap.messages(range(9), tick) + mcap.end())
    assert sequences(file) == list(range(9))


def test_a_message_that_does_not_have_its_type_is_reported(tmp_path: Path) -> None:
    ticks = mcap.messages(range(3), tick) + mcap.message(1, 2000, b"\x00\x01\x00\x00\xff\xff\xff\xff")
    file = tmp_path / "bag.mcap"
    file.write_bytes(mcap.header() + mcap.topics(NODE) + ticks + mcap.end())
    with pytest.raises(RecordingError, match=r"a message on /student/latency \(8 bytes\) is not a std_msgs"):
        read_latency_bag(file)


def test_names_of_others_cannot_write_on_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = mcap.topics("/\x1b[2Jevil/latency") + mcap.messages(range(60), tick)
    file = tmp_path / "bag.mcap"
    file.write_bytes(mcap.header() + body + mcap.end())
    assert main(["latency", str(file), "--warmup", "1"]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\\x1b[2Jevil" in shown


def test_metadata_that_expand_to_billions_are_refused_at_once(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", {"/student": records_of(3)})
    levels = [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 12)]
    (bag / "metadata.yaml").write_text("a0: &a0 [1]\n" + "\n".join(levels))
    assert sequences(bag) == [0, 1, 2]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"seq": [0, 1.5, 2]}, "sequence number 1.5"),
        ({"seq": [-3, 1, 2]}, "sequence number -3"),
        ({"seq": [0, 1, 1e300]}, r"sequence number 1e\+300"),
        ({"stamp_s": [100, np.nan, 101]}, "non-finite"),
        ({"deadline_missed": [0, np.inf, 0]}, "an infinite deadline_missed"),
    ],
)
def test_records_that_no_node_writes_are_refused(tmp_path: Path, values: dict[str, list[float]], text: str) -> None:
    records = records_of(3)
    for label, column in values.items():
        records[:, LABELS.index(label)] = column
    with pytest.raises(RecordingError, match=text):
        read_latency_bag(write_bag(tmp_path / "bag", {"/student": records}))


@pytest.mark.parametrize(
    ("info", "text"),
    [
        ('{"kind": ["vdd"]}', "kind is \"['vdd']\"; a text is needed"),
        ('{"rate_hz": NaN}', "rate_hz is 'nan'; a finite number above 0"),
        ('{"rate_hz": true}', "rate_hz is 'True'"),
        ('{"rate_hz": 1' + "0" * 400 + "}", "rate_hz is '1000"),
        ('{"rate_hz": -20}', "rate_hz is '-20'"),
        ('{"sampling_steps": 1e9, "kind": "ddpm"}', "sampling_steps is"),
        ('{"machine": "fast"}', "machine is 'fast'; an object"),
        ('{"refused": [{}]}', "refused is"),
    ],
)
def test_policy_info_is_checked_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], info: str, text: str
) -> None:
    """One wrong value does not take the whole report away, and is not computed with."""
    bag = write_bag(tmp_path / "bag", {"/student": records_of(60)}, {"/student": info})
    page = tmp_path / "report.html"
    assert main(["latency", str(bag), "--html", str(page)]) == 0
    assert f"/student/policy_info: {text}" in capsys.readouterr().out
    assert "is not used" in page.read_text()


@pytest.mark.parametrize(
    ("info", "text"),
    [("[" * 5000 + "]" * 5000, "nested"), ('{"kind": "vdd", "kind": "ddpm"}', "is duplicated"), ("7", "holds int")],
)
def test_policy_info_must_be_a_json_object(tmp_path: Path, info: str, text: str) -> None:
    bag = write_bag(tmp_path / "bag", {"/student": records_of(3)}, {"/student": info})
    with pytest.raises(RecordingError, match=text):
        read_latency_bag(bag)


@pytest.mark.parametrize("value", ["[" * 100_000, "9" * 10_000, "1e999", "NaN", "\x1b[2J", "true", "-0", "½", ""])
def test_odd_values_in_diagnostics_count_nothing(tmp_path: Path, value: str) -> None:
    said = [("/student: policy", {"ticks": "3", "failsafes": value, "stale": "2", "\x1b[2J": "5"})]
    (node,) = read_latency_bag(write_bag(tmp_path / "bag", {"/student": records_of(3)}, diagnostics=said))
    assert node.counters == {"stale": 2, "\\x1b[2J": 5}
