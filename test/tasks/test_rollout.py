"""Rollouts on a toy task whose numbers identify step and episode, so that every window and action can be checked."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.errors import ConfigurationError, TaskError
from vdd_ros.features import Feature
from vdd_ros.tasks.base import Bools, Floats, Ints, StepResult, TaskSpec, check_contexts
from vdd_ros.tasks.rollout import replay, roll_out

ENDS_AT = np.array([3, 5, 2, 99])
"""Steps after which each episode ends: 0 and 2 succeed, 1 fails, 3 meets the time limit."""
SUCCEEDS = np.array([True, False, True, False])
LIMIT = 7
C = (Feature("c", "1"),)
START: Floats = np.zeros((4, 1))


class Counting:
    """An episode's observation is (its steps, its number, its context); it sums up the actions.

    Its reward is the number of the step, and it has achieved a tenth of the goal with each.
    """

    spec = TaskSpec("counting", tuple(Feature(name, "1") for name in "abc"), (Feature("u", "1"),), 10.0, LIMIT, 4, C)

    def __init__(self) -> None:
        self.reset(np.full((4, 1), -1.0))

    def reset(self, contexts: Floats | None = None, which: Bools | None = None) -> Floats:
        self.time = np.zeros(4)
        self.start = check_contexts(self.spec, contexts, 4)[:, 0]
        self.total = np.zeros(4)
        self.calls = 0
        return self._observe()

    def step(self, action: Floats) -> StepResult:
        running = (self.time < ENDS_AT) & (self.time < LIMIT)
        self.calls += 1
        self.time += running
        self.total += running * action[:, 0]
        terminated = self.time >= ENDS_AT
        truncated = running & (self.time == LIMIT) & ~terminated
        return StepResult(
            self._observe(), terminated, truncated, terminated & SUCCEEDS, np.full(4, float(self.calls)), self.time / 10
        )

    def modes(self) -> Ints:
        return np.array([0, 1, 2, 3])

    def _observe(self) -> Floats:
        return np.stack([self.time, np.arange(4.0), self.start], axis=1)


class Recorder:
    """A policy that keeps its windows; its chunk k counts on from 10 k, and its expert is k."""

    def __init__(self, horizon: int = 1, experts: bool = True) -> None:
        self.windows: list[NDArray[np.float32]] = []
        self._horizon, self._experts = horizon, experts

    def __call__(self, windows: NDArray[np.float32]) -> tuple[Floats, Ints | None]:
        call = len(self.windows)
        self.windows.append(windows.copy())
        chunk = np.tile(10.0 * call + np.arange(self._horizon)[None, :, None], (4, 1, 1))
        return chunk, np.full(4, call) if self._experts else None


@pytest.mark.parametrize("history", [1, 2, 4])
def test_windows_repeat_the_first_observation_and_then_move(history: int) -> None:
    policy = Recorder()
    roll_out(Counting(), policy, history=history, contexts=START)
    assert len(policy.windows) == LIMIT
    for step, window in enumerate(policy.windows):
        assert window.shape == (4, history, 3)
        assert window.dtype == np.float32
        for episode in range(4):
            steps = [max(min(step - back, ENDS_AT[episode]), 0) for back in reversed(range(history))]
            assert window[episode, :, 0].tolist() == steps
            assert (window[episode, :, 1] == episode).all()


def test_windows_are_those_that_training_cuts_from_the_same_episode() -> None:
    policy = Recorder()
    rollouts = roll_out(Counting(), policy, history=3, contexts=START)
    header = Header("counting", Counting.spec.observation, Counting.spec.action, 10.0, "a test")
    steps = int(rollouts.lengths[1])
    recorded = DemonstrationSet(
        header, rollouts.observations[1, :steps], rollouts.actions[1, :steps], np.array([steps]), np.array([1])
    )
    observation, action = recorded.windows(3, 1)
    assert np.array_equal(observation, [window[1] for window in policy.windows[:steps]])
    assert action[:, 0, 0].tolist() == rollouts.actions[1, :steps, 0].tolist()


def test_what_is_returned_can_be_counted_by_hand() -> None:
    rollouts = roll_out(Counting(), Recorder(), history=1, contexts=START)
    assert rollouts.observations.shape == (4, LIMIT + 1, 3)
    assert rollouts.actions[:, :, 0].tolist() == [[0, 10, 20, 30, 40, 50, 60]] * 4
    assert rollouts.lengths.tolist() == [3, 5, 2, 7]
    assert rollouts.success.tolist() == SUCCEEDS.tolist()
    assert rollouts.modes.tolist() == [0, 1, 2, 3]
    assert rollouts.ends.tolist() == ["success", "failure", "success", "time limit"]
    assert [path[:, 0].tolist() for path in rollouts.paths((0, 1))][:3] == [[0, 1, 2, 3], [0, 1, 2, 3, 4, 5], [0, 1, 2]]
    assert rollouts.paths((2, 0))[0].shape == (4, 2)


def test_experts_are_reported_for_each_position() -> None:
    rollouts = roll_out(Counting(), Recorder(), history=1, contexts=START)
    paths = rollouts.expert_paths()
    assert paths is not None
    assert [path.tolist() for path in paths[:3]] == [[0, 1, 2, 2], [0, 1, 2, 3, 4, 4], [0, 1, 1]]
    assert [len(path) for path in paths] == [len(path) for path in rollouts.paths((0,))]


def test_a_policy_without_experts_gives_none() -> None:
    rollouts = roll_out(Counting(), Recorder(experts=False), history=1, contexts=START)
    assert rollouts.experts is None
    assert rollouts.expert_paths() is None


def test_only_the_first_action_of_a_chunk_is_executed() -> None:
    rollouts = roll_out(Counting(), Recorder(horizon=3), history=1, contexts=START)
    assert rollouts.actions[0, :, 0].tolist() == [0, 10, 20, 30, 40, 50, 60]


def test_more_actions_of_a_chunk_are_executed_where_asked() -> None:
    policy, sim = Recorder(horizon=4), Counting()
    rollouts = roll_out(sim, policy, history=2, contexts=START, action_steps=3)
    assert rollouts.actions[0, :, 0].tolist() == [0, 1, 2, 10, 11, 12, 20]
    assert sim.total.tolist() == [0 + 1 + 2, 0 + 1 + 2 + 10 + 11, 0 + 1, 56]
    assert [window[3, :, 0].tolist() for window in policy.windows] == [[0, 0], [2, 3], [5, 6]]
    assert rollouts.experts is not None
    assert rollouts.experts[3].tolist() == [0, 0, 0, 1, 1, 1, 2]


def test_it_stops_when_all_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ENDS_AT", np.array([3, 5, 2, 4]))
    sim = Counting()
    assert roll_out(sim, Recorder(), history=1, contexts=START).lengths.max() == sim.calls == 5


def test_progress_counts_the_episodes_that_have_ended() -> None:
    told: list[int] = []
    roll_out(Counting(), Recorder(), history=1, contexts=START, progress=told.append)
    assert told == [0, 1, 2, 2, 3, 3, 4]


def test_each_episode_starts_from_its_context() -> None:
    contexts = np.array([[3.0], [1.0], [4.0], [1.0]])
    rollouts = roll_out(Counting(), Recorder(), history=1, contexts=contexts)
    assert (rollouts.observations[:, :, 2] == contexts).all()
    assert rollouts.contexts.tolist() == contexts.tolist()


@pytest.mark.parametrize(
    ("contexts", "message"),
    [
        (None, "'counting' start from contexts of 1 numbers, and none were given"),
        (np.zeros((4, 2)), r"shape \(4, 2\) were given; 4 episodes of 'counting' take \(4, 1\)"),
        (np.full((4, 1), np.nan), "a context of 'counting' is not finite"),
    ],
)
def test_contexts_that_are_not_the_tasks_are_refused(contexts: Floats | None, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        roll_out(Counting(), Recorder(), history=1, contexts=contexts)


def test_returns_and_partial_success_stop_with_the_episode() -> None:
    rollouts = roll_out(Counting(), Recorder(), history=1, contexts=START)
    assert rollouts.returns is not None
    assert rollouts.returns.tolist() == [1 + 2 + 3, 1 + 2 + 3 + 4 + 5, 1 + 2, 28]
    assert rollouts.partial is not None
    assert rollouts.partial.tolist() == [0.3, 0.5, 0.2, 0.7]


@pytest.mark.parametrize("name", ["history", "action_steps"])
def test_counts_below_one_are_refused(name: str) -> None:
    options: dict[str, Any] = {"history": 1, "action_steps": 1, name: 0}
    with pytest.raises(ConfigurationError, match=f"{name} is 0"):
        roll_out(Counting(), Recorder(), contexts=START, **options)


@pytest.mark.parametrize("shape", [(4, 1), (3, 1, 1), (4, 1, 2), (4, 0, 1)])
def test_actions_of_a_wrong_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(TaskError, match=r"4 episodes need \(4, horizon, 1\)"):
        roll_out(Counting(), lambda _: (np.zeros(shape), None), history=1, contexts=START)


def test_a_chunk_shorter_than_what_is_executed_is_refused() -> None:
    with pytest.raises(TaskError, match="horizon of at least 2"):
        roll_out(Counting(), Recorder(horizon=1), history=1, contexts=START, action_steps=2)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_actions_that_are_not_finite_are_refused(value: float) -> None:
    def act(windows: NDArray[np.float32]) -> tuple[Floats, None]:
        return np.where((windows[:, -1:, :1] == 3) & (windows[:, -1:, 1:2] == 1), value, 0.0), None

    with pytest.raises(TaskError, match="in 1 of 4 episodes, first in episode 1 at step 3"):
        roll_out(Counting(), act, history=1, contexts=START)


def test_what_a_policy_says_of_ended_episodes_does_not_matter() -> None:
    def act(windows: NDArray[np.float32]) -> tuple[Floats, None]:
        return np.where((windows[:, -1:, :1] == 2) & (windows[:, -1:, 1:2] == 2), np.nan, 0.0), None

    assert roll_out(Counting(), act, history=1, contexts=START).lengths.tolist() == [3, 5, 2, 7]


def test_a_replay_executes_what_was_recorded_and_then_zeros() -> None:
    header = Header("counting", Counting.spec.observation, Counting.spec.action, 10.0, "a test", context=C)
    lengths = np.array([3, 5, 2, 4])
    actions = np.arange(1.0, 15.0)[:, None]
    sim = Counting()
    rollouts = replay(
        sim, DemonstrationSet(header, np.zeros((14, 3)), actions, lengths, np.zeros(4, dtype=np.int64), START + 2)
    )
    assert (rollouts.observations[:, :, 2] == 2).all()
    assert sim.total.tolist() == [1 + 2 + 3, 4 + 5 + 6 + 7 + 8, 9 + 10, 11 + 12 + 13 + 14]
    assert rollouts.actions[3, :, 0].tolist() == [11, 12, 13, 14, 0, 0, 0]
