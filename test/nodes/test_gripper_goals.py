"""A gripper with goals beside an arm: on the hand-fed loop, with a client that answers on the test's command."""

import inspect
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from action_rig import GripperAction, GripperNumbers, HandedClient, HandedGoal, HandedNode
from arm_rig import Arm, arm_document
from loop_rig import PERIOD_S
from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle

from vdd_ros.errors import ConfigurationError, RobotFileError
from vdd_ros.nodes.policy import goal_publisher
from vdd_ros.nodes.policy.goal_publisher import GoalPublisher
from vdd_ros.nodes.policy.publishers import PublishedOutputs
from vdd_ros.nodes.ros import messages
from vdd_ros.nodes.ros.messages import message_class
from vdd_ros.robot.robot_file import RobotFile

ACTION = "control_msgs/action/GripperCommand"
CANCELED = 5


def document(**of_gripper: Any) -> dict[str, Any]:
    """Return a robot file: a joint as trajectory, the other one through goals, within 0 to 1 rad."""
    found = arm_document(max_step=float("inf"), max_error=float("inf"))
    arm = found.pop("command")
    finger = arm["entries"][1] | {"name": "command.position", "low": 0.0, "high": 1.0}
    effort = {"name": "command.max_effort", "fixed": 20.0, "unit": "Nm"}
    gripper = {"topic": "gripper/gripper_cmd", "type": ACTION, "on_loss": "hold", "entries": [finger, effort]}
    found["commands"] = {"arm": arm | {"entries": arm["entries"][:1]}, "gripper": gripper | of_gripper}
    return found


class Gripper:
    """An arm on the hand-fed loop whose second command goes out as goals.

    Attributes:
        arm: The arm.
        node: The node of the client.
        goals: The publisher of goals.
    """

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.arm, self.node = Arm(folder, document(), **settings), HandedNode()
        commander, out = self.arm.rig.loop.commander, self.arm.rig.out
        self.failed = 0
        self.goals = GoalPublisher(
            self.node,  # type: ignore[arg-type]
            commander.channel.parts[1],
            PERIOD_S,
            control=True,
            failed=self._fail,
            changed=lambda: commander.obstruct(self.goals.obstacle),
        )
        command = out.command

        def send(values: Any, parts: tuple[int, ...]) -> None:
            command(values, parts)
            if 1 in parts:
                self.goals.send(values)

        out.command = send  # type: ignore[method-assign]
        out.cancel_goals = self.goals.cancel  # type: ignore[method-assign]

    @property
    def client(self) -> HandedClient:
        return self.node.clients[0]

    @property
    def positions(self) -> list[float]:
        return [goal.goal.command.position for goal in self.client.goals]

    def tick(self, wants: float) -> None:
        self.arm.wants = [0.0, wants]
        self.arm.tick()

    def _fail(self) -> None:
        self.failed += 1


@pytest.fixture
def gripper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gripper:
    found = messages.message_class
    monkeypatch.setattr(goal_publisher, "ActionClient", HandedClient)
    for module in (goal_publisher, messages):
        monkeypatch.setattr(module, "message_class", lambda kind: GripperAction if kind == ACTION else found(kind))
    monkeypatch.setattr(goal_publisher, "ReadyMessage", GripperNumbers)
    return Gripper(tmp_path)


def test_a_goal_is_sent_only_if_the_command_changes(gripper: Gripper) -> None:
    """By more than a hundredth of its range, in comparison with the last goal; other commands go out every tick."""
    for wants in (0.5, 0.505, 0.495, 0.509):
        gripper.tick(wants)
    assert gripper.positions == pytest.approx([0.5])
    assert gripper.client.goals[0].goal.command.max_effort == 20.0
    assert len(gripper.arm.rig.out.commands) == 4
    gripper.client.goals[0].accept()
    gripper.client.goals[0].end()
    gripper.tick(0.511)
    assert gripper.positions == pytest.approx([0.5, 0.511])


def test_never_more_than_one_goal_is_in_flight(gripper: Gripper) -> None:
    gripper.tick(0.2)
    first = gripper.client.goals[0]
    first.accept()
    for wants in (0.4, 0.6, 0.8):
        gripper.tick(wants)
    assert (len(gripper.client.goals), first.cancels) == (1, 1)
    first.end(CANCELED)
    assert gripper.positions == pytest.approx([0.2, 0.8])


