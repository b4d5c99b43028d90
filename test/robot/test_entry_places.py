"""Errors about a command's number give its name."""

from typing import Any

import pytest
from arm_rig import arm_document

from vdd_ros.errors import RobotFileError
from vdd_ros.features import Feature
from vdd_ros.robot.entry_places import names_in, with_name
from vdd_ros.robot.field_paths import parse_path
from vdd_ros.robot.quantities import spaced
from vdd_ros.robot.robot_file import RobotFile


def test_the_name_of_an_entry_stands_behind_its_error() -> None:
    given = arm_document()
    given["command"]["entries"][1]["max_step"] = -1
    with pytest.raises(RobotFileError, match=r"^command.entries\[1\].max_step: must .* \(entries\[1\] is elbow\)$"):
        RobotFile.from_dict(given)
    given["commands"] = {"arm": given.pop("command")}
    with pytest.raises(RobotFileError, match=r"^commands.arm.entries\[1\].max_step: .* \(entries\[1\] is elbow\)$"):
        RobotFile.from_dict(given)


def test_so_it_does_where_a_policy_does_not_fit() -> None:
    robot = RobotFile.from_dict(arm_document())
    joints = [Feature("shoulder", "rad"), Feature("elbow", "rad")]
    action = [Feature("shoulder_target", "rad"), Feature("elbow_target", "m")]
    with pytest.raises(RobotFileError, match=r"command.entries\[1\].unit: .* \(entries\[1\] is elbow\)$"):
        robot.check(joints, action)


@pytest.mark.parametrize(
    "text",
    [
        "command.entries[1].name: is 'elbow', which is taken",
        "command.entries[9].name: is missing",
        "command.entries[2].name: is missing",
        "inputs.arm.entries.x: see command.entries[1]",
    ],
)
def test_other_texts_stay(text: str) -> None:
    names: dict[str, list[Any]] = {"command.entries": ["shoulder", "elbow", None]}
    assert with_name(text, names) == text


@pytest.mark.parametrize("document", [None, [], {"command": 1}, {"commands": {"a": {"entries": [1, {"name": "b"}]}}}])
def test_names_of_any_document(document: Any) -> None:
    assert all(isinstance(names, list) for names in names_in(document).values())


@pytest.mark.parametrize("path", ["data[-1]", "joints[-2].x"])
def test_elements_are_not_counted_from_the_end(path: str) -> None:
    with pytest.raises(ValueError, match="counted from 0, never from the end"):
        parse_path(path)


def test_a_label_may_have_a_sign_inside() -> None:
    assert parse_path("data[left-1]")[0].element == "left-1"


def test_a_number_without_unit_has_none_behind_it() -> None:
    assert (f"0 ± 1{spaced('1')}", f"2{spaced('rad')}") == ("0 ± 1", "2 rad")
