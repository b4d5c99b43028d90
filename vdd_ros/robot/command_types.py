"""The message types that can command a robot, and what each says: one row a type."""

from dataclasses import dataclass

from vdd_ros.robot.fields import field_names
from vdd_ros.robot.quantities import POSITIONS, VELOCITIES


@dataclass(frozen=True)
class CommandType:
    """What a command's message type says about its numbers.

    Attributes:
        has_header: Whether it has a `header`, and so a `frame_id`.
        stamped: Whether `header.stamp` is the time of the command. A header that is not stamped keeps zero, which
            means "now" to controllers of trajectories.
        has_points: Whether it carries several commands, one after the other.
        fields: The only values of `name`, or none where `name` is a joint or a label.
        quantities: The quantities that its numbers may have; none: any, for the message does not say.
        one_quantity: Whether all of its numbers are either positions or velocities.
    """

    has_header: bool = False
    stamped: bool = False
    has_points: bool = False
    fields: tuple[str, ...] = ()
    quantities: tuple[str, ...] = ()
    one_quantity: bool = False


TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
_TWIST = "geometry_msgs/msg/TwistStamped"

COMMANDS = {
    "std_msgs/msg/Float64MultiArray": CommandType(),
    TRAJECTORY: CommandType(has_header=True, has_points=True, quantities=(*POSITIONS, *VELOCITIES), one_quantity=True),
    _TWIST: CommandType(has_header=True, stamped=True, fields=tuple(field_names(_TWIST)), quantities=VELOCITIES),
}
