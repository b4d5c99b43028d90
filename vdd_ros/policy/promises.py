"""Checks that a held expert's announced motion happens, so that holding it cannot stall a task."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vdd_ros.policy.spec import PolicySpec

STANDSTILL_S = 1.0
"""An expert is released after this time without any change in the observation."""
STANDSTILL = 0.05
"""Largest change that counts as none, in standard deviations of each demonstrated entry."""
ANNOUNCEMENT = 0.1
"""Smallest change within a chunk that counts as announced, in standard deviations of the actions."""

_Floats = NDArray[np.floating]
_Ints = NDArray[np.int64]


class Held(NamedTuple):
    """The experts that acted last, one per row, and the state of their announcements.

    Attributes:
        expert: (batch,).
        chunk: Their actions, (batch, horizon, act_dim), standardised.
        anchor: Observation at the last change, (batch, obs_dim), standardised.
        still: Decisions since then, (batch,).
        broken: Consecutive decisions whose chunk announced a change that did not happen, (batch,).
    """

    expert: _Ints
    chunk: _Floats
    anchor: _Floats
    still: _Ints
    broken: _Ints


class Promises:
    """Judges held experts, decision by decision.

    An expert is released

    - once its chunks have postponed an announced change for the length of a chunk: the expert's next chunk is nearer to
      the beginning of the last one than to its remainder;
    - while the observation has not changed for `STANDSTILL_S`: only the held expert keeps the robot there.

    Args:
        spec: Of the policy.
        action_steps: Actions of each chunk that are executed before the next decision.
        announced: Whether chunks announce motion; random actions do not.
    """

    def __init__(self, spec: PolicySpec, action_steps: int = 1, *, announced: bool = True) -> None:
        statistics = spec.statistics
        self._action_std = np.array(statistics.action_std)
        self._observation_std = np.array(statistics.observation_std)
        self._steps = action_steps
        self._kept = spec.horizon - action_steps if announced else 0
        self._most_broken = math.ceil(spec.horizon / action_steps)
        self._most_still = math.ceil(STANDSTILL_S * spec.rate_hz / action_steps)

    def follow(self, before: Held | None, expert: _Ints, action: _Floats, newest: _Floats) -> Held:
        """Return the state after a decision.

        Args:
            before: The state before it; None at an episode's start.
            expert: The experts that acted, (batch,).
            action: Their actions, (batch, horizon, act_dim), physical units.
            newest: The observations, (batch, obs_dim), physical units.
        """
        chunk, seen = action / self._action_std, newest / self._observation_std
        none = np.zeros(len(expert), np.int64)
        if before is None or before.expert.shape != expert.shape:
            return Held(expert.copy(), chunk, seen, none, none)
        changed = (np.abs(seen - before.anchor) > STANDSTILL).any(axis=1)
        still = np.where(changed | (seen.shape[1] == 0), 0, before.still + 1)
        broken = np.where(self._puts_off(before, expert, chunk), before.broken + 1, 0)
        anchor = np.where(changed[:, None], seen, before.anchor)
        return Held(expert.copy(), chunk, anchor, still, broken)

    def let_go(self, held: Held) -> NDArray[np.bool_]:
        """Return which experts must be released, (batch,)."""
        return np.asarray((held.still >= self._most_still) | (held.broken >= self._most_broken))

    def _puts_off(self, before: Held, expert: _Ints, chunk: _Floats) -> NDArray[np.bool_]:
        """Return where the same expert repeats an earlier announcement, (batch,)."""
        if self._kept < 1:
            return np.zeros(len(expert), bool)
        was, rest = before.chunk[:, : self._kept], before.chunk[:, self._steps :]
        now = chunk[:, : self._kept]
        announced, as_it_was, as_announced = (
            np.abs(one - other).max(axis=(1, 2)) for one, other in ((rest, was), (now, was), (now, rest))
        )
        return np.asarray((expert == before.expert) & (announced > ANNOUNCEMENT) & (as_it_was < as_announced))
