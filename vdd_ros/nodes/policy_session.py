"""Everything that a policy node has between configure and cleanup."""

import gc
from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Float64MultiArray, Int64

from vdd_ros.errors import ConfigurationError
from vdd_ros.nodes.message_types import LATCHED, RELIABLE, message_class, qos_profile
from vdd_ros.nodes.policy_diagnostics import Health
from vdd_ros.nodes.policy_loading import Loaded, load
from vdd_ros.nodes.policy_loop import PolicyLoop
from vdd_ros.nodes.policy_outputs import PublishedOutputs
from vdd_ros.nodes.policy_parameters import PolicyParameters
from vdd_ros.nodes.policy_swap import HotSwap
from vdd_ros.nodes.policy_wake import EarlyWake
from vdd_ros.policy.host import settle
from vdd_ros.policy.intake import GOAL
from vdd_ros.policy.robot import RobotFile
from vdd_ros.policy.robot_messages import InputChannel
from vdd_ros.policy.timing import LatencyStatistics

UNKNOWN = "_NODE_NAME_UNKNOWN_"


class PolicySession:
    """A loaded policy on its robot's topics. Making it loads and checks; `connect` makes the topics.

    Args:
        node: The node.
        parameters: Of the node.
        give_up: Ends commanding, with the reason.

    Attributes:
        info: Content of `~/policy_info`.
        loop: What a tick does.
        statistics: Percentiles of the records.
        health: Judge of the loop.

    Raises:
        VddError: The policy file, the robot file or a parameter is wrong, or they do not fit each other.
    """

    def __init__(self, node: LifecycleNode, parameters: PolicyParameters, give_up: Callable[[str], None]) -> None:
        self._node = node
        self._give_up = give_up
        self._parameters = parameters
        parameters.host()
        self._robot = RobotFile.load(parameters.robot_file)
        self._name = node.get_fully_qualified_name()
        self._loaded = load(parameters.policy_path, self._robot, parameters, self._name)
        self._period_s = 1.0 / self._loaded.info["rate_hz"]
        simulated_time = node.get_parameter("use_sim_time").value
        self._timer_clock = node.get_clock() if simulated_time else Clock(clock_type=ClockType.STEADY_TIME)
        self._timer: Any = None
        self._episode: int | None = None
        self._subscriptions: list[Any] = []
        self._takes_goals = False
        self._ticking = False
        self._outputs: PublishedOutputs | None = None
        self._swap: HotSwap | None = None
        self.statistics = LatencyStatistics(parameters.statistics_window, warm_up=parameters.statistics_warmup_ticks)
        self._on_arrival = parameters.trigger == "observation"
        # Simulated time stands still while a callback runs, and nobody knows when a message will arrive.
        self._early_s = 0.0 if simulated_time or self._on_arrival else min(parameters.wake_early_s, self._period_s / 2)
        self._wake = self._make_wake()

    @property
    def info(self) -> dict[str, Any]:
        """Content of `~/policy_info`."""
        return self._loaded.info | {"wake_early_s": self._early_s}

    def connect(self) -> None:
        """Make publishers and subscriptions; raises RobotFileError where a message does not have the fields."""
        parameters, pilot = self._parameters, self._loaded.pilot
        control, command = parameters.enable_control, self._robot.command
        if parameters.send == "chunk" and command.type != "trajectory_msgs/msg/JointTrajectory":
            raise ConfigurationError(
                f"send is 'chunk', but the robot file commands {command.type}; only a "
                "trajectory_msgs/msg/JointTrajectory carries several actions"
            )
        self._outputs = PublishedOutputs(self._node, pilot.channel, self._period_s, control=control)
        self.loop = PolicyLoop(
            pilot,
            self._outputs,
            self.statistics,
            period_s=self._period_s,
            control=control,
            first_action=parameters.first_action,
            trajectories=parameters.send == "chunk",
        )
        self.health = Health(self.loop)
        if topic := parameters.episode_topic:
            self._subscriptions.append(self._node.create_subscription(Int64, topic, self._on_episode, LATCHED))
        for source in self.loop.intake.inputs.values():
            self._subscribe(source)
        self._subscribe_to_goals()
        self._outputs.info(self.info)
        self._swap = HotSwap(self._node, self._load_beside, self._take_over, self.loop.refuse_policy)

    def start(self) -> None:
        """Begin to tick."""
        self.loop.pilot.policy.seed(self._parameters.seed)
        for problem in settle(self._parameters.host()):
            self._node.get_logger().warning(problem)
        gc.collect()
        if self._parameters.gc_freeze:
            gc.freeze()
        self.loop.start()
        on_timer = self._on_watch if self._on_arrival else self._on_timer
        self._timer = self._node.create_timer(self._period_s, on_timer, clock=self._timer_clock)
        self._due_ns = self._next_due_ns()
        self._ticking = True

    def stop(self) -> None:
        """End ticking and leave the robot as the robot file says."""
        self._ticking = False
        self._node.destroy_timer(self._timer)
        self.loop.stop()
        gc.unfreeze()

    def destroy(self) -> None:
        """Take publishers and subscriptions down, as far as they were made."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        if self._outputs:
            self._outputs.destroy()
        if self._swap:
            self._swap.destroy()
            self.loop.close()

    def wrong_types(self) -> str:
        """Return which topics others publish or expect with another type than the node does; empty if none."""
        node, command = self._node, self._robot.command
        seen = [(s.topic, s.type, node.get_publishers_info_by_topic) for s in self._robot.inputs]
        if self._takes_goals:
            seen.append((GOAL, "std_msgs/msg/Float64MultiArray", node.get_publishers_info_by_topic))
        if self._parameters.enable_control:
            seen.append((command.topic, command.type, node.get_subscriptions_info_by_topic))
        problems = []
        for topic, expected, endpoints in seen:
            name = node.resolve_topic_name(topic)
            types = {endpoint.topic_type for endpoint in endpoints(name)} - {expected}
            if types:
                problems.append(f"topic {name} is {', '.join(sorted(types))}, but it must be {expected}")
        return "; ".join(problems)

    def rivals(self) -> str:
        """Return who else commands the robot; empty if nobody does."""
        if not self._parameters.enable_control:
            return ""
        node, topic = self._node, self._node.resolve_topic_name(self._robot.command.topic)
        own = node.get_name(), node.get_namespace()
        names = [(found.node_name, found.node_namespace) for found in node.get_publishers_info_by_topic(topic)]
        if own in names:
            names.remove(own)
        known = [(name, space) for name, space in names if name != UNKNOWN]  # else it comes or goes just now
        others = ", ".join(f"{space.rstrip('/')}/{name}" for name, space in known)
        return f"others command the robot too, on {topic}: {others}" if others else ""

    def _subscribe(self, channel: InputChannel) -> None:
        kind = message_class(channel.source.type)
        channel.check(kind())
        callback, qos = partial(self._on_input, channel.source.name), qos_profile(channel.source.qos)
        self._subscriptions.append(self._node.create_subscription(kind, channel.source.topic, callback, qos))

    def _subscribe_to_goals(self) -> None:
        """Listen to goals from the first policy on that takes some."""
        if self._loaded.pilot.policy.spec.goal_length and not self._takes_goals:
            self._takes_goals = True
            self._subscriptions.append(self._node.create_subscription(Float64MultiArray, GOAL, self._on_goal, RELIABLE))

    def _on_input(self, name: str, message: Any) -> None:
        now_s = self._now_s()
        self.loop.receive(name, message, now_s)
        if self._on_arrival and self._ticking and self.loop.news():
            self._tick(now_s, 0.0)

    def _on_goal(self, message: Float64MultiArray) -> None:
        self.loop.receive_goal(message.data)

    def _on_episode(self, message: Int64) -> None:
        if message.data != self._episode:
            self._episode = message.data
            self.loop.new_episode()

    def _receive(self) -> None:
        """Take in one message of each topic that has one, without waiting for the executor."""
        for subscription in self._subscriptions:
            with subscription.handle:
                taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
            if taken is not None:
                subscription.callback(taken[0])

    def _load_beside(self, path: str) -> Loaded:
        return load(path, self._robot, self._parameters, self._name, self._loaded.info["rate_hz"])

    def _take_over(self, loaded: Loaded, done: Callable[[], None]) -> None:
        """Let a policy act from the next tick on at which it has seen enough; at once where nothing ticks."""

        def relieved() -> None:
            self._loaded = loaded
            self._wake = self._make_wake()
            self._subscribe_to_goals()
            if self._outputs:
                self._outputs.info(self.info)
            done()

        if self._ticking:
            self.loop.relieve(loaded.pilot, relieved)
        else:
            self.loop.take_over(loaded.pilot)
            relieved()

    def _make_wake(self) -> EarlyWake:
        return EarlyWake(
            self._early_s,
            self._loaded.inference_s,
            now_ns=self._timer_now_ns,
            rehearse=self._rehearse,
            receive=self._receive,
        )

    def _rehearse(self) -> None:
        self.loop.rehearse(self._now_s())

    def _on_timer(self) -> None:
        late_ns = self._wake.until(self._due_ns)
        self._due_ns = self._next_due_ns()
        self._tick(self._now_s(), late_ns * 1e-9)

    def _on_watch(self) -> None:
        """Tick where no arrival did: to notice waiting and stale inputs, and for what came too soon after a tick."""
        now_s = self._now_s()
        if self.loop.news() or not self.loop.intake.complete or self.loop.intake.stale(now_s):
            self._tick(now_s, 0.0)

    def _tick(self, now_s: float, lateness_s: float) -> None:
        self.loop.tick(now_s, lateness_s)
        if self.loop.pilot.guards.fault:
            self._give_up(self.loop.pilot.guards.fault)

    def _next_due_ns(self) -> int:
        """Return when the next tick is due: so long after the timer's next instant as the node wakes early."""
        return self._timer_now_ns() + int(self._timer.time_until_next_call()) + self._wake.early_ns

    def _timer_now_ns(self) -> int:
        return int(self._timer_clock.now().nanoseconds)

    def _now_s(self) -> float:
        return float(self._node.get_clock().now().nanoseconds * 1e-9)
