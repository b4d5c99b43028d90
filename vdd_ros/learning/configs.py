"""Settings shared by training methods: networks, windows, fits, mixtures. Imports no torch, for a fast `--help`."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, TypedDict, TypeVar, get_args

from vdd_ros.data.demonstrations import Header
from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.checks import require_choice, require_least, require_positive, require_seed
from vdd_ros.text import printable

if TYPE_CHECKING:
    import torch

Shape = TypeVar("Shape")

Covariance = Literal["diagonal", "full", "cosine", "principal"]
Gating = Literal["learned", "uniform"]
ExpertStart = Literal["samples", "kmeans", "grid", "box"]
Decay = Literal["cosine", "linear"]
Optimizer = Literal["muon", "adamw"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "bfloat16"]
Backbone = Literal["gpt", "mlp"]
Normalisation = Literal["mean-std", "min-max", "none"]
Structure = Literal["mixture", "diffusion", "one_step"]
Solver = Literal["euler", "heun"]
NoiseScheme = Literal["log-uniform", "uniform", "fixed", "anneal"]
Schedule = Literal["cosine", "linear", "exponential", "karras", "leading"]
Sampler = Literal["ancestral", "ddim", "euler", "euler-ancestral", "heun"]
ScheduleChoice = Literal["usual", "cosine", "linear", "exponential", "karras", "leading"]
SamplerChoice = Literal["usual", "ancestral", "ddim", "euler", "euler-ancestral", "heun"]


class Dimensions(TypedDict):
    """Input and output sizes of a policy: fields of a `NetworkConfig`, described there."""

    history: int
    obs_dim: int
    horizon: int
    act_dim: int
    goal_length: int
    past: int


def shaped(shape: type[Shape], config: object, sizes: Mapping[str, object], /, **own: object) -> Shape:
    """Return the shape of a network: the settings that it shares with a configuration, the sizes, and others.

    Args:
        shape: Dataclass of the shape, such as `StudentConfig`.
        config: Dataclass of the training.
        sizes: Input and output sizes, such as `Dimensions`; they win over the configuration.
        **own: Further fields of `shape`.
    """
    names = {one.name for one in fields(shape)}  # type: ignore[arg-type]
    shared = {name: value for name, value in vars(config).items() if name in names}
    return shape(**{**shared, **sizes, **own})


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """Kind and size of a network.

    Attributes:
        backbone: `gpt` or `mlp`.
        width: Features per layer of the backbone.
        layers: Layers of the backbone.
        heads: Attention heads of a GPT.
        octaves: Fourier octaves of the observations; 0: none.
        dropout: Share of a GPT's activations and attention weights dropped in training.
    """

    backbone: Backbone = "gpt"
    width: int = 72
    layers: int = 4
    heads: int = 4
    octaves: int = 4
    dropout: float = 0.0

    def check_backbone(self) -> None:
        """Refuse invalid sizes.

        Raises:
            ConfigurationError: With the field, its value and the allowed values.
        """
        require_choice(self, "backbone", Backbone)
        require_least(2, self, "width")
        require_least(1, self, "layers", "heads")
        require_least(0, self, "octaves")
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigurationError(f"dropout is {self.dropout}; it must be at least 0 and below 1")
        if self.backbone == "gpt" and self.width % self.heads:
            raise ConfigurationError(
                f"width is {self.width} and heads is {self.heads}; the width must be a multiple of the heads"
            )


def parse_normalisation(text: str) -> tuple[str, dict[str, str]]:
    """Parse a text such as `mean-std,action.gripper=none`: the normalisation, and exceptions by the entry's name.

    Raises:
        ConfigurationError: With the allowed values.
    """
    usual, *others = (part.strip() for part in text.split(","))
    own = dict(part.partition("=")[::2] for part in others)
    for way in (usual, *own.values()):
        if way not in get_args(Normalisation):
            raise ConfigurationError(
                f"normalisation is '{printable(text)}'; it must be {', '.join(get_args(Normalisation))}, optionally "
                "followed by ',NAME=WAY' for single entries"
            )
    return usual, own


@dataclass(frozen=True, kw_only=True)
class WindowShape:
    """Lengths of a policy's observation window, action chunk and goal.

    Attributes:
        history: Observations in the window, including the newest.
        horizon: Actions per inference, the chunk.
        goal_length: Future observations in a goal; 0: no goal.
    """

    history: int
    horizon: int
    goal_length: int = 0


@dataclass(frozen=True, kw_only=True)
class WindowConfig(WindowShape):
    """Windows of the demonstrations, and the normalisation of their entries.

    Attributes:
        least_deviation: Floor on the standard deviation of observation entries, in the entry's unit, used to
            standardise entries that vary less. 0: a thousandth of the SI unit (1 mm, 1 mrad).
        normalisation: Scaling of entries: `mean-std`, `min-max` (to -1 to 1) or `none`. Exceptions follow by name,
            after commas: `mean-std,action.gripper=none`.
    """

    history: int = 5
    horizon: int = 1
    least_deviation: float = 0.0
    normalisation: str = "mean-std"

    def check_windows(self) -> None:
        """Refuse invalid values.

        Raises:
            ConfigurationError: With the field, its value and the allowed values.
        """
        require_least(1, self, "history", "horizon")
        require_least(0, self, "goal_length", "least_deviation")
        parse_normalisation(self.normalisation)

    def dimensions(self, header: Header) -> Dimensions:
        """Return the input and output sizes of a policy for these demonstrations."""
        return {
            "history": self.history,
            "obs_dim": len(header.observation),
            "horizon": self.horizon,
            "act_dim": len(header.action),
            "goal_length": self.goal_length,
            "past": 0,
        }


@dataclass(frozen=True, kw_only=True)
class NoiseConfig:
    """Noise levels of a diffusion model, and sigma_data of its preconditioning.

    Attributes:
        levels: Noise levels of a teacher with discrete levels, such as DDPM.
        sigma_min: Lowest noise level of a teacher with a range of levels, such as BESO.
        sigma_max: Highest noise level of that range.
        sigma_data: Standard deviation of the actions assumed by EDM's preconditioning.
    """

    levels: int = 64
    sigma_min: float = 0.02
    sigma_max: float = 3.0
    sigma_data: float = 0.5

    def check_noise(self) -> None:
        """Refuse invalid values.

        Raises:
            ConfigurationError: With the field, its value and the allowed values.
        """
        require_least(2, self, "levels")
        require_positive(self, "sigma_min", "sigma_max", "sigma_data")
        if not self.sigma_min < self.sigma_max:
            raise ConfigurationError(
                f"the noise levels run from {self.sigma_min} to {self.sigma_max}; they must ascend"
            )


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How to optimise a model.

    Attributes:
        steps: Optimiser steps.
        batch: States per step.
        optimizer: Optimiser of the hidden layers' weight matrices: `muon` or `adamw`; everything else follows AdamW.
        learning_rate: Initial learning rate of AdamW; that of Muon is three times as high.
        decay: Decay of the learning rate to 0: `cosine` or `linear`.
        weight_decay: Decoupled weight decay.
        ema_decay: Decay of the averaged weights, which are the result; it ramps up as (1 + n) / (10 + n).
        observation_noise: Standard deviation of the noise added to observations, in standardised units; widens the
            region around the demonstrations in which the policy is trained.
        seed: Seed of weights, batches and noise.
        device: Device; `auto` uses CUDA if available.
        precision: Precision of matrix products; `bfloat16` is mixed precision, for CUDA and CPUs with AMX.
        compile: Compile the networks with torch.compile first: takes a minute, pays off in long runs on CUDA.
    """

    steps: int
    batch: int
    learning_rate: float
    optimizer: Optimizer = "adamw"
    decay: Decay = "cosine"
    weight_decay: float = 1e-4
    ema_decay: float = 0.999
    observation_noise: float = 0.03
    seed: int = 0
    device: Device = "auto"
    precision: Precision = "float32"
    compile: bool = False

    def check_fit(self) -> None:
        """Refuse invalid values.

        Raises:
            ConfigurationError: With the field, its value and the allowed values.
        """
        for name, choices in (
            ("optimizer", Optimizer),
            ("decay", Decay),
            ("device", Device),
            ("precision", Precision),
        ):
            require_choice(self, name, choices)
        require_least(1, self, "steps", "batch")
        require_least(0, self, "observation_noise", "weight_decay")
        require_positive(self, "learning_rate")
        require_seed(self.seed)
        if not 0.0 <= self.ema_decay < 1.0:
            raise ConfigurationError(f"ema_decay is {self.ema_decay}; it must be at least 0 and below 1")

    def pick_device(self) -> "torch.device":
        """Return the device.

        Raises:
            ConfigurationError: `cuda` is requested, but not available.
        """
        import torch

        if self.device == "cuda" and not torch.cuda.is_available():
            raise ConfigurationError("device is 'cuda', but torch finds no GPU; use --device cpu, or install CUDA")
        return torch.device("cuda" if self.device != "cpu" and torch.cuda.is_available() else "cpu")


