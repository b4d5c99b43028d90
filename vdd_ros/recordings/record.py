"""The record of a conversion as a JSON file: each episode with its alignment, and those left out."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TypeVar

from vdd_ros.documents import Json, JsonObject, read_json
from vdd_ros.errors import DemonstrationError
from vdd_ros.recordings.alignment import Alignment, Spread, TopicAlignment
from vdd_ros.text import printable

RECORD_NAME = "recordings.json"
VERSION = 1

Value = TypeVar("Value")


@dataclass(frozen=True)
class EpisodeRecord:
    """An episode of the set.

    Attributes:
        name: Its unique name; see `vdd_ros.recordings.episode_names`. A part of an episode adds `:` and its number.
        pairs: Number of pairs.
        begin_s: Time of its first pair, in seconds since the epoch.
        cut_s: Time cut off before and after, in seconds.
        outside_limits: Commands outside the robot file's limits, by number of the command.
        alignment: Alignment in time.
        awaited: Input or command that it waited for at its beginning; empty if none.
        interrupted: For a part of an episode: the interruption before it; otherwise empty.
    """

    name: str
    pairs: int
    begin_s: float
    cut_s: tuple[float, float]
    outside_limits: dict[str, int]
    alignment: Alignment
    awaited: str = ""
    interrupted: str = ""


@dataclass(frozen=True)
class LeftOut:
    """An episode that was left out, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class BagRecord:
    """Record of one bag.

    Attributes:
        name: Name of the bag.
        path: Path of the bag.
        messages: Number of messages read.
        episodes: Its episodes in the set.
        left_out: The others.
    """

    name: str
    path: str
    messages: int
    episodes: list[EpisodeRecord] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The names of its episodes, in the set or not."""
        return [*(one.name for one in self.episodes), *(one.name for one in self.left_out)]


@dataclass(frozen=True)
class ConversionRecord:
    """Record of all bags.

    Attributes:
        version: Version of the record.
        robot: The robot file.
        rate_hz: Pairs per second.
        sha256: Hash of the set.
        bags: Every bag, in order.
    """

    version: int
    robot: str
    rate_hz: float
    sha256: str
    bags: list[BagRecord]

    @property
    def episodes(self) -> list[EpisodeRecord]:
        """The episodes of the set, in order."""
        return [episode for bag in self.bags for episode in bag.episodes]

    @property
    def left_out(self) -> list[LeftOut]:
        """The episodes that were left out."""
        return [one for bag in self.bags for one in bag.left_out]

    @property
    def alignment(self) -> Alignment:
        """The alignment over all episodes."""
        return Alignment.total([episode.alignment for episode in self.episodes])


def read_record(file: Path) -> ConversionRecord:
    """Read the record beside a set.

    Raises:
        DemonstrationError: The file is missing or damaged, or of another version.
    """
    value = read_json(file, DemonstrationError)
    return _checked(file, lambda: _conversion(_object(value)))


def read_bag_record(file: Path) -> BagRecord:
    """Read the record of a bag; raises DemonstrationError as `read_record` does."""
    value = read_json(file, DemonstrationError)
    return _checked(file, lambda: _bag(_object(value)))


def _checked(file: Path, read: Callable[[], Value]) -> Value:
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DemonstrationError(
            f"'{printable(file)}' is not a record of a conversion ({printable(error)}); convert the bags again"
        ) from error


def _conversion(value: JsonObject) -> ConversionRecord:
    if value["version"] != VERSION:
        raise ValueError(f"its version is {value['version']}; this version of vdd_ros reads {VERSION}")
    bags = [_bag(_object(one)) for one in _list(value["bags"])]
    return ConversionRecord(VERSION, _text(value["robot"]), _number(value["rate_hz"]), _text(value["sha256"]), bags)


def _bag(value: JsonObject) -> BagRecord:
    return BagRecord(
        _text(value["name"]),
        _text(value["path"]),
        int(_number(value["messages"])),
        [_episode(_object(one)) for one in _list(value["episodes"])],
        [LeftOut(_text(_object(one)["name"]), _text(_object(one)["reason"])) for one in _list(value["left_out"])],
    )


def _episode(value: JsonObject) -> EpisodeRecord:
    before, behind = map(_number, _list(value["cut_s"]))
    return EpisodeRecord(
        _text(value["name"]),
        int(_number(value["pairs"])),
        _number(value["begin_s"]),
        (before, behind),
        {name: int(_number(count)) for name, count in _object(value["outside_limits"]).items()},
        _alignment(_object(value["alignment"])),
        _text(value.get("awaited", "")),
        _text(value.get("interrupted", "")),
    )


def _alignment(value: JsonObject) -> Alignment:
    inputs, commands = (
        {name: _topic(_object(one)) for name, one in _object(value[key]).items()} for key in ("inputs", "commands")
    )
    return Alignment(_spread(_object(value["spread_s"])), inputs, commands)


def _topic(value: JsonObject) -> TopicAlignment:
    counts = {name: int(_number(value[name])) for name in ("messages", "repeats", "drops", "refused", "unstamped")}
    return TopicAlignment(
        rate_hz=_number(value["rate_hz"]),
        time_s=_spread(_object(value["time_s"])),
        refusals=_text(value["refusals"]),
        **counts,
    )


def _spread(value: JsonObject) -> Spread:
    return Spread(*(_number(value[one.name]) for one in fields(Spread)))


def _object(value: Json) -> JsonObject:
    if not isinstance(value, Mapping):
        raise TypeError(f"{printable(value)} is not an object")
    return dict(value)


def _list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise TypeError(f"{printable(value)} is not a list")
    return value


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{printable(value)} is not a text")
    return value


def _number(value: Json) -> float:
    """Return a number; null stands for NaN."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{printable(value)} is not a number")
    return value
