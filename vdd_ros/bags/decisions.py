"""The decisions of a policy node in a bag, and a check that they are complete."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.bags.records import read_record
from vdd_ros.errors import RecordingError
from vdd_ros.text import printable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LAST_MAY_BE_LOST = 1  # a recorder that is stopped with the node may have only the latency record of a tick
_SHOWN = 5


@dataclass(frozen=True)
class Decisions:
    """The messages of one node on `~/decision`.

    Attributes:
        labels: Names of the columns; empty if they changed because another policy took over.
        values: (n, len(labels)) one row per decision; (0, 0) if the labels changed.
        keys: (m, 2) `seq` and `stamp_s` of every decision.
    """

    labels: tuple[str, ...]
    values: Floats
    keys: Floats

    def has(self, labels: Sequence[str]) -> bool:
        """Return whether there is a column for each label."""
        return set(labels) <= set(self.labels)

    def columns(self, labels: Sequence[str]) -> Floats:
        """Return the values (n, len(labels)) of some labels; raises RecordingError if one is unknown."""
        if not self.has(labels):
            unknown = sorted(set(labels) - set(self.labels))
            known = printable(", ".join(self.labels))
            raise RecordingError(f"decisions lack the label {', '.join(unknown)}; they have {known}")
        return self.values[:, [self.labels.index(label) for label in labels]]


def expert_switch_rate(experts: Floats, received_ns: Ints, episodes_ns: Ints) -> float | None:
    """Return the expert switches within episodes per decision: switches / max(1, decisions - 1).

    `/diagnostics` counts the same.

    Args:
        experts: (n,) the expert of each decision, in order; NaN if the policy is not a mixture.
        received_ns: (n,) time of receipt, nanoseconds.
        episodes_ns: (m,) start of each episode; its first decision is not a switch.

    Returns:
        None without decisions or experts.
    """
    if not len(experts) or not np.isfinite(experts).all():
        return None
    same_episode = np.diff(np.searchsorted(episodes_ns, received_ns, side="right")) == 0
    switches = int(np.count_nonzero((np.diff(experts) != 0) & same_episode))
    return switches / max(1, len(experts) - 1)


def parse_decisions(node: str, messages: Sequence[Any]) -> Decisions:
    """Parse the messages of a node, records of either type, in the order of receipt.

    Raises:
        RecordingError: One is not labelled, or its number or time is not finite.
    """
    records = [_record(node, message) for message in messages]
    keys = np.array([[values[labels.index("seq")], values[labels.index("stamp_s")]] for labels, values in records])
    if not np.isfinite(keys).all():
        raise RecordingError(f"decisions of {printable(node)} have a non-finite `seq` or `stamp_s`")
    layouts = {labels for labels, _ in records}
    if len(layouts) != 1:
        return Decisions((), np.empty((0, 0)), keys)
    return Decisions(layouts.pop(), np.array([values for _, values in records]), keys)


def _record(node: str, message: Any) -> tuple[tuple[str, ...], Floats]:
    try:
        labels, values = read_record(message)
    except RecordingError as error:
        raise RecordingError(f"a decision of {printable(node)} is not labelled: {error}") from error
    if not {"seq", "stamp_s"} <= set(labels):
        raise RecordingError(
            f"a decision of {printable(node)} has the labels {printable(', '.join(labels))}; each value needs its "
            "own label, and `seq` and `stamp_s` are required"
        )
    return labels, values


def missing_decisions(expected: Floats, found: Floats) -> str:
    """Describe missing and repeated decisions; empty if each occurs exactly once.

    A recorder may discover one topic before the other, so decisions missing before the first one do not count, nor does
    the last one.

    Args:
        expected: (n, 2) `seq` and `stamp_s` of the ticks at which the policy decided, in order.
        found: (m, 2) those of the decisions.
    """
    keys = list(map(tuple, found.tolist()))
    known = set(keys)
    present = [tuple(key) in known for key in expected.tolist()]
    first = present.index(True) if True in present else len(present)
    end = len(present)
    if present and not present[-1]:
        end -= _LAST_MAY_BE_LOST
    lost = [int(expected[place, 0]) for place in range(first, end) if not present[place]]
    twice = [int(key[0]) for key, times in Counter(keys).items() if times > 1] if len(known) < len(keys) else []
    gaps = []
    if lost:
        gaps.append(f"{len(lost)} of {end - first} decisions missing (sequence numbers {_shown(lost)})")
    if twice:
        gaps.append(f"{len(twice)} decisions occur more than once (sequence numbers {_shown(twice)})")
    return "; ".join(gaps)


def _shown(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:_SHOWN])) + (" and others" if len(numbers) > _SHOWN else "")
