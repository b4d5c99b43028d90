"""Reads the nodes' records of their ticks from a rosbag2 directory."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vdd_ros.bags.decisions import Decisions, expert_switch_rate, missing_decisions, parse_decisions
from vdd_ros.bags.diagnostics import DIAGNOSTICS, counters, newest_values
from vdd_ros.bags.layout import shown
from vdd_ros.bags.policy_info import parse_info
from vdd_ros.bags.reader import BagMessage, read_messages
from vdd_ros.bags.records import RECORD_TYPES, read_record
from vdd_ros.bags.sequence import LARGEST, SequenceCheck
from vdd_ros.documents import JsonObject
from vdd_ros.errors import RecordingError
from vdd_ros.text import printable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NODE_TOPICS = ("latency", "decision", "policy_info")
"""Topics under a policy node's own name; with `DIAGNOSTICS` they suffice for a report."""
OPTIONAL_TOPICS = ("expert",)
"""Topics that only some policies have."""

_LATENCY = "/latency"
_INFO = "/policy_info"
_DECISION = "/decision"
_EXPERT = "/expert"
_EPISODE = "/episode"
_TYPES: dict[str, tuple[str, ...]] = {
    _LATENCY: RECORD_TYPES,
    _INFO: (),
    _DECISION: RECORD_TYPES,
    _EXPERT: ("std_msgs/msg/Int64",),
    _EPISODE: ("std_msgs/msg/Int64",),
    DIAGNOSTICS: ("diagnostic_msgs/msg/DiagnosticArray",),
}
"""Topic suffix -> expected message types; none accepts any type (parsing fails if it is wrong)."""


@dataclass(frozen=True)
class NodeLatency:
    """The latency records of one node.

    Attributes:
        node: Full name of the node.
        labels: Names of the columns.
        values: (n, len(labels)) one row per tick; NaN for unmeasured values.
        sequence: Check of the sequence numbers.
        info: The node's last `~/policy_info`; empty if it is not in the bag.
        decisions: Its decisions; None if they are not in the bag.
        policies: Hashes of the policy files that acted, in order.
        switch_rate: Changes of the expert within episodes, per decision; None without experts.
        counters: Nonzero counters of abnormal events from its last diagnostics; None if the bag has none of its
            diagnostics.
        doubts: Unused values of its `~/policy_info`, in words.
    """

    node: str
    labels: tuple[str, ...]
    values: Floats
    sequence: SequenceCheck
    info: JsonObject = field(default_factory=dict)
    decisions: Decisions | None = None
    policies: tuple[str, ...] = ()
    switch_rate: float | None = None
    counters: dict[str, int] | None = None
    doubts: tuple[str, ...] = ()

    def column(self, label: str) -> Floats:
        """Return the values (n,) of one label; raises RecordingError if the records lack it."""
        if label not in self.labels:
            raise RecordingError(
                f"the latency records of {self.node} have no label {label!r}, but {', '.join(self.labels)}; were they "
                "made by another version?"
            )
        return self.values[:, self.labels.index(label)]

    def describe_gaps(self) -> str:
        """Describe missing records and decisions; empty if none is missing."""
        gaps = [self.sequence.describe()]
        if self.decisions is not None:
            decided = np.isfinite(self.column("inference_s"))
            expected = np.stack([self.column("seq"), self.column("stamp_s")], axis=1)[decided]
            gaps.append(missing_decisions(expected, self.decisions.keys))
        return "; ".join(filter(None, gaps))


def read_latency_bag(bag: Path) -> list[NodeLatency]:
    """Read the latency records of every node in a bag, ordered by the node's name.

    Raises:
        RecordingError: If the bag cannot be read, has no latency records, records whose labels are missing or
            change, or decisions without labels.
    """
    found: dict[str, dict[str, list[BagMessage]]] = {end: {} for end in _TYPES}
    for message in read_messages(bag, tuple(_TYPES), {end: kind for end, kind in _TYPES.items() if kind}):
        end = next(end for end in _TYPES if message.topic.endswith(end))
        found[end].setdefault(printable(message.topic.removesuffix(end)), []).append(message)
    if not found[_LATENCY]:
        raise RecordingError(f"{shown(bag)} has no latency records; record the topic ~/latency of a policy node")
    said = newest_values(m.message for messages in found[DIAGNOSTICS].values() for m in messages)
    episodes = _beginnings([m for messages in found[_EPISODE].values() for m in messages])
    return [_node_latency(node, found, said.get(node), episodes) for node in sorted(found[_LATENCY])]


