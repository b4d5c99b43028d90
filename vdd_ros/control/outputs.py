"""Where the results of a policy loop go."""

from typing import Protocol

from vdd_ros.control.commander import Sender
from vdd_ros.control.counters import Counters
from vdd_ros.control.decision import DecisionRecord
from vdd_ros.control.timing import LatencyRecord


class Outputs(Sender, Protocol):
    """Where the loop's results go; called within the tick, so implementations allocate as little as they can."""

    def count_in(self, counters: Counters) -> None:
        """Count there from now on."""
        ...

    def latency(self, record: LatencyRecord) -> None:
        """Send the record of a tick."""
        ...

    def expert(self, expert: int) -> None:
        """Send the number of the expert that acted."""
        ...

    def expect_decisions(self, labels: tuple[str, ...], *, experts: bool) -> None:
        """Make ready for decisions with these labels, and perhaps for experts, before a tick that gives one."""
        ...

    def decision(self, record: DecisionRecord) -> None:
        """Send what the policy decided."""
        ...
