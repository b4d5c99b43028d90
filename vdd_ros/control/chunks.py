"""Chunks of actions: how many of each are executed, and when the next one is asked for."""

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ConfigurationError
from vdd_ros.policy.onnx_policy import Act, OnnxPolicy

Floats32 = NDArray[np.float32]


class Answer(NamedTuple):
    """What the policy gave: its act, what that took if it was before this tick, this tick's place, what it saw."""

    act: Act
    inference_s: float
    place: int
    window: NDArray[np.floating]
    goal: NDArray[np.floating] | None


class Step(NamedTuple):
    """What the policy wants at one tick.

    Attributes:
        actions: (m, act_dim), m >= 1: the action of this tick, and those of its chunk that come after it.
        place: Of this tick's action in its chunk, from 0.
        act: What the policy gave, at the first tick of a chunk; None at the others.
        inference_s: What that took, where it was done before this tick; else NaN.
        window: (history, obs_dim) that `act` answers to, valid until the next tick; None where `act` is.
        goal: (goal_length, obs_dim) that it answers to; None where `act` is, or where the policy takes no goal.
    """

    actions: Floats32
    place: int
    act: Act | None
    inference_s: float
    window: NDArray[np.floating] | None
    goal: NDArray[np.floating] | None


class _Asker:
    """A thread that asks a policy one question after the other; the process does not wait for it at its end.

    It is made where the policy is loaded, so that it has nothing of the thread that ticks: neither its priority nor
    its core.
    """

    def __init__(self, policy: OnnxPolicy, timer: Callable[[], float]) -> None:
        self._policy = policy
        self._timer = timer
        self._questions: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()
        Thread(target=self._run, daemon=True, name="prefetch").start()

    def ask(
        self, observation: NDArray[np.floating], goal: NDArray[np.floating] | None, *, anew: bool
    ) -> "Future[tuple[Act, float]]":
        """Ask; the future gives the act, and the seconds that it took. `anew` begins an episode before."""
        answer: Future[tuple[Act, float]] = Future()
        self._questions.put((observation, goal, anew, answer))
        return answer

    def close(self) -> None:
        """End after the question that is open."""
        self._questions.put(None)

    def _run(self) -> None:
        while (question := self._questions.get()) is not None:
            observation, goal, anew, answer = question
            try:
                if anew:
                    self._policy.reset()
                began = self._timer()
                act = self._policy.act(observation, goal)
                answer.set_result((act, self._timer() - began))
            except Exception as error:  # the tick raises it
                answer.set_exception(error)


