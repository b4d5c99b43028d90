"""The same graph in fewer operators: what a policy file holds, while the proof of parity runs the graph as it is.

At batch 1 a pass is as long as its operators are many. So attention becomes one operator, constants that are added one
after the other become one, and the deviations of observations go into the first weights that observations meet.
"""

import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from vdd_ros.learning.export.graphs import PhysicalUnits
from vdd_ros.learning.export.novelty import Novelty
from vdd_ros.learning.networks.gpt import GPT, Block, GPTDenoiser, KeysValues
from vdd_ros.learning.networks.mlp import MLPDenoiser, StateEncoder
from vdd_ros.policy.opsets import ATTENTION_OPSET

Graph = TypeVar("Graph", bound=nn.Module)


def lean(graph: Graph, opset: int) -> Graph:
    """Return a copy of a graph that computes the same with fewer operators.

    Args:
        graph: Left as it is.
        opset: Operator set of ONNX that the copy is written in.
    """
    made = copy.deepcopy(graph).eval()
    with torch.no_grad():
        _absorb_deviations(made)
        for module in list(made.modules()):
            if isinstance(module, GPT):
                _merge_constants(module.position, module.embed)
                if opset >= ATTENTION_OPSET:
                    module.blocks = nn.ModuleList(FusedBlock(block) for block in module.stack)
            elif isinstance(module, GPTDenoiser):
                _merge_constants(module.position, module.embed_action)
            for name, child in module.named_children():
                if type(child) in _LEAN:
                    setattr(module, name, _LEAN[type(child)](child))
    return made


