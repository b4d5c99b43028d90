"""robomimic's HDF5 files: data/demo_0 … with actions and obs; also LIBERO's and MimicGen's."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.formats import hdf5
from vdd_ros.data.formats.assembly import reader
from vdd_ros.data.formats.format import Format
from vdd_ros.data.formats.source import Source, check_lengths, damaged
from vdd_ros.documents import JsonObject, parse_json
from vdd_ros.errors import DemonstrationError
from vdd_ros.text import printable

if TYPE_CHECKING:
    import h5py

_DATA, _DEMO, _OBS, _ACTIONS = "data", "demo_", "obs", "actions"


def probe(path: Path) -> bool:
    """Return whether a file is HDF5 with demonstrations of robomimic."""
    return path.is_file() and hdf5.holds(path, lambda file: _is_robomimic(file, path))


def _is_robomimic(file: "h5py.File", path: Path) -> bool:
    return any(name.startswith(_DEMO) for name in hdf5.group(file, _DATA, path))


def open_source(path: Path) -> Source:
    """Open a file.

    Raises:
        DemonstrationError: h5py is missing, or the file is damaged or has another layout.
    """
    with hdf5.opened(path) as file:
        data = hdf5.group(file, _DATA, path)
        names = hdf5.numbered(data, _DEMO, path)
        if not names:
            raise damaged(path, f"has no {_DATA}/{_DEMO}0", "give a file of robomimic, with demonstrations")
        episodes = [f"{_DATA}/{name}" for name in names]
        demos = [hdf5.group(data, name, path) for name in names]
        lengths = np.array([_length(path, demo) for demo in demos], np.int64)
        check_lengths(path, lengths, int(data.attrs["total"]) if "total" in data.attrs else None)
        if hdf5.member(demos[0], _OBS, path) is None:
            raise damaged(
                path,
                f"has no '{_OBS}' in {names[0]}, only states of the simulator",
                "extract observations with robomimic's dataset_states_to_obs.py",
            )
        found = hdf5.keys(hdf5.group(demos[0], _OBS, path), path)
        observed = [
            hdf5.episode_column(path, f"{_OBS}/{key}", sample, episodes, lengths, key) for key, sample in found.items()
        ]
        sample = hdf5.dataset(demos[0], _ACTIONS, path)
        action = hdf5.episode_column(path, _ACTIONS, sample, episodes, lengths, "action")
        task, rate_hz = _environment(path, data)
        return Source(
            path,
            "a robomimic file (HDF5)",
            task or path.stem,
            lengths,
            (*observed, action),
            rate_hz,
            tuple(column.key for column in observed),
            (_ACTIONS,),
            _subsets(path, file, names),
        )


def _length(path: Path, demo: "h5py.Group") -> int:
    length = hdf5.actions_length(path, demo.name, hdf5.dataset(demo, _ACTIONS, path))
    if "num_samples" in demo.attrs and int(demo.attrs["num_samples"]) != length:
        raise damaged(
            path,
            f"states {int(demo.attrs['num_samples']):,} samples for '{printable(demo.name)}', which has {length:,} "
            "actions",
            "remove that episode, or convert the file again",
        )
    return length


def _environment(path: Path, data: "h5py.Group") -> tuple[str | None, float | None]:
    """Return the name of the environment and its control rate, if the file states them."""
    if "env_args" not in data.attrs:
        return None, None
    try:
        args = parse_json(hdf5.text(data.attrs["env_args"]), f"env_args of '{path}'", DemonstrationError)
    except DemonstrationError:
        return None, None
    fields: JsonObject = args if isinstance(args, dict) else {}
    kwargs = fields.get("env_kwargs")
    rate = kwargs.get("control_freq") if isinstance(kwargs, dict) else None
    known = isinstance(rate, int | float) and not isinstance(rate, bool) and 0 < rate <= 1e6
    name = fields.get("env_name")
    return (name if isinstance(name, str) and name else None), (float(rate) if known else None)  # type: ignore[arg-type]


def _subsets(path: Path, file: "h5py.File", names: list[str]) -> dict[str, NDArray[np.int64]]:
    """Return the filter keys of robomimic: named lists of episodes."""
    if hdf5.member(file, "mask", path) is None:
        return {}
    mask = hdf5.group(file, "mask", path)
    number = {name: index for index, name in enumerate(names)}
    found = {}
    for key in sorted(mask):
        members = hdf5.dataset(mask, key, path)
        if members.ndim != 1 or members.shape[0] > len(names) or members.dtype.itemsize > hdf5.MAX_TEXT:
            form = f"{printable(members.dtype)} and the shape {members.shape}"
            raise damaged(path, f"has the mask '{printable(key)}' of {form}", "remove or correct it")
        listed = [hdf5.text(member) for member in members[()]]
        if unknown := [name for name in listed if name not in number]:
            raise damaged(
                path, f"has '{printable(unknown[0])}' in the mask '{printable(key)}', but no such episode", "correct it"
            )
        found[key] = np.array([number[name] for name in listed], np.int64)
    return found


FORMAT = Format("HDF5 of robomimic", probe, reader(open_source), open=open_source)
