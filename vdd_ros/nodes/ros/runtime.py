"""Start, spin and exit: the common part of all executables.

SIGINT and SIGTERM are handled here, not by rclpy, whose handlers shut the context down before a node can stop its robot
or close its bag.
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
POLL_S = 0.2  # longest delay of a signal while the node is idle
TRANSPORTS = "FASTDDS_BUILTIN_TRANSPORTS"
"""Environment variable for Fast DDS's transport to processes on the same host."""


def run(
    make_node: Callable[[], Node],
    argv: list[str] | None = None,
    make_executor: Callable[[], Any] = ContainingExecutor,
) -> int:
    """Run one node until a signal arrives or it raises `Leave`.

    Args:
        make_node: Makes the node, once rclpy is initialised. Its `autostart()`, if any, is called once the executor has
            the node; its `close() -> int`, if any, before exit; its `callback_errors`, if any, records non-fatal
            errors.
        argv: Arguments; by default those of the process.
        make_executor: Makes the executor that spins it.

    Returns:
        The exit code: that of `close` or `Leave`; 0 after SIGINT and SIGTERM; 1, with the message on stderr, if the
        node could not be created or started.
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
    """Restrict Fast DDS to UDP unless the user has chosen a transport; call before `rclpy.init`.

    With shared memory, a sender takes a lock of each listener. A listener stopped or killed while holding its lock
    blocks every sender: a hung recorder would stop the robot.
    """
    os.environ.setdefault(TRANSPORTS, "UDPv4")


def _contained(node: Node) -> CallbackErrors:
    """Make parameter services always respond, for nodes that do not ensure it themselves."""
    errors = CallbackErrors(node.get_logger().error)
    answer_always(node, errors)
    return errors


def _autostart(node: Any, received: list[int]) -> None:
    """Run a node's autostart, if it has one; it may need the executor."""
    try:
        if hasattr(node, "autostart"):
            node.autostart()
    except REFUSALS as error:
        if received:  # asked to exit meanwhile, not a failure
            return
        _tell(error)
        raise Leave(1) from None


def _close(node: Any) -> int:
    """Close a node; return 1 on failure, which must not prevent its destruction."""
    try:
        return int(node.close()) if hasattr(node, "close") else 0
    except Exception:
        node.get_logger().error(f"closing failed:\n{traceback.format_exc()}")
        return 1


def _tell(error: Exception) -> None:
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
