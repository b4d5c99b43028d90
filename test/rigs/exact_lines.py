"""Teachers of densities on a line, whose probability-flow ODE is solved in closed form.

In one dimension the ODE moves every quantile of the density at one noise level to the same quantile at another.
"""

import dataclasses

import torch
from torch import Tensor, nn

from vdd_ros.learning.configs import Backbone
from vdd_ros.learning.diffusion.teacher import Teacher, TeacherConfig
from vdd_ros.learning.fit.windows import Windows

SIGMA_MAX = 3.0


@dataclasses.dataclass(frozen=True)
class Line:
    """A mixture of Gaussians on a line: weights, means and deviations, each (K,)."""

    weights: Tensor
    means: Tensor
    deviations: Tensor

    def deviation(self, sigma: Tensor) -> Tensor:
        return (self.deviations**2 + sigma[..., None] ** 2).sqrt()

    def denoised(self, action: Tensor, sigma: Tensor) -> Tensor:
        """Return the posterior mean of clean actions; both (...)."""
        offset, wide = action[..., None] - self.means, self.deviation(sigma)
        share = (self.weights.log() - wide.log() - 0.5 * (offset / wide) ** 2).softmax(-1)
        return (share * (self.means + offset * (self.deviations / wide) ** 2)).sum(-1)

    def moved(self, action: Tensor, sigma: Tensor, below: Tensor) -> Tensor:
        """Return where the ODE moves actions from one level to another, by bisection for the quantile; all (...)."""

        def mass(value: Tensor, level: Tensor) -> Tensor:
            return (self.weights * torch.special.ndtr((value[..., None] - self.means) / self.deviation(level))).sum(-1)

        wanted = mass(action.double(), sigma.double())
        low, high = torch.full_like(wanted, -40.0), torch.full_like(wanted, 40.0)
        for _ in range(60):
            middle = (low + high) / 2
            short = mass(middle, below.double()) < wanted
            low, high = torch.where(short, middle, low), torch.where(short, high, middle)
        return ((low + high) / 2).to(action)

    def draw(self, count: int) -> Tensor:
        which = torch.multinomial(self.weights, count, replacement=True)
        return self.means[which] + self.deviations[which] * torch.randn(count)


GAUSSIAN = Line(torch.tensor([1.0]), torch.tensor([0.4]), torch.tensor([0.6]))
MIXTURE = Line(torch.tensor([0.3, 0.7]), torch.tensor([-1.0, 0.8]), torch.tensor([0.2, 0.3]))


class ExactNetwork(nn.Module):
    """Answers as a BESO teacher's network that has learnt a `Line`, whatever the observation."""

    def __init__(self, line: Line, data: float) -> None:
        super().__init__()
        self.line = line
        self.data = data

    def encode(self, observation: Tensor, goal: Tensor | None) -> Tensor:
        return torch.zeros(len(observation), 1)

    def forward(self, context: Tensor, scaled: Tensor, condition: Tensor) -> Tensor:
        sigma = (4 * condition).exp()
        total = sigma**2 + self.data**2
        action = scaled * total.sqrt()
        denoised = self.line.denoised(action[..., 0], sigma[..., 0].expand(action.shape[:-1]))[..., None]
        return (denoised - self.data**2 / total * action) / (sigma * self.data * total.rsqrt())


def shape(kind: str = "beso", backbone: Backbone = "mlp") -> TeacherConfig:
    return TeacherConfig(
        kind=kind,
        history=1,
        obs_dim=1,
        horizon=1,
        act_dim=1,
        backbone=backbone,
        width=32,
        layers=2,
        octaves=1,
        sigma_max=SIGMA_MAX,
    )


def exact_teacher(line: Line) -> Teacher:
    teacher = Teacher(shape())
    teacher.network = ExactNetwork(line, teacher.config.sigma_data)
    return teacher.requires_grad_(False)


def windows(line: Line, count: int = 2_000) -> Windows:
    numbers = torch.arange(count)
    return Windows(torch.zeros(count, 1, 1), line.draw(count)[:, None], torch.zeros(count, 1), numbers, numbers, 0)


class ExactModel(nn.Module):
    """Jumps like the ODE of a `Line`, plus an offset that fades out towards 0."""

    def __init__(self, line: Line, offset: float) -> None:
        super().__init__()
        self.line = line
        self.offset = nn.Parameter(torch.tensor(offset))

    def encode(self, observation: Tensor, goal: Tensor | None = None) -> Tensor:
        return torch.zeros(len(observation), 1)

    def jump(self, context: Tensor, action: Tensor, sigma: Tensor, below: Tensor) -> Tensor:
        moved = self.line.moved(action[..., 0], sigma, below.expand(sigma.shape))
        return (moved + self.offset * (sigma - below))[..., None]

    def predict_clean(self, context: Tensor, action: Tensor, sigma: Tensor, below: Tensor) -> Tensor:
        keep = (below / sigma)[..., None]
        return (self.jump(context, action, sigma, below) - keep * action) / (1 - keep)
