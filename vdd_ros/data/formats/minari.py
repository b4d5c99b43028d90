"""Minari's data sets, in HDF5 or Arrow: episodes of actions and observations, one more observation than actions."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vdd_ros.data.formats import hdf5
from vdd_ros.data.formats.assembly import reader
from vdd_ros.data.formats.format import Format
from vdd_ros.data.formats.minari_arrow import ACTIONS, OBSERVATIONS, ArrowEpisodes
from vdd_ros.data.formats.source import Source, check_lengths, damaged
from vdd_ros.documents import JsonObject, read_json
from vdd_ros.errors import DemonstrationError
from vdd_ros.text import printable

if TYPE_CHECKING:
    import h5py

FILE, METADATA = "main_data.hdf5", "metadata.json"
_EPISODE, _ARROW = "episode_", "arrow"


def probe(path: Path) -> bool:
    """Return whether a folder is a data set of Minari, or a file belongs to one; raises nothing."""
    return _file(path) is not None or _arrow(path) is not None


def _arrow(path: Path) -> Path | None:
    """Return the folder of episodes of a data set in Arrow; None for other data; raises nothing."""
    for place in (path / "data", path):
        if (place / METADATA).is_file():
            try:
                is_arrow = _metadata(place / FILE).get("data_format") == _ARROW
            except DemonstrationError:
                return None
            return place if is_arrow else None
    return None


def _file(path: Path) -> Path | None:
    """Return the file of a data set, given its folder, its `data` folder or the file itself; None for other data."""
    places = (path / "data" / FILE, path / FILE) if path.is_dir() else (path,)
    found = next((place for place in places if place.name == FILE and place.is_file()), None)
    return found if found is not None and hdf5.is_hdf5(found) else None


def open_source(path: Path) -> Source:
    """Open a data set.

    Raises:
        DemonstrationError: h5py or pyarrow is missing, or the data set is damaged, incomplete or has another layout.
    """
    if (folder := _arrow(path)) is not None:
        return _open_arrow(path, folder)
    place = _file(path)
    if place is None:
        raise damaged(path, f"holds no {FILE}", "name a data set of Minari in HDF5")
    metadata = _metadata(place)
    with hdf5.opened(place) as file:
        episodes = hdf5.numbered(file, _EPISODE, place)
        if not episodes:
            raise damaged(place, f"has no {_EPISODE}0", "give a data set of Minari, with episodes")
        lengths = np.array(
            [hdf5.actions_length(place, name, _sample(hdf5.group(file, name, place), place)) for name in episodes],
            np.int64,
        )
        check_lengths(place, lengths, _count(place, metadata, "total_steps"))
        if (count := _count(place, metadata, "total_episodes")) not in (None, len(lengths)):
            raise damaged(place, f"holds {len(lengths):,} episodes instead of {count:,}", "copy the data set again")
        first = hdf5.group(file, episodes[0], place)
        observed, actions = (_columns(first, role, place) for role in (OBSERVATIONS, ACTIONS))
        columns = [
            hdf5.episode_column(place, key, sample, episodes, lengths, _base(key))
            for key, sample in {**observed, **actions}.items()
        ]
    task = _task(metadata, place)
    return Source(
        path, "a Minari data set (HDF5)", task, lengths, tuple(columns), None, tuple(observed), tuple(actions)
    )


def _open_arrow(path: Path, folder: Path) -> Source:
    metadata, episodes = _metadata(folder / FILE), ArrowEpisodes(folder)
    lengths, columns = episodes.lengths, episodes.columns
    check_lengths(folder, lengths, _count(folder / FILE, metadata, "total_steps"))
    if (count := _count(folder / FILE, metadata, "total_episodes")) not in (None, len(lengths)):
        raise damaged(folder, f"holds {len(lengths):,} episodes instead of {count:,}", "copy the data set again")
    observed, actions = (
        tuple(column.key for column in columns if column.key.partition("/")[0] == role)
        for role in (OBSERVATIONS, ACTIONS)
    )
    task = _task(metadata, folder / FILE)
    return Source(path, "a Minari data set (Arrow)", task, lengths, columns, None, observed, actions)


def _task(metadata: JsonObject, file: Path) -> str:
    task = metadata.get("dataset_id")
    return task if isinstance(task, str) and task else file.parent.resolve().name


def _columns(episode: "h5py.Group", role: str, path: Path) -> "dict[str, h5py.Dataset]":
    """Return the arrays of the observations or the actions of an episode: one, or one for each part of a space."""
    part = hdf5.member(episode, role, path)
    if hasattr(part, "shape"):
        return {role: hdf5.dataset(episode, role, path)}
    if part is None or not (found := hdf5.keys(hdf5.group(episode, role, path), path)):
        raise damaged(path, f"has no {role} in '{printable(episode.name)}'", "record or convert it again")
    return {f"{role}/{key}": values for key, values in found.items()}


def _sample(episode: "h5py.Group", path: Path) -> "h5py.Dataset":
    return next(iter(_columns(episode, ACTIONS, path).values()))


def _base(key: str) -> str:
    """Return the name of the numbers of a key, such as action and arm/pos of actions and observations/arm/pos."""
    role, _, rest = key.partition("/")
    return rest or role.removesuffix("s")


def _metadata(file: Path) -> JsonObject:
    """Return metadata.json beside the file; empty if missing, as in data sets of old versions."""
    place = file.parent / METADATA
    found = read_json(place, DemonstrationError) if place.is_file() else {}
    if not isinstance(found, dict):
        raise damaged(place, "is not a JSON object", "copy the data set again")
    return found


def _count(file: Path, metadata: JsonObject, name: str) -> int | None:
    value = metadata.get(name)
    is_whole = type(value) is int or (isinstance(value, float) and value.is_integer())
    if value is not None and not is_whole:
        raise damaged(file.parent / METADATA, f"has {name} {printable(value)}, not a whole number", "copy it again")
    return int(value) if isinstance(value, int | float) else None


FORMAT = Format("data set of Minari", probe, reader(open_source), open=open_source)
