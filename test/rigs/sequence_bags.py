"""Bags of numbered records, written with the package's own writer."""

from pathlib import Path

import numpy as np
from bag_files import STORE, latency_message
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import Reader

from vdd_ros.bags.records import ARRAY_TYPE as LATENCY_TYPE
from vdd_ros.bags.writer import BagWriter

NEVER = QosTime(9223372036, 854775807)
LATCHED = Qos(
    QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL, NEVER, NEVER,
    QosLiveliness.AUTOMATIC, NEVER, False,
)  # fmt: skip


def record(seq: int, label: str = "seq") -> bytes:
    """A latency record with the two labels stamp_s and `label`."""
    return latency_message(np.array([0.5, seq]), ("stamp_s", label))


def sequences_of(bag: Path) -> list[int]:
    with Reader(bag) as reader:
        raws = [raw for connection, _, raw in reader.messages() if connection.topic == "/student/latency"]
    return [int(STORE.deserialize_cdr(raw, LATENCY_TYPE).data[1]) for raw in raws]  # type: ignore[attr-defined]


def write_sequence(writer: BagWriter, numbers: list[int]) -> None:
    writer.add_topic("/student/latency", LATENCY_TYPE)
    for number in numbers:
        writer.write("/student/latency", 1_000 + number, record(number))
