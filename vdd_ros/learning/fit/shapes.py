"""Modules without values: their shapes are known, and nothing is allocated or computed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_UNREAD: dict[Any, Callable[..., Any]] = {
    torch.randn: torch.empty,
    torch.full: lambda size, _value: torch.empty(size),
    torch.Tensor.triu: lambda tensor, _diagonal: tensor,
}
_OPERATORS = ("__iadd__", "__isub__", "__imul__", "__itruediv__")


class _Untouched(TorchFunctionMode):
    """Skips in-place operations, random draws and fills.

    On the meta device such operations would only load torch's compiler first, which takes seconds.
    """

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        name = func.__name__
        in_place = name in _OPERATORS or (name.endswith("_") and not name.endswith("__"))
        if in_place and name != "requires_grad_":
            return args[0] if args else kwargs["tensor"]  # as torch.nn.init passes it
        return _UNREAD.get(func, func)(*args, **(kwargs or {}))


@contextmanager
def shapes_only() -> Iterator[None]:
    """Build modules in this block on the meta device, without values."""
    with torch.device("meta"), _Untouched():
        yield
