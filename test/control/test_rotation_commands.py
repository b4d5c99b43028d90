"""Commanded orientations, limited by their angle, and angles that go to the nearest turn."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arm_rig import Arm, arm_document
from loop_rig import PERIOD_S, Rig
from policy_files import write_mixture
from robot_messages import pose
from scipy.spatial.transform import Rotation

from vdd_ros.control.limits import CommandLimits
from vdd_ros.control.rotation_limits import RotationLimit
from vdd_ros.errors import RobotFileError
from vdd_ros.features import Feature
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.command_channel import CommandChannel
from vdd_ros.robot.command_rotations import FORMS, CommandRotation, bounded
from vdd_ros.robot.command_warnings import command_warnings
from vdd_ros.robot.robot_file import RobotFile

RNG = np.random.default_rng(3)
POSE = "geometry_msgs/msg/PoseStamped"
UNITS = {"quaternion": "1", "yaw": "rad", "vector": "rad", "six_d": "1"}


def document(form: str = "quaternion", **entry: Any) -> dict[str, Any]:
    """Return the robot file of a tool whose pose is seen (orientation in six numbers) and commanded."""
    seen = {"px": {"field": "pose.position.x", "unit": "m"}, "tool": {"field": "pose.orientation", "rotation": "six_d"}}
    tool = {"topic": "tool", "type": POSE, "max_age_s": 0.2, "entries": seen}
    place = {"unit": "m", "low": -1.0, "high": 1.0, "max_step": 0.1}
    places = [{"name": f"pose.position.{axis}", "action": axis} | place for axis in "xyz"]
    turn = {"name": "pose.orientation", "rotation": form, "action": "turn", "max_step": 0.05} | entry
    command = {"topic": "target", "type": POSE, "on_loss": "hold", "entries": [*places, turn]}
    return {"inputs": {"tool": tool}, "command": command}


def features(given: dict[str, Any]) -> tuple[tuple[Feature, ...], tuple[Feature, ...]]:
    """Return observation and action."""
    signature = RobotFile.from_dict(given).signature
    return signature.observation, signature.action


def numbers_of(form: str, rotation: Rotation) -> list[float]:
    """Return a rotation as a form has it, by SciPy."""
    matrix = rotation.as_matrix()
    return {
        "quaternion": lambda: rotation.as_quat().tolist(),
        "yaw": lambda: [rotation.as_euler("ZYX")[0]],
        "vector": lambda: rotation.as_rotvec().tolist(),
        "six_d": lambda: [*matrix[:, 0], *matrix[:, 1]],
    }[form]()


def angle(one: Any, other: Any) -> float:
    """Return the angle between two quaternions, by SciPy."""
    return float((Rotation.from_quat(one) * Rotation.from_quat(other).inv()).magnitude())


@pytest.mark.parametrize("form", FORMS)
def test_each_form_becomes_the_quaternion_and_back(form: str) -> None:
    observation, action = features(document(form))
    assert [(feature.name, feature.unit) for feature in action[3:]] == [
        (f"turn{end}", UNITS[form]) for end in FORMS[form]
    ]
    channel = CommandChannel(RobotFile.from_dict(document(form)).commands, observation, action)
    for _ in range(50):
        rotation = Rotation.from_euler("Z", RNG.uniform(-3, 3)) if form == "yaw" else Rotation.random(random_state=RNG)
        given = np.array([0.1, 0.2, 0.3, *numbers_of(form, rotation)])
        out, back = np.zeros(7), np.zeros(len(action))
        channel.from_action(given, np.zeros(len(observation)), out)
        assert out[:3].tolist() == [0.1, 0.2, 0.3]
        assert np.linalg.norm(out[3:]) == pytest.approx(1.0, abs=1e-12)
        assert angle(out[3:], rotation.as_quat()) < 1e-6
        channel.to_action(out, np.zeros(len(observation)), back, before=out)
        again = np.zeros(7)
        channel.from_action(back, np.zeros(len(observation)), again)
        assert angle(again[3:], out[3:]) < 1e-6


def test_a_quaternion_of_another_length_is_normalised() -> None:
    observation, action = features(document())
    channel, out = CommandChannel(RobotFile.from_dict(document()).commands, observation, action), np.zeros(7)
    channel.from_action(np.array([0, 0, 0, 0, 0, 0.6, 0.6]), np.zeros(len(observation)), out)
    assert out[3:] == pytest.approx([0, 0, math.sqrt(0.5), math.sqrt(0.5)])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0])
def test_numbers_that_are_no_rotation_are_refused(form: str, bad: float) -> None:
    """Zeros are a rotation as a vector or a yaw, and none as a quaternion or as columns."""
    observation, action = features(document(form))
    channel, out = CommandChannel(RobotFile.from_dict(document(form)).commands, observation, action), np.zeros(7)
    channel.from_action(np.array([0.0] * 3 + [bad] * (len(action) - 3)), np.zeros(len(observation)), out)
    fine = bad == 0.0 and form in ("yaw", "vector")
    assert np.isfinite(out[3:]).all() == fine
    limits = CommandLimits([-2.0] * 7, [2.0] * 7)
    assert limits.apply(out) == fine


def test_the_nearest_orientation_within_an_angle_is_on_the_shortest_way() -> None:
    for _ in range(200):
        start, wanted = (Rotation.random(random_state=RNG) for _ in range(2))
        most = RNG.uniform(0.01, math.pi)
        found = Rotation.from_quat(bounded(wanted.as_quat(), start.as_quat(), most))
        whole = (wanted * start.inv()).magnitude()
        assert (found * start.inv()).magnitude() == pytest.approx(min(whole, most), abs=1e-6)
        assert (wanted * found.inv()).magnitude() == pytest.approx(max(0.0, whole - most), abs=1e-6)


def test_a_quaternion_keeps_the_sign_of_the_last_one() -> None:
    """q and -q are one rotation; a controller that interpolates the four numbers must not see a jump."""
    start = Rotation.from_rotvec([0.1, 0.2, 0.3]).as_quat()
    near = Rotation.from_rotvec([0.1, 0.2, 0.31]).as_quat()
    assert np.dot(bounded(tuple(-near), tuple(start), 0.5), start) > 0


def limit(**more: Any) -> RotationLimit:
    given = {"max_step": 0.05, "max_error": math.inf, "first_step": 0.05} | more
    return RotationLimit(CommandRotation("q", "quaternion", "q", "rad", False, None, **given), 0)


def test_successive_commands_are_within_max_step_by_angle() -> None:
    limits = CommandLimits([-math.inf] * 4, [math.inf] * 4, rotations=[limit()])
    limits.restart(np.array([0.0, 0.0, 0.0, 1.0]))
    goal, last = Rotation.from_rotvec([0.0, 0.9, -0.8]).as_quat(), np.array([0.0, 0.0, 0.0, 1.0])
    whole = angle(goal, last)
    for count in range(1, 40):
        command = goal.copy()
        assert limits.apply(command)
        assert angle(command, last) <= 0.05 + 1e-9
        assert angle(command, [0, 0, 0, 1]) == pytest.approx(min(0.05 * count, whole), abs=1e-6)
        last = command
    assert limits.too_far[0] == math.floor(whole / 0.05)
    assert angle(last, goal) < 1e-6


def test_a_command_waits_within_max_error_of_the_measured_orientation() -> None:
    limits = CommandLimits([-math.inf] * 4, [math.inf] * 4, rotations=[limit(max_step=math.inf, max_error=0.2)])
    command = Rotation.from_rotvec([0, 0, 1.0]).as_quat()
    assert limits.apply(command, [0.0, 0.0, 0.0, 1.0])
    assert angle(command, [0, 0, 0, 1]) == pytest.approx(0.2)
    assert (limits.waits, limits.waited[0]) == ([0], 1)
    assert limits.is_beside(command.tolist(), Rotation.from_rotvec([0, 0, 0.3]).as_quat().tolist())


def tool_rig(folder: Path, given: dict[str, Any], act: Any, **settings: Any) -> Rig:
    """Return a loop whose policy answers `act`."""
    observation, action = features(given)
    limited = tuple(Feature(one.name, one.unit, -4.0, 4.0) for one in action)
    path = write_mixture(folder / "tool.onnx", observation=observation, action=limited)
    policy = OnnxPolicy.load(path, expert="greedy")
    inner = policy.act
    policy.act = lambda *a: inner(*a)._replace(action=np.array([act], np.float32))  # type: ignore[method-assign]
    return Rig(policy, RobotFile.from_dict(given), **settings)


def tool_pose(rotation: Rotation, now_s: float) -> Any:
    """Return a message of the tool's pose."""
    message = pose(0.0, 0.0, stamp_s=now_s)
    turned = rotation.as_quat()
    message.pose.orientation = type(message.pose.position)(**dict(zip("xyzw", turned.tolist(), strict=True)))
    return message


