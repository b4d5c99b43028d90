"""Actions that other packages register: robot files name them, and nodes send their goals."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from action_rig import HandedClient, HandedNode
from arm_rig import arm_document
from plugins import installed

pytest.importorskip("rclpy")

from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JoyFeedback
from trajectory_msgs.msg import JointTrajectory

from vdd_ros.errors import PluginError, RobotFileError
from vdd_ros.nodes.policy import goal_publisher
from vdd_ros.nodes.policy.goal_publisher import GoalPublisher
from vdd_ros.robot.command_channel import CommandChannel, CommandPart
from vdd_ros.robot.messages import MESSAGES, find_message
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.testing.messages import check_message

PERIOD_S, STAMP_NS = 0.02, 12_000_000_034
MOVE, SHAKE, FOLLOW = ADDED = [f"added_msgs/action/{name}" for name in ("Move", "Shake", "Follow")]
GOALS = dict(zip(ADDED, (PoseStamped, JoyFeedback, JointTrajectory), strict=True))
FLAGS = "observed=False, commands=True, is_action=True, zero_is_safe=False"
SOURCES = {
    MOVE: """
from vdd_ros.robot.messages.message import Message
from vdd_ros.robot.quantities import LENGTH
FIELDS = {"pose": {"position": dict.fromkeys("xyz", LENGTH)}}
ADDED = Message(type="added_msgs/action/Move", fields=FIELDS, has_header=True, FLAGS)
""",
    SHAKE: """
from vdd_ros.robot.messages.message import Message
from vdd_ros.robot.quantities import ACCELERATION, SPEED
ADDED = Message(type="added_msgs/action/Shake", fields={"id": SPEED, "intensity": ACCELERATION}, complete=True, FLAGS)
""",
    FOLLOW: """
from vdd_ros.robot.messages.joint_trajectory import JointTrajectory
from vdd_ros.robot.quantities import POSITIONS
LISTS = {"positions": POSITIONS}
SENT = {"has_header": True, "keeps_zero_stamp": True}
ADDED = JointTrajectory(type="added_msgs/action/Follow", lists=LISTS, named_by="joint", **SENT, FLAGS)
""",
    "control_msgs/action/GripperCommand": """
from vdd_ros.robot.messages.gripper_command import MESSAGE as ADDED
""",
}


@pytest.fixture
def interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package of the actions; their goals are messages that are installed."""
    actions: Any = ModuleType("added_msgs.action")
    for name, goal in GOALS.items():
        setattr(actions, name.rpartition("/")[2], SimpleNamespace(Goal=goal))
    monkeypatch.setitem(sys.modules, "added_msgs", ModuleType("added_msgs"))
    monkeypatch.setitem(sys.modules, "added_msgs.action", actions)
    monkeypatch.setattr(goal_publisher, "ActionClient", HandedClient)


@pytest.fixture
def added(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Install a package that registers an action; returns its type."""
    kind = str(request.param)
    monkeypatch.setattr(MESSAGES, "_loaded", {})
    with installed(MESSAGES, tmp_path, kind, SOURCES[kind].replace("FLAGS", FLAGS), "ADDED"):
        yield kind


def document(kind: str, *numbers: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """Return a robot file that commands an arm's first joint by a trajectory, and its second one through goals."""
    found = arm_document()
    arm = found.pop("command")
    goal = {"topic": "goals", "type": kind, "on_loss": "hold"} | keys
    goal["entries"] = [arm["entries"][1] | dict.fromkeys(("measured",)) | number for number in numbers]
    goal["entries"] = [{key: value for key, value in one.items() if value is not None} for one in goal["entries"]]
    return found | {"commands": {"arm": arm | {"entries": arm["entries"][:1]}, "more": goal}}


def goals_of(given: dict[str, Any]) -> tuple[GoalPublisher, HandedNode, CommandPart]:
    """Return the publisher of the second command of a robot file."""
    robot, node = RobotFile.from_dict(given), HandedNode()
    part = CommandChannel(robot.commands, robot.signature.observation, robot.signature.action).parts[1]
    node.get_clock = lambda: SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=STAMP_NS))  # type: ignore[method-assign]
    nothing: Callable[[], None] = lambda: None  # noqa: E731
    return (
        GoalPublisher(node, part, PERIOD_S, control=True, failed=nothing, changed=nothing),  # type: ignore[arg-type]
        node,
        part,
    )


