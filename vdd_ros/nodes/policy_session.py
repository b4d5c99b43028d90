"""Everything that a policy node has between configure and cleanup."""

import gc
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Float64MultiArray, Int64

from vdd_ros.errors import ConfigurationError
from vdd_ros.nodes.message_types import LATCHED, RELIABLE, message_class, qos_profile
from vdd_ros.nodes.policy_diagnostics import Health
from vdd_ros.nodes.policy_graph import rivals, wrong_types
from vdd_ros.nodes.policy_loading import Loaded, load
from vdd_ros.nodes.policy_loop import PolicyLoop
from vdd_ros.nodes.policy_outputs import PublishedOutputs
from vdd_ros.nodes.policy_parameters import PolicyParameters
from vdd_ros.nodes.policy_swap import HotSwap
from vdd_ros.nodes.policy_wake import Anticipation, EarlyWake, Rehearsals
from vdd_ros.nodes.tick_inputs import TickInputs
from vdd_ros.nodes.tick_thread import Deadlines, TickThread, end_executor
from vdd_ros.policy.host import measure_jitter, settle
from vdd_ros.policy.intake import GOAL
from vdd_ros.policy.robot import RobotFile
from vdd_ros.policy.robot_messages import InputChannel
from vdd_ros.policy.timing import LatencyStatistics

