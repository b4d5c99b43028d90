"""Subscriptions that the tick polls itself."""

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from rclpy.callback_groups import CallbackGroup
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

Callback = Callable[[Any, float], None]
"""Takes a message or its bytes, and its time of receipt in seconds since the epoch; 0 if the middleware has none."""

MOST_AT_ONCE = 100


class NobodysGroup(CallbackGroup):
    """A callback group that no executor ever runs."""

    def can_execute(self, entity: Any) -> bool:
        """Return False: never."""
        return False

    def beginning_execution(self, entity: Any) -> bool:
        """Return False: never."""
        return False

    def ending_execution(self, entity: Any) -> None:
        """Do nothing."""
        return None


class _Polled(NamedTuple):
    """A subscription, its callback, the messages waiting for hand-over, and whether they are bytes."""

    subscription: Subscription
    callback: Callback
    taken: deque[tuple[Any, float]]
    raw: bool


class TickInputs:
    """Topics whose messages wait in the middleware until the tick takes them.

    An executor would wake Python for every message and run the callback before or after the tick by chance. With
    polling a flooding sensor costs no tick, a tick sees exactly the messages before it, and no lock is needed.

    Args:
        node: The node.
        failed: Called with topic and error if a message could not be decoded or processed; the others continue. By
            default such errors are raised.
    """

    def __init__(self, node: Node, failed: Callable[[str, Exception], object] | None = None) -> None:
        self._node = node
        self._failed = failed
        self._group = NobodysGroup()
        self._subscriptions: list[_Polled] = []
        self._waiting: Any = None

    def add(self, kind: Any, topic: str, callback: Callback, qos: QoSProfile, *, raw: bool = False) -> None:
        """Subscribe to a topic; messages are handed over in the order of the topics' addition.

        Args:
            kind: Class of the messages.
            topic: The topic.
            callback: Takes the messages.
            qos: Quality of service.
            raw: Whether the callback takes bytes, with their encapsulation header, instead of messages.
        """
        subscription = self._node.create_subscription(kind, topic, _never, qos, callback_group=self._group, raw=raw)
        self._subscriptions.append(_Polled(subscription, callback, deque(), raw))
        self._waiting = None

    def take(self) -> None:
        """Hand over the queued messages.

        Topics are drained from last to first and handed over from first to last. So a message that arrived before one
        on a later topic is handed over first, even if both arrive during this call.
        """
        for polled in reversed(self._subscriptions):
            self._empty(*polled)
        for subscription, callback, taken, _ in self._subscriptions:
            while taken:
                try:
                    callback(*taken.popleft())
                except Exception as error:  # an error of one message: the tick continues
                    self._fail(subscription.topic_name, error)

    def _empty(
        self, subscription: Subscription, _callback: Callback, taken: deque[tuple[Any, float]], raw: bool
    ) -> None:
        handle, kind = subscription.handle, subscription.msg_type
        with handle:
            for _ in range(MOST_AT_ONCE):
                try:
                    found = handle.take_message(kind, raw)
                    if found is None:
                        break
                    taken.append((found[0], 1e-9 * found[1]["received_timestamp"]))
                except Exception as error:  # an error of one message: the tick continues
                    self._fail(subscription.topic_name, error)

    def discard(self) -> None:
        """Discard queued messages, except the newest ones of each latched topic, as many as its depth."""
        for subscription, callback, taken, raw in self._subscriptions:
            taken.clear()
            profile = subscription.qos_profile
            newest: deque[Any] = deque(maxlen=profile.depth if profile.durability.name == "TRANSIENT_LOCAL" else 0)
            try:
                with subscription.handle:
                    while (found := subscription.handle.take_message(subscription.msg_type, raw)) is not None:
                        newest.append(found)
            except Exception as error:
                self._fail(subscription.topic_name, error)
            for message, info in newest:
                try:
                    callback(message, 1e-9 * info["received_timestamp"])
                except Exception as error:  # an error of one message: newer ones count
                    self._fail(subscription.topic_name, error)

    def _fail(self, topic: str, error: Exception) -> None:
        if self._failed is None:
            raise error
        self._failed(topic, error)

    def wait(self, timeout_s: float) -> None:
        """Wait until a message arrives on any topic, for at most `timeout_s` seconds."""
        context = self._node.context.handle
        if context is None:
            return
        with context:
            if self._waiting is None:
                self._waiting = rclpy_implementation.WaitSet(len(self._subscriptions), 0, 0, 0, 0, 0, context)
            self._waiting.clear_entities()
            for subscription, *_ in self._subscriptions:
                self._waiting.add_subscription(subscription.handle)
            self._waiting.wait(int(timeout_s * 1e9))

    def destroy(self) -> None:
        """Unsubscribe."""
        self._waiting = None
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop()[0])


def _never(_message: Any) -> None:
    """Placeholder for the callback that rclpy requires."""
