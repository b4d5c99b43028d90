"""Chunks of actions: how many actions are executed, and when the next chunk is requested."""

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ConfigurationError
from vdd_ros.policy.act import Act
from vdd_ros.policy.observed import Windows
from vdd_ros.policy.onnx_policy import OnnxPolicy

Floats32 = NDArray[np.float32]


class Result(NamedTuple):
    """One inference result: act, duration if prefetched, this tick's index in the chunk, window and goal."""

    act: Act
    inference_s: float
    place: int
    window: NDArray[np.floating]
    goal: NDArray[np.floating] | None


class Step(NamedTuple):
    """The policy's output at one tick.

    Attributes:
        actions: (m, act_dim), m >= 1: the action of this tick, and the later ones of its chunk.
        place: Index of this tick's action in its chunk, from 0.
        act: The policy's result, at the first tick of a chunk; None otherwise.
        inference_s: Duration of the inference in seconds if it ran before this tick; otherwise NaN.
        window: (history, obs_dim) observations behind `act`, valid until the next tick; None without `act`.
        goal: (goal_length, obs_dim) goal behind `act`; None without `act`, or if the policy takes no goal.
    """

    actions: Floats32
    place: int
    act: Act | None
    inference_s: float
    window: NDArray[np.floating] | None
    goal: NDArray[np.floating] | None


class InferenceWorker:
    """A daemon thread that runs a policy, one request after another.

    It is created by the loading thread, so it inherits neither priority nor core of the tick thread.
    """

    def __init__(self, policy: OnnxPolicy, timer: Callable[[], float]) -> None:
        self._policy = policy
        self._timer = timer
        self._requests: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()
        Thread(target=self._run, daemon=True, name="prefetch").start()

    def request(
        self,
        observation: NDArray[np.floating],
        goal: NDArray[np.floating] | None,
        arrays: Windows | None,
        prefix: Floats32 | None,
        *,
        anew: bool,
    ) -> "Future[tuple[Act, float]]":
        """Request an act; the future holds the act and its duration in seconds. `anew` resets the policy first."""
        future: Future[tuple[Act, float]] = Future()
        self._requests.put((observation, goal, arrays, prefix, anew, future))
        return future

    def close(self) -> None:
        """End after the current request."""
        self._requests.put(None)

    def _run(self) -> None:
        while (request := self._requests.get()) is not None:
            observation, goal, arrays, prefix, anew, future = request
            try:
                if anew:
                    self._policy.reset()
                began = self._timer()
                act = self._policy.act(observation, goal, arrays, prefix)
                future.set_result((act, self._timer() - began))
            except Exception as error:  # the tick raises it
                future.set_exception(error)


