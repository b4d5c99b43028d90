"""Answers that arrive later: what is executed meanwhile and afterwards, against a simulation of single episodes."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from vdd_ros.errors import ConfigurationError, TaskError
from vdd_ros.features import Feature
from vdd_ros.tasks.base import Bools, Floats, Ints, StepResult, TaskSpec, check_contexts
from vdd_ros.tasks.chunk_plan import ChunkPlan
from vdd_ros.tasks.rollout import roll_out

STEPS = 23
STARTS = np.array([[0.2], [-0.7], [1.4]])
Chunk = Callable[[float, list[float]], list[float]]
"""From the place, and what is known of the chunk, to the chunk."""


class Drift:
    """A place moves by the action and by a little of itself; an episode lasts 23 steps."""

    spec = TaskSpec("drift", (Feature("x", "1"),), (Feature("u", "1"),), 10.0, STEPS, 1, (Feature("start", "1"),))

    def reset(self, contexts: Floats | None = None, which: Bools | None = None) -> Floats:
        self.place = check_contexts(self.spec, contexts, 3)[:, 0].copy()
        self.time = 0
        return self.place[:, None].copy()

    def step(self, action: Floats) -> StepResult:
        self.place, self.time = move(self.place, action[:, 0]), self.time + 1
        none = np.zeros(3, dtype=bool)
        return StepResult(self.place[:, None].copy(), none, np.full(3, self.time == STEPS), none, None, None)

    def modes(self) -> Ints:
        return np.zeros(3, dtype=np.int64)


def move(place: Any, action: Any) -> Any:
    return 0.9 * place + action + 0.05


def chunk_of(horizon: int) -> Chunk:
    """Return a function of the place; what is not known of a chunk goes on from what is known."""

    def chunk(place: float, known: list[float]) -> list[float]:
        last = known[-1] if known else 0.0
        return [
            *known,
            *(math.sin(3 * place) + 0.3 * math.cos(step + place) + last for step in range(len(known), horizon)),
        ]

    return chunk


class Policy:
    """Asks a function for each row; keeps what it was told."""

    def __init__(self, chunk: Chunk) -> None:
        self.chunk = chunk
        self.told: list[NDArray[np.floating]] = []

    def act(self, windows: NDArray[np.float32]) -> tuple[Floats, None]:
        return np.array([self.chunk(float(row[-1, 0]), []) for row in windows])[:, :, None], None

    def given(self, windows: NDArray[np.float32], known: NDArray[np.floating]) -> tuple[Floats, None]:
        self.told.append(np.array(known))
        rows = zip(windows, known[:, :, 0], strict=True)
        return np.array([self.chunk(float(row[-1, 0]), one.tolist()) for row, one in rows])[:, :, None], None


def brute_force(
    chunk: Chunk, start: float, action_steps: int, delay: int, *, told: bool, average: bool = False
) -> tuple[list[float], dict[int, float]]:
    """Simulate an episode: chunk j takes over at step j * action_steps, and was asked for `delay` steps before.

    Returns the executed actions, and at each take-over what the new chunk changes.
    """
    places, actions, seams = [start], list[float](), dict[int, float]()
    chunks: list[dict[int, float]] = []  # the action that each chunk means for each step
    for takes_over in (*range(0, STEPS, action_steps), STEPS):
        while len(actions) < takes_over:
            arrived = [one[len(actions)] for one in chunks if len(actions) in one]
            actions.append(sum(arrived) / len(arrived) if average else arrived[-1])
            places.append(float(move(places[-1], actions[-1])))
        if takes_over == STEPS:
            break
        asked = max(takes_over - delay, 0)
        known = actions[asked:takes_over] if told and takes_over else []
        meant = dict(enumerate(chunk(float(np.float32(places[asked])), known), asked))
        if chunks and takes_over in chunks[-1]:
            seams[takes_over] = meant[takes_over] - chunks[-1][takes_over]
        chunks.append(meant)
    return actions, seams


DELAYS = [(4, 0), (4, 1), (4, 2), (4, 4), (3, 3), (1, 0), (1, 1), (2, 1)]


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize(("action_steps", "delay"), DELAYS)
def test_late_answers_are_executed_from_the_action_of_their_step(action_steps: int, delay: int, told: bool) -> None:
    horizon = 9
    policy = Policy(chunk_of(horizon))
    given = policy.given if told else None
    found = roll_out(
        Drift(), policy.act, history=2, action_steps=action_steps, delay=delay, given=given, contexts=STARTS
    )
    assert found.seams is not None
    for row, start in enumerate(STARTS[:, 0].tolist()):
        actions, seams = brute_force(policy.chunk, start, action_steps, delay, told=told)
        np.testing.assert_allclose(found.actions[row, :, 0], actions, rtol=1e-12, atol=1e-12)
        (steps,) = np.isfinite(found.seams[row, :, 0]).nonzero()
        assert steps.tolist() == list(seams) == list(range(action_steps, STEPS, action_steps))
        np.testing.assert_allclose(found.seams[row, steps, 0], list(seams.values()), rtol=1e-9, atol=1e-12)
    if told and delay:
        first = action_steps - delay
        asked = range(first, STEPS, action_steps)
        assert len(policy.told) == len(asked)
        for step, known in zip(asked, policy.told, strict=True):
            executed = found.actions[:, step : step + delay]
            assert_array_equal(known[:, : executed.shape[1]], executed)


@pytest.mark.parametrize(("action_steps", "delay"), DELAYS)
def test_averages_are_those_of_all_chunks_that_cover_a_step(action_steps: int, delay: int) -> None:
    policy = Policy(chunk_of(9))
    found = roll_out(
        Drift(), policy.act, history=1, action_steps=action_steps, delay=delay, joint="average", contexts=STARTS
    )
    for row, start in enumerate(STARTS[:, 0].tolist()):
        actions, _ = brute_force(policy.chunk, start, action_steps, delay, told=False, average=True)
        np.testing.assert_allclose(found.actions[row, :, 0], actions, rtol=1e-9, atol=1e-12)


class Numbering:
    """A policy whose chunk j is constantly j."""

    def __init__(self, horizon: int) -> None:
        self.horizon, self.calls = horizon, 0

    def __call__(self, windows: NDArray[np.float32]) -> tuple[Floats, Ints]:
        self.calls += 1
        number = self.calls - 1
        return np.full((len(windows), self.horizon, 1), float(number)), np.full(len(windows), number)


def test_a_blend_passes_from_the_plan_to_the_answer() -> None:
    """Of six actions two are executed, and an answer takes a step.

    The first answer leaves zeros for steps 2 to 5, so that the second one has weights of a fifth to four fifths there;
    it leaves .6, .8 and 1 for steps 4 to 6, where the third one has weights of a quarter to three quarters.
    """
    found = roll_out(Drift(), Numbering(6), history=1, action_steps=2, delay=1, joint="blend", contexts=STARTS)
    expected = [0, 0, 0.2, 0.4, 0.6 + 1.4 / 4, 0.8 + 1.2 / 2]
    np.testing.assert_allclose(found.actions[0, :6, 0], expected)
    assert found.seams is not None
    np.testing.assert_allclose(found.seams[0, [2, 4], 0], [0.2, 0.35])


def test_the_expert_is_the_one_behind_what_is_executed() -> None:
    found = roll_out(Drift(), Numbering(5), history=1, action_steps=3, delay=2, contexts=STARTS)
    assert found.experts is not None
    assert found.experts[1, :8].tolist() == found.actions[1, :8, 0].tolist() == [0, 0, 0, 1, 1, 1, 2, 2]


def test_chunks_that_end_where_the_next_one_begins_have_no_seam() -> None:
    found = roll_out(Drift(), Numbering(4), history=1, action_steps=2, delay=2, contexts=STARTS)
    assert found.seams is None


def test_what_is_told_of_episodes_that_have_ended_is_finite() -> None:
    told: list[NDArray[np.floating]] = []

    def chunk(count: int) -> tuple[Floats, None]:
        answer = np.ones((count, 2, 1))
        answer[0] = np.nan
        return answer, None

    def given(windows: NDArray[np.float32], known: NDArray[np.floating]) -> tuple[Floats, None]:
        told.append(known)
        return chunk(len(windows))

    plan = ChunkPlan(lambda windows: chunk(len(windows)), 2, 1, action_steps=1, delay=1, given=given)
    for _ in range(2):
        plan.next(np.zeros((2, 1, 1), np.float32), np.array([False, True]))
    assert [known.tolist() for known in told] == [[[[0.0]], [[1.0]]]] * 2
    with pytest.raises(TaskError, match="not finite in 1 of 2 episodes, first in episode 0 at step 2"):
        plan.next(np.zeros((2, 1, 1), np.float32), np.array([True, True]))


def test_a_tail_that_is_never_executed_may_be_anything_unless_it_is_joined() -> None:
    def act(windows: NDArray[np.float32]) -> tuple[Floats, None]:
        return np.array([[[1.0], [1.0], [np.nan]]] * len(windows)), None

    assert np.isfinite(roll_out(Drift(), act, history=1, contexts=STARTS).actions).all()
    with pytest.raises(TaskError, match="not finite in 3 of 3"):
        roll_out(Drift(), act, history=1, joint="average", contexts=STARTS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"action_steps": 0}, "action_steps is 0; it must be at least 1"),
        ({"delay": -1}, "delay is -1; it must be from 0 to 1"),
        ({"action_steps": 2, "delay": 3}, "delay is 3; it must be from 0 to 2, the number of actions"),
        ({"joint": "glue"}, "joint is 'glue'; use one of replace, average, blend"),
    ],
)
def test_other_plans_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        roll_out(Drift(), Numbering(8), history=1, contexts=STARTS, **options)


def test_a_chunk_too_short_for_the_delay_is_refused() -> None:
    with pytest.raises(TaskError, match="horizon of at least 5"):
        roll_out(Drift(), Numbering(4), history=1, action_steps=3, delay=2, contexts=STARTS)
