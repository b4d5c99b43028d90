"""The active policy, and at most one that waits to take over between two ticks."""

from collections.abc import Callable

from vdd_ros.control.active_policy import ActivePolicy
from vdd_ros.control.commander import Commander
from vdd_ros.control.counters import Counters
from vdd_ros.control.outputs import Outputs


class PolicySwap:
    """Hands over from the active policy to the waiting one.

    Args:
        active: The first policy.
        commander: Turns its actions into commands.
        outputs: The sink for its decisions.
        counters: Counters of the loop.

    Attributes:
        active: The active policy.
        waiting: The waiting policy and its callback for the hand-over; None if none waits.
        last_refused: The last file that failed to take over, and why; empty if none.
    """

    def __init__(self, active: ActivePolicy, commander: Commander, outputs: Outputs, counters: Counters) -> None:
        self.active = active
        self.waiting: tuple[ActivePolicy, Callable[[], None]] | None = None
        self.last_refused = ""
        self._commander = commander
        self._outputs = outputs
        self._counters = counters
        active.count_in(counters)
        self._expect(active)

    @property
    def policies(self) -> tuple[ActivePolicy, ...]:
        """The active and the waiting policy."""
        waiting = self.waiting  # a tick may clear it meanwhile
        return (self.active,) if waiting is None else (self.active, waiting[0])

    def hand_over(self, successor: ActivePolicy, handed_over: Callable[[], None]) -> None:
        """Hand over to another policy, between two ticks, once its observation window is full.

        Commanding continues seamlessly: limits and first-command guards do not restart.

        Args:
            successor: The other policy; it receives the present goal if that has the same form.
            handed_over: Called once it has taken over.
        """
        successor.observer.take_goal_of(self.active.observer)
        self._expect(successor)
        self.waiting = successor, handed_over

    def cancel(self, successor: ActivePolicy) -> bool:
        """Cancel a waiting policy; between ticks only. Return whether it was still waiting."""
        if self.waiting is None or self.waiting[0] is not successor:
            return False
        self.waiting = None
        return True

    def refuse(self, reason: str) -> None:
        """Count a file that failed to take over."""
        self._counters.refused_policies += 1
        self.last_refused = reason

    def advance(self, now_s: float) -> bool:
        """Hand over if the waiting policy's window is full and it has a result for this tick; return whether it did.

        Args:
            now_s: The time in seconds, on the clock of the stamps.
        """
        if self.waiting is None:
            return False
        successor, handed_over = self.waiting
        observer = successor.observer
        if not observer.covers(now_s):
            return False
        window, chunks = observer.sample(now_s), successor.chunks
        if chunks.prefetch_ticks and observer.distrusted(now_s, starting=self._commander.starting):
            self._counters.dropped_answers += chunks.drop()  # as in a tick: no chunk may come from such a window
            return False
        if not chunks.prime(window, observer.goal, observer.arrays):
            return False
        self.take_over(successor)
        handed_over()
        return True

    def take_over(self, successor: ActivePolicy) -> None:
        """Make another policy the active one; call between ticks only."""
        self.waiting = None
        self.active.chunks.close()
        successor.count_in(self._counters)
        successor.observer.count_on_from(self.active.observer)
        self._expect(successor)
        self._commander.hand_over(successor.channel, successor.following)
        self.active = successor

    def _expect(self, policy: ActivePolicy) -> None:
        """Prepare for the decisions of a policy."""
        self._outputs.expect_decisions(policy.decision.labels, experts=policy.policy.spec.is_mixture)
