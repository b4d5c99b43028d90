"""Statistics of demonstrations beside those of a checkpoint: do both stem from the same data?"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vdd_ros.data.blocks import moments
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import CheckpointError, ConfigurationError
from vdd_ros.learning.fit.windows import Statistics
from vdd_ros.text import printable

ACTION = "action"
"""Key of the action, in LeRobot as in diffusion_policy."""
SAME = 1e-4
"""Tolerance of statistics of the same data, in ranges."""

Values = NDArray[np.float64]
Given = Mapping[str, Mapping[str, Values]]
"""Statistics by key and name (`min`, `max`, `mean`, `std`), each (entries,)."""


def statistics_of_set(demonstrations: DemonstrationSet, sizes: Mapping[str, int]) -> dict[str, dict[str, Values]]:
    """Return the statistics of demonstrations that have a policy's keys, in its order.

    Args:
        demonstrations: The set.
        sizes: Entries of each key that the policy observes, in order, and of its action.

    Raises:
        ConfigurationError: They have another number of entries.
    """
    header = demonstrations.header
    for what, has in (("observation", len(header.vector)), (ACTION, len(header.action))):
        keys = [key for key in sizes if (key == ACTION) == (what == ACTION)]
        if has != (needs := sum(sizes[key] for key in keys)):
            parts = " and ".join(f"{sizes[key]} of {key}" for key in keys)
            raise ConfigurationError(
                f"the demonstrations have {has} numbers in the {what}, but the policy has {needs} ({parts}); give the "
                "set that it learned from, with a description of the keys if it has more ('vdd demos describe')"
            )
    found, start = {}, 0
    for key, size in sizes.items():
        values = demonstrations.action
        if key != ACTION:
            values = demonstrations.observation[:, start : start + size]
            start += size
        mean, deviation, low, high = moments(values)
        found[key] = {"min": low, "max": high, "mean": mean, "std": deviation}
    return found


def compared(own: Given, given: Given, order: str) -> tuple[bool, tuple[str, ...]]:
    """Return whether demonstrations have the statistics of a checkpoint, and a warning if they differ.

    Args:
        own: Of the checkpoint.
        given: Of the demonstrations; empty without.
        order: The keys that the policy observes, for the warning.
    """
    found = False
    for key, mine in own.items():
        if (other := given.get(key)) is None:
            continue
        tolerance = SAME * (other["max"] - other["min"] + np.abs(other["mean"]))
        for name in mine:
            found = True
            if (np.abs(mine[name] - other[name]) > tolerance).any():
                return False, (
                    f"{name} of {key} is not that of the demonstrations given at the import: the policy learned from "
                    f"others, or their entries have another order than {order}",
                )
    return found, ()


def in_single(arrays: Mapping[str, Values], checkpoint: Path) -> Statistics:
    """Return statistics in single precision, in which policies compute.

    Args:
        arrays: The fields of `Statistics`.
        checkpoint: For errors.

    Raises:
        CheckpointError: Single precision cannot represent them.
    """
    single = {name: torch.tensor(values, dtype=torch.float32) for name, values in arrays.items()}
    found = Statistics(**single)
    wrong = [name for name, values in single.items() if not bool(values.isfinite().all())]
    wrong += [name for name in ("observation_std", "action_std") if not bool((single[name] > 0).all())]
    if not bool((found.action_low < found.action_high).all()):
        wrong.append("action_low")
    if wrong:
        raise CheckpointError(
            f"'{printable(checkpoint)}' has a normalisation that single precision cannot represent "
            f"({wrong[0].replace('_', ' ')}); copy the checkpoint again, or train with other units"
        )
    return found
