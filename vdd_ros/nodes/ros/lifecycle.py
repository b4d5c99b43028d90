"""A lifecycle node that reports why a transition failed, and survives impossible transitions."""

import traceback
from collections.abc import Callable
from typing import Any

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from vdd_ros.errors import VddError
from vdd_ros.nodes.ros.containment import SparseLog


class ReasonedLifecycleNode(LifecycleNode):
    """Base of lifecycle nodes: subclasses implement `configure`, `activate`, `deactivate` and `cleanup`.

    rclpy swallows an exception in a transition callback. Here it is logged and kept as the reason, and the transition
    fails, so the node stays in its state. If several things fail, the first is the reason.

    Attributes:
        failure: Why the last transition failed or was incomplete; empty after full success.
    """

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.failure = ""
        self._refusals = SparseLog(lambda text: self.get_logger().warning(text))
        # In rclpy the error of an impossible transition escapes from the service and ends the process.
        self._change_state = self._service_change_state.callback
        self._service_change_state.callback = self._change_state_or_refuse

    @property
    def state(self) -> str:
        """The lifecycle state: unconfigured, inactive, active or finalized."""
        return str(self._state_machine.current_state[1])

    def configure(self) -> None:
        """Build everything; an exception fails the transition."""

    def activate(self) -> None:
        """Start the node's work."""

    def deactivate(self) -> str:
        """Stop the node's work; return what could not be completed, even though the node has stopped."""
        return ""

    def cleanup(self) -> None:
        """Release everything that `configure` built, even if only in part."""

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See LifecycleNode."""
        result = self._attempt("configure", self.configure)
        if result != TransitionCallbackReturn.SUCCESS:
            self._attempt("cleanup", self.cleanup, after=self.failure)
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See LifecycleNode."""
        return self._attempt("activate", self.activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See LifecycleNode."""
        return self._attempt("deactivate", self.deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See LifecycleNode."""
        return self._attempt("cleanup", self.cleanup)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See LifecycleNode."""
        failure = ""
        if state.label == "active":
            self._attempt("deactivate", self.deactivate)
            failure = self.failure
        return self._attempt("cleanup", self.cleanup, after=failure)

    def _attempt(self, what: str, action: Callable[[], str | None], after: str = "") -> TransitionCallbackReturn:
        """Run an action; an earlier failure, `after`, stays the reason."""
        result = TransitionCallbackReturn.FAILURE
        try:
            undone = action()
        except VddError as error:
            failure = f"{what}: {error}"
            self.get_logger().error(f"{what} failed: {error}")
        except Exception as error:
            failure = f"{what}: {type(error).__name__}: {error}"
            self.get_logger().error(f"{what} failed:\n{traceback.format_exc()}")
        else:
            result = TransitionCallbackReturn.SUCCESS
            failure = f"{what}: {undone}" if undone else ""
            if undone:
                self.get_logger().error(failure)
        self.failure = after or failure
        return result

    def _change_state_or_refuse(self, request: Any, response: Any) -> Any:
        try:
            return self._change_state(request, response)
        except rclpy_implementation.RCLError:
            self._refusals.tell(f"refused: transition {request.transition.id} is not possible while {self.state}")
            response.success = False
            return response