def _beginnings(messages: Sequence[BagMessage]) -> Ints:
    """Return the starts of episodes, (n,) in nanoseconds: the changes of the episode number."""
    new = [m.received_ns for k, m in enumerate(messages) if not k or m.message.data != messages[k - 1].message.data]
    return np.array(new, dtype=np.int64)


def _node_latency(
    node: str, found: dict[str, dict[str, list[BagMessage]]], said: dict[str, str] | None, episodes: Ints
) -> NodeLatency:
    labels, values, sequence = _records(node, found[_LATENCY][node])
    said_of_itself = [parse_info(message.topic, message.message) for message in found[_INFO].get(node, [])]
    infos = [info for info, _ in said_of_itself]
    answers = found[_DECISION].get(node, [])
    decisions = parse_decisions(node, [m.message for m in answers]) if answers else None
    info = infos[-1] if infos else {}
    return NodeLatency(
        node,
        labels,
        values,
        sequence,
        info,
        decisions,
        tuple(dict.fromkeys(str(info["policy_sha256"]) for info in infos if info.get("policy_sha256"))),
        _switch_rate(decisions, answers, found[_EXPERT].get(node, []), episodes),
        None if said is None else counters(said, info),
        tuple(dict.fromkeys(doubt for _, doubts in said_of_itself for doubt in doubts)),
    )


def _switch_rate(
    decisions: Decisions | None, answers: list[BagMessage], published: list[BagMessage], episodes: Ints
) -> float | None:
    """Return the rate from the decisions, or from `~/expert` if there are none or their labels changed."""
    if decisions is not None and decisions.has(("expert",)):
        experts = decisions.columns(("expert",))[:, 0]
    else:
        answers, experts = published, np.array([m.message.data for m in published], dtype=np.float64)
    return expert_switch_rate(experts, np.array([m.received_ns for m in answers], dtype=np.int64), episodes)


def _records(node: str, messages: list[BagMessage]) -> tuple[tuple[str, ...], Floats, SequenceCheck]:
    """Return the labels of a node's latency records, the records, and the check of their sequence numbers."""
    try:
        records = [read_record(m.message) for m in messages]
    except RecordingError as error:
        raise RecordingError(f"the latency records of {node} are not alike or not labelled: {error}") from error
    layouts = {labels for labels, _ in records}
    labels = layouts.pop()
    if layouts or "seq" not in labels:
        raise RecordingError(
            f"the latency records of {node} are not alike or not labelled: {len(layouts) + 1} layouts, labels "
            f"{printable(', '.join(labels))}; all need the same labels, one of them `seq`"
        )
    values = np.array([values for _, values in records])
    _check_values(node, labels, values)
    sequence = SequenceCheck()
    for number in values[:, labels.index("seq")].tolist():
        sequence.add(int(number))
    return labels, values, sequence


def _check_values(node: str, labels: tuple[str, ...], values: Floats) -> None:
    """Raise RecordingError if records (n, len(labels)) hold invalid values; NaN marks unmeasured ones."""
    numbers = values[:, labels.index("seq")]
    stamps = values[:, [place for place, label in enumerate(labels) if label in ("seq", "stamp_s")]]
    if not np.isfinite(stamps).all():
        raise RecordingError(f"the latency records of {node} have a non-finite `seq` or `stamp_s`")
    if (odd := numbers[(numbers < 0) | (numbers > LARGEST) | (numbers != np.floor(numbers))]).size:
        raise RecordingError(
            f"the latency records of {node} have the sequence number {odd[0]:g}; whole numbers from 0 on are needed: "
            "does another node publish on its topic?"
        )
    if np.isinf(values).any():
        label = labels[int(np.argwhere(np.isinf(values))[0, 1])]
        raise RecordingError(
            f"the latency records of {node} have an infinite {printable(label)}; finite numbers are needed, or NaN if "
            "nothing was measured"
        )
