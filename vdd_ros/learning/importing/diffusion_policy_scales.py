"""From the normaliser in a checkpoint of diffusion_policy to our means and deviations.

It computes scale * x + offset for each entry, whatever it was fitted to: the range, the deviation, or nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from vdd_ros.data.demonstrations import Header
from vdd_ros.errors import CheckpointError, ConfigurationError
from vdd_ros.learning.fit.windows import LIMIT_MARGIN, Statistics, usual_deviation
from vdd_ros.learning.importing.diffusion_policy_config import OBSERVATION
from vdd_ros.learning.importing.set_statistics import ACTION, Given, Values, in_single
from vdd_ros.text import printable

_PREFIX = "normalizer.params_dict."
_COMPARED = ("min", "max", "mean")
"""Statistics that are those of the data; the deviation is divided by the number less one."""


@dataclass(frozen=True)
class Normaliser:
    """Scale and offset of each key, and the statistics that it was fitted to.

    Attributes:
        means, deviations: By key, each (entries,): what an entry is centred and divided by.
        statistics: By key and name; some may be missing.
        checkpoint: For errors.
    """

    means: dict[str, Values]
    deviations: dict[str, Values]
    statistics: dict[str, dict[str, Values]]
    checkpoint: Path

    def converted(self, header: Header, clip: float | None, demonstrations: Given) -> Statistics:
        """Return our statistics.

        Args:
            header: Names and units.
            clip: Range of clean normalised actions; None: the limits are the trained range, widened by a tenth.
            demonstrations: Statistics of demonstrations, in place of a trained range that is missing.

        Raises:
            ConfigurationError: The trained range is missing.
            CheckpointError: Single precision cannot represent the numbers.
        """
        mean, deviation = self.means[ACTION], self.deviations[ACTION]
        if clip is not None:
            low, high = mean - clip * deviation, mean + clip * deviation
        else:
            own = self.statistics[ACTION]
            given = own if "min" in own and "max" in own else demonstrations.get(ACTION)
            if given is None:
                raise ConfigurationError(
                    f"'{printable(self.checkpoint)}' neither clips actions nor has their minimum and maximum; give "
                    "--demos PATH, the set that the policy learned from"
                )
            low, high = given["min"], given["max"]
            floor = np.array([usual_deviation(entry.unit) for entry in header.action])
            margin = np.where(low == high, floor, LIMIT_MARGIN / 2 * (high - low))
            low, high = low - margin, high + margin
        arrays = {
            "observation_mean": self.means[OBSERVATION],
            "observation_std": self.deviations[OBSERVATION],
            "action_mean": mean,
            "action_std": deviation,
            "action_low": low,
            "action_high": high,
        }
        return in_single(arrays, self.checkpoint)

    def warnings(self, header: Header) -> Iterator[str]:
        """Say which entries never changed in the training."""
        for key, entries in ((OBSERVATION, header.vector), (ACTION, header.action)):
            own = self.statistics[key]
            if "min" not in own or "max" not in own:
                continue
            for entry, low, high in zip(entries, own["min"], own["max"], strict=True):
                if low == high:
                    what = "action" if key == ACTION else "observation"
                    yield (
                        f"the {what} entry {printable(entry.name)} never changed in the training: the policy has not "
                        "learned other values of it"
                    )


def read_normaliser(tensors: Mapping[str, Tensor], sizes: Mapping[str, int], checkpoint: Path) -> Normaliser:
    """Read the normaliser.

    Args:
        tensors: Of the policy.
        sizes: Entries by key.
        checkpoint: For errors.

    Raises:
        CheckpointError: It is missing or damaged.
    """
    means, deviations, statistics = {}, {}, {}
    for key, size in sizes.items():
        scale, offset = (_read(tensors, f"{_PREFIX}{key}.{name}", size, checkpoint) for name in ("scale", "offset"))
        if not (np.isfinite(scale) & (scale > 0) & np.isfinite(offset)).all():
            raise CheckpointError(
                f"'{printable(checkpoint)}' has a normaliser of {key} that is not finite, or whose scale is not above "
                "0; copy the checkpoint again"
            )
        means[key], deviations[key] = -offset / scale, 1 / scale
        statistics[key] = dict(_statistics(tensors, f"{_PREFIX}{key}.input_stats.", size))
    return Normaliser(means, deviations, statistics, checkpoint)


def _read(tensors: Mapping[str, Tensor], name: str, size: int, checkpoint: Path) -> Values:
    """Return the values of a tensor; one number counts for all entries, as the normaliser that changes nothing has."""
    if name not in tensors:
        raise CheckpointError(
            f"'{printable(checkpoint)}' lacks {name}; save the policy after its set_normalizer, as the training does"
        )
    values = _values(tensors[name])
    if values.size not in (1, size):
        raise CheckpointError(
            f"'{printable(checkpoint)}' has {values.size} numbers in {name}, not {size}; copy the checkpoint again"
        )
    return np.broadcast_to(values, (size,))


def _statistics(tensors: Mapping[str, Tensor], prefix: str, size: int) -> Iterator[tuple[str, Values]]:
    for name in _COMPARED:
        tensor = tensors.get(f"{prefix}{name}")
        if tensor is not None and (values := _values(tensor)).size == size and np.isfinite(values).all():
            yield name, values


def _values(tensor: Tensor) -> Values:
    return np.asarray(tensor.double().flatten().numpy())
