"""Everything a policy node holds between configure and cleanup."""

import gc
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from std_msgs.msg import Float64MultiArray

from vdd_ros.control.loop import PolicyLoop
from vdd_ros.control.observer import GOAL
from vdd_ros.control.task_end import TaskEnd
from vdd_ros.control.timing import LatencyStatistics
from vdd_ros.errors import ConfigurationError
from vdd_ros.host.realtime import measure_jitter
from vdd_ros.nodes.policy.diagnostics import Health
from vdd_ros.nodes.policy.episodes import EpisodeTopics
from vdd_ros.nodes.policy.handover import ACTS, Done, Handover
from vdd_ros.nodes.policy.info import SessionInfo
from vdd_ros.nodes.policy.loader import Loader
from vdd_ros.nodes.policy.loading import LoadedPolicy, load
from vdd_ros.nodes.policy.parameters import PolicyParameters
from vdd_ros.nodes.policy.publishers import PublishedOutputs
from vdd_ros.nodes.policy.robot_side import check_controllers, described, load_robot, refuse_wider, sends_chunks
from vdd_ros.nodes.policy.ros_graph import GraphMonitor
from vdd_ros.nodes.policy.source import Allowed
from vdd_ros.nodes.policy.swap import HotSwap, SwapTarget
from vdd_ros.nodes.policy.ticker import Ticker, TickSettings
from vdd_ros.nodes.ros.containment import CallbackErrors
from vdd_ros.nodes.ros.messages import RELIABLE, matching_profile, message_class, qos_profile
from vdd_ros.nodes.ros.polled_subscriptions import TickInputs
from vdd_ros.nodes.ros.transforms import subscribe_to_transforms
from vdd_ros.robot.channels import ArrayChannel, InputChannel
from vdd_ros.robot.command_warnings import command_warnings
from vdd_ros.robot.inputs import Input
from vdd_ros.robot.transforms import TransformBuffer
from vdd_ros.text import printable

JITTER_SLEEPS = 90  # each of one millisecond


