"""From waking early to the instant of a tick: what keeps the tick short and on time."""

from collections.abc import Callable


class EarlyWake:
    """Rehearses until a tick is due, so that the tick finds core and caches warm and begins on time.

    A core that was idle, or busy with other programs, for most of a period needs several times as long for its first
    run of a policy as for the next ones. So the tick is not the first. Messages are taken in between the rehearsals, so
    that what arrives meanwhile is still in time for the tick.

    Args:
        early_s: How long before a tick the node wakes; 0: just then.
        rehearsal_s: What a rehearsal takes; none begins later than that before the tick.
        now_ns: The clock of the ticks.
        rehearse: Does what a tick does, for nothing.
        receive: Takes in what has arrived.
    """

    def __init__(
        self,
        early_s: float,
        rehearsal_s: float,
        *,
        now_ns: Callable[[], int],
        rehearse: Callable[[], None],
        receive: Callable[[], None],
    ) -> None:
        self.early_ns = round(early_s * 1e9)
        self._rehearsal_ns = round(rehearsal_s * 1e9)
        self._now_ns = now_ns
        self._rehearse = rehearse
        self._receive = receive

    def until(self, due_ns: int) -> int:
        """Rehearse and receive until a tick is due, but never longer than `early_s`.

        Returns:
            How late it is then, in nanoseconds; below 0 only if the clock was set back.
        """
        end_ns = min(due_ns, self._now_ns() + self.early_ns)
        self._receive()
        while (now_ns := self._now_ns()) < end_ns:
            if now_ns + self._rehearsal_ns <= end_ns:
                self._rehearse()
            self._receive()
        return now_ns - due_ns
