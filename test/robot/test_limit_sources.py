"""Limits from a robot description and from demonstrations."""

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from arm_rig import arm_document

from vdd_ros.errors import RobotFileError
from vdd_ros.features import Feature
from vdd_ros.robot.limit_sources import hardly_moved, is_slow
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.robot.urdf import JointLimits, read_urdf

ARM = """<?xml version="1.0"?>
<!-- an arm -->
<robot name="arm">
  <link name="base"/>
  <joint name="shoulder" type="revolute">
    <parent link="base"/><axis xyz="0 0 1"/>
    <limit lower="-1.5" upper="2.0" velocity="0.5" effort="30"/>
    <safety_controller soft_lower_limit="-1.25" soft_upper_limit="3" k_velocity="1"/>
  </joint>
  <joint name="elbow" type="continuous"><limit velocity="1e0" effort="10"/></joint>
  <joint name="rail" type="prismatic"><limit lower="0" upper="0.4" velocity="0.1" effort="5"/></joint>
  <joint name="free" type="continuous"/>
  <joint name="mount" type="fixed"><limit lower="-1" upper="1" velocity="1" effort="1"/></joint>
  <transmission name="t"><joint name="rail"><limit lower="9"/></joint></transmission>
</robot>
"""
ACTION = (Feature("shoulder_target", "deg", -90.0, 45.0), Feature("elbow_target", "rad", -0.02, 0.03))
PERIOD_S = 0.02


def document(**entry: Any) -> dict[str, Any]:
    """Return the robot file of the arm, whose entries have these keys and no limits of their own."""
    return arm_document(low=None, high=None, max_step=None, **entry)


def entries(given: dict[str, Any], text: str = ARM) -> list[Any]:
    """Return the command's entries with all limits."""
    robot = RobotFile.from_dict(given)
    robot = robot.described(text, "arm.urdf") if robot.needs_description else robot
    return list(robot.limited(ACTION, PERIOD_S).command_entries)


def test_a_description_gives_the_limits_of_each_joint() -> None:
    joints = read_urdf(ARM, "arm.urdf")
    assert joints == {
        "shoulder": JointLimits(True, -1.25, 2.0, 0.5, 30.0),
        "elbow": JointLimits(True, -math.inf, math.inf, 1.0, 10.0),
        "rail": JointLimits(False, 0.0, 0.4, 0.1, 5.0),
        "free": JointLimits(True),
    }


def test_positions_take_range_and_speed() -> None:
    shoulder, elbow = entries(document(limits="urdf"))
    assert (shoulder.low, shoulder.high, shoulder.max_step) == pytest.approx((-1.25, 2.0, 0.5 * PERIOD_S))
    assert (elbow.low, elbow.high, elbow.max_step) == (-math.inf, math.inf, pytest.approx(PERIOD_S))
    assert shoulder.first_step == shoulder.max_step


def test_limits_are_converted_to_the_unit_of_the_file() -> None:
    given = document(limits="urdf", unit="deg")
    assert entries(given)[0].low == pytest.approx(math.degrees(-1.25))
    assert entries(given)[0].max_step == pytest.approx(math.degrees(0.01))


def test_speeds_and_efforts_take_theirs() -> None:
    given = document(limits="urdf", unit="rad/s", measured=None)
    given["command"]["on_loss"] = "zero"
    for entry in given["command"]["entries"]:
        entry["max_step"] = 0.1
    assert [(entry.low, entry.high) for entry in entries(given)] == [(-0.5, 0.5), (-1.0, 1.0)]
    for entry in given["command"]["entries"]:
        entry["unit"] = "Nm"
    given["command"]["type"] = "sensor_msgs/msg/JointState"
    assert [(entry.low, entry.high) for entry in entries(given)] == [(-30.0, 30.0), (-10.0, 10.0)]


def test_what_the_file_says_itself_stands() -> None:
    given = document(limits="urdf")
    given["command"]["entries"][0] |= {"low": -0.5, "max_step": 0.001, "first_step": 0.1}
    shoulder = entries(given)[0]
    assert (shoulder.low, shoulder.high, shoulder.max_step, shoulder.first_step) == (-0.5, 2.0, 0.001, 0.1)


def test_set_points_take_the_demonstrated_range() -> None:
    given = document(limits="from_demonstrations")
    for entry in given["command"]["entries"]:
        entry["max_step"] = 0.05
    shoulder = entries(given)[0]
    assert (shoulder.low, shoulder.high, shoulder.max_step) == pytest.approx((-math.pi / 2, math.pi / 4, 0.05))


def test_set_points_take_the_demonstrated_step_in_the_unit_of_the_file() -> None:
    """What the file says itself stands before it; a policy file that does not tell it is named, with what to write."""
    given = document(limits="from_demonstrations")
    given["command"]["entries"][1]["max_step"] = 0.05
    robot = RobotFile.from_dict(given)
    steps = {"shoulder_target": 2.0, "elbow_target": 0.001}
    shoulder, elbow = robot.limited(ACTION, PERIOD_S, steps).command_entries
    assert (shoulder.max_step, shoulder.first_step) == pytest.approx((math.radians(2.0), math.radians(2.0)))
    assert elbow.max_step == 0.05
    with pytest.raises(RobotFileError, match=r"entries\[0\].max_step: is missing, .*largest change per tick, in rad"):
        robot.limited(ACTION, PERIOD_S)
    with pytest.raises(RobotFileError, match=r"command.entries\[0\].max_step: is 0 by `limits: from_demonstrations`"):
        robot.limited(ACTION, PERIOD_S, {"shoulder_target": 0.0})


