"""The sink for the results of a policy loop."""

from typing import Protocol

from vdd_ros.control.counters import Counters
from vdd_ros.control.decision import DecisionRecord
from vdd_ros.control.sender import Sender
from vdd_ros.control.timing import LatencyRecord


class Outputs(Sender, Protocol):
    """The sink for the loop's results; called within the tick, so implementations should allocate little."""

    def count_in(self, counters: Counters) -> None:
        """Use these counters from now on."""
        ...

    def latency(self, record: LatencyRecord) -> None:
        """Send the record of a tick."""
        ...

    def expert(self, expert: int) -> None:
        """Send the number of the expert that acted."""
        ...

    def expect_decisions(self, labels: tuple[str, ...], *, experts: bool) -> None:
        """Prepare for decisions with these labels, and for experts if needed, before the first such tick."""
        ...

    def decision(self, record: DecisionRecord) -> None:
        """Send the policy's decision."""
        ...