@dataclass(frozen=True, kw_only=True)
class MixtureSettings:
    """Shape of the mixture that a network outputs.

    Attributes:
        experts: Number of experts (Gaussians).
        covariance: Covariances of the experts: `diagonal`, `full`, or diagonal in a basis of the chunks: the `cosine`
            transform over time, or the `principal` axes of the actions that experts start from.
        gating: `learned`, or `uniform` over the experts in every state.
        head_width: Features per layer of the heads for gating, means and deviations.
        head_layers: Hidden layers of these heads; 0: linear.
        detach_gating: Stop the gating's gradients at the backbone.
        floor: Floor on the experts' standard deviations, in standardised units.
    """

    experts: int = 24
    covariance: Covariance = "diagonal"
    gating: Gating = "learned"
    head_width: int = 256
    head_layers: int = 0
    detach_gating: bool = False
    floor: float = 0.02


@dataclass(frozen=True, kw_only=True)
class MixtureConfig(MixtureSettings, BackboneConfig):
    """Settings of a mixture that its training methods share.

    Attributes:
        expert_start: Initial means of the experts: `samples` of the actions, their clusters (`kmeans`), a `grid`, or
            random in a `box`.
        start_bound: Half the side of grid and box, in standardised units.
        revive_every: Steps between revivals of abandoned experts; 0: never.
        revive_below: An expert counts as abandoned below this share of a uniform gating.
    """

    expert_start: ExpertStart = "samples"
    start_bound: float = 1.0
    revive_every: int = 0
    revive_below: float = 0.02

    def check_mixture(self) -> None:
        """Refuse invalid values.

        Raises:
            ConfigurationError: With the field, its value and the allowed values.
        """
        self.check_backbone()
        for name, choices in (("covariance", Covariance), ("gating", Gating), ("expert_start", ExpertStart)):
            require_choice(self, name, choices)
        require_least(1, self, "experts", "head_width")
        require_least(0, self, "head_layers", "revive_every", "revive_below")
        require_positive(self, "floor", "start_bound")
        for name in ("floor", "revive_below"):
            if getattr(self, name) >= 1.0:
                raise ConfigurationError(f"{name} is {getattr(self, name)}; it must be below 1")
