"""Teachers that know noise levels as numbered diffusion steps, in the conventions of diffusers' schedulers.

A step t has the share of signal abar_t = prod (1 - beta_i), so the level sigma_t = sqrt((1 - abar_t) / abar_t). LeRobot
and diffusion_policy sample with diffusers; measured with its version 0.42:

- N sampling steps of T visit the levels (N - 1) r, ..., r, 0 with r = T // N ("leading"); the last one ends at the
  clean action.
- The start is standard normal in the network's own coordinates, also where the first level still holds signal: in ours
  sqrt(1 + sigma^2) times a standard normal.
- DDIM keeps the noise that the network estimated, also where the clean action was clipped.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.checks import require_choice, require_least
from vdd_ros.learning.configs import Sampler, Schedule
from vdd_ros.learning.diffusion.levels import LevelGrid
from vdd_ros.learning.diffusion.noise_levels import COSINE_OFFSET, MAX_BETA
from vdd_ros.learning.diffusion.preconditioning import Scalings, VariancePreserving
from vdd_ros.learning.diffusion.teacher import TeacherConfig
from vdd_ros.learning.networks.unet import OUTPUT_GROUPS, UNetDenoiser, UNetShape
from vdd_ros.text import printable

BetaSchedule = Literal["squaredcos_cap_v2", "linear", "scaled_linear"]
Prediction = Literal["epsilon", "sample"]

MOST_LEVELS = 8
"""Limit on the levels of a U-Net; its chunk has at least 2^7 actions then."""


@dataclass(frozen=True, kw_only=True)
class NumberedTeacherConfig(TeacherConfig):
    """Shape of a teacher with numbered steps. The backbone's fields, of `BackboneConfig`, have no effect.

    Attributes:
        prediction: Whether the network estimates the noise, `epsilon`, or the clean action, `sample`.
        betas: Schedule of beta; `levels` is their number.
        beta_start, beta_end: First and last beta, for the linear schedules.
        usual_sampler: Sampler that its author chose.
    """

    prediction: Prediction = "epsilon"
    betas: BetaSchedule = "squaredcos_cap_v2"
    beta_start: float = 1e-4
    beta_end: float = 0.02
    usual_sampler: Sampler = "ancestral"

    def check(self) -> None:
        """Refuse invalid configurations.

        Raises:
            ConfigurationError: With the field, its value and the allowed values.
        """
        super().check()
        for name, choices in (("prediction", Prediction), ("betas", BetaSchedule), ("usual_sampler", Sampler)):
            require_choice(self, name, choices)
        require_least(2, self, "levels")
        if self.goal_length:
            raise ConfigurationError(f"goal_length is {self.goal_length}; this network takes no goals, so it must be 0")
        if not 0.0 < self.beta_start <= self.beta_end < 1.0:
            raise ConfigurationError(
                f"beta_start is {self.beta_start} and beta_end {self.beta_end}; they must be between 0 and 1 and must "
                "not descend"
            )
        sigmas = step_sigmas(self)
        if not bool(sigmas[0] > 0 and sigmas[-1].isfinite() and (sigmas.diff() > 0).all()):
            raise ConfigurationError(
                f"betas is {self.betas}, levels {self.levels}, beta_start {self.beta_start} and beta_end "
                f"{self.beta_end}; in single precision their noise levels do not ascend, or have no end"
            )


@dataclass(frozen=True, kw_only=True)
class UNetTeacherConfig(NumberedTeacherConfig):
    """Shape of a teacher with a U-Net and numbered steps.

    Attributes:
        channels: Channels of the U-Net's levels, from the top, separated by commas.
        kernel: Width of its convolutions, odd.
        groups: Groups of its residual blocks' norms.
        step_features: Features of the embedded step, even.
        scales: Whether the condition also scales.
    """

    channels: str
    kernel: int = 5
    groups: int = 8
    step_features: int = 128
    scales: bool = True

    def check(self) -> None:
        """Refuse invalid configurations.

        Raises:
            ConfigurationError: With the field, its value and the allowed values.
        """
        super().check()
        require_least(1, self, "groups", "kernel")
        require_least(4, self, "step_features")
        shape = self.unet
        if self.kernel % 2 == 0 or self.step_features % 2:
            raise ConfigurationError(
                f"kernel is {self.kernel} and step_features {self.step_features}; the kernel must be odd, the features "
                "even"
            )
        if bad := [width for width in shape.channels if width % self.groups]:
            raise ConfigurationError(f"channels has {bad[0]}; all must be multiples of the {self.groups} groups")
        if shape.channels[0] % OUTPUT_GROUPS:
            raise ConfigurationError(f"channels begins with {shape.channels[0]}; it must be a multiple of 8")
        if self.horizon % (multiple := 2 ** (len(shape.channels) - 1)):
            raise ConfigurationError(
                f"horizon is {self.horizon}; with {len(shape.channels)} levels of channels it must be a multiple of "
                f"{multiple}"
            )

    @property
    def unet(self) -> UNetShape:
        """Shape of the network.

        Raises:
            ConfigurationError: `channels` is no list of whole numbers.
        """
        parts = self.channels.split(",")
        if not all(part.isascii() and part.isdigit() and 0 < int(part) <= 1 << 16 for part in parts):
            raise ConfigurationError(
                f"channels is '{printable(self.channels)}'; it must be whole numbers above 0, separated by commas"
            )
        if not 2 <= len(parts) <= MOST_LEVELS:
            raise ConfigurationError(f"channels has {len(parts)} levels; a U-Net has 2 to {MOST_LEVELS}")
        widths = tuple(int(part) for part in parts)
        return UNetShape(
            channels=widths,
            kernel=self.kernel,
            groups=self.groups,
            step_features=self.step_features,
            scales=self.scales,
        )


def signal_shares(betas: BetaSchedule, count: int, start: float, end: float) -> Tensor:
    """Return abar of all diffusion steps, (count,) float32, descending; accumulated in float32, as diffusers does.

    Args:
        betas: `squaredcos_cap_v2` (Nichol and Dhariwal 2021, eq. 17, with beta clipped to 0.999), `linear` (Ho et al.
            2020), or `scaled_linear`, linear in its root.
        count: Number of steps.
        start: First beta, of the linear schedules.
        end: Last beta.
    """
    single = torch.float32  # and on the CPU also where models are built without memory
    if betas == "linear":
        beta = torch.linspace(start, end, count, dtype=single, device="cpu")
    elif betas == "scaled_linear":
        beta = torch.linspace(start**0.5, end**0.5, count, dtype=single, device="cpu").square()
    else:

        def share(time: float) -> float:
            return math.cos((time + COSINE_OFFSET) / (1 + COSINE_OFFSET) * math.pi / 2) ** 2

        each = [min(1 - share((step + 1) / count) / share(step / count), MAX_BETA) for step in range(count)]
        beta = torch.tensor(each, dtype=single, device="cpu")
    return (1.0 - beta).cumprod(0)


def step_sigmas(config: NumberedTeacherConfig) -> Tensor:
    """Return the levels of all diffusion steps, (levels,) float32, ascending."""
    shares = signal_shares(config.betas, config.levels, config.beta_start, config.beta_end).double()
    return ((1 - shares) / shares).sqrt().float()


class NumberedLevels(LevelGrid):
    """Levels of numbered diffusion steps; see the module."""

    usual_schedule: Schedule = "leading"

    def __init__(self, sigmas: Tensor, usual_sampler: Sampler) -> None:
        """Take the levels, (levels,) ascending, on the CPU, and the sampler that their author chose."""
        super().__init__(sigmas)
        self.usual_sampler = usual_sampler

    def start(self, sigma: float) -> float:
        """Return sqrt(1 + sigma^2)."""
        return math.sqrt(1 + sigma**2)


class NumberedSteps(VariancePreserving):
    """A network that is told the number of the diffusion step, and estimates the noise or the clean action."""

    keeps_noise = True

    def __init__(self, sigmas: Tensor, prediction: Prediction) -> None:
        """Take the levels of all steps, (levels,) ascending, and what the network estimates."""
        self._low, self._width = sigmas[:-1], sigmas.diff()
        self._prediction = prediction

    def condition(self, sigma: Tensor) -> Tensor:
        """Return the step of a level (..., 1), linear in sigma between two steps."""
        low, width = self._low.to(sigma), self._width.to(sigma)
        return ((sigma - low) / width).clamp(0.0, 1.0).sum(-1, keepdim=True)

    def scalings(self, sigma: Tensor) -> Scalings:
        """Return those of `Epsilon` or `CleanSample`."""
        scale_in = (1 + sigma.square()).rsqrt()
        if self._prediction == "epsilon":
            return torch.ones_like(sigma), -sigma, scale_in
        return torch.zeros_like(sigma), torch.ones_like(sigma), scale_in


def unet(config: UNetTeacherConfig) -> UNetDenoiser:
    """Build the untrained network."""
    chunk = config.horizon, config.act_dim
    return UNetDenoiser(config.unet, config.history * config.obs_dim, chunk, config.past)


def numbered_levels(config: NumberedTeacherConfig) -> NumberedLevels:
    """Return the levels of the numbered steps."""
    return NumberedLevels(step_sigmas(config), config.usual_sampler)


def numbered_steps(config: NumberedTeacherConfig) -> NumberedSteps:
    """Return the preconditioning."""
    return NumberedSteps(step_sigmas(config), config.prediction)


def unet_teacher_config() -> type[UNetTeacherConfig]:
    """Return the class of the shape of such teachers."""
    return UNetTeacherConfig
