"""Hand-over to a loaded policy once its observation window is full; otherwise it is refused and nothing changes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Timer

from vdd_ros.control.loop import PolicyLoop
from vdd_ros.nodes.policy.loading import LoadedPolicy


@dataclass(frozen=True)
class Outcome:
    """Outcome of a hand-over.

    Attributes:
        acts: Whether the policy is active now.
        reason: Why it is not; empty if it is.
    """

    acts: bool
    reason: str

    @classmethod
    def refused(cls, reason: str) -> "Outcome":
        """Return a refusal with its reason."""
        return cls(False, reason or "no reason was given")


ACTS = Outcome(True, "")
Done = Callable[[Outcome], object]
"""Called with the outcome, from any thread."""


class Handover:
    """The policy waiting to take over, at most one.

    Args:
        loop: Loop of the active policy.
        timeout_s: Longest wait of a policy, in seconds.
        between_ticks: Calls a function while no tick runs.
        now_s: The time in seconds, on the clock of the stamps.
    """

    def __init__(
        self,
        loop: PolicyLoop,
        timeout_s: float,
        between_ticks: Callable[[Callable[[], None]], None],
        now_s: Callable[[], float],
    ) -> None:
        self._loop = loop
        self._timeout_s = timeout_s
        self._between_ticks = between_ticks
        self._now_s = now_s
        self._waiting: tuple[LoadedPolicy, Done, Timer] | None = None

    def wait(self, loaded: LoadedPolicy, done: Done) -> None:
        """Hand over to a policy at the first tick with a full window; refuse it on timeout."""
        timer = Timer(self._timeout_s, self._between_ticks, (partial(self._expire, loaded),))
        timer.daemon = True
        self._waiting = loaded, done, timer
        try:
            self._loop.swap.hand_over(loaded.active, self._handed_over)
        except Exception:
            self._waiting = None
            raise
        timer.start()

    def end(self, *, hung: bool) -> None:
        """Hand over now, since ticking has stopped; refuse the waiting policy if a tick does not end."""
        if self._waiting is None:
            return
        loaded, _, _ = self._waiting
        if hung:
            self._refuse(loaded, "the running tick does not end")
        elif self._loop.swap.cancel(loaded.active):
            self._loop.take_over(loaded.active)
            self._handed_over()

    def _handed_over(self) -> None:
        if self._waiting is not None:
            _, done, timer = self._waiting
            self._waiting = None
            timer.cancel()
            done(ACTS)

    def _expire(self, loaded: LoadedPolicy) -> None:
        observer, now_s = loaded.active.observer, self._now_s()
        missing = observer.missing()
        stale = [name for name in observer.stale(now_s) if name not in missing]
        found = [f"{word} {', '.join(names)}" for word, names in (("waiting for", missing), ("stale:", stale)) if names]
        why = "; ".join(found) or observer.distrusted(now_s)
        if not why:
            full = observer.covers(now_s)
            why = "no chunk of it came" if full else f"its window of {loaded.info['history']} observations is not full"
        self._refuse(loaded, f"it could not take over within {self._timeout_s:g} s (parameter swap_timeout_s): {why}")

    def _refuse(self, loaded: LoadedPolicy, reason: str) -> None:
        """Refuse a policy if it is still waiting."""
        if self._waiting is None or self._waiting[0] is not loaded or not self._loop.swap.cancel(loaded.active):
            return
        _, done, timer = self._waiting
        self._waiting = None
        timer.cancel()
        loaded.active.chunks.close()
        done(Outcome.refused(reason))