LONGEST_WAIT_S = 0.05
JITTER_SLEEPS = 90  # of a millisecond each


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
        self._jitter_floor = asdict(measure_jitter(JITTER_SLEEPS))
        self._loaded = load(parameters.policy_path, self._robot, parameters, self._name)
        self._period_s = 1.0 / self._loaded.info["rate_hz"]
        self._simulated_time = node.get_parameter("use_sim_time").value
        self._thread: TickThread | None = None
        self._timer: Any = None
        self._episode: int | None = None
        self._inputs = TickInputs(node)
        self._goals: Any = None
        self._ticking = False
        self._afterwards: Callable[[], None] | None = None
        self._outputs: PublishedOutputs | None = None
        self._swap: HotSwap | None = None
        self.statistics = LatencyStatistics(parameters.statistics_window, warm_up=parameters.statistics_warmup_ticks)
        self._on_arrival = parameters.trigger == "observation"
        # Simulated time stands still while a tick runs.
        self._early_s = 0.0 if self._simulated_time else min(parameters.wake_early_s, self._period_s / 2)
        self._make_ready_for(self._loaded)

    @property
    def info(self) -> dict[str, Any]:
        """Content of `~/policy_info`."""
        return self._loaded.info | {"wake_early_s": self._early_s, "jitter_floor": self._jitter_floor}

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
            decisions=parameters.publish_decisions,
        )
        self.health = Health(self.loop)
        if topic := parameters.episode_topic:
            self._inputs.add(Int64, topic, self._on_episode, LATCHED)
        for source in self.loop.intake.inputs.values():
            self._subscribe(source)
        self._subscribe_to_goals()
        self._outputs.info(self.info)
        self._swap = HotSwap(self._node, self._load_beside, self._take_over, self._taken_over, self.loop.refuse_policy)

    def start(self) -> None:
        """Begin to tick."""
        self.loop.pilot.policy.seed(self._parameters.seed)
        gc.collect()
        if self._parameters.gc_freeze:
            gc.freeze()
        self._inputs.discard()
        self.loop.start()
        self._ticking = True
        if self._simulated_time and not self._on_arrival:
            self._settle()
            self._timer = self._node.create_timer(self._period_s, self._on_timer, clock=self._node.get_clock())
            self._due_ns = self._next_due_ns()
        else:
            self._deadlines = Deadlines(self._period_s)
            step = self._await_arrival if self._on_arrival else self._await_deadline
            self._thread = TickThread(self._settle, step, partial(end_executor, self._node))

    def stop(self) -> None:
        """End ticking and leave the robot as the robot file says; does nothing where nothing ticks."""
        if self._thread is None and self._timer is None:
            return
        self._ticking = False
        if self._thread is not None:
            self._thread.stop()
            self._thread = None
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None
        self.loop.stop()
        gc.unfreeze()

    def after_tick(self, function: Callable[[], None]) -> None:
        """Call a function in the executor: where a thread ticks just after a tick, when the next one is farthest.

        What runs for a millisecond just before a tick would hold that up, with Python's lock or on the same core.
        """
        if self._thread is None:
            function()
        else:
            self._afterwards = function

    def destroy(self) -> None:
        """Take publishers and subscriptions down, as far as they were made."""
        self._inputs.destroy()
        if self._goals is not None:
            self._node.destroy_subscription(self._goals)
        if self._outputs:
            self._outputs.destroy()
        if self._swap:
            self._swap.destroy()
            self.loop.close()

    def wrong_types(self) -> str:
        """Return which topics others publish or expect with another type than the node does; empty if none."""
        topics = [(source.topic, source.type) for source in self._robot.inputs]
        if self._goals is not None:
            topics.append((GOAL, "std_msgs/msg/Float64MultiArray"))
        return wrong_types(self._node, topics, self._robot.command if self._parameters.enable_control else None)

    def rivals(self) -> str:
        """Return who else commands the robot; empty if nobody does."""
        return rivals(self._node, self._robot.command.topic) if self._parameters.enable_control else ""

    def _subscribe(self, channel: InputChannel) -> None:
        kind = message_class(channel.source.type)
        channel.check(kind())
        callback, qos = partial(self._on_input, channel.source.name), qos_profile(channel.source.qos)
        self._inputs.add(kind, channel.source.topic, callback, qos)

    def _subscribe_to_goals(self) -> None:
        """Listen to goals from the first policy on that takes some."""
        if self._loaded.pilot.policy.spec.goal_length and self._goals is None:
            self._goals = self._node.create_subscription(Float64MultiArray, GOAL, self._on_goal, RELIABLE)

    def _on_input(self, name: str, message: Any, received_s: float) -> None:
        now_s = self._now_s()
        self.loop.receive(name, message, now_s, now_s if self._simulated_time else received_s or now_s)

    def _on_goal(self, message: Float64MultiArray) -> None:
        self.loop.receive_goal(message.data)

    def _on_episode(self, message: Int64, _received_s: float) -> None:
        if message.data != self._episode:
            self._episode = message.data
            self.loop.new_episode()

    def _load_beside(self, path: str) -> Loaded:
        return load(path, self._robot, self._parameters, self._name, self._loaded.info["rate_hz"])

    def _take_over(self, loaded: Loaded, done: Callable[[], None]) -> None:
        """Let a policy act from the next tick on at which it has seen enough; at once where nothing ticks."""
        if self._ticking:
            self.loop.relieve(loaded.pilot, done)
        else:
            self.loop.take_over(loaded.pilot)
            done()

    def _taken_over(self, loaded: Loaded) -> None:
        """Tell that a policy acts now."""
        self._loaded = loaded
        self._make_ready_for(loaded)
        self._subscribe_to_goals()
        if self._outputs:
            self._outputs.info(self.info)

    def _make_ready_for(self, loaded: Loaded) -> None:
        """Rehearse for as long as this policy takes."""
        rehearsals = Rehearsals(
            self._early_s,
            loaded.inference_s,
            now_ns=self._node_now_ns if self._simulated_time else time.monotonic_ns,
            rehearse=self._rehearse,
            receive=self._inputs.take,
        )
        self._wake = EarlyWake(rehearsals)
        self._ahead = Anticipation(rehearsals, self._has_news)

    def _rehearse(self) -> None:
        self.loop.rehearse(self._now_s())

    def _has_news(self) -> bool:
        return self.loop.news()

    def _settle(self) -> None:
        """Ask the host for what the thread that ticks shall have."""
        for problem in settle(self._parameters.host()):
            self._node.get_logger().warning(problem)

    def _await_deadline(self, thread: TickThread) -> None:
        """Tick when it is due."""
        wake, due_ns = self._wake, self._deadlines.due_ns
        if thread.sleep_until(due_ns - wake.early_ns):
            late_ns = wake.until(due_ns)
            self._deadlines.step()
            self._tick(self._now_s(), late_ns * 1e-9)
            self._call_afterwards()

    def _await_arrival(self, _thread: TickThread) -> None:
        """Tick when every input has brought something new; and in time where none does, to notice what is missing."""
        ahead = self._ahead
        until_due_s = 1e-9 * max(0, self._deadlines.due_ns - time.monotonic_ns())
        if sleep_s := ahead.sleep_s():
            self._call_afterwards()
            self._inputs.wait(min(sleep_s, until_due_s, LONGEST_WAIT_S))
            self._inputs.take()
        else:
            ahead.watch()
        now_s = self._now_s()
        if self.loop.news():
            ahead.arrived()
            self._tick(now_s, 0.0)
            self._call_afterwards()
        elif time.monotonic_ns() >= self._deadlines.due_ns:
            self._deadlines.step()
            if not self.loop.intake.complete or self.loop.intake.stale(now_s):
                self._tick(now_s, 0.0)

    def _on_timer(self) -> None:
        """Tick in simulated time."""
        late_ns = self._wake.until(self._due_ns)
        self._due_ns = self._next_due_ns()
        self._tick(self._now_s(), late_ns * 1e-9)

    def _tick(self, now_s: float, lateness_s: float) -> None:
        self.loop.tick(now_s, lateness_s)
        guards = self.loop.pilot.guards
        if guards.fault and self._ticking:
            self._ticking = False
            self._in_executor(self._give_up, guards.fault)

    def _call_afterwards(self) -> None:
        if (function := self._afterwards) is not None:
            self._afterwards = None
            self._in_executor(function)

    def _in_executor(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function where it may change the node's state."""
        if self._node.executor is None:
            self._node.get_logger().fatal("the node ticks, but nothing spins it")
        else:
            self._node.executor.create_task(function, *arguments)

    def _next_due_ns(self) -> int:
        return self._node_now_ns() + int(self._timer.time_until_next_call())

    def _node_now_ns(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _now_s(self) -> float:
        return 1e-9 * self._node_now_ns() if self._simulated_time else time.time()
