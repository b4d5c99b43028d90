"""Sequence numbers, which prove that a record is complete."""

from dataclasses import dataclass, field

from vdd_ros.documents import JsonObject, json_object
from vdd_ros.text import counted

LARGEST = 2**53
"""The largest sequence number: a record holds them as float64."""

_KEPT = 1000
_SHOWN = 5


@dataclass
class SequenceCheck:
    """Checks the sequence numbers of one topic in the order of arrival.

    A node numbers its records from 0 on. A 0 after other numbers starts a new run: the node was configured again. Any
    other number that is not larger than its predecessor is an error: two nodes of one name, a node that publishes
    twice, or a record out of order. Memory does not grow with the record: the first 1000 errors of each kind are kept.

    Attributes:
        count: Numbers seen.
        first: The first number seen, or None.
        last: The newest number seen, or None.
        restarts: Number of new runs.
        missing: Number of missing numbers.
        gaps: The first pairs (number before the gap, number after it).
        gap_count: Number of gaps.
        repeated: Immediate repetitions of a number.
        backward: Decreases to a number other than 0.
        turns: The first pairs (number before, smaller or equal number after it) of both kinds.
        unreadable: Records without a valid number.
    """

    count: int = 0
    first: int | None = None
    last: int | None = None
    restarts: int = 0
    missing: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)
    gap_count: int = 0
    repeated: int = 0
    backward: int = 0
    turns: list[tuple[int, int]] = field(default_factory=list)
    unreadable: int = 0

    def add(self, number: int) -> None:
        """Take the next number."""
        if self.last is None:
            self.first = number
        elif number > self.last + 1:
            self.missing += number - self.last - 1
            self.gap_count += 1
            _keep(self.gaps, (self.last, number))
        elif number == 0 < self.last:
            self.restarts += 1
        elif number <= self.last:
            self.repeated += number == self.last
            self.backward += number < self.last
            _keep(self.turns, (self.last, number))
        self.last = number
        self.count += 1

    @property
    def disordered(self) -> bool:
        """Whether numbers repeated or decreased."""
        return bool(self.repeated or self.backward)

    def to_dict(self) -> JsonObject:
        """Return the attributes as a JSON object."""
        return json_object(self)

    def describe(self) -> str:
        """Describe the errors, for a message; empty if each record occurs exactly once."""
        return "; ".join(filter(None, (self._gaps(), self._turns(), self._unreadable())))

    def _gaps(self) -> str:
        if not self.gap_count:
            return ""
        shown = ", ".join(f"{before + 1} to {after - 1}" for before, after in self.gaps[:_SHOWN])
        more = f" and {self.gap_count - _SHOWN} more gaps" if self.gap_count > _SHOWN else ""
        if self.disordered:  # disordered numbers leave the number of missing ones unknown
            return f"sequence numbers are left out {counted(self.gap_count, 'time')} ({shown}{more})"
        return f"{self.missing} of {self.missing + self.count} records missing (sequence numbers {shown}{more})"

    def _turns(self) -> str:
        if not self.disordered:
            return ""
        shown = ", ".join(f"{after} after {before}" for before, after in self.turns[:_SHOWN])
        more = " and others" if self.repeated + self.backward > _SHOWN else ""
        return (
            f"sequence numbers come twice {counted(self.repeated, 'time')} "
            f"and go back {counted(self.backward, 'time')} ({shown}{more}): "
            "two nodes of one name, or one that restarted and whose first records are missing"
        )

    def _unreadable(self) -> str:
        # A topic without any sequence numbers is another node's, with the same suffix by chance.
        return f"{self.unreadable} records have no sequence number" if self.unreadable and self.count else ""


def _keep(pairs: list[tuple[int, int]], pair: tuple[int, int]) -> None:
    if len(pairs) < _KEPT:
        pairs.append(pair)
