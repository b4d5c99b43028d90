"""Preconditioning of diffusion networks: the epsilon, v, clean-sample and EDM parametrisations.

Whatever the network F estimates, the mean of the clean actions is

    D(a, sigma) = c_skip(sigma) a + c_out(sigma) F(c_in(sigma) a, sigma),

so that F's target is (clean - c_skip a) / c_out. The first three are those of variance-preserving models (Ho et al.
2020; Salimans and Ho 2022), which see a / sqrt(1 + sigma^2); EDM's are Karras et al.'s (2022, table 1). Samplers, the
probability-flow ODE and the score use D only.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vdd_ros.learning.configs import NoiseConfig

Scalings = tuple[Tensor, Tensor, Tensor]
"""c_skip, c_out and c_in."""


class Preconditioning:
    """Maps a network's output to a clean action.

    Attributes:
        edm_deviation: sigma_data of EDM's scalings; None for other scalings.
        keeps_noise: Whether DDIM and Euler's method keep the noise that belongs to the clean action before it was
            clipped, (a - D) / sigma, as diffusers does.
    """

    edm_deviation: float | None = None
    keeps_noise: bool = False

    def scalings(self, sigma: Tensor) -> Scalings:
        """Return c_skip, c_out and c_in at levels of any shape."""
        raise NotImplementedError

    def condition(self, sigma: Tensor) -> Tensor:
        """Return the network's noise condition at levels of any shape; log(sigma) / 4 in all that ship."""
        return sigma.log() / 4

    def stretch(self, sigma: Tensor) -> Tensor:
        """Return the factor from actions in the training's coordinates to actions in ours; 1 if they coincide."""
        return torch.ones_like(sigma)

    def denoise(self, network: Callable[..., Tensor], context: Any, noisy: Tensor, sigma: Tensor) -> Tensor:
        """Estimate the mean of the clean actions, (B, S, D).

        Args:
            network: A `Denoiser`.
            context: From its `encode`.
            noisy: (B, S, D).
            sigma: Levels, broadcast over (B, S).
        """
        sigma = sigma[..., None]
        skip, out, scale_in = self.scalings(sigma)
        return skip * noisy + out * network(context, scale_in * noisy, self.condition(sigma))

    def loss(self, network: Callable[..., Tensor], context: Any, noisy: Tensor, clean: Tensor, sigma: Tensor) -> Tensor:
        """Return the network's mean squared error against its target; `clean` is (B, 1, D), others as in `denoise`."""
        sigma = sigma[..., None]
        skip, out, scale_in = self.scalings(sigma)
        predicted = network(context, scale_in * noisy, self.condition(sigma))
        return (predicted - (clean - skip * noisy) / out).square().mean()


class VariancePreserving(Preconditioning):
    """Base of models with the input sqrt(alpha_bar) a + sqrt(1 - alpha_bar) noise: ours / sqrt(1 + sigma^2)."""

    def stretch(self, sigma: Tensor) -> Tensor:
        """Return sqrt(1 + sigma^2)."""
        return (1 + sigma.square()).sqrt()


class Epsilon(VariancePreserving):
    """The network estimates the noise (Ho et al. 2020)."""

    def scalings(self, sigma: Tensor) -> Scalings:
        """Return 1, -sigma, 1 / sqrt(1 + sigma^2)."""
        return torch.ones_like(sigma), -sigma, (1 + sigma.square()).rsqrt()


class Velocity(VariancePreserving):
    """The network estimates v = sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) clean (Salimans and Ho 2022).

    These are EDM's scalings for data of deviation 1, with the sign of the network's output flipped.
    """

    def scalings(self, sigma: Tensor) -> Scalings:
        """Return 1 / (1 + sigma^2), -sigma / sqrt(1 + sigma^2), 1 / sqrt(1 + sigma^2)."""
        scale_in = (1 + sigma.square()).rsqrt()
        return scale_in.square(), -sigma * scale_in, scale_in


class CleanSample(VariancePreserving):
    """The network estimates the clean action itself."""

    def scalings(self, sigma: Tensor) -> Scalings:
        """Return 0, 1, 1 / sqrt(1 + sigma^2)."""
        return torch.zeros_like(sigma), torch.ones_like(sigma), (1 + sigma.square()).rsqrt()


class Edm(Preconditioning):
    """EDM: the network's input and target have unit variance at every level, for data of deviation sigma_data."""

    def __init__(self, deviation: float) -> None:
        """Take the deviation of the data, sigma_data."""
        self.edm_deviation = deviation
        self._data = deviation

    def scalings(self, sigma: Tensor) -> Scalings:
        """Return Karras et al.'s (2022, table 1, "Ours")."""
        total = sigma.square() + self._data**2
        return self._data**2 / total, sigma * self._data * total.rsqrt(), total.rsqrt()


def epsilon(config: NoiseConfig) -> Epsilon:
    """Return the preconditioning of a network that estimates the noise."""
    return Epsilon()


def velocity(config: NoiseConfig) -> Velocity:
    """Return the preconditioning of a network that estimates v."""
    return Velocity()


def clean_sample(config: NoiseConfig) -> CleanSample:
    """Return the preconditioning of a network that estimates the clean action."""
    return CleanSample()


def edm(config: NoiseConfig) -> Edm:
    """Return EDM's preconditioning for data of the deviation `sigma_data`."""
    return Edm(config.sigma_data)
