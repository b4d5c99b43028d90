"""The messages of one input or command in a block, and their traffic."""

import numpy as np
from numpy.typing import NDArray

from vdd_ros.recordings.traffic import Traffic
from vdd_ros.robot.cdr.columns import Columns

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
ACCEPTED, REFUSED, OTHERS = 0, 1, 2


class CountedColumns:
    """Counts the messages of one topic, up to any of them; subclasses classify them.

    Attributes:
        traffic: Messages counted since `count_anew`.
        others: Joints of the newest message of other joints.
    """

    def __init__(self) -> None:
        self.traffic = Traffic()
        self.others = ""
        self._counted = 0
        none = np.empty(0, np.int64)
        self._begin_block(none, none)

    def count_anew(self) -> None:
        """Restart the counts."""
        self.traffic = Traffic()

    def count(self, until: int | None = None) -> None:
        """Count the remaining messages of the block, up to the one with this number; None: all."""
        rows = slice(self._counted, len(self.log_ns) if until is None else until)
        fates = self.fates[rows]
        if not len(fates):
            return
        self._counted = rows.stop
        traffic, log_ns = self.traffic, self.log_ns[rows]
        traffic.note_all(int(log_ns[0]), int(log_ns[-1]), len(fates))
        accepted, refused, others = np.bincount(fates, minlength=3).tolist()
        traffic.accepted += accepted
        traffic.refused += refused
        traffic.others += others
        traffic.unstamped += int(np.count_nonzero(self.unstamped[rows] & (fates == ACCEPTED)))
        if refused and not traffic.refusals:
            traffic.refusals = self._reason(rows.start + int(np.argmax(fates == REFUSED)))
        if others:
            last = rows.start + int(np.flatnonzero(fates == OTHERS)[-1])
            self.others = self._joints(last)

    def count_before(self, place: int, *, included: bool = False) -> None:
        """Count the messages before one of the block, given its index; `included`: that one too."""
        self.count(int(np.searchsorted(self.places, place, "right" if included else "left")))

    def _begin_block(self, log_ns: Ints, places: Ints) -> None:
        """Take the times of receipt and the indices of its messages in the block."""
        self.log_ns, self.places = log_ns, places
        self.fates = np.zeros(len(log_ns), np.int8)
        self.unstamped = np.zeros(len(log_ns), bool)
        self._counted = 0

    def _reason(self, row: int) -> str:
        """Return why a message was refused."""
        raise NotImplementedError

    def _joints(self, row: int) -> str:
        """Name the joints of a message of other joints."""
        raise NotImplementedError


def readable(found: Columns) -> Flags:
    """Return which messages have numbers."""
    known = np.ones(len(found.stamps_ns), bool)
    known[list(found.errors)] = False
    return known
