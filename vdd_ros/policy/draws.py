"""Random numbers of a policy."""

import numpy as np
from numpy.typing import NDArray

BLOCK = 1024

_Floats32 = NDArray[np.float32]


class Draws:
    """A random stream that serves one action at a time from blocks drawn in advance.

    After a graph run the generator's code is out of the caches, so each call takes several microseconds; reading a
    value drawn in advance takes a fraction of one.

    Args:
        seed: 0 or more; the same seed and the same calls give the same numbers.
        stream: Number of a stream of this seed; all are independent, and 0 is the seed's own.
    """

    def __init__(self, seed: int, stream: int = 0) -> None:
        self._rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream,) if stream else ()))
        self._uniforms: list[float] = []
        self._uniforms_used = 0
        self._normals = np.empty((0,), np.float32)
        self._normals_used = 0

    def uniform(self, out: _Floats32) -> None:
        """Fill `out`, (n,), with numbers in [0, 1)."""
        if len(out) != 1:
            self._rng.random(dtype=np.float32, out=out)
            return
        if self._uniforms_used == len(self._uniforms):
            self._uniforms = self._rng.random(BLOCK, np.float32).tolist()
            self._uniforms_used = 0
        out[0] = self._uniforms[self._uniforms_used]
        self._uniforms_used += 1

    def normal(self, out: _Floats32) -> None:
        """Fill `out`, of any shape, with standard normal numbers."""
        if out.size > BLOCK // 2:
            self._rng.standard_normal(dtype=np.float32, out=out)
            return
        if self._normals_used == len(self._normals) or self._normals.shape[1:] != out.shape:
            self._normals = self._rng.standard_normal((BLOCK // out.size, *out.shape), np.float32)
            self._normals_used = 0
        out[...] = self._normals[self._normals_used]
        self._normals_used += 1
