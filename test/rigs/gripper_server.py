"""A gripper's action server over DDS; tests end its goals."""

from typing import Any

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.task import Future
from ros_helpers import Bench

NAME = "gripper/gripper_cmd"


class GripperServer:
    """Serves the action on the bench's node.

    Attributes:
        accepts: Whether it accepts new goals.
        asked: The position of each goal that it was asked for, accepted or not.
        goals: The goals that it accepted.
        cancels: The positions of the goals that it was asked to cancel.
        most_at_once: The largest number of goals that were in flight at once.
    """

    def __init__(self, bench: Bench) -> None:
        from control_msgs.action import GripperCommand

        self._result = GripperCommand.Result
        self._executor = bench.executor
        self.accepts = True
        self.asked: list[float] = []
        self.goals: list[Goal] = []
        self.cancels: list[float] = []
        self.most_at_once = 0
        self._server: Any = ActionServer(
            bench.node,
            GripperCommand,
            NAME,
            execute_callback=self._execute,
            goal_callback=self._answer,
            cancel_callback=self._cancel,
        )

    @property
    def positions(self) -> list[float]:
        """The position of each goal that it accepted."""
        return [goal.position for goal in self.goals]

    @property
    def in_flight(self) -> list[float]:
        """The positions of the goals that have not ended."""
        return [goal.position for goal in self.goals if not goal.end.done()]

    def destroy(self) -> None:
        """Go, with all goals."""
        if self._server is not None:
            self._server.destroy()
        self._server = None

    def _answer(self, goal: Any) -> GoalResponse:
        self.asked.append(goal.command.position)
        return GoalResponse.ACCEPT if self.accepts else GoalResponse.REJECT

    def _cancel(self, handle: Any) -> CancelResponse:
        self.cancels.append(handle.request.command.position)
        return CancelResponse.ACCEPT

    async def _execute(self, handle: Any) -> Any:
        goal = Goal(handle.request.command, Future(executor=self._executor))
        self.goals.append(goal)
        self.most_at_once = max(self.most_at_once, len(self.in_flight))
        how = await goal.end
        if how == "cancelled":
            handle.canceled()
        elif how == "aborted":
            handle.abort()
        else:
            handle.succeed()
        return self._result()


class Goal:
    """A goal that was accepted.

    Attributes:
        position: Where the gripper shall go.
        effort: Its largest effort.
        end: Set it to `succeeded`, `aborted` or `cancelled`, and the goal ends so.
    """

    def __init__(self, command: Any, end: Future) -> None:
        self.position: float = command.position
        self.effort: float = command.max_effort
        self.end = end
