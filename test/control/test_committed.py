"""What a policy with a prefix is told: the actions that the robot executes until the requested chunk arrives."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from echo_policy import write_echo
from loop_rig import AVOIDING, PERIOD_S, Rig
from numpy.typing import NDArray
from policy_files import write_mixture
from robot_messages import joint_state, pose

from vdd_ros.features import Feature
from vdd_ros.policy.act import Act
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile

HORIZON = 8
Floats = NDArray[np.float64]
Script = Callable[[int], Any]
"""From the number of an answer to its chunk, (horizon, act_dim)."""


class Told:
    """Answers by a script in place of a policy; keeps what it is told, by the tick of the question."""

    def __init__(self, policy: OnnxPolicy, script: Script) -> None:
        self.prefixes: dict[int, Floats | None] = {}
        self.script = script
        self.rig: Rig | None = None
        policy.act = self.act  # type: ignore[method-assign, assignment]

    def act(self, observation: Any, goal: Any, arrays: Any, prefix: Any = None) -> Act:
        assert self.rig is not None
        chunk = np.asarray(self.script(len(self.prefixes)), np.float32)
        self.prefixes[self.rig.loop.counters.ticks] = None if prefix is None else np.array(prefix, np.float64)
        return Act(chunk, 0, 0.0, np.ones(1, np.float32), None)


def answered(rig: Rig) -> None:
    """Wait for the open request, so that the next tick finds its answer."""
    asked = rig.loop.active.chunks._requested
    if asked is not None:
        asked.result(10.0)


def telling(file: Path, robot: RobotFile, script: Script, **settings: Any) -> tuple[Rig, Told]:
    policy = OnnxPolicy.load(file)
    told = Told(policy, script)
    told.rig = rig = Rig(policy, robot, **settings)
    return rig, told


def robot_of(entry: dict[str, Any], *, kind: str = "std_msgs/msg/Float64MultiArray") -> RobotFile:
    """Return the robot file of a joint that is seen in rad, and commanded as `entry` says."""
    seen = {"elbow": {"joint": "elbow", "interface": "position", "unit": "rad"}}
    arm = {"topic": "joint_states", "type": "sensor_msgs/msg/JointState", "max_age_s": 0.5, "entries": seen}
    number = {"name": "elbow", "action": "wanted", "max_error": math.inf} | entry
    command = {"topic": "arm", "type": kind, "on_loss": "hold", "entries": [number]}
    return RobotFile.from_dict({"inputs": {"arm": arm}, "command": command})


def arm(folder: Path, robot: RobotFile, script: Script, **settings: Any) -> tuple[Rig, Told]:
    """Return a loop for that joint, and what its policy was told."""
    features: dict[str, Any] = {"observation": (Feature("elbow", "rad"),), "action": (Feature("wanted", "rad", -4, 4),)}
    return telling(write_echo(folder / "arm.onnx", HORIZON, **features), robot, script, **settings)


def move(rig: Rig, ticks: int, start: float = 0.0, factor: float = 1.0) -> list[float]:
    """Tick; the joint stands where it was last told to be. Return where it stood at each tick."""
    places = []
    for _ in range(ticks):
        rig.time_s += PERIOD_S
        places.append(rig.out.commands[-1][0] * factor if rig.out.commands else start)
        rig.receive("arm", joint_state(rig.time_s, elbow=places[-1]), rig.time_s)
        rig.loop.tick(rig.time_s, 0.0)
        answered(rig)
    return places


@pytest.mark.parametrize("ahead", [1, 2, 3])
@pytest.mark.parametrize("control", [True, False])
def test_displacements_that_are_executed_are_told(tmp_path: Path, ahead: int, control: bool) -> None:
    """The robot obeys: each command less the place before it is the action; shadows are told what they would do."""
    rng = np.random.default_rng(5)
    chunks = rng.uniform(-0.004, 0.004, (20, HORIZON, 2))
    file = write_echo(tmp_path / "echo.onnx", HORIZON)
    rig, told = telling(
        file, RobotFile.load(AVOIDING), lambda n: chunks[n], control=control, action_steps=3, prefetch_ticks=ahead
    )
    place, asked, executed = np.array([0.5, 0.05]), [1], [np.zeros(2)] * 2
    for tick in range(1, 16):
        rig.time_s += PERIOD_S
        rig.see(tuple(place), tuple(place), rig.time_s)
        rig.loop.tick(rig.time_s, 0.0)
        answered(rig)
        if tick > 1:
            number = (tick - 2) // 3  # of the chunk, which takes over every three ticks
            question = 2 + 3 * number - ahead if number else 1
            executed.append(chunks[number][tick - question])
            place = place + executed[-1]
            if control:
                np.testing.assert_allclose(rig.out.commands[-1], place, atol=1e-7)
    asked += range(5 - ahead, 16, 3)
    assert list(told.prefixes) == asked
    for tick in asked:
        known = told.prefixes[tick]
        if tick <= 2:  # the question that starts, and the one in the tick of the first command
            assert known is None
        elif tick + ahead <= len(executed):
            assert known is not None
            np.testing.assert_allclose(known, executed[tick : tick + ahead], atol=1e-7)


@pytest.mark.parametrize(
    ("entry", "script"),
    [
        ({"unit": "deg", "low": -90, "high": 90, "max_step": 4, "measured": "elbow"}, lambda n: 0.8 * (-1.0) ** n),
        ({"unit": "rad", "low": -0.1, "high": 0.1, "max_step": 0.05, "measured": "elbow"}, lambda n: 0.4 - 0.2 * n),
    ],
)
def test_limited_commands_are_told_in_units_of_the_action(
    tmp_path: Path, entry: dict[str, Any], script: Script
) -> None:
    """The policy wants far more than limits permit: it is told what the robot does instead, also in the next ticks."""

    def chunk(number: int) -> Floats:
        return np.full((HORIZON, 1), script(number))

    rig, told = arm(tmp_path, robot_of(entry), chunk, action_steps=3, prefetch_ticks=2)
    factor = math.radians(1) if entry["unit"] == "deg" else 1.0
    move(rig, 14, 0.02, factor)
    executed = {tick: command[0] * factor for tick, command in enumerate(rig.out.commands, start=2)}
    checked = 0
    for tick, known in list(told.prefixes.items())[1:]:
        if tick + 1 in executed:
            assert known is not None
            np.testing.assert_allclose(known[:, 0], [executed[tick], executed[tick + 1]], atol=1e-6)
            checked += 1
    assert checked >= 3
    assert rig.loop.commander.limits.too_far[0] >= 3


def test_increments_are_told_after_limits(tmp_path: Path) -> None:
    """Added to the last command: a wanted 0.3 becomes 0.1, and nothing at the end of the range."""
    entry = {
        "unit": "rad",
        "low": -1,
        "high": 0.75,
        "max_step": 0.1,
        "relative_to": "last_command",
        "measured": "elbow",
    }
    rig, told = arm(tmp_path, robot_of(entry), lambda _: np.full((HORIZON, 1), 0.3), action_steps=3, prefetch_ticks=2)
    move(rig, 13)
    commands = [0.0, 0.0, *(command[0] for command in rig.out.commands)]  # that of the n-th tick is in place n
    for tick, known in list(told.prefixes.items())[1:-1]:
        assert known is not None
        steps = np.diff(commands[tick - 1 : tick + 2])
        np.testing.assert_allclose(known[:, 0], steps, atol=1e-6)
    assert commands[-1] == 0.75


def test_angles_are_told_at_the_turn_that_was_planned(tmp_path: Path) -> None:
    """The command passes half a turn, where the policy's angle jumps back by a whole one."""
    entry = {"unit": "rad", "low": -50, "high": 50, "max_step": 0.2, "measured": "elbow", "wraps": True}
    wanted = [math.remainder(3.0 + 0.05 * step, 2 * math.pi) for step in range(40)]

    def chunk(number: int) -> Floats:
        first = rig.loop.counters.ticks
        return np.array(wanted[first : first + HORIZON])[:, None]

    rig, told = arm(tmp_path, robot_of(entry), chunk, action_steps=3, prefetch_ticks=2)
    move(rig, 12, 3.0)
    assert max(command[0] for command in rig.out.commands) > math.pi
    for tick, known in list(told.prefixes.items())[1:]:
        assert known is not None
        np.testing.assert_allclose(known[:, 0], wanted[tick : tick + 2], atol=1e-6)
    assert min(wanted[:12]) < 0 < wanted[0]


