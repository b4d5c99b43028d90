"""Latency bags for tests, written only with `rosbags`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from vdd_ros.bags.records import RECORD_TYPE, array_of
from vdd_ros.control.timing import LATENCY_LABELS as LABELS

__all__ = ["LABELS", "STORE", "latency_message", "record_message", "records_of", "text_message", "write_bag"]

STORE = get_typestore(Stores.ROS2_JAZZY)
LATENCY_TYPE = "std_msgs/msg/Float64MultiArray"
NUMBER_TYPE = "std_msgs/msg/Int64"
DIAGNOSTICS_TYPE = "diagnostic_msgs/msg/DiagnosticArray"
INFO_TYPE = "std_msgs/msg/String"


def records_of(count: int, first: int = 0) -> NDArray[np.float64]:
    """Return latency records (count, len(LABELS)) of ticks 35 ms apart, whose numbers begin with `first`."""
    values = np.zeros((count, len(LABELS)))
    values[:, LABELS.index("seq")] = first + np.arange(count)
    values[:, LABELS.index("stamp_s")] = 100 + 0.035 * (first + np.arange(count))
    values[:, LABELS.index("inference_s")] = 1e-4
    values[:, LABELS.index("total_s")] = 2e-4
    return values


def record_message(values: NDArray[np.float64], labels: tuple[str, ...]) -> bytes:
    """Return a serialised record as policy nodes publish it, `seq` and `stamp_s` among the labels."""
    types = STORE.types
    stamp_ns = round(float(values[labels.index("stamp_s")]) * 1e9)
    stamp = types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 1_000_000_000))
    named = {label: value for label, value in zip(labels, values.tolist(), strict=True) if label != "stamp_s"}
    arrays = {
        array: np.array([value if array_of(label) == array else np.nan for label, value in named.items()])
        for array in ("position", "velocity", "effort")
    }
    header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="")
    return bytes(STORE.serialize_cdr(types[RECORD_TYPE](header=header, name=list(named), **arrays), RECORD_TYPE))


def latency_message(values: NDArray[np.float64], labels: tuple[str, ...] = LABELS) -> bytes:
    """Return a serialised latency record as older bags have it."""
    types = STORE.types
    dims = [types["std_msgs/msg/MultiArrayDimension"](label=label, size=1, stride=1) for label in labels]
    layout = types["std_msgs/msg/MultiArrayLayout"](dim=dims, data_offset=0)
    return bytes(STORE.serialize_cdr(types[LATENCY_TYPE](layout=layout, data=values), LATENCY_TYPE))


def text_message(text: str) -> bytes:
    """Return a serialised std_msgs/String."""
    return bytes(STORE.serialize_cdr(STORE.types[INFO_TYPE](data=text), INFO_TYPE))


def number_message(number: int) -> bytes:
    """Return a serialised std_msgs/Int64."""
    return bytes(STORE.serialize_cdr(STORE.types[NUMBER_TYPE](data=number), NUMBER_TYPE))


def diagnostics_message(name: str, values: Mapping[str, str]) -> bytes:
    """Return a serialised diagnostic_msgs/DiagnosticArray with one status."""
    types = STORE.types
    pairs = [types["diagnostic_msgs/msg/KeyValue"](key=key, value=value) for key, value in values.items()]
    status = types["diagnostic_msgs/msg/DiagnosticStatus"](level=0, name=name, message="", hardware_id="", values=pairs)
    stamp = types["builtin_interfaces/msg/Time"](sec=0, nanosec=0)
    header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="")
    array = types[DIAGNOSTICS_TYPE](header=header, status=[status])
    return bytes(STORE.serialize_cdr(array, DIAGNOSTICS_TYPE))


def write_bag(
    path: Path,
    records: Mapping[str, NDArray[np.float64]],
    infos: Mapping[str, Any] | None = None,
    labels: tuple[str, ...] = LABELS,
    decisions: Mapping[str, Sequence[tuple[tuple[str, ...], NDArray[np.float64]]]] | None = None,
    numbers: Mapping[str, Sequence[tuple[float, int]]] | None = None,
    diagnostics: Sequence[tuple[str, Mapping[str, str]]] = (),
    *,
    named: bool = False,
) -> Path:
    """Write a latency bag.

    Args:
        path: Directory to make.
        records: Node to its records, (n, len(labels)).
        infos: Node to the object (or the text) on its `~/policy_info`.
        labels: Labels of the records.
        decisions: Node to parts of its decisions, one after the other: labels, and values (n, len(labels)).
        numbers: Topic to its messages (std_msgs/Int64): when, in ticks of 35 ms, and the number.
        diagnostics: Name of the status and its values, one message a second.
        named: Whether records are written as policy nodes publish them, not as older bags have them.
    """
    kind, message_of = (RECORD_TYPE, record_message) if named else (LATENCY_TYPE, latency_message)
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        stamp = 1_000_000_000
        for node, info in (infos or {}).items():
            connection = writer.add_connection(f"{node}/policy_info", INFO_TYPE, typestore=STORE)
            writer.write(connection, stamp, text_message(info if isinstance(info, str) else json.dumps(info)))
        for node, values in records.items():
            connection = writer.add_connection(f"{node}/latency", kind, typestore=STORE)
            for index, row in enumerate(values):
                writer.write(connection, stamp + 35_000_000 * index, message_of(row, labels))
        for node, parts in (decisions or {}).items():
            connection = writer.add_connection(f"{node}/decision", kind, typestore=STORE)
            rows = [(part_labels, row) for part_labels, part in parts for row in part]
            for index, (part_labels, row) in enumerate(rows):
                writer.write(connection, stamp + 35_000_000 * index, message_of(row, part_labels))
        for topic, published in (numbers or {}).items():
            connection = writer.add_connection(topic, NUMBER_TYPE, typestore=STORE)
            for tick, number in published:
                writer.write(connection, stamp + round(35_000_000 * tick), number_message(number))
        if diagnostics:
            connection = writer.add_connection("/diagnostics", DIAGNOSTICS_TYPE, typestore=STORE)
            for second, (name, said) in enumerate(diagnostics):
                message = diagnostics_message(name, said)
                writer.write(connection, stamp + 1_000_000_000 * second, message)
    return path
