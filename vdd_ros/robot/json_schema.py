"""The JSON schema of robot files, with which editors complete and check keys.

The schema is coarser than the reader: it accepts everything that the reader accepts, including the types that YAML
derives from numbers and names.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from vdd_ros.robot.command_entries import LIMITS
from vdd_ros.robot.command_rotations import FORMS
from vdd_ros.robot.commands import ON_LOSS, SENDS
from vdd_ros.robot.demonstrations import ONE_PER_BAG, STARTS, WHEN_INTERRUPTED, WHEN_SILENT
from vdd_ros.robot.entries import ENCODINGS, JOINT_INTERFACES, ROTATIONS
from vdd_ros.robot.inputs import QOS_PROFILES, STAMPS, WHEN_STALE
from vdd_ros.robot.messages import command_types, message_types
from vdd_ros.robot.quantities import UNITS
from vdd_ros.robot.yaml_section import EXAMPLES

_Part: TypeAlias = dict[str, Any]

_TEXT: _Part = {"type": "string", "minLength": 1}
_NUMBER: _Part = {"type": ["number", "string"]}  # YAML 1.1 reads 5e-2 as text, and so does the reader
_UNIT: _Part = {"type": ["string", "integer"], "examples": list(UNITS)}
_LATER: _Part = {}  # keys of other readers: any value


def robot_file_schema() -> str:
    """Return the JSON schema (draft 2020-12) of robot files, as text."""
    root = _mapping(
        "A robot file: maps message fields to the entries of observation and action",
        {
            "inputs": _named(_input()),
            "command": _command(),
            "commands": _named(_command()),
            "name": {"type": "string", "minLength": 1},
            "urdf": _TEXT,
            "rate_hz": _NUMBER,
            "max_skew_s": _NUMBER,
            "demonstrations": _demonstrations(),
            "episodes": _episodes(),
        },
        required=["inputs"],
    )
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema"} | root, indent=2) + "\n"


def _input() -> _Part:
    entries = {"anyOf": [_named(_entry()), {"const": "all"}]}
    return _mapping(
        "One topic of observations, or the last command",
        {
            "topic": _TEXT,
            "type": _TEXT | {"examples": message_types()},
            "max_age_s": _NUMBER,
            "qos": _choice(QOS_PROFILES),
            "stamp": _choice(STAMPS),
            "when_stale": _choice(WHEN_STALE),
            "frame": _TEXT,
            "transform": _mapping(
                "The frames of one transform of a TFMessage",
                dict.fromkeys(("parent", "child"), _TEXT),
                required=["parent", "child"],
            ),
            "joints": _joints(),
            "entries": entries,
            "command": _TEXT,
        },
        any_of=[["topic", "type", "max_age_s"], ["command", "entries"]],
    )


def _joints() -> _Part:
    return _mapping(
        "Joints of a JointState, each an entry JOINT_INTERFACE",
        {
            "names": _texts(),
            "interfaces": {"type": "array", "minItems": 1, "items": _choice(JOINT_INTERFACES)},
            "unit": _UNIT,
            "scale": _NUMBER,
            "offset": _NUMBER,
            "encode": _choice(ENCODINGS),
            "max_rate": _NUMBER,
        },
        required=["names", "unit"],
    )


def _entry() -> _Part:
    places = ("field", "joint", "joints", "encoding", "constant")
    return _mapping(
        "One entry of the observation, or the parts of a rotation, an angle or a slice",
        {
            "field": _TEXT,
            "joint": _TEXT,
            "interface": _choice(JOINT_INTERFACES),
            "joints": _texts(),
            "encoding": _TEXT,
            "constant": _NUMBER,
            "unit": _UNIT,
            "scale": _NUMBER,
            "offset": _NUMBER,
            "rotation": _choice(tuple(ROTATIONS)),
            "encode": _choice(ENCODINGS),
            "shape": {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 1}},
            "minus": _TEXT,
            "hidden": {"type": "boolean"},
            "max_rate": _NUMBER,
        },
        any_of=[[place] for place in places],
    )


def _command() -> _Part:
    entries = {"type": "array", "minItems": 1, "items": _number_of_command()}
    return _mapping(
        "One command topic",
        {
            "topic": _TEXT,
            "type": _TEXT | {"examples": command_types(actions=True)},
            "on_loss": _choice(ON_LOSS),
            "loss_service": _TEXT,
            "frame_id": _TEXT,
            "controller": _TEXT,
            "send": _choice(SENDS),
            "entries": entries,
        },
        required=["topic", "type", "on_loss", "entries"],
    )


def _number_of_command() -> _Part:
    numbers = ("fixed", "low", "high", "max_step", "first_step", "max_error", "scale", "offset", "tolerance")
    return _mapping(
        "One number of the command",
        {
            **dict.fromkeys(("name", "action", "relative_to", "measured"), _TEXT),
            "unit": _UNIT,
            **dict.fromkeys(numbers, _NUMBER),
            "limits": _choice(LIMITS),
            "rotation": _choice(tuple(FORMS)),
            "wraps": {"type": "boolean"},
        },
        required=["name"],
        any_of=[["unit"], ["rotation"]],
    )


def _demonstrations() -> _Part:
    recorded = _mapping("Topics of the operator's commands", {"topic": _TEXT, "when_silent": _choice(WHEN_SILENT)})
    marks = _mapping(
        "Begin and end of episodes",
        {"topic": _TEXT, "start": _TEXT, "stop": _TEXT, "gap_s": _NUMBER},
        any_of=[["topic"], ["start"], ["gap_s"]],
    )
    return _mapping(
        "Rules for turning bags into demonstrations",
        {
            "commands": {"anyOf": [_TEXT, _named({"anyOf": [_TEXT, recorded]})]},
            "episodes": {"anyOf": [{"const": ONE_PER_BAG}, marks]},
            "trim": _mapping("Waits to cut off", {"until": _choice(STARTS), "after_s": _NUMBER}),
            "max_delay_s": _NUMBER,
            "shortest_s": _NUMBER,
            "when_interrupted": _choice(WHEN_INTERRUPTED),
        },
    )


def _episodes() -> _Part:
    home = _mapping("Moves the robot to the start", {"service": _TEXT, "timeout_s": _NUMBER}, required=["service"])
    rule = dict.fromkeys(("above", "below", "for_s"), _NUMBER)
    done = _mapping(
        "End of a task",
        {"topic": _TEXT, "entry": _TEXT, **rule},
        any_of=[["topic"], ["entry", "above"], ["entry", "below"]],
    )
    return _mapping("Begin and end of episodes on the robot", {"topic": _TEXT, "home": home, "done": done})


def _choice(allowed: Sequence[str]) -> _Part:
    return {"enum": list(allowed)}


def _texts() -> _Part:
    return {"type": "array", "minItems": 1, "items": _TEXT}


def _named(part: _Part) -> _Part:
    """Return a mapping from user-chosen names to a part."""
    return {"type": "object", "minProperties": 1, "additionalProperties": part}


def _mapping(
    title: str, keys: Mapping[str, _Part], required: Sequence[str] = (), any_of: Sequence[Sequence[str]] = ()
) -> _Part:
    """Return a mapping with only these keys; one of the lists of keys in `any_of` must be present."""
    described = {key: part | _example(key, part) for key, part in keys.items()}
    made: _Part = {"title": title, "type": "object", "properties": described, "additionalProperties": False}
    if required:
        made["required"] = list(required)
    if any_of:
        made["anyOf"] = [{"required": list(several)} for several in any_of]
    return made


def _example(key: str, part: _Part) -> _Part:
    return {"description": EXAMPLES[key]} if key in EXAMPLES and "type" in part and part["type"] != "object" else {}
