"""Start, spin and leave: what every executable shares.

SIGINT and SIGTERM are handled here rather than by rclpy, whose handlers shut the context down before a node could
command its robot to stop or close its bag.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown

from vdd_ros.errors import VddError

REFUSALS = (VddError, ParameterException)
POLL_S = 0.2  # how long a signal may wait for an idle node
TRANSPORTS = "FASTDDS_BUILTIN_TRANSPORTS"
"""The variable that tells Fast DDS how to reach processes of the same host."""


class Leave(Exception):
    """Raised by a node's callback to end the process, with its exit code."""

    def __init__(self, code: int = 0) -> None:
        super().__init__(code)
        self.code = code


def run(
    make_node: Callable[[], Node],
    argv: list[str] | None = None,
    make_executor: Callable[[], Any] = SingleThreadedExecutor,
) -> int:
    """Run one node until a signal arrives or it raises `Leave`.

    Args:
        make_node: Makes the node, once rclpy is initialised. If it has `autostart()`, that is called once the executor
            has the node; if it has `close() -> int`, that is called before leaving.
        argv: Arguments, the process's own by default.
        make_executor: Makes the executor that spins it.

    Returns:
        The exit code: that of `close` or `Leave`; 0 after SIGINT and SIGTERM; 1, with the message on stderr, where the
        node could not be made or started.
    """
    with _signals() as received:
        _keep_from_shared_memory()
        rclpy.init(args=argv, signal_handler_options=SignalHandlerOptions.NO)
        try:
            node = make_node()
        except REFUSALS as error:
            _tell(error)
            try_shutdown()
            return 1
        executor = make_executor()
        executor.add_node(node)
        code = 0
        try:
            _autostart(node)
            while not received:
                executor.spin_once(timeout_sec=POLL_S)
        except Leave as leave:
            code = leave.code
        finally:
            if hasattr(node, "close"):
                code = node.close() or code
            executor.shutdown()
            node.destroy_node()
            try_shutdown()
        return code


def _keep_from_shared_memory() -> None:
    """Let Fast DDS use UDP alone, unless the user has chosen; before `rclpy.init`.

    Through shared memory, a process takes a lock of each of its listeners to send. One that is stopped or killed while
    it holds its own makes every sender wait: a recorder that hangs would stop the robot.
    """
    os.environ.setdefault(TRANSPORTS, "UDPv4")


def _autostart(node: Any) -> None:
    """Let a node start by itself, if it can; what it starts may need the executor."""
    try:
        if hasattr(node, "autostart"):
            node.autostart()
    except REFUSALS as error:
        _tell(error)
        raise Leave(1) from None


def _tell(error: Exception) -> None:
    print(f"{type(error).__name__}: {error}", file=sys.stderr)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in a list instead of ending the process."""
    received: list[int] = []
    wanted = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda caught, _: received.append(caught)) for number in wanted]
    try:
        yield received
    finally:
        for number, handler in zip(wanted, before, strict=True):
            signal.signal(number, handler)
