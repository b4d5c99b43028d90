"""Reads, checks and writes the observation and action entries of a policy's metadata."""

import math
from collections.abc import Sequence
from typing import Any, TypedDict

from vdd_ros.documents import JsonObject
from vdd_ros.features import DTYPES, FLOAT32, MAX_AXES, MAX_SIZE, SCALAR, Feature
from vdd_ros.policy.spec_checks import (
    MAX_COUNT,
    check_choice,
    check_count,
    check_list,
    check_number,
    check_text,
    members,
    refuse,
)

MAX_ARRAY = 100_000_000
"""Limit on the numbers in the windows of all arrays together: four images of 24 megapixels."""
TENSORS = (
    *("observation", "goal", "noise", "expert_uniform"),
    *("action", "expert", "gating", "log_prob", "novelty"),
)
"""Names of the graph's other inputs and outputs, reserved from arrays."""
_OBSERVED = ("name", "unit")
_LIMITS = ("low", "high")
_FORM = ("shape", "dtype")


class _Named(TypedDict):
    name: str
    unit: str


class FeatureEntry(_Named, total=False):
    """One entry of observation or action in the metadata; docs/policy_file.md gives the meaning.

    Attributes:
        name, unit: As in `Feature`.
        low, high: Limits in `unit`; absent if infinite.
        shape: Sizes of an array; absent for a number.
        dtype: Number type of an array; absent for a number.
    """

    low: float
    high: float
    shape: list[int]
    dtype: str


def read_observation(raw: object) -> tuple[Feature, ...]:
    """Return the features in a list of JSON objects; raises PolicyFileError if a member is missing or unknown."""
    return _read("observation", raw, _OBSERVED, (*_LIMITS, *_FORM))


def read_action(raw: object) -> tuple[Feature, ...]:
    """Return the features in a list of JSON objects, limits required; raises as `read_observation`."""
    return _read("action", raw, (*_OBSERVED, *_LIMITS), _FORM)


def to_objects(features: Sequence[Feature]) -> list[FeatureEntry]:
    """Return features as JSON objects, default values omitted."""
    return [_entry(feature) for feature in features]


def check_observation(features: object, history: int) -> None:
    """Check the features of an observation; raises PolicyFileError naming the field."""
    total = 0
    for where, feature in _checked("observation", features):
        if not feature.is_scalar:
            total += history * math.prod(feature.shape)
            _check_array(where, feature, history, total)


def check_action(features: object) -> None:
    """Check that each action entry is one limited number; raises PolicyFileError naming the field."""
    for where, feature in _checked("action", features):
        for name in _LIMITS:
            check_number(f"{where}.{name}", getattr(feature, name))
        if feature.shape != SCALAR:
            refuse(f"{where}.shape", list(feature.shape), "left out: an action is a list of numbers")
        if feature.dtype != FLOAT32:
            refuse(f"{where}.dtype", feature.dtype, f"{FLOAT32}, or left out")


def _read(field: str, raw: object, needed: Sequence[str], optional: Sequence[str]) -> tuple[Feature, ...]:
    found = [members(f"{field}[{index}]", item, needed, optional) for index, item in enumerate(check_list(field, raw))]
    return tuple(map(_feature, found))


def _feature(item: JsonObject) -> Feature:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in item.items()}
    return Feature(**values)


def _entry(feature: Feature) -> FeatureEntry:
    entry: FeatureEntry = {"name": feature.name, "unit": feature.unit}
    if math.isfinite(feature.low):
        entry["low"] = feature.low
    if math.isfinite(feature.high):
        entry["high"] = feature.high
    if not feature.is_scalar:
        entry |= {"shape": list(feature.shape), "dtype": feature.dtype}
    return entry


def _checked(field: str, features: object) -> list[tuple[str, Feature]]:
    """Return each feature with its field path, after checking the types of its members."""
    if not isinstance(features, tuple) or not 1 <= len(features) <= MAX_COUNT:
        refuse(field, features, f"a list of 1 to {MAX_COUNT:,} entries")
    seen: set[str] = set()
    placed = [(f"{field}[{index}]", feature) for index, feature in enumerate(features)]
    for where, feature in placed:
        if not isinstance(feature, Feature):
            refuse(where, feature, "an object with a name and a unit")
        check_text(f"{where}.name", feature.name)
        check_text(f"{where}.unit", feature.unit)
        if feature.name in seen:
            refuse(f"{where}.name", feature.name, "different from the names of the other entries")
        seen.add(feature.name)
        _check_limits(where, feature)
        check_choice(f"{where}.dtype", feature.dtype, DTYPES)
        if not isinstance(feature.shape, tuple) or len(feature.shape) > MAX_AXES:
            refuse(f"{where}.shape", feature.shape, f"a list of at most {MAX_AXES} sizes")
        for axis, size in enumerate(feature.shape):
            check_count(f"{where}.shape[{axis}]", size, most=MAX_SIZE)
    return placed


def _check_limits(where: str, feature: Feature) -> None:
    for name, none in zip(_LIMITS, (-math.inf, math.inf), strict=True):
        if (value := getattr(feature, name)) != none:
            check_number(f"{where}.{name}", value)
    if feature.low >= feature.high:
        refuse(f"{where}.low", feature.low, f"below high, which is {feature.high}")


def _check_array(where: str, feature: Feature, history: int, total: int) -> None:
    """Refuse an array that would exhaust memory, or whose name is taken by another graph input."""
    if feature.name in TENSORS:
        refuse(f"{where}.name", feature.name, f"none of {', '.join(TENSORS)}, which name other tensors of the graph")
    if total > MAX_ARRAY:
        refuse(
            f"{where}.shape",
            list(feature.shape),
            f"such that {history:,} of them, with the arrays before, have at most {MAX_ARRAY:,} numbers",
        )
