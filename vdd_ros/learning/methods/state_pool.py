"""Training states of students, with actions of the teacher or of the data."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.fit.windows import Windows
from vdd_ros.learning.networks.backbones import Context
from vdd_ros.progress import each

CHUNK = 2_048
MOST_STATES = 1 << 20
"""Most states in a pool; larger sets are subsampled at random."""
KEPT_CONTEXT = 1 << 30
"""Most bytes of cached teacher encodings; beyond that, each batch is encoded again."""


@dataclass(frozen=True)
class StatePool:
    """States with actions, standardised.

    Attributes:
        observation: (K, history, obs_dim).
        goal: (K, goal_length, obs_dim) or None.
        action: (K, S, D).
        context: The teacher's encoding of all states; None if it was not kept.
    """

    observation: Tensor
    goal: Tensor | None
    action: Tensor
    context: Context | None = None

    def __len__(self) -> int:
        """Return the number of states."""
        return len(self.observation)

    def states(self, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return observations and goals of some states."""
        return self.observation[index], None if self.goal is None else self.goal[index]

    @torch.no_grad()
    def encoded(self, teacher: Teacher, index: Tensor) -> Context:
        """Return the teacher's encoding of some states, from the cache if it is kept."""
        return (
            teacher.encode(*self.states(index))
            if self.context is None
            else _apply(lambda part: part[index], self.context)
        )


def draw_windows(count: int, copies: int, generator: torch.Generator) -> Tensor:
    """Return the windows of a pool's states: all of them `copies` times, or a sorted random `MOST_STATES` of those.

    Args:
        count: Number of windows.
        copies: Copies of each window.
        generator: Source of randomness; unused without subsampling.
    """
    index = torch.arange(count, device=generator.device).repeat(copies)
    if len(index) <= MOST_STATES:
        return index
    return index[torch.randperm(len(index), generator=generator, device=generator.device)[:MOST_STATES].sort().values]


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
) -> StatePool:
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
    index = draw_windows(len(windows), copies, generator)
    goal = windows.draw_goals(index, generator)
    observation = windows.observation[index]
    observation = observation + observation_noise * torch.randn(observation.shape, generator=generator, device=device)
    if only_data:
        return StatePool(observation, goal, windows.action[index, None])
    actions, contexts, bytes_kept = [], [], 0.0
    parts = torch.arange(len(index)).split(CHUNK)
    for part in each(parts, len(parts), "teacher actions", "chunk"):
        noise = torch.randn((len(part), samples, steps, teacher.size), generator=generator, device=device)
        with torch.no_grad():
            context = teacher.encode(observation[part], None if goal is None else goal[part])
            actions.append(teacher.sample(context, noise))
        bytes_kept += _bytes(context)
        if bytes_kept <= KEPT_CONTEXT:
            contexts.append(_apply(Tensor.contiguous, context))
    whole = _join(contexts) if bytes_kept <= KEPT_CONTEXT else None
    return StatePool(observation, goal, torch.cat(actions), whole)


def _apply(function: Callable[[Tensor], Tensor], context: Context) -> Context:
    """Apply a function to the tensors of an encoding, each of which has the states as its first dimension."""
    return function(context) if isinstance(context, Tensor) else tuple(_apply(function, part) for part in context)


def _join(contexts: list[Context]) -> Context:
    if isinstance(contexts[0], Tensor):
        return torch.cat(contexts)
    return tuple(_join(list(parts)) for parts in zip(*contexts, strict=True))


def _bytes(context: Context) -> float:
    """Return the size of an encoding; infinite if it holds other objects than tensors and cannot be cached."""
    if isinstance(context, Tensor):
        return context.nbytes
    return sum(map(_bytes, context)) if isinstance(context, tuple) else math.inf
