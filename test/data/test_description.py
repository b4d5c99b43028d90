"""Descriptions: choice, names, units and rate of a data set; each field that cannot be is refused."""

from pathlib import Path

import lerobot_sets as sets
import numpy as np
import pytest

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.data.formats import get_format
from vdd_ros.errors import DemonstrationError
from vdd_ros.features import Feature
from vdd_ros.testing.formats import check_format

pytest.importorskip("pyarrow")


def described(folder: Path, text: str) -> Path:
    file = folder / "set.yaml"
    file.write_text(f"data: arm\n{text}")
    return file


def test_names_units_and_order_are_those_of_the_description(tmp_path: Path) -> None:
    values = sets.write_v3(tmp_path / "arm")
    text = """
task: reaching
observation:
  observation.gripper: {names: [width], unit: m}
  observation.state: {take: [2, 0], units: [rad, deg]}
action:
  action: {unit: 1}
leave_out: [0]
"""
    found = DemonstrationSet.load(described(tmp_path, text))
    assert found.header.observation == (Feature("width", "m"), Feature("wrist", "rad"), Feature("shoulder", "deg"))
    assert found.header.action == (Feature("dx", "1"), Feature("dy", "1"))
    assert (found.header.task, found.header.rate_hz) == ("reaching", 10.0)
    state = values["observation.state"][5:]
    assert np.array_equal(
        found.observation, np.stack([values["observation.gripper"][5:, 0], state[:, 2], state[:, 0]], 1)
    )
    assert np.array_equal(found.action, values["action"][5:])
    assert found.file == tmp_path / "set.yaml"


def test_the_format_conforms(tmp_path: Path) -> None:
    sets.write_v3(tmp_path / "arm")
    check_format(get_format("description"), tmp_path / "F", described(tmp_path, ""))


def test_an_array_can_be_flattened(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    values = sets.write_v3(tmp_path / "arm", sets.frames(images=True))
    text = "observation:\n  observation.images.top: {flatten: true, take: [0, 71]}\n"
    found = DemonstrationSet.load(described(tmp_path, text))
    assert np.array_equal(found.observation, values["observation.images.top"].reshape(12, 72)[:, [0, 71]])
    assert [feature.name for feature in found.header.observation] == ["images.top_0", "images.top_71"]


def test_the_same_names_in_two_keys_are_told_apart(tmp_path: Path) -> None:
    values = sets.frames()
    values["observation.goal"] = np.ones((12, 3), np.float32)
    sets.write_v3(tmp_path / "arm", values)
    fields = sets.info("v3.0", values, sets.LENGTHS)["features"]
    fields["observation.goal"]["names"] = sets.NAMES
    sets.edit_info(tmp_path / "arm", features=fields)
    found = DemonstrationSet.load(tmp_path / "arm")
    names = [feature.name for feature in found.header.observation]
    assert names == [*(f"state_{n}" for n in sets.NAMES), "gripper", *(f"goal_{n}" for n in sets.NAMES)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rate: 10", "has the unknown field 'rate'; known: data, task"),
        ("rate_hz: -1", "rate_hz is -1, not a number above 0"),
        ("rate_hz: true", "rate_hz is True"),
        ("rate_hz: 50", "has 10 frames per second, but its description says rate_hz: 50"),
        ("task: []", r"task is \[\], not a text"),
        ("observation: {}", "observation is neither a list of keys"),
        ("observation: observation.state", "observation is neither a list of keys"),
        ("observation: [observation.stat]", "has no key 'observation.stat'; it has observation.state"),
        ("observation: {observation.state: 3}", "observation.observation.state is 3, not a mapping with names"),
        ("observation: {observation.state: {nams: [a]}}", "the unknown field 'nams'; known: names, unit"),
        ("observation: {observation.state: {names: [a]}}", "1 names stand for 3"),
        ("observation: {observation.state: {units: [m, m]}}", "2 units stand for 3"),
        ("observation: {observation.state: {unit: m, units: [m]}}", "has both unit and units"),
        ("observation: {observation.state: {unit: [m]}}", r"units is \['m'\], not a text"),
        ("observation: {observation.state: {names: [a, a, b]}}", "the name 'a' twice"),
        ("observation: {observation.state: {take: [3]}}", "number 3 is taken; numbers count from 0 to 2"),
        ("observation: {observation.state: {take: [0, 0]}}", r"take is \[0, 0\], not a list of whole numbers"),
        ("observation: {observation.state: {take: []}}", r"take is \[\], not a list"),
        ("observation: {observation.state: {flatten: 1}}", "flatten is 1, not true or false"),
        ("leave_out: [2]", "has 2 episodes, counted from 0, so that episode 2 cannot be left out"),
        ("leave_out: [0, 1]", "has no episode left of 2"),
        ("leave_out: [true]", "leave_out is"),
        ("subset: train", "has no subset 'train'; it has none"),
    ],
)
def test_a_field_that_cannot_be_is_refused(tmp_path: Path, text: str, message: str) -> None:
    sets.write_v3(tmp_path / "arm")
    with pytest.raises(DemonstrationError, match=message):
        DemonstrationSet.load(described(tmp_path, text))


def test_data_that_are_not_there_or_state_everything_themselves_are_refused(tmp_path: Path) -> None:
    file = described(tmp_path, "")
    with pytest.raises(DemonstrationError, match=r"data is '.*arm', which is not a data set of a known format"):
        DemonstrationSet.load(file)
    header = Header("toy", (Feature("x", "m"),), (Feature("dx", "m"),), 10.0, "a test")
    DemonstrationSet(header, np.zeros((2, 1)), np.ones((2, 1)), np.array([2]), np.array([0])).save(tmp_path / "arm")
    with pytest.raises(DemonstrationError, match=r"an .npz archive of vdd_ros, which needs no description"):
        DemonstrationSet.load(file)
    file.write_text("data: set.yaml\n")
    with pytest.raises(DemonstrationError, match="another description"):
        DemonstrationSet.load(file)


def test_other_yaml_is_no_description(tmp_path: Path) -> None:
    (tmp_path / "robot.yaml").write_text("name: arm\n")
    with pytest.raises(DemonstrationError, match=r"robot\.yaml"):
        DemonstrationSet.load(tmp_path / "robot.yaml")
