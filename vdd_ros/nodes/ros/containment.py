"""Errors of callbacks: caught, counted and logged, so that no message from the network ends a node.

Much of what an executor runs is foreign code: parameter services, the time source, message decoding. An error there
concerns one message and must not end a process that commands a robot.
"""

import time
from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from vdd_ros.errors import VddError
from vdd_ros.text import printable

QUIET_S = 10.0
"""Shortest time between two log lines on the same subject, in seconds."""


class Leave(Exception):
    """Raised by a node's callback to end the process, with its exit code."""

    def __init__(self, code: int = 0) -> None:
        super().__init__(code)
        self.code = code


class NodeFailed(Exception):
    """Raised in a callback if the node's own work failed and the node must end; `error` is the cause."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class SparseLog:
    """Logs the first line at once, later ones at most every `QUIET_S`, with the number of lines omitted.

    Args:
        log: Takes a line.
        now_s: A monotonic clock, in seconds.
    """

    def __init__(self, log: Callable[[str], object], now_s: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._now_s = now_s
        self._next_s = float("-inf")
        self._left_out = 0

    def tell(self, text: str) -> None:
        """Log a line, or count it."""
        now_s = self._now_s()
        if now_s < self._next_s:
            self._left_out += 1
            return
        more = f" ({self._left_out} more like this since the last line)" if self._left_out else ""
        self._log(text + more)
        self._next_s, self._left_out = now_s + QUIET_S, 0


class CallbackErrors:
    """Callback errors that did not end the node.

    Args:
        log: Takes a line for the log.

    Attributes:
        count: Number of errors.
        last: The newest error; empty if none.
    """

    def __init__(self, log: Callable[[str], object]) -> None:
        self.count = 0
        self.last = ""
        self._log = SparseLog(log)

    def note(self, what: str, error: Exception) -> None:
        """Count and log an error of a source, such as `service /policy/get_parameters`."""
        self.count += 1
        self.last = f"{what}: {type(error).__name__}: {printable(error)}"
        self._log.tell(f"an error was caught, the node continues: {self.last}")


class ContainingExecutor(SingleThreadedExecutor):
    """A single-threaded executor that continues after errors of callbacks and of taking messages.

    `Leave` and the error carried by `NodeFailed` pass through.

    Attributes:
        errors: Record of the errors; None: the first node's logger prints them.
    """

    errors: CallbackErrors | None = None

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait for one callback and run it; contain its errors."""
        try:
            super().spin_once(timeout_sec)
        except Leave:
            raise
        except NodeFailed as failed:
            raise failed.error from None
        except Exception as error:
            if not self.context.ok():  # the context can no longer receive
                raise
            self._note("a callback", error)

    # If taking fails, rclpy leaves the entity and its group marked busy forever, which would block all services.
    def _take_timer(self, tmr: Any) -> Any:
        return self._taken(super()._take_timer, tmr, "a timer")

    def _take_subscription(self, sub: Any) -> Any:
        return self._taken(super()._take_subscription, sub, f"topic {sub.topic_name}")

    def _take_client(self, client: Any) -> Any:
        return self._taken(super()._take_client, client, f"answer of service {client.srv_name}")

    def _take_service(self, srv: Any) -> Any:
        return self._taken(super()._take_service, srv, f"service {srv.srv_name}")

    def _take_waitable(self, waitable: Any) -> Any:
        return self._taken(super()._take_waitable, waitable, "an event")

    def _taken(self, take: Callable[[Any], Any], entity: Any, what: str) -> Any:
        """Take from an entity and return its handler with errors contained; None if taking failed."""
        try:
            execute = take(entity)
        except Exception as error:
            self._note(what, error)
            return None
        if execute is None:
            return None

        async def contained() -> None:
            try:
                await execute()
            except (Leave, NodeFailed):
                raise
            except Exception as error:
                self._note(what, error)

        return contained

    def _note(self, what: str, error: Exception) -> None:
        if self.errors is None:
            nodes = self.get_nodes()
            self.errors = CallbackErrors(nodes[0].get_logger().error if nodes else print)
        self.errors.note(what, error)


def ending(node: Node, error: Exception) -> Exception:
    """Return the exception with which a callback ends the spinning of its node after a fatal error."""
    return NodeFailed(error) if isinstance(node.executor, ContainingExecutor) else error


def answer_always(node: Node, errors: CallbackErrors) -> None:
    """Make the parameter services respond with the reason if rclpy raises; callers would wait forever otherwise."""
    for service in node.services:
        callback = service.callback
        if service.srv_name.endswith("/set_parameters"):
            service.callback = _each(callback, service.srv_type, errors)
        else:
            service.callback = _whole(callback, service.srv_type, f"service {service.srv_name}", errors)


def _each(callback: Callable[..., Any], kind: Any, errors: CallbackErrors) -> Callable[..., Any]:
    """Return a setter for parameters one by one, so that an unreadable one does not block the others."""

    def serve(request: Any, response: Any) -> Any:
        for parameter in request.parameters:
            try:
                one = callback(kind.Request(parameters=[parameter]), kind.Response())
                response.results.extend(one.results)
            except Exception as error:
                if not isinstance(error, VddError):
                    errors.note(f"parameter {printable(parameter.name)}", error)
                response.results.append(_refusal(error))
        return response

    return serve


def _whole(callback: Callable[..., Any], kind: Any, what: str, errors: CallbackErrors) -> Callable[..., Any]:
    """Return a handler that responds empty, or with the reason if the response has a field for it."""

    def serve(request: Any, response: Any) -> Any:
        try:
            return callback(request, response)
        except Exception as error:
            if not isinstance(error, VddError):
                errors.note(what, error)
            answer = kind.Response()
            if isinstance(getattr(answer, "result", None), SetParametersResult):
                answer.result = _refusal(error)
            return answer

    return serve


def _refusal(error: Exception) -> SetParametersResult:
    reason = str(error) if isinstance(error, VddError) else f"{type(error).__name__}: {printable(error)}"
    return SetParametersResult(successful=False, reason=reason)
