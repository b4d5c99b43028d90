"""Unique names of episodes: labels of marks repeat, and may look like the parts of a divided episode."""

import re
from collections import Counter
from collections.abc import Iterable

_PART = re.compile(r"(.*):[1-9][0-9]*", re.DOTALL)


class EpisodeNames:
    """Names the episodes of one conversion.

    An episode has the name of its bag, followed by `#` and the label of its mark, if it has one. A divided episode adds
    `:` and a number for each part. The first episode with a name has it; later ones add ` (2)`, ` (3)` and so on.

    Args:
        divides: Whether interrupted episodes are divided.
    """

    def __init__(self, *, divides: bool) -> None:
        self._divides = divides
        self._taken: set[str] = set()
        self._divided: set[str] = set()
        """The names with which some taken name would be a part."""
        self._counts: Counter[str] = Counter()

    def take(self, names: Iterable[str]) -> None:
        """Take names of episodes and parts that were converted before."""
        for name in names:
            self._taken.add(name)
            if self._divides and (part := _PART.fullmatch(name)):
                self._divided.add(part[1])

    def name(self, bag: str, label: str = "") -> str:
        """Return the name of the next episode; neither it nor its parts share it with others.

        Args:
            bag: Name of its bag.
            label: Label of its mark; empty without one.
        """
        wanted = found = f"{bag}#{label}" if label else bag
        while self._is_taken(found):
            self._counts[wanted] += 1
            found = f"{wanted} ({self._counts[wanted] + 1})"
        self.take([found])
        return found

    def _is_taken(self, name: str) -> bool:
        part = _PART.fullmatch(name) if self._divides else None
        return name in self._taken or name in self._divided or (part is not None and part[1] in self._taken)
