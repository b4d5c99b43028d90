"""Scaling of entries before training: by mean and standard deviation, by range, or none."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError
from vdd_ros.features import Feature
from vdd_ros.learning.configs import WindowConfig, parse_normalisation
from vdd_ros.learning.fit.windows import Statistics, usual_deviation
from vdd_ros.text import printable


def statistics_of(demonstrations: DemonstrationSet, config: WindowConfig) -> Statistics:
    """Compute the statistics of a demonstration set, each entry scaled by `config.normalisation`.

    An entry by `min-max` is between -1 and 1 in the demonstrations; one that never changes, and the least deviation of
    observations, are treated as with `mean-std`. By `none` it stays in its unit. The limits of actions are the same.

    Raises:
        ConfigurationError: The normalisation names an unknown entry.
        DemonstrationError: As `Statistics.of`.
    """
    found = Statistics.of(demonstrations, config.least_deviation)
    usual, own = parse_normalisation(config.normalisation)
    for part in ("observation", "action"):
        features = getattr(demonstrations.header, part)
        ways = [own.get(f"{part}.{one.name}", own.get(one.name, usual)) for one in features]
        entries = _Entries(part, features, getattr(demonstrations, part), config.least_deviation)
        found = entries.apply(found, ways)
    _check_names(demonstrations, own)
    return found


@dataclass(frozen=True)
class _Entries:
    """The entries of observations or actions, and their values (M, D)."""

    part: str
    features: tuple[Feature, ...]
    values: NDArray[Any]
    least_deviation: float

    def apply(self, statistics: Statistics, ways: list[str]) -> Statistics:
        """Return statistics that scale each entry by its own normalisation."""
        mean, deviation = getattr(statistics, f"{self.part}_mean"), getattr(statistics, f"{self.part}_std")
        mean, deviation = mean.clone(), deviation.clone()
        for index, way in enumerate(ways):
            if way == "none":
                mean[index], deviation[index] = 0.0, 1.0
            elif way == "min-max" and (span := self._span(index)) is not None:
                mean[index], deviation[index] = (torch.tensor(value, dtype=torch.float32) for value in span)
        return replace(statistics, **{f"{self.part}_mean": mean, f"{self.part}_std": deviation})

    def _span(self, index: int) -> tuple[float, float] | None:
        """Return the middle and half the range of an entry; None if it never changes."""
        values = self.values[:, index]
        low, high = float(values.min()), float(values.max())
        if low == high:
            return None
        least = 0.0 if self.part == "action" else self.least_deviation or usual_deviation(self.features[index].unit)
        return (low + high) / 2, max((high - low) / 2, least)


def _check_names(demonstrations: DemonstrationSet, own: dict[str, str]) -> None:
    header = demonstrations.header
    parts = {"observation": header.observation, "action": header.action}
    full = [f"{part}.{one.name}" for part, features in parts.items() for one in features]
    known = {*full, *(name.partition(".")[2] for name in full)}
    if unknown := [name for name in own if name not in known]:
        raise ConfigurationError(
            f"normalisation names '{printable(unknown[0])}', which the demonstrations do not have; they have "
            f"{printable(', '.join(full), 1_000)}"
        )
