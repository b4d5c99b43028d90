"""Reads what the nodes wrote about their ticks out of a rosbag2 directory."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.decisions import Decisions, expert_switch_rate, missing_decisions, parse_decisions
from vdd_ros.data.diagnostics import DIAGNOSTICS, counters, newest_values
from vdd_ros.data.sequence import SequenceCheck
from vdd_ros.errors import RecordingError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NODE_TOPICS = ("latency", "expert", "decision", "policy_info")
"""What a policy node publishes under its own name; with `DIAGNOSTICS` they say all that a report needs."""

_LATENCY = "/latency"
_INFO = "/policy_info"
_DECISION = "/decision"
_EXPERT = "/expert"
_EPISODE = "/episode"
_TYPES = {
    _LATENCY: "std_msgs/msg/Float64MultiArray",
    _INFO: "",
    _DECISION: "std_msgs/msg/Float64MultiArray",
    _EXPERT: "std_msgs/msg/Int64",
    _EPISODE: "std_msgs/msg/Int64",
    DIAGNOSTICS: "diagnostic_msgs/msg/DiagnosticArray",
}
"""End of a topic's name to the type that is meant; empty: any, an error follows where it is wrong."""


@dataclass(frozen=True)
class BagMessage:
    """One message of a bag.

    Attributes:
        topic: Full name of the topic.
        received_ns: When the recorder received it, nanoseconds since the epoch.
        message: The decoded message; its fields are those of the message definition.
    """

    topic: str
    received_ns: int
    message: Any


@dataclass(frozen=True)
class NodeLatency:
    """The latency records of one node.

    Attributes:
        node: Full name of the node.
        labels: Names of the columns.
        values: (n, len(labels)) one row a tick; NaN where nothing was measured.
        sequence: What was found about the sequence numbers.
        info: What the node last said about itself on `~/policy_info`; empty where that is not in the bag.
        decisions: What it decided; None where that is not in the bag.
        policies: The hashes of the policy files that acted, one after the other.
        switch_rate: Changes of the expert within an episode, a decision; None where there are no experts.
        counters: Those of its last diagnostics that are not zero and count what did not go well; None where the bag
            has no diagnostics of it.
    """

    node: str
    labels: tuple[str, ...]
    values: Floats
    sequence: SequenceCheck
    info: dict[str, Any] = field(default_factory=dict)
    decisions: Decisions | None = None
    policies: tuple[str, ...] = ()
    switch_rate: float | None = None
    counters: dict[str, int] | None = None

    def column(self, label: str) -> Floats:
        """Return the values (n,) of one label; raises RecordingError where the records do not have it."""
        if label not in self.labels:
            raise RecordingError(
                f"the latency records of {self.node} have no label {label!r}, but {', '.join(self.labels)}; were they "
                "made by another version?"
            )
        return self.values[:, self.labels.index(label)]

    def describe_gaps(self) -> str:
        """Say in words which records and decisions are missing; an empty text if none is."""
        gaps = [self.sequence.describe()]
        if self.decisions is not None:
            decided = np.isfinite(self.column("inference_s"))
            expected = np.stack([self.column("seq"), self.column("stamp_s")], axis=1)[decided]
            gaps.append(missing_decisions(expected, self.decisions.keys))
        return "; ".join(filter(None, gaps))


def read_messages(bag: Path, suffixes: Collection[str]) -> Iterator[BagMessage]:
    """Yield the messages of the topics that end in one of the suffixes, in the order of receipt.

    Args:
        bag: A rosbag2 directory, or one mcap file.
        suffixes: Ends of topic names.

    Raises:
        RecordingError: If there is no bag, or it is damaged.
    """
    from rosbags.rosbag2 import Reader
    from rosbags.typesys import Stores, get_typestore

    typestore = get_typestore(Stores.ROS2_JAZZY)
    try:
        with Reader(bag) as reader:
            wanted = [c for c in reader.connections if c.topic.endswith(tuple(suffixes))]
            # Without a connection to filter for, the reader would yield every message.
            for connection, received_ns, raw in reader.messages(wanted) if wanted else ():
                yield BagMessage(connection.topic, received_ns, typestore.deserialize_cdr(raw, connection.msgtype))
    except Exception as error:  # a damaged file makes the parser raise nearly anything
        raise RecordingError(
            f"{bag} is not a readable bag: {error or type(error).__name__}; give a rosbag2 directory with metadata.yaml"
        ) from error


