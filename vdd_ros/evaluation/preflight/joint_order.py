"""The order of entries: which permutation of recorded values fits the demonstrations best."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vdd_ros.evaluation.preflight.assignment import least_assignment
from vdd_ros.evaluation.preflight.moments import CERTAIN, Moments, fits, misfit

_MOST = 1e8
"""Misfit in nats above which larger ones make no difference."""


@dataclass(frozen=True)
class Rotation:
    """Entries that seem to have each other's values.

    Attributes:
        entries: Their indices.
        values_of: The entry whose recorded values fit each of them, in the same order.
        gain: Improvement of the fit, in nats.
    """

    entries: tuple[int, ...]
    values_of: tuple[int, ...]
    gain: float


def wrong_order(found: Moments, wanted: Moments, groups: Sequence[object]) -> list[Rotation]:
    """Return the entries that seem to be permuted; none if the given order is as likely as any.

    The permutation with the least misfit is found by assignment, and split into its cycles. A cycle of k of the d
    entries of a group is reported if it is better by the logarithm of the number of such cycles and `CERTAIN`, and if
    the values then fit every entry in it.

    Args:
        found: Moments of the recorded values of d entries.
        wanted: Those of the demonstrations.
        groups: Group of each entry, such as its unit; only entries of one group can be confused.
    """
    rows = Moments(found.mean[:, None], found.std[:, None])
    cost = misfit(rows, wanted)  # [recorded, demonstrated]
    fit = fits(rows, wanted)
    kinds = list(groups)
    values_of = np.arange(len(kinds))
    for kind in dict.fromkeys(kinds):
        members = np.array([index for index, one in enumerate(kinds) if one == kind])
        values_of[members] = members[least_assignment(np.minimum(cost, _MOST)[np.ix_(members, members)].T)]
    rotations = []
    for cycle in _cycles(values_of):
        given = [int(values_of[entry]) for entry in cycle]
        gain = float(cost[cycle, cycle].sum() - cost[given, cycle].sum())
        limit = CERTAIN + _log_cycles(kinds.count(kinds[cycle[0]]), len(cycle))
        if gain > limit and fit[given, cycle].all():
            rotations.append(Rotation(tuple(cycle), tuple(given), gain))
    return rotations


def _cycles(values_of: NDArray[np.int64]) -> list[list[int]]:
    """Return the nontrivial cycles of a permutation."""
    cycles, seen = [], set()
    for start in range(len(values_of)):
        cycle, at = [], start
        while at not in seen:
            seen.add(at)
            cycle.append(at)
            at = int(values_of[at])
        if len(cycle) > 1:
            cycles.append(cycle)
    return cycles


def _log_cycles(entries: int, moved: int) -> float:
    """Return the logarithm of the number of cycles of some of the entries."""
    return math.lgamma(entries + 1) - math.lgamma(entries - moved + 1) - math.log(moved)
