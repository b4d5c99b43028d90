"""The lifecycle node that runs a policy on a robot."""

import sys
import time
from dataclasses import fields
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.parameter import Parameter
from std_msgs.msg import Bool

from vdd_ros.errors import ConfigurationError
from vdd_ros.nodes.policy.console import Console, Loudness
from vdd_ros.nodes.policy.diagnostics import LONGEST, ONLY_IN_INFO, key_values, loop_values
from vdd_ros.nodes.policy.loader import Loader
from vdd_ros.nodes.policy.parameters import PolicyParameters
from vdd_ros.nodes.policy.ros_graph import GraphMonitor
from vdd_ros.nodes.policy.session import PolicySession
from vdd_ros.nodes.policy.swap import HotSwap
from vdd_ros.nodes.ros.arguments import Executable, answered
from vdd_ros.nodes.ros.containment import CallbackErrors, answer_always
from vdd_ros.nodes.ros.leaving import asked_to_leave, leave
from vdd_ros.nodes.ros.lifecycle import ReasonedLifecycleNode
from vdd_ros.nodes.ros.messages import LATCHED
from vdd_ros.nodes.ros.parameters import current_parameters, declare_parameters, meant_parameters
from vdd_ros.nodes.ros.runtime import Leave, run
from vdd_ros.policy.denormals import flush_denormals
from vdd_ros.text import printable

DIAGNOSTICS_PERIOD_S = 1.0
FIXED = {item.name for item in fields(PolicyParameters)} - {"next_policy"} | {"use_sim_time"}
"""Parameters fixed while the node is configured; the clock must not change under a tick either."""

EXECUTABLE = Executable("policy_node", "policy_node", PolicyParameters, "runs a policy file on a robot")


