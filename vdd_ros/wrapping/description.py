"""Meaning of a foreign graph's numbers: the YAML file for `vdd wrap`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vdd_ros.documents import read_yaml
from vdd_ros.errors import ConfigurationError
from vdd_ros.features import Feature
from vdd_ros.file_kinds import SPEC, misplaced
from vdd_ros.text import printable
from vdd_ros.wrapping.spec_fields import Fields

_ROOT = ("method", "task", "rate_hz", "input", "output", "history", "horizon", "observation", "action")
_HISTORY = ("length", "grouped_by", "newest")
_NUMBER = ("name", "names", "unit", "scale", "offset", "low", "high", "mean", "std")
_OBSERVED = ("input", *_NUMBER)
GROUPED_BY = ("frame", "entry")
NEWEST = ("last", "first")


@dataclass(frozen=True)
class ForeignNumber:
    """One number of a foreign graph.

    Attributes:
        feature: Name, unit and limits of the physical value.
        scale, offset: For an observation, the graph takes (value - offset) * scale; for an action, the value is
            number * scale + offset.
        mean, std: Statistics of the physical value in training.
        known: Whether the file states them; otherwise they are the middle and half the range, or 0 and 1 without
            limits.
        block: Its item in the list.
        input: The graph's input that takes it; None if there is only one.
    """

    feature: Feature
    scale: float
    offset: float
    mean: float
    std: float
    known: bool
    block: int
    input: str | None = None


@dataclass(frozen=True)
class DescribedInput:
    """One input of a foreign graph.

    Attributes:
        name: Name of the tensor; None if the graph has only one.
        order: Index in (history, obs_dim), oldest first, of each of its numbers.
    """

    name: str | None
    order: tuple[int, ...]


@dataclass(frozen=True)
class ForeignDescription:
    """Meaning of the numbers of a foreign graph.

    Attributes:
        method: Free text about the training.
        task: Name of the task, or None.
        rate_hz: Control rate.
        inputs: The inputs of the graph.
        output: Name of the graph's output; None if it has only one.
        history: Observations in.
        horizon: Actions out.
        observation: Numbers of one observation.
        action: Numbers of one action.
    """

    method: str
    task: str | None
    rate_hz: float
    inputs: tuple[DescribedInput, ...]
    output: str | None
    history: int
    horizon: int
    observation: tuple[ForeignNumber, ...]
    action: tuple[ForeignNumber, ...]

    @property
    def unknown(self) -> list[str]:
        """Names of the observation entries whose statistics are unknown."""
        return [number.feature.name for number in self.observation if not number.known]


def read_description(path: Path) -> ForeignDescription:
    """Read the description of a foreign graph.

    Raises:
        ConfigurationError: The file cannot be read, or a field is missing, unknown or wrong; the message names it.
    """
    if why := misplaced(path, SPEC, "a description of a graph"):
        raise ConfigurationError(f"{printable(path)} {why}")
    root = Fields(read_yaml(path, ConfigurationError), str(path), "", _ROOT)
    rate_hz = root.number("rate_hz")
    if rate_hz <= 0:
        root.refuse("rate_hz", f"is {rate_hz:g}; it must be above 0")
    observation, action = (tuple(_numbers(root, str(path), part)) for part in ("observation", "action"))
    history, grouped_by, newest = _history(root, str(path))
    given = root.text("input") if root.has("input") else None
    return ForeignDescription(
        method=root.text("method"),
        task=root.text("task") if root.has("task") else None,
        rate_hz=rate_hz,
        inputs=_inputs(root, given, observation, (history, grouped_by, newest)),
        output=root.text("output") if root.has("output") else None,
        history=history,
        horizon=root.count("horizon", 1),
        observation=observation,
        action=action,
    )


def _inputs(
    root: Fields, given: str | None, observation: tuple[ForeignNumber, ...], form: tuple[int, str, str]
) -> tuple[DescribedInput, ...]:
    """Return the inputs: a single one takes all numbers, several take those of the items that name them."""
    names = dict.fromkeys(number.input for number in observation)
    if names == {None: None}:
        return (DescribedInput(given, _order(observation, range(len(observation)), *form)),)
    if None in names:
        root.refuse("observation", "names the `input` of only some items; name it for all or none")
    if given is not None:
        root.refuse("input", "conflicts with the `input` of the items of `observation`; leave it out")
    columns = {name: [index for index, number in enumerate(observation) if number.input == name] for name in names}
    return tuple(DescribedInput(name, _order(observation, members, *form)) for name, members in columns.items())


def _history(root: Fields, file: str) -> tuple[int, str, str]:
    """Return length, grouping and position of the newest observation."""
    if not root.has("history"):
        return 1, GROUPED_BY[0], NEWEST[0]
    value = root.get("history")
    fields = Fields({"length": value} if isinstance(value, int) else value, file, "history", _HISTORY)
    length = fields.count("length", 1)
    if length > 1 and not (fields.has("grouped_by") and fields.has("newest")):
        fields.refuse(
            "",
            "is longer than 1: state the order of the graph's input with grouped_by (frame: one observation after the "
            "other; entry: all times of each item of `observation`, then of the next) and newest (last or first), as "
            f"in history: {{length: {length}, grouped_by: entry, newest: last}}",
        )
    grouped_by = fields.choice("grouped_by", GROUPED_BY, GROUPED_BY[0])
    return length, grouped_by, fields.choice("newest", NEWEST, NEWEST[0])


def _numbers(root: Fields, file: str, part: str) -> Iterator[ForeignNumber]:
    value = root.get(part)
    if not isinstance(value, list) or not value:
        root.refuse(part, "must be a list with an item for each number, or for several `names` of one unit")
    known = _OBSERVED if part == "observation" else _NUMBER
    blocks = [Fields(item, file, f"{part}[{index}]", known) for index, item in enumerate(value)]
    counts = Counter(name for block in blocks for name in block.names())
    if twice := [name for name, count in counts.items() if count > 1]:
        root.refuse(part, f"names {', '.join(twice)} more than once; give each number a unique name")
    for index, block in enumerate(blocks):
        yield from _block(block, index, is_action=part == "action")


def _block(fields: Fields, block: int, *, is_action: bool) -> Iterator[ForeignNumber]:
    names, unit = fields.names(), fields.text("unit")
    taking = fields.text("input") if fields.has("input") else None
    size = len(names)
    scales, offsets = fields.numbers("scale", size, 1.0), fields.numbers("offset", size, 0.0)
    lows, highs, means, stds = (fields.numbers(key, size) for key in ("low", "high", "mean", "std"))
    if is_action and (lows is None or highs is None):
        missing = "low" if lows is None else "high"
        fields.refuse(missing, "is missing: an action needs limits, which the policy file enforces")
    for first, second, key in (
        (lows, highs, "high"),
        (highs, lows, "low"),
        (means, stds, "std"),
        (stds, means, "mean"),
    ):
        if first is not None and second is None:
            fields.refuse(key, "is missing; give both of low and high, and both of mean and std, or neither")
    if scales is None or offsets is None or 0 in scales:
        fields.refuse("scale", "is 0, which would erase the number; describe unused numbers too")
    for index, name in enumerate(names):
        limits = () if lows is None or highs is None else (lows[index], highs[index])
        if limits and limits[0] >= limits[1]:
            fields.refuse("low", f"is {limits[0]:g} for {name}, not below high ({limits[1]:g})")
        known = means is not None and stds is not None
        mean, std = (means[index], stds[index]) if means is not None and stds is not None else _guess(limits)
        if std <= 0:
            fields.refuse("std", f"is {std:g} for {name}; it must be above 0")
        feature = Feature(name, unit, *limits)
        yield ForeignNumber(feature, scales[index], offsets[index], mean, std, known or bool(limits), block, taking)


def _guess(limits: tuple[float, ...]) -> tuple[float, float]:
    """Return middle and half the range, or 0 and 1 without limits."""
    return ((limits[0] + limits[1]) / 2, (limits[1] - limits[0]) / 2) if limits else (0.0, 1.0)


def _order(
    observation: Sequence[ForeignNumber], columns: Sequence[int], history: int, grouped_by: str, newest: str
) -> tuple[int, ...]:
    """Return the index in (history, obs_dim), oldest first, of each number of an input with some columns."""
    width = len(observation)
    times = range(history) if newest == "last" else range(history - 1, -1, -1)
    if grouped_by == "frame":
        return tuple(time * width + column for time in times for column in columns)
    blocks = dict.fromkeys(observation[column].block for column in columns)
    members = [[column for column in columns if observation[column].block == block] for block in blocks]
    return tuple(time * width + column for part in members for time in times for column in part)