class Chunks:
    """Executes the first `action_steps` actions of each chunk, and then asks for the next one.

    Without prefetching the policy is asked within the tick that needs an answer. With it, it is asked `prefetch_ticks`
    earlier, in a thread of its own, which ONNX Runtime lets run beside this one, and at the start in the first tick, so
    that no tick waits. The answer is about the instant of the question: the first actions of the chunk belong to ticks
    that have passed, and are left out.

    Args:
        policy: The policy; with prefetching, nothing else may use it.
        action_steps: Actions of each chunk that are executed.
        prefetch_ticks: How many ticks before it is needed the next chunk is asked for; 0: in the tick itself.
        timer: What inference is timed with, in seconds.

    Attributes:
        starting: Whether there was no action yet, since the start or since what was planned was dropped.

    Raises:
        ConfigurationError: The chunks are too short for that.
    """

    def __init__(
        self,
        policy: OnnxPolicy,
        *,
        action_steps: int = 1,
        prefetch_ticks: int = 0,
        timer: Callable[[], float] = perf_counter,
    ) -> None:
        horizon = policy.spec.horizon
        if not 0 <= prefetch_ticks <= action_steps or not 1 <= action_steps <= horizon - prefetch_ticks:
            raise ConfigurationError(
                f"action_steps is {action_steps} and prefetch_ticks is {prefetch_ticks}, but the policy gives "
                f"{horizon} actions at a time; it takes 0 <= prefetch_ticks <= action_steps, at least one action step, "
                "and together at most as many as it gives."
            )
        self.action_steps = action_steps
        self.prefetch_ticks = prefetch_ticks
        self.starting = True
        self._policy = policy
        self._chunk = np.zeros((horizon, policy.spec.act_dim), np.float32)
        # The window of the answer in hand and that of the open question.
        self._windows = [np.zeros((policy.spec.history, policy.spec.obs_dim), np.float32) for _ in range(2)]
        self._asked_goal: NDArray[np.floating] | None = None
        self._asker = _Asker(policy, timer) if prefetch_ticks else None
        self._asked: Future[tuple[Act, float]] | None = None
        self._dropped: Future[tuple[Act, float]] | None = None
        self._anew = False
        self._since_asked = 0
        self._index = 0
        self._left = 0

    def reset(self) -> None:
        """Start a new episode: forget the chunk, the open question and which expert acted."""
        self.drop()
        if self._asker is None:
            self._policy.reset()
        else:
            self._anew = True

    def drop(self) -> None:
        """Forget the chunk and the open question, without waiting for its answer: the next tick asks again."""
        if self._asked is not None:
            self._dropped, self._asked = self._asked, None
        self._left = 0
        self.starting = True

    def close(self) -> None:
        """End the thread, without waiting for it."""
        self.drop()
        if self._asker is not None:
            self._asker.close()

    def prime(self, observation: NDArray[np.floating], goal: NDArray[np.floating] | None) -> bool:
        """Tell whether `next` has an answer; until then ask, once a tick, instead of `next`.

        Raises:
            ObservationError, PolicyFileError: As `OnnxPolicy.act`.
        """
        if self._asker is None:
            return True
        if self._asked is None:
            self._ask(observation, goal)
        elif self._asked.done():
            return True
        else:
            self._since_asked += 1
        return False

    def rehearse(self, observation: NDArray[np.floating], goal: NDArray[np.floating] | None) -> Floats32 | None:
        """Ask for nothing, where the next tick will ask within itself; return the first action (act_dim,) that came."""
        if self._left == 0 and self._asker is None:
            return self._policy.rehearse(observation, goal).action[0]
        return None

    def next(self, observation: NDArray[np.floating], goal: NDArray[np.floating] | None) -> Step | None:
        """Return the actions of this tick, or None where the chunk that was asked for has not come yet.

        Args:
            observation: (history, obs_dim) at this tick.
            goal: (goal_length, obs_dim), or None.

        Raises:
            ObservationError, PolicyFileError: As `OnnxPolicy.act`, also about a question of a tick before.
        """
        self._since_asked += 1
        answer = None
        if self._left == 0:
            answer = self._answer(observation, goal)
            if answer is None:
                return None
            self._index = answer.place
            self._chunk[:] = answer.act.action
            self._left = min(self.action_steps, len(self._chunk) - self._index)
            self.starting = False
        actions = self._chunk[self._index :]
        if answer is None:
            step = Step(actions, self._index, None, np.nan, None, None)
        else:
            step = Step(actions, self._index, answer.act, answer.inference_s, answer.window, answer.goal)
        self._index += 1
        self._left -= 1
        if self._asker is not None and self._left < self.prefetch_ticks and self._asked is None:
            self._ask(observation, goal)
        return step

    def _answer(self, observation: NDArray[np.floating], goal: NDArray[np.floating] | None) -> Answer | None:
        """Return the answer for this tick, if there is one; else see to it that there will be."""
        if self._asker is None:
            return Answer(self._policy.act(observation, goal), np.nan, 0, observation, goal)
        if self._asked is not None and self._asked.done():
            asked, self._asked = self._asked, None
            act, inference_s = asked.result()
            if self._since_asked < len(self._chunk):
                return Answer(act, inference_s, self._since_asked, self._windows[1], self._asked_goal)
            self.starting = False  # it came, but so late that nothing of it is left
        if self._asked is None:
            self._ask(observation, goal)
        return None

    def _ask(self, observation: NDArray[np.floating], goal: NDArray[np.floating] | None) -> None:
        """Ask about this tick, unless a dropped question is still open: its window must last until then."""
        if self._asker is None or (self._dropped is not None and not self._dropped.done()):
            return
        self._dropped = None
        self._windows.reverse()
        self._windows[1][:] = observation
        self._asked_goal = None if goal is None else goal.copy()
        self._asked = self._asker.ask(self._windows[1], self._asked_goal, anew=self._anew)
        self._anew = False
        self._since_asked = 0