class PolicyNode(ReasonedLifecycleNode):
    """Runs a policy file on the robot of a robot file; docs/node.md lists the topics.

    Configuring loads, checks and warms up; activating starts the ticks. `/diagnostics` reports in every state.

    Attributes:
        session: The session between configure and cleanup; None otherwise.
        callback_errors: Errors of callbacks that did not end the node.
    """

    def __init__(self, name: str = "policy_node", **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self._destroyed = False
        self.session: PolicySession | None = None
        self._other_publishers: dict[str, list[str]] = {}
        self.callback_errors = CallbackErrors(self.get_logger().error)
        self._errors_told = 0
        self._awaited = ""  # topic that an autostart waits for
        self._console = Console(self._loudness(), time.monotonic)
        answer_always(self, self.callback_errors)
        declare_parameters(self, PolicyParameters, read_only=False)
        self._first_policy = self.get_parameter("policy_path").value
        self.add_pre_set_parameters_callback(partial(meant_parameters, PolicyParameters))
        self.add_on_set_parameters_callback(self._refuse_changes)
        self._loader = Loader()
        self._swap = HotSwap(self, self._loader)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._diagnose, clock=steady)

    def autostart(self) -> None:
        """Configure and activate if the parameter `autostart` is set; raises ConfigurationError on failure.

        With `start_topic`, activation waits for that topic; with `stay_inactive`, it is left to others.
        """
        if not self.get_parameter("autostart").value:
            return
        start_topic, stays = (self.get_parameter(name).value for name in ("start_topic", "stay_inactive"))
        for transition in (self.trigger_configure, *([] if start_topic or stays else [self.trigger_activate])):
            if asked_to_leave():
                return
            transition()
            if self.failure:
                raise ConfigurationError(self.failure)
        if start_topic and not stays:
            self._awaited = self.resolve_topic_name(start_topic)
            self._start_signal = self.create_subscription(Bool, start_topic, self._take_start, LATCHED)

    def _take_start(self, message: Bool) -> None:
        """Activate at the first true message; end the process on failure, as an autostart does."""
        if not (message.data and self._awaited):
            return
        self._awaited = ""
        if self.state == "inactive":
            self.trigger_activate()
            if self.failure:
                raise Leave(1)

    def configure(self) -> None:
        """Load, check, warm up and connect."""
        flush_denormals()  # in the thread that starts the tick thread; files are loaded in other threads
        parameters = current_parameters(self, PolicyParameters)
        # The initial value is trusted; a value set later counts like a call of ~/load_policy.
        allowed = None if parameters.policy_path == self._first_policy else parameters.allowed()
        self.session = PolicySession(
            self, parameters, self._loader, self._swap, self.abort, self.callback_errors, allowed
        )
        self.session.connect()

    def activate(self) -> None:
        """Start the ticks."""
        if self.session:
            self.session.start()

    def deactivate(self) -> str:
        """Stop the ticks and publish the counters once more; return the failures."""
        undone = self.session.stop() if self.session else ""
        self.publish_diagnostics()
        return undone

    def abort(self, reason: str) -> None:
        """Deactivate, because the robot is not safe under this policy."""
        if self.state != "active":  # another transition came first
            return
        self.get_logger().error(f"deactivating: {reason}")
        self.trigger_deactivate()
        self.failure = self.failure or f"deactivated: {reason}"

    def cleanup(self) -> None:
        """Release everything that `configure` built."""
        session, self.session = self.session, None
        if session:
            session.destroy()

    def close(self) -> int:
        """Deactivate before exit, which applies `on_loss` of the robot file; return 1 on failure."""
        failed = 0
        if self.state == "active":
            self.trigger_deactivate()
            failed = 1 if self.failure else 0
        if self.session and self.executor and (stopping := self.session.flush(self.executor.spin_once)):
            self.get_logger().error(f"the robot may still move: {stopping} did not succeed before this process ended")
            failed = 1
        return failed

    def destroy_node(self) -> None:
        """Stop ticking first: the tick thread uses the objects destroyed here."""
        self._destroyed = True
        if self.session:
            self._attempt("deactivate", self.session.stop)
        super().destroy_node()

    def _diagnose(self) -> None:
        if self.session is None:
            self.publish_diagnostics()
        else:
            self.session.after_tick(self.publish_diagnostics)

    def publish_diagnostics(self) -> None:
        """Publish state, counters, percentiles and problems."""
        if self._destroyed:  # queued until the end of a tick
            return
        values: dict[str, object] = {"state": self.state, "last_failure": self.failure}
        try:
            level, message = self._judge()
            values |= self._values()
        except Exception as error:  # graph queries may fail; the diagnostics must be published all the same
            level, message = DiagnosticStatus.ERROR, f"the diagnostics failed: {type(error).__name__}: {error}"
            self.callback_errors.note("the diagnostics", error)
        errors = self.callback_errors
        if new := errors.count - self._errors_told:
            level = max(level, DiagnosticStatus.WARN)
            message = f"caught errors: {new}, the last: {errors.last}; {message}"
        self._errors_told = errors.count
        self._console.say(level[0], message)
        values |= {"callback_errors": errors.count, "last_callback_error": errors.last}
        status = DiagnosticStatus(
            level=level,
            name=f"{self.get_fully_qualified_name()}: policy",
            message=printable(message, LONGEST),
            values=key_values(values),
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def _values(self) -> dict[str, object]:
        """Return the diagnostic values of a session."""
        if not self.session:
            return {}
        info: dict[str, object] = {key: value for key, value in self.session.info.items() if key not in ONLY_IN_INFO}
        around = self.session.graph_monitor
        several = sum(len(names) for names in around.other_input_publishers().values())
        graph = {
            "other_publishers": sum(map(len, self._other_publishers.values())),
            "listeners": min(around.listeners().values(), default=None),
            "other_input_publishers": several,
        }
        return info | loop_values(self.session.loop, self.session.statistics) | graph

    def _judge(self) -> tuple[bytes, str]:
        if self.session:
            self.session.graph_monitor.look()
        self._other_publishers = self.session.graph_monitor.other_publishers() if self.session else {}
        wrong_types = self.session.graph_monitor.wrong_types() if self.session else ""
        if wrong_types or self.failure:
            return DiagnosticStatus.ERROR, wrong_types or self.failure
        if self.session and self.state == "active":
            level, message = self.session.health.judge(self.get_clock().now().nanoseconds * 1e-9)
            around = self._judge_graph(self.session.graph_monitor)
            return (max(level, DiagnosticStatus.WARN), "; ".join([*around, message])) if around else (level, message)
        if self.session and self.state == "inactive" and self._awaited:
            unpublished = self.session.graph_monitor.unpublished()
            parts = filter(None, (f"inactive, waiting for {self._awaited} to become true", unpublished))
            return DiagnosticStatus.WARN if unpublished else DiagnosticStatus.OK, "; ".join(parts)
        return DiagnosticStatus.OK, self.state

    def _judge_graph(self, graph: GraphMonitor) -> list[str]:
        """Return problems with the other ends of the node's topics."""
        others = ", and ".join(f"on {topic}: {', '.join(names)}" for topic, names in self._other_publishers.items())
        others_command = f"other nodes command the robot too, {others}" if others else ""
        several = self._judge_input_publishers(graph)
        mismatches = "; ".join(graph.mismatches())
        return [text for text in (others_command, several, mismatches, graph.unheard()) if text]

    def _judge_input_publishers(self, graph: GraphMonitor) -> str:
        """Report inputs with several publishers, except those that carry separate joints of each publisher."""
        shared = self.session.loop.observer.other_joints if self.session else {}
        return "; ".join(
            f"input {what} has {len(names)} publishers, which may contradict each other: {', '.join(names)}"
            for what, names in graph.other_input_publishers().items()
            if not shared.get(what)
        )

    def _loudness(self) -> Loudness:
        """Return the sinks for lines; rclpy requires that each call site keeps its severity."""
        return Loudness(
            info=lambda text: self.get_logger().info(text),
            warning=lambda text: self.get_logger().warning(text),
            error=lambda text: self.get_logger().error(text),
        )

    def _refuse_changes(self, parameters: list[Parameter]) -> SetParametersResult:
        changed = [parameter.name for parameter in parameters if parameter.name in FIXED]
        if changed and self.state != "unconfigured":
            reason = f"{', '.join(changed)} can be changed only while unconfigured; the node is {self.state}"
            return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)


def main(argv: list[str] | None = None) -> int:
    """Run the policy node; see `vdd_ros.nodes.ros.runtime.run`."""
    code = answered(EXECUTABLE, argv)
    return leave(run(PolicyNode, argv)) if code is None else code


if __name__ == "__main__":
    sys.exit(main())
