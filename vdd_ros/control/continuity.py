"""Messages of one input that contradict each other: no robot moves that fast, so somebody else sends them too."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vdd_ros.control.following import turn
from vdd_ros.control.rings import usable
from vdd_ros.features import Feature
from vdd_ros.robot.commands import Command
from vdd_ros.robot.inputs import Input
from vdd_ros.robot.quantities import unit_factor

GENEROUS = 10.0
"""How many times faster than commands may change, what measures them may: robots overshoot, and are moved by hand."""


def max_rates(source: Input, observation: Sequence[Feature], command: Command, period_s: float) -> list[float]:
    """Return how fast each entry of an input may change, in the policy's units a second; inf where nothing tells.

    Where the robot file does not say so, it is `GENEROUS` times what `max_step` lets a command change that the entry
    measures, or is relative to. A command without `max_step` tells nothing.
    """
    units = {entry.name: entry.unit for entry in observation}
    rates = []
    for entry in source.entries:
        unit = units[entry.name]
        if entry.max_rate is not None:
            rates.append(entry.max_rate * unit_factor(entry.unit, unit, entry.name))
            continue
        known = [
            GENEROUS * number.max_step * unit_factor(number.unit, unit, entry.name) / period_s
            for number in command.entries
            if entry.name in (number.measured, number.relative_to)
        ]
        rates.append(min(known, default=math.inf))
    return rates


class Continuity:
    """Knows the messages of an input that cannot be of the same robot as the one that was taken before them.

    A message is refused if a value has changed by more than is possible since then. So of two who publish on one topic
    only one is believed, whoever came first. As that may be the wrong one, the input is doubted where refusals go on
    for `forget_s`: nothing is commanded until none came for as long.

    After a real jump (a simulation that begins anew, a driver that counts from another zero) every message is refused
    until there was time for the way, or the last good one is `forget_s` old, and with it the input stale. Then the new
    place is believed, and nothing is commanded for `forget_s` from there on.

    Args:
        names: Of the values.
        rates: How fast they may change, a second; inf for no limit.
        units: Of the values; angles may jump by once around.
        least_s: Time that is granted in any case: messages may be dated unevenly.
        forget_s: See above.

    Attributes:
        refused: Messages that were refused.
    """

    def __init__(
        self, names: Sequence[str], rates: Sequence[float], units: Sequence[str], *, least_s: float, forget_s: float
    ) -> None:
        self.refused = 0
        self._least_s = least_s
        self._forget_s = forget_s
        self._limits = [
            (index, name, rate, turn(unit))
            for index, (name, rate, unit) in enumerate(zip(names, rates, units, strict=True))
            if math.isfinite(rate)
        ]
        self.reset()

    @property
    def watches(self) -> bool:
        """Whether any value has a limit."""
        return bool(self._limits)

    def reset(self) -> None:
        """Forget what was taken, as at the start of an episode; what was refused is still counted."""
        self._stamp_s = self._refused_s = self._since_s = self._doubted_until_s = -math.inf
        self._values: list[float] = []
        self._given: list[float] = []
        self._refused_since = False

    def contradiction(self, stamp_s: float, values: NDArray[np.float64], now_s: float) -> str:
        """Return why a message is refused; empty where it is not."""
        elapsed_s, self._given = stamp_s - self._stamp_s, values.tolist()
        if not self._values or elapsed_s <= 0:  # the first one, or refused for its stamp
            return ""
        why = self._jump(max(elapsed_s, self._least_s), self._given)
        if why and not usable(values):  # refused for that
            return ""
        if why and elapsed_s <= self._forget_s:
            self._refuse(now_s)
            return why
        if why or (self._refused_since and self._jump(self._least_s, self._given)):  # a jump that is believed by now
            self._doubted_until_s = now_s + self._forget_s
        return ""

    def take(self, stamp_s: float) -> None:
        """Note that the newest message given to `contradiction` was accepted."""
        self._stamp_s, self._values, self._refused_since = stamp_s, self._given, False

    @property
    def may_be_doubted_until_s(self) -> float:
        """Until when it is doubted, a first command or not."""
        return max(self._doubted_until_s, self._refused_s + self._forget_s)

    def is_doubted(self, now_s: float, *, starting: bool) -> bool:
        """Whether nothing may be commanded; a first command is not sent just after a refusal either."""
        return now_s < self._doubted_until_s or (starting and now_s - self._refused_s <= self._forget_s)

    def _jump(self, elapsed_s: float, values: list[float]) -> str:
        for index, name, rate, around in self._limits:
            change, allowed = values[index] - self._values[index], rate * elapsed_s
            if allowed < abs(change) < math.inf and (
                around <= 2 * allowed or abs(math.remainder(change, around)) > allowed
            ):
                return (
                    f"{name} changed by {change:.4g} within {elapsed_s:.2g} s, faster than its max_rate of {rate:.4g} "
                    "a second; does this topic have two publishers? If not, give the entry a greater max_rate in the "
                    "robot file"
                )
        return ""

    def _refuse(self, now_s: float) -> None:
        self.refused += 1
        self._refused_since = True
        if now_s - self._refused_s > self._forget_s:
            self._since_s = now_s
        self._refused_s = now_s
        if now_s - self._since_s >= self._forget_s:
            self._doubted_until_s = now_s + self._forget_s