def test_a_first_command_starts_from_the_measured_orientation(tmp_path: Path) -> None:
    given, start = document("vector", measured="tool", relative_to="last_command"), Rotation.from_rotvec([0.4, 0, 0.5])
    turn = np.array([0.0, 0.03, 0.0])
    rig, now_s = tool_rig(tmp_path, given, [0.0, 0.0, 0.0, *turn]), 10.0
    for count in range(1, 4):
        now_s += PERIOD_S
        rig.receive("tool", tool_pose(start, now_s), now_s)
        rig.loop.tick(now_s, 0.0)
        expected = Rotation.from_rotvec(turn) ** count * start
        assert angle(rig.out.commands[-1][3:], expected.as_quat()) < 1e-5


def test_a_first_command_far_from_the_measured_orientation_is_refused(tmp_path: Path) -> None:
    given = document("vector", measured="tool")
    given["command"]["entries"][0] |= {"measured": "px"}
    for entry in given["command"]["entries"][1:3]:
        entry |= {"measured": "px"}
    rig = tool_rig(tmp_path, given, [0.0, 0.0, 0.0, 0.0, 0.0, 0.3], first_action="refuse")
    rig.receive("tool", tool_pose(Rotation.identity(), 10.0), 10.0)
    rig.loop.tick(10.0, 0.0)
    assert (rig.out.commands, rig.loop.counters.first_refused) == ([], 1)
    rig.receive("tool", tool_pose(Rotation.from_rotvec([0, 0, 0.28]), 10.0 + PERIOD_S), 10.0 + PERIOD_S)
    rig.loop.tick(10.0 + PERIOD_S, 0.0)
    assert len(rig.out.commands) == 1


