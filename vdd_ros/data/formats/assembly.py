"""From the keys of a data set to a demonstration set: choice, names, units, checks."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.blocks import blocks
from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.data.formats.choice import Choice, KeyChoice
from vdd_ros.data.formats.npz import read_header
from vdd_ros.data.formats.source import MAX_BYTES, UNKNOWN, Column, Source
from vdd_ros.errors import DemonstrationError
from vdd_ros.features import DTYPES, FLOAT32, Feature, same_rate
from vdd_ros.text import printable

MAX_ENTRIES = 4_096
_MANY = 12  # keys shown in an error
_AS_FLOAT32 = ("float16", "float64")


class _Part(NamedTuple):
    """A chosen column and its result: numbers of a vector, or one array."""

    column: Column
    chosen: KeyChoice
    features: tuple[Feature, ...]

    @property
    def is_vector(self) -> bool:
        return self.features[0].is_scalar

    @property
    def bytes_of_frame(self) -> int:
        one = 8 if self.is_vector else np.dtype(self.features[0].dtype).itemsize
        return max(self.column.size * max(one, np.dtype(self.column.dtype).itemsize), 1)


def reader(open_source: Callable[[Path], Source]) -> Callable[[Path], DemonstrationSet]:
    """Return a function that reads a path as a demonstration set, using only the data set's own statements."""

    def read(path: Path) -> DemonstrationSet:
        return assemble(open_source(path), Choice())

    return read


def assemble(source: Source, choice: Choice) -> DemonstrationSet:
    """Read the chosen keys of a data set.

    Args:
        source: The data set.
        choice: Keys to read, and names, units and rate that the data set does not state.

    Raises:
        DemonstrationError: A key is missing or cannot be read, a statement is missing or contradicts the data, a frame
            is non-finite, or the result is too large.
    """
    rate_hz = _rate(source, choice)
    observation = _parts(source, "observation", choice.observation or source.marked("observation"))
    action = _parts(source, "action", choice.action or source.marked("action"))
    _check_size(source, (*observation, *action))
    keep = _kept(source, choice)
    header = Header(
        choice.task or source.task,
        tuple(feature for part in observation for feature in part.features),
        tuple(feature for part in action for feature in part.features),
        rate_hz,
        f"{source.kind.removeprefix('a ').removeprefix('an ')} '{printable(source.path.name, 100)}'",
    )
    if not header.vector:
        raise DemonstrationError(
            f"{source.title} has an observation of only arrays; choose a key with single numbers too"
        )
    try:
        read_header(json.loads(json.dumps(header.to_dict())))
    except ValueError as error:
        raise DemonstrationError(
            f"{source.title} cannot be demonstrations: {error}; state names, units and task in a description: "
            f"{describing(source)}"
        ) from error
    frames = np.repeat(keep, source.lengths)
    values = [(part, _values(source, part, frames)) for part in observation]
    lengths = source.lengths[keep]
    return DemonstrationSet(
        header,
        _joined([found for part, found in values if part.is_vector]),
        _joined([_values(source, part, frames) for part in action]),
        lengths,
        np.full(len(lengths), -1),
        arrays={part.features[0].name: found for part, found in values if not part.is_vector},
    )


def describing(source: Source) -> str:
    """Return how to supply missing statements, as the end of a sentence."""
    return (
        f"'vdd demos describe {printable(source.path)} --out set.yaml' writes a description to complete; then pass "
        "that file as the demonstrations (docs/formats.md)"
    )


def _rate(source: Source, choice: Choice) -> float:
    if source.rate_hz is not None and choice.rate_hz is not None and not same_rate(source.rate_hz, choice.rate_hz):
        raise DemonstrationError(
            f"{source.title} has {source.rate_hz:.6g} frames per second, but its description says rate_hz: "
            f"{choice.rate_hz:.6g}; remove that line"
        )
    rate_hz = source.rate_hz if source.rate_hz is not None else choice.rate_hz
    if rate_hz is None:
        raise DemonstrationError(f"{source.title} does not state its rate; state it: {describing(source)}")
    return rate_hz


