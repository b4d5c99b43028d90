"""The policy that acts, and at most one that waits to take over from it between two ticks."""

from collections.abc import Callable

from vdd_ros.control.active_policy import ActivePolicy
from vdd_ros.control.commander import Commander
from vdd_ros.control.counters import Counters
from vdd_ros.control.outputs import Outputs


class PolicySwap:
    """Hands over from the policy that acts to one that waits.

    Args:
        active: The policy that acts at first.
        commander: What becomes of its actions.
        outputs: Where its decisions go.
        counters: Where everything is counted.

    Attributes:
        active: The policy that acts.
        waiting: The policy that waits, and what is called once it has taken over; None if none waits.
        last_refused: Which file did not take over, and why; empty if none.
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
        """The policy that acts and the one that waits."""
        waiting = self.waiting  # which a tick may take away meanwhile
        return (self.active,) if waiting is None else (self.active, waiting[0])

    def hand_over(self, successor: ActivePolicy, handed_over: Callable[[], None]) -> None:
        """Let another policy take over as soon as it has seen as much as its window holds, between two ticks.

        The command goes on from where it is: limits and guards of the first command are not begun anew.

        Args:
            successor: The other policy; the goal of the present one is passed on if it has the same form.
            handed_over: Called once it has taken over.
        """
        successor.observer.take_goal_of(self.active.observer)
        self._expect(successor)
        self.waiting = successor, handed_over

    def cancel(self, successor: ActivePolicy) -> bool:
        """Let a policy wait no longer; between ticks only. Return whether it was still waiting."""
        if self.waiting is None or self.waiting[0] is not successor:
            return False
        self.waiting = None
        return True

    def refuse(self, reason: str) -> None:
        """Count that a file was to take over and did not."""
        self._counters.refused_policies += 1
        self.last_refused = reason

    def advance(self, now_s: float) -> bool:
        """Let the waiting policy take over if it has seen enough and has a result for this tick; tell whether it did.

        Args:
            now_s: The time in seconds, on the clock of the stamps.
        """
        if self.waiting is None:
            return False
        successor, handed_over = self.waiting
        if not successor.observer.covers(now_s):
            return False
        observer = successor.observer
        if not successor.chunks.prime(observer.sample(now_s), observer.goal, observer.arrays):
            return False
        self.take_over(successor)
        handed_over()
        return True

    def take_over(self, successor: ActivePolicy) -> None:
        """Let another policy act from now on; between ticks only."""
        self.waiting = None
        self.active.chunks.close()
        successor.count_in(self._counters)
        successor.observer.count_on_from(self.active.observer)
        self._expect(successor)
        self._commander.hand_over(successor.channel, successor.following)
        self.active = successor

    def _expect(self, policy: ActivePolicy) -> None:
        """Make ready for the decisions of a policy."""
        self._outputs.expect_decisions(policy.decision.labels, experts=policy.policy.spec.is_mixture)
