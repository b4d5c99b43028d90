"""A mapping of a robot file with its path, so that errors name the field and show its syntax."""

import difflib
import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NoReturn

from vdd_ros.errors import RobotFileError
from vdd_ros.features import MAX_AXES, MAX_SIZE
from vdd_ros.robot.messages import command_types, find_message
from vdd_ros.robot.names import field_problem, topic_problem, type_problem, usual_type
from vdd_ros.text import printable

EXAMPLES = {
    "inputs": "inputs: {arm: {topic: /joint_states, type: sensor_msgs/msg/JointState, max_age_s: 0.2, entries: {…}}}",
    "command": "command: {topic: /commands, type: std_msgs/msg/Float64MultiArray, on_loss: hold, entries: […]}",
    "commands": "commands: {arm: {topic: /arm/commands, type: …, on_loss: hold, entries: […]}, gripper: {…}}",
    "topic": "topic: /joint_states",
    "type": "type: sensor_msgs/msg/JointState",
    "max_age_s": "max_age_s: 0.2",
    "max_skew_s": "max_skew_s: 0.05",
    "qos": "qos: sensor_data",
    "field": "field: pose.position.x",
    "joint": "joint: elbow_joint",
    "interface": "interface: position",
    "unit": "unit: rad",
    "on_loss": "on_loss: hold",
    "loss_service": "loss_service: /controller/stop",
    "frame_id": "frame_id: base_link",
    "name": "name: elbow_joint",
    "action": "action: elbow_position",
    "relative_to": "relative_to: elbow",
    "measured": "measured: elbow",
    "low": "low: -1.5",
    "high": "high: 1.5",
    "max_step": "max_step: 0.05",
    "fixed": "fixed: -1.57",
    "limits": "limits: urdf",
    "controller": "controller: /arm_controller",
    "urdf": "urdf: my_arm.urdf",
    "send": "send: step",
    "first_step": "first_step: 0.1",
    "tolerance": "tolerance: 0.002",
    "max_error": "max_error: 0.1",
    "max_rate": "max_rate: 3.0",
    "stamp": "stamp: arrival",
    "service": "service: /arm/home",
    "timeout_s": "timeout_s: 60",
    "for_s": "for_s: 0.2",
    "shape": "shape: [96, 96, 3]",
    "joints": "joints: [shoulder_joint, elbow_joint]",
    "encoding": "encoding: rgb8",
    "names": "names: [shoulder_joint, elbow_joint]",
    "interfaces": "interfaces: [position, velocity]",
    "scale": "scale: 0.001",
    "offset": "offset: -0.5",
    "rotation": "rotation: yaw",
    "encode": "encode: sin_cos",
    "constant": "constant: 0.72",
    "minus": "minus: tool_x",
    "hidden": "hidden: true",
    "when_stale": "when_stale: keep",
    "rate_hz": "rate_hz: 50",
    "demonstrations": "demonstrations: {episodes: one_per_bag, trim: {after_s: 1.0}}",
    "episodes": "episodes: {gap_s: 2.0}",
    "trim": "trim: {until: first_motion, after_s: 1.0}",
    "gap_s": "gap_s: 2.0",
    "start": "start: /start_episode",
    "stop": "stop: /stop_episode",
    "after_s": "after_s: 1.0",
    "max_delay_s": "max_delay_s: 0.1",
    "shortest_s": "shortest_s: 1.0",
    "frame": "frame: base_link",
    "transform": "transform: {parent: base_link, child: tool0}",
    "parent": "parent: base_link",
    "child": "child: tool0",
    "when_interrupted": "when_interrupted: divide",
}
"""Example line for each key, for errors."""
_OF_COMMAND = {
    "topic": "topic: /arm_controller/joint_trajectory",
    "type": "type: trajectory_msgs/msg/JointTrajectory",
}
"""Example lines for keys that differ in the command."""
_OF_INPUT = {"command": "command: arm", "entries": "entries: all"}
"""Example lines for keys that differ in an input that observes a command."""
_INPUT_ENTRIES = "entries: {elbow: {joint: elbow_joint, interface: position, unit: rad}}"
_BLOCKS = {
    "entries": _INPUT_ENTRIES,
    "joints": "joints: {names: [shoulder_joint, elbow_joint], interfaces: [position], unit: rad}",
}
"""Example lines of mappings, for keys that are lists elsewhere."""
_COMMAND_ENTRIES = (
    "entries: [{name: elbow_joint, action: elbow_position, unit: rad, low: -1.5, high: 1.5, max_step: 0.05}]"
)
QUESTION = "???"
"""Value of an undecided key, as written by `vdd robot new`."""
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_BEGINS_AS_NUMBER = re.compile(r"[-+]?[0-9]+([.,][0-9]+)?")
_INFINITE = {"inf": math.inf, "infinity": math.inf, "-inf": -math.inf, "-infinity": -math.inf}


