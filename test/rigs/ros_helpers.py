"""Helpers for tests over real ROS 2: wait for conditions with a deadline, never for a time."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from vdd_ros.bags.records import read_record

RECORDS = ("/latency", "/decision")
ASK_AGAIN_S = 5.0
DEADLINE_S = 180.0
"""Passes only where a test has failed: discovery takes up to 3 s, and many times that on a busy machine."""
LEAVE_S = 20.0
"""How long a process may take to leave before it is killed."""


def _record_type() -> Any:
    from sensor_msgs.msg import JointState

    return JointState


class LabelledRecord:
    """A record, with `data` and `layout.dim` as an array with labels has them; read when a test looks at it."""

    def __init__(self, message: Any) -> None:
        self.message = message

    @property
    def data(self) -> Any:
        return read_record(self.message)[1]

    @property
    def layout(self) -> Any:
        return SimpleNamespace(dim=[SimpleNamespace(label=label) for label in read_record(self.message)[0]])


class Bench:
    """Several nodes of one process under one executor, with a node of its own for the test's topics."""

    def __init__(self, context: Any = None) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.executor = SingleThreadedExecutor(context=context)
        self.node = rclpy.create_node("bench", context=context)
        self._nodes: list[Any] = []
        self.add(self.node)

    def add(self, node: Any) -> Any:
        """Spin a node along with the others and destroy it at the end."""
        self._nodes.append(node)
        self.executor.add_node(node)
        return node

    def remove(self, node: Any) -> None:
        """Take a node down before the end."""
        self._nodes.remove(node)
        self.executor.remove_node(node)
        node.destroy_node()

    def collect(self, message_type: Any, topic: str, qos: Any = 100) -> list[Any]:
        """Subscribe to a topic and return the list that its messages go to.

        Records, which policy nodes publish as a JointState, come as an array with labels where that is asked for.
        """
        messages: list[Any] = []
        take = messages.append
        if message_type.__name__ == "Float64MultiArray" and topic.endswith(RECORDS):
            message_type, take = _record_type(), lambda record: messages.append(LabelledRecord(record))
        self.node.create_subscription(message_type, topic, take, qos)
        return messages

    def wait(self, condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> None:
        """Spin until a condition holds; fail, naming `what` was awaited, when the deadline passes."""
        end = time.monotonic() + deadline_s
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"waited {deadline_s} s in vain for {what}")
            self.executor.spin_once(timeout_sec=0.05)

    def ask_first(self, client: Any, request: Any, gone: Callable[[], bool]) -> None:
        """Call a service until a first call is answered, or its server is gone.

        A server drops the answer to a client that it has not discovered yet, although that client sees the server.
        """
        end, asked = time.monotonic() + DEADLINE_S, list[Any]()
        while not any(answer.done() for answer in asked) and not gone():
            assert time.monotonic() < end, f"waited {DEADLINE_S} s in vain for an answer of {client.srv_name}"
            asked.append(client.call_async(request))
            again = time.monotonic() + ASK_AGAIN_S
            self.wait(lambda: asked[-1].done() or gone() or time.monotonic() > again, "an answer")  # noqa: B023

    def wait_for_match(self, topic: str, *, publishers: int = 0, subscriptions: int = 0) -> None:
        """Wait until the test's node sees as many publishers and subscriptions of a topic, its own included.

        The graph is ahead of what matters to a message: each of them here has to be matched with the others, too.
        """

        def matched() -> bool:
            graph = (
                self.node.count_publishers(topic) >= publishers and self.node.count_subscribers(topic) >= subscriptions
            )
            heard = [each.get_subscription_count() for each in self._here("publishers", topic)]
            seen = [each.get_publisher_count() for each in self._here("subscriptions", topic)]
            return graph and all(n >= subscriptions for n in heard) and all(n >= publishers for n in seen)

        self.wait(matched, f"{publishers} publishers and {subscriptions} subscriptions of {topic}")

    def _here(self, kind: str, topic: str) -> list[Any]:
        """Return the publishers or subscriptions of a topic in this process."""
        return [each for node in self._nodes for each in getattr(node, kind) if each.topic_name == topic]

    def close(self) -> None:
        """Destroy all nodes."""
        for node in list(self._nodes):
            self.remove(node)
        self.executor.shutdown()


class NodeProcess:
    """A node as a process of its own, with its output in a file."""

    def __init__(self, module: str, ros_args: Sequence[str], log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, "--ros-args", *ros_args], stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def output(self) -> str:
        """What it has written so far."""
        return self.log.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self, deadline_s: float = DEADLINE_S) -> int:
        """Wait for its end and return the exit code."""
        return self.process.wait(deadline_s)

    def leave(self) -> None:
        """End it, whatever state it is in."""
        if self.process.poll() is not None:
            return
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        try:
            self.wait(LEAVE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def node_process(module: str, log: Path, **parameters: object) -> Iterator[NodeProcess]:
    """Run `python -m module` with parameters; at the end it is asked to leave, and killed if it does not.

    One that is killed stays for its lease of 20 s in the graphs of others, those of the next tests.
    """
    ros_args = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    running = NodeProcess(module, ros_args, log)
    try:
        yield running
    finally:
        running.leave()