def read_latency_bag(bag: Path) -> list[NodeLatency]:
    """Read the latency records of every node in a bag, ordered by the node's name.

    Raises:
        RecordingError: If the bag cannot be read, has no latency records, records whose labels are missing or change
            on the way, or decisions without labels.
    """
    found: dict[str, dict[str, list[BagMessage]]] = {end: {} for end in _TYPES}
    for message in read_messages(bag, tuple(_TYPES)):
        end = next(end for end in _TYPES if message.topic.endswith(end))
        if _TYPES[end] in ("", message.message.__msgtype__):
            found[end].setdefault(message.topic.removesuffix(end), []).append(message)
    if not found[_LATENCY]:
        raise RecordingError(f"{bag} has no latency records; record the topic ~/latency of a policy node")
    said = newest_values(m.message for messages in found[DIAGNOSTICS].values() for m in messages)
    episodes = _beginnings([m for messages in found[_EPISODE].values() for m in messages])
    return [_node_latency(node, found, said.get(node), episodes) for node in sorted(found[_LATENCY])]


def _beginnings(messages: Sequence[BagMessage]) -> Ints:
    """Return when episodes began, (n,) in nanoseconds: when their number, one message each, became another."""
    new = [m.received_ns for k, m in enumerate(messages) if not k or m.message.data != messages[k - 1].message.data]
    return np.array(new, dtype=np.int64)


def _parse_info(message: BagMessage) -> dict[str, Any]:
    try:
        info = json.loads(message.message.data)
    except (ValueError, AttributeError) as error:
        raise RecordingError(f"{message.topic} does not hold JSON: {error}") from error
    if not isinstance(info, dict):
        raise RecordingError(f"{message.topic} holds {type(info).__name__}; a JSON object is needed")
    return info


def _node_latency(
    node: str, found: dict[str, dict[str, list[BagMessage]]], said: dict[str, str] | None, episodes: Ints
) -> NodeLatency:
    labels, values, sequence = _records(node, found[_LATENCY][node])
    infos = [_parse_info(message) for message in found[_INFO].get(node, [])]
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
        tuple(dict.fromkeys(str(info["policy_sha256"]) for info in infos if "policy_sha256" in info)),
        _switch_rate(decisions, answers, found[_EXPERT].get(node, []), episodes),
        None if said is None else counters(said, info),
    )


def _switch_rate(
    decisions: Decisions | None, answers: list[BagMessage], published: list[BagMessage], episodes: Ints
) -> float | None:
    """Return the rate by the decisions, or by `~/expert` where there are none or their labels changed."""
    if decisions is not None and decisions.has(("expert",)):
        experts = decisions.columns(("expert",))[:, 0]
    else:
        answers, experts = published, np.array([m.message.data for m in published], dtype=np.float64)
    return expert_switch_rate(experts, np.array([m.received_ns for m in answers], dtype=np.int64), episodes)


def _records(node: str, messages: list[BagMessage]) -> tuple[tuple[str, ...], Floats, SequenceCheck]:
    """Return the labels of a node's latency records, the records, and what was found about their numbers."""
    layouts = {tuple(dimension.label for dimension in m.message.layout.dim) for m in messages}
    sizes = {len(m.message.data) for m in messages}
    labels = layouts.pop()
    if layouts or sizes != {len(labels)} or "seq" not in labels:
        raise RecordingError(
            f"the latency records of {node} are not alike or not labelled: {len(layouts) + 1} layouts, sizes "
            f"{sorted(sizes)}, labels {labels}; each value needs a label in layout.dim, one of them `seq`"
        )
    values = np.array([m.message.data for m in messages], dtype=np.float64)
    numbers = values[:, labels.index("seq")]
    if not np.isfinite(numbers).all():
        raise RecordingError(f"the latency records of {node} have sequence numbers that are not finite")
    sequence = SequenceCheck()
    for number in numbers:
        sequence.add(int(number))
    return labels, values, sequence
