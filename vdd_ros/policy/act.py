"""What a policy file answers, and how long its runs take."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_Floats32 = NDArray[np.float32]


class Act(NamedTuple):
    """One action. The arrays are views that the policy's next run overwrites; copy what must last.

    Attributes:
        action: (horizon, act_dim), physical units.
        expert: The expert that acted, from 0; None if the policy is no mixture, as for the next two.
        log_prob: Log density of the mixture at the action, in nats and physical units.
        gating: Probabilities of the experts, (experts,).
        novelty: -log p of the newest observation under the demonstrated ones, nats; None if the file does not know it.
    """

    action: _Floats32
    expert: int | None
    log_prob: float | None
    gating: _Floats32 | None
    novelty: float | None


class ActBatch(NamedTuple):
    """Actions for B observations, in arrays of their own: (B, horizon, act_dim), (B,), (B,), (B, experts), (B,)."""

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
        clipped: (experts,) whether an action limit cut this expert's readings, so that they are not its parameters.
    """

    gating: NDArray[np.float64]
    means: NDArray[np.float64]
    choleskys: NDArray[np.float64]
    clipped: NDArray[np.bool_]


class WarmUp(NamedTuple):
    """Seconds that the first run took, and of the runs after it the median, the fastest and the 99th percentile."""

    first_s: float
    median_s: float
    fastest_s: float
    p99_s: float
