"""Test observations for a policy's novelty: in-distribution ones, and out-of-distribution ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.inputs import Input

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ENLARGED = 0.2
FROZEN_S = (0.2, 0.5, 1.0)
ROWS_A_RUN = 4096


@dataclass(frozen=True)
class Probe:
    """Observations of one kind.

    Attributes:
        name: Kind of the observations.
        outside: Whether they are out of distribution, so that novelty should exceed its bound.
        observation: (N, obs_dim), physical units.
        lengths: (E,) lengths of the consecutive episodes that they form; None for single observations.
        distance: Their displacement in the unit of the observation; None if meaningless.
    """

    name: str
    outside: bool
    observation: Floats
    lengths: Ints | None = None
    distance: float | None = None


@dataclass(frozen=True)
class Found:
    """Novelty of a probe's observations.

    Attributes:
        name, outside, distance: As in the probe.
        observations: Number of observations.
        beyond: Share of them with a novelty beyond the bound.
        p50: Median novelty, nats.
        episodes: Number of episodes; None for single observations.
        alarmed: Share of the episodes with `ticks` consecutive observations beyond the bound; None without episodes.
    """

    name: str
    outside: bool
    distance: float | None
    observations: int
    beyond: float
    p50: float
    episodes: int | None
    alarmed: float | None


def judge(probe: Probe, novelty: Floats, bound: float, ticks: int) -> Found:
    """Summarise the novelty of a probe.

    Args:
        probe: N observations.
        novelty: (N,) their novelty, nats.
        bound: Novelty beyond which an observation is out of distribution, nats.
        ticks: Consecutive observations beyond the bound that raise an alarm.
    """
    beyond = novelty > bound
    alarms = None
    if probe.lengths is not None:
        alarms = [_in_a_row(episode) >= ticks for episode in np.split(beyond, np.cumsum(probe.lengths)[:-1])]
    return Found(
        probe.name,
        probe.outside,
        probe.distance,
        len(novelty),
        float(beyond.mean()),
        float(np.median(novelty)),
        None if alarms is None else len(alarms),
        None if alarms is None else float(np.mean(alarms)),
    )


def novelty_of(policy: OnnxPolicy, observations: Floats) -> Floats:
    """Return the novelty (N,) of observations (N, obs_dim); raises ConfigurationError if the file has none."""
    spec, found = policy.spec, []
    if spec.novelty is None:
        raise ConfigurationError("the policy file has no novelty; export it again, with its demonstrations")
    for start in range(0, len(observations), ROWS_A_RUN):
        rows = observations[start : start + ROWS_A_RUN]
        windows = np.repeat(rows[:, None], spec.history, axis=1)
        goals = np.repeat(rows[:, None], spec.goal_length, axis=1) if spec.goal_length else None
        found.append(policy.act_batch(windows, goals).novelty)
    return np.concatenate(found).astype(np.float64)  # type: ignore[arg-type]


def anywhere(demonstrations: DemonstrationSet, count: int, random: np.random.Generator) -> Probe:
    """Return `count` uniform observations from the demonstrations' bounding box, enlarged by a fifth on every side."""
    low, high = demonstrations.observation.min(0), demonstrations.observation.max(0)
    margin = ENLARGED * (high - low)
    drawn = random.uniform(low - margin, high + margin, (count, len(low)))
    return Probe(f"anywhere in the box, {100 * ENLARGED:.0f} % enlarged", True, drawn)


def displaced(
    demonstrations: DemonstrationSet, source: Input, by: Sequence[float], random: np.random.Generator
) -> Iterator[Probe]:
    """Yield demonstrated observations with one input displaced, each in a random direction; one probe per distance.

    Args:
        demonstrations: The demonstrations.
        source: The input, whose entries share a unit.
        by: Distances in that unit.
        random: Draws the directions.
    """
    columns = _columns(demonstrations, source)
    for distance in by:
        observation = demonstrations.observation.copy()
        direction = random.normal(size=(len(observation), len(columns)))
        observation[:, columns] += distance * direction / np.linalg.norm(direction, axis=1, keepdims=True)
        unit = demonstrations.header.observation[columns[0]].unit
        yield Probe(f"{source.name} displaced by {distance:g} {unit}", True, observation, None, distance)


def frozen(demonstrations: DemonstrationSet, source: Input, rate_hz: float) -> Iterator[Probe]:
    """Yield demonstrated observations with one input delayed, by each of `FROZEN_S` seconds at `rate_hz`."""
    columns = _columns(demonstrations, source)
    for age_s in FROZEN_S:
        ticks = max(1, round(age_s * rate_hz))
        parts = []
        for pairs in demonstrations.episodes():
            episode = demonstrations.observation[pairs]
            late = episode[ticks:].copy()
            late[:, columns] = episode[: len(late), columns]
            parts.append(late)
        if any(map(len, parts)):
            yield Probe(f"{source.name} frozen for {age_s:g} s", True, np.concatenate(parts))


def swapped(demonstrations: DemonstrationSet, sources: Sequence[Input]) -> Iterator[Probe]:
    """Yield demonstrated observations with two inputs exchanged, and with two entries of one input exchanged."""
    columns = {source.name: _columns(demonstrations, source) for source in sources}
    for (one, first), (other, second) in pairwise(columns.items()):
        if len(first) == len(second):
            yield _exchanged(demonstrations, f"{one} and {other} exchanged", first, second)
    for source in sources:
        names = [entry.name for entry in source.entries if not entry.hidden]
        for (one, here), (other, there) in pairwise(zip(names, columns[source.name], strict=True)):
            yield _exchanged(demonstrations, f"{one} and {other} exchanged", [here], [there])


def _exchanged(demonstrations: DemonstrationSet, name: str, one: list[int], other: list[int]) -> Probe:
    observation = demonstrations.observation.copy()
    observation[:, one + other] = observation[:, other + one]
    return Probe(name, True, observation)


def _columns(demonstrations: DemonstrationSet, source: Input) -> list[int]:
    names = [entry.name for entry in demonstrations.header.observation]
    return [names.index(entry.name) for entry in source.entries if not entry.hidden]


def _in_a_row(beyond: Bools) -> int:
    """Return the longest run of true values."""
    ends = np.flatnonzero(np.diff(np.concatenate([[False], beyond, [False]]).astype(np.int8)))
    return int((ends[1::2] - ends[::2]).max(initial=0))