def test_the_points_of_a_trajectory_are_told(tmp_path: Path) -> None:
    entry = {"unit": "rad", "low": -1, "high": 1, "max_step": 0.1, "measured": "elbow"}
    robot = robot_of(entry, kind="trajectory_msgs/msg/JointTrajectory")
    rig, told = arm(
        tmp_path,
        robot,
        lambda n: np.full((HORIZON, 1), 0.9 - 0.5 * n),
        action_steps=3,
        prefetch_ticks=2,
        trajectories=True,
    )
    for _ in range(11):
        rig.time_s += PERIOD_S
        sent = rig.out.trajectories
        rig.receive("arm", joint_state(rig.time_s, elbow=sent[-1][0][0] if sent else 0.0), rig.time_s)
        rig.loop.tick(rig.time_s, 0.0)
        answered(rig)
    questions = list(told.prefixes.items())
    assert [tick for tick, _ in questions] == [1, 3, 6, 9]
    for (tick, known), points, began in zip(questions[1:], rig.out.trajectories, (2, 5, 8), strict=False):
        assert known is not None
        executed = [point[0] for point in points[tick - began : tick - began + 2]]
        np.testing.assert_allclose(known[:, 0], executed, atol=1e-6)


def test_trajectories_of_increments_are_not_told(tmp_path: Path) -> None:
    entry = {"unit": "rad", "low": -1, "high": 1, "max_step": 0.1, "relative_to": "last_command", "measured": "elbow"}
    robot = robot_of(entry, kind="trajectory_msgs/msg/JointTrajectory")
    rig, told = arm(
        tmp_path, robot, lambda _: np.full((HORIZON, 1), 0.01), action_steps=3, prefetch_ticks=2, trajectories=True
    )
    for _ in range(7):
        rig.time_s += PERIOD_S
        rig.receive("arm", joint_state(rig.time_s, elbow=0.0), rig.time_s)
        rig.loop.tick(rig.time_s, 0.0)
        answered(rig)
    assert list(told.prefixes.values()) == [None] * 3