def sent(given: dict[str, Any], *values: float) -> Any:
    """Return the goal that carries values of the second command."""
    goals, node, part = goals_of(given)
    every = np.zeros(part.place.stop)
    every[part.place] = values
    goals.send(every)
    return node.clients[0].goals[0].goal


FIXED = {"action": None, "low": None, "high": None, "max_step": None}
MOVES = [{"name": "pose.position.x", "unit": "cm", "scale": 100.0}, FIXED | {"name": "pose.position.z", "fixed": 0.3}]
SHAKES = [
    {"name": "id", "unit": "m/s", "low": 0.0, "high": 200.0},
    FIXED | {"name": "intensity", "fixed": 2.0, "unit": "m/s^2"},
]


@pytest.mark.parametrize("added", ADDED, indirect=True)
def test_it_conforms_with_the_goals_of_the_installed_package(interfaces: None, added: str) -> None:
    check_message(find_message(added))


@pytest.mark.parametrize("added", [MOVE], indirect=True)
def test_a_goal_with_a_header_is_stamped_when_it_is_sent(interfaces: None, added: str) -> None:
    moves = [MOVES[0] | {"low": -5.0, "high": 5.0}, MOVES[1] | {"unit": "m"}]
    goal = sent(document(added, *moves, frame_id="base"), 4.0, 0.3)
    assert (goal.pose.position.x, goal.pose.position.z) == pytest.approx((0.04, 0.3))
    assert (goal.header.frame_id, goal.header.stamp.sec, goal.header.stamp.nanosec) == ("base", 12, 34)


@pytest.mark.parametrize("added", [SHAKE], indirect=True)
def test_a_goal_of_whole_numbers_is_rounded(interfaces: None, added: str) -> None:
    goal = sent(document(added, *SHAKES), 56.7, 2.0)
    assert (goal.id, goal.intensity) == (57, 2.0)


@pytest.mark.parametrize("added", [SHAKE], indirect=True)
def test_limits_that_a_goal_cannot_hold_are_refused(interfaces: None, added: str) -> None:
    given = document(added, SHAKES[0] | {"high": 300.0}, SHAKES[1])
    with pytest.raises(RobotFileError, match=r"more.entries\[0\]: low is 0 and high is 300, but id in a .* is uint8"):
        goals_of(given)


@pytest.mark.parametrize("added", [SHAKE], indirect=True)
def test_speeds_in_a_goal_may_be_held_because_the_fail_safe_cancels_it(added: str) -> None:
    assert RobotFile.from_dict(document(added, *SHAKES)).commands[1].on_loss == "hold"
    with pytest.raises(RobotFileError, match=r"commands.more.on_loss: is 'zero', which is not a safe set point"):
        RobotFile.from_dict(document(added, *SHAKES, on_loss="zero"))


@pytest.mark.parametrize("added", [FOLLOW], indirect=True)
def test_a_goal_may_need_its_own_empty_form(interfaces: None, added: str) -> None:
    goal = sent(document(added, {"name": "elbow"}), 0.5)
    assert (goal.joint_names, goal.points[0].positions.tolist()) == (["elbow"], [0.5])
    assert goal.points[0].time_from_start.nanosec == PERIOD_S * 1e9
    assert (goal.header.stamp.sec, goal.header.stamp.nanosec) == (0, 0)


@pytest.mark.parametrize("added", [SHAKE], indirect=True)
def test_it_is_found_by_any_spelling_and_offered(added: str) -> None:
    robot = RobotFile.from_dict(document("added_msgs::action::Shake", *SHAKES))
    assert robot.commands[1].type == added
    with pytest.raises(RobotFileError, match=rf"'added_msgs/action/Other', which is an action.*{added}"):
        RobotFile.from_dict(document("added_msgs/action/Other", *SHAKES))
    given = arm_document()
    given["inputs"]["arm"]["type"] = added
    with pytest.raises(RobotFileError, match=rf"inputs.arm.type: is '{added}', a command type, which cannot be obser"):
        RobotFile.from_dict(given)


@pytest.mark.parametrize("added", ["control_msgs/action/GripperCommand"], indirect=True)
def test_an_action_that_ships_cannot_be_replaced(added: str) -> None:
    effort = {"name": "command.max_effort", "fixed": 20.0, "unit": "Nm"}
    with pytest.raises(PluginError, match=f"added_thing 1.2 registers message type '{added}', which ships with vdd"):
        RobotFile.from_dict(document(added, {"name": "command.position"}, FIXED | effort))
