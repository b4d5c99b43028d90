"""The graphs of policy files: physical units in and out, limits applied, every random draw an input."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vdd_ros.learning.configs import Sampler, Schedule
from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.export.novelty import Novelty
from vdd_ros.learning.fit.windows import Statistics
from vdd_ros.learning.networks.backbones import NetworkConfig
from vdd_ros.learning.students.gaussian_mixture import GaussianMixture
from vdd_ros.learning.students.mixture import MixtureStudent
from vdd_ros.learning.students.one_step import OneStepModel
from vdd_ros.policy.selection import LIKELIEST_EXPERT

LIMIT_ROUNDING = 1e-6


class PhysicalUnits(nn.Module):
    """Standardises observations, and turns standardised actions into limited physical ones."""

    observation_mean: Tensor
    observation_std: Tensor
    action_mean: Tensor
    action_std: Tensor
    standard_low: Tensor
    standard_high: Tensor

    def __init__(self, statistics: Statistics) -> None:
        """Keep the statistics as constants of the graph."""
        super().__init__()
        for name in ("observation_mean", "observation_std", "action_mean", "action_std"):
            self.register_buffer(name, getattr(statistics, name))
        low, high = statistics.standard_limits()
        inward = LIMIT_ROUNDING * (high - low)  # so that rounding to physical units does not pass a limit
        self.register_buffer("standard_low", low + inward)
        self.register_buffer("standard_high", high - inward)

    def states(self, observation: Tensor, goal: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Standardise observations (B, history, obs_dim) and goals (B, goal_length, obs_dim)."""
        return self.standard(observation), None if goal is None else self.standard(goal)

    def standard(self, observation: Tensor) -> Tensor:
        """Standardise observations (..., obs_dim)."""
        return (observation - self.observation_mean) / self.observation_std

    def limited(self, action: Tensor) -> Tensor:
        """Clip standardised actions (B, horizon, act_dim) to the limits."""
        return torch.clamp(action, self.standard_low, self.standard_high)

    def physical(self, action: Tensor) -> Tensor:
        """Turn standardised, limited actions (B, horizon, act_dim) into physical ones."""
        return action * self.action_std + self.action_mean


class DiffusionGraph(nn.Module):
    """A teacher with its whole sampler: observation, (goal), noise -> action.

    The levels are constants of the graph, so that ONNX Runtime computes their embeddings once, when it opens the file.
    """

    outputs: tuple[str, ...] = ("action",)

    def __init__(
        self, teacher: Teacher, statistics: Statistics, steps: int, sampler: Sampler, schedule: Schedule
    ) -> None:
        """Fix the number of sampling steps, the sampler and its schedule.

        Raises:
            ConfigurationError: The teacher has fewer levels than steps.
        """
        super().__init__()
        self.teacher = teacher
        self.units = PhysicalUnits(statistics)
        self.inputs = input_names(teacher.config)
        self.noise_shape = (steps, teacher.config.horizon, teacher.config.act_dim)
        self.sampler: Sampler = sampler
        self.schedule: Schedule = schedule
        self.sigmas = teacher.sampling_levels(steps, schedule)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return actions (B, horizon, act_dim) for observations (B, history, obs_dim) and noise (B, *noise_shape)."""
        drawn = chunked(self.chain(*inputs)[-1], self.noise_shape[1:])
        return self.units.physical(self.units.limited(drawn))

    def chain(self, *inputs: Tensor) -> list[Tensor]:
        """Return the standardised action after each step, steps + 1 tensors (B, 1, D), the first one noise."""
        *states, noise = inputs
        context = self.teacher.encode(*self.units.states(*states))
        draws = noise.reshape(-1, 1, self.noise_shape[0], self.teacher.size)
        return self.teacher.sample_trajectory(context, draws, self.sampler, self.schedule)


class ChainGraph(nn.Module):
    """The same sampler with every step as an output, for the parity check."""

    outputs = ("chain",)

    def __init__(self, graph: DiffusionGraph) -> None:
        """Share everything with the graph that is exported."""
        super().__init__()
        self.graph = graph
        self.inputs = graph.inputs

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return (B, steps + 1, D), standardised."""
        return torch.cat(self.graph.chain(*inputs), dim=1)