def test_what_is_told_ends_where_an_action_would_be_refused(tmp_path: Path) -> None:
    """The third action of the first chunk is not finite: it will enter the fail-safe, whose command is no action."""
    entry = {"unit": "rad", "low": -1, "high": 1, "max_step": 0.1, "measured": "elbow"}
    plan = np.array([0.0, 0.0, 0.01, math.nan, 0, 0, 0, 0])[:, None]
    rig, told = arm(tmp_path, robot_of(entry), lambda _: plan, action_steps=3, prefetch_ticks=2)
    move(rig, 3)
    assert list(told.prefixes) == [1, 3]
    known = told.prefixes[3]
    assert known is not None
    np.testing.assert_allclose(known, [[0.01]], atol=1e-7)
    failsafes = rig.loop.counters.failsafes
    move(rig, 1)
    assert rig.loop.counters.failsafes == failsafes + 1


def test_after_a_failsafe_nothing_is_told_until_commands_have_begun_again(tmp_path: Path) -> None:
    entry = {"unit": "rad", "low": -1, "high": 1, "max_step": 0.1, "measured": "elbow"}
    rig, told = arm(tmp_path, robot_of(entry), lambda _: np.full((HORIZON, 1), 0.05), action_steps=2, prefetch_ticks=2)
    move(rig, 6)
    assert [known is None for known in told.prefixes.values()] == [True, True, False, False]
    rig.loop.enter_failsafe()
    rig.time_s += 1.0  # the input is stale
    rig.loop.tick(rig.time_s, 0.0)
    before = len(told.prefixes)
    move(rig, 5)
    assert [known is None for known in list(told.prefixes.values())[before:]] == [True, True, False]


