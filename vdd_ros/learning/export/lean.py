"""Rewrites a graph into fewer operators for a policy file; the parity check compares it with the original graph.

At batch 1 the latency is proportional to the number of operators. So attention becomes one operator; a bias and the
addition after it are folded into the product before them; the observations' deviations are folded into the first
weights; and windows and actions are flat rows throughout.
"""

import copy
import math
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.export.graphs import DiffusionGraph, MixtureGraph, NoveltyGraph, PhysicalUnits
from vdd_ros.learning.export.lean_blocks import FusedBlock, LeanBlock, LeanResidualBlock
from vdd_ros.learning.export.lean_diffusion import RowsDiffusionGraph, Step, has_rows
from vdd_ros.learning.export.lean_mixture import LeanMixtureGraph
from vdd_ros.learning.export.novelty import Novelty
from vdd_ros.learning.networks.gpt import GPT, GPTDenoiser, GPTTrunk, KeysValues
from vdd_ros.learning.networks.mlp import MLPDenoiser, MLPTrunk, ResidualBlock, StateEncoder
from vdd_ros.learning.students.mixture import MixtureStudent
from vdd_ros.learning.students.one_step import OneStepModel
from vdd_ros.policy.opsets import ATTENTION_OPSET

Graph = TypeVar("Graph", bound=nn.Module)

MAX_PRODUCT = 16_384
"""Largest matrix that embeds all tokens of a window in one product, mostly zeros."""


def lean(graph: Graph, opset: int) -> Graph:
    """Return a copy of a graph that computes the same with fewer operators.

    Args:
        graph: Remains unchanged.
        opset: ONNX operator set of the copy.
    """
    holder = nn.ModuleList([copy.deepcopy(graph).eval()])
    with torch.no_grad():
        rows = _take_rows(holder)
        for module in list(holder.modules()):
            for name, child in module.named_children():
                if (made := _leaner(child, opset, rows)) is not None:
                    setattr(module, name, made)
    return cast(Graph, holder[0])


def _leaner(module: nn.Module, opset: int, rows: bool) -> nn.Module | None:
    """Return a module's replacement, which shares its parts; None if the module stays."""
    if type(module) is GPT:
        block = FusedBlock if opset >= ATTENTION_OPSET else LeanBlock
        module.blocks = nn.ModuleList(block(one) for one in module.stack)
        return RowsGPT(module) if rows else None
    if type(module) is MixtureGraph:
        return LeanMixtureGraph(module)
    if type(module) is DiffusionGraph:
        return RowsDiffusionGraph(module) if has_rows(module) else None
    made: dict[type, type[nn.Module]] = {
        GPTDenoiser: LeanGPTDenoiser,
        MLPDenoiser: LeanMLPDenoiser,
        ResidualBlock: LeanResidualBlock,
    }
    if rows:
        made |= {
            Novelty: RowsNovelty,
            NoveltyGraph: RowsNoveltyGraph,
            PhysicalUnits: RowUnits,
            StateEncoder: RowsEncoder,
        }
    return made[type(module)](module) if type(module) in made else None


