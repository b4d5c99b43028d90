"""Limits of joints in a URDF robot description.

Read as a stream of elements: nothing is expanded, and a document type declaration, which could define entities, is
refused.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from xml.parsers import expat

from vdd_ros.errors import RobotFileError
from vdd_ros.text import printable

MOST_BYTES = 32_000_000
"""Size limit of a description."""
_ANGULAR = {"revolute": True, "continuous": True, "prismatic": False}
_BELOW_JOINT = 3
"""Depth of the elements of a joint: robot, joint, limit."""


@dataclass(frozen=True)
class JointLimits:
    """A joint's limits in a URDF, in SI units; infinite without a limit.

    Attributes:
        angular: Whether it turns (rad, rad/s, Nm) or slides (m, m/s, N).
        low, high: Range of its position, within the soft limits of a `safety_controller`.
        speed: Largest speed.
        effort: Largest torque or force.
    """

    angular: bool
    low: float = -math.inf
    high: float = math.inf
    speed: float = math.inf
    effort: float = math.inf


def read_urdf(text: str, name: str) -> dict[str, JointLimits]:
    """Return the limits of each joint that moves along or about one axis, by name.

    Args:
        text: The robot description.
        name: Its name in errors.

    Raises:
        RobotFileError: It is not XML, not a URDF, has a document type declaration, or a limit is not a number.
    """
    if len(text) > MOST_BYTES:
        raise RobotFileError(f"{name} has {len(text):,} characters; at most {MOST_BYTES:,} are read")
    reader = _Reader(name)
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = reader.refuse_doctype
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise RobotFileError(f"{name} is not XML: {printable(error)}") from None
    return reader.joints


class _Reader:
    """Collects the joints of a description."""

    def __init__(self, name: str) -> None:
        self.joints: dict[str, JointLimits] = {}
        self._name = name
        self._depth = 0
        self._joint = ""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Take the beginning of an element."""
        self._depth += 1
        if self._depth == 1 and tag != "robot":
            raise RobotFileError(f"{self._name} is not a URDF: its first element is <{printable(tag)}>, not <robot>")
        if self._depth == 2 and tag == "joint" and attributes.get("type") in _ANGULAR:
            self._joint = attributes.get("name", "")
            self.joints[self._joint] = JointLimits(_ANGULAR[attributes["type"]])
        elif self._depth == _BELOW_JOINT and self._joint:
            found = self.joints[self._joint]
            if tag == "limit":
                self.joints[self._joint] = self._limited(found, attributes)
            elif tag == "safety_controller":
                low = max(found.low, self._number(attributes, "soft_lower_limit", -math.inf))
                high = min(found.high, self._number(attributes, "soft_upper_limit", math.inf))
                self.joints[self._joint] = replace(found, low=low, high=high)

    def end(self, tag: str) -> None:
        """Take the end of an element."""
        self._depth -= 1
        if self._depth < _BELOW_JOINT - 1:
            self._joint = ""

    def refuse_doctype(self, *_: object) -> None:
        """Refuse a document type declaration."""
        raise RobotFileError(f"{self._name} has a document type declaration (<!DOCTYPE>), which no URDF needs")

    def _limited(self, found: JointLimits, attributes: Mapping[str, str]) -> JointLimits:
        """Return the limits with those of a `limit` element; an omitted range is 0 in URDF."""
        ranged = "lower" in attributes or "upper" in attributes
        return replace(
            found,
            low=max(found.low, self._number(attributes, "lower", 0.0)) if ranged else found.low,
            high=min(found.high, self._number(attributes, "upper", 0.0)) if ranged else found.high,
            speed=self._number(attributes, "velocity", math.inf),
            effort=self._number(attributes, "effort", math.inf),
        )

    def _number(self, attributes: Mapping[str, str], key: str, default: float) -> float:
        if key not in attributes:
            return default
        try:
            return float(attributes[key])
        except ValueError:
            given = printable(repr(attributes[key]), 60)
            hint = "; this is a xacro file, run `xacro FILE` first" if "${" in given else ""
            where = f"{self._name}, joint {printable(self._joint)}"
            raise RobotFileError(f"{where}: {key} is {given}, which is not a number{hint}") from None
