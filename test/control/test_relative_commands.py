"""Actions added to the last command, fixed numbers, and values that a scale and an offset turn into numbers."""

import math
from array import array
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from arm_rig import MAX_STEP, Arm, arm_document

from vdd_ros.errors import RobotFileError
from vdd_ros.features import Feature
from vdd_ros.robot.command_channel import CommandChannel, CommandPart
from vdd_ros.robot.command_warnings import command_warnings
from vdd_ros.robot.robot_file import RobotFile

SAG = 0.01
TICKS = 183


def sagging(folder: Path, relative_to: str, **entry: Any) -> Arm:
    """Return an arm that hangs `SAG` below its last command, after `TICKS` ticks of a policy that wants nothing."""
    document = arm_document(relative_to=relative_to, max_error=math.inf, **entry)
    for number, joint in zip(document["command"]["entries"], ("shoulder", "elbow"), strict=True):
        number["relative_to"] = joint if relative_to == "measured" else relative_to
    arm = Arm(folder, document)
    for _ in range(TICKS):
        arm.tick()
        arm.places = arm.commands[-1] - SAG
    return arm


def test_a_displacement_of_what_is_measured_drifts(tmp_path: Path) -> None:
    """Each command starts from where the robot sagged to: 10 mrad become 1.8 rad, and the file is warned about."""
    arm = sagging(tmp_path, "measured")
    assert arm.commands[-1] == pytest.approx([-(TICKS - 1) * SAG] * 2, abs=1e-4)
    found = list(command_warnings(RobotFile.from_dict(arm_document(relative_to="shoulder", measured=None)).commands[0]))
    assert "the error accumulates; use `relative_to: last_command`" in found[0][1]


def test_a_displacement_of_the_last_command_does_not(tmp_path: Path) -> None:
    arm = sagging(tmp_path, "last_command")
    assert arm.commands == pytest.approx(np.zeros((TICKS, 2)), abs=1e-9)


def test_displacements_of_the_last_command_add_up_from_the_measured_place(tmp_path: Path) -> None:
    arm = Arm(tmp_path, arm_document(relative_to="last_command"))
    arm.places, arm.wants = np.array([0.3, -0.2]), [0.01, -0.005]
    for count in range(1, 5):
        arm.tick()
        assert arm.commands[-1] == pytest.approx(np.array([0.3, -0.2]) + count * np.array(arm.wants), abs=1e-6)


def test_what_limits_cut_off_is_not_made_up_for(tmp_path: Path) -> None:
    """The last command is the one that was sent, so that a displacement beyond max_step does not wind up."""
    arm = Arm(tmp_path, arm_document(relative_to="last_command"))
    arm.wants = [5 * MAX_STEP, 0.0]
    arm.tick()
    arm.tick()
    arm.wants = [0.0, 0.0]
    arm.tick()
    assert arm.commands[:, 0].tolist() == pytest.approx([MAX_STEP, 2 * MAX_STEP, 2 * MAX_STEP])


def test_after_a_fail_safe_it_starts_from_the_measured_place_again(tmp_path: Path) -> None:
    arm = Arm(tmp_path, arm_document(relative_to="last_command"))
    arm.wants = [0.01, 0.01]
    arm.tick()
    arm.rig.loop.enter_failsafe()
    arm.places = np.array([0.1, -0.1])
    arm.tick()
    assert arm.commands[-1] == pytest.approx([0.11, -0.09], abs=1e-6)


def test_a_chunk_of_displacements_adds_up_within_a_trajectory(tmp_path: Path) -> None:
    arm = Arm(tmp_path, arm_document(relative_to="last_command"), horizon=4, action_steps=4, trajectories=True)
    arm.places, arm.wants = np.array([0.1, 0.2]), np.full((4, 2), 0.01)
    arm.tick()
    expected = arm.places + 0.01 * np.arange(1, 5)[:, None]
    assert np.array(arm.rig.out.trajectories[0]) == pytest.approx(expected, abs=1e-6)


def test_speeds_that_add_up_start_from_zero(tmp_path: Path) -> None:
    document = arm_document(relative_to="last_command", unit="rad/s", measured=None)
    document["command"] |= {"on_loss": "zero"}
    arm = Arm(tmp_path, document, action_units=("rad/s", "rad/s"))
    arm.wants = [0.01, 0.0]
    arm.tick()
    arm.tick()
    assert arm.commands[:, 0].tolist() == pytest.approx([0.01, 0.02])


def test_the_action_of_a_command_is_what_was_added() -> None:
    document = arm_document(relative_to="last_command")
    features = [Feature("shoulder", "rad"), Feature("elbow", "rad")]
    actions = [Feature("elbow_target", "deg"), Feature("shoulder_target", "rad")]
    channel = CommandChannel(RobotFile.from_dict(document).commands, features, actions)
    observation, out = np.array([1.0, 2.0]), np.zeros(2)
    channel.to_action(np.array([1.1, 2.2]), observation, out, before=np.array([1.0, 2.1]))
    assert out == pytest.approx([math.degrees(0.1), 0.1])
    channel.to_action(np.array([1.1, 2.2]), observation, out)  # a first command starts from the measured place
    assert out == pytest.approx([math.degrees(0.2), 0.1])


