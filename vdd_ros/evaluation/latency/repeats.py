"""Several bags as repeats of one experiment: each node alone and beside others, with intervals over the repeats."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np

from vdd_ros.bags.latency import NodeLatency
from vdd_ros.bags.layout import find_bag, shown
from vdd_ros.errors import RecordingError
from vdd_ros.evaluation.latency.intervals import Repeated, median_confidence
from vdd_ros.evaluation.latency.summary import LatencyReport, NodeReport

ALONE, TOGETHER = "alone", "together"
PERCENTILES = ("p50", "p95", "p99")


@dataclass(frozen=True)
class NodeRepeats:
    """Times of one node over several bags of one kind.

    Attributes:
        node: Its name.
        condition: `alone` for the only policy node of its bag, otherwise `together`.
        count: Number of bags.
        confidence: Confidence of the intervals, which few repeats keep below 95 %.
        deadline_misses: Number in each bag, in the given order.
        stages: Stage to percentile to its values over the bags, in seconds.
    """

    node: str
    condition: str
    count: int
    confidence: float
    deadline_misses: tuple[int, ...]
    stages: dict[str, dict[str, Repeated]]


@dataclass(frozen=True)
class Slowdown:
    """Ratio of a node's times together with others to those alone, round by round.

    Attributes:
        node: Its name.
        rounds: Pairs of bags, the first alone with the first together and so on.
        confidence: As in NodeRepeats.
        inference: Ratio of the median inference times.
        total: Ratio of the medians of whole ticks.
    """

    node: str
    rounds: int
    confidence: float
    inference: Repeated
    total: Repeated


def check_repeats(bags: Sequence[Path], read: Sequence[Sequence[NodeLatency]]) -> None:
    """Raise RecordingError if two bags share a file, or one continues another.

    Bags of one run with unrecorded ticks in between are repeats.

    Args:
        bags: Paths of the bags.
        read: The nodes of each.
    """
    files = [{file.resolve() for file in find_bag(bag).files} for bag in bags]
    for (one, nodes), (two, others) in permutations(enumerate(read), 2):
        bag, other = shown(bags[one]), shown(bags[two])
        if files[one] & files[two]:
            raise RecordingError(f"{bag} and {other} are the same file, not repeats; give each bag once")
        for node, its in ((n, m) for n in nodes for m in others if n.node == m.node):
            last, ended_s = (node.column(label)[-1] for label in ("seq", "stamp_s"))
            first, began_s = (its.column(label)[0] for label in ("seq", "stamp_s"))
            if first == last + 1 and began_s > ended_s:
                raise RecordingError(
                    f"{other} continues {bag} ({node.node}: sequence number {first:.0f} after {last:.0f}): "
                    "they are parts of one bag, not repeats; give its folder, or make one bag of the folder with "
                    "`vdd bag mend`"
                )


def summarise_repeats(reports: Sequence[LatencyReport]) -> list[NodeRepeats]:
    """Group the nodes of several bags by name, and by whether they were alone.

    Raises:
        RecordingError: A node ran another policy file in one bag than in another.
    """
    found: list[NodeRepeats] = []
    for node, conditions in _grouped(reports).items():
        _check_policy(node, [report for reports in conditions.values() for report in reports])
        for condition, nodes in conditions.items():
            stages = {
                stage: {
                    name: Repeated.of(np.array([getattr(report.stages[stage], name) for report in nodes]))
                    for name in PERCENTILES
                }
                for stage in nodes[0].stages
                if all(stage in report.stages for report in nodes)  # older bags have fewer
            }
            misses = tuple(report.deadline_misses for report in nodes)
            found.append(NodeRepeats(node, condition, len(nodes), median_confidence(len(nodes)), misses, stages))
    return found


def summarise_slowdowns(reports: Sequence[LatencyReport]) -> list[Slowdown]:
    """Compare each node together with itself alone, bag by bag.

    Nodes with different numbers of bags of both kinds are left out.
    """
    found = []
    for node, conditions in _grouped(reports).items():
        alone, together = (conditions.get(condition, []) for condition in (ALONE, TOGETHER))
        if not alone or len(alone) != len(together):
            continue
        ratios = {
            stage: Repeated.of(
                np.array([b.stages[stage].p50 / a.stages[stage].p50 for a, b in zip(alone, together, strict=True)])
            )
            for stage in ("inference", "total")
        }
        found.append(Slowdown(node, len(alone), median_confidence(len(alone)), **ratios))
    return found


def _grouped(reports: Sequence[LatencyReport]) -> dict[str, dict[str, list[NodeReport]]]:
    """Return the reports of each node, alone and together, in the order of the bags."""
    grouped: dict[str, dict[str, list[NodeReport]]] = {}
    for report in reports:
        condition = ALONE if len(report.nodes) == 1 else TOGETHER
        for node in report.nodes:
            grouped.setdefault(node.node, {}).setdefault(condition, []).append(node)
    return {node: {c: grouped[node][c] for c in (ALONE, TOGETHER) if c in grouped[node]} for node in sorted(grouped)}


def _check_policy(node: str, reports: Sequence[NodeReport]) -> None:
    hashes = {str(report.info["policy_sha256"])[:12] for report in reports if "policy_sha256" in report.info}
    if len(hashes) > 1:
        raise RecordingError(
            f"{node} ran other policy files in some of the bags than in the others ({', '.join(sorted(hashes))}), so "
            "that they are not repeats; report them one by one"
        )