def fail(path: str, problem: str, allowed: Collection[str] = (), example: str = "") -> NoReturn:
    """Raise RobotFileError for the field at `path`, with the allowed values and an example."""
    listed = f" {printable(', '.join(allowed), 2000)}" if allowed else ""
    shown = f"; write it as in `{example}`" if example else ""
    raise RobotFileError(f"{printable(path)}: {printable(problem, 1000)}{listed}{shown}")


def refuse_duplicates(path: str, what: str, names: Sequence[str]) -> None:
    """Raise RobotFileError if a name repeats."""
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        fail(path, f"has these {what} more than once: {', '.join(twice)}")


class Section:
    """A mapping in the file with its path; tracks which keys were read.

    Every getter raises RobotFileError, naming the path and an example, if the key is missing or its value is not
    allowed.

    Attributes:
        path: Path in the file; empty for the root.
    """

    def __init__(self, value: Any, path: str, example: str = "") -> None:
        if not isinstance(value, Mapping) or not value:
            what = "is empty; it must" if value is None else "must"
            given = "" if value is None else f", not {shown(value)}"
            fail(path or "the document", f"{what} be a mapping with at least one key{given}", example=example)
        self._value = value
        self.path = path
        self._used: set[str] = set()
        self._known: set[str] = set()

    def at(self, key: str) -> str:
        """Return the path of a key."""
        return f"{self.path}.{key}" if self.path else key

    def names(self) -> list[str]:
        """Return the keys of a mapping whose keys are user-chosen names."""
        for key in self._value:
            if not isinstance(key, str):
                fail(self.at(str(key)), f"{_misread(key)}; names must be text (quote it), as in `{_quoted(key)}: …`")
        return list(self._value)

    def has(self, key: str) -> bool:
        """Return whether a key exists."""
        self._known.add(key)
        return key in self._value

    def get(self, key: str) -> Any:
        """Return a value of any type, unchecked."""
        self._used.add(key)
        if key not in self._value:
            close = difflib.get_close_matches(key, [other for other in map(str, self._value) if other != key], n=1)
            instead = f", but {close[0]!r} is there, which is unknown here" if close else ""
            self.refuse(key, f"is missing{instead}")
        if self._value[key] == QUESTION:
            self.refuse(key, f"is {QUESTION}, an open question; the comment beside it explains it")
        return self._value[key]

    def section(self, key: str) -> "Section":
        """Return a nested mapping."""
        example = _BLOCKS.get(key) or EXAMPLES.get(key, "")
        return Section(self.get(key), self.at(key), example)

    def sections(self, key: str) -> list["Section"]:
        """Return a list of mappings."""
        value = self.get(key)
        if not isinstance(value, list) or not value:
            given = "is empty; it must" if value is None else "must"
            instead = "" if value is None else f", not {shown(value)}"
            fail(self.at(key), f"{given} be a list with at least one entry{instead}", example=_COMMAND_ENTRIES)
        return [Section(item, f"{self.at(key)}[{index}]") for index, item in enumerate(value)]

    def text(self, key: str) -> str:
        """Return non-empty text."""
        value = self.get(key)
        if isinstance(value, bool | int | float) or _is_date(value):
            fail(self.at(key), f"{_misread(value)}; put quotes around it, as in `{key}: {_quoted(value)}`")
        if not isinstance(value, str) or not value:
            given = f"must be text, not {shown(value)}"
            self.refuse(key, "is empty; give it a value, or leave the line out" if value is None else given)
        return value

    def texts(self, key: str) -> list[str]:
        """Return a list of non-empty texts."""
        value = self.get(key)
        if not isinstance(value, list) or not value or not all(isinstance(text, str) and text for text in value):
            self.refuse(key, f"must be a list of texts, not {shown(value)}")
        return value

    def shape(self, key: str) -> tuple[int, ...]:
        """Return the sizes of an array."""
        value = self.get(key)
        if not isinstance(value, list) or not 0 < len(value) <= MAX_AXES:
            self.refuse(key, f"must be a list of 1 to {MAX_AXES} sizes, not {shown(value)}")
        for size in value:
            if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= MAX_SIZE:
                self.refuse(key, f"holds {shown(size)}; a size is a whole number from 1 to {MAX_SIZE:,}")
        return tuple(value)

    def unit(self, key: str) -> str:
        """Return a unit; the number 1 stands for dimensionless."""
        value = self.get(key)
        return "1" if value == 1 and type(value) is int else self.text(key)

    def topic(self, key: str) -> str:
        """Return a valid ROS 2 topic or service name, without a trailing slash."""
        value = self.text(key)
        taken = value.rstrip("/")
        if problem := topic_problem(taken):
            self.refuse(key, f"is {shown(value)}{problem}")
        return taken

    def field(self, key: str) -> str:
        """Return the path of a number, such as `pose.position.x` or `data[3]`."""
        value = self.text(key)
        if problem := field_problem(value):
            self.refuse(key, f"is {shown(value)}{problem}")
        return value

    def message_type(self, key: str, *, commands: bool = False) -> str:
        """Return a message type such as `sensor_msgs/msg/JointState`, from any ROS spelling.

        Args:
            key: Key of the value.
            commands: Whether the type must be able to command a robot.
        """
        value = self.text(key)
        usual = usual_type(value)
        if usual is None:
            allowed = command_types(actions=True) if commands else ()
            self.refuse(key, f"is {shown(value)}{type_problem(value)}", allowed)
        if commands and not find_message(usual).commands:
            self.refuse(key, f"is {shown(value)}; allowed are", command_types(actions=True))
        return usual

    def choice(self, key: str, allowed: Sequence[str], default: str | None = None) -> str:
        """Return one of the allowed words."""
        if default is not None and not self.has(key):
            self._used.add(key)
            return default
        value = self.get(key)
        if value not in allowed:
            given = _misread(value) if value is None or isinstance(value, bool) else f"is {shown(value)}"
            begun = [word for word in allowed if word.startswith(str(value).lower() or " ")]
            close = begun or difflib.get_close_matches(str(value).lower(), allowed, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            self.refuse(key, f"{given}{hint}; allowed are", allowed)
        return str(value)

    def flag(self, key: str) -> bool:
        """Return true or false."""
        value = self.get(key)
        if not isinstance(value, bool):
            self.refuse(key, f"must be true or false, not {shown(value)}")
        return value

    def number(self, key: str, *, positive: bool = False, infinite: bool = False) -> float:
        """Return a number, finite unless `infinite`, above zero if `positive`.

        Numeric text counts as a number: YAML 1.1 reads `5e-2` as text because it lacks a decimal point.
        """
        given = self.get(key)
        value = _number(given)
        if value is None:
            self.refuse(key, f"must be a number, not {_why_no_number(given)}")
        if math.isinf(value) and not infinite:
            self.refuse(key, f"must be finite, not {given!r}")
        if positive and value <= 0:
            self.refuse(key, f"must be above zero, not {given!r}")
        return value

    def finish(self) -> None:
        """Refuse keys that were never read."""
        for key in self._value:
            if key not in self._used:
                known = sorted(self._used | self._known)
                close = difflib.get_close_matches(str(key), known, n=1)
                hint = f" (did you mean {close[0]!r}?)" if close else ""
                fail(self.at(str(key)), f"is unknown here{hint}; allowed are", known)

    def refuse(self, key: str, problem: str, allowed: Collection[str] = ()) -> NoReturn:
        """Raise RobotFileError for a key, with an example unless it is to be left out."""
        differing = {"command": _OF_COMMAND, "commands": _OF_COMMAND, "inputs": _OF_INPUT}
        examples = EXAMPLES | differing.get(self.path.partition(".")[0], {})
        fail(self.at(key), problem, allowed, "" if problem.endswith("leave it out") else examples.get(key, ""))


def shown(value: object) -> str:
    """Return a value for an error message: one line, clipped."""
    return printable(repr(value), 100)


def _number(value: object) -> float | None:
    """Return a value as a number, or None if it is not one."""
    if isinstance(value, str):
        if _NUMBER.fullmatch(value):
            return float(value)
        return _INFINITE.get(value.lower().lstrip("+").replace(".", ""))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return None if math.isnan(number) else number


def _why_no_number(value: object) -> str:
    """Describe a non-number, and its likely meaning."""
    if isinstance(value, bool):
        return f"{str(value).lower()}, as which YAML reads on, off, yes and no"
    if value is None:
        return "nothing: the line is empty"
    if isinstance(value, str) and (begins := _BEGINS_AS_NUMBER.match(value)):
        return f"{shown(value)}: give the number alone, with a point and without a unit ({begins[0].replace(',', '.')})"
    return shown(value)


def _misread(value: object) -> str:
    """Describe how YAML read a word."""
    if isinstance(value, bool):
        return f"is {value}: YAML reads {'on, yes and true' if value else 'off, no and false'} without quotes as that"
    if value is None:
        return "is empty: YAML reads null, ~ and nothing as that"
    return f"is {shown(value)}, which YAML reads as a {'date' if _is_date(value) else 'number'}"


def _quoted(value: object) -> str:
    """Return the quoted spelling of a word that YAML misreads."""
    word = ("on" if value else "off") if isinstance(value, bool) else "null" if value is None else printable(value, 40)
    return f'"{word}"'


def _is_date(value: object) -> bool:
    return hasattr(value, "isoformat")
