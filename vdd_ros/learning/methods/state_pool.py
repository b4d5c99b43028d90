"""The states that students are trained at, with actions of the teacher or of the data."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.fit.windows import Windows
from vdd_ros.progress import each

CHUNK = 2_048


@dataclass(frozen=True)
class Pool:
    """States with actions, standardised.

    Attributes:
        observation: (K, history, obs_dim).
        goal: (K, goal_length, obs_dim) or None.
        action: (K, S, D).
    """

    observation: Tensor
    goal: Tensor | None
    action: Tensor

    def __len__(self) -> int:
        """Return the number of states."""
        return len(self.observation)

    def states(self, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return observations and goals of some states."""
        return self.observation[index], None if self.goal is None else self.goal[index]


def draw_pool(
    teacher: Teacher,
    windows: Windows,
    *,
    copies: int,
    samples: int,
    steps: int,
    observation_noise: float,
    seed: int,
    only_data: bool = False,
) -> Pool:
    """Draw the states of a distillation and the actions that its gating learns from, seeded.

    Args:
        teacher: Draws the actions.
        windows: Demonstrated states and actions.
        copies: Noisy copies of each state, each with a goal of its own.
        samples: Actions drawn at each copy.
        steps: Sampling steps of each action.
        observation_noise: Deviation of the copies' noise.
        seed: Of copies and actions.
        only_data: Keep the demonstrated action of each state instead, also at its noisy copies.
    """
    device = windows.observation.device
    generator = torch.Generator(device).manual_seed(seed)
    index = torch.arange(len(windows), device=device)
    index = index.repeat(copies)
    goal = windows.draw_goals(index, generator)
    observation = windows.observation[index]
    observation = observation + observation_noise * torch.randn(observation.shape, generator=generator, device=device)
    if only_data:
        return Pool(observation, goal, windows.action[index, None])
    actions = []
    parts = torch.arange(len(index)).split(CHUNK)
    for part in each(parts, len(parts), "teacher actions", "chunk"):
        noise = torch.randn((len(part), samples, steps, teacher.size), generator=generator, device=device)
        with torch.no_grad():
            context = teacher.encode(observation[part], None if goal is None else goal[part])
            actions.append(teacher.sample(context, noise))
    return Pool(observation, goal, torch.cat(actions))
