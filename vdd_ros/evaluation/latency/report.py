"""The whole report of latency bags."""

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
from vdd_ros.text import counted


@dataclass(frozen=True)
class BagReport:
    """Report of one bag.

    Attributes:
        bag: Path of the bag.
        nodes: Its records.
        latency: Times of its nodes.
        agreed: Agreement of its policies.
        left_out: A text for each pair of policies that is not compared, each unusable value in a node's description,
            and each restart of a node's sequence numbers.
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
    """All bags of a report; `repeats` and `slowdowns` are empty for a single bag."""

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
    """Read bags and compute their report.

    Args:
        bags: rosbag2 folders; several are repeats of one experiment, or parts of it.
        warmup: Number of first ticks of each node to ignore.
        policies: Policy files that nodes of the bags ran, besides the shipped ones.
        states: Largest number of observations at which densities are read.

    Raises:
        ConfigurationError: An argument is not allowed, or no node ran a given policy file.
        RecordingError: A bag cannot be read or has nothing to report, or the bags are not repeats of one another.
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
    times = counted(node.sequence.restarts, "time")
    return f"the sequence numbers of {node.node} restarted {times}: it was configured or started again"
