"""Latency bags are read back exactly, and whatever is not one is refused in words."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from bag_files import LABELS, write_bag

from vdd_ros.bags.latency import read_latency_bag
from vdd_ros.bags.reader import read_messages
from vdd_ros.cli.main import main
from vdd_ros.errors import RecordingError


def records(count: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).uniform(1e-5, 1e-3, (count, len(LABELS)))
    values[:, 0] = np.arange(count)
    return values


def test_records_and_infos_come_back_as_they_were_written(tmp_path: Path) -> None:
    student, teacher = records(50, 1), records(40, 2)
    student[3, 5] = np.nan
    bag = write_bag(tmp_path / "bag", {"/b/teacher": teacher, "/a/student": student}, {"/a/student": {"kind": "vdd"}})
    first, second = read_latency_bag(bag)
    assert (first.node, second.node) == ("/a/student", "/b/teacher")
    np.testing.assert_array_equal(first.values, student)
    np.testing.assert_array_equal(second.column("seq"), np.arange(40))
    assert (first.info, second.info) == ({"kind": "vdd"}, {})
    assert (first.sequence.count, first.sequence.missing) == (50, 0)


def test_gaps_are_found_in_the_bag_itself(tmp_path: Path) -> None:
    values = records(30)
    (node,) = read_latency_bag(write_bag(tmp_path / "bag", {"/student": np.delete(values, [4, 5, 20], axis=0)}))
    assert node.sequence.gaps == [(3, 6), (19, 21)]
    assert node.sequence.missing == 3
    assert node.sequence.describe() == "3 of 30 records missing (sequence numbers 4 to 5, 20 to 20)"


@pytest.mark.parametrize("numbers", [[0, 1, 2, 2, 3], [0, 5, 1, 6, 2, 7], [4, 3, 2, 1]])
def test_numbers_that_repeat_or_descend_are_reported_with_an_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], numbers: list[int]
) -> None:
    values = records(len(numbers))
    values[:, 0] = numbers
    bag = write_bag(tmp_path / "bag", {"/student": values})
    page = tmp_path / "report.html"
    assert main(["latency", str(bag), "--warmup", "1", "--html", str(page)]) == 1
    assert "sequence numbers come twice" in capsys.readouterr().err
    assert "Every tick and every decision is in the record" not in page.read_text()


def test_numbers_that_restart_are_reported_and_no_gap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = records(6)
    values[:, 0] = [0, 1, 2, 0, 1, 2]
    assert main(["latency", str(write_bag(tmp_path / "bag", {"/student": values})), "--warmup", "1"]) == 0
    assert "the sequence numbers of /student restarted 1 time" in capsys.readouterr().out


def test_only_topics_asked_for_are_read_in_the_order_of_receipt(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", {"/student": records(3)}, {"/student": {"kind": "vdd"}})
    assert [m.topic for m in read_messages(bag, ["/policy_info"])] == ["/student/policy_info"]
    assert not list(read_messages(bag, ["/nothing"]))
    times = [m.received_ns for m in read_messages(bag, ["/latency", "/policy_info"])]
    assert times == sorted(times)
    assert len(times) == 4


def test_an_unknown_label_is_refused(tmp_path: Path) -> None:
    (node,) = read_latency_bag(write_bag(tmp_path / "bag", {"/student": records(3)}))
    with pytest.raises(RecordingError, match="no label 'warmth_s', but seq"):
        node.column("warmth_s")


def test_other_files_than_bags_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="not a readable bag"):
        read_latency_bag(tmp_path / "missing")
    with pytest.raises(RecordingError, match="not a readable bag"):
        read_latency_bag(tmp_path)
    (tmp_path / "metadata.yaml").write_text("a: [")
    with pytest.raises(RecordingError, match="not a readable bag"):
        read_latency_bag(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(RecordingError, match="not a readable bag"):
        read_latency_bag(tmp_path / "notes.txt")


def test_a_truncated_bag_is_refused_wherever_it_was_cut(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", {"/student": records(30)})
    (mcap,) = bag.glob("*.mcap")
    content = mcap.read_bytes()
    for size in range(0, len(content), 211):
        mcap.write_bytes(content[:size])
        with pytest.raises(RecordingError, match="not a readable bag"):
            read_latency_bag(bag)


def test_a_damaged_bag_is_read_or_refused_but_nothing_else(tmp_path: Path) -> None:
    decisions = {"/student": [(("seq", "stamp_s", "action.u"), records(10)[:, :3])]}
    bag = write_bag(tmp_path / "bag", {"/student": records(10)}, {"/student": {"kind": "vdd"}}, decisions=decisions)
    (mcap,) = bag.glob("*.mcap")
    content, rng = mcap.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(content)
        for place in rng.integers(len(damaged), size=3):
            damaged[place] = rng.integers(256)
        mcap.write_bytes(damaged)
        with suppress(RecordingError):
            read_latency_bag(bag)


def test_a_bag_without_latency_records_is_refused(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", {}, {"/student": {"kind": "vdd"}})
    with pytest.raises(RecordingError, match="no latency records"):
        read_latency_bag(bag)


@pytest.mark.parametrize("labels", [(), LABELS[1:], ("seq",)])
def test_records_without_their_labels_are_refused(tmp_path: Path, labels: tuple[str, ...]) -> None:
    bag = write_bag(tmp_path / "bag", {"/student": records(3)}, labels=labels)
    with pytest.raises(RecordingError, match="not alike or not labelled"):
        read_latency_bag(bag)


def test_a_sequence_number_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    values = records(3)
    values[1, 0] = np.nan
    with pytest.raises(RecordingError, match="non-finite"):
        read_latency_bag(write_bag(tmp_path / "bag", {"/student": values}))


@pytest.mark.parametrize("text", ["not json", json.dumps([1])])
def test_a_policy_info_that_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    bag = write_bag(tmp_path / "bag", {"/student": records(3)}, {"/student": text})
    with pytest.raises(RecordingError, match="/student/policy_info"):
        read_latency_bag(bag)
