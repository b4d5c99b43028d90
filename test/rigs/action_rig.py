"""A gripper's action: its type, a client that answers on the test's command, and a node for it."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np


class GripperGoal:
    """Stands for control_msgs/action/GripperCommand's Goal."""

    def __init__(self) -> None:
        self.command = SimpleNamespace(position=0.0, max_effort=0.0)


GripperAction = SimpleNamespace(Goal=GripperGoal)
"""Stands for control_msgs/action/GripperCommand."""


class GripperNumbers:
    """Stands for the serialised form of such a goal, which has no type support: all its numbers are float64."""

    def __init__(self, _goal: GripperGoal, count: int, _fill: Any) -> None:
        self.dtypes = [np.dtype(np.float64)] * count


class HandedFuture:
    """A future that a test completes."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[Any], None]] = []
        self._given: Any = None

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._callbacks.append(callback)

    def result(self) -> Any:
        if isinstance(self._given, Exception):
            raise self._given
        return self._given

    def give(self, result: Any) -> None:
        self._given = result
        for callback in self._callbacks:
            callback(self)


class HandedGoal:
    """A goal that was sent, and its handle."""

    def __init__(self, goal: Any) -> None:
        self.goal = goal
        self.answer, self._end, self.cancel_answer = HandedFuture(), HandedFuture(), HandedFuture()
        self.accepted, self.cancels, self.ended = False, 0, False

    def get_result_async(self) -> HandedFuture:
        return self._end

    def cancel_goal_async(self) -> HandedFuture:
        self.cancels += 1
        return self.cancel_answer

    def accept(self) -> None:
        self.accepted = True
        self.answer.give(self)

    def reject(self) -> None:
        self.ended = True
        self.answer.give(self)

    def end(self, status: int = 4) -> None:
        self.ended = True
        self._end.give(SimpleNamespace(status=status))

    def answer_cancel(self, return_code: int = 0) -> None:
        self.cancel_answer.give(SimpleNamespace(return_code=return_code))


class HandedClient:
    """Stands for rclpy's ActionClient."""

    def __init__(self, node: Any = None, kind: Any = None, name: str = "") -> None:
        self.name = name
        self.goals: list[HandedGoal] = []
        self.served = True
        node.clients.append(self)

    def send_goal_async(self, goal: Any) -> HandedFuture:
        assert all(before.ended for before in self.goals), "two goals in flight"
        self.goals.append(HandedGoal(goal))
        return self.goals[-1].answer

    def server_is_ready(self) -> bool:
        return self.served

    def wait_for_server(self, timeout_sec: float) -> bool:
        return self.served

    def destroy(self) -> None:
        self.served = False


class HandedNode:
    """Stands for a node whose executor works at once."""

    def __init__(self) -> None:
        self.clients: list[HandedClient] = []
        self.timers: list[Callable[[], None]] = []
        self.executor = SimpleNamespace(create_task=lambda function, *arguments: function(*arguments))
        self.errors: list[str] = []
        self.published: list[tuple[str, Any]] = []

    def create_publisher(self, _kind: Any, topic: str, _qos: Any) -> Any:
        return SimpleNamespace(
            publish=lambda message: self.published.append((topic, message)), wait_for_all_acked=lambda _timeout: True
        )

    def destroy_publisher(self, _publisher: Any) -> None:
        """Nothing is left."""

    def get_clock(self) -> Any:
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=0))

    def create_timer(self, _period_s: float, function: Callable[[], None], **_: Any) -> Callable[[], None]:
        self.timers.append(function)
        return function

    def destroy_timer(self, timer: Callable[[], None]) -> None:
        self.timers.remove(timer)

    def resolve_topic_name(self, name: str) -> str:
        return f"/{name}"

    def get_logger(self) -> Any:
        return SimpleNamespace(error=self.errors.append, fatal=self.errors.append)