def test_the_fail_safe_cancels_and_the_next_command_is_sent_whatever_it_is(gripper: Gripper) -> None:
    gripper.tick(0.2)
    first = gripper.client.goals[0]
    first.accept()
    gripper.arm.rig.loop.enter_failsafe()
    assert first.cancels == 1
    first.end(CANCELED)
    gripper.tick(0.2)
    assert gripper.positions == pytest.approx([0.2, 0.2])


def test_no_goal_leaves_if_a_guard_refuses_another_number_of_the_tick(gripper: Gripper) -> None:
    gripper.arm.wants = [np.nan, 0.5]
    gripper.arm.tick()
    assert (gripper.client.goals, gripper.arm.rig.out.commands) == ([], [])


def test_without_its_server_no_command_leaves_until_it_is_back(gripper: Gripper) -> None:
    gripper.tick(0.2)
    gripper.client.goals[0].accept()
    gripper.client.goals[0].ended = True  # with its server
    gripper.client.served = False
    gripper.node.timers[0]()
    gripper.tick(0.2)
    gripper.tick(0.2)
    counters = gripper.arm.rig.loop.counters
    assert (counters.obstructed, counters.failsafes, counters.commands) == (2, 1, 1)
    assert gripper.arm.rig.loop.commander.obstacle == "the action /gripper/gripper_cmd no longer has a server"
    gripper.client.served = True
    gripper.node.timers[0]()
    gripper.tick(0.2)
    assert counters.commands == 2
    assert gripper.positions == pytest.approx([0.2, 0.2])


def test_a_goal_that_was_withdrawn_before_the_executor_sent_it_is_not_sent(gripper: Gripper) -> None:
    """As where the fail-safe follows a command at once."""
    tasks: list[Callable[[], None]] = []
    gripper.node.executor.create_task = tasks.append
    gripper.tick(0.2)
    gripper.arm.rig.loop.stop()
    for task in reversed(tasks):  # as rclpy's executor
        task()
    assert (len(tasks), gripper.client.goals) == (2, [])


def test_of_goals_that_wait_for_the_executor_only_the_newest_is_sent(gripper: Gripper) -> None:
    tasks: list[Callable[[], None]] = []
    gripper.node.executor.create_task = tasks.append
    for wants in (0.2, 0.4, 0.6):
        gripper.tick(wants)
    for task in reversed(tasks):  # as rclpy's executor
        task()
    assert len(tasks) == 3
    assert gripper.positions == pytest.approx([0.6])
    gripper.client.goals[0].accept()
    assert gripper.client.goals[0].cancels == 0


@pytest.mark.parametrize("accepted_before", [True, False])
def test_a_client_cancels_before_it_is_destroyed(gripper: Gripper, accepted_before: bool) -> None:
    """As where a node is shut down while active: what was asked of the executor comes too late."""
    gripper.tick(0.2)
    client, goal = gripper.client, gripper.client.goals[0]
    if accepted_before:
        goal.accept()
    gripper.goals.destroy()
    gripper.tick(0.9)
    if not accepted_before:
        goal.accept()
    assert (goal.cancels, client.served) == (1, True)
    goal.end(CANCELED)
    gripper.node.timers[0]()
    assert (client.served, gripper.node.timers, len(client.goals)) == (False, [], 1)
    gripper.goals.destroy()


def test_a_client_whose_goal_does_not_end_is_destroyed_in_time(
    gripper: Gripper, monkeypatch: pytest.MonkeyPatch
) -> None:
    gripper.tick(0.2)
    gripper.client.goals[0].accept()
    monkeypatch.setattr(goal_publisher, "CLOSING_S", -1.0)
    gripper.goals.destroy()
    assert (gripper.client.goals[0].cancels, gripper.client.served, gripper.node.timers) == (1, False, [])


def test_activation_without_a_server_is_refused(gripper: Gripper) -> None:
    gripper.client.served = False
    gripper.node.timers[0]()
    gripper.client.served = True
    gripper.goals.await_server(1.0)
    assert gripper.arm.rig.loop.commander.obstacle == ""
    gripper.client.served = False
    with pytest.raises(ConfigurationError, match=r"commands.gripper: the action /gripper/gripper_cmd .*has no server"):
        gripper.goals.await_server(1.0)


def test_a_rejected_goal_is_counted_and_told(gripper: Gripper) -> None:
    gripper.tick(0.2)
    gripper.client.goals[0].reject()
    assert gripper.failed == 1
    assert gripper.node.errors == ["a goal of the action /gripper/gripper_cmd was rejected"]


