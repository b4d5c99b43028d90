"""Another policy file takes over from the one that acts, without a tick being missed."""

from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.task import Future
from std_srvs.srv import Trigger

from vdd_ros.errors import VddError
from vdd_ros.nodes.policy_loading import Loaded
from vdd_ros.nodes.policy_relief import Done

CLOSED = "the node was cleaned up meanwhile"


class HotSwap:
    """The service `~/load_policy`: the file of the parameter `next_policy` is loaded beside the ticks and takes over.

    The service answers when the new policy acts, or why it does not; then the old one acts on.

    Args:
        node: The node.
        load: Loads the file of a path; runs in a thread of its own.
        take_over: Lets a loaded policy take over, and calls its second argument, from whatever thread, with why it did
            not; empty where it acts.
        taken_over: Called when it acts.
        refused: Told why a file was not loaded.
    """

    def __init__(
        self,
        node: LifecycleNode,
        load: Callable[[str], Loaded],
        take_over: Callable[[Loaded, Done], None],
        taken_over: Callable[[Loaded], None],
        refused: Callable[[str], None],
    ) -> None:
        self._node = node
        self._load = load
        self._take_over = take_over
        self._taken_over = taken_over
        self._refused = refused
        self._busy = False
        self._calls = 0
        self._closed = False
        self._awaited: Future | None = None
        # In the node's own group, a call that waits would keep the ticks from running.
        self._service = node.create_service(
            Trigger, "~/load_policy", self._serve, callback_group=ReentrantCallbackGroup()
        )

    def destroy(self) -> None:
        """Take the service down, after the answer to a call that waits."""
        self._closed = True
        if self._awaited is not None:
            self._awaited.set_result(CLOSED)
        if not self._calls:
            self._node.destroy_service(self._service)

    async def _serve(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        path = self._node.get_parameter("next_policy").value
        self._calls += 1
        response.message = await self._swap(path)
        self._calls -= 1
        executor = self._node.executor
        if self._closed and not self._calls and executor is not None:
            executor.create_task(self._node.destroy_service, self._service)  # later: the answer needs the service
        response.success = not response.message
        if response.message:
            self._refused(f"{path}: {response.message}")
            self._node.get_logger().error(f"{path} was not loaded, the policy stays: {response.message}")
        else:
            self._node.get_logger().info(f"{path} has taken over")
        return response

    async def _swap(self, path: str) -> str:
        """Return why the policy could not be loaded; empty when it acts."""
        if self._busy:
            return "another file is being loaded; call again when that is done"
        if not path:
            return "the parameter next_policy is not set; set it to the path of a policy file"
        self._busy = True
        try:
            reason = await self._replace(path)
            return CLOSED if self._closed else reason
        except Exception as error:  # nothing has changed: the old policy acts on
            return str(error) if isinstance(error, VddError) else f"{type(error).__name__}: {error}"
        finally:
            self._busy = False
            self._awaited = None

    async def _replace(self, path: str) -> str:
        """Load a policy and let it take over; return why it did not, empty when it acts."""
        loaded: Future = Future(executor=self._node.executor)
        Thread(target=self._load_into, args=(path, loaded), daemon=True, name="load_policy").start()
        result = await loaded
        if not isinstance(result, Loaded):
            return str(result)
        if self._closed:
            result.pilot.chunks.close()
            return CLOSED
        done = self._awaited = Future(executor=self._node.executor)
        self._take_over(result, partial(self._settle, done))
        reason = str(await done)
        if not reason:
            self._tell(path, result)
        return reason

    def _tell(self, path: str, loaded: Loaded) -> None:
        """Tell that a policy acts, which it does even where that fails."""
        if self._closed:
            return
        try:
            self._taken_over(loaded)
        except Exception as error:
            self._node.get_logger().error(f"{path} acts, but telling so failed: {type(error).__name__}: {error}")

    def _load_into(self, path: str, future: Future) -> None:
        try:
            result: Any = self._load(path)
        except Exception as error:  # whatever it is, the caller has to hear of it
            result = error
        self._settle(future, result)

    def _settle(self, future: Future, result: Any) -> None:
        """Set a result, from whatever thread, and wake the executor, which does not notice by itself."""
        future.set_result(result)
        if self._node.executor is not None:
            self._node.executor.wake()
