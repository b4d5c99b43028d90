"""What vdd_ros knows about one type of ROS message."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vdd_ros.robot.array_readers import ArrayReader, Encoding, JointsReader, ListReader
from vdd_ros.robot.layouts import FieldLayout, JointLayout, Layout
from vdd_ros.robot.messages.fields import Fields, field_paths, quantity_at
from vdd_ros.robot.quantities import quantity_of

if TYPE_CHECKING:
    from vdd_ros.robot.inputs import InputEntry

NAMED_BY = ("field", "joint", "label", "")


@dataclass(frozen=True, kw_only=True)
class Message:
    """One type of ROS message: where its numbers stand, what they are, and how it commands a robot, if it does.

    As it stands, it describes a message whose numbers are fields; the others are subclasses. Messages themselves are
    duck-typed: rclpy's, those that `rosbags` reads and plain stand-ins all do.

    Attributes:
        type: Name in ROS, such as `geometry_msgs/msg/PoseStamped`.
        fields: Quantity of each number by its field, nested as the fields are; a number that is left out may have any
            unit.
        lists: Lists with one number a joint: name of the list to the quantities of its numbers. All numbers of one
            command go into one list, which their unit decides.
        named_by: What names a number in a robot file: `field` (a dot-path), `joint`, `label` (the order counts), or
            nothing where that is not known, so that an input may give a field or a joint.
        observed: Whether an input can read it.
        commands: Whether it can command a robot.
        has_header: Whether it has a `header`, and so a stamp and a `frame_id`.
        keeps_zero_stamp: Whether a command keeps a stamp of zero, because that means "now" to those who take it. The
            others are stamped with the time at which they are sent.
        has_points: Whether one command can carry several actions, one after the other.
        zero_is_safe: Whether all numbers may be zero in a command, as far as their quantities allow that.
        complete: Whether a command has to give every number of `fields`, because what an empty message holds in place
            of one would be a set point too.
        encodings: How its pixels may be encoded, by name in ROS, where it is an image.
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
    encodings: Mapping[str, Encoding] = field(default_factory=dict)

    @property
    def stamped(self) -> bool:
        """Whether a command gets the time at which it is sent as its stamp."""
        return self.has_header and not self.keeps_zero_stamp

    @property
    def field_names(self) -> list[str]:
        """The dot-paths of all numbers with a known quantity."""
        return list(field_paths(self.fields))

    def quantities(self, name: str) -> tuple[str, ...]:
        """Return the quantities that a number of a command may have; none: any, for the message does not say.

        Args:
            name: The field, joint or label.
        """
        if self.lists:
            return tuple(quantity for allowed in self.lists.values() for quantity in allowed)
        return self.field_quantities(name)

    def field_quantities(self, name: str) -> tuple[str, ...]:
        """Return the quantity of a field, such as `pose.position.x`, as a tuple; empty where it is not known."""
        found = quantity_at(self.fields, name)
        return () if found is None else (found,)

    def list_of(self, unit: str) -> str:
        """Return the list that a joint's number with this unit goes into; the first where no list has its quantity."""
        quantity = quantity_of(unit)
        return next((name for name, allowed in self.lists.items() if quantity in allowed), next(iter(self.lists)))

    def input_layout(self, entries: Sequence["InputEntry"]) -> Layout:
        """Return where the numbers of an input stand."""
        joints = [(entry.joint, entry.interface) for entry in entries if entry.joint and entry.interface]
        return JointLayout(joints) if joints else FieldLayout([entry.field for entry in entries if entry.field])

    def array_reader(self, entry: "InputEntry") -> ArrayReader:
        """Return where an array of an input stands, which is all that the input has."""
        if entry.joints:
            return JointsReader(entry.joints, str(entry.interface))
        return ListReader(str(entry.field), entry.shape)

    def command_layout(self, names: Sequence[str], units: Sequence[str]) -> Layout:
        """Return where the numbers of a command stand.

        Args:
            names: n fields, joints or labels.
            units: Their n units.
        """
        return FieldLayout(names)

    def empty(self, new: Callable[[str], Any], *, points: int = 1, period_s: float = 0.0) -> Any:
        """Return a message that `command_layout` can write to.

        Args:
            new: Makes a message of a type as its class does, by the type's name.
            points: How many actions it is to carry, where it can carry several.
            period_s: Time from one of them to the next, the first one period from now.
        """
        return new(self.type)
