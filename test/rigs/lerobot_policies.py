"""Checkpoints of LeRobot's DiffusionPolicy with random weights, and what LeRobot computes from them, in numpy.

Files, tensors and computation follow LeRobot's own, as measured with 0.3.3, 0.4.4 and 0.6.1, in float64 and without
vdd_ros, except for demonstrations that go with a policy.
"""

import json
import math
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.features import Feature

Array = NDArray[np.float64]

STATE, ENVIRONMENT, ACTION = "observation.state", "observation.environment_state", "action"
SIZES = {STATE: 2, ENVIRONMENT: 1, ACTION: 2}
TYPES = {STATE: "STATE", ENVIRONMENT: "ENV", ACTION: "ACTION"}
DEFAULTS: dict[str, Any] = {
    **{"type": "diffusion", "n_obs_steps": 2, "horizon": 8, "n_action_steps": 4, "device": "cpu", "use_amp": False},
    **{"normalization_mapping": {"VISUAL": "MEAN_STD", "STATE": "MIN_MAX", "ACTION": "MIN_MAX"}},
    **{"down_dims": [8, 16], "kernel_size": 3, "n_groups": 4, "diffusion_step_embed_dim": 8},
    **{"use_film_scale_modulation": True, "noise_scheduler_type": "DDPM", "num_train_timesteps": 100},
    **{"beta_schedule": "squaredcos_cap_v2", "beta_start": 0.0001, "beta_end": 0.02, "prediction_type": "epsilon"},
    **{"clip_sample": True, "clip_sample_range": 1.0, "num_inference_steps": None, "use_group_norm": False},
    **{"vision_backbone": "resnet18", "crop_shape": None, "do_mask_loss_for_padding": False, "optimizer_lr": 1e-4},
}


