"""Watches the tick thread from outside: a hung tick cannot report itself."""

import time
from collections.abc import Callable
from threading import Event, Thread

INTERVAL_S = 0.05
JOIN_S = 1.0


class Watchdog:
    """Polls in a separate thread whether a tick is overdue.

    Args:
        check: Returns whether a tick is overdue now, and reacts if so.
        failed: Called with an exception of `check`, unless it repeats the previous one; the watch continues.
        interval_s: Time between two checks, in seconds.
    """

    def __init__(
        self, check: Callable[[], bool], failed: Callable[[Exception], None], interval_s: float = INTERVAL_S
    ) -> None:
        self._check = check
        self._failed = failed
        self._interval_s = interval_s
        self._stopped = Event()
        self._well_s = time.monotonic()
        self._overdue = False
        self._thread = Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    @property
    def overdue_s(self) -> float:
        """Running time of an overdue tick, in seconds; 0 if none is overdue."""
        return time.monotonic() - self._well_s if self._overdue else 0.0

    def stop(self) -> None:
        """End the watch; wait at most `JOIN_S` for a check that hangs."""
        self._stopped.set()
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        before = ""
        while not self._stopped.wait(self._interval_s):
            try:
                self._overdue = self._check()
                before = ""
            except Exception as error:  # one failed command must not end the watch over the robot
                self._overdue = True
                if repr(error) != before:
                    before = repr(error)
                    self._failed(error)
            if not self._overdue:
                self._well_s = time.monotonic()