def _take_rows(graph: nn.Module) -> bool:
    """Fold the observations' deviations into the first weights, if all modules that read observations are known.

    Windows are then flat rows. A network of another package still receives windows.
    """
    modules = list(graph.modules())
    entrances = [
        getattr(module, "trunk" if type(module) is MixtureStudent else "network")
        for module in modules
        if type(module) in (MixtureStudent, Teacher, OneStepModel)
    ]
    networks = [module for module in modules if type(module) in (GPT, StateEncoder)]
    units = [module for module in modules if isinstance(module, PhysicalUnits)]
    ours = [type(one) in (GPTTrunk, MLPTrunk, GPTDenoiser, MLPDenoiser) for one in entrances]
    if ours != [True] or len(networks) != 1 or len(units) != 1:
        return False
    network: Any = networks[0]
    deviation = units[0].observation_std
    first = network.features.frequencies if network.features.octaves else network.embed.weight
    first /= deviation.repeat(first.shape[1] // len(deviation))
    for module in modules:
        if isinstance(module, Novelty):
            module.whiten /= deviation[:, None]
    return True


def shared(module: nn.Module, like: nn.Module) -> None:
    """Initialise a module so that it shares everything with another one."""
    nn.Module.__init__(module)
    module.__dict__.update(like.__dict__)


class RowUnits(PhysicalUnits):
    """Units whose windows are centred rows; the next layer divides by the deviations."""

    def __init__(self, units: PhysicalUnits) -> None:
        """Share everything with other units."""
        shared(self, units)

    def standard(self, observation: Tensor) -> Tensor:
        """Centre observations (B, n, obs_dim), as rows (B, n * obs_dim)."""
        return observation.flatten(1) - self.observation_mean.repeat(int(observation.shape[1]))


class RowsNoveltyGraph(NoveltyGraph):
    """A graph whose novelty takes the whole window."""

    def __init__(self, graph: NoveltyGraph) -> None:
        """Share everything with another graph of a novelty."""
        shared(self, graph)

    def newest(self, observation: Tensor) -> Tensor:
        """Return the whole row; the novelty's weights select the newest observation."""
        return observation


class RowsNovelty(Novelty):
    """The novelty of the last entries of a row: its first weights are zeros for the others."""

    def __init__(self, novelty: Novelty) -> None:
        """Share everything with a novelty."""
        shared(self, novelty)

    def forward(self, observation: Tensor) -> Tensor:
        """Return the novelty (B,) of rows (B, history * obs_dim)."""
        earlier = int(observation.shape[1]) - len(self.whiten)
        whiten = torch.cat([self.whiten.new_zeros(earlier, self.whiten.shape[1]), self.whiten])
        apart = torch.addmm(self.centre, observation, whiten)
        return -torch.logsumexp(torch.addmm(self.constant, apart * apart, self.halves), dim=1)


class RowsEncoder(StateEncoder):
    """An encoder of rows."""

    def __init__(self, encoder: StateEncoder) -> None:
        """Share everything with an encoder."""
        shared(self, encoder)

    def forward(self, observation: Tensor, goal: Tensor | None) -> Tensor:
        """Embed rows (B, history * obs_dim) and (B, goal_length * obs_dim) as (B, width)."""
        return self.embed(self.features(observation if goal is None else torch.cat([goal, observation], dim=1)))


class RowsGPT(GPT):
    """A GPT of rows; if the matrix is small, one product embeds all tokens, positions included."""

    frequencies: Tensor
    phases: Tensor
    embedding: Tensor

    def __init__(self, gpt: GPT) -> None:
        """Share everything with a GPT."""
        shared(self, gpt)
        tokens, entries = len(gpt.position), gpt.features.size
        _merge_constants(gpt.position, gpt.embed)
        self.together = False
        if not gpt.features.octaves:
            return
        waves, phases = gpt.features.frequencies, gpt.features.phases
        self.together = tokens * (entries + tokens) * tokens * waves.shape[1] <= MAX_PRODUCT
        if not self.together:
            return
        waves = nn.functional.pad(waves, (0, 0, 0, tokens))  # (F + T, obs_dim), and for each position sin(pi / 2) or 0
        self.register_buffer("frequencies", torch.block_diag(*[waves] * tokens).T)
        own = torch.eye(tokens).to(phases) * math.pi / 2
        self.register_buffer("phases", torch.cat([phases.expand(tokens, -1), own], dim=1).flatten())
        self.register_buffer("embedding", torch.cat([gpt.embed.weight.T, gpt.position]))

    def tokens(self, observation: Tensor, goal: Tensor | None) -> Tensor:
        """Embed rows (B, history * obs_dim) after (B, goal_length * obs_dim): (B * tokens, width)."""
        states = observation if goal is None else torch.cat([goal, observation], dim=1)
        tokens = len(self.position)
        if self.together:
            features = torch.addmm(self.phases, states, self.frequencies).sin()
            return features.reshape(-1, len(self.embedding)) @ self.embedding
        return super().tokens(states.reshape(-1, tokens, int(states.shape[1]) // tokens), None)


def _merge_constants(position: Tensor, embed: nn.Linear) -> None:
    """Add the bias of an embedding to the positions that are added after it."""
    position += embed.bias
    embed.bias = None  # type: ignore[assignment]


class LeanGPTDenoiser(GPTDenoiser):
    """A GPT denoiser of one chunk of each state."""

    def __init__(self, denoiser: GPTDenoiser) -> None:
        """Share everything with a denoiser."""
        shared(self, denoiser)
        _merge_constants(self.position, self.embed_action)

    def encode(self, observation: Tensor, goal: Tensor | None) -> tuple[KeysValues, ...]:
        """Return the keys and values that the actions attend to."""
        pairs = zip(self.gpt.stack, self.gpt.states(observation, goal), strict=True)
        return tuple(block.apart(*pair) if isinstance(block, FusedBlock) else pair for block, pair in pairs)

    def forward(self, context: tuple[KeysValues, ...], action: Tensor, condition: Tensor) -> Tensor:
        """Map noisy chunks (B, 1, D) under a condition (1, 1, conditions) to (B, 1, D)."""
        known = self.embed_noise(condition).flatten() + self.position
        h = self._features(context, action, 1.0, known)
        return self.read(h).reshape(-1, 1, self.chunk[0] * self.chunk[1])

    def estimate(
        self, context: tuple[KeysValues, ...], action: Tensor, offset: Tensor, step: Step
    ) -> tuple[Tensor, Tensor]:
        """Estimate clean actions (B, D) minus a shift (D,) from actions minus an offset; also return the shift."""
        entering = offset.reshape(self.chunk) @ (step.scale_in * self.embed_action.weight.T)
        known = self.embed_noise(step.condition).flatten() + self.position + entering
        h = self._features(context, action, step.scale_in, known)
        rows = action if self.chunk[0] == 1 else action.reshape(-1, self.chunk[1])
        clean = torch.addmm(rows, h, step.out * self.read.weight.T, beta=step.skip)
        clean = clean if self.chunk[0] == 1 else clean.reshape(-1, len(offset))
        return clean, step.out * self.read.bias.repeat(self.chunk[0]) + step.skip * offset

    def _features(self, context: tuple[KeysValues, ...], action: Tensor, scale: float, known: Tensor) -> Tensor:
        """Return the features of B chunks of scaled actions, with constant additions (horizon, width)."""
        horizon, act_dim = self.chunk
        if horizon == 1:
            rows = action if action.ndim == 2 else action.reshape(-1, act_dim)
            h = torch.addmm(known[0], rows, self.embed_action.weight.T, alpha=scale)
        else:
            h = action.reshape(-1, horizon, act_dim) @ (scale * self.embed_action.weight.T) + known
            h = h.reshape(-1, self.norm.normalized_shape[0])
        for block, state in zip(self.gpt.stack, context, strict=True):
            h = block.attend_back(h, state, 1, horizon)
        return self.norm(h)


class LeanMLPDenoiser(MLPDenoiser):
    """An MLP denoiser of one action of each state, whose features are rows: so every linear layer is one operator."""

    def __init__(self, denoiser: MLPDenoiser) -> None:
        """Share everything with a denoiser."""
        shared(self, denoiser)

    def encode(self, observation: Tensor, goal: Tensor | None) -> Tensor:
        """Return features (B, width)."""
        return self.encoder(observation, goal)

    def forward(self, context: Tensor, action: Tensor, condition: Tensor) -> Tensor:
        """Map noisy actions (B, 1, D) under a condition (1, 1, conditions) to (B, 1, D)."""
        size = self.embed_action.in_features
        known = context + self.embed_noise(condition).flatten()
        h = torch.addmm(known, action.reshape(-1, size), self.embed_action.weight.T)
        return self.read(self.trunk(h)).reshape(-1, 1, size)

    def estimate(self, context: Tensor, action: Tensor, offset: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Estimate clean actions (B, D) minus a shift (D,) from actions minus an offset; also return the shift."""
        entering = step.scale_in * self.embed_action.weight.T
        known = context + (self.embed_noise(step.condition).flatten() + offset @ entering)
        h = self.trunk(torch.addmm(known, action, entering))
        clean = torch.addmm(action, h, step.out * self.read.weight.T, beta=step.skip)
        return clean, step.out * self.read.bias + step.skip * offset