def test_a_node_sends_goals_beside_its_messages(tmp_path: Path, gripper: Gripper) -> None:
    node, told = HandedNode(), list[str]()
    channel = Arm(tmp_path, document()).rig.loop.commander.channel
    outputs = PublishedOutputs(node, channel, 0.02, control=True)  # type: ignore[arg-type]
    outputs.obstructed = told.append
    outputs.await_servers(1.0)
    outputs.command(np.array([0.1, 0.5, 20.0]), (0, 1))
    outputs.trajectory(np.array([[0.1, 0.6, 20.0], [0.2, 0.7, 20.0]]), (0, 1))
    assert [topic for topic, _ in node.published] == ["arm/joint_trajectory"] * 2
    goal = node.clients[0].goals[0]
    goal.accept()
    outputs.cancel_goals()
    node.clients[0].served = False
    node.timers[0]()
    assert (goal.goal.command.position, goal.cancels) == (0.5, 1)
    assert told == ["the action /gripper/gripper_cmd no longer has a server"]
    outputs.flush(lambda _: pytest.fail("nothing is awaited of a server that has gone"))
    outputs.destroy()
    assert node.timers == []


def test_a_shadow_needs_neither_the_type_nor_a_server(tmp_path: Path) -> None:
    part = Arm(tmp_path, document()).rig.loop.commander.channel.parts[1]
    nothing: Callable[[], None] = lambda: None  # noqa: E731
    node: Any = SimpleNamespace()
    shadow = GoalPublisher(node, part, PERIOD_S, control=False, failed=nothing, changed=nothing)
    shadow.dry_run(np.zeros(3))
    shadow.await_server(1.0)
    shadow.destroy()
    assert not shadow.busy


def test_a_type_that_is_not_installed_is_told() -> None:
    with pytest.raises(
        RobotFileError, match=r"other_msgs/action/GripperCommand: the package other_msgs is not install"
    ):
        message_class("other_msgs/action/GripperCommand")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "zero": ({"on_loss": "zero"}, "is 'zero', which is not a safe set point"),
    "type": (
        {"type": "control_msgs/action/PointHead"},
        "an action; it must be a message type .* control_msgs/act",
    ),
    "effort": ({"entries": document()["commands"]["gripper"]["entries"][:1]}, "give these too: command.max_effort"),
    "unit": (
        {"entries": [document()["commands"]["gripper"]["entries"][0] | {"unit": "N"}]},
        "is 'N', a unit of force, but command.position in a control_msgs/action/GripperCommand is length or angle",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_robot_file_must_not_say(case: str) -> None:
    given, expected = REFUSED[case]
    with pytest.raises(RobotFileError, match=expected):
        RobotFile.from_dict(document(**given))


def test_goals_are_no_topic_that_can_be_observed() -> None:
    given = document()
    given["inputs"]["last"] = {"command": "gripper", "entries": "all"}
    with pytest.raises(RobotFileError, match=r"inputs.last.command: is 'gripper', which is sent as goals of an action"):
        RobotFile.from_dict(given)
    given["inputs"]["last"] = {"topic": "a", "type": ACTION, "max_age_s": 1.0, "entries": {"a": {"field": "b"}}}
    with pytest.raises(RobotFileError, match=r"inputs\.last"):
        RobotFile.from_dict(given)


def test_a_tolerance_goes_with_goals_only() -> None:
    given = document()
    given["commands"]["gripper"]["entries"][0] |= {"tolerance": 0.2, "scale": -0.5}
    assert RobotFile.from_dict(given).commands[1].entries[0].goal_tolerance == pytest.approx(0.4)
    given["commands"]["arm"]["entries"][0]["tolerance"] = 0.1
    with pytest.raises(RobotFileError, match=r"commands.arm.entries\[0\].tolerance: is for the goals of an action"):
        RobotFile.from_dict(given)


@pytest.mark.parametrize(("handed", "real"), [(HandedClient, ActionClient), (HandedGoal, ClientGoalHandle)])
def test_the_client_by_hand_is_called_as_that_of_rclpy(handed: type, real: type) -> None:
    """What the publisher of goals calls is there, and takes the same arguments."""
    ours = {"goal", "accept", "reject", "end", "answer_cancel"}  # of the test
    for name in (name for name in vars(handed) if not name.startswith("_") and name not in ours):
        taken = set(inspect.signature(getattr(handed, name)).parameters)
        assert taken <= set(inspect.signature(getattr(real, name)).parameters), name
    assert isinstance(inspect.getattr_static(ClientGoalHandle, "accepted"), property)
