"""Calls the home service of a robot file once, and waits for its answer."""

import time
from collections.abc import Callable

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import Trigger

from vdd_ros.robot.episodes import Home
from vdd_ros.text import printable

LOOK_S = 0.1


class HomeCall:
    """One call at a time of a `std_srvs/srv/Trigger` service that answers when the robot is home.

    It moves the robot, so a failed call is not repeated.

    Args:
        node: The node that calls.
        home: The service.
        answered: Called in the executor with the reason for a failure; empty after success.
        stopping: Returns the services that still have to stop the robot, in words; they would stop it on its way.
    """

    def __init__(
        self, node: Node, home: Home, answered: Callable[[str], None], stopping: Callable[[], str] = lambda: ""
    ) -> None:
        self._node = node
        self._home = home
        self._answered = answered
        self._stopping = stopping
        self._client = node.create_client(Trigger, home.service)
        self._answer: Future | None = None
        self._wanted = False
        self._until_s = 0.0
        self._timer = node.create_timer(LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._timer.cancel()

    def start(self) -> None:
        """Call, from any thread; does not wait for the response."""
        if self._node.executor is None:
            self._answered("nothing spins the node")
        else:
            self._wanted = True
            self._node.executor.create_task(self._call)

    def stop(self) -> None:
        """Stop waiting, and cancel a pending call; to be called in the executor."""
        self._wanted = False
        self._forget()

    def _forget(self) -> None:
        self._timer.cancel()
        if self._answer is not None:
            self._client.remove_pending_request(self._answer)
            self._answer = None

    def destroy(self) -> None:
        """Destroy the client."""
        self.stop()
        self._node.destroy_timer(self._timer)
        self._node.destroy_client(self._client)

    def _call(self) -> None:
        if not self._wanted:  # stopped meanwhile: the robot must no longer move
            return
        self._wanted = False
        self._forget()
        self._until_s = time.monotonic() + self._home.timeout_s
        self._timer.reset()
        self._look()

    def _look(self) -> None:
        stopping = self._stopping() if self._answer is None else ""
        if self._answer is None and not stopping and self._client.service_is_ready():
            self._answer = self._client.call_async(Trigger.Request())
            self._answer.add_done_callback(self._judge)
        if time.monotonic() > self._until_s:
            what = "is not available" if self._answer is None else "did not answer"
            if stopping:
                what = f"was not called, because {stopping} did not succeed"
            self._end(f"{self._client.srv_name} {what} within {self._home.timeout_s:g} s")

    def _judge(self, answer: Future) -> None:
        if answer is not self._answer:
            return
        result = answer.result()
        if result is not None and result.success:
            self._end("")
        else:
            why = "" if result is None or not result.message else f": {printable(result.message)}"
            self._end(f"{self._client.srv_name} failed{why}")

    def _end(self, failure: str) -> None:
        self.stop()
        self._answered(failure)
