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
from vdd_ros.learning.networks.mlp import StateEncoder
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
        """Take over the weights of a block."""
        super().__init__(block.merge.in_features, block.heads, dropout=0.0)
        self.load_state_dict(block.state_dict())

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
        """Pass one group of G tokens of each state, (B * G, width): each sees the state's tokens and its own group."""
        if samples != 1:
            raise ValueError(f"{samples} groups of tokens were given; a policy file passes 1 of each state")
        query, own_key, own_value = self.project(h, group)
        key, value = state
        attended = self._attended(query, torch.cat([key, own_key], dim=1), torch.cat([value, own_value], dim=1))
        return self.finish(h, attended)

    def _attended(self, query: Tensor, key: Tensor, value: Tensor, causal: bool = False) -> Tensor:
        """Return what the heads find, (B * T, width)."""
        found: Tensor = _Attention.apply(query, key, value, self.heads, causal)  # type: ignore[no-untyped-call]
        return found.reshape(-1, self.merge.in_features)


class _Attention(torch.autograd.Function):
    """Attention of several heads as the operator `Attention` of ONNX's operator set 23."""

    @staticmethod
    def forward(_context: Any, query: Tensor, key: Tensor, value: Tensor, heads: int, causal: bool) -> Tensor:
        """Compute in torch what the operator computes, (B, T, width) for all tensors."""
        apart = [part.unflatten(2, (heads, -1)).transpose(1, 2) for part in (query, key, value)]
        return nn.functional.scaled_dot_product_attention(*apart, is_causal=causal).transpose(1, 2).flatten(2)

    @staticmethod
    def symbolic(graph: Any, query: Any, key: Any, value: Any, heads: int, causal: bool) -> Any:
        """Write the operator."""
        counts = {"q_num_heads_i": heads, "kv_num_heads_i": heads}
        return graph.op("Attention", query, key, value, **counts, is_causal_i=int(causal))
