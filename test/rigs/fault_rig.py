"""What has to hold whatever goes wrong: every command is finite, within limits and about something fresh."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from node_rig import AVOIDING, COMMANDS, FAST_HZ, Sensor
from ros_helpers import DEADLINE_S, Bench
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Float64MultiArray

from vdd_ros.robot.robot_file import RobotFile

FILE = RobotFile.load(AVOIDING)
MAX_AGE_S = max(source.max_age_s for source in FILE.inputs)
SLACK_S = 0.1
"""From the look at the inputs' ages to the command: on a busy machine the process may be held up in between."""


def pass_time(bench: Bench, seconds: float, each: Callable[[], object] = lambda: None) -> None:
    """Spin for a while, since that time passes is the fault itself."""
    end = time.monotonic() + seconds

    def passed() -> bool:
        each()
        return time.monotonic() > end

    bench.wait(passed, "time to pass")


@dataclass
class Watched:
    """The robot's side of the topics of Avoiding; keeps what was said on both of them, and when.

    Attributes:
        stamped: Whether observations are stamped with this machine's time.
        alive: Whether the last digits of what measures the robot change, as those of sensors do.
        commands: Time of sending and values of each command.
        places: Time and x, y of each observation that the node should take.
        said: Of each node by name, the newest diagnostics: message and values.
        levels: And their level.
    """

    bench: Bench
    stamped: bool = True
    alive: bool = True
    commands: list[tuple[float, np.ndarray]] = field(default_factory=list)
    places: list[tuple[float, float, float]] = field(default_factory=list)
    said: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    levels: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        node = self.bench.node
        self.sensor = Sensor()
        self.inputs = {name: node.create_publisher(PoseStamped, f"{name}_pose", 10) for name in ("desired", "tcp")}
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 100)
        self.heed_commands()

    def heed_commands(self) -> None:
        """Subscribe to the commands."""
        on_command: Any = self._on_command  # rclpy's types know of no callback with the time of sending
        self._listening = self.bench.node.create_subscription(Float64MultiArray, COMMANDS, on_command, 1000)

    def ignore_commands(self) -> None:
        """Subscribe to them no longer."""
        self.bench.node.destroy_subscription(self._listening)

    def publish(self, x: float = 0.5, y: float = 0.1, *, offset_s: float = 0.0, valid: bool = True) -> None:
        """Publish one observation, stamped so far from now; say whether the node should take it."""
        now = time.time_ns()
        if valid:  # noted first: the command may be sent before this thread goes on
            self.places.append((now * 1e-9, x, y))
        for name in self.inputs:
            self.send(name, x, y, now + round(offset_s * 1e9))

    def send(self, name: str, x: float, y: float, stamp_ns: int) -> None:
        """Publish one message of an input."""
        message = PoseStamped()
        message.pose.position.x = self.sensor.measure(x) if name == "tcp" and self.alive else x
        message.pose.position.y = y
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
        self.inputs[name].publish(message)

    def run_until(
        self, condition: Callable[[], Any], what: str, *, deadline_s: float = DEADLINE_S, **publish: Any
    ) -> None:
        """Publish observations until a condition holds."""

        def published() -> Any:
            self.publish(**publish)
            return condition()

        self.bench.wait(published, what, deadline_s)

    def sent_after(self, time_s: float) -> list[float]:
        """Return when commands were sent after this time, however late they arrived."""
        return [sent_s for sent_s, _ in self.commands if sent_s > time_s]

    def run_for_commands(self, count: int = 10, **publish: Any) -> None:
        """Publish observations until this many more commands came."""
        wanted = len(self.commands) + count
        self.run_until(lambda: len(self.commands) >= wanted, f"{count} commands", **publish)

    def pass_time(self, seconds: float, each: Callable[[], object] = lambda: None) -> None:
        """Spin for a while, since that time passes is the fault itself."""
        pass_time(self.bench, seconds, each)

    def value(self, counter: str, node: str = "policy") -> int:
        """Return what a node last said of a counter; -1 before it said anything."""
        _, values = self.said.get(node, ("", {}))
        return int(values.get(counter, -1))

    def await_diagnosis(
        self, condition: Callable[[str, dict[str, str]], Any], what: str, node: str = "policy", **publish: Any
    ) -> None:
        """Publish observations (with `valid=None` nothing) until a node's diagnostics are as wanted."""

        def told() -> Any:
            return node in self.said and condition(*self.said[node])

        if publish.get("valid", True) is None:
            self.bench.wait(told, what)
        else:
            self.run_until(told, what, **publish)

    def check(self, hz: float = FAST_HZ) -> None:
        """Check all commands of the whole test, and that there are some."""
        assert self.commands
        low = [entry.low for entry in FILE.command_entries]
        high = [entry.high for entry in FILE.command_entries]
        step = [entry.max_step for entry in FILE.command_entries]
        times = np.array([place[0] for place in self.places])
        for at_s, values in self.commands:
            assert np.isfinite(values).all()
            assert (values >= low).all()
            assert (values <= high).all()
            oldest_s = at_s - (MAX_AGE_S + 1.0 / hz + SLACK_S) if self.stamped else -np.inf
            first, end = np.searchsorted(times, [oldest_s, at_s], side="right")
            recent = np.array(self.places[first:end][-10_000:])
            assert len(recent), f"a command {at_s - times[end - 1]:.3f} s after the last observation"
            near = np.abs(values - recent[:, 1:]) <= np.array(step) + 1e-6
            assert near.all(axis=1).any(), (values, recent[-1])

    def _on_command(self, message: Float64MultiArray, info: dict[str, Any]) -> None:
        self.commands.append((info["source_timestamp"] * 1e-9, np.array(message.data)))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            node = status.name.partition(":")[0].strip("/")
            self.levels[node] = status.level
            self.said[node] = status.message, {item.key: item.value for item in status.values}


class SimulatedRobot:
    """Watches commands and gives observations in a time of its own, a tick at a time."""

    def __init__(self, bench: Bench) -> None:
        self.watched = Watched(bench, stamped=False)
        self.now_ns = round(36_000 * 1e9)
        self._next_s = time.monotonic()
        self._clock = bench.node.create_publisher(Clock, "/clock", 100)

    def advance(self, *, see: bool = True) -> None:
        """Move the clock by a tick, and observe, unless the last time was so short ago."""
        if time.monotonic() >= self._next_s:
            self.jump(1.0 / FAST_HZ)
            if see:
                self.see()

    def jump(self, seconds: float) -> None:
        """Move the clock."""
        self._next_s = time.monotonic() + 1.0 / FAST_HZ
        self.now_ns += round(seconds * 1e9)
        now: Any = Clock()
        now.clock.sec, now.clock.nanosec = divmod(self.now_ns, 1_000_000_000)
        self._clock.publish(now)

    def see(self) -> None:
        """Publish an observation of now."""
        for name in self.watched.inputs:
            self.watched.send(name, 0.5, 0.1, self.now_ns)
        self.watched.places.append((0.0, 0.5, 0.1))

    def run(self, count: int = 20) -> None:
        """Advance until so many more commands came."""
        wanted = len(self.watched.commands) + count

        def advanced() -> bool:
            self.advance()
            return len(self.watched.commands) >= wanted

        self.watched.bench.wait(advanced, f"{count} commands")
