"""Demonstration sets: recorded episodes of observations and actions, with names, units and a hash."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstration_file import ARRAYS, MAX_BYTES, check_header, read_file
from vdd_ros.data.foreign import OWN, describe
from vdd_ros.errors import DemonstrationError
from vdd_ros.features import Feature, Signature, listed, to_pairs
from vdd_ros.files import replacing
from vdd_ros.text import printable

FILE_NAME = "demonstrations.npz"
FORMAT_VERSION = 1
_HASHED = ("observation", "action", "lengths", "modes", "contexts")


@dataclass(frozen=True)
class Header:
    """What the numbers of a demonstration set mean.

    Attributes:
        task: Name of the task.
        observation, action: Features, in order; plain numbers, of which name and unit are kept.
        rate_hz: Rate at which the pairs were sampled.
        source: Who or what demonstrated.
        seed: Seed of a scripted demonstrator, else None.
        context: Features of the contexts; none where every episode starts alike.
    """

    task: str
    observation: tuple[Feature, ...]
    action: tuple[Feature, ...]
    rate_hz: float
    source: str
    seed: int | None = None
    context: tuple[Feature, ...] = ()

    @property
    def signature(self) -> Signature:
        """What was observed and commanded, and how often."""
        return Signature(self.observation, self.action, self.rate_hz)

    def to_dict(self) -> dict[str, Any]:
        """Return the header as JSON has it; `context` only where it has an entry, so that old digests hold."""
        fields = asdict(self) | {"observation": to_pairs(self.observation), "action": to_pairs(self.action)}
        fields["context"] = to_pairs(self.context)
        return fields if self.context else {name: value for name, value in fields.items() if name != "context"}


@dataclass(frozen=True)
class DemonstrationSet:
    """Episodes laid end to end: pair k holds the observation at step k and the action taken there.

    Attributes:
        header: Names, units, rate.
        observation: (M, obs_dim) float64.
        action: (M, act_dim) float64.
        lengths: (E,) pairs of each episode; they sum to M.
        modes: (E,) mode of each episode, -1 where unknown.
        contexts: (E, c) float64, what each episode started from; c is 0 where every episode starts alike, and the
            array may then be left out.
        file: Where the set was read from or written to; None for one that is nowhere but in memory.
    """

    header: Header
    observation: NDArray[np.float64]
    action: NDArray[np.float64]
    lengths: NDArray[np.int64]
    modes: NDArray[np.int64]
    contexts: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    file: Path | None = field(default=None, init=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse arrays that contradict one another.

        Raises:
            DemonstrationError: Shapes, lengths or types disagree, the set is empty, or a value is not finite.
        """
        if not self.header.context and self.contexts.shape[1:] == (0,):
            object.__setattr__(self, "contexts", np.zeros((*self.lengths.shape, 0)))
        for name in _HASHED:
            if (kind := getattr(self, name).dtype) != ARRAYS[name]:
                raise DemonstrationError(
                    f"demonstrations: '{name}' is {kind}, not {ARRAYS[name]}; convert it with astype('{ARRAYS[name]}')"
                )
        if arrays := [one for one in (*self.header.observation, *self.header.action) if not one.is_scalar]:
            raise DemonstrationError(
                f"demonstrations: {listed(arrays)} cannot be kept; this version keeps numbers of the type float32 alone"
            )
        pairs = int(self.lengths.sum())
        expected = {
            "observation": (pairs, len(self.header.observation)),
            "action": (pairs, len(self.header.action)),
            "modes": self.lengths.shape,
            "contexts": (*self.lengths.shape, len(self.header.context)),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise DemonstrationError(
                    f"demonstrations: '{name}' has shape {getattr(self, name).shape}, but the header and the "
                    f"lengths ask for {shape}; write the set again"
                )
        if self.lengths.size == 0 or self.lengths.min() < 1:
            raise DemonstrationError("demonstrations: there is no episode, or one without a pair; record it again")
        for name, row in (("observation", "pair"), ("action", "pair"), ("contexts", "episode")):
            bad = np.flatnonzero(~np.isfinite(getattr(self, name)).all(axis=1))
            if bad.size:
                raise DemonstrationError(
                    f"demonstrations: '{name}' is not finite in {bad.size} {row}s, first in {row} {bad[0]}; "
                    "remove the episodes that hold them"
                )

    @property
    def sha256(self) -> str:
        """Hex digest of the header and all numbers."""
        digest = hashlib.sha256(json.dumps(self.header.to_dict(), sort_keys=True).encode())
        for name in _HASHED:
            digest.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        return digest.hexdigest()

    def episodes(self) -> list[slice]:
        """Return the pairs of each episode as slices."""
        ends = np.cumsum(self.lengths)
        return [slice(int(end - length), int(end)) for end, length in zip(ends, self.lengths, strict=True)]

    def windows(self, history: int, horizon: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Cut training pairs: the newest `history` observations and the next `horizon` actions.

        Before an episode's start its first observation is repeated, as the node does when it has just been
        activated. Windows that would reach beyond an episode's end are left out.

        Returns:
            (K, history, obs_dim), oldest first, and (K, horizon, act_dim), both float32.

        Raises:
            DemonstrationError: No episode is long enough.
        """
        past, future = np.arange(1 - history, 1), np.arange(horizon)
        observations, actions = [], []
        for pairs in self.episodes():
            now = np.arange(pairs.start, pairs.stop - horizon + 1)
            observations.append(self.observation[np.maximum(now[:, None] + past, pairs.start)])
            actions.append(self.action[now[:, None] + future])
        observation, action = np.concatenate(observations), np.concatenate(actions)
        if len(action) == 0:
            raise DemonstrationError(f"demonstrations: no episode has {horizon} actions; choose a shorter horizon")
        return observation.astype(np.float32), action.astype(np.float32)

    def save(self, folder: Path) -> Path:
        """Write the set into `folder`, whole or not at all, and return the file.

        Raises:
            DemonstrationError: It could not be read again: a field of the header cannot be, or there is too much.
        """
        target = folder / FILE_NAME
        header = json.dumps({"format_version": FORMAT_VERSION, **self.header.to_dict()})
        try:
            check_header(json.loads(json.dumps(self.header.to_dict())))
        except ValueError as error:
            raise DemonstrationError(f"demonstrations with a wrong header are not written: {error}") from error
        if (total := sum(getattr(self, name).nbytes for name in _HASHED)) > MAX_BYTES:
            raise DemonstrationError(
                f"demonstrations of {total:,} bytes are not written; at most {MAX_BYTES:,}: split them"
            )
        members: dict[str, Any] = {name: getattr(self, name) for name in _HASHED}
        if not self.header.context:
            del members["contexts"]
        with replacing(target) as aside, open(aside, "wb") as file:
            np.savez_compressed(file, header=np.array(header), **members)
        object.__setattr__(self, "file", target)
        return target

    @classmethod
    def load(cls, folder: Path) -> "DemonstrationSet":
        """Read a set that `save` wrote.

        Raises:
            DemonstrationError: The file is missing, damaged, of another version, too large, or another program's.
        """
        file = folder / FILE_NAME if folder.is_dir() else folder
        if not file.exists():
            known = describe(folder) if folder.is_dir() else None
            if known is not None:
                raise _foreign(folder, known)
            raise DemonstrationError(
                f"no demonstrations at '{printable(file)}'; make some with 'vdd demos TASK --out {printable(folder)}' "
                "or name their folder"
            )
        if not file.is_file():
            raise DemonstrationError(f"'{printable(file)}' is no ordinary file; name the folder of the demonstrations")
        if (known := describe(file)) is not None:
            raise _foreign(file, known)
        try:
            header, arrays = read_file(file)
        except DemonstrationError:
            raise
        except Exception as error:  # a damaged archive makes zipfile and numpy raise nearly anything
            raise DemonstrationError(
                f"'{printable(file)}' is not a readable demonstration set ({printable(error)}); write it again with "
                "'vdd demos'"
            ) from error
        version = header.pop("format_version", None)
        if isinstance(version, bool) or version != FORMAT_VERSION:
            raise DemonstrationError(
                f"'{printable(file)}' has format version {printable(version)}; this version of vdd_ros reads "
                f"{FORMAT_VERSION}"
            )
        try:
            found = cls(Header(**check_header(header)), **arrays)
        except (TypeError, ValueError) as error:
            raise DemonstrationError(f"'{printable(file)}' has a malformed header ({error}); write it again") from error
        object.__setattr__(found, "file", file)
        return found


def _foreign(path: Path, known: str) -> DemonstrationError:
    return DemonstrationError(f"'{printable(path)}' is {known}. This version cannot read it as demonstrations: {OWN}")
