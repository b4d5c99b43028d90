"""Calls the `loss_service` of a robot file until it succeeds."""

from collections.abc import Callable

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import Trigger

from vdd_ros.nodes.ros.containment import SparseLog
from vdd_ros.text import printable

AGAIN_S = 1.0


class FailsafeCall:
    """A call of a `std_srvs/srv/Trigger` service that is repeated once a second until it succeeds.

    A service may be briefly absent or busy when needed; one lost call must not be the last.

    Args:
        node: The node that calls.
        service: Name of the service.
        failed: Called for each call that failed.

    Attributes:
        wanted: Whether a call was requested and has not succeeded yet.
    """

    def __init__(self, node: Node, service: str, failed: Callable[[], None]) -> None:
        self.wanted = False
        self._node = node
        self._client = node.create_client(Trigger, service)
        self._failed = failed
        self._answer: Future | None = None
        self._failures = SparseLog(node.get_logger().error)
        self._timer = node.create_timer(AGAIN_S, self._again, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def name(self) -> str:
        """Full name of the service."""
        return str(self._client.srv_name)

    def start(self) -> None:
        """Call now and repeat until it succeeds; does not wait for the response."""
        self.wanted = True
        self._timer.reset()  # otherwise the timer might abandon the call at once
        self._call()

    def stop(self) -> None:
        """Stop calling."""
        self.wanted = False
        self._forget()

    def destroy(self) -> None:
        """Destroy the client."""
        self.stop()
        self._node.destroy_timer(self._timer)
        self._node.destroy_client(self._client)

    def _again(self) -> None:
        if not self.wanted:
            return
        if self._answer is not None:
            self._fail("it did not answer")
        self._call()

    def _call(self) -> None:
        self._forget()
        if self._client.service_is_ready():
            self._answer = self._client.call_async(Trigger.Request())
            self._answer.add_done_callback(self._judge)
        else:
            self._fail("it is not available")

    def _judge(self, answer: Future) -> None:
        if answer is not self._answer:
            return
        self._answer = None
        result = answer.result()
        if result is not None and result.success:
            self.wanted = False
        else:
            self._fail("it failed" if result is None else f"it failed: {printable(result.message)}")

    def _forget(self) -> None:
        if self._answer is not None:
            self._client.remove_pending_request(self._answer)
            self._answer = None

    def _fail(self, why: str) -> None:
        self._failed()
        self._failures.tell(f"loss_service {self._client.srv_name} was called, but {why}")
