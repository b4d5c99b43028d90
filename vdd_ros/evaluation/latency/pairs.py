"""Simultaneous decisions of two nodes, paired by time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vdd_ros.bags.decisions import Decisions
from vdd_ros.bags.latency import NodeLatency
from vdd_ros.control.decision import action_label

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """Decisions of two nodes within half a period of each other, in the order of time.

    Attributes:
        names: The action entries that both policies have.
        rows: (n, 2) rows of the student's and of the other's decisions.
        student: (n, act_dim) the student's actions, physical units.
        other: (n, act_dim) the other's.
        places: (n,) index of the other's action in its chunk.
        apart_s: (n,) time of the other's decision minus the student's, seconds.
    """

    names: tuple[str, ...]
    rows: Ints
    student: Floats
    other: Floats
    places: Ints
    apart_s: Floats


def action_names(decisions: Decisions) -> tuple[str, ...]:
    """Return the names of the action's entries."""
    prefix = action_label("")
    return tuple(label.removeprefix(prefix) for label in decisions.labels if label.startswith(prefix))


def pair_decisions(student: NodeLatency, other: NodeLatency, warmup: int, period_s: float) -> Pairs | str:
    """Pair each decision of the other with the student's nearest one in time, or return why that is impossible.

    Args:
        student: Node whose policy is a mixture.
        other: The node compared with it.
        warmup: Number of first ticks of each node to ignore.
        period_s: Time between ticks; decisions more than half of it apart are not paired.
    """
    mine, its = student.decisions, other.decisions
    if mine is None or its is None:
        return f"{(student if mine is None else other).node} published no decisions"
    for node, found in ((student, mine), (other, its)):
        if not found.labels or len(node.policies) > 1:
            return f"another policy took over in {node.node} during the recording"
    names = action_names(mine)
    if set(names) != set(action_names(its)):
        return f"{other.node} has other actions: {', '.join(action_names(its))} instead of {', '.join(names)}"
    labels = [action_label(name) for name in names]
    rows, apart_s = _nearest(mine.keys[:, 1], its.keys[:, 1], period_s / 2)
    first, second = mine.columns(labels)[rows[:, 0]], its.columns(labels)[rows[:, 1]]
    usable = np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
    usable &= _after(student, mine.keys[rows[:, 0]], warmup) & _after(other, its.keys[rows[:, 1]], warmup)
    if not usable.any():
        return f"no decision of {other.node} was made within half a period of one of {student.node}"
    rows = rows[usable]
    return Pairs(names, rows, first[usable], second[usable], _places(other, its.keys[rows[:, 1]]), apart_s[usable])


def _nearest(mine: Floats, its: Floats, most_s: float) -> tuple[Ints, Floats]:
    """Return rows (n, 2) of the nearest times in (m,) and (k,) within a limit, and their distances, (n,)."""
    order = np.argsort(mine, kind="stable")
    ordered = mine[order]
    after = np.searchsorted(ordered, its).clip(1, max(len(ordered) - 1, 1))
    after = np.minimum(after, len(ordered) - 1)
    before = np.maximum(after - 1, 0)
    nearer = np.where(np.abs(its - ordered[before]) <= np.abs(ordered[after] - its), before, after)
    apart = its - ordered[nearer]
    close = np.abs(apart) <= most_s
    return np.stack([order[nearer], np.arange(len(its))], axis=1)[close], apart[close]


def _after(node: NodeLatency, keys: Floats, warmup: int) -> NDArray[np.bool_]:
    """Return which decisions (n, 2) were made after the first ticks of a node."""
    began = np.sort(node.column("stamp_s"))
    return np.asarray(keys[:, 1] >= began[min(warmup, len(began) - 1)])


def _places(node: NodeLatency, keys: Floats) -> Ints:
    """Return the indices of decisions (n, 2) in their chunks; 0 if the latency record is missing."""
    ticks = zip(node.column("seq").tolist(), node.column("stamp_s").tolist(), strict=True)
    steps = np.nan_to_num(node.column("chunk_step")).astype(np.int64).tolist()
    known = dict(zip(ticks, steps, strict=True))
    return np.array([known.get((seq, stamp), 0) for seq, stamp in keys.tolist()], dtype=np.int64)
