"""Description of one ROS message type."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vdd_ros.errors import ConfigurationError
from vdd_ros.robot.array_readers import ArrayReader, Encoding, JointsReader, ListReader
from vdd_ros.robot.element_layout import layout_of
from vdd_ros.robot.field_paths import without_elements
from vdd_ros.robot.layouts import FieldLayout, JointLayout, Layout
from vdd_ros.robot.messages.fields import Fields, check_names, field_paths, quantity_at
from vdd_ros.robot.quantities import quantity_of
from vdd_ros.text import printable

if TYPE_CHECKING:
    from vdd_ros.robot.entries import InputEntry

NAMED_BY = ("field", "joint", "label", "")
_NOT_OF_ACTIONS = ("observed", "has_points", "zero_is_safe")


@dataclass(frozen=True, kw_only=True)
class Message:
    """One ROS message type: location and quantity of its numbers, and its use as a command, if any.

    This class describes messages whose numbers are fields; subclasses describe others. Messages are duck-typed: those
    of rclpy, of `rosbags`, and plain stand-ins all work.

    Attributes:
        type: Name in ROS, such as `geometry_msgs/msg/PoseStamped`.
        fields: Quantity of each number by field, nested like the fields, as in {"pose": {"position": {"x": "length"}}};
            an omitted number may have any unit.
        lists: Quantities of each list with one number per joint, by list name. All numbers of a command go into one
            list, chosen by their unit.
        named_by: How a robot file names a number: `field` (a dot-path), `joint`, `label` (the order counts), or empty
            if unknown; an input may then give a field or a joint.
        observed: Whether an input can read it.
        commands: Whether it can command a robot.
        has_header: Whether it has a `header` with stamp and `frame_id`.
        keeps_zero_stamp: Whether a command keeps a zero stamp, because receivers take it as "now". Other commands are
            stamped with the time of sending.
        has_points: Whether one command can carry a sequence of actions.
        zero_is_safe: Whether an all-zero command is safe, provided the quantities permit it.
        complete: Whether a command must give every number of `fields`, because the default of an omitted number would
            be a set point too.
        is_action: Whether commands are goals of an action, sent one at a time; the fields are those of a goal. Goals
            are neither observed nor carry points, and the fail-safe cancels them instead of sending zeros: `observed`,
            `has_points` and `zero_is_safe` must be False.
        encodings: Pixel encodings of an image type, by ROS name.
        items: Noun for the parts of a message that several publishers of a topic may share, such as joints.
        depth: Messages that a subscription keeps between ticks.
    """

    type: str
    fields: Fields = field(default_factory=dict)
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    named_by: str = "field"
    observed: bool = True
    commands: bool = False
    has_header: bool = False
    keeps_zero_stamp: bool = False
    has_points: bool = False
    zero_is_safe: bool = True
    complete: bool = False
    is_action: bool = False
    encodings: Mapping[str, Encoding] = field(default_factory=dict)
    items: str = "joints"
    depth: int = 10

    def __post_init__(self) -> None:
        """Check the names of the fields, and the description of an action.

        Raises:
            ConfigurationError: A name is a path: its numbers would be found under no name, and have any unit. Or an
                action is described as a message, a message as an action.
        """
        check_names(self.type, self.fields)
        if problem := self._action_problem():
            raise ConfigurationError(f"message type {printable(self.type)}: {problem}")

    def _action_problem(self) -> str:
        """Return what contradicts an action or a message; empty if nothing does."""
        if not self.is_action:
            forgotten = self.commands and names_action(self.type)
            return "its commands are goals of an action; set is_action to True" if forgotten else ""
        if not names_action(self.type):
            return "is_action is True, but the type is not an action's, package/action/Name; set it to False"
        if not self.commands:
            return "is_action is True, but commands is False; goals are commands, so set commands to True"
        wrong = " and ".join(name for name in _NOT_OF_ACTIONS if getattr(self, name))
        goals = "goals are neither observed nor carry points, and the fail-safe cancels them"
        return f"{goals}; set {wrong} to False" if wrong else ""

    @property
    def stamped(self) -> bool:
        """Whether a command is stamped with the time of sending."""
        return self.has_header and not self.keeps_zero_stamp

    @property
    def field_names(self) -> list[str]:
        """The dot-paths of all numbers with a known quantity."""
        return list(field_paths(self.fields))

    def quantities(self, name: str) -> tuple[str, ...]:
        """Return the quantities that a command number may have; empty: any.

        Args:
            name: The field, joint or label.
        """
        if self.lists:
            return tuple(quantity for allowed in self.lists.values() for quantity in allowed)
        return self.field_quantities(name)

    def field_quantities(self, name: str) -> tuple[str, ...]:
        """Return the quantity of a field, such as `pose.position.x`, as a tuple; empty if unknown."""
        found = quantity_at(self.fields, without_elements(name))
        return () if found is None else (found,)

    def list_of(self, unit: str) -> str:
        """Return the list for a joint number with this unit; the first list if none has its quantity."""
        quantity = quantity_of(unit)
        return next((name for name, allowed in self.lists.items() if quantity in allowed), next(iter(self.lists)))

    def input_layout(self, entries: Sequence["InputEntry"]) -> Layout:
        """Return the layout of an input's numbers."""
        joints = [(entry.joint, entry.interface) for entry in entries if entry.joint and entry.interface]
        return JointLayout(joints) if joints else layout_of([entry.field for entry in entries if entry.field])

    def part_read(self, message: Any) -> Any:
        """Return the part of a default message that has the fields of an input."""
        return message

    def array_reader(self, entry: "InputEntry") -> ArrayReader:
        """Return the reader of an input's single array entry."""
        if entry.joints:
            return JointsReader(entry.joints, str(entry.interface))
        return ListReader(str(entry.field), entry.shape)

    def command_layout(self, names: Sequence[str], units: Sequence[str]) -> Layout:
        """Return the layout of a command's numbers.

        Args:
            names: n fields, joints or labels.
            units: Their n units.
        """
        return FieldLayout(names)

    def empty(self, new: Callable[[str], Any], *, points: int = 1, period_s: float = 0.0) -> Any:
        """Return a message that `command_layout` can write to.

        Args:
            new: Creates a default message by type name.
            points: Number of actions to carry, if the type can carry several.
            period_s: Time between actions in seconds; the first is one period from now.
        """
        return new(self.type)


def names_action(type_name: str) -> bool:
    """Return whether a name is that of an action, `package/action/Name`."""
    return type_name.split("/")[1:2] == ["action"]
