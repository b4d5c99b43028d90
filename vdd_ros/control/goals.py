"""The goals of an action, one at a time; without rclpy, but made for its action clients."""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from vdd_ros.robot.command_channel import Floats
from vdd_ros.text import printable

SUCCEEDED, CANCELED = 4, 5
"""Constants of action_msgs/msg/GoalStatus."""
REFUSED, UNKNOWN = 1, 2
"""Answers to a cancellation, from action_msgs/srv/CancelGoal."""
ANSWER_S = 2.0
"""Time limit for a server's answer to a goal or a cancellation."""


class Future(Protocol):
    """A later result, like rclpy's futures."""

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call a function once the result is available."""

    def result(self) -> Any:
        """Return the result, or raise its exception."""


class Goals:
    """Sends the newest requested goal once no other is in flight.

    A goal is in flight from its sending to its result. If another one is requested meanwhile, it is cancelled, and the
    newest requested one follows its result. A restarted server does not know the goal: no result will come, and the
    answer to the cancellation reveals this. All calls come from one thread.

    Args:
        send: Sends a goal of these numbers, (m,); the future returns its handle, as with rclpy's action clients.
        failed: Called with the reason for each goal that was rejected, aborted, lost or not sent.
        now_s: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        send: Callable[[Floats], Future],
        failed: Callable[[str], None],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._failed = failed
        self._now_s = now_s
        self._wanted: Floats | None = None
        self._sent: Floats | None = None
        self._asked: Future | None = None
        self._handle: Any = None
        self._to_cancel = False
        self._cancelling = False
        self._cancel_open = False
        self._since_s = 0.0

    @property
    def busy(self) -> bool:
        """Whether a goal is in flight."""
        return self._asked is not None or self._handle is not None

    def want(self, numbers: Floats) -> None:
        """Request a goal of these numbers, (m,), replacing any earlier one."""
        self._wanted, self._to_cancel = numbers, False
        self._go_on()

    def cancel(self) -> None:
        """Request no goal, and cancel the one in flight."""
        self._wanted, self._to_cancel = None, True
        self._go_on()

    def forget(self) -> None:
        """Forget the goal in flight, as when its server has gone: expect no answer.

        The server may only have been unreachable, so the goal is cancelled, now or if it is accepted after all.
        """
        handle = self._handle
        self._asked = self._handle = self._wanted = None
        if handle is not None and not self._cancelling:
            with suppress(Exception):  # a middleware error, since the server has gone
                handle.cancel_goal_async()

    def look(self) -> None:
        """Repeat requests that were not answered within `ANSWER_S`; call this a few times a second."""
        if self._now_s() - self._since_s < ANSWER_S:
            return
        if self._asked is not None:
            self._asked = None
            if self._wanted is None and not self._to_cancel:
                self._wanted = self._sent
            self._failed(f"was not answered within {ANSWER_S:g} s")
            self._go_on()
        elif self._cancel_open:
            self._failed(f"was to be cancelled, but the server did not answer within {ANSWER_S:g} s")
            self._cancel()

    def _go_on(self) -> None:
        if self._asked is not None:  # its handle is needed to cancel it
            return
        if self._handle is not None:
            if (self._to_cancel or self._wanted is not None) and not self._cancelling:
                self._cancel()
            return
        if self._wanted is None:
            return
        numbers, self._wanted = self._wanted, None
        self._sent, self._since_s = numbers, self._now_s()
        try:
            self._asked = asked = self._send(numbers)
        except Exception as error:  # a middleware error; the next goal is sent all the same
            self._failed(f"was not sent: {printable(error)}")
            return
        asked.add_done_callback(self._answered)

    def _cancel(self) -> None:
        """Cancel the goal in flight; `look` repeats this if there is no answer."""
        self._cancelling = self._cancel_open = True
        self._since_s = self._now_s()
        try:
            answer = self._handle.cancel_goal_async()
        except Exception as error:  # a middleware error; the cancellation is repeated
            self._failed(f"was not cancelled: {printable(error)}")
            return
        answer.add_done_callback(partial(self._cancelled, self._handle))

    def _answered(self, asked: Future) -> None:
        handle = _result(asked)
        if asked is not self._asked:
            if handle is not None and handle.accepted:  # too late: it is no longer expected
                handle.cancel_goal_async()
            return
        self._asked = None
        if handle is None or not handle.accepted:
            self._failed("was not answered" if handle is None else "was rejected")
        else:
            self._handle, self._cancelling, self._cancel_open = handle, False, False
            handle.get_result_async().add_done_callback(partial(self._ended, handle))
        self._go_on()

    def _cancelled(self, handle: Any, answer: Future) -> None:
        if handle is not self._handle or (found := _result(answer)) is None:
            return
        self._cancel_open = False
        if found.return_code == UNKNOWN:
            self._handle = None
            self._failed("is unknown to its server, which may have been restarted")
            self._go_on()
        elif found.return_code == REFUSED:
            self._failed("cannot be cancelled, says its server")

    def _ended(self, handle: Any, answer: Future) -> None:
        if handle is not self._handle:
            return
        self._handle, self._cancel_open = None, False
        ended = _result(answer)
        if ended is None or ended.status not in (SUCCEEDED, CANCELED):
            self._failed("has no result" if ended is None else f"was aborted (status {ended.status})")
        self._go_on()


def _result(future: Future) -> Any:
    try:
        return future.result()
    except Exception:  # any middleware error means that there is none
        return None
