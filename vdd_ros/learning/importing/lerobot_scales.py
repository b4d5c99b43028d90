"""From LeRobot's statistics of features to our means and deviations, with which the network sees the same numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import Header
from vdd_ros.errors import ConfigurationError
from vdd_ros.features import Feature
from vdd_ros.learning.fit.windows import LIMIT_MARGIN, Statistics, usual_deviation
from vdd_ros.learning.importing.lerobot_config import LeRobotConfig, mode_of
from vdd_ros.learning.importing.lerobot_statistics import Normalisation
from vdd_ros.learning.importing.set_statistics import ACTION, Given, Values, compared, in_single
from vdd_ros.text import printable

NARROW = 1e-6
"""Half range or deviation of an observation entry, in its unit, up to which a warning says so."""


@dataclass(frozen=True)
class Scale:
    """What one feature is centred and divided by, and where its actions end; (entries,) each.

    Attributes:
        mean, deviation: In the feature's units.
        low, high: Limits of an action.
        constant: Entries that never changed.
    """

    mean: Values
    deviation: Values
    low: Values
    high: Values
    constant: NDArray[np.bool_]


@dataclass(frozen=True)
class Scales:
    """Statistics of a policy from its own files and, where these lack some, from others.

    Attributes:
        config: Its config.json.
        normalisation: Of its own files.
        header: Names and units.
        file, demonstrations: Statistics of a given file and of given demonstrations; empty without.
        folder: The checkpoint, for errors.
    """

    config: LeRobotConfig
    normalisation: Normalisation
    header: Header
    file: Given
    demonstrations: Given
    folder: Path

    def statistics(self) -> Statistics:
        """Return them as ours.

        Raises:
            CheckpointError: Single precision cannot represent them.
            ConfigurationError: Some are missing.
        """
        observed, action = [self.of(key) for key in self.config.observed], self.of(ACTION)
        arrays = {
            "observation_mean": np.concatenate([one.mean for one in observed]),
            "observation_std": np.concatenate([one.deviation for one in observed]),
            "action_mean": action.mean,
            "action_std": action.deviation,
            "action_low": action.low,
            "action_high": action.high,
        }
        return in_single(arrays, self.folder)

    def of(self, key: str) -> Scale:
        """Return the scale of a feature; raises as `statistics`.

        LeRobot divides an entry that never changed by 1e-8; here its deviation is 1, an action's `usual_deviation`, and
        its mean such that the network sees the value of the training as it did there.
        """
        mode, size, is_action = mode_of(key, self.normalisation.modes), self.config.sizes[key], key == ACTION
        mean, deviation, constant = np.zeros(size), np.ones(size), np.zeros(size, bool)
        if mode == "MIN_MAX":
            low, high = self._needed(key, "min", "max")
            mean, deviation = (low + high) / 2, (high - low) / 2
        elif mode == "MEAN_STD":
            mean, deviation = self._needed(key, "mean", "std")
        floor = np.array([usual_deviation(entry.unit) for entry in self.entries(key)])
        if mode != "IDENTITY":
            single = np.finfo(np.float32)
            constant = deviation <= np.maximum(np.abs(mean) * single.eps, single.tiny)
            width = floor if is_action else np.ones(size)
            added = self.normalisation.epsilon if mode == "MEAN_STD" and not is_action else 0.0
            seen = -1.0 if mode == "MIN_MAX" else 0.0
            mean = np.where(constant, mean - seen * width, mean)
            deviation = np.where(constant, width, deviation + added)
        if not is_action:
            return Scale(mean, deviation, mean, mean, constant)
        if self.config.clip is not None:
            reach = self.config.clip * deviation
            return Scale(mean, deviation, mean - reach, mean + reach, constant)
        low, high = self._needed(key, "min", "max")
        margin = np.where(low == high, floor, LIMIT_MARGIN / 2 * (high - low))
        return Scale(mean, deviation, low - margin, high + margin, constant)

    def entries(self, key: str) -> tuple[Feature, ...]:
        """Return the entries of a feature."""
        if key == ACTION:
            return self.header.action
        sizes = [self.config.sizes[other] for other in self.config.observed]
        first = sum(sizes[: self.config.observed.index(key)])
        return self.header.vector[first : first + self.config.sizes[key]]

    def _needed(self, key: str, *names: str) -> tuple[Values, ...]:
        """Return statistics of a feature: the checkpoint's, else the file's, else the demonstrations'."""
        for source in (self.normalisation.statistics, self.file, self.demonstrations):
            mine = source.get(key, {})
            if all(name in mine for name in names):
                return tuple(mine[name] for name in names)
        raise ConfigurationError(
            f"'{printable(self.folder)}' lacks {' and '.join(names)} of {key}; give --statistics FILE, the "
            "meta/stats.json of the data set that the policy learned from, or --demos PATH, that set"
        )

    def warnings(self) -> Iterator[str]:
        """Say which entries never changed, or hardly."""
        for key in (*self.config.observed, ACTION):
            scale = self.of(key)
            for entry, deviation, constant in zip(self.entries(key), scale.deviation, scale.constant, strict=True):
                name, unit = printable(entry.name), printable(entry.unit)
                if constant:
                    what = "action" if key == ACTION else "observation"
                    yield (
                        f"the {what} entry {name} never changed in the training: here {deviation:g} {unit} of it count "
                        "as much as the range of another, where LeRobot divides by 1e-8"
                    )
                elif key != ACTION and deviation <= NARROW:
                    yield (
                        f"the observation entry {name} changed by about {deviation:.1g} {unit} in the training: the "
                        "policy has not learned other values of it"
                    )

    def compared(self) -> tuple[bool, tuple[str, ...]]:
        """Return whether the demonstrations have the statistics of the checkpoint, and a warning if they differ."""
        return compared(self.normalisation.statistics, self.demonstrations, ", ".join(self.config.observed))
