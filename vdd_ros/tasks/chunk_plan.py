"""Chunks of actions in simulations: what is executed until an answer arrives, and how it is joined to the answer."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ConfigurationError, TaskError
from vdd_ros.tasks.base import Bools, Floats, Ints

Answer = tuple[NDArray[np.floating], Ints | None]
"""Actions (N, horizon, act_dim), and the experts (N,) that acted, None without experts."""

Act = Callable[[NDArray[np.float32]], Answer]
"""From windows of observations (N, history, obs_dim), oldest first, to an answer. Row i is always episode i, also after
that episode has ended."""

ActGiven = Callable[[NDArray[np.float32], NDArray[np.floating]], Answer]
"""As `Act`, also from the actions (N, delay, act_dim) that are executed until the answer: the chunk's first ones."""

REPLACE, AVERAGE, BLEND = JOINTS = ("replace", "average", "blend")
"""How an answer is joined to what is left of the plan.

`replace` executes the answer alone; `average` the mean of all chunks that have an action for a step (temporal
ensembling with equal weights; Zhao et al., Learning Fine-Grained Bimanual Manipulation with Low-Cost Hardware, 2023,
section IV-A); `blend` passes over from the plan to the answer, whose weight at the i-th of m steps that both have is
i / (m + 1)."""


class PlanStep(NamedTuple):
    """What N episodes execute in a step.

    Attributes:
        action: (N, act_dim).
        expert: (N,) the expert behind the newest chunk; None without experts.
        seam: (N, act_dim) `action` less what was planned for this step, where a chunk begins to be executed and there
            was such a plan; otherwise None.
    """

    action: Floats
    expert: Ints | None
    seam: Floats | None


class ChunkPlan:
    """The actions that episodes side by side are about to execute.

    Of each chunk, `action_steps` actions are executed. The next one is asked for `delay` steps before they end, and
    arrives when they have. Its first action belongs to the step of the question, so that it is executed from its action
    `delay` on. The first answer of all arrives at once.

    Args:
        act: The policy.
        count: N, the number of episodes.
        act_dim: Entries of an action.
        action_steps: Actions that are executed from a chunk; questions are as many steps apart.
        delay: Steps from a question to its answer, at most `action_steps`: what is executed until the answer is then
            known when the question is asked.
        joint: One of `JOINTS`.
        given: The policy, told what is executed until the answer; None: it is not told. Answers that arrive at once are
            those of `act`.

    Attributes:
        overlaps: Whether chunks reach beyond the step at which the next one begins, so that there are seams.

    Raises:
        ConfigurationError: `action_steps` is below 1, `delay` is not between 0 and `action_steps`, or `joint` is
            unknown.
    """

    def __init__(
        self,
        act: Act,
        count: int,
        act_dim: int,
        *,
        action_steps: int = 1,
        delay: int = 0,
        joint: str = REPLACE,
        given: ActGiven | None = None,
    ) -> None:
        if action_steps < 1:
            raise ConfigurationError(f"action_steps is {action_steps}; it must be at least 1")
        if not 0 <= delay <= action_steps:
            raise ConfigurationError(
                f"delay is {delay}; it must be from 0 to {action_steps}, the number of actions that are executed from "
                "a chunk: an answer must have arrived before the next question"
            )
        if joint not in JOINTS:
            raise ConfigurationError(f"joint is {joint!r}; use one of {', '.join(JOINTS)}")
        self._act, self._given = act, given
        self._shape = (count, act_dim)
        self._action_steps, self._delay, self._joint = action_steps, delay, joint
        self.overlaps = False
        self._step = 0
        self._ahead: NDArray[np.floating] = np.zeros((count, 0, act_dim))  # the plan, from this step on
        self._chunks: Ints = np.zeros(0, dtype=np.int64)  # number of chunks behind each step of the plan
        self._open: Answer | None = None
        self._expert: Ints | None = None

    def next(self, windows: NDArray[np.float32], running: Bools) -> PlanStep:
        """Return what is executed in this step; call once per step.

        Args:
            windows: (N, history, obs_dim).
            running: (N,) whether each episode still runs; what is planned for the others does not matter.

        Raises:
            TaskError: The policy returns another shape, a chunk that is too short, or values that are not finite.
        """
        seam = None
        if self._step % self._action_steps == 0:
            if self._open is None:
                seam = self._join(self._ask(windows, running), 0)
            else:
                seam = self._join(self._open, self._delay)
        if self._delay and (self._step + self._delay) % self._action_steps == 0:
            self._open = self._ask(windows, running, told=self._given)
        action = np.asarray(self._ahead[:, 0], dtype=np.float64)
        self._ahead, self._chunks = self._ahead[:, 1:], self._chunks[1:]
        self._step += 1
        return PlanStep(action, self._expert, seam)

    def _ask(self, windows: NDArray[np.float32], running: Bools, told: ActGiven | None = None) -> Answer:
        """Ask the policy; it is told what is executed until the answer if `told` is given."""
        if told is None:
            chunk, expert = self._act(windows)
        else:
            known = np.where(running[:, None, None], self._ahead[:, : self._delay], 0.0)
            chunk, expert = told(windows, known)
        self._check(chunk, running)
        return np.array(chunk), expert

    def _join(self, answer: Answer, place: int) -> Floats | None:
        """Plan an answer from its action `place` on; return the change of this step's action.

        None for the first chunk, and if chunks end where the next one begins: only the first one, which is executed
        from its beginning, then has an action for that step.
        """
        chunk, self._expert = answer
        old, new = self._ahead, chunk[:, place:]
        overlap = min(old.shape[1], new.shape[1])
        chunks = np.ones(new.shape[1], dtype=np.int64)
        if self._joint != REPLACE and overlap:
            if self._joint == AVERAGE:
                chunks[:overlap] += self._chunks[:overlap]
                weight = 1 / chunks[:overlap]
            else:
                weight = np.arange(1, overlap + 1) / (overlap + 1)
            new = new.astype(np.float64)
            new[:, :overlap] = old[:, :overlap] + weight[:, None] * (new[:, :overlap] - old[:, :overlap])
        self._ahead, self._chunks = new, chunks
        self.overlaps = chunk.shape[1] > self._delay + self._action_steps
        return new[:, 0].astype(np.float64) - old[:, 0] if overlap and self.overlaps else None

    def _check(self, chunk: NDArray[np.floating], running: Bools) -> None:
        """Refuse actions that cannot be executed."""
        count, act_dim = self._shape
        needed = self._action_steps + self._delay
        if chunk.ndim != 3 or chunk.shape[::2] != self._shape or chunk.shape[1] < needed:
            raise TaskError(
                f"the policy returned actions of shape {chunk.shape}; {count} episodes need ({count}, horizon, "
                f"{act_dim}) with a horizon of at least {needed}, the number of actions that are executed"
            )
        executed = chunk[:, :needed] if self._joint == REPLACE else chunk
        broken = np.flatnonzero(running & ~np.isfinite(executed).all(axis=(1, 2)))
        if broken.size:
            raise TaskError(
                f"the policy returned actions that are not finite in {broken.size} of {count} episodes, first in "
                f"episode {broken[0]} at step {self._step}; train or export the policy again"
            )
