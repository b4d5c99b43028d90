"""Suspicious frames of demonstrations: jumps, frozen observations, repeated and unusually long episodes."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.features import Feature
from vdd_ros.robot.quantities import spaced

JUMP = 10.0
"""Ratio of a step to the entry's usual step from which it counts as a jump."""
USUAL = 0.99
"""Quantile of the steps that counts as usual."""
LEAST = 0.05
"""Smallest jump, as a share of the entry's range."""
FROZEN_S = 0.5
"""Time in seconds for which a bit-identical observation counts as frozen."""
MOVED = 0.01
"""Change of the action in that time, as a share of its range."""
UNUSUAL = 3.0
"""Ratio to the median length, or its inverse, from which an episode counts as unusual."""
_MOST_STEPS = 200_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Suspicion:
    """Something suspicious.

    Attributes:
        episode: Number of the episode, from 0.
        step: Number of the first pair in it, from 0.
        what: Description in words.
    """

    episode: int
    step: int
    what: str


def find_suspicions(demonstrations: DemonstrationSet) -> list[Suspicion]:
    """Return suspicious data, episode by episode; memory holds one episode, and a sample of the steps."""
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
            found.append(Suspicion(number, 0, f"is bit-identical to episode {first}"))
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
    """Yield the intervals in which the whole observation stays the same while the action changes."""
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
