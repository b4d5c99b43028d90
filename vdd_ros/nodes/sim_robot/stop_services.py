"""The services that stop a simulated robot, as `on_loss: call` of a robot file needs them."""

from collections.abc import Callable
from functools import partial

from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from std_srvs.srv import Trigger

from vdd_ros.robot.robot_file import RobotFile

AGAIN = Duration(seconds=1.5)
"""How long a service stays after its last call: whoever misses the answer calls again within a second."""
LONGEST = Duration(seconds=10.0)
"""Longest wait for a first call."""


class StopServices:
    """Serves each `loss_service` of a robot file.

    Args:
        node: The node that serves.
        robot_file: The robot file.
        stop: Stops the robot.
    """

    def __init__(self, node: Node, robot_file: RobotFile, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        services = dict.fromkeys(one.loss_service for one in robot_file.commands if one.loss_service is not None)
        self._called = dict.fromkeys(services, self._steady.now())
        self._waits: set[str] = set()
        self._since = self._steady.now()
        for service in services:
            node.create_service(Trigger, service, partial(self._answer, service))

    def begin(self) -> None:
        """Wait for calls: the last episode is over, and the policy will stop the robot."""
        self._waits, self._since = set(self._called), self._steady.now()

    @property
    def may_leave(self) -> bool:
        """Whether nobody needs the services any more."""
        now = self._steady.now()
        if self._waits:
            return now - self._since > LONGEST
        return all(now - called > AGAIN for called in self._called.values())

    def _answer(self, service: str, _: Trigger.Request, answer: Trigger.Response) -> Trigger.Response:
        self._called[service] = self._steady.now()
        self._waits.discard(service)
        self._stop()
        answer.success, answer.message = True, "the simulated robot stands still"
        return answer
