"""Blocks of networks in few operators: attention as one, and a bias or a residual as part of a product."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vdd_ros.learning.networks.gpt import Block, KeysValues
from vdd_ros.learning.networks.mlp import ResidualBlock

CONSTANT = 8.0
"""Pre-activation of the hidden unit that carries the next layer's bias."""


def carry_bias(first: nn.Linear, second: nn.Linear, activation: Callable[[Tensor], Tensor]) -> tuple[nn.Linear, Tensor]:
    """Replace the second layer's bias by a constant hidden unit between two layers.

    An addition after the second layer can then be folded into its product.

    Returns:
        The first layer, and the second one's weights (hidden + 1, outputs).
    """
    longer = nn.Linear(first.in_features, first.out_features + 1)
    longer.weight = _kept(torch.cat([first.weight, torch.zeros_like(first.weight[:1])]))
    longer.bias = _kept(nn.functional.pad(first.bias, (0, 1), value=CONSTANT))
    constant = activation(torch.full_like(second.bias, CONSTANT))
    return longer, torch.cat([second.weight, (second.bias / constant)[:, None]], dim=1).T.contiguous()


def _kept(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values, requires_grad=False)


class LeanResidualBlock(ResidualBlock):
    """A residual block whose sum is part of its second product; of rows."""

    back: Tensor

    def __init__(self, block: ResidualBlock) -> None:
        """Share everything with a block."""
        nn.Module.__init__(self)
        self.__dict__.update(block.__dict__)
        self.longer, back = carry_bias(block.first, block.second, nn.functional.silu)
        self.register_buffer("back", back)  # in the file once, however many steps a sampler has

    def forward(self, h: Tensor) -> Tensor:
        """Map (B, width) to (B, width)."""
        silu = nn.functional.silu
        return torch.addmm(h, silu(self.longer(silu(h))), self.back)


class LeanBlock(Block):
    """A block whose network ends in one product, residual included."""

    back: Tensor

    def __init__(self, block: Block) -> None:
        """Share everything with a block."""
        nn.Module.__init__(self)
        self.__dict__.update(block.__dict__)
        self.longer, back = carry_bias(block.widen, block.narrow, nn.functional.gelu)
        self.register_buffer("back", back)

    def finish(self, h: Tensor, attended: Tensor) -> Tensor:
        """Add the output of attention, (N, values), to tokens (N, width), and apply the network."""
        h = self.merged(h, attended)
        return torch.addmm(h, nn.functional.gelu(self.longer(self.norm_mlp(h))), self.back)

    def merged(self, h: Tensor, attended: Tensor) -> Tensor:
        """Add the output of attention, (N, values), to tokens (N, width)."""
        return h + self.merge(attended)