@dataclass
class Policy:
    """A checkpoint.

    Attributes:
        config: Content of config.json, without the features.
        sizes: Entries by feature.
        tensors: Of the network, by LeRobot's names.
        statistics: By feature and name.
    """

    config: dict[str, Any]
    sizes: dict[str, int]
    tensors: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    statistics: dict[str, dict[str, Array]] = field(default_factory=dict)

    @classmethod
    def drawn(cls, seed: int = 0, sizes: dict[str, int] | None = None, **settings: Any) -> "Policy":
        """Draw weights and statistics."""
        random = np.random.default_rng(seed)
        policy = cls({**DEFAULTS, **settings}, SIZES if sizes is None else sizes)
        for name, shape in policy.shapes().items():
            scale = 1.0 / math.sqrt(max(1, math.prod(shape[1:])))
            drawn = scale * random.standard_normal(shape)
            is_norm = name.endswith(("block.1.weight",))
            policy.tensors[f"diffusion.unet.{name}"] = (1 + 0.1 * drawn if is_norm else drawn).astype(np.float32)
        for key, size in policy.sizes.items():
            low = random.uniform(-3, -1, size)
            high = low + random.uniform(1, 4, size)
            middle, spread = (low + high) / 2 + 0.1, (high - low) / 4
            policy.statistics[key] = {"min": low, "max": high, "mean": middle, "std": spread}
            for name in ("min", "max", "mean", "std"):
                policy.statistics[key][name] = policy.statistics[key][name].astype(np.float32).astype(np.float64)
        return policy

    @property
    def observed(self) -> list[str]:
        return [key for key in (STATE, ENVIRONMENT) if key in self.sizes]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the tensors of the network below diffusion.unet."""
        c = self.config
        width, k, dims, action = c["diffusion_step_embed_dim"], c["kernel_size"], c["down_dims"], self.sizes[ACTION]
        condition = width + c["n_obs_steps"] * sum(self.sizes[key] for key in self.observed)
        found: dict[str, tuple[int, ...]] = {}

        def layer(name: str, *shape: int, transposed: bool = False) -> None:
            found[f"{name}.weight"] = shape
            found[f"{name}.bias"] = (shape[1] if transposed else shape[0],)

        def norm(name: str, channels: int) -> None:
            found[f"{name}.weight"] = found[f"{name}.bias"] = (channels,)

        def block(name: str, entries: int, channels: int) -> None:
            layer(f"{name}.conv1.block.0", channels, entries, k)
            norm(f"{name}.conv1.block.1", channels)
            layer(f"{name}.conv2.block.0", channels, channels, k)
            norm(f"{name}.conv2.block.1", channels)
            layer(f"{name}.cond_encoder.1", channels * (2 if c["use_film_scale_modulation"] else 1), condition)
            if entries != channels:
                layer(f"{name}.residual_conv", channels, entries, 1)

        layer("diffusion_step_encoder.1", 4 * width, width)
        layer("diffusion_step_encoder.3", width, 4 * width)
        pairs = list(pairwise([action, *dims]))
        for level, (n, m) in enumerate(pairs):
            block(f"down_modules.{level}.0", n, m)
            block(f"down_modules.{level}.1", m, m)
            if level < len(dims) - 1:
                layer(f"down_modules.{level}.2", m, m, 3)
        for number in range(2):
            block(f"mid_modules.{number}", dims[-1], dims[-1])
        for level, (n, m) in enumerate(reversed(pairs[1:])):
            block(f"up_modules.{level}.0", 2 * m, n)
            block(f"up_modules.{level}.1", n, n)
            layer(f"up_modules.{level}.2", n, n, 4, transposed=True)
        layer("final_conv.0.block.0", dims[0], dims[0], k)
        norm("final_conv.0.block.1", dims[0])
        layer("final_conv.1", action, dims[0], 1)
        return found

    def features(self) -> dict[str, Any]:
        return {key: {"type": TYPES[key], "shape": [size]} for key, size in self.sizes.items()}

    def write(self, folder: Path, version: str = "0.6") -> Path:
        """Write the checkpoint as a version of LeRobot does: "0.6", also that of 0.4, or "0.3"."""
        folder.mkdir(parents=True, exist_ok=True)
        every = self.features()
        inputs = {key: one for key, one in every.items() if key != ACTION}
        config = {**self.config, "input_features": inputs, "output_features": {ACTION: every[ACTION]}}
        (folder / "config.json").write_text(json.dumps(config, indent=4))
        tensors = dict(self.tensors)
        if version == "0.3":
            tensors |= self._buffers()
        else:
            self._write_processors(folder, every)
        save_file(tensors, folder / "model.safetensors")
        return folder

    def _mode(self, key: str) -> str:
        return str(self.config["normalization_mapping"].get(TYPES[key], "IDENTITY"))

    def _buffers(self) -> dict[str, NDArray[np.float32]]:
        names = {"MIN_MAX": ("min", "max"), "MEAN_STD": ("mean", "std")}
        found = {}
        for key in self.sizes:
            parts = ["normalize_targets", "unnormalize_outputs"] if key == ACTION else ["normalize_inputs"]
            for part in parts:
                for name in names.get(self._mode(key), ()):
                    values = self.statistics[key][name].astype(np.float32)
                    found[f"{part}.buffer_{key.replace('.', '_')}.{name}"] = values
        return found

    def _write_processors(self, folder: Path, every: dict[str, Any]) -> None:
        mapping = self.config["normalization_mapping"]
        states = {
            f"{key}.{name}": values.astype(np.float32)
            for key, mine in self.statistics.items()
            for name, values in mine.items()
        }
        before = "policy_preprocessor_step_3_normalizer_processor.safetensors"
        after = "policy_postprocessor_step_0_unnormalizer_processor.safetensors"
        device = {"registry_name": "device_processor", "config": {"device": "cpu", "float_dtype": None}}

        def normaliser(name: str, file: str, features: dict[str, Any]) -> dict[str, Any]:
            config = {"eps": 1e-8, "features": features, "norm_map": mapping}
            return {"registry_name": name, "config": config, "state_file": file}

        steps = [
            {"registry_name": "rename_observations_processor", "config": {"rename_map": {}}},
            {"registry_name": "to_batch_processor", "config": {}},
            device,
            normaliser("normalizer_processor", before, every),
        ]
        pre = {"name": "policy_preprocessor", "steps": steps}
        last = [normaliser("unnormalizer_processor", after, {ACTION: every[ACTION]}), {**device}]
        post = {"name": "policy_postprocessor", "steps": last}
        for name, content, file in (("preprocessor", pre, before), ("postprocessor", post, after)):
            (folder / f"policy_{name}.json").write_text(json.dumps(content, indent=2))
            save_file(states, folder / file)

    def normalised(self, key: str, values: Array) -> Array:
        """Normalise values (..., entries) of a feature."""
        mine, mode = self.statistics[key], self._mode(key)
        if mode == "MIN_MAX":
            width = mine["max"] - mine["min"]
            return np.asarray(2 * (values - mine["min"]) / np.where(width == 0, 1e-8, width) - 1)
        return (values - mine["mean"]) / (mine["std"] + 1e-8) if mode == "MEAN_STD" else values

    def physical(self, action: Array) -> Array:
        """Un-normalise actions (..., entries)."""
        mine, mode = self.statistics[ACTION], self._mode(ACTION)
        if mode == "MIN_MAX":
            width = mine["max"] - mine["min"]
            return np.asarray((action + 1) / 2 * np.where(width == 0, 1e-8, width) + mine["min"])
        return action * mine["std"] + mine["mean"] if mode == "MEAN_STD" else action

    def condition(self, window: Array) -> Array:
        """Return the condition of a window (n_obs, obs_dim), state first, oldest first."""
        parts, first = [], 0
        for key in self.observed:
            parts.append(self.normalised(key, window[:, first : first + self.sizes[key]]))
            first += self.sizes[key]
        return np.concatenate(parts, axis=1).reshape(-1)

    def network(self, x: Array, step: float, condition: Array) -> Array:
        """Apply the network to one chunk (horizon, act_dim)."""
        c = self.config
        half = c["diffusion_step_embed_dim"] // 2
        angles = step * np.exp(-np.arange(half) * math.log(10_000) / (half - 1))
        e = self._linear("diffusion_step_encoder.1", np.concatenate([np.sin(angles), np.cos(angles)]))
        g = np.concatenate([self._linear("diffusion_step_encoder.3", mish(e)), condition])
        h, skips = x.T, []
        levels = len(c["down_dims"])
        for level in range(levels):
            h = self._block(f"down_modules.{level}.1", self._block(f"down_modules.{level}.0", h, g), g)
            skips.append(h)
            if level < levels - 1:
                h = self._conv(f"down_modules.{level}.2", h, stride=2)
        for number in range(2):
            h = self._block(f"mid_modules.{number}", h, g)
        for level in range(levels - 1):
            h = np.concatenate([h, skips.pop()])
            h = self._block(f"up_modules.{level}.1", self._block(f"up_modules.{level}.0", h, g), g)
            h = self._transposed(f"up_modules.{level}.2", h)
        h = mish(self._norm("final_conv.0.block.1", self._conv("final_conv.0.block.0", h), 8))
        return self._conv("final_conv.1", h).T

    def _get(self, name: str) -> Array:
        return self.tensors[f"diffusion.unet.{name}"].astype(np.float64)

    def _linear(self, name: str, x: Array) -> Array:
        return self._get(f"{name}.weight") @ x + self._get(f"{name}.bias")

    def _conv(self, name: str, x: Array, stride: int = 1) -> Array:
        weight, bias = self._get(f"{name}.weight"), self._get(f"{name}.bias")
        size = weight.shape[2]
        padded = np.pad(x, ((0, 0), (size // 2, size // 2)))
        places = range(0, x.shape[1] + 2 * (size // 2) - size + 1, stride)
        return np.stack([np.tensordot(weight, padded[:, i : i + size], 2) + bias for i in places], axis=1)

    def _transposed(self, name: str, x: Array) -> Array:
        weight, bias = self._get(f"{name}.weight"), self._get(f"{name}.bias")  # (in, out, 4)
        spread = np.zeros((weight.shape[1], 2 * x.shape[1] + 2))
        for i in range(x.shape[1]):
            spread[:, 2 * i : 2 * i + 4] += np.tensordot(x[:, i], weight, 1)
        return spread[:, 1:-1] + bias[:, None]

    def _norm(self, name: str, x: Array, groups: int) -> Array:
        parts = x.reshape(groups, -1)
        parts = (parts - parts.mean(1, keepdims=True)) / np.sqrt(parts.var(1, keepdims=True) + 1e-5)
        return parts.reshape(x.shape) * self._get(f"{name}.weight")[:, None] + self._get(f"{name}.bias")[:, None]

    def _block(self, name: str, x: Array, g: Array) -> Array:
        groups = self.config["n_groups"]
        h = mish(self._norm(f"{name}.conv1.block.1", self._conv(f"{name}.conv1.block.0", x), groups))
        film = self._linear(f"{name}.cond_encoder.1", mish(g))
        if self.config["use_film_scale_modulation"]:
            scale, shift = np.split(film, 2)
            h = scale[:, None] * h + shift[:, None]
        else:
            h = h + film[:, None]
        h = mish(self._norm(f"{name}.conv2.block.1", self._conv(f"{name}.conv2.block.0", h), groups))
        residual = f"{name}.residual_conv"
        return h + (self._conv(residual, x) if f"diffusion.unet.{residual}.weight" in self.tensors else x)

    def signal_shares(self) -> Array:
        """Return abar of every step."""
        c, count = self.config, self.config["num_train_timesteps"]
        if c["beta_schedule"] == "squaredcos_cap_v2":
            f = np.cos((np.arange(count + 1) / count + 0.008) / 1.008 * np.pi / 2) ** 2
            beta = np.minimum(1 - f[1:] / f[:-1], 0.999)
        elif c["beta_schedule"] == "linear":
            beta = np.linspace(c["beta_start"], c["beta_end"], count)
        else:
            beta = np.linspace(c["beta_start"] ** 0.5, c["beta_end"] ** 0.5, count) ** 2
        return np.cumprod(1 - beta)

    def sample(self, window: Array, noise: Array) -> Array:
        """Return the whole chunk in physical units, in the order of time.

        Args:
            window: (n_obs, obs_dim), physical.
            noise: (steps, horizon, act_dim): the start, and the draw after each step but the last.
        """
        c, abar, condition = self.config, self.signal_shares(), self.condition(window)
        stride = c["num_train_timesteps"] // len(noise)
        x = noise[0]
        for number, t in enumerate(reversed(range(0, stride * len(noise), stride)), start=1):
            now, below = abar[t], abar[t - stride] if t >= stride else 1.0
            given = self.network(x, t, condition)
            if c["prediction_type"] == "epsilon":
                clean, epsilon = (x - math.sqrt(1 - now) * given) / math.sqrt(now), given
            else:
                clean, epsilon = given, (x - math.sqrt(now) * given) / math.sqrt(1 - now)
            if c["clip_sample"]:
                clean = np.clip(clean, -c["clip_sample_range"], c["clip_sample_range"])
            if c["noise_scheduler_type"] == "DDIM":
                x = math.sqrt(below) * clean + math.sqrt(1 - below) * epsilon
                continue
            alpha = now / below
            x = math.sqrt(below) * (1 - alpha) / (1 - now) * clean + math.sqrt(alpha) * (1 - below) / (1 - now) * x
            if t > 0:
                variance = max((1 - below) / (1 - now) * (1 - alpha), 1e-20)
                x = x + math.sqrt(variance) * noise[number]
        return self.physical(x)


def mish(x: Array) -> Array:
    return np.asarray(x * np.tanh(np.logaddexp(0, x)))


def demonstrations(policy: Policy, rate_hz: float = 10.0, swap: bool = False) -> DemonstrationSet:
    """Return demonstrations that have exactly the policy's minima and maxima."""
    random = np.random.default_rng(3)
    keys = [*reversed(policy.observed)] if swap else policy.observed
    parts = []
    for wanted in (keys, [ACTION]):
        low, high = (np.concatenate([policy.statistics[key][name] for key in wanted]) for name in ("min", "max"))
        values = random.uniform(low, high, (80, len(low)))
        values[0], values[-1] = low, high
        parts.append(values)
    observed = tuple(Feature(f"o{index}", "m") for index in range(parts[0].shape[1]))
    header = Header("sorting", observed, (Feature("u", "m"), Feature("v", "m")), rate_hz, "made up", 0)
    return DemonstrationSet(header, parts[0], parts[1], np.full(4, 20), np.full(4, -1))
