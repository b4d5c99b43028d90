"""Demonstration sets: recorded episodes of observations and actions, with names, units and a hash."""

import hashlib
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import DemonstrationError
from vdd_ros.files import replacing

FILE_NAME = "demonstrations.npz"
FORMAT_VERSION = 1
_ARRAYS = ("header", "observation", "action", "lengths", "modes")


@dataclass(frozen=True)
class Header:
    """What the numbers of a demonstration set mean.

    Attributes:
        task: Name of the task.
        observation, action: (name, unit) of each entry, in order.
        rate_hz: Rate at which the pairs were sampled.
        source: Who or what demonstrated.
        seed: Seed of a scripted demonstrator, else None.
    """

    task: str
    observation: tuple[tuple[str, str], ...]
    action: tuple[tuple[str, str], ...]
    rate_hz: float
    source: str
    seed: int | None = None


@dataclass(frozen=True)
class DemonstrationSet:
    """Episodes laid end to end: pair k holds the observation at step k and the action taken there.

    Attributes:
        header: Names, units, rate.
        observation: (M, obs_dim) float64.
        action: (M, act_dim) float64.
        lengths: (E,) pairs of each episode; they sum to M.
        modes: (E,) mode of each episode, -1 where unknown.
    """

    header: Header
    observation: NDArray[np.float64]
    action: NDArray[np.float64]
    lengths: NDArray[np.int64]
    modes: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Refuse arrays that contradict one another.

        Raises:
            DemonstrationError: Shapes or lengths disagree, the set is empty, or a value is not finite.
        """
        pairs = int(self.lengths.sum())
        expected = {
            "observation": (pairs, len(self.header.observation)),
            "action": (pairs, len(self.header.action)),
            "modes": self.lengths.shape,
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise DemonstrationError(
                    f"demonstrations: '{name}' has shape {getattr(self, name).shape}, but the header and the "
                    f"lengths ask for {shape}; write the set again"
                )
        if self.lengths.size == 0 or self.lengths.min() < 1:
            raise DemonstrationError("demonstrations: there is no episode, or one without a pair; record it again")
        for name in ("observation", "action"):
            bad = np.flatnonzero(~np.isfinite(getattr(self, name)).all(axis=1))
            if bad.size:
                raise DemonstrationError(
                    f"demonstrations: '{name}' is not finite in {bad.size} pairs, first in pair {bad[0]}; "
                    "remove the episodes that hold them"
                )

    @property
    def sha256(self) -> str:
        """Hex digest of the header and all numbers."""
        digest = hashlib.sha256(json.dumps(asdict(self.header), sort_keys=True).encode())
        for name in _ARRAYS[1:]:
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
        """Write the set into `folder`, whole or not at all, and return the file."""
        target = folder / FILE_NAME
        header = json.dumps({"format_version": FORMAT_VERSION, **asdict(self.header)})
        with replacing(target) as aside, open(aside, "wb") as file:
            np.savez_compressed(
                file,
                header=np.array(header),
                observation=self.observation,
                action=self.action,
                lengths=self.lengths,
                modes=self.modes,
            )
        return target

    @classmethod
    def load(cls, folder: Path) -> "DemonstrationSet":
        """Read a set that `save` wrote.

        Raises:
            DemonstrationError: The file is missing, damaged or of another version.
        """
        file = folder / FILE_NAME if folder.is_dir() else folder
        if not file.is_file():
            raise DemonstrationError(
                f"no demonstrations at '{file}'; make some with 'vdd demos TASK --out {folder}' or name their folder"
            )
        try:
            header, arrays = _read(file)
        except Exception as error:  # a damaged archive makes zipfile and numpy raise nearly anything
            raise DemonstrationError(
                f"'{file}' is not a readable demonstration set ({error}); write it again with 'vdd demos'"
            ) from error
        version = header.pop("format_version", None)
        if version != FORMAT_VERSION:
            raise DemonstrationError(
                f"'{file}' has format version {version}; this version of vdd_ros reads {FORMAT_VERSION}"
            )
        try:
            return cls(_header(header), **arrays)
        except (TypeError, KeyError, ValueError) as error:
            raise DemonstrationError(f"'{file}' has a malformed header ({error}); write it again") from error


def _read(file: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read the header and the arrays as they stand in the file."""
    if not zipfile.is_zipfile(file):
        raise ValueError("it is no .npz archive, or was cut off")
    with np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in _ARRAYS}
    header = json.loads(str(arrays.pop("header")))
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    for name, array in arrays.items():
        kind = np.float64 if name in ("observation", "action") else np.int64
        if array.dtype != kind:
            raise ValueError(f"'{name}' is {array.dtype}, not {np.dtype(kind)}")
    return header, arrays


def _header(fields: dict[str, object]) -> Header:
    pairs = {key: tuple((str(name), str(unit)) for name, unit in fields[key]) for key in ("observation", "action")}  # type: ignore[attr-defined]
    return Header(**{**fields, **pairs})  # type: ignore[arg-type]
