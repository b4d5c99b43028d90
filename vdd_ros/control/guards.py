"""Guards between action and command: timely actions, in-distribution observations."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vdd_ros.control.commander import FIRST_ACTIONS
from vdd_ros.control.counters import Counters
from vdd_ros.errors import ConfigurationError
from vdd_ros.policy.spec import PolicySpec

ON_NOVELTY = ("ignore", "warn", "hold", "deactivate")


@dataclass(frozen=True)
class GuardSettings:
    """How to handle untrusted actions.

    Attributes:
        first_action: See `Commander`.
        inference_limit_s: Actions later than this after the start of their tick are dropped; 0: one period.
        on_novelty: For out-of-distribution observations: `ignore`; `warn` in the diagnostics; `hold`: command nothing;
            `deactivate`: the node ends commanding.
        novelty_ticks: Consecutive out-of-distribution ticks before `hold` and `deactivate` act.
        follow_timeout_s: How long the robot may fail to follow its commands; see `Following`.

    Raises:
        ConfigurationError: A value is not allowed.
    """

    first_action: str = "ramp"
    inference_limit_s: float = 0.0
    on_novelty: str = "warn"
    novelty_ticks: int = 10
    follow_timeout_s: float = 1.0

    def __post_init__(self) -> None:
        for name, allowed in (("first_action", FIRST_ACTIONS), ("on_novelty", ON_NOVELTY)):
            if getattr(self, name) not in allowed:
                raise ConfigurationError(f"{name} is {getattr(self, name)!r}; use one of {', '.join(allowed)}.")
        if not self.inference_limit_s >= 0:
            raise ConfigurationError(f"inference_limit_s is {self.inference_limit_s}; it must be 0 or more.")
        if not self.follow_timeout_s > 0:
            raise ConfigurationError(f"follow_timeout_s is {self.follow_timeout_s}; it must be above 0.")
        if self.novelty_ticks < 1:
            raise ConfigurationError(f"novelty_ticks is {self.novelty_ticks}; it must be 1 or more.")


class Guards:
    """Judges each action of a policy.

    Args:
        settings: How to handle untrusted actions.
        spec: Metadata of the policy.
        period_s: Time between ticks.
        counters: Where overruns and novel observations are counted.

    Attributes:
        counters: Where overruns and novel observations are counted.
        limit_s: Actions later than this after the start of their tick are dropped, in seconds.
        fault: Why the node must deactivate; empty if no fault.

    Raises:
        ConfigurationError: `hold` or `deactivate` is set, but the policy file has no novelty.
    """

    def __init__(self, settings: GuardSettings, spec: PolicySpec, period_s: float, counters: Counters) -> None:
        if spec.novelty is None and settings.on_novelty in ("hold", "deactivate"):
            raise ConfigurationError(
                f"on_novelty is {settings.on_novelty!r}, but the policy file has no novelty: export it again with its "
                f"training demonstrations, or use 'ignore' or 'warn'."
            )
        self.fault = ""
        self._settings = settings
        self.limit_s = settings.inference_limit_s or period_s
        self._bound = float("inf") if spec.novelty is None else spec.novelty.bound
        self.counters = counters
        self._in_a_row = 0
        self._ranges = list(zip(*_rounded_limits(spec), strict=True))

    def reset(self) -> None:
        """Restart, as at activation."""
        self.fault = ""
        self._in_a_row = 0

    def in_time(self, took_s: float) -> bool:
        """Return whether an action may be commanded if it arrives `took_s` after its tick began.

        The whole tick counts, not only inference: whatever delayed the process, the robot kept moving.
        """
        passed = took_s <= self.limit_s
        self.counters.overruns += not passed
        return passed

    def check_limits(self, action: NDArray[np.float32]) -> None:
        """Count a chunk (m, act_dim) outside the limits in the policy file."""
        for row in action.tolist():
            for value, (low, high) in zip(row, self._ranges, strict=True):
                if value < low or value > high:
                    self.counters.outside_limits += 1
                    return

    def knows(self, novelty: float | None) -> bool:
        """Return whether an action may be commanded, given the novelty of its observation; None if unknown."""
        if novelty is None or -math.inf < novelty <= self._bound or self._settings.on_novelty == "ignore":
            self._in_a_row = 0
            return True
        self.counters.novel += 1
        self._in_a_row += 1
        if self._in_a_row < self._settings.novelty_ticks or self._settings.on_novelty == "warn":
            return True
        if self._settings.on_novelty == "deactivate" and not self.fault:
            self.fault = (
                f"{self._in_a_row} observations in a row are out of distribution (novelty {novelty:.3g}, "
                f"bound {self._bound:.3g})"
            )
        return False


def _rounded_limits(spec: PolicySpec) -> tuple[list[float], list[float]]:
    """Return the action limits, (act_dim,) each, widened by the rounding error of single precision."""
    low, high = np.array([(entry.low, entry.high) for entry in spec.action]).T
    margin = 4 * np.finfo(np.float32).eps * np.maximum(np.abs(low), np.abs(high))
    return (low - margin).tolist(), (high + margin).tolist()
