"""Expert selection of a mixture: drawn from the gating, the likeliest, or the previous one."""

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ConfigurationError, PolicyFileError
from vdd_ros.policy.draws import Draws
from vdd_ros.policy.promises import Held, Promises

SELECTIONS = ("sample", "greedy", "sticky")
DEFAULT_SWITCH_RATIO = 4.0
LIKELIEST_EXPERT = -1.0

_Floats32 = NDArray[np.float32]


def named_expert(expert: NDArray[np.int64]) -> _Floats32:
    """Return the values of the graph input `expert_uniform` that name these experts (counted from 0)."""
    return (-2 - expert).astype(np.float32)


class ExpertSelector:
    """Fills the graph input `expert_uniform` of a mixture.

    - `sample`: a fresh expert from the gating at every step, the paper's way.
    - `greedy`: the likeliest expert at every step.
    - `sticky`: the previous step's expert, as long as the likeliest one is at most `switch_ratio` times as probable;
      otherwise a fresh expert from the gating. It avoids mode changes within a manoeuvre, at the cost of a second run
      in steps that switch. An expert that does not keep its announcements is released, see `Promises`: the next step
      draws a fresh one, as with `sample`.

    Args:
        how: Selection rule, one of `SELECTIONS`.
        switch_ratio: Threshold of `sticky`, 1 or more; 1 keeps an expert only while it is the likeliest.

    Attributes:
        how, switch_ratio: The same.
        promises: Judges the announcements of held experts; None ignores announcements.

    Raises:
        ConfigurationError: `how` is unknown, or `switch_ratio` is below 1.
    """

    def __init__(self, how: str = "sample", *, switch_ratio: float = DEFAULT_SWITCH_RATIO) -> None:
        if how not in SELECTIONS:
            raise ConfigurationError(f"Expert selection {how!r} is unknown; use one of {', '.join(SELECTIONS)}.")
        if not switch_ratio >= 1:
            raise ConfigurationError(f"switch_ratio is {switch_ratio}; it must be 1 or more.")
        self.how = how
        self.switch_ratio = switch_ratio
        self.promises: Promises | None = None
        self._held: Held | None = None
        self._free = np.zeros(0, bool)

    def reset(self) -> None:
        """Forget the held experts, as at the start of an episode."""
        self._held = None

    def choose(self, draws: Draws, out: _Floats32) -> None:
        """Write the selection values of this step into `out`, (batch,).

        Held experts are forgotten if the batch size changes.
        """
        if self.how == "greedy":
            out.fill(LIKELIEST_EXPERT)
            return
        if self._held is not None and self._held.expert.shape != out.shape:
            self._held = None
        if self._held is None:
            draws.uniform(out)
            return
        out[:] = named_expert(self._held.expert)
        if self._free.any():
            self._draw(draws, out, self._free)

    def choose_again(self, gating: NDArray[np.float32], draws: Draws, out: _Floats32) -> bool:
        """Return whether held experts have become too improbable; if so, fill `out` for a second run of this step.

        Args:
            gating: Expert probabilities from the first run, (batch, experts).
            draws: Source of fresh random numbers.
            out: Selection values of the first run, (batch,).
        """
        if self._held is None:
            return False
        held = gating[np.arange(len(gating)), self._held.expert]
        lost = (held * self.switch_ratio < gating.max(axis=1)) & ~self._free
        if not lost.any():
            return False
        self._draw(draws, out, lost)
        return True

    def acted(self, expert: NDArray[np.int64], action: NDArray[np.floating], newest: NDArray[np.floating]) -> None:
        """Record the experts and actions of this step.

        Args:
            expert: The experts, (batch,).
            action: Their actions, (batch, horizon, act_dim), physical units.
            newest: The newest observations, (batch, obs_dim), physical units.
        """
        if self.how != "sticky":
            return
        if self.promises is None:
            none = np.zeros(len(expert), np.int64)
            self._held, self._free = Held(expert.copy(), action, newest, none, none), np.zeros(len(expert), bool)
        else:
            self._held = self.promises.follow(self._held, expert, action, newest)
            self._free = self.promises.let_go(self._held)

    def _draw(self, draws: Draws, out: _Floats32, rows: NDArray[np.bool_]) -> None:
        """Write fresh random numbers into some rows of `out`, (batch,)."""
        fresh = np.empty(np.count_nonzero(rows), np.float32)
        draws.uniform(fresh)
        out[rows] = fresh

    def known(self, expert: int, experts: int) -> int:
        """Return the graph's expert; if it does not exist, forget it and raise PolicyFileError."""
        if 0 <= expert < experts:
            return expert
        self.reset()
        raise PolicyFileError(
            f"The graph says that expert {expert} acted, but its metadata state {experts} experts, counted from 0: the "
            "file contradicts itself. Export the policy again with vdd export."
        )