@pytest.mark.parametrize(
    ("form", "entry", "problem"),
    [
        ("yaws", {}, "rotation: is 'yaws' (did you mean 'yaw'?); allowed are quaternion, yaw, vector, six_d"),
        ("six_d", {"relative_to": "last_command", "measured": "tool"}, "relative_to: is for `rotation: vector`"),
        ("vector", {"relative_to": "last_command"}, "relative_to: needs `measured`"),
        ("vector", {"measured": "px"}, "measured: is 'px', which is not a `rotation` of any input"),
        ("vector", {"max_error": 0.1}, "max_error: has no effect without `measured`"),
        ("vector", {"unit": "m"}, "unit: 'm' cannot be converted to 'rad'"),
        ("vector", {"max_step": 0}, "max_step: must be above zero"),
        ("vector", {"low": -1.0}, "low: is unknown here"),
        ("vector", {"name": "pose.turn"}, "is 'pose.turn.x'; the numbers of a geometry_msgs/msg/PoseStamped"),
    ],
)
def test_what_is_no_orientation_is_refused(form: str, entry: dict[str, Any], problem: str) -> None:
    with pytest.raises(RobotFileError) as error:
        RobotFile.from_dict(document(form, **entry))
    assert problem in str(error.value)


def test_parts_of_a_quaternion_one_by_one_are_warned_about() -> None:
    given = document()
    part = {"unit": "1", "low": -1.0, "high": 1.0, "max_step": 0.1}
    given["command"]["entries"][3:] = [
        {"name": f"pose.orientation.{axis}", "action": f"q{axis}"} | part for axis in "xyzw"
    ]
    assert "limited one by one" in next(command_warnings(RobotFile.from_dict(given).commands[0]))[1]


def test_an_angle_goes_to_the_turn_nearest_to_the_last_command(tmp_path: Path) -> None:
    """A joint that turns freely stands at 3.1 rad; the policy says -3.1, which is 0.083 rad further, not 6.2 back."""
    arm = Arm(tmp_path, arm_document(wraps=True, low=-50.0, high=50.0, max_step=0.2))
    arm.places, arm.wants = np.array([3.1, 7.0]), [-3.1, 0.7]
    arm.tick()
    assert arm.commands[-1] == pytest.approx([2 * math.pi - 3.1, 2 * math.pi + 0.7], abs=1e-5)
    arm.wants = [-3.0, 0.6]
    arm.tick()
    assert arm.commands[-1] == pytest.approx([2 * math.pi - 3.0, 2 * math.pi + 0.6], abs=1e-5)


def test_an_angle_that_nothing_measures_goes_to_the_turn_nearest_to_the_last_command(tmp_path: Path) -> None:
    """Nobody knows where it stands before the first command; from then on, the shorter way is known."""
    arm = Arm(tmp_path, arm_document(wraps=True, measured=None, low=-50.0, high=50.0, max_step=0.2))
    arm.wants = [3.1, 3.9]
    arm.tick()
    assert arm.commands[-1] == pytest.approx([3.1, 3.9], abs=1e-5)
    arm.wants = [-3.1, 3.8]
    arm.tick()
    assert arm.commands[-1] == pytest.approx([2 * math.pi - 3.1, 3.8], abs=1e-5)


@pytest.mark.parametrize("seen", [{"rotation": "yaw"}, {"rotation": "yaw", "encode": "sin_cos"}])
@pytest.mark.parametrize("form", FORMS)
def test_a_yaw_measures_no_whole_orientation(form: str, seen: dict[str, str]) -> None:
    """A tool that points down would be sent upright by the first command, half a turn in one period."""
    given = document(form, measured="tool")
    given["inputs"]["tool"]["entries"]["tool"] = {"field": "pose.orientation", **seen}
    if form == "yaw":
        assert RobotFile.from_dict(given).commands[0].entries[3].rotation is not None
        return
    with pytest.raises(
        RobotFileError, match=r"command.entries\[3\].measured: is 'tool', of which only the yaw is read"
    ):
        RobotFile.from_dict(given)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"wraps": "yes"}, "wraps: "),
        ({"wraps": True, "relative_to": "last_command"}, "wraps: is for absolute angles"),
        ({"wraps": True, "unit": "m"}, "wraps: 'rad' cannot be converted to 'm'"),
    ],
)
def test_what_does_not_wrap_is_refused(entry: dict[str, Any], problem: str) -> None:
    with pytest.raises(RobotFileError) as error:
        RobotFile.from_dict(arm_document(**entry))
    assert problem in str(error.value)
