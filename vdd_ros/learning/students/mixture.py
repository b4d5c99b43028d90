"""The network from states to Gaussian mixtures over actions, and the initialisation of its experts."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.configs import ExpertStart, MixtureSettings
from vdd_ros.learning.networks.backbones import NetworkConfig, make_trunk
from vdd_ros.learning.students.bases import cosine_basis, is_orthonormal, principal_axes
from vdd_ros.learning.students.gaussian_mixture import GaussianMixture

KMEANS_POINTS = 20_000


@dataclass(frozen=True, kw_only=True)
class StudentConfig(MixtureSettings, NetworkConfig):
    """Shape of a student."""

    def check(self) -> None:
        """Refuse invalid configurations.

        Raises:
            ConfigurationError: With the field, its value and the allowed values.
        """
        super().check()
        if self.past and self.covariance in ("cosine", "principal"):
            raise ConfigurationError(
                f"covariance is '{self.covariance}', and the teacher's chunk begins {self.past} actions before the "
                "newest observation; a basis of the whole chunk is none of its rest, so choose diagonal or full"
            )


class Head(nn.Module):
    """Hidden layers and a linear output layer."""

    def __init__(self, width: int, hidden: int, layers: int, outputs: int) -> None:
        """Make a head; its last layer starts near zero."""
        super().__init__()
        widths = [width] + [hidden] * layers
        self.hidden = nn.Sequential(*(nn.Sequential(nn.Linear(n, m), nn.SiLU()) for n, m in pairwise(widths)))
        self.last = nn.Linear(widths[-1], outputs)
        nn.init.normal_(self.last.weight, std=0.01)
        nn.init.zeros_(self.last.bias)

    def forward(self, h: Tensor) -> Tensor:
        """Map (B, width) to (B, outputs)."""
        return self.last(self.hidden(h))


class MixtureStudent(nn.Module):
    """A network from standardised observations to a mixture over standardised actions."""

    place: Tensor
    entry: Tensor
    basis: Tensor | None

    def __init__(self, config: StudentConfig) -> None:
        """Build an untrained student: experts of deviation 1 at random places; see `spread_experts`."""
        super().__init__()
        self.config = config
        self.size = config.size
        self.entries = self.size * (self.size + 1) // 2 if config.covariance == "full" else self.size
        for name, index in zip(("place", "entry"), _triangle(self.size), strict=True):
            self.register_buffer(name, index, persistent=False)
        self._register_basis()
        self.trunk = make_trunk(config)
        head = (config.width, config.head_width, config.head_layers)
        if config.gating == "learned":
            self.gating = Head(*head, config.experts)
        self.mean = Head(*head, config.experts * self.size)
        self.scale = Head(*head, config.experts * self.entries)
        self.spread_experts(torch.randn(config.experts, self.size))
        with torch.no_grad():
            diagonal = self.scale.last.bias.view(config.experts, self.entries)[:, : self.size]
            diagonal.fill_(math.log(math.expm1(1.0 - config.floor)))

    def _register_basis(self) -> None:
        """Keep the directions of the experts' deviations; those of the data come later, and are saved."""
        basis = None
        if self.config.covariance == "cosine":
            basis = cosine_basis(self.config.horizon, self.config.act_dim)
        elif self.config.covariance == "principal":
            basis = torch.eye(self.size)
        self.register_buffer("basis", basis, persistent=self.config.covariance == "principal")

    def learn_axes(self, actions: Tensor) -> None:
        """Take the principal axes of actions (N, D) as basis, if the covariances have one of the data."""
        if self.config.covariance == "principal" and self.basis is not None:
            self.basis.copy_(principal_axes(actions))

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Load weights as torch does.

        Raises:
            ConfigurationError: The saved basis is not orthonormal, so that densities would be wrong.
        """
        result = super().load_state_dict(*args, **kwargs)
        if self.basis is not None and not is_orthonormal(self.basis):
            raise ConfigurationError("basis is not orthonormal; distil again, or take another copy")
        return result

    def spread_experts(self, places: Tensor) -> None:
        """Start the experts' means at `places`, (experts, D), whatever the observation."""
        with torch.no_grad():
            self.mean.last.bias.copy_(places.flatten())

    def forward(self, observation: Tensor, goal: Tensor | None = None) -> GaussianMixture:
        """Return the mixtures for observations (B, history, obs_dim) and goals (B, goal_length, obs_dim)."""
        h = self.trunk(observation, goal)
        with torch.autocast(h.device.type, enabled=False):  # 8 bits would round means by more than a narrow deviation
            h = h.float()
            return self.mixture(self.logits(h), self.mean(h), self.scale(h))

    def mixture(self, logits: Tensor, mean: Tensor, raw: Tensor) -> GaussianMixture:
        """Return the mixtures from the outputs of the heads: (B, Z), (B, Z * D) and (B, Z * entries)."""
        log_gating = torch.log_softmax(logits, dim=1)
        mean = mean.reshape(-1, self.config.experts, self.size)
        raw = raw.reshape(-1, self.config.experts, self.entries)
        if self.config.covariance != "full":
            return GaussianMixture(log_gating, mean, self._deviation(raw), self.basis)
        factor = self._cholesky(self._deviation(raw[..., : self.size]), raw[..., self.size :])
        return GaussianMixture(log_gating, mean, factor)

    def logits(self, h: Tensor) -> Tensor:
        """Return the logits of the gating, (B, Z), for features (B, width)."""
        if self.config.gating == "uniform":
            return torch.zeros_like(h[:, :1]).expand(-1, self.config.experts)
        return self.gating(h.detach() if self.config.detach_gating else h)

    def _deviation(self, raw: Tensor) -> Tensor:
        return nn.functional.softplus(raw) + self.config.floor

    def _cholesky(self, scale: Tensor, below: Tensor) -> Tensor:
        """Fill lower triangles: (B, Z, D) diagonals and (B, Z, D (D - 1) / 2) entries below, row by row."""
        entries = torch.cat([scale, below], dim=-1)
        learning = entries.requires_grad  # else with the operators of policy files
        filled = _Fill.apply(entries, self.place, self.entry) if learning else _fill(entries, self.place)
        return filled.unflatten(-1, (self.size, self.size))

    @torch.no_grad()
    def split_expert(self, source: int, expert: int, jitter: Tensor | None = None) -> None:
        """Split one expert into two equal halves, replacing another; the density of the split one is unchanged.

        Args:
            source: The expert that is split; it shares its gating.
            expert: The expert that becomes the other half.
            jitter: (D,) moves the mean of the other half, so that the two can part.
        """
        for head in (self.gating.last, self.mean.last, self.scale.last):
            for values in (head.weight, head.bias):
                rows = values.unflatten(0, (self.config.experts, -1))
                rows[expert] = rows[source]
        self.gating.last.bias[[source, expert]] -= math.log(2)
        if jitter is not None:
            self.mean.last.bias.view(self.config.experts, self.size)[expert] += jitter


