"""Demonstration sets: recorded episodes of observations and actions, with names, units and a hash.

The arrays may be memory-mapped: only `windows` reads a large one as a whole.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.blocks import blocks
from vdd_ros.errors import DemonstrationError
from vdd_ros.features import FLOAT32, Feature, Signature, listed, to_pairs
from vdd_ros.text import printable

FILE_NAME = "demonstrations.npz"
DTYPES = {
    **{"observation": "float64", "action": "float64"},
    **{"lengths": "int64", "modes": "int64", "contexts": "float64"},
}
"""Arrays of a set, in the order of hashing, and their number types."""

FeatureList: TypeAlias = list[list[str | list[int]]]
"""Features in the form of `features.to_pairs`."""


class _WithContext(TypedDict, total=False):
    context: FeatureList


class HeaderRecord(_WithContext):
    """A `Header` in the form of files.

    Attributes:
        task, rate_hz, source, seed: As in `Header`.
        observation, action: Features, in order.
        context: Features of the contexts; absent if every episode starts alike.
    """

    task: str
    observation: FeatureList
    action: FeatureList
    rate_hz: float
    source: str
    seed: int | None


@dataclass(frozen=True)
class Header:
    """Metadata of a demonstration set.

    Attributes:
        task: Name of the task.
        observation: Features, in order; single numbers keep name and unit, arrays also shape and type.
        action: Features, in order; single numbers.
        rate_hz: Rate at which the pairs were sampled.
        source: The demonstrator.
        seed: Seed of a scripted demonstrator, or None.
        context: Features of the contexts; empty if all episodes start alike.
    """

    task: str
    observation: tuple[Feature, ...]
    action: tuple[Feature, ...]
    rate_hz: float
    source: str
    seed: int | None = None
    context: tuple[Feature, ...] = ()

    @property
    def vector(self) -> tuple[Feature, ...]:
        """The single numbers of an observation, in order."""
        return tuple(feature for feature in self.observation if feature.is_scalar)

    @property
    def arrays(self) -> tuple[Feature, ...]:
        """The arrays of an observation, such as images, in order."""
        return tuple(feature for feature in self.observation if not feature.is_scalar)

    @property
    def signature(self) -> Signature:
        """Observation, action, control rate and context."""
        return Signature(self.observation, self.action, self.rate_hz, self.context)

    def to_dict(self) -> HeaderRecord:
        """Return the header as a JSON object; `context` only if it has entries, so that old digests stay valid."""
        record: HeaderRecord = {
            "task": self.task,
            "observation": to_pairs(self.observation),
            "action": to_pairs(self.action),
            "rate_hz": self.rate_hz,
            "source": self.source,
            "seed": self.seed,
        }
        if self.context:
            record["context"] = to_pairs(self.context)
        return record


@dataclass(frozen=True)
class DemonstrationSet:
    """Episodes end to end: pair k holds the observation at step k and the action taken there.

    Attributes:
        header: Names, units, rate.
        observation: (M, obs_dim) float64, the single numbers.
        action: (M, act_dim) float64.
        lengths: (E,) pairs of each episode; they sum to M.
        modes: (E,) mode of each episode, -1 if unknown.
        contexts: (E, c) float64, start of each episode; if all episodes start alike, c is 0, and the array may be
            omitted.
        arrays: (M, *shape) of each array of the observation, by name, in its own number type.
        file: File that the set was read from or written to; None for a set only in memory.
    """

    header: Header
    observation: NDArray[np.float64]
    action: NDArray[np.float64]
    lengths: NDArray[np.int64]
    modes: NDArray[np.int64]
    contexts: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    file: Path | None = field(default=None, init=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse arrays that contradict one another.

        Raises:
            DemonstrationError: Shapes, lengths or types disagree, the set is empty, or a value is not finite.
        """
        for name, values in [*((name, getattr(self, name)) for name in DTYPES), *self.arrays.items()]:
            if not isinstance(values, np.ndarray):
                raise DemonstrationError(
                    f"demonstrations: '{printable(name)}' is a {type(values).__name__}, not an array of numpy; convert "
                    "it with numpy.asarray"
                )
        if self.lengths.ndim != 1:
            raise DemonstrationError(
                f"demonstrations: 'lengths' has shape {self.lengths.shape}; it must have one number per episode"
            )
        if not self.header.context and self.contexts.shape[1:] == (0,):
            object.__setattr__(self, "contexts", np.zeros((*self.lengths.shape, 0)))
        for name, wanted in DTYPES.items():
            if (kind := getattr(self, name).dtype) != wanted:
                raise DemonstrationError(
                    f"demonstrations: '{name}' is {kind}, not {wanted}; convert it with astype('{wanted}')"
                )
        if arrays := [one for one in (*self.header.action, *self.header.context) if not one.is_scalar]:
            raise DemonstrationError(
                f"demonstrations: {listed(arrays)} cannot be kept; actions and contexts are single numbers"
            )
        pairs = int(self.lengths.sum())
        expected = {
            "observation": (pairs, len(self.header.vector)),
            "action": (pairs, len(self.header.action)),
            "modes": self.lengths.shape,
            "contexts": (*self.lengths.shape, len(self.header.context)),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise DemonstrationError(
                    f"demonstrations: '{name}' has shape {getattr(self, name).shape}, but the header and the lengths "
                    f"require {shape}; write the set again"
                )
        if self.lengths.size == 0 or self.lengths.min() < 1:
            raise DemonstrationError(
                "demonstrations: there is no episode, or one without a pair; record the episodes again"
            )
        for name, row in (("observation", "pair"), ("action", "pair"), ("contexts", "episode")):
            bad = _rows_not_finite(getattr(self, name))
            if bad.size:
                raise DemonstrationError(
                    f"demonstrations: '{name}' is not finite in {bad.size} {row}s, first in {row} {bad[0]}; remove "
                    "the affected episodes"
                )

        self._check_arrays(pairs)

    def _check_arrays(self, pairs: int) -> None:
        """Refuse arrays that do not match the header."""
        if list(self.arrays) != [feature.name for feature in self.header.arrays]:
            raise DemonstrationError(
                f"demonstrations: the header has the arrays {listed(self.header.arrays) or '(none)'}, but "
                f"{printable(', '.join(self.arrays)) or '(none)'} are given; give them in that order"
            )
        for feature in self.header.arrays:
            values, name = self.arrays[feature.name], printable(feature.name)
            if values.dtype != feature.dtype or values.shape != (pairs, *feature.shape):
                raise DemonstrationError(
                    f"demonstrations: the array '{name}' is {values.dtype} of the shape {values.shape}, but the header "
                    f"and the lengths ask for {feature.dtype} of the shape {(pairs, *feature.shape)}; convert it"
                )
            if feature.dtype == FLOAT32 and (bad := _rows_not_finite(values)).size:
                raise DemonstrationError(
                    f"demonstrations: the array '{name}' is not finite in {bad.size} pairs, first in pair {bad[0]}; "
                    "remove the episodes that hold them"
                )

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the header and all numbers, read a block at a time."""
        digest = hashlib.sha256(json.dumps(self.header.to_dict(), sort_keys=True).encode())
        for values in (*(getattr(self, name) for name in DTYPES), *self.arrays.values()):
            for part in blocks(values):
                digest.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
        return digest.hexdigest()

    def episodes(self) -> list[slice]:
        """Return the pairs of each episode as slices."""
        ends = np.cumsum(self.lengths)
        return [slice(int(end - length), int(end)) for end, length in zip(ends, self.lengths, strict=True)]

    def part(self, numbers: range) -> "DemonstrationSet":
        """Return the episodes of consecutive numbers, from 0, as a separate set; its arrays are views."""
        episodes = self.episodes()
        pairs = slice(episodes[numbers.start].start, episodes[numbers.stop - 1].stop)
        few = slice(numbers.start, numbers.stop)
        return DemonstrationSet(
            self.header,
            self.observation[pairs],
            self.action[pairs],
            self.lengths[few],
            self.modes[few],
            self.contexts[few],
            {name: values[pairs] for name, values in self.arrays.items()},
        )

    @classmethod
    def joined(cls, parts: "Sequence[DemonstrationSet]") -> "DemonstrationSet":
        """Join the episodes of several sets.

        Raises:
            DemonstrationError: Their headers differ.
        """
        header = parts[0].header
        if any(one.header != header for one in parts):
            raise DemonstrationError("demonstrations: parts with different headers cannot be joined; make them again")
        whole: dict[str, Any] = {name: np.concatenate([getattr(one, name) for one in parts]) for name in DTYPES}
        arrays = {name: np.concatenate([one.arrays[name] for one in parts]) for name in parts[0].arrays}
        return cls(header, **whole, arrays=arrays)

    def windows(self, history: int, horizon: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Cut training pairs: the newest `history` observations and the next `horizon` actions, of single numbers.

        Before an episode's start its first observation is repeated, as in a newly activated node. Windows that would
        extend beyond an episode's end are left out.

        Returns:
            (K, history, obs_dim), oldest first, and (K, horizon, act_dim), both float32.

        Raises:
            DemonstrationError: No episode is long enough, or `history` or `horizon` is below 1.
        """
        if history < 1 or horizon < 1:
            raise DemonstrationError(f"history is {history} and horizon {horizon}; both must be at least 1")
        past, future = np.arange(1 - history, 1), np.arange(horizon)
        observations, actions = [], []
        for pairs in self.episodes():
            now = np.arange(pairs.start, pairs.stop - horizon + 1)
            observations.append(self.observation[np.maximum(now[:, None] + past, pairs.start)])
            actions.append(self.action[now[:, None] + future])
        observation, action = np.concatenate(observations), np.concatenate(actions)
        if len(action) == 0:
            raise self.too_short(horizon)
        return observation.astype(np.float32), action.astype(np.float32)

    @property
    def is_mapped(self) -> bool:
        """Whether observations, actions or arrays are memory-mapped, because they are large."""
        return any(isinstance(values, np.memmap) for values in (self.observation, self.action, *self.arrays.values()))

    @staticmethod
    def too_short(horizon: int) -> DemonstrationError:
        """Return the error for a horizon longer than every episode."""
        return DemonstrationError(f"demonstrations: no episode has {horizon} actions; choose a shorter horizon")

    def found_at(self, file: Path) -> "DemonstrationSet":
        """Record the file that the set was read from or written to, and return the set."""
        object.__setattr__(self, "file", file)
        return self

    def save(self, folder: Path, *, compressed: bool | None = None) -> Path:
        """Write the set into `folder` as `vdd demos` does, whole or not at all, and return the file.

        Args:
            folder: The folder.
            compressed: Whether to compress arrays; None: if they are small.

        Raises:
            DemonstrationError: The header has an invalid field, so the set could not be read back.
        """
        from vdd_ros.data.formats import npz

        file = npz.write_as(self, folder, compressed=compressed)
        self.found_at(file)
        return file

    @classmethod
    def load(cls, path: Path) -> "DemonstrationSet":
        """Read a set from a file or folder, in any registered format; see `formats.read_demonstrations`.

        Raises:
            DemonstrationError: The set is missing, damaged, of another version, too large, or another program's.
        """
        from vdd_ros.data.formats import read_demonstrations

        return read_demonstrations(path)


def _rows_not_finite(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the rows of (M, ...) with a non-finite value."""
    finite = [np.isfinite(part).reshape(len(part), -1).all(axis=1) for part in blocks(values)]
    return np.flatnonzero(~np.concatenate(finite)) if finite else np.zeros(0, dtype=np.int64)