@pytest.mark.parametrize(("turn", "is_told"), [(0.02, True), (0.9, False)])
def test_orientations_are_told_unless_a_limit_has_turned_them(tmp_path: Path, turn: float, is_told: bool) -> None:
    """The policy turns by `turn` about z in each action; a command may turn by 0.05 rad."""
    limits = {"unit": "m", "low": -1.0, "high": 1.0, "max_step": 0.1}
    places = [{"name": f"pose.position.{axis}", "action": axis} | limits for axis in "xyz"]
    turned = {"name": "pose.orientation", "rotation": "quaternion", "action": "turn", "max_step": 0.05}
    pose_type = "geometry_msgs/msg/PoseStamped"
    robot = RobotFile.from_dict({
        "inputs": {
            "tool": {
                "topic": "tool", "type": pose_type, "max_age_s": 0.2,
                "entries": {"px": {"field": "pose.position.x", "unit": "m"}},
            }
        },
        "command": {"topic": "target", "type": pose_type, "on_loss": "hold", "entries": [*places, turned]},
    })  # fmt: skip
    action = tuple(Feature(one.name, one.unit, -4.0, 4.0) for one in robot.signature.action)
    file = write_echo(tmp_path / "tool.onnx", HORIZON, observation=robot.signature.observation, action=action)

    def chunk(number: int) -> Floats:
        angles = turn * (rig.loop.counters.ticks + np.arange(HORIZON))
        half, none = angles / 2, np.zeros(HORIZON)
        return np.stack([none + 0.02, *[none] * 4, np.sin(half), np.cos(half)], axis=1)

    rig, told = telling(file, robot, chunk, action_steps=3, prefetch_ticks=2)
    for _ in range(7):
        rig.time_s += PERIOD_S
        rig.receive("tool", pose(0.0, 0.0, stamp_s=rig.time_s), rig.time_s)
        rig.loop.tick(rig.time_s, 0.0)
        answered(rig)
    for tick, known in list(told.prefixes.items())[1:]:
        assert (known is not None) == is_told
        if known is not None:
            angles = turn * (tick + np.arange(2))
            np.testing.assert_allclose(known[:, 5:], np.stack([np.sin(angles / 2), np.cos(angles / 2)], 1), atol=1e-6)
            np.testing.assert_allclose(known[:, 0], 0.02, atol=1e-6)


def test_without_prefetching_nothing_is_executed_until_the_answer(tmp_path: Path) -> None:
    rig, told = arm(
        tmp_path,
        robot_of({"unit": "rad", "low": -1, "high": 1, "max_step": 0.1, "measured": "elbow"}),
        lambda _: np.full((HORIZON, 1), 0.05),
        action_steps=2,
    )
    move(rig, 5)
    assert list(told.prefixes.values()) == [None] * 3


def test_a_policy_that_takes_no_prefix_is_told_nothing(tmp_path: Path) -> None:
    file = write_mixture(tmp_path / "usual.onnx", horizon=HORIZON)
    rig, told = telling(
        file, RobotFile.load(AVOIDING), lambda _: np.zeros((HORIZON, 2)), action_steps=2, prefetch_ticks=1
    )
    for _ in range(7):
        rig.time_s += PERIOD_S
        rig.see((0.5, 0.05), (0.5, 0.05), rig.time_s)
        rig.loop.tick(rig.time_s, 0.0)
        answered(rig)
    assert len(told.prefixes) > 2
    assert set(told.prefixes.values()) == {None}


def test_the_answer_of_a_real_file_begins_with_what_it_was_told(tmp_path: Path) -> None:
    """Its density is the number of actions that it was told; the seam is the jump to what follows them."""
    file = write_echo(tmp_path / "echo.onnx", HORIZON, told=(0.003, 0.001), untold=(0.001, 0.002))
    rig = Rig(OnnxPolicy.load(file), RobotFile.load(AVOIDING), action_steps=3, prefetch_ticks=2)
    place = np.array([0.5, 0.05])
    for tick in range(1, 10):
        rig.time_s += PERIOD_S
        rig.see(tuple(place), tuple(place), rig.time_s)
        rig.loop.tick(rig.time_s, 0.0)
        answered(rig)
        if tick > 1:
            place = np.array(rig.out.commands[-1])
    steps = np.diff(np.array([(0.5, 0.05), *rig.out.commands]), axis=0)
    np.testing.assert_allclose(steps, [(0.001, 0.002)] * 3 + [(0.003, 0.001)] * 5, atol=1e-6)
    assert [decision["log_prob"] for decision in rig.out.decisions] == [0, 2, 2]
    chunks = rig.loop.active.chunks
    assert chunks._requested is not None
    answer = chunks._requested.result(10.0)[0]
    np.testing.assert_allclose(answer.action[:2], [(0.003, 0.001)] * 2, atol=1e-6)
    rig.loop.close()
