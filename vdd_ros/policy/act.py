"""Results of a policy file, and durations of its runs."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_Floats32 = NDArray[np.float32]


class Act(NamedTuple):
    """One action chunk. The arrays are views that the policy's next run overwrites; copy values to keep.

    Attributes:
        action: (horizon, act_dim), physical units.
        expert: The expert that acted, from 0; None if the policy is not a mixture, as for the next two.
        log_prob: Log density of the mixture at the action, in nats and physical units.
        gating: Probabilities of the experts, (experts,).
        novelty: -log p of the newest observation under the demonstrations, in nats; None if the file has no novelty.
    """

    action: _Floats32
    expert: int | None
    log_prob: float | None
    gating: _Floats32 | None
    novelty: float | None


class ActBatch(NamedTuple):
    """Actions for B observations, in separate arrays: (B, horizon, act_dim), (B,), (B,), (B, experts), (B,)."""

    action: _Floats32
    expert: NDArray[np.int64] | None
    log_prob: _Floats32 | None
    gating: _Floats32 | None
    novelty: _Floats32 | None


class Mixture(NamedTuple):
    """The Gaussian mixture over actions at one observation, in physical units; D = horizon * act_dim.

    Attributes:
        gating: (experts,).
        means: (experts, D).
        choleskys: Lower triangular factors of the covariances, (experts, D, D).
        clipped: (experts,) whether an action limit cut this expert's samples, which invalidates its parameters.
    """

    gating: NDArray[np.float64]
    means: NDArray[np.float64]
    choleskys: NDArray[np.float64]
    clipped: NDArray[np.bool_]


class WarmUp(NamedTuple):
    """Durations in seconds: first run; median, fastest and 99th percentile of the later runs."""

    first_s: float
    median_s: float
    fastest_s: float
    p99_s: float
