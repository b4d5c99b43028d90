"""The content of `/diagnostics` as lines on the console: one line per change, none per tick."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from vdd_ros.text import printable

AGAIN_S = 10.0
"""A text printed within this time is not repeated, however often the state changes; its end is printed."""
REMIND_S = 60.0
"""Lasting problems are repeated at this interval, with their age."""
LONGEST = 1000
_NUMBER = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*(?:e[-+]?\d+)?\b")
"""Numbers, except those in names such as joint_2."""

Tell = Callable[[str], object]


@dataclass(frozen=True)
class Loudness:
    """Sinks for lines, in order of increasing importance."""

    info: Tell
    warning: Tell
    error: Tell


class Console:
    """Prints a node's diagnostics, checked once a second, if they contain something new.

    A state consists of parts, divided by semicolons. Counts and durations in them may change without a line; only words
    count. A line is printed when a part appears, when a new state has settled, and once a minute while a problem lasts.

    Args:
        loudness: Sinks for lines.
        now_s: Steady clock, in seconds.
    """

    def __init__(self, loudness: Loudness, now_s: Callable[[], float]) -> None:
        self._loudness = loudness
        self._now_s = now_s
        self._seen_s: dict[str, float] = {}
        self._told: set[str] = set()
        self._told_s = 0.0
        self._bad_since_s: float | None = None

    def say(self, level: int, text: str) -> None:
        """Take a state.

        Args:
            level: 0 if all is well, 1 for a warning, 2 for an error, 3 for stale inputs.
            text: The node's message.
        """
        now_s, parts = self._now_s(), {_NUMBER.sub("#", part) for part in text.split("; ")}
        news = not all(now_s - self._seen_s.get(part, -math.inf) <= AGAIN_S for part in parts)
        self._seen_s = {part: at_s for part, at_s in self._seen_s.items() if now_s - at_s <= AGAIN_S}
        self._seen_s |= dict.fromkeys(parts, now_s)
        if level and self._bad_since_s is None:
            self._bad_since_s = now_s
        bad_s = 0.0 if self._bad_since_s is None else now_s - self._bad_since_s
        quiet_s = now_s - self._told_s
        if news or (parts != self._told and quiet_s >= AGAIN_S):
            over = f", after {bad_s:.0f} s of problems" if bad_s >= 1 and not level else ""
            self._tell(level, text + over, parts, now_s)
        elif level and quiet_s >= REMIND_S:
            self._tell(level, f"for {bad_s:.0f} s: {text}", parts, now_s)
        if not level and self._told == parts:
            self._bad_since_s = None

    def _tell(self, level: int, text: str, parts: set[str], now_s: float) -> None:
        self._told, self._told_s = parts, now_s
        tell = self._loudness.info if not level else self._loudness.error if level == 2 else self._loudness.warning
        tell(printable(text, LONGEST))
