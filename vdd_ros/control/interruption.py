"""Ends commanding from beside the ticks: at deactivation, where no tick begins, and where one does not end."""

import math
from collections.abc import Callable
from threading import Lock

from vdd_ros.control.commander import Commander
from vdd_ros.control.counters import Counters

PATIENCE_S = 0.05


class Interruption:
    """Enters the fail-safe from whatever thread, also while a tick runs, whose command then comes to nothing.

    Args:
        commander: What commands.
        counters: Where overdue ticks are counted.
        period_s: Time between ticks.
        timer: What durations are measured with, in seconds.
        trajectories: Whether the robot follows trajectories, whether anything ticks or not.

    Attributes:
        sending: Held while something is commanded, and while commanding ends.
        ended: Whether nothing is commanded until the next start.
        barred: Number of a tick that may not command any more.
        began: When the last tick began, by the timer.
        running_since: When the tick that runs began, by the timer; None between ticks.
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
        self.began = 0.0
        self.running_since: float | None = None
        self.ticked_s = -math.inf
        self._commander = commander
        self._counters = counters
        self._period_s = period_s
        self._timer = timer
        self._trajectories = trajectories

    def stop(self) -> None:
        """End, as at deactivation: leave the robot as `on_loss` of the robot file says, and drop what ticks want."""
        with self.sending:
            self.ended = True
            self._elapse()
            self._commander.stop()

    def enter_failsafe(self) -> None:
        """Do what `on_loss` of the robot file says, as where no tick begins when it should."""
        with self.sending:
            self._elapse()
            self._commander.enter_failsafe()

    def check_overdue(self, limit_s: float) -> bool:
        """Tell whether a tick should have ended long ago; then enter the fail-safe at once.

        What that tick wants is not commanded any more. A tick is overdue when it has run for longer than an inference
        may take, plus a period or 50 ms, whichever is longer.

        Args:
            limit_s: How long an inference may take.
        """
        tick, since = self._counters.ticks, self.running_since  # in this order: a tick may end in between
        if since is None or self._timer() - since <= limit_s + max(self._period_s, PATIENCE_S):
            return False
        with self.sending:
            if self.barred != tick:
                self.barred = tick
                self._counters.hangs += 1
                self._elapse()
                self._commander.enter_failsafe()
        return True

    def _elapse(self) -> None:
        """Note how far the robot is on its last trajectory by now, which it follows whether anything ticks or not."""
        if self._trajectories:
            since_s = self._timer() - self.began + (self._period_s if self.running_since is None else 0.0)
            self._commander.elapse(self.ticked_s + since_s)
