"""Start, spin and leave: what every executable shares.

SIGINT and SIGTERM are handled here rather than by rclpy, whose handlers shut the context down before a node could
command its robot to stop or close its bag.
"""

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown

from vdd_ros.errors import VddError
from vdd_ros.nodes.ros.containment import CallbackErrors, ContainingExecutor, Leave, answer_always
from vdd_ros.nodes.ros.leaving import signals_noted

__all__ = ["REFUSALS", "TRANSPORTS", "Leave", "run"]

REFUSALS = (VddError, ParameterException)
BAD_ARGUMENTS = (rclpy_implementation.RCLError, rclpy_implementation.UnknownROSArgsError, ValueError)
POLL_S = 0.2  # how long a signal may wait for an idle node
TRANSPORTS = "FASTDDS_BUILTIN_TRANSPORTS"
"""The variable that tells Fast DDS how to reach processes of the same host."""


def run(
    make_node: Callable[[], Node],
    argv: list[str] | None = None,
    make_executor: Callable[[], Any] = ContainingExecutor,
) -> int:
    """Run one node until a signal arrives or it raises `Leave`.

    Args:
        make_node: Makes the node, once rclpy is initialised. If it has `autostart()`, that is called once the executor
            has the node; if it has `close() -> int`, that is called before leaving; if it has `callback_errors`, errors
            that do not end it are noted there.
        argv: Arguments, the process's own by default.
        make_executor: Makes the executor that spins it.

    Returns:
        The exit code: that of `close` or `Leave`; 0 after SIGINT and SIGTERM; 1, with the message on stderr, where the
        node could not be made or started.
    """
    with signals_noted() as received:
        _keep_from_shared_memory()
        try:
            rclpy.init(args=argv, signal_handler_options=SignalHandlerOptions.NO)
        except BAD_ARGUMENTS as error:
            _tell(error)
            return 1
        try:
            node = make_node()
        except REFUSALS as error:
            _tell(error)
            try_shutdown()
            return 1
        executor = make_executor()
        if isinstance(executor, ContainingExecutor):
            executor.errors = getattr(node, "callback_errors", None) or _contained(node)
        executor.add_node(node)
        code = 0
        try:
            _autostart(node, received)
            while not received:
                executor.spin_once(timeout_sec=POLL_S)
        except Leave as leave:
            code = leave.code
        finally:
            code = _close(node) or code
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


def _contained(node: Node) -> CallbackErrors:
    """Let a node that does not do so itself answer calls of its parameter services in any case."""
    errors = CallbackErrors(node.get_logger().error)
    answer_always(node, errors)
    return errors


def _autostart(node: Any, received: list[int]) -> None:
    """Let a node start by itself, if it can; what it starts may need the executor."""
    try:
        if hasattr(node, "autostart"):
            node.autostart()
    except REFUSALS as error:
        if received:  # it was told to leave meanwhile, which is no failure
            return
        _tell(error)
        raise Leave(1) from None


def _close(node: Any) -> int:
    """Let a node end its work; 1 where that fails, which must not keep it from being taken down."""
    try:
        return int(node.close()) if hasattr(node, "close") else 0
    except Exception:
        node.get_logger().error(f"closing failed:\n{traceback.format_exc()}")
        return 1


def _tell(error: Exception) -> None:
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
