"""Checkpoints of diffusion_policy with random weights, and what diffusion_policy computes from them, in torch.

Files, names of tensors, network and sampling follow diffusion_policy at 5ba07ac with diffusers, in float64 and without
vdd_ros, except for demonstrations that go with a policy.
"""

import copy
import math
import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.features import Feature

Array = NDArray[np.float64]
SIZES = {"obs": 3, "action": 2}
SCHEDULERS = "diffusers.schedulers.scheduling_"


class _Node:
    """Stands for a class of OmegaConf: its objects have attributes only."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


def _class(module: str, name: str) -> Any:
    return type(name, (_Node,), {"__module__": module, "__qualname__": name})


CLASSES = {
    (module, name): _class(module, name)
    for module, name in (
        ("omegaconf.dictconfig", "DictConfig"),
        ("omegaconf.listconfig", "ListConfig"),
        ("omegaconf.nodes", "AnyNode"),
        ("omegaconf.base", "ContainerMetadata"),
        ("omegaconf.base", "Metadata"),
    )
}


def omega(value: Any, parent: Any = None) -> Any:
    """Return a value as OmegaConf 2.2 keeps it, with references to the parents."""
    dictionary, sequence, node, container, plain = CLASSES.values()
    if not isinstance(value, dict | list):
        return node(_metadata=plain(optional=True, key=None), _parent=parent, _flags_cache=None, _val=value)
    metadata = container(ref_type=Any, object_type=dict, resolver_cache={}, flags=None)
    made = (dictionary if isinstance(value, dict) else sequence)(_metadata=metadata, _parent=parent, _content=None)
    if isinstance(value, dict):
        made._content = {key: omega(one, made) for key, one in value.items()}
    else:
        made._content = [omega(one, made) for one in value]
    return made


@contextmanager
def importable() -> Iterator[None]:
    """Let pickle find the classes while it saves."""
    modules: dict[str, ModuleType] = {}
    for (module, name), kind in CLASSES.items():
        for part in (module.partition(".")[0], module):
            modules.setdefault(part, ModuleType(part))
        setattr(modules[module], name, kind)
    sys.modules.update(modules)
    try:
        yield
    finally:
        for module in modules:
            del sys.modules[module]


class Conv(nn.Module):
    """A convolution, a group norm and Mish."""

    def __init__(self, entries: int, channels: int, kernel: int, groups: int) -> None:
        super().__init__()
        convolution = nn.Conv1d(entries, channels, kernel, padding=kernel // 2)
        self.block = nn.Sequential(convolution, nn.GroupNorm(groups, channels), nn.Mish())

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class Residual(nn.Module):
    """Two convolutions; the condition shifts, and may scale, what is between them."""

    def __init__(self, entries: int, channels: int, condition: int, model: dict[str, Any]) -> None:
        super().__init__()
        kernel, groups, self.scales = model["kernel_size"], model["n_groups"], model["cond_predict_scale"]
        self.blocks = nn.ModuleList([Conv(n, channels, kernel, groups) for n in (entries, channels)])
        self.cond_encoder = nn.Sequential(nn.Mish(), nn.Linear(condition, channels * (1 + self.scales)))
        self.residual_conv = nn.Conv1d(entries, channels, 1) if entries != channels else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        film = self.cond_encoder(condition)[..., None]
        h = self.blocks[0](x)
        if self.scales:
            scale, shift = film.chunk(2, dim=1)
            h = scale * h + shift
        else:
            h = h + film
        return self.blocks[1](h) + self.residual_conv(x)


class Resampling(nn.Module):
    """A convolution of stride 2, or its transpose."""

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.conv = convolution

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class UNet(nn.Module):
    """The U-Net with a global condition."""

    def __init__(self, model: dict[str, Any]) -> None:
        super().__init__()
        width, dims = model["diffusion_step_embed_dim"], [model["input_dim"], *model["down_dims"]]
        condition = width + model["global_cond_dim"]
        embedding = [nn.Identity(), nn.Linear(width, 4 * width), nn.Mish(), nn.Linear(4 * width, width)]
        self.diffusion_step_encoder = nn.Sequential(*embedding)
        self.width = width
        bottom = dims[-1]
        self.mid_modules = nn.ModuleList([Residual(bottom, bottom, condition, model) for _ in range(2)])
        self.down_modules, self.up_modules = nn.ModuleList(), nn.ModuleList()
        for level, (n, m) in enumerate(pairwise(dims), start=1):
            shorter = Resampling(nn.Conv1d(m, m, 3, 2, 1)) if level < len(dims) - 1 else nn.Identity()
            blocks = [Residual(n, m, condition, model), Residual(m, m, condition, model)]
            self.down_modules.append(nn.ModuleList([*blocks, shorter]))
        for n, m in reversed([*pairwise(dims[1:])]):
            longer = Resampling(nn.ConvTranspose1d(n, n, 4, 2, 1))
            blocks = [Residual(2 * m, n, condition, model), Residual(n, n, condition, model)]
            self.up_modules.append(nn.ModuleList([*blocks, longer]))
        last = nn.Conv1d(dims[1], dims[0], 1)
        self.final_conv = nn.Sequential(Conv(dims[1], dims[1], model["kernel_size"], 8), last)

    def forward(self, x: Tensor, step: int, observation: Tensor) -> Tensor:
        """Map chunks (B, horizon, act_dim) and normalised windows (B, n_obs, obs_dim) to (B, horizon, act_dim)."""
        embedded = self.diffusion_step_encoder(waves(step, self.width))
        condition = torch.cat([embedded.expand(len(x), -1), observation.flatten(1)], dim=1)
        h, skips = x.transpose(1, 2), []
        for first, second, shorter in map(_parts, self.down_modules):
            h = second(first(h, condition), condition)
            skips.append(h)
            h = shorter(h)
        for block in self.mid_modules:
            h = block(h, condition)
        for first, second, longer in map(_parts, self.up_modules):
            h = torch.cat([h, skips.pop()], dim=1)
            h = longer(second(first(h, condition), condition))
        return self.final_conv(h).transpose(1, 2)


def _parts(level: nn.Module) -> Any:
    return level


class Transformer(nn.Module):
    """The transformer with the observation as condition, of torch's own layers."""

    def __init__(self, model: dict[str, Any]) -> None:
        super().__init__()
        width, length, seen = model["n_emb"], model["horizon"], 1 + model["n_obs_steps"]
        self.width = width
        self.input_emb, self.cond_obs_emb = nn.Linear(model["input_dim"], width), nn.Linear(model["cond_dim"], width)
        self.pos_emb = nn.Parameter(0.3 * torch.randn(1, length, width))
        self.cond_pos_emb = nn.Parameter(0.3 * torch.randn(1, seen, width))
        usual: dict[str, Any] = {"dim_feedforward": 4 * width, "dropout": 0.0, "activation": "gelu"}
        usual |= {"batch_first": True, "norm_first": True}
        decoder = nn.TransformerDecoderLayer(width, model["n_head"], **usual)
        self.decoder = nn.TransformerDecoder(decoder, model["n_layer"])
        self.encoder: nn.Module = nn.Sequential(nn.Linear(width, 4 * width), nn.Mish(), nn.Linear(4 * width, width))
        if model["n_cond_layers"]:
            encoder = nn.TransformerEncoderLayer(width, model["n_head"], **usual)
            self.encoder = nn.TransformerEncoder(encoder, model["n_cond_layers"], enable_nested_tensor=False)
        self.ln_f, self.head = nn.LayerNorm(width), nn.Linear(width, model["output_dim"])
        for parameter in self.parameters():  # also of layers that torch copied, and of norms
            parameter.data += 0.1 * torch.randn_like(parameter)
        self._dummy_variable = nn.Parameter(torch.zeros(0))
        self.causal = model["causal_attn"]
        if self.causal:
            time, place = torch.arange(length), torch.arange(seen)
            hidden = {"mask": time[:, None] < time, "memory_mask": time[:, None] < place - 1}
            for name, where in hidden.items():
                self.register_buffer(name, torch.zeros(where.shape).masked_fill(where, -torch.inf))

    def forward(self, x: Tensor, step: int, observation: Tensor) -> Tensor:
        """Map chunks (B, horizon, act_dim) and normalised windows (B, n_obs, obs_dim) to (B, horizon, act_dim)."""
        time = waves(step, self.width).expand(len(x), 1, -1)
        memory = self.encoder(torch.cat([time, self.cond_obs_emb(observation)], dim=1) + self.cond_pos_emb)
        masks = (self.mask, self.memory_mask) if self.causal else (None, None)
        return self.head(self.ln_f(self.decoder(self.input_emb(x) + self.pos_emb, memory, *masks)))


