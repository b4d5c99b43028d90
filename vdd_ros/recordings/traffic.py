"""Messages on an input or a command of a recording."""

import math
from dataclasses import dataclass


@dataclass
class Traffic:
    """Messages on an input or a command.

    Attributes:
        messages: Number of messages.
        accepted: Accepted messages.
        refused: Refused messages.
        others: Messages of other joints.
        unstamped: Messages without a stamp, dated by their arrival, although the robot file requires stamps.
        refusals: The first reason for a refusal.
        first_ns, last_ns: Times of receipt of the first and the last one.
    """

    messages: int = 0
    accepted: int = 0
    refused: int = 0
    others: int = 0
    unstamped: int = 0
    refusals: str = ""
    first_ns: int = 0
    last_ns: int = 0

    def note(self, received_ns: int) -> None:
        """Count a message."""
        self.note_all(received_ns, received_ns, 1)

    def note_all(self, first_ns: int, last_ns: int, count: int) -> None:
        """Count some messages; the first and the last one were received at these times."""
        self.first_ns = self.first_ns if self.messages else first_ns
        self.last_ns = last_ns
        self.messages += count

    @property
    def rate_hz(self) -> float:
        """Messages per second; NaN for fewer than two."""
        span_s = (self.last_ns - self.first_ns) * 1e-9
        return (self.messages - 1) / span_s if self.messages > 1 and span_s > 0 else math.nan

    def why_missing(self, name: str, others: str, items: str = "joints") -> str:
        """Describe why an input has no value.

        Args:
            name: Its name.
            others: Joints of the newest message of other joints.
            items: Noun for the parts of a message, such as joints.
        """
        if not self.messages:
            return f"{name}: no message"
        if self.refused:
            return f"{name}: {self.refused:,} of {self.messages:,} messages refused, first: {self.refusals}"
        return f"{name}: {self.messages:,} messages of other {items} ({others})"