class FusedBlock(LeanBlock):
    """A block whose attention is ONE operator, `Attention` of ONNX's operator set 23.

    Queries and keys are (B, T, width) here, values (B, T, width + heads), also where `GPT` keeps them for a state. The
    last value of each head is 1, and stays so, since weights of attention add up to 1: it carries the bias after it.
    """

    merge_rows: Tensor

    def __init__(self, block: Block) -> None:
        """Share everything with a block."""
        super().__init__(block)
        width, heads = block.qkv.in_features, block.heads
        self.values = width + heads
        weight, bias = block.qkv.weight, block.qkv.bias
        grown = nn.functional.pad(weight[2 * width :].unflatten(0, (heads, -1)), (0, 0, 0, 1))
        ones = nn.functional.pad(bias[2 * width :].unflatten(0, (heads, -1)), (0, 1), value=1.0)
        self.project_all = nn.Linear(width, 2 * width + self.values)
        self.project_all.weight = _kept(torch.cat([weight[: 2 * width], grown.flatten(0, 1)]))
        self.project_all.bias = _kept(torch.cat([bias[: 2 * width], ones.flatten()]))
        carried = torch.zeros_like(block.merge.weight[:, :heads])
        carried[:, 0] = block.merge.bias
        merge = torch.cat([block.merge.weight.unflatten(1, (heads, -1)), carried[..., None]], dim=2)
        self.register_buffer("merge_rows", merge.flatten(1).T.contiguous())  # (values, width)

    def merged(self, h: Tensor, attended: Tensor) -> Tensor:
        """Add the output of attention, (N, values), to tokens (N, width)."""
        return torch.addmm(h, attended, self.merge_rows)

    def project(self, h: Tensor, tokens: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values (B, T, …) of rows (B * T, width), T being `tokens`."""
        width = self.qkv.in_features
        projected = self.project_all(self.norm_attention(h)).reshape(-1, tokens, 2 * width + self.values)
        query, key, value = projected.split((width, width, self.values), dim=2)
        return query, key, value

    def attend(self, h: Tensor, mask: Tensor) -> tuple[Tensor, KeysValues]:
        """Pass tokens (B * T, width), each of which sees itself and earlier ones; also return keys and values."""
        query, key, value = self.project(h, len(mask))
        return self.finish(h, self._attended(query, key, value, causal=True)), (key, value)

    def attend_last(self, h: Tensor, tokens: int) -> Tensor:
        """Pass tokens (B * T, width), but return only the last one of each sequence, (B, width), which sees all."""
        query, key, value = self.project(h, tokens)
        newest = query.index_select(1, torch.tensor([tokens - 1]))  # a slice takes more operators
        last = h.reshape(-1, tokens, self.qkv.in_features)[:, -1]
        return self.finish(last, self._attended(newest, key, value))

    def attend_back(self, h: Tensor, state: KeysValues, samples: int, group: int) -> Tensor:
        """Pass one group of G tokens of each state, (B * G, width): each sees the state's tokens and its own group.

        Args:
            h: (B * G, width).
            state: Keys and values of the state's tokens, apart: (B, heads, T, …).
            samples: Groups of each state, 1.
            group: G.
        """
        found, *_ = _AttentionBack.apply(*self.project(h, samples * group), *state, self.heads)
        return self.finish(h, found.reshape(-1, self.values))

    def apart(self, key: Tensor, value: Tensor) -> KeysValues:
        """Put the heads of keys and values, each (B, T, …), apart: (B, heads, T, …)."""
        both = []
        for part, size in ((key, self.qkv.in_features), (value, self.values)):
            tokens = int(part.shape[1])  # known when the graph is traced: else it would be computed in each pass
            both.append(part.reshape(-1, tokens, self.heads, size // self.heads).transpose(1, 2))
        return both[0], both[1]

    def _attended(self, query: Tensor, key: Tensor, value: Tensor, causal: bool = False) -> Tensor:
        """Return the output of the heads, (B * T, values)."""
        found: Tensor = _Attention.apply(query, key, value, self.heads, causal)
        return found.reshape(-1, self.values)


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
    """The same for tokens that attend to one another and to earlier tokens, whose keys and values are cached."""

    @staticmethod
    def forward(
        _context: Any, query: Tensor, key: Tensor, value: Tensor, past_key: Tensor, past_value: Tensor, heads: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the output (B, G, width), and all keys and values, (B, heads, T + G, width / heads)."""
        query, key, value = (part.unflatten(2, (heads, -1)).transpose(1, 2) for part in (query, key, value))
        key, value = torch.cat([past_key, key], dim=2), torch.cat([past_value, value], dim=2)
        found = nn.functional.scaled_dot_product_attention(query, key, value)
        return found.transpose(1, 2).flatten(2), key, value

    @staticmethod
    def symbolic(graph: Any, query: Any, key: Any, value: Any, past_key: Any, past_value: Any, heads: int) -> Any:
        """Write the operator, including unused outputs: ONNX Runtime fails without them."""
        counts = {"q_num_heads_i": heads, "kv_num_heads_i": heads}
        none = graph.op("prim::Constant")
        none.setType(torch._C.OptionalType.ofTensor())
        return graph.op("Attention", query, key, value, none, past_key, past_value, **counts, outputs=3)
