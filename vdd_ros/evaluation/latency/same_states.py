"""A student's actions and densities at the observations of a record."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vdd_ros.bags.decisions import Decisions
from vdd_ros.bags.latency import NodeLatency
from vdd_ros.control.decision import goal_labels, window_labels
from vdd_ros.evaluation.latency.pairs import Pairs
from vdd_ros.features import listed
from vdd_ros.policy.density import draw, log_density, marginal
from vdd_ros.policy.limit_bands import limit_bands
from vdd_ros.policy.onnx_policy import OnnxPolicy

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class SameStates:
    """Actions and densities at n observations, in the order of time; actions are (n, act_dim), physical units.

    Attributes:
        seen_by: The node whose windows these are.
        clipped: Observations left out, because action limits hide the mixture there.
        beyond: Observations left out, because the other's action lies beyond the student's chunk.
        other: The other's actions.
        own: A draw of the student, with its node's settings.
        again: Another one.
        log_prob_other: (n,) the student's log density of `other`.
        log_prob_own: (n,) that of `own`.
        log_prob_draws: (n,) that of one draw from the whole mixture, bounded by the action limits.
    """

    seen_by: str
    clipped: int
    beyond: int
    other: Floats
    own: Floats
    again: Floats
    log_prob_other: Floats
    log_prob_own: Floats
    log_prob_draws: Floats


def at_same_states(
    policy: OnnxPolicy, student: NodeLatency, other: NodeLatency, pairs: Pairs, states: int
) -> SameStates | str:
    """Evaluate a student's policy at another one's observations, or return why that is impossible.

    If the other's observations lack an entry of the student's, the student's own observations at the paired ticks are
    used.

    Args:
        policy: The student's policy.
        student: Its node.
        other: The other node.
        pairs: Their decisions.
        states: Largest number of observations, spread evenly.
    """
    spec = policy.spec
    if spec.is_deterministic:
        return "the student's policy file is deterministic: it has no density"
    if spec.arrays:
        return f"the student observes {listed(spec.arrays)}, and decisions have only single numbers"
    labels = [*window_labels(spec), *goal_labels(spec)]
    decisions, row, seen_by = _whose(student, other, labels)
    if decisions is None:
        return "the decisions lack observations of the student's policy; was the file exported with the same names?"
    inside = np.flatnonzero(pairs.places < spec.horizon)
    beyond = len(pairs.places) - len(inside)
    if len(inside) > states:
        inside = inside[np.linspace(0, len(inside) - 1, states).round().astype(int)]
    seen = decisions.columns(labels)[pairs.rows[inside, row]]
    finite = np.isfinite(seen).all(axis=1)
    inside, seen = inside[finite], seen[finite].astype(np.float32)
    if not len(inside):
        return "no observation remains for a comparison"
    order = [pairs.names.index(entry.name) for entry in spec.action]
    return _ask(policy, seen, pairs.other[inside][:, order], pairs.places[inside], order, seen_by, beyond)


def _whose(student: NodeLatency, other: NodeLatency, labels: list[str]) -> tuple[Decisions | None, int, str]:
    """Return the decisions whose observations are used, their column in the pairs' rows, and their node."""
    for node, row in ((other, 1), (student, 0)):
        if node.decisions is not None and node.decisions.has(labels):
            return node.decisions, row, node.node
    return None, 0, ""


def _ask(
    policy: OnnxPolicy,
    seen: NDArray[np.float32],
    acted: Floats,
    places: Ints,
    order: list[int],
    seen_by: str,
    beyond: int,
) -> SameStates | str:
    """Draw actions and read densities at observations (n, ...), given the other's actions there, (n, act_dim)."""
    spec = policy.spec
    split = spec.history * spec.obs_dim
    windows = seen[:, :split].reshape(-1, spec.history, spec.obs_dim)
    goals = seen[:, split:].reshape(-1, spec.goal_length, spec.obs_dim) if spec.goal_length else None
    each = np.arange(len(windows))
    own, again = (policy.act_batch(windows, goals).action[each, places].astype(np.float64) for _ in range(2))
    low, high = limit_bands(spec)
    rng = np.random.default_rng(0)
    log_prob = np.full((len(windows), 3), np.nan)
    readable = np.zeros(len(windows), dtype=bool)
    for state, (window, place) in enumerate(zip(windows, places.tolist(), strict=True)):
        mixture = policy.mixture(window, None if goals is None else goals[state])
        if mixture.clipped.any():
            continue
        readable[state] = True
        here = marginal(mixture, slice(place * spec.act_dim, (place + 1) * spec.act_dim))
        drawn = draw(here, rng, 1).clip(low, high)
        log_prob[state] = log_density(here, np.stack([acted[state], own[state], drawn[0]]))
    if not readable.any():
        return f"action limits hide the student's mixture at all of {len(windows)} observations"
    back = np.argsort(order)  # from the order of the policy's entries to that of the pairs
    return SameStates(
        seen_by,
        int((~readable).sum()),
        beyond,
        *(actions[readable][:, back] for actions in (acted, own, again)),
        *log_prob[readable].T,
    )