def test_a_joint_that_hardly_moved_is_told() -> None:
    """Its demonstrated step is tiny; there is no warning if the file gives the step."""
    given = document(limits="from_demonstrations")
    robot = RobotFile.from_dict(given)
    steps = {"shoulder_target": 0.001, "elbow_target": 0.01}
    found = list(hardly_moved(robot.commands, robot.limited(ACTION, PERIOD_S, steps).commands, 1 / PERIOD_S))
    (where, text), *others = found
    assert (where, others) == ("command.entries[0].max_step", [])
    assert text.startswith(
        "is 1.75e-05 rad by `limits: from_demonstrations`, 0.000873 rad in a second: shoulder hardly"
    )
    assert text.endswith("give `max_step`")  # it was in other places, too
    given["command"]["entries"][0]["max_step"] = 1e-5
    robot = RobotFile.from_dict(given)
    assert not list(hardly_moved(robot.commands, robot.limited(ACTION, PERIOD_S, steps).commands, 1 / PERIOD_S))


@pytest.mark.parametrize(("own", "advice"), [({}, "`fixed: 0.005`"), ({"low": -1.0, "high": 1.0}, "")])
def test_a_joint_is_only_fixed_where_it_was_demonstrated(own: dict[str, float], advice: str) -> None:
    """The middle of limits that the file gives is another place."""
    given = document(limits="from_demonstrations")
    given["command"]["entries"][1] |= own
    robot = RobotFile.from_dict(given)
    steps = {"shoulder_target": 10.0, "elbow_target": 1e-6}
    resolved = robot.limited(ACTION, PERIOD_S, steps).commands
    ((_, text),) = hardly_moved(robot.commands, resolved, 1 / PERIOD_S)
    assert text.partition("give `max_step`")[2].removeprefix(", or command it without learning: ") == advice
    with pytest.raises(RobotFileError, match=r"must be above 0: give it") as told:
        robot.limited(ACTION, PERIOD_S, steps | {"elbow_target": 0.0})
    assert ("`fixed: 0.005`" in str(told.value)) == bool(advice)


@pytest.mark.parametrize(("speed", "unit", "expected"), [(0.5, "deg", True), (0.6, "deg", False), (0.9, "mm", True)])
def test_what_is_slow_depends_on_the_unit(speed: float, unit: str, expected: bool) -> None:
    assert is_slow(speed, unit) == expected
    assert not is_slow(speed / 1000, "N")


def test_displacements_take_the_demonstrated_step() -> None:
    given = document(limits="from_demonstrations", relative_to="last_command")
    for entry in given["command"]["entries"]:
        entry |= {"low": -3.0, "high": 3.0}
    assert entries(given)[1].max_step == pytest.approx(0.03)


def test_a_file_names_its_description(tmp_path: Path) -> None:
    """Beside itself, wherever it is read from."""
    (tmp_path / "arm.urdf").write_text(ARM)
    (tmp_path / "robot.yaml").write_text(yaml.safe_dump(document(limits="urdf") | {"urdf": "arm.urdf"}))
    robot = RobotFile.load(tmp_path / "robot.yaml")
    assert not robot.needs_description
    assert robot.limited(ACTION, PERIOD_S).command_entries[0].high == 2.0
    (tmp_path / "arm.urdf").unlink()
    with pytest.raises(RobotFileError, match=r"urdf: arm\.urdf cannot be read"):
        RobotFile.load(tmp_path / "robot.yaml")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "arm.urdf is not XML"),
        ("<robot>", "arm.urdf is not XML"),
        ("<sdf/>", "is not a URDF: its first element is <sdf>, not <robot>"),
        ('<!DOCTYPE robot [<!ENTITY a "aaaa">]><robot>&a;</robot>', "has a document type declaration"),
        (
            ARM.replace('"2.0"', '"${pi}"'),
            "joint shoulder: upper is '${pi}', which is not a number; this is a xacro file",
        ),
        (ARM.replace('"2.0"', '"high"'), "joint shoulder: upper is 'high', which is not a number"),
        (
            ARM.replace('"shoulder"', '"waist"'),
            "command.entries[0].name: is 'shoulder', which is not a joint of the robot",
        ),
        (ARM.replace('"2.0"', '"-1.25"'), "command.entries[0].low: is -1.25, which is not below high (-1.25)"),
        (ARM.replace('"0.5"', '"0"'), "command.entries[0].max_step: is 0 by `limits: urdf`; it must be above 0"),
        (ARM.replace('"0.5"', '"nan"'), "command.entries[0].max_step: is missing: `limits: urdf` does not provide it"),
        (ARM.replace("revolute", "prismatic"), "command.entries[0].unit: 'm' cannot be converted to 'rad'"),
    ],
)
def test_a_description_that_gives_none_is_refused(text: str, problem: str) -> None:
    with pytest.raises(RobotFileError) as error:
        entries(document(limits="urdf"), text)
    assert problem in str(error.value)


def test_without_a_description_nothing_is_commanded() -> None:
    with pytest.raises(RobotFileError, match="is 'urdf', but there is no robot description; give `urdf: FILE`"):
        RobotFile.from_dict(document(limits="urdf")).limited(ACTION, PERIOD_S)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"limits": "urdfs"}, "command.entries[0].limits: is 'urdfs' (did you mean 'urdf'?); allowed are from_demo"),
        ({"limits": "from_demonstrations", "relative_to": "last_command"}, "command.entries[0].low: is missing: demo"),
        ({"limits": "urdf", "low": math.inf}, "command.entries[0].low: must be finite"),
        ({}, "command.entries[0].max_step: is missing"),
    ],
)
def test_a_wrong_source_is_refused(entry: dict[str, Any], problem: str) -> None:
    with pytest.raises(RobotFileError) as error:
        RobotFile.from_dict(document(**entry) if "low" not in entry else arm_document(**entry))
    assert str(error.value).startswith(problem)
