"""The JSON schema of robot files, against the reader: it knows the same keys, and refuses nothing that is read."""

import copy
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from arm_rig import arm_document
from array_policies import array_document
from hypothesis import given, settings
from hypothesis import strategies as st

from vdd_ros.errors import RobotFileError
from vdd_ros.robot.json_schema import robot_file_schema
from vdd_ros.robot.robot_file import RobotFile

jsonschema = pytest.importorskip("jsonschema")

CHECKOUT = Path(__file__).parents[2]
SHIPPED = sorted((CHECKOUT / "config" / "robots").glob("*.yaml"))
SCHEMA = json.loads(robot_file_schema())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
FILES = [yaml.safe_load(path.read_text()) for path in SHIPPED] + [array_document(), arm_document()]
PATHS = [
    ("inputs",),
    ("inputs", "arm"),
    ("inputs", "arm", "entries"),
    ("inputs", "arm", "entries", "shoulder"),
    ("commands",),
    ("command",),
    ("command", "entries"),
    ("command", "entries", 0),
    *((key,) for key in ("name", "rate_hz", "demonstrations")),
    *(("demonstrations", key) for key in ("commands", "episodes", "trim", "max_delay_s", "shortest_s")),
    *(("inputs", "arm", key) for key in ("topic", "type", "max_age_s", "qos", "when_stale", "joints", "command")),
    *(
        ("inputs", "arm", "entries", "shoulder", key)
        for key in (
            "field",
            "joint",
            "interface",
            "unit",
            "scale",
            "offset",
            "rotation",
            "encode",
            "hidden",
            "constant",
        )
    ),
    *(("command", key) for key in ("topic", "type", "on_loss", "loss_service")),
    *(("command", "entries", 0, key) for key in ("name", "unit", "low", "max_step", "relative_to", "fixed", "scale")),
]
VALUES = [
    *(None, True, 0, 1, -1, 0.5, 200, "", "1", "rad", "a", "keep", "all", "yaw", "position", "hold", "elbow"),
    *([], {}, ["a"], ["position"], [1, 2], {"a": 1}, {"names": ["a"], "unit": "rad"}, [{"a": 1}], "data[2:4]", ".inf"),
]


def refusal(document: Any) -> str:
    """Return why the reader refuses a document; empty if it does not."""
    try:
        RobotFile.from_dict(document)
    except RobotFileError as error:
        return str(error)
    return ""


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_files_are_read_and_fit_the_schema(path: Path) -> None:
    robot = RobotFile.load(path)
    robot.check(robot.signature.observation, robot.signature.action)
    assert [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(path.read_text()))] == []


@settings(max_examples=500, deadline=None)
@given(document=st.sampled_from(FILES), path=st.sampled_from(PATHS), value=st.sampled_from(VALUES))
def test_what_is_read_fits_the_schema(document: Any, path: tuple[Any, ...], value: Any) -> None:
    """One value is replaced or added anywhere: where the reader takes it, so does the schema."""
    document = {"root": copy.deepcopy(document)}
    parent: Any = document
    for before, key in itertools.pairwise(("root", *path, "end")):
        if key == "end":
            if isinstance(parent, list) and before >= len(parent):
                return
            parent[before] = value
        elif before not in parent and not isinstance(parent, list):
            return
        else:
            parent = parent[before]
            if not isinstance(parent, dict | list):
                return
    if not refusal(document["root"]):
        assert [error.message for error in VALIDATOR.iter_errors(document["root"])] == []


def known_keys(document: Any) -> set[str]:
    """Return the keys that the reader names where a key is unknown."""
    found = re.search(r"zzz: is unknown here; allowed are ([\w, ]+)", refusal(document))
    assert found, refusal(document)
    return set(found[1].strip().split(", "))


def properties(*path: str) -> set[str]:
    part = SCHEMA
    for step in path:
        part = part[step]
    return set(part["properties"])


INPUT = ("properties", "inputs", "additionalProperties")
ENTRY = (*INPUT, "properties", "entries", "anyOf", 0, "additionalProperties")


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ((), ()),
        (("inputs", "arm"), INPUT),
        (("inputs", "arm", "entries", "shoulder"), ENTRY),
        (("inputs", "arm", "joints"), (*INPUT, "properties", "joints")),
        (("demonstrations",), ("properties", "demonstrations")),
        (("demonstrations", "trim"), ("properties", "demonstrations", "properties", "trim")),
        (("command",), ("properties", "command")),
        (("command", "entries", 0), ("properties", "command", "properties", "entries", "items")),
    ],
)
def test_the_schema_has_every_key_of_the_reader(path: tuple[Any, ...], where: tuple[Any, ...]) -> None:
    document = arm_document()
    document["inputs"]["arm"]["joints"] = {"names": ["wrist"], "unit": "rad"}
    document["demonstrations"] = {"trim": {"after_s": 1.0}}
    place: Any = document
    for step in path:
        place = place[step]
    place["zzz"] = 1
    assert known_keys(document) <= properties(*where)
    assert list(VALIDATOR.iter_errors(document))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("inputs", "arm", "qos"), "fast"),
        (("inputs", "arm", "max_age_s"), [1]),
        (("inputs", "arm", "topic"), 5),
        (("inputs", "arm", "entries", "shoulder", "rotation"), "rpy"),
        (("inputs", "arm", "entries", "shoulder"), {"unit": "rad"}),
        (("command", "on_loss"), "stop"),
        (("command", "entries"), []),
        (("command", "entries", 0), {"name": "a"}),
        (("inputs",), {}),
    ],
)
def test_an_editor_shows_what_is_wrong(path: tuple[Any, ...], value: Any) -> None:
    document: Any = arm_document()
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert refusal(document)
    assert list(VALIDATOR.iter_errors(document))
