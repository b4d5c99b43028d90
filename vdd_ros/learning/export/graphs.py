"""The graphs of policy files: physical units in and out, limits applied, every random draw an input."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vdd_ros.learning.configs import Sampler, SamplerChoice, Schedule, ScheduleChoice
from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.export.novelty import Novelty
from vdd_ros.learning.export.prefix import PrefixGiven
from vdd_ros.learning.export.triangular import solve_lower
from vdd_ros.learning.fit.windows import Statistics
from vdd_ros.learning.networks.backbones import NetworkConfig
from vdd_ros.learning.students.gaussian_mixture import GaussianMixture
from vdd_ros.learning.students.mixture import MixtureStudent
from vdd_ros.learning.students.one_step import OneStepModel
from vdd_ros.policy.selection import LIKELIEST_EXPERT
from vdd_ros.policy.signature import PREFIX_INPUTS

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

    def standard_action(self, action: Tensor) -> Tensor:
        """Standardise actions (B, horizon, act_dim)."""
        return (action - self.action_mean) / self.action_std

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
        self, teacher: Teacher, statistics: Statistics, steps: int, sampler: SamplerChoice, schedule: ScheduleChoice
    ) -> None:
        """Fix the number of sampling steps, the sampler and its schedule; `usual` are those of the teacher's levels.

        Raises:
            ConfigurationError: The teacher has fewer levels than steps.
        """
        super().__init__()
        self.teacher = teacher
        self.units = PhysicalUnits(statistics)
        self.inputs = input_names(teacher.config)
        self.noise_shape = (steps, teacher.config.horizon, teacher.config.act_dim)
        self.ahead = teacher.config.ahead
        levels = teacher.levels
        self.sampler: Sampler = levels.usual_sampler if sampler == "usual" else sampler
        self.schedule: Schedule = levels.usual_schedule if schedule == "usual" else schedule
        self.sigmas = teacher.sampling_levels(steps, self.schedule)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return actions (B, ahead, act_dim) for observations (B, history, obs_dim) and noise (B, *noise_shape)."""
        return self.units.physical(self.units.limited(self.drawn(self.chain(*inputs)[-1])))

    def drawn(self, end: Tensor) -> Tensor:
        """Return the actions of a chunk (B, 1, D) that can be executed, (B, ahead, act_dim)."""
        return executed(chunked(end, self.noise_shape[1:]), self.ahead)

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
        self.ahead = model.config.ahead

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return actions (B, ahead, act_dim) for observations (B, history, obs_dim) and noise (B, *noise_shape)."""
        *states, noise = inputs
        drawn = self.model.sample(self.model.encode(*self.units.states(*states)), flat(noise))
        return self.units.physical(self.units.limited(executed(chunked(drawn, self.noise_shape), self.ahead)))


class MixtureGraph(nn.Module):
    """A student: observation, noise, expert_uniform, (prefix, prefix_steps) -> action, expert, gating, log_prob."""

    outputs = ("action", "expert", "gating", "log_prob")

    def __init__(self, student: MixtureStudent, statistics: Statistics, tempering: float | None = None) -> None:
        """Wrap a student.

        Args:
            student: The student.
            statistics: Of its data.
            tempering: Of a prefix that the graph takes, see `PrefixGiven`; None: it takes none.

        Raises:
            ConfigurationError: The tempering is not between 0 and 1.
        """
        super().__init__()
        self.student = student
        self.units = PhysicalUnits(statistics)
        self.prefix = None if tempering is None else PrefixGiven(student, statistics.action_std, tempering)
        self.inputs = (*input_names(student.config), "expert_uniform", *(PREFIX_INPUTS if self.prefix else ()))
        self.noise_shape = (student.config.horizon, student.config.act_dim)
        self.log_volume = student.config.horizon * float(statistics.action_std.double().log().sum())

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return actions (B, horizon, act_dim), experts (B,), gating (B, Z) and log densities (B,).

        Args:
            *inputs: observation (B, history, obs_dim); where the policy has goals, goal (B, goal_length, obs_dim);
                noise (B, horizon, act_dim) standard normal, zeros give the expert's mean; expert_uniform (B,) in
                [0, 1) to sample the expert, -(2 + k) for expert k, otherwise the likeliest, as with -1; where the graph
                takes one, prefix (B, horizon, act_dim) and prefix_steps (B,), the number of its first actions that are
                known: outputs are those of the mixture given them.
        """
        states, draws, known = self.parted(inputs)
        h = self.student.trunk(*self.units.states(*states))
        mixture = self.student.mixture(self.student.logits(h), self.student.mean(h), self.student.scale(h))
        return self.act(mixture, *draws, *known)

    def parted(self, inputs: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return inputs apart: states, draws, and the prefix."""
        first = self.inputs.index("noise")
        return inputs[:first], inputs[first : first + 2], inputs[first + 2 :]

    def choose(self, log_gating: Tensor, gating: Tensor, uniform: Tensor) -> Tensor:
        """Return experts (B,); see `select_expert`."""
        return select_expert(log_gating, gating, uniform)

    def act(
        self, mixture: GaussianMixture, noise: Tensor, uniform: Tensor, *known: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the outputs for mixtures, draws and a prefix; see `forward`."""
        if self.prefix is not None:
            return self._act_given(mixture, noise, uniform, *known)
        gating = mixture.log_gating.exp()
        expert = self.choose(mixture.log_gating, gating, uniform)
        drawn = pick(mixture.mean + spread(mixture, flat(noise)), expert)
        action = self.units.limited(chunked(drawn, self.noise_shape))
        return self.units.physical(action), expert, gating, log_density(mixture, flat(action), self.log_volume)

    def _act_given(
        self, mixture: GaussianMixture, noise: Tensor, uniform: Tensor, prefix: Tensor, steps: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the outputs of the mixture given the first actions, within their limits."""
        assert self.prefix is not None
        given = self.prefix(mixture, flat(self.units.limited(self.units.standard_action(prefix))), steps)
        gating = given.log_gating.exp()
        expert = self.choose(given.log_gating, gating, uniform)
        drawn = given.complete(pick(mixture.mean + spread(mixture, given.noise(flat(noise))), expert))
        action = self.units.limited(chunked(drawn, self.noise_shape))
        return self.units.physical(action), expert, gating, given.log_density(flat(action))


class DeterministicGraph(nn.Module):
    """A policy with constant draws; its only inputs are observation, goal and prefix."""

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
        self.inputs = tuple(name for name in graph.inputs if name not in ("noise", "expert_uniform"))
        self.outputs = graph.outputs
        self.noise_shape = graph.noise_shape
        self.mixture = isinstance(graph, MixtureGraph)
        drawn = np.random.default_rng(seed).standard_normal(graph.noise_shape)
        self.register_buffer("noise", torch.tensor(drawn * (not self.mixture), dtype=torch.float32))

    def draws(self, batch: int) -> dict[str, NDArray[np.float32]]:
        """Return the constants as inputs of the policy's graph, (batch, ...)."""
        noise = {"noise": np.repeat(self.noise.numpy()[None], batch, axis=0)}
        return noise | ({"expert_uniform": np.full(batch, LIKELIEST_EXPERT, np.float32)} if self.mixture else {})

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the policy's outputs for observations (B, history, obs_dim), and goals and a prefix if it has them."""
        states = self.graph.inputs.index("noise")
        batch = inputs[0].shape[0]
        expanded = self.noise.expand(batch, *self.noise_shape)
        draws = [expanded.reshape(-1, *self.noise_shape)]  # else the file would not know its outputs' shapes
        if self.mixture:
            draws.append(self.noise.new_full((1,), LIKELIEST_EXPERT).expand(batch))
        given: Tensor | tuple[Tensor, ...] = self.graph(*inputs[:states], *draws, *inputs[states:])
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


def executed(chunk: Tensor, ahead: int) -> Tensor:
    """Return the first `ahead` actions of chunks (B, horizon, act_dim)."""
    return chunk if chunk.shape[1] == ahead else chunk[:, :ahead]


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