class OneStepGraph(nn.Module):
    """A consistency model: observation, (goal), noise -> action, in one pass."""

    outputs = ("action",)

    def __init__(self, model: OneStepModel, statistics: Statistics) -> None:
        """Wrap a model."""
        super().__init__()
        self.model = model
        self.units = PhysicalUnits(statistics)
        self.inputs = input_names(model.config)
        self.noise_shape = (model.config.horizon, model.config.act_dim)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return actions (B, horizon, act_dim) for observations (B, history, obs_dim) and noise (B, *noise_shape)."""
        *states, noise = inputs
        drawn = self.model.sample(self.model.encode(*self.units.states(*states)), flat(noise))
        return self.units.physical(self.units.limited(chunked(drawn, self.noise_shape)))


class MixtureGraph(nn.Module):
    """A student: observation, noise, expert_uniform -> action, expert, gating, log_prob."""

    outputs = ("action", "expert", "gating", "log_prob")

    def __init__(self, student: MixtureStudent, statistics: Statistics) -> None:
        """Wrap a student."""
        super().__init__()
        self.student = student
        self.units = PhysicalUnits(statistics)
        self.inputs = (*input_names(student.config), "expert_uniform")
        self.noise_shape = (student.config.horizon, student.config.act_dim)
        self.log_volume = student.config.horizon * float(statistics.action_std.double().log().sum())

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return actions (B, horizon, act_dim), experts (B,), gating (B, Z) and log densities (B,).

        Args:
            *inputs: observation (B, history, obs_dim); where the policy has goals, goal (B, goal_length, obs_dim);
                noise (B, horizon, act_dim) standard normal, zeros give the expert's mean; expert_uniform (B,) in
                [0, 1) to sample the expert, -(2 + k) for expert k, otherwise the likeliest, as with -1.
        """
        *states, noise, expert_uniform = inputs
        h = self.student.trunk(*self.units.states(*states))
        mixture = self.student.mixture(self.student.logits(h), self.student.mean(h), self.student.scale(h))
        gating = mixture.log_gating.exp()
        expert = select_expert(mixture.log_gating, gating, expert_uniform)
        return self.act(mixture, gating, expert, noise)

    def act(
        self, mixture: GaussianMixture, gating: Tensor, expert: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the outputs of given experts (B,); see `forward`."""
        drawn = pick(mixture.mean + spread(mixture, flat(noise)), expert)
        action = self.units.limited(chunked(drawn, self.noise_shape))
        return self.units.physical(action), expert, gating, log_density(mixture, flat(action), self.log_volume)


class DeterministicGraph(nn.Module):
    """A policy with constant draws; its only inputs are observation and goal."""

    noise: Tensor

    def __init__(self, graph: DiffusionGraph | MixtureGraph | OneStepGraph, seed: int) -> None:
        """Share everything with the graph of the policy.

        Args:
            graph: In a mixture, the likeliest expert acts, with its mean; others keep one draw of their noise: zero
                noise would be a point between modes, outside their training data.
            seed: Of that draw.
        """
        super().__init__()
        self.graph = graph
        self.units = graph.units
        self.inputs = tuple(name for name in graph.inputs if name in ("observation", "goal"))
        self.outputs = graph.outputs
        self.noise_shape = graph.noise_shape
        self.mixture = isinstance(graph, MixtureGraph)
        drawn = np.random.default_rng(seed).standard_normal(graph.noise_shape)
        self.register_buffer("noise", torch.tensor(drawn * (not self.mixture), dtype=torch.float32))

    def draws(self, batch: int) -> dict[str, NDArray[np.float32]]:
        """Return the constants as inputs of the policy's graph, (batch, ...)."""
        noise = {"noise": np.repeat(self.noise.numpy()[None], batch, axis=0)}
        return noise | ({"expert_uniform": np.full(batch, LIKELIEST_EXPERT, np.float32)} if self.mixture else {})

    def forward(self, *states: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the policy's outputs for observations (B, history, obs_dim), and goals if it takes them."""
        batch = states[0].shape[0]
        expanded = self.noise.expand(batch, *self.noise_shape)
        draws = [expanded.reshape(-1, *self.noise_shape)]  # else the file would not know its outputs' shapes
        if self.mixture:
            draws.append(self.noise.new_full((1,), LIKELIEST_EXPERT).expand(batch))
        given: Tensor | tuple[Tensor, ...] = self.graph(*states, *draws)
        return given


class NoveltyGraph(nn.Module):
    """A policy with one more output: the novelty of its newest observation."""

    def __init__(
        self, graph: DiffusionGraph | MixtureGraph | OneStepGraph | DeterministicGraph, novelty: Novelty
    ) -> None:
        """Share everything with the graph of the policy."""
        super().__init__()
        self.graph = graph
        self.novelty = novelty
        self.inputs = graph.inputs
        self.outputs = (*graph.outputs, "novelty")

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the policy's outputs, and novelties (B,)."""
        given = self.graph(*inputs)
        newest = self.newest(self.graph.units.standard(inputs[0]))
        return (*(given if isinstance(given, tuple) else (given,)), self.novelty(newest))

    def newest(self, observation: Tensor) -> Tensor:
        """Return the input of the novelty, (B, obs_dim), from standardised observations (B, history, obs_dim)."""
        return observation[:, -1]


def input_names(shape: NetworkConfig) -> tuple[str, ...]:
    """Return the inputs common to all policies."""
    return ("observation", "goal", "noise") if shape.goal_length else ("observation", "noise")


def select_expert(log_gating: Tensor, gating: Tensor, uniform: Tensor) -> Tensor:
    """Choose experts, (B,), by inverse CDF of the gating (B, Z), the likeliest, or by number; see `MixtureGraph`.

    An expert's score is its number if the probabilities before it do not exceed a sampling `uniform`, or if it is
    selected by number; otherwise its log probability, which is at most 0. The highest score wins. This takes few
    operators, which are the cost at batch 1.
    """
    experts = int(gating.shape[1])
    numbers = torch.arange(experts)
    before = gating @ torch.ones(experts, experts).triu(1)  # (B, Z): sum of the probabilities of earlier experts
    draw = uniform[:, None]
    wanted = (before <= draw) | (draw == -2.0 - numbers)
    return torch.where(wanted, numbers.to(gating.dtype), log_gating).argmax(1)


def pick(values: Tensor, expert: Tensor) -> Tensor:
    """Return the values (B, Z, D) of one expert each, (B, 1, D)."""
    rows = torch.eye(int(values.shape[1]))[:, None]  # (Z, 1, Z)
    return rows[expert] @ values


def spread(mixture: GaussianMixture, noise: Tensor) -> Tensor:
    """Return every expert's distance from its mean, (B, Z, D), for noise (B, 1, D) or (B, Z, D)."""
    if not mixture.diagonal:
        return (mixture.factor * noise[:, :, None]).sum(-1)
    wide = mixture.factor * noise
    return wide if mixture.basis is None else wide @ mixture.basis.T


def flat(action: Tensor) -> Tensor:
    """Flatten chunks (B, horizon, act_dim) to (B, 1, D)."""
    return action if action.shape[1] == 1 else action.flatten(1)[:, None]


def chunked(action: Tensor, shape: tuple[int, int]) -> Tensor:
    """Unflatten (B, 1, D) to chunks (B, horizon, act_dim)."""
    return action if shape[0] == 1 else action.reshape(-1, *shape)


def log_density(mixture: GaussianMixture, action: Tensor, log_volume: float) -> Tensor:
    """Return the log density of standardised actions (B, 1, D) in physical units, (B,), in operators that ONNX has.

    Args:
        mixture: (B) mixtures over standardised actions.
        action: (B, 1, D).
        log_volume: Log of the physical volume of a standardised unit cube.
    """
    offset = action - mixture.mean  # (B, Z, D)
    if mixture.diagonal:
        turned = offset if mixture.basis is None else offset @ mixture.basis
        residual, scale = turned / mixture.factor, mixture.factor
    else:
        scale = (mixture.factor * torch.eye(int(action.shape[2]))).sum(-1)  # the diagonal, (B, Z, D)
        residual = solve_lower(mixture.factor, scale, offset)
    constant = 0.5 * int(action.shape[2]) * math.log(2 * math.pi) + log_volume
    joint = mixture.log_gating - (0.5 * residual * residual + scale.log()).sum(-1)
    return torch.logsumexp(joint, dim=1) - constant


def solve_lower(factor: Tensor, diagonal: Tensor, right: Tensor) -> Tensor:
    """Solve L x = right; (B, Z, D, D), its diagonal (B, Z, D) and (B, Z, D) give (B, Z, D).

    L = U diag(L) with ones on U's diagonal. The inverses of U's diagonal blocks yield those of blocks twice as large:
    M - M U' M, where U' is U between the smaller blocks. The number of operators is proportional to log2 D.
    """
    size = int(right.shape[-1])
    unit = factor / diagonal[..., None, :]
    joints = [unit * mask for mask in _block_masks(size)]
    inverse: Tensor | None = None
    for below in joints[:-1]:
        inverse = torch.eye(size) - below if inverse is None else inverse - inverse @ below @ inverse
    solved = _times(inverse, right)
    for below in joints[-1:]:  # the last one meets vectors alone
        solved = solved - _times(inverse, _times(below, solved))
    return solved / diagonal


def _block_masks(size: int) -> list[Tensor]:
    """Return, for blocks of 1, 2, 4 …, masks (D, D) of the entries that join two neighbouring blocks."""
    masks, width = [], 1
    while width < size:
        block = torch.arange(size) // width
        masks.append(((block[:, None] % 2 == 1) & (block[None] == block[:, None] - 1)).to(torch.get_default_dtype()))
        width *= 2
    return masks


def _times(matrix: Tensor | None, vector: Tensor) -> Tensor:
    """Multiply (B, Z, D, D) with (B, Z, D); no matrix is the identity."""
    return vector if matrix is None else (matrix * vector[..., None, :]).sum(-1)
