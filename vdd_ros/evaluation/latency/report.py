"""From bags to everything that is reported about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vdd_ros.bags.latency import NodeLatency, read_latency_bag
from vdd_ros.documents import JsonObject, to_json
from vdd_ros.errors import ConfigurationError
from vdd_ros.evaluation.latency.agreement import STATES, Agreed, agreements
from vdd_ros.evaluation.latency.policies import match_policies
from vdd_ros.evaluation.latency.repeats import (
    NodeRepeats,
    Slowdown,
    check_repeats,
    summarise_repeats,
    summarise_slowdowns,
)
from vdd_ros.evaluation.latency.summary import WARMUP_TICKS, LatencyReport, report_latency


@dataclass(frozen=True)
class BagReport:
    """One bag.

    Attributes:
        bag: Where it is.
        nodes: What it holds.
        latency: What was found about its times.
        agreed: How its policies agree.
        left_out: Why some of them are not compared, and what else is told about a node: what it said about itself
            and is not used, or that its numbers began anew.
    """

    bag: Path
    nodes: list[NodeLatency]
    latency: LatencyReport
    agreed: list[Agreed]
    left_out: list[str]

    def to_dict(self) -> JsonObject:
        """Return a JSON object: `bag`, the keys of `LatencyReport.to_dict`, `agreement` of each pair, `left_out`."""
        agreement = to_json([agreed.agreement for agreed in self.agreed])
        return {
            "bag": str(self.bag),
            **self.latency.to_dict(),
            "agreement": agreement,
            "left_out": to_json(self.left_out),
        }


@dataclass(frozen=True)
class Report:
    """All bags of a report; `repeats` and `slowdowns` are empty where there is only one."""

    bags: list[BagReport]
    repeats: list[NodeRepeats]
    slowdowns: list[Slowdown]

    @property
    def gaps(self) -> list[str]:
        """A text for each node of each bag whose record is incomplete."""
        several = len(self.bags) > 1
        return [f"{report.bag}: {gap}" if several else gap for report in self.bags for gap in report.latency.gaps]

    def to_dict(self) -> JsonObject:
        """Return a JSON object: the keys of the first bag's, `other_bags`, `repeats` and `slowdowns`."""
        first, *others = [report.to_dict() for report in self.bags]
        return {
            **first,
            "other_bags": to_json(others),
            "repeats": to_json(self.repeats),
            "slowdowns": to_json(self.slowdowns),
        }


def make_report(
    bags: Sequence[Path], *, warmup: int = WARMUP_TICKS, policies: Sequence[Path] = (), states: int = STATES
) -> Report:
    """Read bags and compute all that is reported about them.

    Args:
        bags: rosbag2 directories; several of them are repeats of one experiment, or parts of it.
        warmup: First ticks of each node that do not count.
        policies: Policy files that nodes of the bags ran, besides those that ship.
        states: Observations at which densities are read, at most.

    Raises:
        ConfigurationError: An argument is not allowed, or a policy file is none that ran.
        RecordingError: A bag cannot be read or has nothing to report, or the bags are no repeats of one another.
        PolicyFileError: A policy file is damaged.
    """
    if states < 1:
        raise ConfigurationError(f"--states is {states}; it must be 1 or more")
    read = [read_latency_bag(bag) for bag in bags]
    check_repeats(bags, read)
    files = match_policies(policies, {digest for nodes in read for node in nodes for digest in node.policies})
    reports = []
    for bag, nodes in zip(bags, read, strict=True):
        latency = report_latency(nodes, warmup)
        agreed, left_out = agreements(nodes, files, warmup=warmup, states=states)
        left_out += [doubt for node in nodes for doubt in node.doubts]
        left_out += [_anew(node) for node in nodes if node.sequence.restarts]
        reports.append(BagReport(bag, nodes, latency, agreed, left_out))
    if len(reports) < 2:
        return Report(reports, [], [])
    latencies = [report.latency for report in reports]
    return Report(reports, summarise_repeats(latencies), summarise_slowdowns(latencies))


def _anew(node: NodeLatency) -> str:
    times = node.sequence.restarts
    return f"the sequence numbers of {node.node} began anew {times} times: it was configured again, or started again"
