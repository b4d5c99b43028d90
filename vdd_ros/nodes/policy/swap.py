"""Hot swap: another policy file takes over without a missed tick."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.task import Future
from std_srvs.srv import Trigger

from vdd_ros.errors import VddError
from vdd_ros.nodes.policy.handover import Done, Outcome
from vdd_ros.nodes.policy.loader import Loader
from vdd_ros.nodes.policy.loading import LoadedPolicy
from vdd_ros.nodes.ros.containment import SparseLog
from vdd_ros.policy import trial
from vdd_ros.text import printable

CLOSED = "the node was cleaned up meanwhile"
LONGEST_REASON = 1000


@dataclass(frozen=True)
class SwapTarget:
    """The target of a load: the session of a configured node.

    Attributes:
        load: Loads the file at a path; runs in a separate thread.
        timeout_s: Time limit for loading, in seconds.
        take_over: Hands over to a loaded policy; calls its second argument with the outcome, from any thread.
        taken_over: Called once it is active.
        refused: Called with the reason for a refusal.
        ticking: Returns whether the node ticks.
    """

    load: Callable[[str], LoadedPolicy]
    timeout_s: float
    take_over: Callable[[LoadedPolicy, Done], None]
    taken_over: Callable[[LoadedPolicy], None]
    refused: Callable[[str], None]
    ticking: Callable[[], bool]


class HotSwap:
    """The service `~/load_policy`: loads the file of the parameter `next_policy` in the background and hands over.

    It lives as long as the node. It responds when the new policy is active, or with the reason why the old one stays.

    Args:
        node: The node.
        loader: Loads.
    """

    def __init__(self, node: LifecycleNode, loader: Loader) -> None:
        self._node = node
        self._loader = loader
        self._target: SwapTarget | None = None
        self._busy = False
        self._awaited: Future | None = None
        self._refusals = SparseLog(node.get_logger().error)
        # In the node's own group, a waiting call would block the ticks.
        self._service = node.create_service(
            Trigger, "~/load_policy", self._serve, callback_group=ReentrantCallbackGroup()
        )

    def connect(self, target: SwapTarget) -> None:
        """Set the target for later calls."""
        self._target = target

    def disconnect(self) -> None:
        """Remove the target; a waiting call gets its response."""
        self._target = None
        if self._awaited is not None:
            self._awaited.set_result(Outcome.refused(CLOSED))

    async def _serve(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        path = self._node.get_parameter("next_policy").value
        target = self._target
        outcome = await self._swap(path, target)
        response.success = outcome.acts
        response.message = printable(outcome.reason, LONGEST_REASON)
        if outcome.acts:
            self._node.get_logger().info(f"{printable(path)} has taken over")
            return response
        what = f"{printable(path)}: " if path else ""
        if target is not None:
            target.refused(what + response.message)
        self._refusals.tell(f"no other policy was loaded: {what}{response.message}")
        return response

    async def _swap(self, path: str, target: SwapTarget | None) -> Outcome:
        if self._busy:
            return Outcome.refused("another file is being loaded; call again once it is loaded")
        if target is None:
            return Outcome.refused("the node is not configured; configure it first")
        if not path:
            return Outcome.refused("the parameter next_policy is not set; set it to the path of a policy file")
        if target.ticking() and trial.opening_stops_python():
            return Outcome.refused(f"{trial.STOPS_TICKS}: deactivate the node first, or {trial.ADVICE}")
        self._busy = True
        try:
            outcome = await self._replace(path, target)
            return outcome if self._target is target else Outcome.refused(CLOSED)
        except Exception as error:  # nothing has changed: the old policy stays active
            return Outcome.refused(_text(error))
        finally:
            self._busy = False
            self._awaited = None

    async def _replace(self, path: str, target: SwapTarget) -> Outcome:
        """Load a policy and hand over to it."""
        result = await self._loaded(path, target)
        if isinstance(result, Outcome):
            return result
        if not isinstance(result, LoadedPolicy):
            return Outcome.refused(_text(result))
        if self._target is not target:
            result.active.chunks.close()
            return Outcome.refused(CLOSED)
        done = self._awaited = Future(executor=self._node.executor)
        target.take_over(result, partial(self._settle, done))
        outcome: Outcome = await done
        if outcome.acts and self._target is target:
            self._tell(path, result, target)
        return outcome

    async def _loaded(self, path: str, target: SwapTarget) -> Any:
        """Return the loaded policy, or the reason for none; cleanup ends the call without it."""
        future: Future = Future(executor=self._node.executor)
        self._awaited = future
        self._loader.begin(partial(target.load, path), target.timeout_s, partial(self._settle, future))
        return await future

    def _tell(self, path: str, loaded: LoadedPolicy, target: SwapTarget) -> None:
        """Report the active policy; a failed report does not undo the hand-over."""
        try:
            target.taken_over(loaded)
        except Exception as error:
            self._node.get_logger().error(
                f"{printable(path)} is active, but reporting it failed: {type(error).__name__}: {error}"
            )

    def _settle(self, future: Future, result: Any) -> None:
        """Set a result once, from any thread, and wake the executor, which does not notice by itself."""
        if future.done():
            if isinstance(result, LoadedPolicy):
                result.active.chunks.close()
            return
        future.set_result(result)
        if self._node.executor is not None:
            self._node.executor.wake()


def _text(error: Any) -> str:
    """Return a non-empty text for an error."""
    if isinstance(error, VddError) and str(error):
        return str(error)
    return f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else "nothing was loaded"
