"""Memory check before a training: a lower bound of its needs, before anything is allocated."""

from pathlib import Path

import numpy as np
import torch

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.configs import FitConfig

FLOAT = 4
STATES = 4
"""Numbers kept for each weight: itself, its gradient and Adam's two moments."""
MEMINFO = Path("/proc/meminfo")
GROUP = Path("/sys/fs/cgroup")
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")


def check_memory(config: FitConfig, demonstrations: DemonstrationSet, device: torch.device) -> None:
    """Refuse settings that need more memory than the device has free.

    Args:
        config: Settings of any method.
        demonstrations: The training data.
        device: Device of the training.

    Raises:
        ConfigurationError: With the lower bound, the free memory, and the options to lower.
    """
    free = free_bytes(device)
    needs = least_bytes(config, demonstrations)
    what, need = max(needs.items(), key=lambda item: item[1])
    if free is None or need <= free:
        return
    where = "this machine" if device.type == "cpu" else "the GPU"
    raise ConfigurationError(
        f"{what} of this training would take at least {size_text(need)} of memory, and {where} has {size_text(free)} "
        f"free; lower one of {_named(config, *OPTIONS[what])}"
    )


OPTIONS = {
    "the windows of the demonstrations": ("history", "horizon"),
    "a batch": ("batch", "draws", "history", "goal_length", "horizon", "width", "layers", "experts"),
    "the weights": ("width", "layers", "octaves", "history", "horizon", "head_width", "experts", "levels"),
    "the pool of states": ("pool_copies", "pool_samples"),
}
"""Consumers of memory, and the settings that they grow with."""


def least_bytes(config: FitConfig, demonstrations: DemonstrationSet) -> dict[str, int]:
    """Return lower bounds on the memory of a training's parts, in bytes, by the names of `OPTIONS`.

    Activations count once for each layer, weights of a layer as one square matrix: any network takes more.
    """

    def of(name: str, default: int = 1) -> int:
        return int(getattr(config, name, default))

    obs_dim, act_dim = len(demonstrations.header.observation), len(demonstrations.header.action)
    history, width, layers = of("history"), of("width", 0), of("layers", 0)
    chunk = of("horizon") * act_dim
    per_expert = chunk * (chunk + 3 if getattr(config, "covariance", "") == "full" else 2)
    mixture = of("experts", 0) * per_expert
    seen = (history + of("goal_length", 0)) * obs_dim
    row = seen + max(of("draws"), 1) * chunk + layers * width + mixture
    features = obs_dim * (1 + 2 * of("octaves", 0)) * (history if getattr(config, "backbone", "") == "mlp" else 1)
    read_from = of("head_width", 0) if of("head_layers", 0) else width
    weights = width * features + max(layers - 1, 0) * width**2 + read_from * of("experts", 0) * chunk + of("levels", 0)
    pairs = len(demonstrations.action)
    windows = 1 if demonstrations.is_mapped else int(np.maximum(demonstrations.lengths - chunk // act_dim + 1, 1).sum())
    pool = pairs * of("pool_copies", 0) * of("pool_samples", 0) * chunk
    parts = {
        "the windows of the demonstrations": windows * (history * obs_dim + chunk),
        "a batch": of("batch") * row,
        "the weights": STATES * weights,
        "the pool of states": pool,
    }
    return {name: FLOAT * numbers for name, numbers in parts.items()}


def free_bytes(device: torch.device) -> int | None:
    """Return a device's free memory in bytes; None if unknown."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        facts = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
        free = 1024 * int(facts["MemAvailable"].split()[0])
    except (OSError, ValueError, KeyError, IndexError):
        return None
    try:  # the rest of a container's limit
        limit, used = (int((GROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
    except (OSError, ValueError):  # no such group, or "max": no limit
        return free
    return min(free, max(limit - used, 0))


def size_text(count: int) -> str:
    """Return a number of bytes in words, such as 3.2 GiB."""
    power = min(max(count.bit_length() - 1, 0) // 10, len(UNITS) - 1)
    return f"{count / 1024**power:.3g} {UNITS[power]}"


def _named(config: FitConfig, *names: str) -> str:
    """Return the options among some that a configuration has, with their values."""
    return ", ".join(f"--{name.replace('_', '-')} ({getattr(config, name)})" for name in names if hasattr(config, name))
