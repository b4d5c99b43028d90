"""Distinguishable colours, also with red-green colour blindness."""

from functools import cache

import numpy as np

from vdd_ros.tasks.base import Floats

SAFE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Okabe's and Ito's colours without the yellow, which is lost on white."""

_STEPS = 12  # candidates a channel
_LIGHTNESS = (0.35, 0.8)  # visible on white
_DISTANT = 1.5  # weight of the distance as those see it who lack green cones, against everybody else's

# Linear sRGB to the cone responses of OKLab, and their cube roots to lightness, green-red and blue-yellow.
_CONES = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]])
_OPPONENT = np.array([[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])
# Linear sRGB as seen without green cones (Machado and others, 2009, deuteranomaly of severity 1).
_WITHOUT_GREEN = np.array([[0.3673, 0.8606, -0.2280], [0.2801, 0.6727, 0.0473], [-0.0118, 0.0429, 0.9689]])


def palette(count: int) -> Floats:
    """Return `count` colours, (count, 3) in [0, 1], as different from one another as possible.

    Up to seven are those of `SAFE`. More are picked one after the other, each as far from the others as possible.
    """
    if count <= len(SAFE):
        return _from_hex(SAFE[:count])
    return _many(count)


def distances(colours: Floats) -> Floats:
    """Return how different each two colours (n, 3) look, (n, n), in OKLab; about 0.02 is just noticeable."""
    seen = _oklab(_linear(colours))
    return np.asarray(np.linalg.norm(seen[:, None] - seen[None], axis=-1))


@cache
def _many(count: int) -> Floats:
    axis = np.linspace(0.0, 1.0, _STEPS)
    candidates = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    lightness = _oklab(_linear(candidates))[:, 0]
    candidates = candidates[(lightness > _LIGHTNESS[0]) & (lightness < _LIGHTNESS[1])]
    chosen = _from_hex(SAFE)[:-1]
    seen = _appearances(candidates)
    nearest = np.full(len(candidates), np.inf)
    for colour in chosen:
        nearest = np.minimum(nearest, _apart(seen, _appearances(colour[None])))
    while len(chosen) < count:
        best = int(nearest.argmax())
        chosen = np.concatenate([chosen, candidates[best : best + 1]])
        nearest = np.minimum(nearest, _apart(seen, seen[best : best + 1]))
    chosen.setflags(write=False)
    return chosen


def _appearances(colours: Floats) -> Floats:
    """Return colours (n, 3) as seen with full colour vision and without green cones, (n, 2, 3)."""
    linear = _linear(colours)
    return np.stack([_oklab(linear), _oklab((linear @ _WITHOUT_GREEN.T).clip(0, 1))], axis=1)


def _apart(seen: Floats, other: Floats) -> Floats:
    apart = np.linalg.norm(seen - other, axis=-1)
    return np.asarray(np.minimum(apart[:, 0], _DISTANT * apart[:, 1]))


def _linear(colours: Floats) -> Floats:
    return np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)


def _oklab(linear: Floats) -> Floats:
    return np.asarray(np.cbrt(linear @ _CONES.T) @ _OPPONENT.T)


def _from_hex(colours: tuple[str, ...]) -> Floats:
    return np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in colours]).reshape(-1, 3)
