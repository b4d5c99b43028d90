"""Frames of demonstrations that look wrong: jumps, frozen observations, repeated and unusually long episodes."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.features import Feature
from vdd_ros.robot.quantities import spaced

JUMP = 10.0
"""How many times the usual step of an entry a step must be to look like a jump."""
USUAL = 0.99
"""Quantile of the steps that counts as usual."""
LEAST = 0.05
"""Share of an entry's range that a jump has at least."""
FROZEN_S = 0.5
"""How long an observation must stay the same, to the bit, to look frozen, in seconds."""
MOVED = 0.01
"""Share of an action's range by which it must change meanwhile."""
UNUSUAL = 3.0
"""How many times longer, or shorter, than the median an episode must be to look unusual."""
_MOST_STEPS = 200_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Suspicion:
    """Something that looks wrong.

    Attributes:
        episode: Number of the episode, from 0.
        step: Number of the first pair in it, from 0.
        what: In words.
    """

    episode: int
    step: int
    what: str


def find_suspicions(demonstrations: DemonstrationSet) -> list[Suspicion]:
    """Return what looks wrong, episode by episode; memory holds one episode, and a sample of the steps."""
    header, episodes = demonstrations.header, demonstrations.episodes()
    observed = _Jumps(header.vector, demonstrations.observation, episodes)
    commanded = _Jumps(header.action, demonstrations.action, episodes)
    median = float(np.median(demonstrations.lengths))
    seen: dict[bytes, int] = {}
    found: list[Suspicion] = []
    for number, pairs in enumerate(episodes):
        observation = np.asarray(demonstrations.observation[pairs])
        action = np.asarray(demonstrations.action[pairs])
        found += _length(number, len(action), median)
        digest = hashlib.sha256(observation.tobytes() + action.tobytes()).digest()
        if (first := seen.setdefault(digest, number)) != number:
            found.append(Suspicion(number, 0, f"is the same as episode {first}, to the bit"))
        found += observed.of(number, observation)
        found += commanded.of(number, action)
        found += _frozen(number, observation, action, commanded.range, header.rate_hz)
    return found


class _Jumps:
    """Finds steps of entries that are far larger than usual; an entry that mostly stands still may step.

    Attributes:
        range: (n,) range of each entry.
    """

    def __init__(self, features: Sequence[Feature], values: Floats, episodes: Sequence[slice]) -> None:
        self._features = features
        every = max(1, len(values) // _MOST_STEPS)
        parts = [np.abs(np.diff(np.asarray(values[pairs]), axis=0))[::every] for pairs in episodes]
        steps = np.concatenate(parts) if parts else np.zeros((0, len(features)))
        ends = [(np.min(values[pairs], axis=0), np.max(values[pairs], axis=0)) for pairs in episodes]
        self.range = np.max([high for _, high in ends], axis=0) - np.min([low for low, _ in ends], axis=0)
        usual = np.quantile(steps, USUAL, axis=0) if len(steps) else np.zeros(len(features))
        self._bound = np.where(usual > 0, np.maximum(JUMP * usual, LEAST * self.range), np.inf)

    def of(self, number: int, values: Floats) -> Iterator[Suspicion]:
        """Yield the jumps of an episode."""
        steps = np.diff(values, axis=0)
        for step, column in np.argwhere(np.abs(steps) > self._bound).tolist():
            change, feature = steps[step, column], self._features[column]
            yield Suspicion(
                number, step + 1, f"{feature.name} jumps by {change:.4g}{spaced(feature.unit)} within one step"
            )


def _frozen(number: int, observation: Floats, action: Floats, width: Floats, rate_hz: float) -> Iterator[Suspicion]:
    """Yield the times during which the whole observation stays the same while the action changes."""
    same = np.concatenate([[False], (observation[1:] == observation[:-1]).all(axis=1), [False]])
    edges = np.flatnonzero(np.diff(same.astype(int)))
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        lasts_s = (end - begin) / rate_hz
        moved = np.ptp(action[begin : end + 1], axis=0) > MOVED * width
        if lasts_s >= FROZEN_S and (moved & (width > 0)).any():
            yield Suspicion(
                number, begin, f"the observation stays the same for {lasts_s:.2f} s while the action changes"
            )


def _length(number: int, length: int, median: float) -> Iterator[Suspicion]:
    if length > UNUSUAL * median or length < median / UNUSUAL:
        yield Suspicion(number, 0, f"has {length} pairs; the median is {median:g}")