def test_a_fixed_number_is_commanded_and_not_learned(tmp_path: Path) -> None:
    document = arm_document()
    document["command"]["entries"].insert(1, {"name": "wrist", "fixed": -1.57, "unit": "rad"})
    file = RobotFile.from_dict(document)
    assert [feature.name for feature in file.signature.action] == ["shoulder_target", "elbow_target"]
    arm = Arm(tmp_path, document)
    arm.wants = [0.01, 0.02]
    arm.tick()
    arm.tick()
    assert arm.rig.out.commands == [pytest.approx([0.01, -1.57, 0.02])] * 2
    channel, out = arm.rig.loop.commander.channel, np.zeros(2)
    channel.to_action(np.array([0.1, -1.57, 0.2]), np.zeros(2), out)
    assert out == pytest.approx([0.1, 0.2])


def test_a_fixed_number_that_is_measured_is_reached_in_steps(tmp_path: Path) -> None:
    document = arm_document()
    fixed = {"name": "elbow", "fixed": 0.05, "unit": "rad", "measured": "elbow", "max_step": 0.02}
    document["command"]["entries"][1] = fixed
    document["command"]["entries"][0]["action"] = "shoulder_target"
    document["command"]["entries"].append(
        {**arm_document()["command"]["entries"][1], "name": "wrist", "measured": None}
    )
    del document["command"]["entries"][2]["measured"]
    arm = Arm(tmp_path, document)
    for _ in range(4):
        arm.tick()
    assert [row[1] for row in arm.rig.out.commands] == pytest.approx([0.02, 0.04, 0.05, 0.05])
    assert list(command_warnings(RobotFile.from_dict(document).commands[0])) == []
    del fixed["max_step"]
    assert "at any position of the robot" in next(command_warnings(RobotFile.from_dict(document).commands[0]))[1]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (
            {"fixed": 1.0, "action": "go"},
            "command.entries[0].action: is for an action of the policy, not for `fixed`",
        ),
        ({"fixed": 1.0, "low": 0.0}, "command.entries[0].low: is for"),
        ({"fixed": 1.0, "relative_to": "last_command"}, "command.entries[0].relative_to: is for"),
        ({"fixed": math.inf}, "command.entries[0].fixed: must be finite, not inf; write it as in `fixed: -1.57`"),
        ({"fixed": "high"}, "command.entries[0].fixed: must be a number"),
        ({"fixed": 1.0, "first_step": 0.1}, "command.entries[0].first_step: has no effect without `measured`"),
        ({"fixed": 1.0, "unit": "m/s"}, "command.on_loss: is 'hold', which keeps the last set point"),
        ({"fixed": 1.0, "scale": 0}, "command.entries[0].scale: is 0, which cannot convert a value to a number"),
    ],
)
def test_what_does_not_go_with_fixed_is_refused(entry: dict[str, Any], problem: str) -> None:
    document = arm_document()
    document["command"] |= {"type": "std_msgs/msg/Float64MultiArray"}
    document["command"]["entries"][0] = {"name": "wrist", "unit": "rad"} | entry
    with pytest.raises(RobotFileError) as error:
        RobotFile.from_dict(document)
    assert str(error.value).startswith(problem)


def test_a_position_needs_a_place_for_its_first_command() -> None:
    with pytest.raises(
        RobotFileError, match=r"entries\[0\].relative_to: is last_command, but there is none before the first command"
    ):
        RobotFile.from_dict(arm_document(relative_to="last_command", measured=None))


def gripper(**entry: Any) -> CommandPart:
    """Return a command of one number, in m, that its driver takes as 0 (closed) to 255 (open)."""
    document = arm_document()
    given = {"name": "finger", "action": "width", "unit": "m", "low": 0.0, "high": 0.085, "max_step": math.inf}
    command = {"topic": "gripper", "type": "std_msgs/msg/Float64MultiArray", "on_loss": "hold"}
    document["command"] = command | {"entries": [given | entry]}
    return CommandPart(RobotFile.from_dict(document).commands[0], 0)


@pytest.mark.parametrize(("scale", "offset"), [(0.085 / 255, 0.0), (-0.085 / 255, 0.085), (2.0, -1.0)])
def test_scale_and_offset_turn_values_into_numbers_and_back(scale: float, offset: float) -> None:
    """As for an input: value = scale x number + offset."""
    part, message = gripper(scale=scale, offset=offset), SimpleNamespace(data=array("d"))
    for value in (0.0, 0.02, 0.085):
        part.write(np.array([value]), message)
        assert scale * message.data[0] + offset == pytest.approx(value)
        back = np.zeros(1)
        numbers = part.numbers(np.array([value]), np.zeros(1))
        assert numbers[0] == message.data[0]
        part.read(message, back)
        assert back == pytest.approx([value])


def test_a_scale_may_have_a_unit_of_its_own_but_does_not_hide_a_speed() -> None:
    document = arm_document()
    entry = {"name": "linear.x", "action": "go", "unit": "%", "scale": 50.0, "low": -1.0, "high": 1.0, "max_step": 1.0}
    command = {"topic": "base", "type": "geometry_msgs/msg/Twist", "on_loss": "zero", "entries": [entry]}
    document["command"] = command
    assert RobotFile.from_dict(document).commands[0].entries[0].scale == 50.0
    with pytest.raises(RobotFileError, match="is 'hold', which keeps the last set point"):
        RobotFile.from_dict(document | {"command": command | {"on_loss": "hold"}})
