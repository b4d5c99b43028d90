"""Records of ticks and decisions say by name what each number is; the time of the tick is the stamp of the message."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_files import LABELS, STORE, latency_message, record_message, write_bag
from rosbags.rosbag2 import Reader

from vdd_ros.bags.latency import read_latency_bag
from vdd_ros.bags.records import ARRAY_TYPE, RECORD_TYPE, array_of, names_of, read_record
from vdd_ros.errors import RecordingError

DECISION = ("seq", "stamp_s", "log_prob", "expert", "observation[-1].x", "observation[0].x", "goal[0].x", "action.y")
STAMP_S = 1_795_933_160.245_689_1


def record(labels: tuple[str, ...], seq: int = 3, stamp_s: float = STAMP_S) -> Any:
    values = np.random.default_rng(seq).random(len(labels))
    values[:2] = seq, stamp_s
    values[-2] = np.nan
    return values


def parsed(content: bytes, kind: str) -> Any:
    return STORE.deserialize_cdr(content, kind)


@pytest.mark.parametrize("labels", [LABELS, DECISION], ids=["latency", "decision"])
def test_both_forms_of_a_record_are_read_alike(labels: tuple[str, ...]) -> None:
    values = record(labels)
    for content, kind in (
        (record_message(values, labels), RECORD_TYPE),
        (latency_message(values, labels), ARRAY_TYPE),
    ):
        found, numbers = read_record(parsed(content, kind))
        assert found == labels
        assert np.array_equal(numbers, values, equal_nan=True)  # the stamp to the last bit, too


def test_numbers_that_share_an_axis_share_an_array() -> None:
    """No stamp is plotted at all; neither flags nor the ever growing number stand beside seconds."""
    arrays = {
        array: {label for label in names_of(LABELS) if array_of(label) == array} for array in ("position", "effort")
    }
    assert arrays["position"] == {label for label in LABELS if label.endswith("_s")} - {"stamp_s"}
    assert arrays["effort"] == {"seq"}
    assert {array_of(label) for label in DECISION[4:]} == {"position"}
    message = parsed(record_message(record(LABELS), LABELS), RECORD_TYPE)
    assert message.name == list(LABELS[:1] + LABELS[2:])
    for array in ("position", "velocity", "effort"):
        assert len(getattr(message, array)) == len(message.name)  # PlotJuggler reads that many, whatever is there
        assert np.nanmax(getattr(message, array)) < 1e6
    assert message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec == pytest.approx(STAMP_S, abs=1e-6)


@pytest.mark.parametrize("array", ["position", "velocity", "effort"])
def test_a_number_without_its_name_is_refused(array: str) -> None:
    message = parsed(record_message(record(LABELS), LABELS), RECORD_TYPE)
    setattr(message, array, np.zeros(2))
    with pytest.raises(RecordingError, match=r"has 2, 14 values and 14 labels .*each value needs its own label"):
        read_record(message)


def test_bags_of_either_form_say_the_same(tmp_path: Path) -> None:
    values = np.stack([record(LABELS, seq, 100.0 + 0.035 * seq) for seq in range(30)])
    answers = np.stack([record(DECISION, seq, 100.0 + 0.035 * seq) for seq in range(30)])
    values[:, LABELS.index("novelty")] = 2.5
    nodes = [
        read_latency_bag(
            write_bag(tmp_path / f"{named}", {"/a": values}, decisions={"/a": [(DECISION, answers)]}, named=named)
        )[0]
        for named in (False, True)
    ]
    assert nodes[0].labels == nodes[1].labels == LABELS
    np.testing.assert_array_equal(nodes[0].values, nodes[1].values)
    for node in nodes:
        assert node.decisions is not None
        np.testing.assert_array_equal(node.decisions.values, answers)
        assert node.sequence.count == 30


@pytest.mark.parametrize(
    "labels", [LABELS, DECISION, ("seq", "stamp_s", "action.é", "action.y")], ids=["latency", "decision", "accent"]
)
def test_records_of_a_node_equal_those_of_rosbags(labels: tuple[str, ...]) -> None:
    """Of the same length, so that nothing follows the message that is not of it."""
    pytest.importorskip("rclpy")
    from vdd_ros.nodes.ros.preserialized_record import ReadyRecord

    ready = ReadyRecord(labels)
    for seq, stamp_s in ((0, STAMP_S), (2**40, 0.0), (7, 12.000_000_001)):
        values = record(labels, seq, stamp_s)
        content = ready.serialized(values)
        found, numbers = read_record(parsed(content, RECORD_TYPE))
        assert found == labels
        np.testing.assert_allclose(numbers, values, rtol=0, atol=1e-9)
        expected = record_message(values, labels)
        assert len(content) == len(expected)
        assert bytes(STORE.serialize_cdr(parsed(content, RECORD_TYPE), RECORD_TYPE)) == expected  # but for padding


def test_every_message_of_a_bag_can_be_read_and_no_topic_is_empty(tmp_path: Path) -> None:
    """A recorder knows the optional topics; a teacher's bag has no topic of experts."""
    pytest.importorskip("rclpy")
    from vdd_ros.bags.latency import NODE_TOPICS, OPTIONAL_TOPICS

    assert not set(NODE_TOPICS) & set(OPTIONAL_TOPICS)
    bag = write_bag(tmp_path / "bag", {"/teacher": np.stack([record(LABELS, seq) for seq in range(3)])}, named=True)
    with Reader(bag) as reader:
        assert all(connection.msgcount for connection in reader.connections)
