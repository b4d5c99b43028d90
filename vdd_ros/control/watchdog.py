"""Looks after the thread that ticks from beside it: a tick that does not end cannot tell so itself."""

import time
from collections.abc import Callable
from threading import Event, Thread

INTERVAL_S = 0.05
JOIN_S = 1.0


class Watchdog:
    """Asks again and again whether a tick is overdue, in a thread that only sleeps in between.

    Args:
        check: Returns whether a tick is overdue now, and does what is to be done then.
        failed: Called with what `check` raised, unless it raised the same just before; the watch goes on.
        interval_s: Time between two looks.
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
        """For how long a tick has been running that is overdue; 0 if none is."""
        return time.monotonic() - self._well_s if self._overdue else 0.0

    def stop(self) -> None:
        """End the watch; a look that does not end itself is waited for no longer than `JOIN_S`."""
        self._stopped.set()
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        before = ""
        while not self._stopped.wait(self._interval_s):
            try:
                self._overdue = self._check()
                before = ""
            except Exception as error:  # the robot is not left alone because one command could not be sent
                self._overdue = True
                if repr(error) != before:
                    before = repr(error)
                    self._failed(error)
            if not self._overdue:
                self._well_s = time.monotonic()
