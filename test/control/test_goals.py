"""Goals of an action: one in flight, the newest wanted one next, cancelled where none is wanted any more."""

from typing import Any

import numpy as np
import pytest
from action_rig import HandedFuture, HandedGoal

from vdd_ros.control.goals import ANSWER_S, Goals

ABORTED, CANCELED = 6, 5
REFUSED, UNKNOWN = 1, 2


class Sent:
    """Goals that keep what was sent and what failed."""

    def __init__(self) -> None:
        self.sent: list[HandedGoal] = []
        self.failures: list[str] = []
        self.now_s = 0.0
        self.goals = Goals(self._send, self.failures.append, lambda: self.now_s)

    def _send(self, numbers: Any) -> HandedFuture:
        assert all(goal.ended for goal in self.sent), "two goals in flight"
        self.sent.append(HandedGoal(numbers.tolist()))
        return self.sent[-1].answer

    def want(self, value: float) -> None:
        self.goals.want(np.array([value]))

    def wait(self) -> None:
        """Let the time for an answer pass."""
        for _ in range(2):
            self.now_s += 0.6 * ANSWER_S
            self.goals.look()

    @property
    def numbers(self) -> list[float]:
        return [goal.goal[0] for goal in self.sent]


def test_a_goal_in_flight_is_cancelled_once_and_the_newest_follows_its_end() -> None:
    made = Sent()
    made.want(0.1)
    made.want(0.2)
    assert (made.numbers, made.sent[0].cancels) == ([0.1], 0)  # nothing to cancel before it is accepted
    made.sent[0].accept()
    made.want(0.3)
    made.want(0.4)
    assert (made.numbers, made.sent[0].cancels) == ([0.1], 1)
    made.sent[0].end(CANCELED)
    assert (made.numbers, made.failures, made.goals.busy) == ([0.1, 0.4], [], True)
    made.sent[1].accept()
    made.sent[1].end()
    assert (made.sent[1].cancels, made.goals.busy) == (0, False)


@pytest.mark.parametrize("accepted_before", [True, False])
def test_a_withdrawn_goal_is_cancelled_and_none_follows(accepted_before: bool) -> None:
    made = Sent()
    made.want(0.1)
    if accepted_before:
        made.sent[0].accept()
    made.want(0.2)
    made.goals.cancel()
    if not accepted_before:
        made.sent[0].accept()
    assert made.sent[0].cancels == 1
    made.sent[0].end(CANCELED)
    assert (made.numbers, made.failures, made.goals.busy) == ([0.1], [], False)
    made.want(0.1)
    assert made.numbers == [0.1, 0.1]


def test_a_goal_that_fails_is_told_and_the_next_is_sent() -> None:
    made = Sent()
    made.want(0.1)
    made.sent[0].reject()
    made.want(0.2)
    made.sent[1].accept()
    made.sent[1].end(ABORTED)
    made.want(0.3)
    made.sent[2].ended = True
    made.sent[2].answer.give(RuntimeError("no memory"))
    made.want(0.4)
    assert made.numbers == [0.1, 0.2, 0.3, 0.4]
    assert made.failures == ["was rejected", "was aborted (status 6)", "was not answered"]


def test_a_client_that_fails_does_not_stop_later_goals() -> None:
    failures: list[str] = []

    def refuse(_numbers: Any) -> HandedFuture:
        raise RuntimeError("the client is gone")

    goals = Goals(refuse, failures.append)
    goals.want(np.zeros(1))
    goals.want(np.zeros(1))
    assert (failures, goals.busy) == (["was not sent: the client is gone"] * 2, False)


def test_answers_of_a_server_that_has_gone_are_thrown_away() -> None:
    made = Sent()
    made.want(0.1)
    made.sent[0].accept()
    made.goals.forget()
    made.sent[0].ended = True
    made.want(0.2)
    made.sent[0].end(ABORTED)
    assert (made.numbers, made.failures, made.goals.busy) == ([0.1, 0.2], [], True)


@pytest.mark.parametrize("wanted_meanwhile", [False, True])
def test_a_goal_that_nobody_answers_is_sent_again_and_cancelled_if_accepted_too_late(wanted_meanwhile: bool) -> None:
    """As by a server that died a moment ago, or that hangs."""
    made = Sent()
    made.want(0.1)
    if wanted_meanwhile:
        made.want(0.2)
    made.sent[0].ended = True  # as far as anybody can tell
    made.wait()
    assert made.failures == ["was not answered within 2 s"]
    assert made.numbers == [0.1, 0.2 if wanted_meanwhile else 0.1]
    made.sent[1].accept()
    made.wait()
    assert (len(made.failures), made.sent[1].cancels) == (1, 0)
    made.sent[0].accept()
    assert (made.sent[0].cancels, made.sent[1].cancels) == (1, 0)
    made.sent[1].end()
    assert not made.goals.busy


def test_a_withdrawn_goal_that_nobody_answers_is_not_sent_again() -> None:
    made = Sent()
    made.want(0.1)
    made.goals.cancel()
    made.wait()
    assert (made.numbers, made.goals.busy) == ([0.1], False)
    made.sent[0].accept()
    assert made.sent[0].cancels == 1


def test_a_cancellation_is_repeated_until_it_is_answered() -> None:
    made = Sent()
    made.want(0.1)
    made.sent[0].accept()
    made.goals.cancel()
    made.wait()
    made.wait()
    assert (made.sent[0].cancels, len(made.failures)) == (3, 2)
    made.sent[0].answer_cancel()
    made.wait()
    assert (made.sent[0].cancels, made.goals.busy) == (3, True)
    made.sent[0].end(CANCELED)
    assert not made.goals.busy


def test_a_goal_that_a_restarted_server_does_not_know_gives_way_to_the_next() -> None:
    """Its result never comes, although there has been a server all the time."""
    made = Sent()
    made.want(0.1)
    made.sent[0].accept()
    made.want(0.2)
    made.sent[0].ended = True  # with its server
    made.sent[0].answer_cancel(UNKNOWN)
    assert made.numbers == [0.1, 0.2]
    assert made.failures == ["is unknown to its server, which may have been restarted"]


def test_a_goal_that_cannot_be_cancelled_is_told_and_awaited() -> None:
    made = Sent()
    made.want(0.1)
    made.sent[0].accept()
    made.want(0.2)
    made.sent[0].answer_cancel(REFUSED)
    made.wait()
    assert (made.failures, made.numbers) == (["cannot be cancelled, says its server"], [0.1])
    made.sent[0].end()
    assert made.numbers == [0.1, 0.2]


@pytest.mark.parametrize("accepted_before", [True, False])
def test_a_goal_of_a_server_that_was_only_out_of_reach_is_cancelled(accepted_before: bool) -> None:
    made = Sent()
    made.want(0.1)
    if accepted_before:
        made.sent[0].accept()
    made.goals.forget()
    if not accepted_before:
        made.sent[0].accept()
    assert (made.sent[0].cancels, made.goals.busy) == (1, False)
