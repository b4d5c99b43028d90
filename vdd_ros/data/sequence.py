"""Sequence numbers: the proof that a record is complete."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class SequenceCheck:
    """Follows the sequence numbers of one topic in the order of arrival and keeps every gap.

    A number that is not larger than the one before starts a new run: the node was activated again.

    Attributes:
        count: Numbers seen.
        first: The first number seen, or None.
        last: The newest number seen, or None.
        restarts: How often a new run started.
        gaps: Pairs (number before the gap, number after it).
    """

    count: int = 0
    first: int | None = None
    last: int | None = None
    restarts: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)

    def add(self, number: int) -> None:
        """Take the next number."""
        if self.last is None:
            self.first = number
        elif number <= self.last:
            self.restarts += 1
        elif number > self.last + 1:
            self.gaps.append((self.last, number))
        self.last = number
        self.count += 1

    @property
    def missing(self) -> int:
        """Numbers that lie in the gaps."""
        return sum(after - before - 1 for before, after in self.gaps)

    def to_dict(self) -> dict[str, Any]:
        """Return the result for JSON."""
        return {
            "count": self.count,
            "first": self.first,
            "last": self.last,
            "restarts": self.restarts,
            "missing": self.missing,
            "gaps": [list(gap) for gap in self.gaps],
        }

    def describe(self) -> str:
        """Say in words where the gaps are, for an error message; an empty text without any."""
        if not self.gaps:
            return ""
        shown = ", ".join(f"{before + 1} to {after - 1}" for before, after in self.gaps[:5])
        more = f" and {len(self.gaps) - 5} more gaps" if len(self.gaps) > 5 else ""
        return f"{self.missing} of {self.missing + self.count} records missing (sequence numbers {shown}{more})"
