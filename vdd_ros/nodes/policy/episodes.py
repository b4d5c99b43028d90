"""Episodes over ROS: numbers, pauses, homing and the end of a task."""

import math
from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Empty, Int64, String
from std_srvs.srv import Trigger

from vdd_ros.control.episodes import Phase
from vdd_ros.control.loop import PolicyLoop
from vdd_ros.nodes.policy.home_call import HomeCall
from vdd_ros.nodes.ros.messages import LATCHED, PHASES, RELIABLE
from vdd_ros.nodes.ros.polled_subscriptions import TickInputs
from vdd_ros.robot.episodes import EpisodeRules

PAUSE, RESUME, HOME = "~/pause", "~/resume", "~/home"
PHASE = "~/phase"


class EpisodeTopics:
    """The topics and services that begin, pause and end the episodes of a loop.

    Only a commanding node calls the home service, detects the end of a task, and publishes its phase. A shadow may
    follow that phase.

    Args:
        node: The node.
        loop: The loop.
        rules: Rules of the robot file.
        inputs: Messages taken in before each tick.
        topic: Topic of episode numbers; empty for none.
        phase_topic: Topic of the commanding node's phases, for a shadow; empty for none.
        control: Whether the node commands.
        ticking: Returns whether the loop ticks.
        simulated_time: Whether time comes from /clock.
        stopping: Returns the services that still have to stop the robot; see `HomeCall`.
    """

    def __init__(
        self,
        node: LifecycleNode,
        loop: PolicyLoop,
        rules: EpisodeRules,
        inputs: TickInputs,
        *,
        topic: str,
        phase_topic: str,
        control: bool,
        ticking: Callable[[], bool],
        simulated_time: bool,
        stopping: Callable[[], str] = lambda: "",
    ) -> None:
        self._node = node
        self._loop = loop
        self._ticking = ticking
        self._simulated_time = simulated_time
        self._number: int | None = None
        self._phase, self._phase_topic = "", phase_topic
        self._home = HomeCall(node, rules.home, self._homed, stopping) if control and rules.home else None
        loop.episodes.go_home = self._call_home if self._home else None
        if topic:
            inputs.add(Int64, topic, self._take_number, LATCHED)
        if control and rules.done_topic:
            self._done_topic = rules.done_topic
            inputs.add(Empty, rules.done_topic, self._take_end, RELIABLE)
        if phase_topic:
            inputs.add(String, phase_topic, self._take_phase, PHASES)
        self._phases = node.create_publisher(String, PHASE, PHASES) if control else None
        if self._phases is not None:
            loop.episodes.entered = self._tell
        served = {PAUSE: self._pause, RESUME: self._resume} | ({HOME: self._go_home} if self._home else {})
        self._services = [node.create_service(Trigger, name, function) for name, function in served.items()]

    def start(self) -> None:
        """Follow the commanding node, as at activation: it may have paused long ago."""
        if self._phase and self._node.count_publishers(self._phase_topic):
            self._loop.episodes.follow(self._phase, -math.inf)

    def stop(self) -> None:
        """Stop waiting for an answer, as at deactivation."""
        if self._home is not None:
            self._home.stop()

    def destroy(self) -> None:
        """Destroy the services and the publisher."""
        self._loop.episodes.entered = None
        if self._phases is not None:
            self._node.destroy_publisher(self._phases)
        for service in self._services:
            self._node.destroy_service(service)
        if self._home is not None:
            self._home.destroy()

    def _take_number(self, message: Int64, received_s: float) -> None:
        if message.data == self._number:
            return
        self._number = message.data
        if self._ticking():  # activation restarts the loop anyway
            self._loop.episodes.new_number(self._since_s(received_s))

    def _since_s(self, received_s: float) -> float:
        return -math.inf if self._simulated_time else received_s

    def _take_phase(self, message: String, received_s: float) -> None:
        self._phase = Phase(message.data).value
        if self._ticking():
            self._loop.episodes.follow(self._phase, self._since_s(received_s))

    def _tell(self, phase: str) -> None:
        if self._phases is not None:
            self._phases.publish(String(data=phase))

    def _take_end(self, _message: Empty, _received_s: float) -> None:
        if self._ticking():
            self._loop.episodes.end(f"{self._done_topic} says so")

    def _call_home(self) -> None:
        if self._home is not None and self._ticking():  # a hung tick may end after the deactivation
            self._home.start()

    def _homed(self, failure: str) -> None:
        self._loop.counters.failed_homes += bool(failure)
        self._loop.episodes.homed(failure)

    def _pause(self, _request: Any, response: Trigger.Response) -> Trigger.Response:
        response.success = self._ticking()
        if response.success:
            self._loop.episodes.pause(f"{self._node.resolve_service_name(PAUSE)} was called")
        response.message = "paused; nothing is commanded" if response.success else "the node is not active"
        return response

    def _go_home(self, _request: Any, response: Trigger.Response) -> Trigger.Response:
        response.success = self._ticking()
        reason = f"{self._node.resolve_service_name(HOME)} was called"
        response.message = self._loop.episodes.send_home(reason) if response.success else "the node is not active"
        return response

    def _resume(self, _request: Any, response: Trigger.Response) -> Trigger.Response:
        response.success = self._ticking()
        response.message = self._loop.episodes.resume() if response.success else "the node is not active"
        return response