class Chunks:
    """Executes the first `action_steps` actions of each chunk, then requests the next one.

    Without prefetching the policy runs within the tick that needs its result. With prefetching it runs in a separate
    thread, requested `prefetch_ticks` earlier, and at the start in the first tick. ONNX Runtime lets both threads run,
    so no tick waits. The result refers to the instant of the request: actions for past ticks are skipped. The request
    is made with `request` after a tick's command, once it is `due`, so that it can say what is executed until then.

    Args:
        policy: The policy; with prefetching, nothing else may use it.
        action_steps: Number of actions executed from each chunk.
        prefetch_ticks: How many ticks ahead the next chunk is requested; 0: in the tick itself.
        timer: Clock for inference durations, in seconds.

    Attributes:
        starting: Whether no action has been returned since the start or the last `drop`.

    Raises:
        ConfigurationError: The chunks are too short for these settings.
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
                f"action_steps is {action_steps} and prefetch_ticks is {prefetch_ticks}, but the policy returns "
                f"{horizon} actions at a time; choose 0 <= prefetch_ticks <= action_steps and action_steps >= 1, with "
                f"a sum of at most {horizon}."
            )
        self.action_steps = action_steps
        self.prefetch_ticks = prefetch_ticks
        self.starting = True
        self._policy = policy
        self._chunk = np.zeros((horizon, policy.spec.act_dim), np.float32)
        # The windows of the present result and of the open request.
        self._windows = [np.zeros((policy.spec.history, policy.spec.obs_dim), np.float32) for _ in range(2)]
        self._requested_goal: NDArray[np.floating] | None = None
        # Arrays of the open request, the only one that still needs them.
        self._requested_prefix = np.zeros((prefetch_ticks, policy.spec.act_dim), np.float32)
        self._requested_arrays = {
            feature.name: np.zeros((policy.spec.history, *feature.shape), feature.dtype)
            for feature in (policy.spec.arrays if prefetch_ticks else ())
        } or None
        self._worker = InferenceWorker(policy, timer) if prefetch_ticks else None
        self._requested: Future[tuple[Act, float]] | None = None
        self._dropped: Future[tuple[Act, float]] | None = None
        self._anew = False
        self._since_request = 0
        self._index = 0
        self._left = 0

    def reset(self) -> bool:
        """Start a new episode: forget the chunk, the open request and the held expert; return as `drop`."""
        dropped = self.drop()
        if self._worker is None:
            self._policy.reset()
        else:
            self._anew = True
        return dropped

    def drop(self) -> bool:
        """Discard the chunk and the open request without waiting; return whether there was such a request.

        The next tick makes a new request.
        """
        dropped = self._requested is not None
        if dropped:
            self._dropped, self._requested = self._requested, None
        self._left = 0
        self.starting = True
        return dropped

    def close(self) -> None:
        """End the thread, without waiting for it."""
        self.drop()
        if self._worker is not None:
            self._worker.close()

    def prime(
        self, observation: NDArray[np.floating], goal: NDArray[np.floating] | None, arrays: Windows | None = None
    ) -> bool:
        """Return whether `next` has a result; if not, request one. Call once per tick instead of `next`.

        Raises:
            ObservationError, PolicyFileError: As `OnnxPolicy.act`.
        """
        if self._worker is None:
            return True
        if self._requested is None:
            self.request(observation, goal, arrays)
        elif self._requested.done():
            return True
        else:
            self._since_request += 1
        return False

    def dry_run(
        self, observation: NDArray[np.floating], goal: NDArray[np.floating] | None, arrays: Windows | None = None
    ) -> Floats32 | None:
        """Run the policy without using the result, if the next tick will run it itself; return its first action."""
        if self._left == 0 and self._worker is None:
            return self._policy.dry_run(observation, goal, arrays).action[0]
        return None

    def next(
        self, observation: NDArray[np.floating], goal: NDArray[np.floating] | None, arrays: Windows | None = None
    ) -> Step | None:
        """Return the actions of this tick, or None if the requested chunk has not arrived yet.

        Args:
            observation: (history, obs_dim) at this tick.
            goal: (goal_length, obs_dim), or None.
            arrays: (history, *shape) of each array by name, or None.

        Raises:
            ObservationError, PolicyFileError: As `OnnxPolicy.act`, also for a request from an earlier tick.
        """
        self._since_request += 1
        result = None
        if self._left == 0:
            result = self._result(observation, goal, arrays)
            if result is None:
                return None
            self._index = result.place
            self._chunk[:] = result.act.action
            self._left = min(self.action_steps, len(self._chunk) - self._index)
            self.starting = False
        actions = self._chunk[self._index :]
        if result is None:
            step = Step(actions, self._index, None, np.nan, None, None)
        else:
            step = Step(actions, self._index, result.act, result.inference_s, result.window, result.goal)
        self._index += 1
        self._left -= 1
        return step

    @property
    def due(self) -> bool:
        """Whether it is time to request the next chunk, ahead of the last action of this one."""
        return self._left < self.prefetch_ticks and self._requested is None and not self.starting

    @property
    def executing(self) -> Floats32:
        """The actions that are executed until the next chunk, (m, act_dim): that of the last `next`, and later ones."""
        return self._chunk[self._index - 1 : self._index + self._left]

    def _result(
        self, observation: NDArray[np.floating], goal: NDArray[np.floating] | None, arrays: Windows | None
    ) -> Result | None:
        """Return the result for this tick if available; otherwise make sure one is requested."""
        if self._worker is None:
            return Result(self._policy.act(observation, goal, arrays), np.nan, 0, observation, goal)
        if self._requested is not None and self._requested.done():
            done, self._requested = self._requested, None
            act, inference_s = done.result()
            if self._since_request < len(self._chunk):
                return Result(act, inference_s, self._since_request, self._windows[1], self._requested_goal)
            self.starting = False  # it arrived too late: none of its actions remains
        if self._requested is None:
            self.request(observation, goal, arrays)
        return None

    def request(
        self,
        observation: NDArray[np.floating],
        goal: NDArray[np.floating] | None,
        arrays: Windows | None = None,
        prefix: NDArray[np.floating] | None = None,
    ) -> None:
        """Request this tick's act, unless a dropped request is still open: its window must last until then.

        Args:
            observation: (history, obs_dim) at this tick.
            goal: (goal_length, obs_dim), or None.
            arrays: (history, *shape) of each array by name, or None.
            prefix: (m, act_dim) the actions of this tick and of those after it, m at most `prefetch_ticks`; None if
                they are not known.
        """
        if self._worker is None or (self._dropped is not None and not self._dropped.done()):
            return
        self._dropped = None
        self._windows.reverse()
        self._windows[1][:] = observation
        self._requested_goal = None if goal is None else goal.copy()
        if self._requested_arrays is not None and arrays is not None:
            for name, window in self._requested_arrays.items():
                window[...] = arrays[name]
        known = None if prefix is None else self._requested_prefix[: len(prefix)]
        if known is not None:
            known[...] = prefix
        self._requested = self._worker.request(
            self._windows[1], self._requested_goal, self._requested_arrays, known, anew=self._anew
        )
        self._anew = False
        self._since_request = 0
