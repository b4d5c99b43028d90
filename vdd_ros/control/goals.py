"""The goals of an action, one at a time: without rclpy, whose action clients fit in."""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from vdd_ros.robot.command_channel import Floats
from vdd_ros.text import printable

SUCCEEDED, CANCELED = 4, 5
"""Of action_msgs/msg/GoalStatus."""


class Future(Protocol):
    """What is known later, as rclpy's futures."""

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call once the result is there."""

    def result(self) -> Any:
        """Return the result; raises what went wrong."""


class Goals:
    """Sends the newest wanted goal once no other is in flight.

    A goal is in flight from its sending to its result. If another one is wanted meanwhile, it is cancelled, and the
    newest wanted one follows its result. All calls come from one thread.

    Args:
        send: Sends a goal of these numbers, (m,); the future gives its handle, as those of rclpy's action clients.
        failed: Called with the reason for each goal that was rejected, aborted or not sent.
    """

    def __init__(self, send: Callable[[Floats], Future], failed: Callable[[str], None]) -> None:
        self._send = send
        self._failed = failed
        self._wanted: Floats | None = None
        self._asked: Future | None = None
        self._handle: Any = None
        self._withdrawn = False
        self._cancelling = False

    @property
    def busy(self) -> bool:
        """Whether a goal is in flight."""
        return self._asked is not None or self._handle is not None

    def want(self, numbers: Floats) -> None:
        """Want a goal of these numbers, (m,), instead of any before it."""
        self._wanted, self._withdrawn = numbers, False
        self._go_on()

    def withdraw(self) -> None:
        """Want no goal, and cancel the one that is in flight."""
        self._wanted, self._withdrawn = None, True
        self._go_on()

    def forget(self) -> None:
        """Forget the goal in flight, as when its server has gone: no answer can come."""
        self._asked = self._handle = self._wanted = None

    def _go_on(self) -> None:
        if self._asked is not None:  # its handle is needed to cancel it
            return
        if self._handle is not None:
            if (self._withdrawn or self._wanted is not None) and not self._cancelling:
                self._cancelling = True
                self._handle.cancel_goal_async()
            return
        if self._wanted is None:
            return
        numbers, self._wanted = self._wanted, None
        try:
            self._asked = asked = self._send(numbers)
        except Exception as error:  # of the middleware; the next goal is sent all the same
            self._failed(f"was not sent: {printable(error)}")
            return
        asked.add_done_callback(self._answered)

    def _answered(self, asked: Future) -> None:
        if asked is not self._asked:
            return
        self._asked = None
        handle = _result(asked)
        if handle is None or not handle.accepted:
            self._failed("was not answered" if handle is None else "was rejected")
        else:
            self._handle, self._cancelling = handle, False
            handle.get_result_async().add_done_callback(partial(self._ended, handle))
        self._go_on()

    def _ended(self, handle: Any, answer: Future) -> None:
        if handle is not self._handle:
            return
        self._handle = None
        ended = _result(answer)
        if ended is None or ended.status not in (SUCCEEDED, CANCELED):
            self._failed("has no result" if ended is None else f"was aborted (status {ended.status})")
        self._go_on()


def _result(future: Future) -> Any:
    try:
        return future.result()
    except Exception:  # whatever the middleware raises: there is none
        return None