def waves(step: int, width: int) -> Tensor:
    """Return sines and cosines of a step, (1, width)."""
    half = width // 2
    angles = step * torch.exp(-torch.arange(half, dtype=torch.float64) * math.log(10_000) / (half - 1))
    return torch.cat([angles.sin(), angles.cos()])[None]


def config(**settings: Any) -> dict[str, Any]:
    """Return a resolved configuration; settings replace its fields, `scheduler__` and `model__` those of the parts."""
    sizes, transformer = settings.pop("sizes", SIZES), settings.pop("transformer", False)
    policy: dict[str, Any] = {
        "_target_": "diffusion_policy.policy.diffusion_unet_lowdim_policy.DiffusionUnetLowdimPolicy",
        **{"horizon": 8, "n_obs_steps": 2, "n_action_steps": 4, "num_inference_steps": 100},
        **{"obs_dim": sizes["obs"], "action_dim": sizes["action"], "oa_step_convention": True},
        **{"obs_as_local_cond": False, "obs_as_global_cond": True, "pred_action_steps_only": False},
    }
    scheduler: dict[str, Any] = {
        "_target_": f"{SCHEDULERS}ddpm.DDPMScheduler",
        **{"num_train_timesteps": 100, "beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "squaredcos_cap_v2"},
        **{"variance_type": "fixed_small", "clip_sample": True, "prediction_type": "epsilon"},
    }
    if settings.pop("ddim", False):
        del scheduler["variance_type"]
        scheduler |= {"_target_": f"{SCHEDULERS}ddim.DDIMScheduler", "set_alpha_to_one": True, "steps_offset": 0}
    policy |= {name: value for name, value in settings.items() if "__" not in name}
    model: dict[str, Any] = {
        "_target_": "diffusion_policy.model.diffusion.conditional_unet1d.ConditionalUnet1D",
        **{"input_dim": sizes["action"], "local_cond_dim": None, "down_dims": [8, 16]},
        "global_cond_dim": sizes["obs"] * policy["n_obs_steps"],
        **{"diffusion_step_embed_dim": 8, "kernel_size": 3, "n_groups": 4, "cond_predict_scale": True},
    }
    if transformer:
        policy["_target_"] = (
            "diffusion_policy.policy.diffusion_transformer_lowdim_policy.DiffusionTransformerLowdimPolicy"
        )
        for name in ("obs_as_local_cond", "obs_as_global_cond", "oa_step_convention"):
            policy.pop(name)
        policy["obs_as_cond"] = True
        model = {
            "_target_": "diffusion_policy.model.diffusion.transformer_for_diffusion.TransformerForDiffusion",
            **{"input_dim": sizes["action"], "output_dim": sizes["action"], "cond_dim": sizes["obs"]},
            **{"horizon": policy["horizon"], "n_obs_steps": policy["n_obs_steps"], "time_as_cond": True},
            **{"n_layer": 2, "n_head": 2, "n_emb": 8, "p_drop_emb": 0.0, "p_drop_attn": 0.3, "causal_attn": True},
            **{"obs_as_cond": True, "n_cond_layers": 0},
        }
    for name, value in settings.items():
        part, found, key = name.partition("__")
        if found:
            {"model": model, "scheduler": scheduler}[part][key] = value
    return {
        "name": "train_diffusion_unet_lowdim",
        "n_latency_steps": 0,
        "policy": {**policy, "model": model, "noise_scheduler": scheduler},
        "training": {"use_ema": True, "seed": 42},
        "task": {"name": "pusht_lowdim"},
    }


@dataclass
class Policy:
    """A checkpoint.

    Attributes:
        config: Its configuration.
        network: The network with averaged weights, float64.
        normalizer: Tensors of the normaliser by key and name.
        low, high: Range of the data by key.
    """

    config: dict[str, Any]
    network: nn.Module
    normalizer: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    low: dict[str, Array] = field(default_factory=dict)
    high: dict[str, Array] = field(default_factory=dict)

    @classmethod
    def drawn(cls, seed: int = 0, **settings: Any) -> "Policy":
        """Draw weights and data."""
        made = config(**settings)
        torch.manual_seed(seed)
        model = made["policy"]["model"]
        network = Transformer(model) if "n_emb" in model else UNet(model)
        policy = cls(made, network.requires_grad_(False).eval())
        random = np.random.default_rng(seed)
        for key, name in (("obs", "obs_dim"), ("action", "action_dim")):
            size = made["policy"][name]
            policy.low[key] = random.uniform(-3, -1, size).astype(np.float32).astype(float)
            policy.high[key] = (policy.low[key] + random.uniform(1, 4, size)).astype(np.float32).astype(float)
            policy.fit(key, 2 / (policy.high[key] - policy.low[key]))
        return policy

    def fit(self, key: str, scale: Array, offset: Array | None = None) -> None:
        """Set the scale of a key; without an offset its minimum becomes -1."""
        offset = -1 - scale * self.low[key] if offset is None else offset
        stats = {"min": self.low[key], "max": self.high[key], "mean": self.middle(key), "std": np.ones_like(scale)}
        values = {"scale": scale, "offset": offset, **{f"input_stats.{name}": one for name, one in stats.items()}}
        self.normalizer[key] = {name: torch.tensor(one, dtype=torch.float32) for name, one in values.items()}

    def middle(self, key: str) -> Array:
        """Return the means of `demonstrations`."""
        return (self.low[key] + self.high[key]) / 2

    def state_dict(self) -> "OrderedDict[str, Tensor]":
        """Return the tensors of the policy, as diffusion_policy names them."""
        found: OrderedDict[str, Tensor] = OrderedDict(_dummy_variable=torch.zeros(0))
        for name, tensor in self.network.state_dict().items():
            found[f"model.{name}"] = tensor.float()
        found["mask_generator._dummy_variable"] = torch.zeros(0)
        for key, tensors in self.normalizer.items():
            for name, tensor in tensors.items():
                found[f"normalizer.params_dict.{key}.{name}"] = tensor
        return found

    def payload(self) -> dict[str, Any]:
        """Return what the training saves; the weights that are not averaged are others."""
        averaged = self.state_dict()
        last = OrderedDict(
            (name, tensor + 1 if name.startswith("model.") else tensor) for name, tensor in averaged.items()
        )
        moments = {0: {"step": torch.tensor(7.0), "exp_avg": torch.ones(3)}}
        optimizer = {"state": moments, "param_groups": [{"lr": 1e-4, "betas": (0.95, 0.999), "params": [0]}]}
        return {
            "cfg": omega(self.config),
            "state_dicts": {"model": last, "ema_model": averaged, "optimizer": optimizer},
            "pickles": {"global_step": b"\x80\x04K\x07.", "_output_dir": b"\x80\x04\x8c\x01x."},
        }

    def write(self, file: Path, payload: dict[str, Any] | None = None) -> Path:
        """Write the checkpoint."""
        with importable():
            torch.save(self.payload() if payload is None else payload, file)
        return file

    def normalised(self, key: str, values: Tensor) -> Tensor:
        mine = self.normalizer[key]
        return values * mine["scale"].double() + mine["offset"].double()

    def physical(self, actions: Tensor) -> Tensor:
        mine = self.normalizer["action"]
        return (actions - mine["offset"].double()) / mine["scale"].double()

    def sample(self, windows: Array, noise: Array) -> Array:
        """Return whole chunks in physical units, in the order of time.

        Args:
            windows: (B, n_obs, obs_dim), physical.
            noise: (B, steps, horizon, act_dim): the start, and the draw after each step but the last.
        """
        network = copy.deepcopy(self.network).double()
        scheduler = self.config["policy"]["noise_scheduler"]
        observation, draws = self.normalised("obs", torch.from_numpy(windows)), torch.from_numpy(noise)
        levels, steps = scheduler["num_train_timesteps"], noise.shape[1]
        abar, stride = shares(scheduler), levels // steps
        x = draws[:, 0]
        for number, t in enumerate(reversed(range(0, stride * steps, stride)), start=1):
            now, below = abar[t], abar[t - stride] if t >= stride else 1.0
            given = network(x, t, observation)
            if scheduler["prediction_type"] == "epsilon":
                clean, epsilon = (x - (1 - now) ** 0.5 * given) / now**0.5, given
            else:
                clean, epsilon = given, (x - now**0.5 * given) / (1 - now) ** 0.5
            if scheduler["clip_sample"]:
                reach = scheduler.get("clip_sample_range", 1.0)
                clean = clean.clamp(-reach, reach)
            if scheduler["_target_"].endswith("DDIMScheduler"):
                x = below**0.5 * clean + (1 - below) ** 0.5 * epsilon
                continue
            alpha = now / below
            x = below**0.5 * (1 - alpha) / (1 - now) * clean + alpha**0.5 * (1 - below) / (1 - now) * x
            if t > 0:
                x = x + max((1 - below) / (1 - now) * (1 - alpha), 1e-20) ** 0.5 * draws[:, number]
        return self.physical(x).numpy()


def shares(scheduler: dict[str, Any]) -> list[float]:
    """Return abar of every step."""
    count, ends = scheduler["num_train_timesteps"], (scheduler["beta_start"], scheduler["beta_end"])
    if scheduler["beta_schedule"] == "squaredcos_cap_v2":
        f = np.cos((np.arange(count + 1) / count + 0.008) / 1.008 * np.pi / 2) ** 2
        beta = np.minimum(1 - f[1:] / f[:-1], 0.999)
    elif scheduler["beta_schedule"] == "linear":
        beta = np.linspace(*ends, count)
    else:
        beta = np.linspace(ends[0] ** 0.5, ends[1] ** 0.5, count) ** 2
    return [float(one) for one in np.cumprod(1 - beta)]


def demonstrations(policy: Policy, rate_hz: float = 10.0) -> DemonstrationSet:
    """Return demonstrations that have exactly the policy's minima, maxima and means."""
    random = np.random.default_rng(3)
    parts = []
    for key in ("obs", "action"):
        half = random.uniform(policy.low[key], policy.high[key], (40, len(policy.low[key])))
        half[0] = policy.low[key]
        parts.append(np.concatenate([half, 2 * policy.middle(key) - half]))
    observed = tuple(Feature(f"o{index}", "m") for index in range(parts[0].shape[1]))
    action = tuple(Feature(f"u{index}", "m") for index in range(parts[1].shape[1]))
    header = Header("pushing T", observed, action, rate_hz, "made up", 0)
    return DemonstrationSet(header, parts[0], parts[1], np.full(4, 20), np.full(4, -1))