def _triangle(size: int) -> tuple[Tensor, Tensor]:
    """Return the places of a lower triangle's entries in a matrix, the diagonal first.

    Returns:
        The entry of each place (size * size,), one past the last for none, and the place of each entry.
    """
    numbers = torch.arange(size, device="cpu")
    rows, columns = torch.tril_indices(size, size, offset=-1, device="cpu")
    entry = torch.cat([numbers * (size + 1), rows * size + columns])
    place = len(entry) * torch.ones(size**2, dtype=torch.long, device="cpu")
    place[entry] = torch.arange(len(entry), device="cpu")
    return place, entry


def _fill(entries: Tensor, place: Tensor) -> Tensor:
    return nn.functional.pad(entries, (0, 1))[..., place]


class _Fill(torch.autograd.Function):
    """`_fill` with the gradient read back: each entry has one place, so that no scatter-add is needed."""

    @staticmethod
    def forward(context: Any, entries: Tensor, place: Tensor, entry: Tensor) -> Tensor:
        """Return matrices (..., D * D) of entries (..., N)."""
        context.entry = entry
        return _fill(entries, place)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of the entries."""
        return gradient[..., context.entry], None, None


def plan_revival(usage: Tensor, least: float) -> list[tuple[int, int]]:
    """Return, for each abandoned expert, the one to split: the most used at that point.

    Args:
        usage: (experts,) mean gating; experts below `least` / experts are abandoned.
        least: Share of a uniform usage below which an expert is abandoned.

    Returns:
        Pairs (source, expert).
    """
    left, plan = usage.tolist(), []
    for expert in [number for number, share in enumerate(left) if share < least / len(left)]:
        source = max(range(len(left)), key=left.__getitem__)
        plan.append((source, expert))
        left[source] = left[expert] = left[source] / 2
    return plan


def expert_places(
    start: ExpertStart, experts: int, actions: Tensor, bound: float, generator: torch.Generator
) -> Tensor:
    """Return the experts' initial means, (experts, D).

    `samples` are random actions, `kmeans` the centres of their clusters; `box` is uniform in a box, `grid` the first
    nodes of a square one in it.

    Args:
        start: Kind of initialisation.
        experts: Number of experts.
        actions: (N, D) actions of the teacher or of the data.
        bound: Half the side of box and grid, in standardised units.
        generator: Source of randomness.
    """
    size = actions.shape[1]
    if start == "samples":
        return actions[torch.randint(len(actions), (experts,), generator=generator, device=generator.device)]
    if start == "box":
        return bound * (2 * torch.rand((experts, size), generator=generator, device=generator.device) - 1)
    if start == "grid":
        side = next(side for side in range(1, experts + 1) if side**size >= experts)
        ticks = torch.linspace(-bound, bound, side) if side > 1 else torch.zeros(1)
        number = torch.linspace(0, side**size - 1, experts).round().long()
        return torch.stack([ticks[number // side**axis % side] for axis in range(size)], dim=1).to(actions.device)
    from sklearn.cluster import KMeans  # type: ignore[import-untyped]

    chosen = torch.randint(len(actions), (KMEANS_POINTS,), generator=generator, device=generator.device)
    seed = int(torch.randint(2**31 - 1, (1,), generator=generator, device=generator.device))
    found = KMeans(experts, n_init=1, random_state=seed).fit(actions[chosen].cpu().numpy())
    return torch.from_numpy(found.cluster_centers_).to(actions)