class PolicySession:
    """A loaded policy on its robot's topics. The constructor loads and checks; `connect` creates the topics.

    Args:
        node: The node.
        parameters: Parameters of the node.
        loader: Loads policy files in the background.
        swap: Service that hands over to another policy file.
        abort: Ends commanding; called with the reason.
        errors: Record of callback errors.
        allowed: Files that may be loaded from `policy_path`; by default any.

    Attributes:
        info: Content of `~/policy_info`.
        loop: The loop that ticks.
        statistics: Percentiles of the latency records.
        health: Judges the loop.
        graph_monitor: Monitors the other nodes on its topics.

    Raises:
        VddError: The policy file, the robot file or a parameter is wrong, or they do not fit each other.
    """

    def __init__(
        self,
        node: LifecycleNode,
        parameters: PolicyParameters,
        loader: Loader,
        swap: HotSwap,
        abort: Callable[[str], None],
        errors: CallbackErrors,
        allowed: Allowed | None = None,
    ) -> None:
        self._node = node
        self._errors = errors
        self._abort = abort
        self._parameters = parameters
        parameters.host()
        self._allowed = parameters.allowed()
        robot = load_robot(parameters.robot_file, parameters.send, control=parameters.enable_control)
        self._robot = described(node, robot, parameters.robot_timeout_s)
        if parameters.enable_control:
            check_controllers(node, self._robot, parameters.robot_timeout_s, parameters.unreachable_controller)
        self._name = node.get_fully_qualified_name()
        self._jitter_floor = asdict(measure_jitter(JITTER_SLEEPS))
        self._transforms = TransformBuffer() if self._robot.needs_transforms else None
        given = (parameters.policy_path, self._robot, parameters, self._name)
        first = partial(load, *given, allowed=allowed, transforms=self._transforms)
        self._loaded = loader.load(first, parameters.load_timeout_s)
        self._channel = self._loaded.active.channel  # its limits were configured by the operator
        self._period_s = 1.0 / self._loaded.info["rate_hz"]
        self._simulated_time = node.get_parameter("use_sim_time").value
        self.graph_monitor = GraphMonitor(
            node,
            self._robot,
            control=parameters.enable_control,
            episode_topic=parameters.episode_topic or self._robot.episodes.topic,
        )
        self._episodes: EpisodeTopics | None = None
        self._inputs = TickInputs(node, self._on_bad_message)
        self._goals: Any = None
        self._ticker: Ticker | None = None
        self._outputs: PublishedOutputs | None = None
        self._loader = loader
        self._swap = swap
        self._connected_to_swap = False
        self.statistics = LatencyStatistics(parameters.statistics_window, warm_up=parameters.statistics_warmup_ticks)
        # Simulated time stands still while a tick runs.
        self._early_s = 0.0 if self._simulated_time else min(parameters.wake_early_s, self._period_s / 2)

    @property
    def info(self) -> SessionInfo:
        """Content of `~/policy_info`."""
        return {
            **self._loaded.info,
            "wake_early_s": self._early_s,
            "jitter_floor": self._jitter_floor,
            "refused": self._ticker.refused if self._ticker else None,
        }

    def connect(self) -> None:
        """Create publishers and subscriptions; raises RobotFileError if a message lacks the fields."""
        parameters, active = self._parameters, self._loaded.active
        control, commands = parameters.enable_control, self._robot.commands
        chunks = sends_chunks(self._robot)
        for command in commands if control else ():
            for where, problem in command_warnings(command):
                self._node.get_logger().warning(f"robot file {printable(parameters.robot_file)}: {where}: {problem}")
        self._outputs = PublishedOutputs(
            self._node, active.channel, self._period_s, control=control, inputs=active.observer.alignment.names
        )
        if chunks:
            self._outputs.expect_trajectories(active.policy.spec.horizon)
        self.loop = PolicyLoop(
            active,
            self._outputs,
            self.statistics,
            period_s=self._period_s,
            control=control,
            first_action=parameters.first_action,
            trajectories=chunks,
            decisions=parameters.publish_decisions,
            start_gate=parameters.start_gate,
            task_end=TaskEnd.of(self._robot) if control else None,
        )
        self._outputs.obstructed = self.loop.commander.obstruct
        self._ticker = ticker = self._make_ticker()
        ticker.make_ready_for(self._loaded)
        self.health = Health(
            self.loop, lambda: ticker.overdue_s, lambda names, comes: self.graph_monitor.explain(names, comes=comes)
        )
        self._handover = Handover(self.loop, parameters.swap_timeout_s, ticker.between_ticks, self._now_s)
        self._episodes = EpisodeTopics(
            self._node,
            self.loop,
            self._robot.episodes,
            self._inputs,
            topic=parameters.episode_topic or self._robot.episodes.topic,
            phase_topic=parameters.phase_topic,
            control=control,
            ticking=lambda: ticker.ticking,
            simulated_time=self._simulated_time,
            stopping=self._outputs.stopping,
        )
        if self._transforms is not None:
            subscribe_to_transforms(self._inputs, self._transforms)
        for source in self.loop.observer.inputs.values():
            self._subscribe(source)
        self._subscribe_to_goals(self._loaded)
        self._outputs.info(self.info)
        self._swap.connect(
            SwapTarget(
                load=self._load_beside,
                timeout_s=parameters.load_timeout_s,
                take_over=self._take_over,
                taken_over=self._taken_over,
                refused=self.loop.swap.refuse,
                ticking=lambda: ticker.ticking,
            )
        )
        self._connected_to_swap = True

    def start(self) -> None:
        """Start ticking.

        Raises:
            HungTickError: An earlier tick still runs.
            ConfigurationError: An action of the robot file has no server, or a load would stop the ticks.
        """
        (ticker := self._connected()).check()
        if self._outputs is not None:
            self._outputs.await_servers(self._parameters.robot_timeout_s)
        self._loader.check_ticks()
        self.loop.active.policy.seed(self._parameters.seed)
        gc.collect()
        if self._parameters.gc_freeze:
            gc.freeze()
        self._inputs.discard()
        self.loop.start()
        if self._episodes is not None:
            self._episodes.start()
        ticker.start()

    def stop(self) -> str:
        """Stop ticking and apply `on_loss` of the robot file, again if the last attempt failed.

        Returns:
            Failures; empty if all succeeded.
        """
        with ExitStack() as stack:
            stack.callback(gc.unfreeze)
            if not self._connected_to_swap or self._ticker is None:
                return ""
            ticker = self._ticker
            if self._episodes is not None:
                stack.callback(self._episodes.stop)
            stack.callback(lambda: self._handover.end(hung=ticker.hung))
            stack.callback(self.loop.stop)  # again if it failed
            try:
                self.loop.stop()  # before waiting for a tick that may hang
            finally:
                undone = ticker.stop()
            return undone

    def flush(self, spin: Callable[[float], object]) -> str:
        """Wait until the last messages are delivered; see `PublishedOutputs.flush`."""
        return self._outputs.flush(spin) if self._outputs else ""

    def after_tick(self, function: Callable[[], None]) -> None:
        """Call a function in the executor right after a tick; see `Ticker.after_tick`."""
        self._connected().after_tick(function)

    def destroy(self) -> None:
        """Destroy publishers and subscriptions; one failure does not prevent the others."""
        with ExitStack() as stack:
            stack.callback(self._loaded.active.chunks.close)
            if self._connected_to_swap:
                stack.callback(self.loop.close)
                stack.callback(self._swap.disconnect)
            outputs, self._outputs = self._outputs, None
            if outputs:
                stack.callback(outputs.destroy)
            if self._episodes is not None:
                stack.callback(self._episodes.destroy)
            if self._goals is not None:
                stack.callback(self._node.destroy_subscription, self._goals)
            stack.callback(self._inputs.destroy)

    def _make_ticker(self) -> Ticker:
        parameters = self._parameters
        return Ticker(
            self._node,
            self.loop,
            self._inputs,
            TickSettings(
                period_s=self._period_s,
                early_s=self._early_s,
                limit_s=parameters.inference_limit_s or self._period_s,
                max_age_s=min(source.max_age_s for source in self._robot.inputs),
                on_arrival=parameters.trigger == "observation",
                simulated_time=self._simulated_time,
                host=parameters.host(),
            ),
            now_s=self._now_s,
            settled=self._tell,
            abort=self._abort,
        )

    def _connected(self) -> Ticker:
        """Return the ticker that `connect` created."""
        if self._ticker is None:
            raise ConfigurationError("the node is not connected to its topics; configure it again")
        return self._ticker

    def _subscribe(self, channel: InputChannel | ArrayChannel) -> None:
        kind = message_class(channel.source.type)
        channel.check(kind())
        source = channel.source
        qos = self._matching(source) if source.qos == "match" else qos_profile(source.qos, source.message.depth)
        self._inputs.add(kind, source.topic, partial(self._on_input, source.name), qos, raw=True)

    def _matching(self, source: Input) -> QoSProfile:
        """Return the profile that matches the present publishers of an input, and log it."""
        topic = self._node.resolve_topic_name(source.topic)
        found = [publisher.qos_profile for publisher in self._node.get_publishers_info_by_topic(topic)]
        profile = matching_profile(found)
        chosen = profile.reliability.name.lower().replace("_", " ")
        why = f"as its {len(found)} publishers" if found else "as it has no publisher yet"
        self._node.get_logger().info(f"input {source.name}: the subscription to {topic} is {chosen}, {why}")
        return profile

    def _subscribe_to_goals(self, loaded: LoadedPolicy) -> None:
        """Subscribe to goals once a policy takes them."""
        if loaded.active.policy.spec.goal_length and self._goals is None:
            self._goals = self._node.create_subscription(Float64MultiArray, GOAL, self._on_goal, RELIABLE)
            self.graph_monitor.takes_goals = True

    def _on_input(self, name: str, message: bytes, received_s: float) -> None:
        now_s = self._now_s()
        self.loop.receive(name, message, now_s, now_s if self._simulated_time else received_s or now_s)

    def _on_bad_message(self, topic: str, error: Exception) -> None:
        """Count as refused a message that could not be decoded, or raised an unexpected error."""
        self._errors.note(f"topic {topic}", error)
        self.loop.counters.refused_messages += 1
        self.loop.observer.last_refusal = f"{topic}: {type(error).__name__}: {printable(error)}"

    def _on_goal(self, message: Float64MultiArray) -> None:
        self.loop.receive_goal(message.data)

    def _load_beside(self, path: str) -> LoadedPolicy:
        rate_hz = self._loaded.info["rate_hz"]
        loaded = load(path, self._robot, self._parameters, self._name, rate_hz, self._allowed, self._transforms)
        refuse_wider(loaded.active, self._channel)
        return loaded

    def _take_over(self, loaded: LoadedPolicy, done: Done) -> None:
        """Hand over at the first tick with a full window; at once if nothing ticks."""
        self._subscribe_to_goals(loaded)
        if self._connected().ticking:
            self._handover.wait(loaded, done)
        else:
            self.loop.take_over(loaded.active)
            done(ACTS)

    def _taken_over(self, loaded: LoadedPolicy) -> None:
        """Report the active policy, and release the previous one."""
        before, self._loaded = [self._loaded], loaded
        self._connected().make_ready_for(loaded)
        self.after_tick(before.clear)  # ONNX Runtime holds the GIL for a millisecond or more to free a session
        self._tell()

    def _tell(self) -> None:
        if self._outputs:
            self._outputs.info(self.info)

    def _now_s(self) -> float:
        return 1e-9 * self._node.get_clock().now().nanoseconds if self._simulated_time else time.time()
