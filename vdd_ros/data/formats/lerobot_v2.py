"""LeRobot data sets of version 2.1 (LeRobot 0.3): one Parquet file per episode, read without LeRobot."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.formats.assembly import reader
from vdd_ros.data.formats.format import Format
from vdd_ros.data.formats.lerobot_info import ACTION, OBSERVATION, Info, columns, marked, read_info, version_of
from vdd_ros.data.formats.parquet import FrameFiles
from vdd_ros.data.formats.source import MAX_FRAMES, Source, check_lengths, damaged
from vdd_ros.documents import parse_json
from vdd_ros.errors import DemonstrationError
from vdd_ros.text import printable

VERSION = "v2.1"
EPISODES = "meta/episodes.jsonl"
_MAX_BYTES = 1 << 30
_MAX_LINE = 1 << 20


def probe(path: Path) -> bool:
    """Return whether a folder is a LeRobot data set of version 2.1."""
    return version_of(path) == VERSION


def open_source(path: Path) -> Source:
    """Open a data set.

    Raises:
        DemonstrationError: pyarrow is missing, or the data set is damaged or incomplete.
    """
    info = read_info(path)
    lengths = _lengths(info)
    check_lengths(path, lengths, info.frames)
    files = [
        info.data_file(episode_chunk=number // info.chunks_size, episode_index=number) for number in range(len(lengths))
    ]
    frames = FrameFiles(files, lengths)
    return Source(
        path,
        info.title,
        path.resolve().name,
        lengths,
        columns(info, frames),
        info.fps,
        marked(info, OBSERVATION),
        marked(info, ACTION),
    )


def _lengths(info: Info) -> NDArray[np.int64]:
    """Return the lengths of the episodes, in order, from the lines of meta/episodes.jsonl."""
    file = info.folder / EPISODES
    if not file.is_file():
        raise damaged(file, "is missing", "record or copy the data set again, with all its files")
    if file.stat().st_size > _MAX_BYTES:
        raise damaged(file, f"has more than {_MAX_BYTES:,} bytes", "split the data set")
    found: dict[int, int] = {}
    with file.open("rb") as stream:
        for number, line in enumerate(iter(lambda: stream.readline(_MAX_LINE), b""), start=1):
            if not line.strip():
                continue
            fields = parse_json(line, f"{file}, line {number:,},", DemonstrationError)
            episode, length = (
                fields.get(key) if isinstance(fields, dict) else None for key in ("episode_index", "length")
            )
            if type(episode) is not int or type(length) is not int or not 0 < length <= MAX_FRAMES or episode in found:
                raise damaged(
                    file,
                    f"has the episode {printable(episode)} with the length {printable(length)} in line {number:,}",
                    "correct it, or copy it again",
                )
            found[episode] = length
    if sorted(found) != list(range(info.episodes)):
        raise damaged(
            file,
            f"does not hold each of the counted episodes 0 to {info.episodes - 1:,} once",
            "copy the data set again, with all its files",
        )
    return np.array([found[episode] for episode in range(info.episodes)], np.int64)


FORMAT = Format("LeRobot data set, version 2.1", probe, reader(open_source), open=open_source)
