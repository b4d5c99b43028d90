"""What a diffusion network is trained to estimate, as scalings around it: epsilon, v, the clean sample, EDM.

Whatever the network F estimates, the mean of the clean actions is

    D(a, sigma) = c_skip(sigma) a + c_out(sigma) F(c_in(sigma) a, sigma),

so that F's target is (clean - c_skip a) / c_out. The first three are those of variance-preserving models (Ho et al.
2020; Salimans and Ho 2022), which see a / sqrt(1 + sigma^2); EDM's are Karras et al.'s (2022, table 1). Everything else
asks for D alone: samplers, the probability flow, the score.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vdd_ros.learning.configs import NoiseConfig

Scalings = tuple[Tensor, Tensor, Tensor]
"""c_skip, c_out and c_in."""


class Preconditioning:
    """How a network's output becomes a clean action.

    Attributes:
        edm_deviation: The deviation of the data that EDM's scalings assume, where they are EDM's; else None.
    """

    edm_deviation: float | None = None

    def scalings(self, sigma: Tensor) -> Scalings:
        """Return c_skip, c_out and c_in at levels of any shape."""
        raise NotImplementedError

    def condition(self, sigma: Tensor) -> Tensor:
        """Return what the network is told of levels of any shape; in all that ship, log(sigma) / 4."""
        return sigma.log() / 4

    def stretch(self, sigma: Tensor) -> Tensor:
        """Return the factor from an action as it was trained on to one at our level; 1 where that is the same."""
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
        """Return the mean squared error of the network against its target; `clean` is (B, 1, D), else as `denoise`."""
        sigma = sigma[..., None]
        skip, out, scale_in = self.scalings(sigma)
        predicted = network(context, scale_in * noisy, self.condition(sigma))
        return (predicted - (clean - skip * noisy) / out).square().mean()


class VariancePreserving(Preconditioning):
    """What models share that see sqrt(alpha_bar) a + sqrt(1 - alpha_bar) noise: a / sqrt(1 + sigma^2) in our levels."""

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

    These are EDM's scalings for data of deviation 1, with the other sign of the network's output.
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
    """EDM: input and target of the network have deviation 1 at every level, for data of one deviation."""

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