def _parts(source: Source, role: str, chosen: Sequence[KeyChoice]) -> list[_Part]:
    """Return the parts of the observation or the action."""
    if not chosen:
        keys = ", ".join(printable(column.key, 60) for column in source.columns[:_MANY])
        raise DemonstrationError(
            f"{source.title} does not state which of its keys are the {role} ({keys}); {describing(source)}"
        )
    columns = [_column(source, role, one) for one in chosen]
    used = [name for column, one in zip(columns, chosen, strict=True) for name in _taken(column, one)]
    twice = {name for name, count in Counter(used).items() if count > 1}
    found = []
    for column, one in zip(columns, chosen, strict=True):
        names = _taken(column, one)
        if not one.names and twice.intersection(names):
            names = tuple(f"{_base(column)}_{name}" for name in names)
        found.append(_Part(column, one, _features(source, role, column, one, names)))
    features = [feature.name for part in found for feature in part.features]
    if again := [name for name, count in Counter(features).items() if count > 1]:
        raise DemonstrationError(
            f"{source.title} has the name '{printable(again[0])}' twice in the {role}; give other names in a "
            f"description: {describing(source)}"
        )
    if len(features) > MAX_ENTRIES:
        raise DemonstrationError(
            f"{source.title} gives the {role} {len(features):,} entries; at most {MAX_ENTRIES:,} are kept: choose fewer"
        )
    return found


def _column(source: Source, role: str, chosen: KeyChoice) -> Column:
    """Return the column of a chosen key, or refuse it."""
    column = source.column(chosen.key)
    if column is None:
        known = ", ".join(printable(other.key, 60) for other in source.columns[:_MANY])
        raise DemonstrationError(f"{source.title} has no key '{printable(chosen.key)}'; it has {known}")
    key = printable(column.key)
    if column.problem:
        raise DemonstrationError(
            f"{source.title} has the key '{key}', which {column.problem}. Leave it out: {describing(source)}"
        )
    if np.dtype(column.dtype).kind not in "fiub":
        raise DemonstrationError(
            f"{source.title} has the key '{key}' of the type {printable(column.dtype)}, which are not numbers. "
            f"Leave it out: {describing(source)}"
        )
    if not _is_array(column, chosen) and column.size > MAX_ENTRIES:
        raise DemonstrationError(
            f"{source.title} has the key '{key}' with {column.size:,} numbers a frame; at most {MAX_ENTRIES:,} are "
            "kept as single numbers: choose another key"
        )
    if role == "action" and len(column.shape) > 1 and not chosen.flatten:
        raise DemonstrationError(
            f"{source.title} has the key '{key}' of the shape {column.shape} in the action, which has only single "
            "numbers; write `flatten: true` below it in a description"
        )
    return column


def _base(column: Column) -> str:
    return column.base or column.key


def _is_array(column: Column, chosen: KeyChoice) -> bool:
    return len(column.shape) > 1 and not chosen.flatten


def _taken(column: Column, chosen: KeyChoice) -> tuple[str, ...]:
    """Return the names of the chosen numbers of a column, before resolving clashes."""
    base = _base(column)
    if _is_array(column, chosen):
        return chosen.names or (base,)
    if chosen.names:
        return chosen.names
    names = column.names or ((base,) if column.size == 1 else tuple(f"{base}_{i}" for i in range(column.size)))
    if chosen.take is None:
        return names
    return tuple(names[index] for index in chosen.take if index < len(names))


def _features(
    source: Source, role: str, column: Column, chosen: KeyChoice, names: tuple[str, ...]
) -> tuple[Feature, ...]:
    where = f"{source.title} has the key '{printable(column.key)}' with {column.size:,} numbers, but in its description"
    if _is_array(column, chosen):
        if chosen.take is not None or len(names) != 1 or len(chosen.units) > 1:
            raise DemonstrationError(
                f"{where} it is one array, with one name and one unit; correct that, or flatten it"
            )
        dtype = FLOAT32 if column.dtype in _AS_FLOAT32 else column.dtype
        if dtype not in DTYPES:
            raise DemonstrationError(
                f"{where} it is an array of {printable(dtype)}; only arrays of {', '.join(DTYPES)} are supported. "
                "Leave it out"
            )
        unit = (*chosen.units, *column.units, "1")[0]
        return (Feature(names[0], unit, shape=column.shape, dtype=dtype),)
    if chosen.take is not None and (bad := [index for index in chosen.take if index >= column.size]):
        raise DemonstrationError(f"{where} number {bad[0]} is taken; numbers count from 0 to {column.size - 1}")
    count = column.size if chosen.take is None else len(chosen.take)
    if len(names) != count:
        raise DemonstrationError(f"{where} {len(names):,} names stand for {count:,}; give one for each")
    units = chosen.units
    if not units and column.units:
        units = (
            column.units
            if len(column.units) == 1 or chosen.take is None
            else tuple(column.units[index] for index in chosen.take)
        )
    units = units or (UNKNOWN,)
    if len(units) not in (1, count):
        raise DemonstrationError(f"{where} {len(units):,} units stand for {count:,}; give one, or one for each")
    units = units * count if len(units) == 1 else units
    return tuple(Feature(name, unit) for name, unit in zip(names, units, strict=True))


