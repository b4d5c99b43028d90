"""The one-step policies: networks that jump along a teacher's probability-flow ODE in a single pass."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.networks.backbones import Context, Denoiser, NetworkConfig, make_denoiser

TINY = 1e-12


@dataclass(frozen=True, kw_only=True)
class OneStepConfig(NetworkConfig):
    """Shape of a one-step policy.

    Attributes:
        conditions: Noise levels among its inputs: 1, the start of a jump (CD); 2, start and end (CTM).
        sigma_min, sigma_max: Its lowest noise level above 0, and the one that actions start from.
        sigma_data: Deviation that its preconditioning assumes.
    """

    conditions: int
    sigma_min: float
    sigma_max: float
    sigma_data: float


class OneStepModel(nn.Module):
    """Maps noisy standardised actions along the teacher's ODE to lower levels, given standardised observations.

    An action here is a chunk flattened to a vector of D = horizon * act_dim; noise levels are those of noise_levels.py.
    The preconditioning is EDM's, which gives back the action itself at the level 0: consistency's boundary condition,
    held there and not at a small positive level (Song et al. 2023, appendix C), so that jumps end in clean actions.
    """

    action_low: Tensor
    action_high: Tensor

    def __init__(self, config: OneStepConfig) -> None:
        """Build an untrained policy, without action limits."""
        super().__init__()
        self.config = config
        self.size = config.size
        self.conditions = config.conditions
        self.network: Denoiser = make_denoiser(config, self.conditions)  # type: ignore[assignment]
        self.register_buffer("action_low", torch.full((self.size,), -torch.inf))
        self.register_buffer("action_high", torch.full((self.size,), torch.inf))

    def limit_actions(self, low: Tensor, high: Tensor) -> None:
        """Set the limits, each (act_dim,), to which samples of standardised actions are clipped."""
        self.action_low = low.repeat(self.config.horizon)
        self.action_high = high.repeat(self.config.horizon)

    def encode(self, observation: Tensor, goal: Tensor | None = None) -> Context:
        """Encode observations (B, history, obs_dim) and goals (B, goal_length, obs_dim), once for all later calls."""
        return self.network.encode(observation, goal)

    def sample(self, context: Context, noise: Tensor) -> Tensor:
        """Turn noise into actions within the limits, in one pass; as `generate`."""
        return torch.clamp(self.generate(context, noise), self.action_low, self.action_high)

    def generate(self, context: Context, noise: Tensor) -> Tensor:
        """Turn noise into actions in one pass, without the limits.

        Args:
            context: From `encode`.
            noise: (B, S, D) standard normal.
        """
        highest = torch.full((1, 1), self.config.sigma_max, device=noise.device)
        return self.predict_clean(context, self.config.sigma_max * noise, highest, torch.zeros_like(highest))

    def jump(self, context: Context, action: Tensor, sigma: Tensor, below: Tensor) -> Tensor:
        """Jump to a lower noise level: the `f` of CD, which goes to 0, and CTM's `G` (Kim et al. 2024).

        Args:
            context: From `encode`.
            action: (B, S, D) at the level `sigma`.
            sigma: Levels, broadcast over (B, S).
            below: Levels of the result, at most `sigma`; CD supports only 0.
        """
        return interpolate(action, self.predict_clean(context, action, sigma, below), sigma, below)

    def predict_clean(self, context: Context, action: Tensor, sigma: Tensor, below: Tensor) -> Tensor:
        """Return the clean action that lies ahead, CTM's `g`: a jump moves straight towards it; as `jump`.

        For equal levels it is the denoised action; for `below` 0 it is where the jump ends.
        """
        data = self.config.sigma_data
        levels = torch.stack(torch.broadcast_tensors(sigma, below)[: self.conditions], dim=-1)
        condition = levels.clamp_min(self.config.sigma_min / 2).log() / 4
        sigma = sigma[..., None]
        total = sigma.square() + data**2
        answer = self.network(context, action * total.rsqrt(), condition)
        return data**2 / total * action + sigma * data * total.rsqrt() * answer

    @torch.no_grad()
    def start_from(self, network: nn.Module, readout: bool) -> None:
        """Take over a denoiser's weights; CTM's second condition has no effect at first.

        Args:
            network: Of the same shape, with one noise condition.
            readout: Take over its last layer too: it estimates the same thing.

        Raises:
            ConfigurationError: It has other layers.
        """
        weights = network.state_dict()
        if missing := sorted(self.network.state_dict().keys() - weights.keys()):  # type: ignore[attr-defined]
            raise ConfigurationError(
                f"the teacher's network has no '{missing[0]}', so that no student can start from it; give "
                "--no-start-from-teacher"
            )
        for name, value in self.network.state_dict().items():  # type: ignore[attr-defined]
            if name.startswith("read.") and not readout:
                continue
            if value.shape == weights[name].shape:
                value.copy_(weights[name])
            else:  # the first layer of the noise embedding, whose inputs interleave the conditions
                value.unflatten(1, (-1, self.conditions)).copy_(
                    nn.functional.pad(weights[name][..., None], (0, self.conditions - 1))
                )


def interpolate(action: Tensor, clean: Tensor, sigma: Tensor, below: Tensor) -> Tensor:
    """Move actions (B, S, D) straight towards clean ones, from the levels `sigma` to `below`."""
    keep = ((below + TINY) / (sigma + TINY))[..., None]  # exactly 1 for equal levels, 0 included
    return keep * action + (1 - keep) * clean
