"""meta/info.json of a LeRobot data set: version, rate, features, and paths of its files."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vdd_ros.data.formats.parquet import FrameFiles
from vdd_ros.data.formats.source import MAX_EPISODES, MAX_FRAMES, Column, damaged
from vdd_ros.documents import Json, JsonObject, read_json
from vdd_ros.errors import DemonstrationError
from vdd_ros.text import printable

INFO = "meta/info.json"
STATISTICS = "meta/stats.json"
OBSERVATION, ACTION = "observation", "action"
_MAX_BYTES = 16 << 20
_MAX_FEATURES = 4_096
_MAX_AXES = 4
_PLACE = re.compile(r"\{(\w+)(?::0(\d)d)?\}")
_DTYPE = re.compile(r"(float|u?int)[0-9]{1,2}|bool")
_BOOKKEEPING = ("timestamp", "frame_index", "episode_index", "index", "task_index")


@dataclass(frozen=True)
class Info:
    """Content of meta/info.json.

    Attributes:
        folder: Folder of the data set.
        version: Version, such as "v3.0".
        fps: Frames per second.
        features: Key to its description.
        data_path: Pattern of the data files.
        episodes: Number of episodes.
        frames: Number of frames of all episodes.
        chunks_size: Episodes in a folder (v2.1).
    """

    folder: Path
    version: str
    fps: float
    features: dict[str, JsonObject]
    data_path: str
    episodes: int
    frames: int
    chunks_size: int

    @property
    def title(self) -> str:
        """Description of the data set, with an article."""
        return f"a LeRobot data set ({self.version})"

    def data_file(self, **places: int) -> Path:
        """Return a data file, given the numbers for the pattern.

        Raises:
            DemonstrationError: The pattern names something else, or leaves the folder.
        """
        outside = re.sub(_PLACE, "", self.data_path)
        names = [match[1] for match in _PLACE.finditer(self.data_path)]
        parts = Path(self.data_path).parts
        if (
            set(names) - set(places)
            or "{" in outside
            or "}" in outside
            or ".." in parts
            or Path(self.data_path).is_absolute()
        ):
            raise damaged(
                self.folder / INFO,
                f"has the data_path '{printable(self.data_path)}', which is not one of LeRobot's",
                "convert the data set with LeRobot",
            )
        return self.folder / _PLACE.sub(lambda match: str(places[match[1]]).zfill(int(match[2] or 0)), self.data_path)


def version_of(folder: Path) -> str | None:
    """Return the version of a LeRobot data set, "" if it is damaged, None for any other folder; raises nothing."""
    file = folder / INFO
    if not folder.is_dir() or not file.is_file():
        return None
    try:
        fields = read_json(file, DemonstrationError, max_bytes=_MAX_BYTES)
    except DemonstrationError:
        return ""
    return str(fields["codebase_version"]) if isinstance(fields, dict) and "codebase_version" in fields else None


def read_info(folder: Path) -> Info:
    """Read meta/info.json; raises DemonstrationError if it is damaged."""
    file = folder / INFO
    fields = read_json(file, DemonstrationError, max_bytes=_MAX_BYTES)
    if not isinstance(fields, dict):
        raise damaged(file, "is not a JSON object", "copy the data set again")
    features = fields.get("features")
    if not isinstance(features, dict) or not features or len(features) > _MAX_FEATURES:
        raise damaged(file, f"has no features, or more than {_MAX_FEATURES:,}", "copy the data set again")
    if bad := [key for key, feature in features.items() if not isinstance(feature, dict)]:
        raise damaged(
            file, f"does not describe the feature '{printable(bad[0])}' by an object", "copy the data set again"
        )
    fps = fields.get("fps")
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps <= 1e6:
        raise damaged(file, f"has the fps {printable(fps)}, not a number above 0", "correct it")
    return Info(
        folder,
        printable(fields.get("codebase_version"), 20),
        float(fps),
        {key: feature for key, feature in features.items() if isinstance(feature, dict)},
        str(fields.get("data_path")),
        _count(file, fields, "total_episodes", MAX_EPISODES),
        _count(file, fields, "total_frames", MAX_FRAMES),
        max(_count(file, {"chunks_size": 1000, **fields}, "chunks_size", MAX_EPISODES), 1),
    )


def _count(file: Path, fields: JsonObject, name: str, most: int) -> int:
    value = fields.get(name)
    if type(value) is not int or not 0 <= value <= most:
        raise damaged(
            file, f"has {name} {printable(value)}, not a whole number from 0 to {most:,}", "copy the data set again"
        )
    return value


def columns(info: Info, frames: FrameFiles, units: Mapping[str, tuple[str, ...]] | None = None) -> tuple[Column, ...]:
    """Return the columns of a data set, without mere counters; `units` are known for some keys."""
    broken, units = _not_finite(info), units or {}
    return tuple(
        replace(_column(info, key, feature, frames, key in broken), units=units.get(key, ()))
        for key, feature in info.features.items()
        if key not in _BOOKKEEPING
    )


def marked(info: Info, role: str) -> tuple[str, ...]:
    """Return the keys of the observation or of the action, in order."""
    return tuple(key for key in info.features if key == role or key.startswith(f"{role}."))


def _column(info: Info, key: str, feature: JsonObject, frames: FrameFiles, is_broken: bool) -> Column:
    dtype, base = str(feature.get("dtype")), key.removeprefix(f"{OBSERVATION}.")
    shape = _shape(info, key, feature.get("shape"))
    names = _names(feature.get("names"))
    if dtype == "video":
        problem = "is a video; videos are not read"
        return Column(key, shape, "uint8", lambda: frames.read_numbers(key, shape), base, problem=problem)
    if dtype == "image":
        height, width, depth = (
            (shape[1], shape[2], shape[0])
            if names[:1] in (("channels",), ("channel",))
            else (shape if len(shape) == 3 else (0, 0, 0))
        )
        problem = "" if depth == 3 else f"has images of the shape {shape}; height, width and 3 colours are read"
        return Column(
            key, (height, width, 3), "uint8", lambda: frames.read_images(key, (height, width, 3)), base, problem=problem
        )
    if dtype == "string" or not _is_number(dtype):
        return Column(key, shape, "uint8", lambda: frames.read_numbers(key, shape), base, problem="is not a number")
    if len(names) != math.prod(shape) or len(set(names)) < len(names):
        names = ()
    note = f"Its statistics in {STATISTICS} are not finite either." if is_broken else ""
    return Column(key, shape, dtype, lambda: frames.read_numbers(key, shape), base, names, note=note)


def _is_number(dtype: str) -> bool:
    try:
        return _DTYPE.fullmatch(dtype) is not None and np.dtype(dtype).kind in "fiub"
    except TypeError:
        return False


def _shape(info: Info, key: str, shape: Json) -> tuple[int, ...]:
    sizes = shape if isinstance(shape, list) else [None]
    if len(sizes) > _MAX_AXES or not all(type(size) is int and 1 <= size <= MAX_FRAMES for size in sizes):
        raise damaged(
            info.folder / INFO, f"has the shape {printable(shape)} for '{printable(key)}'", "correct or convert it"
        )
    return tuple(size for size in sizes if isinstance(size, int))


def _names(names: Json) -> tuple[str, ...]:
    """Return the names of the numbers of a feature: in LeRobot a list, an object, or nothing."""
    if isinstance(names, dict):
        names = _names_in(names)
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        return ()
    return tuple(str(name) for name in names)


def _names_in(names: JsonObject) -> list[Json]:
    """Return the names in an object: by their index, as in {"x": 0, "y": 1}, or in its lists."""
    places = {name: place for name, place in names.items() if type(place) is int}
    if len(places) == len(names) and sorted(places.values()) == list(range(len(names))):
        ordered: list[str] = sorted(places, key=places.__getitem__)
        return [*ordered]
    return [name for part in names.values() for name in (part if isinstance(part, list) else [part])]


def _not_finite(info: Info) -> set[str]:
    """Return the keys with non-finite statistics; none without statistics."""
    file = info.folder / STATISTICS
    if not file.is_file():
        return set()
    try:
        found = read_json(file, DemonstrationError)
    except DemonstrationError:
        return set()
    return {key for key, value in found.items() if not _finite(value)} if isinstance(found, dict) else set()


def _finite(value: Json) -> bool:
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
