"""The report of a demonstration set."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.blocks import moments
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.evaluation.demonstration_info.suspicions import Suspicion, find_suspicions
from vdd_ros.features import Feature
from vdd_ros.recordings.alignment import Alignment
from vdd_ros.recordings.record import LeftOut
from vdd_ros.recordings.record_parts import record_of


@dataclass(frozen=True)
class EntryRange:
    """Values of one entry.

    Attributes:
        name, unit: Name and unit of the entry.
        low, high, mean, deviation: Statistics of its values.
        largest_step: Largest change from one pair to the next within an episode.
    """

    name: str
    unit: str
    low: float
    high: float
    mean: float
    deviation: float
    largest_step: float


@dataclass(frozen=True)
class DemonstrationInfo:
    """Content of a set.

    Attributes:
        task, source: As in the header.
        rate_hz: Pairs per second.
        episodes, pairs: Numbers of episodes and pairs.
        shortest, median, longest: Pairs of an episode.
        modes: Episodes by mode; -1: unknown.
        observation, action: The single numbers.
        arrays: The arrays of the observation, with their form.
        suspicions: Suspicious data.
        sha256: Hash of the set.
        names: Names of the episodes; empty if unknown.
        left_out: Episodes that a conversion left out.
        alignment: Alignment in time; None if unknown.
        remark: Why the record of a conversion was not used; empty otherwise.
    """

    task: str
    source: str
    rate_hz: float
    episodes: int
    pairs: int
    shortest: int
    median: float
    longest: int
    modes: dict[str, int]
    observation: list[EntryRange]
    action: list[EntryRange]
    arrays: list[str]
    suspicions: list[Suspicion]
    sha256: str
    names: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    alignment: Alignment | None = None
    remark: str = ""


def examine(demonstrations: DemonstrationSet) -> DemonstrationInfo:
    """Return the content of a set, with the record of its conversion if it is beside the set."""
    header, lengths = demonstrations.header, demonstrations.lengths
    episodes = demonstrations.episodes()
    modes, counts = np.unique(demonstrations.modes, return_counts=True)
    record, remark = record_of(demonstrations)
    return DemonstrationInfo(
        task=header.task,
        source=header.source,
        rate_hz=header.rate_hz,
        episodes=len(lengths),
        pairs=int(lengths.sum()),
        shortest=int(lengths.min()),
        median=float(np.median(lengths)),
        longest=int(lengths.max()),
        modes={str(mode): int(count) for mode, count in zip(modes, counts, strict=True)},
        observation=_ranges(header.vector, demonstrations.observation, episodes),
        action=_ranges(header.action, demonstrations.action, episodes),
        arrays=[str(feature) for feature in header.arrays],
        suspicions=find_suspicions(demonstrations),
        sha256=demonstrations.sha256,
        names=[] if record is None else [episode.name for episode in record.episodes],
        left_out=[] if record is None else record.left_out,
        alignment=None if record is None else record.alignment,
        remark=remark,
    )


def _ranges(features: Sequence[Feature], values: NDArray[np.float64], episodes: Sequence[slice]) -> list[EntryRange]:
    found = moments(values)
    steps = [np.abs(np.diff(np.asarray(values[pairs]), axis=0)).max(axis=0, initial=0.0) for pairs in episodes]
    columns = (found.low, found.high, found.mean, found.deviation, np.max(steps, axis=0))
    return [
        EntryRange(feature.name, feature.unit, *(float(column[place]) for column in columns))
        for place, feature in enumerate(features)
    ]
