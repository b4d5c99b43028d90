"""Named numbers and arrays, and the only comparison of two sets of them.

A policy, a task, a demonstration set, a checkpoint and a robot file each declare observation and action as a
`Signature` of `Feature`s. Wherever two of them meet, `Signature.check` decides whether they fit.
"""

import difflib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vdd_ros.errors import VddError
from vdd_ros.text import printable

SCALAR: tuple[int, ...] = ()
FLOAT32 = "float32"
DTYPES = (FLOAT32, "uint8", "uint16", "int32", "int64", "bool")
"""Number types that a feature can have, as numpy names them."""
MAX_AXES = 8
MAX_SIZE = 1_000_000
"""Limit on the size of one axis of an array."""
RATE_TOLERANCE = 1e-3
"""Relative tolerance of control rates."""
_SHOWN = 8  # names shown in one part of an error
_LONGEST = 60  # characters shown of a name


@dataclass(frozen=True)
class Feature:
    """One named number or array of an observation or an action.

    Attributes:
        name: Unique within its observation or action.
        unit: SI unit as text; "1" if dimensionless, such as the pixels of an image.
        low, high: Limits in `unit`, infinite by default. They are ignored when signatures are compared.
        shape: Of the array; () for a number.
        dtype: Type of its numbers, one of `DTYPES`.
    """

    name: str
    unit: str = "1"
    low: float = -math.inf
    high: float = math.inf
    shape: tuple[int, ...] = SCALAR
    dtype: str = FLOAT32

    @property
    def is_scalar(self) -> bool:
        """Whether this is one floating-point number; such features share a vector."""
        return self.shape == SCALAR and self.dtype == FLOAT32

    @property
    def is_limited(self) -> bool:
        """Whether both limits are finite."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def form(self) -> str:
        """Number type and shape in words: "one number", "uint8, 96 x 96 x 3"."""
        sizes = " x ".join(map(str, self.shape)) or "one number"
        return sizes if self.dtype == FLOAT32 else f"{printable(self.dtype, _LONGEST)}, {sizes}"

    def __str__(self) -> str:
        """Name with unit, and form unless it is a plain number."""
        form = "" if self.is_scalar else f", {self.form}"
        return f"{printable(self.name, _LONGEST)} ({printable(self.unit, _LONGEST)}{form})"


class Difference(NamedTuple):
    """One difference between two signatures.

    Attributes:
        part: `observation`, `action`, `context` or `rate`.
        problem: The end of a sentence that begins with the part.
    """

    part: str
    problem: str

    def __str__(self) -> str:
        return f"the {self.part} {self.problem}"


@dataclass(frozen=True)
class Signature:
    """Observation, action, control rate and context.

    Attributes:
        observation: Features of the observation, in order.
        action: Features of the action, in order.
        rate_hz: Control rate in Hz; None: any, as for a robot file.
        context: Features of the context from which an episode starts, in order; None: any, as for a policy.
    """

    observation: tuple[Feature, ...]
    action: tuple[Feature, ...]
    rate_hz: float | None = None
    context: tuple[Feature, ...] | None = None

    def check(self, wanted: "Signature", have: str, want: str, mend: str, error: type[VddError]) -> None:
        """Raise an error if this signature does not fit the wanted one.

        Args:
            wanted: The other signature.
            have: Owner of this signature, such as "the demonstrations".
            want: Owner of the other, such as "the task 'avoiding'".
            mend: How to mend it, the end of a sentence.
            error: The exception to raise.

        Raises:
            VddError: `error`, with all differences: names, their order, units, shapes, types and the rate.
        """
        if found := self.differences(wanted):
            raise error(f"{have} cannot be used with {want}: {'; '.join(map(str, found))}. To mend it, {mend}")

    def differences(self, wanted: "Signature", *, by_name: bool = False) -> list[Difference]:
        """Return the differences from the wanted signature; none if both fit.

        Args:
            wanted: The other signature.
            by_name: Compare only names, not order or units, since units will be converted.
        """
        found = [
            Difference(part, problem)
            for part, have, want in (
                ("observation", self.observation, wanted.observation),
                ("action", self.action, wanted.action),
                ("context", self.context, wanted.context),
            )
            if have is not None and want is not None
            for problem in _problems(have, want, by_name)
        ]
        if not same_rate(self.rate_hz, wanted.rate_hz):
            found.append(Difference("rate", f"is {self.rate_hz:.6g} Hz instead of {wanted.rate_hz:.6g} Hz"))
        return found


def same_rate(one: float | None, other: float | None) -> bool:
    """Return whether two control rates in Hz are the same; None fits any."""
    return one is None or other is None or math.isclose(one, other, rel_tol=RATE_TOLERANCE)


def listed(features: Sequence[Feature]) -> str:
    """Return features as text, clipped to a few names."""
    more = f" and {len(features) - _SHOWN:,} more" if len(features) > _SHOWN else ""
    return ", ".join(map(str, features[:_SHOWN])) + more


def to_pairs(features: Sequence[Feature]) -> list[list[str | list[int]]]:
    """Return features as pairs of name and unit, as stored in files; arrays are followed by shape and number type."""
    pairs: list[list[str | list[int]]] = []
    for feature in features:
        form: list[str | list[int]] = [] if feature.is_scalar else [list(feature.shape), feature.dtype]
        pairs.append([feature.name, feature.unit, *form])
    return pairs


def from_pairs(value: object, most: int, longest: int, *, arrays: bool = False) -> tuple[Feature, ...]:
    """Read what `to_pairs` wrote.

    Args:
        value: From JSON.
        most: Maximum number of features.
        longest: Maximum length of a name or a unit.
        arrays: Whether arrays are allowed.

    Raises:
        ValueError: The problem, as the end of a sentence that begins with the owner of the features.
    """
    if not isinstance(value, list) or not 0 < len(value) <= most:
        raise ValueError(f"is not a list of 1 to {most:,} pairs of name and unit")
    for pair in value:
        form = pair[2:] if isinstance(pair, list) else []
        texts = pair[:2] if isinstance(pair, list) and len(pair) in ((2, 4) if arrays else (2,)) else [None]
        if not all(isinstance(text, str) and 0 < len(text) <= longest for text in texts):
            raise ValueError(f"holds {printable(pair)}, not a pair of name and unit")
        if form and not _is_form(*form):
            raise ValueError(f"holds {printable(pair)}, whose shape or number type is wrong")
    counts = Counter(pair[0] for pair in value)
    if len(counts) < len(value):
        raise ValueError(f"has the entry '{printable(counts.most_common(1)[0][0])}' twice")
    return tuple(
        Feature(name, unit, shape=tuple(form[0]), dtype=form[1]) if form else Feature(name, unit)
        for name, unit, *form in value
    )


def _is_form(shape: object, dtype: object) -> bool:
    """Return whether these are the shape and the number type of an array."""
    return (
        isinstance(shape, list)
        and len(shape) <= MAX_AXES
        and all(type(size) is int and 1 <= size <= MAX_SIZE for size in shape)
        and dtype in DTYPES
        and (bool(shape) or dtype != FLOAT32)
    )


def _problems(have: Sequence[Feature], want: Sequence[Feature], by_name: bool) -> list[str]:
    """Return the differences of features, each the end of a sentence."""
    ours, theirs = ({feature.name: feature for feature in features} for features in (have, want))
    missing = [feature for feature in want if feature.name not in ours]
    unknown = [feature for feature in have if feature.name not in theirs]
    problems = []
    if missing:
        problems.append(f"lacks {listed(missing)}")
    if unknown:
        problems.append(f"has {listed(unknown)}, which the other does not have{_near(unknown, missing)}")
    both = [(feature, theirs[feature.name]) for feature in have if feature.name in theirs]
    problems += [
        f"has {printable(one.name, _LONGEST)} {how}" for one, other in both if (how := _how(one, other, by_name))
    ]
    if not by_name and not missing and not unknown and [*ours] != [*theirs]:
        problems.append(f"is in the order {listed(have)} instead of {listed(want)}")
    if len(ours) < len(have):
        problems.append("has a name more than once")
    return problems


def _how(have: Feature, want: Feature, by_name: bool) -> str:
    """Return the difference of two features of the same name; empty if they are equal."""
    found = []
    if have.unit != want.unit and not by_name:
        found.append(f"in {printable(have.unit, _LONGEST)} instead of {printable(want.unit, _LONGEST)}")
    if (have.shape, have.dtype) != (want.shape, want.dtype):
        found.append(f"as {have.form} instead of {want.form}")
    return " and ".join(found)


def _near(unknown: Sequence[Feature], missing: Sequence[Feature]) -> str:
    """Return suggestions for unknown names."""
    wanted = [feature.name for feature in missing]
    near = [
        f"'{printable(found[0], _LONGEST)}' for '{printable(feature.name, _LONGEST)}'"
        for feature in unknown[:_SHOWN]
        if (found := _close(feature.name, wanted))
    ]
    return f" (did you mean {', '.join(near)}?)" if near else ""


def _close(name: str, wanted: Sequence[str]) -> list[str]:
    lower = {other.lower(): other for other in wanted[:100]}
    return [lower[close] for close in difflib.get_close_matches(name.lower()[:200], lower, n=1)]
