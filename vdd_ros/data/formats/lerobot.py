"""LeRobot data sets of version 3.0: many episodes in a Parquet file, read without LeRobot.

Three programs write this version: LeRobot 0.6, LeRobot 0.4 and the converter from version 2.1. They differ in list
types, order of columns and statistics, none of which matter here. Statistics are not used: they are computed from the
frames.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats.assembly import assemble
from vdd_ros.data.formats.choice import Choice
from vdd_ros.data.formats.format import Format
from vdd_ros.data.formats.lerobot_info import ACTION, OBSERVATION, Info, columns, marked, read_info, version_of
from vdd_ros.data.formats.lerobot_record import RECORD, Record, read_record
from vdd_ros.data.formats.lerobot_writer import write
from vdd_ros.data.formats.parquet import FrameFiles, read_table, whole_numbers
from vdd_ros.data.formats.source import Source, check_lengths, damaged

EPISODES = "meta/episodes"
_CHUNK, _FILE = "data/chunk_index", "data/file_index"
_COLUMNS = ("episode_index", "length", _CHUNK, _FILE, "dataset_from_index", "dataset_to_index")


def probe(path: Path) -> bool:
    """Return whether a folder is a LeRobot data set of version 3, or one whose version cannot be read."""
    version = version_of(path)
    return version is not None and (version == "" or version.startswith("v3"))


def open_source(path: Path) -> Source:
    """Open a data set.

    Raises:
        DemonstrationError: pyarrow is missing; the data set was not finalised, is damaged or incomplete.
    """
    info, record = read_info(path), read_record(path)
    lengths, files = _episodes(info)
    frames = FrameFiles(files, lengths)
    return Source(
        path,
        info.title,
        path.resolve().name if record is None else record.header.task,
        lengths,
        columns(info, frames, {} if record is None else record.units),
        info.fps,
        marked(info, OBSERVATION),
        marked(info, ACTION),
    )


def read(path: Path) -> DemonstrationSet:
    """Read a data set; one written by vdd_ros is restored completely.

    Raises:
        DemonstrationError: As `open_source`; or the data set was changed after vdd_ros wrote it.
    """
    source, record = open_source(path), read_record(path)
    found = assemble(source, Choice())
    return found if record is None else _completed(path, found, record)


def _completed(path: Path, found: DemonstrationSet, record: Record) -> DemonstrationSet:
    """Return a set with the header, modes and contexts of its record, which must fit the data set."""
    header = record.header
    same = (found.header.vector, found.header.arrays, found.header.action) == (
        header.vector,
        header.arrays,
        header.action,
    )
    if not same or not np.array_equal(found.lengths, record.lengths):
        raise damaged(
            path / RECORD,
            "does not fit the data set, which was changed after it was written",
            "remove the file to read the data set as LeRobot's alone",
        )
    arrays = {feature.name: found.arrays[feature.name] for feature in header.arrays}
    return DemonstrationSet(
        header, found.observation, found.action, found.lengths, record.modes, record.contexts, arrays
    )


def _episodes(info: Info) -> tuple[NDArray[np.int64], list[Path]]:
    """Return the lengths of the episodes and the files of their frames, in order."""
    folder = info.folder / EPISODES
    files = sorted(folder.glob("chunk-*/file-*.parquet"))
    if not files:
        raise damaged(
            info.folder,
            f"is {info.title} whose recording was not finalised: {info.episodes:,} episodes were counted, but "
            f"{EPISODES} is missing",
            "call dataset.finalize() in the recording program; frames of a recording that ended without it are lost",
        )
    tables: list[Any] = []
    left = info.episodes
    for file in files:
        tables.append(read_table(file, _COLUMNS, left))
        left -= tables[-1].num_rows
    found = {
        name: np.concatenate([whole_numbers(table, name, file) for table, file in zip(tables, files, strict=True)])
        for name in _COLUMNS
    }
    order = np.argsort(found["episode_index"], kind="stable")
    found = {name: values[order] for name, values in found.items()}
    if (found["episode_index"] != np.arange(len(order))).any() or len(order) != info.episodes:
        raise damaged(
            folder,
            f"does not hold each of the counted episodes 0 to {info.episodes - 1:,} once",
            "copy the data set again, with all its files",
        )
    lengths = found["length"]
    check_lengths(info.folder, lengths, info.frames)
    ends = np.cumsum(lengths)
    if (found["dataset_to_index"] != ends).any() or (found["dataset_from_index"] != ends - lengths).any():
        raise damaged(folder, "has bounds of episodes that contradict their lengths", "convert the data set again")
    places = dict.fromkeys(zip(found[_CHUNK].tolist(), found[_FILE].tolist(), strict=True))
    return lengths, [info.data_file(chunk_index=chunk, file_index=file) for chunk, file in places]


FORMAT = Format("LeRobot data set, version 3", probe, read, write, open_source, dtype="float32")
