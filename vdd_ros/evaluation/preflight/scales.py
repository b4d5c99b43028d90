"""Units and signs: recorded values that differ from the demonstrations by a factor."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from vdd_ros.evaluation.preflight.moments import CERTAIN, MOVES, Moments, fits, off_centre, off_width

SIGN = -1.0
DEGREES = math.degrees(1.0)
FACTORS: dict[float, str] = {
    SIGN: "have the other sign: another direction or frame?",
    DEGREES: "are 57.3 times too large: degrees, read as radians?",
    1 / DEGREES: "are 57.3 times too small: radians, read as degrees?",
    1e3: "are 1,000 times too large: millimetres, read as metres?",
    1e-3: "are 1,000 times too small: metres, read as millimetres?",
    1e2: "are 100 times too large: centimetres or per cent?",
    1e-2: "are 100 times too small: centimetres or per cent?",
}
"""Factors by which recorded values may be wrong, and their description."""
_ANGLE, _LENGTH = {DEGREES, 1 / DEGREES}, {1e3, 1e-3, 1e2, 1e-2}
_OF_UNIT = {"rad": _ANGLE, "rad/s": _ANGLE, "deg": _ANGLE, "m": _LENGTH, "m/s": _LENGTH, "mm": _LENGTH, "cm": _LENGTH}


@dataclass(frozen=True)
class ScaleFault:
    """Entries whose recorded values seem to be multiplied by a factor.

    Attributes:
        entries: Their indices.
        factor: One of `FACTORS`.
        gain: Improvement of the fit without it, in nats.
    """

    entries: tuple[int, ...]
    factor: float
    gain: float


def wrong_scales(found: Moments, wanted: Moments, units: Sequence[str], groups: Sequence[Hashable]) -> list[ScaleFault]:
    """Return the entries that seem to be off by a factor; none if no factor explains the misfit.

    The entries of a group are judged together first, since a whole message is in one unit, then one by one.

    Args:
        found: Moments of the recorded values of d entries.
        wanted: Those of the demonstrations.
        units: Unit of each entry, which determines the possible factors; unknown units may have any.
        groups: Message of each entry.
    """
    faults = []
    for group in dict.fromkeys(zip(groups, units, strict=True)):
        members = [i for i, one in enumerate(zip(groups, units, strict=True)) if one == group]
        fault = _best(found, wanted, members, group[1], tries=1)
        if fault is not None:
            faults.append(fault)
            continue
        alone = (_best(found, wanted, [member], group[1], tries=len(units)) for member in members)
        faults += [one for one in alone if one is not None] if len(members) > 1 else []
    return faults


def _best(found: Moments, wanted: Moments, members: list[int], unit: str, *, tries: int) -> ScaleFault | None:
    """Return the factor that explains the values of some entries best, if it is certain."""
    own = Moments(found.mean[members], found.std[members])
    demonstrated = Moments(wanted.mean[members], wanted.std[members])
    doubted = not fits(own, demonstrated).all()
    factors = [*([SIGN] if doubted else []), *(_OF_UNIT.get(unit) or [factor for factor in FACTORS if factor != SIGN])]
    gains = {factor: _gain(own, demonstrated, factor) for factor in factors}
    factor = max(gains, key=gains.__getitem__)
    if gains[factor] <= CERTAIN + math.log(len(factors) * tries):
        return None
    return ScaleFault(tuple(members), factor, gains[factor])


def _gain(found: Moments, wanted: Moments, factor: float) -> float:
    """Return the improvement of the fit without a factor, in nats; minus infinity if the values still do not fit."""
    mended = Moments(found.mean / factor, found.std / abs(factor))
    if not fits(mended, wanted).all():
        return -math.inf
    centre = off_centre(found.mean, wanted) - off_centre(mended.mean, wanted)
    width = off_width(found.std, wanted) - off_width(mended.std, wanted)
    counts = np.logical_or(mended.std >= MOVES * wanted.std, width < 0)  # otherwise a robot at rest would seem scaled
    return float((centre + np.where(counts, width, 0.0)).sum())
