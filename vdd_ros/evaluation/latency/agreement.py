"""Agreement of two policies: distances of their actions, and the student's density of the other's actions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vdd_ros.bags.latency import NodeLatency
from vdd_ros.evaluation.latency.intervals import mean_interval
from vdd_ros.evaluation.latency.pairs import Pairs, pair_decisions
from vdd_ros.evaluation.latency.policies import structure_of
from vdd_ros.evaluation.latency.same_states import SameStates, at_same_states
from vdd_ros.evaluation.latency.summary import period_of
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.structure import MIXTURE

Floats = NDArray[np.float64]

STATES = 500
MISSING_FILE = "give the student's policy file with --policy FILE for densities and for the scale of its own draws"


@dataclass(frozen=True)
class Spread:
    """Distribution of numbers.

    Attributes:
        count: Number of values.
        mean: Their mean.
        mean_interval: 95 % interval of the mean, by a block bootstrap.
        p5, p50, p95: Percentiles.
    """

    count: int
    mean: float
    mean_interval: tuple[float, float]
    p5: float
    p50: float
    p95: float

    @classmethod
    def of(cls, values: Floats) -> "Spread":
        """Summarise numbers (n,) in the order of time; all NaN without any."""
        finite = values[np.isfinite(values)]
        if not len(finite):
            return cls(0, math.nan, (math.nan, math.nan), math.nan, math.nan, math.nan)
        p5, p50, p95 = np.percentile(finite, [5, 50, 95]).tolist()
        return cls(len(finite), float(finite.mean()), mean_interval(finite), p5, p50, p95)


@dataclass(frozen=True)
class StateAgreement:
    """Agreement at identical observations, from the student's policy file.

    Attributes:
        states: Number of observations compared.
        clipped: Observations left out because action limits clip the student's mixture there.
        beyond: Observations left out because the other's action lies beyond the student's chunk.
        seen_by: The node that recorded the observations.
        apart: Distance of the other's action from a draw of the student, physical units.
        apart_standardised: The same in the student's standard deviations of actions.
        self_apart: Distance of two draws of the student: the scale of the two above.
        self_apart_standardised: The same, standardised.
        log_prob_other: The student's log density of the other's actions, nats in physical units.
        log_prob_own: Log density of the actions that the student's node would have taken.
        log_prob_draws: Log density of draws from the whole mixture, expected if the other's actions came from it.
    """

    states: int
    clipped: int
    beyond: int
    seen_by: str
    apart: Spread
    apart_standardised: Spread
    self_apart: Spread
    self_apart_standardised: Spread
    log_prob_other: Spread
    log_prob_own: Spread
    log_prob_draws: Spread


@dataclass(frozen=True)
class Agreement:
    """Agreement of a student and another node.

    Attributes:
        student: Node whose policy is a mixture.
        other: The other node.
        pairs: Pairs of decisions within half a period.
        unit: Unit of the distances; empty if unknown, or if the entries have several.
        apart: Euclidean distance of the actions as both nodes recorded them, physical units.
        apart_standardised: The same in the student's standard deviations; None without its policy file.
        same: Agreement at identical observations; None without the policy file.
        note: Why a part is missing; empty if complete.
    """

    student: str
    other: str
    pairs: int
    unit: str
    apart: Spread
    apart_standardised: Spread | None
    same: StateAgreement | None
    note: str


@dataclass(frozen=True)
class Agreed:
    """An agreement and the numbers behind it, for figures; `same` is None without the policy file."""

    agreement: Agreement
    pairs: Pairs
    same: SameStates | None


def agreements(
    nodes: Sequence[NodeLatency], files: Mapping[str, Path], *, warmup: int, states: int = STATES
) -> tuple[list[Agreed], list[str]]:
    """Compare each mixture with each other node of a bag.

    Args:
        nodes: The nodes of one bag.
        files: Hash to policy file.
        warmup: Number of first ticks of each node to ignore.
        states: Observations at which densities are read, spread evenly over the record.

    Returns:
        The comparisons, and a text for each pair of nodes that was left out.

    Raises:
        VddError: A policy file is damaged.
    """
    found, left_out = [], []
    for student in nodes:
        if structure_of(student.info) != MIXTURE or not student.decisions:
            continue
        for other in nodes:
            if other is student or (structure_of(other.info) == MIXTURE and other.node < student.node):
                continue
            pairs = pair_decisions(student, other, warmup, period_of(student))
            if isinstance(pairs, str):
                left_out.append(f"{student.node} and {other.node} are not compared: {pairs}")
            else:
                found.append(_compare(student, other, pairs, files, states))
    return found, left_out


def _compare(student: NodeLatency, other: NodeLatency, pairs: Pairs, files: Mapping[str, Path], states: int) -> Agreed:
    file = files.get(student.policies[0]) if student.policies else None
    difference = pairs.other - pairs.student
    apart = Spread.of(np.linalg.norm(difference, axis=1))
    if file is None:
        agreement = Agreement(student.node, other.node, len(difference), "", apart, None, None, MISSING_FILE)
        return Agreed(agreement, pairs, None)
    policy = OnnxPolicy.load(file, expert=_expert(student), noise=str(student.info.get("noise", "mean")))
    deviations = dict(zip(_names(policy), policy.spec.statistics.action_std, strict=True))
    scale = np.array([deviations[name] for name in pairs.names])
    units = {entry.unit for entry in policy.spec.action}
    same = at_same_states(policy, student, other, pairs, states)
    agreement = Agreement(
        student.node,
        other.node,
        len(difference),
        units.pop() if len(units) == 1 else "",
        apart,
        Spread.of(np.linalg.norm(difference / scale, axis=1)),
        None if isinstance(same, str) else _summarise(same, scale),
        same if isinstance(same, str) else "",
    )
    return Agreed(agreement, pairs, None if isinstance(same, str) else same)


def _summarise(same: SameStates, scale: Floats) -> StateAgreement:
    def norm(difference: Floats) -> Spread:
        return Spread.of(np.linalg.norm(difference, axis=1))

    return StateAgreement(
        states=len(same.other),
        clipped=same.clipped,
        beyond=same.beyond,
        seen_by=same.seen_by,
        apart=norm(same.other - same.own),
        apart_standardised=norm((same.other - same.own) / scale),
        self_apart=norm(same.again - same.own),
        self_apart_standardised=norm((same.again - same.own) / scale),
        log_prob_other=Spread.of(same.log_prob_other),
        log_prob_own=Spread.of(same.log_prob_own),
        log_prob_draws=Spread.of(same.log_prob_draws),
    )


def _names(policy: OnnxPolicy) -> list[str]:
    return [entry.name for entry in policy.spec.action]


def _expert(node: NodeLatency) -> str:
    """Return a node's expert selection; independent draws cannot be sticky."""
    how = str(node.info.get("expert", "sample"))
    return "sample" if how == "sticky" else how
