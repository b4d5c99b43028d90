"""Rows of a memory-mapped array, indexed like a tensor and read on access."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Places = Callable[[NDArray[np.int64]], NDArray[np.int64]]


class MappedRows:
    """Standardised float32 rows of an array that should not be in memory as a whole.

    `rows[index]` equals that of a tensor (K, ...) bit for bit; other operations of tensors are not supported.
    """

    def __init__(
        self,
        values: NDArray[np.float64],
        places: Places,
        count: int,
        mean: Tensor,
        deviation: Tensor,
        device: torch.device | str,
        is_flat: bool = False,
    ) -> None:
        """Keep the array.

        Args:
            values: (M, D), memory-mapped.
            places: From indices to the rows of `values` that make up each item: (...) -> (..., T) or (...).
            count: K, number of items.
            mean: (D,) subtracted from rows.
            deviation: (D,) divisor of the centred rows.
            device: Where the tensors go.
            is_flat: Join the T rows of an item, (T * D,).
        """
        self._values, self._places, self._count = values, places, count
        self._mean, self._deviation = mean, deviation
        self._is_flat = is_flat
        self.device = torch.device(device)

    def __len__(self) -> int:
        """Return the number of items."""
        return self._count

    def __getitem__(self, key: object) -> Tensor:
        """Return items by a tensor of indices or a slice, which further axes may follow, as in `rows[index, None]`."""
        index, *rest = key if isinstance(key, tuple) else (key,)
        if isinstance(index, slice):
            index = torch.arange(self._count)[index]
        if not isinstance(index, Tensor):
            raise TypeError(f"rows of demonstrations are taken by a tensor or a slice, not by {type(index).__name__}")
        rows = np.asarray(self._values[self._places(index.cpu().numpy())], dtype=np.float32)
        standard = (torch.from_numpy(rows) - self._mean) / self._deviation
        items = standard.flatten(index.ndim) if self._is_flat else standard
        return items.to(self.device)[(slice(None), *rest)]
