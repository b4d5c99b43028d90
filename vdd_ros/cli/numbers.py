"""Numbers on the command line: unusable ones are refused when parsed, with the allowed range."""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

from vdd_ros.learning.checks import LARGEST_SEED
from vdd_ros.text import printable

_SHOWN = 60


@dataclass(frozen=True)
class Whole:
    """Reads a whole number, as argparse's `type`.

    Attributes:
        least, most: Range; None: no limit.
    """

    least: int | None = 1
    most: int | None = 1_000_000

    def __call__(self, text: str) -> int:
        """Return the number; raises ArgumentTypeError with the value and the allowed range."""
        ends = _range(self.least, self.most)
        try:
            value = int(text)
        except ValueError:
            raise _refusal(repr(printable(text, _SHOWN)), f"a whole number {ends}") from None
        if (self.least is not None and value < self.least) or (self.most is not None and value > self.most):
            raise _refusal(str(value), ends)
        return value


@dataclass(frozen=True)
class Real:
    """Reads a finite number, as argparse's `type`.

    Attributes:
        least, most: Range; None: no limit.
        positive: Whether it must be above 0.
    """

    least: float | None = None
    most: float | None = None
    positive: bool = False

    def __call__(self, text: str) -> float:
        """Return the number; raises ArgumentTypeError with the value and the allowed range."""
        allowed = _range(self.least, self.most) or ("finite and above 0" if self.positive else "finite")
        try:
            value = float(text)
        except ValueError:
            raise _refusal(repr(printable(text, _SHOWN)), f"a number, {allowed}") from None
        low = -math.inf if self.least is None else self.least
        high = math.inf if self.most is None else self.most
        if not math.isfinite(value) or not low <= value <= high or (self.positive and value <= 0):
            raise _refusal(f"{value:g}", allowed)
        return value


POSITIVE = Real(positive=True)
SEED = Whole(0, LARGEST_SEED)
TRAINING_STEPS = Whole(most=1 << 40)


def _range(least: float | None, most: float | None) -> str:
    if least is None:
        return "" if most is None else f"at most {_shown(most)}"
    return f"at least {_shown(least)}" if most is None else f"from {_shown(least)} to {_shown(most)}"


def _shown(value: float) -> str:
    return f"{value:,}" if value >= 10_000 else f"{value:g}"


def _refusal(value: str, allowed: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"is {value}; it must be {allowed}".rstrip())


def count_or_file(text: str) -> int | Path:
    """Read a whole number, 1 or more, or the path of a file; as argparse's `type`."""
    return Whole()(text) if text.lstrip("+-").isdecimal() else Path(text)