def _check_size(source: Source, parts: Sequence[_Part]) -> None:
    total = source.frames * sum(part.bytes_of_frame for part in parts)
    if total > MAX_BYTES:
        largest = max(parts, key=lambda part: part.bytes_of_frame)
        raise DemonstrationError(
            f"{source.title} has {total:,} bytes in the chosen keys, most of them in "
            f"'{printable(largest.column.key)}'; at most {MAX_BYTES:,} are read: choose fewer keys, or split it"
        )


def _kept(source: Source, choice: Choice) -> NDArray[np.bool_]:
    """Return which episodes to read, (E,)."""
    count = len(source.lengths)
    keep = np.full(count, choice.subset is None)
    if choice.subset is not None:
        if choice.subset not in source.subsets:
            known = ", ".join(map(printable, source.subsets)) or "none"
            raise DemonstrationError(f"{source.title} has no subset '{printable(choice.subset)}'; it has {known}")
        keep[source.subsets[choice.subset]] = True
    if bad := [number for number in choice.leave_out if number >= count]:
        raise DemonstrationError(
            f"{source.title} has {count:,} episodes, counted from 0, so that episode {bad[0]:,} cannot be left out"
        )
    keep[list(choice.leave_out)] = False
    if not keep.any():
        raise DemonstrationError(f"{source.title} has no episode left of {count:,}; leave out fewer")
    return keep


def _values(source: Source, part: _Part, frames: NDArray[np.bool_]) -> NDArray[Any]:
    """Read the chosen frames of a column: (M, n) float64 of a vector, (M, *shape) of an array."""
    column = part.column
    found = column.read()
    if found.shape != (source.frames, *column.shape):
        raise DemonstrationError(
            f"{source.title} has the key '{printable(column.key)}' of the shape {found.shape}, but its episodes and "
            f"metadata require {(source.frames, *column.shape)}; copy or convert the data set again"
        )
    if not frames.all():
        found = found[frames]
    _check_finite(source, column, found, frames)
    if not part.is_vector:
        return np.ascontiguousarray(found, dtype=_array_type(source, part, found.dtype))
    vector = found.reshape(len(found), -1)
    if part.chosen.take is not None:
        vector = vector[:, list(part.chosen.take)]
    return np.asarray(vector, dtype=np.float64)


def _array_type(source: Source, part: _Part, given: np.dtype[Any]) -> np.dtype[Any]:
    """Return the number type of an array; refuse numbers of another type, which it may not hold."""
    wanted = np.dtype(part.features[0].dtype)
    if given.kind != wanted.kind or (wanted.kind != "f" and given.itemsize > wanted.itemsize):
        raise DemonstrationError(
            f"{source.title} has the key '{printable(part.column.key)}' of {given}, but its metadata say "
            f"{part.column.dtype}; correct them, or convert the data set again"
        )
    return wanted


def _check_finite(source: Source, column: Column, values: NDArray[Any], frames: NDArray[np.bool_]) -> None:
    if values.dtype.kind != "f":
        return
    bad = np.concatenate([~np.isfinite(part).reshape(len(part), -1).all(axis=1) for part in blocks(values)])
    if not bad.any():
        return
    episode = np.repeat(np.arange(len(source.lengths)), source.lengths)[frames]
    episodes = np.unique(episode[bad])
    which = ", ".join(map(str, episodes[:_MANY])) + (" …" if len(episodes) > _MANY else "")
    note = f" {column.note}" if column.note else ""
    raise DemonstrationError(
        f"{source.title} has the key '{printable(column.key)}' with NaN or infinity in {bad.sum():,} frames of the "
        f"episodes {which}.{note} Leave these out (leave_out: [{which}]) or the key: {describing(source)}"
    )


def _joined(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return parts[0] if len(parts) == 1 and parts[0].flags.owndata else np.concatenate(parts, axis=1)
