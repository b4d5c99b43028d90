"""Zarr stores of Diffusion Policy and its relatives (UMI, DP3): data/KEY end to end, meta/episode_ends."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.formats import zarr_store
from vdd_ros.data.formats.assembly import reader
from vdd_ros.data.formats.format import Format
from vdd_ros.data.formats.source import MAX_EPISODES, Column, Source, check_lengths, damaged
from vdd_ros.data.formats.zarr_arrays import ZarrArray, read_array
from vdd_ros.file_kinds import archive_names
from vdd_ros.text import printable

ENDS = "meta/episode_ends"
_DATA, _ACTION = "data", "action"
_MARKS = tuple(f"{ENDS}/{name}" for name in (".zarray", "zarr.json"))


def probe(path: Path) -> bool:
    """Return whether a folder or a zip file is a store with the ends of its episodes; raises nothing."""
    if path.is_dir():
        return any((path / mark).is_file() for mark in _MARKS)
    return not set(_MARKS).isdisjoint(archive_names(path))


def open_source(path: Path) -> Source:
    """Open a store, which states neither its rate nor which keys are observed.

    Raises:
        DemonstrationError: The store is damaged, or its arrays contradict the ends of the episodes.
    """
    with zarr_store.opened(path) as store:
        lengths = _lengths(store)
        names = store.folders(_DATA)
        arrays = [found for name in names if (found := read_array(store, f"{_DATA}/{name}")) is not None]
    columns = tuple(_column(path, found, int(lengths.sum())) for found in arrays)
    has_action = any(column.key == _ACTION for column in columns)
    task = path.resolve().name.removesuffix(".zip").removesuffix(".zarr")
    kind = "a zarr store of Diffusion Policy"
    return Source(path, kind, task or path.name, lengths, columns, action=(_ACTION,) if has_action else ())


def _lengths(store: zarr_store.Store) -> NDArray[np.int64]:
    ends = read_array(store, ENDS)
    if ends is None or ends.problem or ends.dtype.kind not in "iu" or len(ends.shape) != 1:
        raise damaged(store.path, f"has no whole numbers as {ENDS}", "write the store again")
    if ends.shape[0] > MAX_EPISODES:
        raise damaged(store.path, f"has {ends.shape[0]:,} episodes", f"at most {MAX_EPISODES:,} are read: split it")
    found = ends.read(store).astype(np.int64)
    lengths = np.diff(found, prepend=0)
    if len(lengths) and lengths.min() < 1:
        bad = int(np.argmin(lengths))
        raise damaged(
            store.path,
            f"has {ENDS} that do not increase: episode {bad} ends at {found[bad]:,}",
            "write the store again, without episodes that have no frame",
        )
    check_lengths(store.path, lengths)
    return lengths


def _column(path: Path, found: ZarrArray, frames: int) -> Column:
    key, problem = found.name.removeprefix(f"{_DATA}/"), found.problem
    if not problem and found.shape[:1] != (frames,):
        problem = f"has {found.shape[0] if found.shape else 0:,} frames, while the episodes end at {frames:,}"

    def read() -> NDArray[Any]:
        with zarr_store.opened(path) as store:
            return found.read(store)

    if not problem and 0 in found.shape:
        problem = f"has the shape {printable(found.shape)}, without a number for each frame"
    return Column(key, found.shape[1:], found.dtype.name, read, problem=problem)


FORMAT = Format("zarr store of Diffusion Policy", probe, reader(open_source), open=open_source)
