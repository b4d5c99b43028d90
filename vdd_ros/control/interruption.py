"""Ends commanding from outside the ticks: at deactivation, or when a tick fails to begin or to end."""

import math
from collections.abc import Callable
from threading import Lock

from vdd_ros.control.commander import Commander
from vdd_ros.control.counters import Counters

PATIENCE_S = 0.05


class Interruption:
    """Enters the fail-safe from any thread, even during a tick, whose command is then discarded.

    Args:
        commander: Turns actions into commands.
        counters: Where overdue ticks are counted.
        period_s: Time between ticks.
        timer: Clock for durations, in seconds.
        trajectories: Whether the robot follows trajectories, which continue without ticks.

    Attributes:
        sending: Lock held while a command is sent, and while commanding ends.
        ended: Whether commanding is off until the next start.
        barred: Number of the tick that may no longer command.
        began: Start of the last tick, by the timer.
        running_since: Start of the current tick, by the timer; None between ticks.
        ticked_s: The time of the last tick, on the clock of the stamps.
    """

    def __init__(
        self,
        commander: Commander,
        counters: Counters,
        *,
        period_s: float,
        timer: Callable[[], float],
        trajectories: bool,
    ) -> None:
        self.sending = Lock()
        self.ended = False
        self.barred = 0
        self._interrupted = False  # since the last tick began
        self.began = 0.0
        self.running_since: float | None = None
        self.ticked_s = -math.inf
        self._commander = commander
        self._counters = counters
        self._period_s = period_s
        self._timer = timer
        self._trajectories = trajectories

    def is_over(self) -> bool:
        """Return whether the fail-safe was entered since the last tick began; call once, as a tick begins."""
        if not self._interrupted:  # nothing is written, since a thread may enter the fail-safe right now
            return False
        self._interrupted = False
        return True

    def permits(self, tick: int) -> bool:
        """Return whether this tick may still command."""
        return not (self.ended or self._interrupted or self.barred == tick)

    def stop(self, *, homing: bool = False) -> None:
        """Stop, as at deactivation: apply `on_loss` of the robot file and drop further commands.

        Args:
            homing: The home service may move the robot, so `on_loss` is applied once more.
        """
        with self.sending:
            self.ended = True
            self._elapse()
            self._commander.stop(homing=homing)

    def enter_failsafe(self) -> None:
        """Apply `on_loss` of the robot file, for example when no tick begins on time."""
        with self.sending:
            self._interrupt()

    def check_overdue(self, limit_s: float) -> bool:
        """Return whether a tick is overdue; if so, enter the fail-safe at once.

        The overdue tick may no longer command. A tick is overdue when it exceeds the inference limit by a period or 50
        ms, whichever is longer.

        Args:
            limit_s: Inference limit in seconds.
        """
        tick, since = self._counters.ticks, self.running_since  # in this order: a tick may end in between
        if since is None or self._timer() - since <= limit_s + max(self._period_s, PATIENCE_S):
            return False
        with self.sending:
            if self.barred != tick:
                self.barred = tick
                self._counters.hangs += 1
                self._interrupt()
        return True

    def _interrupt(self) -> None:
        """Enter the fail-safe, also for the trajectory of an ended episode."""
        self._interrupted = True
        self._elapse()
        self._commander.cut_stale_trajectory()
        self._commander.enter_failsafe()

    def _elapse(self) -> None:
        """Advance the last trajectory to the present time; the robot follows it even without ticks."""
        if self._trajectories:
            self._commander.elapse(self.ticked_s + self._timer() - self.began, in_tick=False)
