"""Expert selection of a mixture: drawn from the gating, the likeliest, or the previous one."""

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ConfigurationError, PolicyFileError
from vdd_ros.policy.draws import Draws

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
    - `sticky`: the expert of the step before, as long as the likeliest one is at most `switch_ratio` times as
      probable; else a fresh expert from the gating. It avoids mode changes within a manoeuvre, at the cost of a second
      run in steps that switch.

    Args:
        how: Selection rule, one of `SELECTIONS`.
        switch_ratio: Threshold of `sticky`, 1 or more; 1 keeps an expert only while it is the likeliest.

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
        self._held: NDArray[np.int64] | None = None

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
        if self._held is not None and self._held.shape != out.shape:
            self._held = None
        if self._held is None:
            draws.uniform(out)
        else:
            out[:] = named_expert(self._held)

    def choose_again(self, gating: NDArray[np.float32], draws: Draws, out: _Floats32) -> bool:
        """Return whether held experts have become too improbable; if so, fill `out` for a second run of this step.

        Args:
            gating: Expert probabilities from the first run, (batch, experts).
            draws: Source of fresh random numbers.
            out: Selection values of the first run, (batch,).
        """
        if self._held is None:
            return False
        held = gating[np.arange(len(gating)), self._held]
        lost = held * self.switch_ratio < gating.max(axis=1)
        if not lost.any():
            return False
        fresh = np.empty(np.count_nonzero(lost), np.float32)
        draws.uniform(fresh)
        out[lost] = fresh
        return True

    def acted(self, expert: NDArray[np.int64]) -> None:
        """Record the experts that acted in this step, (batch,)."""
        if self.how == "sticky":
            self._held = expert.copy()

    def known(self, expert: int, experts: int) -> int:
        """Return the graph's expert; if it does not exist, forget it and raise PolicyFileError."""
        if 0 <= expert < experts:
            return expert
        self.reset()
        raise PolicyFileError(
            f"The graph says that expert {expert} acted, but its metadata state {experts} experts, counted from 0: the "
            "file contradicts itself. Export the policy again with vdd export."
        )