def _absorb_deviations(graph: nn.Module) -> None:
    """Divide the weights that observations meet first by the observations' deviations, where all of them are known."""
    modules = list(graph.modules())
    networks = [module for module in modules if isinstance(module, (GPT, StateEncoder))]
    units = [module for module in modules if isinstance(module, PhysicalUnits)]
    if len(networks) != 1 or len(units) != 1 or units[0].observation_std is None:
        return
    deviation = units[0].observation_std
    first = networks[0].features.frequencies if networks[0].features.octaves else networks[0].embed.weight
    first /= deviation.repeat(first.shape[1] // len(deviation))
    for module in modules:
        if isinstance(module, Novelty):
            module.whiten /= deviation[:, None]
    units[0].observation_std = None


def _merge_constants(position: Tensor, embed: nn.Linear) -> None:
    """Add the bias of an embedding to the positions that are added after it."""
    position += embed.bias
    embed.bias = None  # type: ignore[assignment]


class FusedBlock(Block):
    """A block whose attention is ONE operator, `Attention` of ONNX's operator set 23.

    Queries, keys and values are (B, T, width) here, and so is what `GPT` keeps of a state.
    """

    def __init__(self, block: Block) -> None:
        """Share everything with a block."""
        nn.Module.__init__(self)
        self.__dict__.update(block.__dict__)

    def project(self, h: Tensor, tokens: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values (B, T, width) of rows (B * T, width), T being `tokens`."""
        width = self.merge.in_features
        query, key, value = self.qkv(self.norm_attention(h)).reshape(-1, tokens, 3 * width).split(width, dim=2)
        return query, key, value

    def attend(self, h: Tensor, mask: Tensor) -> tuple[Tensor, KeysValues]:
        """Pass tokens (B * T, width), each of which sees itself and earlier ones; also return keys and values."""
        query, key, value = self.project(h, len(mask))
        return self.finish(h, self._attended(query, key, value, causal=True)), (key, value)

    def attend_last(self, h: Tensor, tokens: int) -> Tensor:
        """Pass tokens (B * T, width), but return only the last one of each sequence, (B, width), which sees all."""
        query, key, value = self.project(h, tokens)
        newest = query.index_select(1, torch.tensor([tokens - 1]))  # a slice takes more operators
        last = h.reshape(-1, tokens, self.merge.in_features)[:, -1]
        return self.finish(last, self._attended(newest, key, value))

    def attend_back(self, h: Tensor, state: KeysValues, samples: int, group: int) -> Tensor:
        """Pass one group of G tokens of each state, (B * G, width): each sees the state's tokens and its own group.

        Args:
            h: (B * G, width).
            state: Keys and values of the state's tokens, apart: (B, heads, T, width / heads).
            samples: Groups of each state, 1.
            group: G.
        """
        found, *_ = _AttentionBack.apply(*self.project(h, samples * group), *state, self.heads)
        return self.finish(h, found.reshape(-1, self.merge.in_features))

    def apart(self, key: Tensor, value: Tensor) -> KeysValues:
        """Put the heads of keys and values, each (B, T, width), apart: (B, heads, T, width / heads)."""
        shape = (self.heads, self.merge.in_features // self.heads)
        return key.unflatten(2, shape).transpose(1, 2), value.unflatten(2, shape).transpose(1, 2)

    def _attended(self, query: Tensor, key: Tensor, value: Tensor, causal: bool = False) -> Tensor:
        """Return what the heads find, (B * T, width)."""
        found: Tensor = _Attention.apply(query, key, value, self.heads, causal)
        return found.reshape(-1, self.merge.in_features)


class _Attention(torch.autograd.Function):
    """Attention of several heads as the operator `Attention` of ONNX's operator set 23."""

    @staticmethod
    def forward(_context: Any, query: Tensor, key: Tensor, value: Tensor, heads: int, causal: bool) -> Tensor:
        """Compute in torch what the operator computes, (B, T, width) for all tensors."""
        query, key, value = (part.unflatten(2, (heads, -1)).transpose(1, 2) for part in (query, key, value))
        found = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=causal)
        return found.transpose(1, 2).flatten(2)

    @staticmethod
    def symbolic(graph: Any, query: Any, key: Any, value: Any, heads: int, causal: bool) -> Any:
        """Write the operator."""
        counts = {"q_num_heads_i": heads, "kv_num_heads_i": heads}
        return graph.op("Attention", query, key, value, **counts, is_causal_i=int(causal))


class _AttentionBack(torch.autograd.Function):
    """The same, of tokens that see all of one another and tokens before them, whose keys and values are known."""

    @staticmethod
    def forward(
        _context: Any, query: Tensor, key: Tensor, value: Tensor, past_key: Tensor, past_value: Tensor, heads: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is found (B, G, width), and all keys and values, (B, heads, T + G, width / heads)."""
        query, key, value = (part.unflatten(2, (heads, -1)).transpose(1, 2) for part in (query, key, value))
        key, value = torch.cat([past_key, key], dim=2), torch.cat([past_value, value], dim=2)
        found = nn.functional.scaled_dot_product_attention(query, key, value)
        return found.transpose(1, 2).flatten(2), key, value

    @staticmethod
    def symbolic(graph: Any, query: Any, key: Any, value: Any, past_key: Any, past_value: Any, heads: int) -> Any:
        """Write the operator, with outputs that nothing takes: ONNX Runtime fails without them."""
        counts = {"q_num_heads_i": heads, "kv_num_heads_i": heads}
        none = graph.op("prim::Constant")
        none.setType(torch._C.OptionalType.ofTensor())
        return graph.op("Attention", query, key, value, none, past_key, past_value, **counts, outputs=3)


class LeanGPTDenoiser(GPTDenoiser):
    """A GPT denoiser of one chunk of each state."""

    def __init__(self, denoiser: GPTDenoiser) -> None:
        """Share everything with a denoiser."""
        nn.Module.__init__(self)
        self.__dict__.update(denoiser.__dict__)

    def encode(self, observation: Tensor, goal: Tensor | None) -> tuple[KeysValues, ...]:
        """Return what the actions look back on."""
        pairs = zip(self.gpt.stack, self.gpt.states(observation, goal), strict=True)
        return tuple(block.apart(*pair) if isinstance(block, FusedBlock) else pair for block, pair in pairs)

    def forward(self, context: tuple[KeysValues, ...], action: Tensor, condition: Tensor) -> Tensor:
        """Map noisy chunks (B, 1, D) under a condition (1, 1, conditions) to (B, 1, D)."""
        horizon, act_dim = self.chunk
        level = self.embed_noise(condition).flatten()
        if horizon == 1:
            h = nn.functional.linear(action.reshape(-1, act_dim), self.embed_action.weight, self.position[0] + level)
        else:
            h = self.embed_action(action.reshape(-1, horizon, act_dim)) + (self.position + level)
            h = h.reshape(-1, self.norm.normalized_shape[0])
        for block, state in zip(self.gpt.stack, context, strict=True):
            h = block.attend_back(h, state, 1, horizon)
        return self.read(self.norm(h)).reshape(-1, 1, horizon * act_dim)


class LeanMLPDenoiser(MLPDenoiser):
    """An MLP denoiser of one action of each state, whose features are rows: so every linear layer is one operator."""

    def __init__(self, denoiser: MLPDenoiser) -> None:
        """Share everything with a denoiser."""
        nn.Module.__init__(self)
        self.__dict__.update(denoiser.__dict__)

    def encode(self, observation: Tensor, goal: Tensor | None) -> Tensor:
        """Return features (B, width)."""
        return self.encoder(observation, goal)

    def forward(self, context: Tensor, action: Tensor, condition: Tensor) -> Tensor:
        """Map noisy actions (B, 1, D) under a condition (1, 1, conditions) to (B, 1, D)."""
        size = self.embed_action.in_features
        known = context + self.embed_noise(condition).flatten()
        h = torch.addmm(known, action.reshape(-1, size), self.embed_action.weight.T)
        return self.read(self.trunk(h)).reshape(-1, 1, size)


_LEAN = {GPTDenoiser: LeanGPTDenoiser, MLPDenoiser: LeanMLPDenoiser}
