"""Messages that are serialised once say the same as rclpy's own, whatever numbers are put in."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from geometry_msgs.msg import Point32, TwistStamped
from rclpy.serialization import deserialize_message
from ros_helpers import Bench
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import BatteryState, RegionOfInterest
from std_msgs.msg import Float32MultiArray, Float64MultiArray, Int32MultiArray, UInt8MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from vdd_ros.errors import ConfigurationError
from vdd_ros.nodes.policy.command_publisher import CommandPublisher
from vdd_ros.nodes.policy.publishers import PublishedOutputs
from vdd_ros.nodes.ros import preserialized as ready_message
from vdd_ros.nodes.ros.preserialized import ReadyMessage, serialized_exactly
from vdd_ros.robot.channels import set_stamp
from vdd_ros.robot.command_channel import CommandChannel
from vdd_ros.robot.layouts import ArrayLayout, FieldLayout, Layout
from vdd_ros.robot.messages.joint_trajectory import TrajectoryLayout
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.tasks import get_task

STORE = get_typestore(Stores.ROS2_JAZZY)
AVOIDING = Path(__file__).parents[2] / "config" / "robots" / "avoiding.yaml"
VALUES = np.array([1.5, -0.0, 1e-310, -1e300])
OTHERS = np.array([np.nan, np.inf, 3.0, 0.1])


def twist() -> TwistStamped:
    message = TwistStamped()
    message.header.frame_id = "base"
    return message


def trajectory(points: int = 1) -> JointTrajectory:
    message = JointTrajectory(points=[JointTrajectoryPoint() for _ in range(points)])
    message.header.frame_id = "x"  # one letter: what follows is aligned anew
    for number, point in enumerate(message.points):
        point.time_from_start.nanosec = 1 + number
    return message


@pytest.mark.parametrize(
    ("make", "layout"),
    [
        (Float64MultiArray, ArrayLayout(4)),
        (trajectory, TrajectoryLayout(["elbow", "b", "cc", "ddd"])),
        (twist, FieldLayout(["twist.angular.z", "twist.linear.x", "twist.linear.y", "twist.linear.z"])),
    ],
    ids=["array", "trajectory", "twist"],
)
def test_it_says_what_the_message_would(make: Any, layout: Layout) -> None:
    stamped = hasattr(make(), "header")
    ready = ReadyMessage(make(), 4, layout.write, stamped=stamped)
    for values, stamp in ((VALUES, 1_795_497_329_626_421_200), (OTHERS, 999_999_999), (VALUES, 0)):
        wanted = make()
        layout.write(values, wanted)
        if stamped:
            set_stamp(wanted, stamp)
        found = deserialize_message(ready.serialized(values, stamp), type(wanted))
        assert repr(found) == repr(wanted)  # so that NaN equals NaN


@pytest.mark.parametrize(
    ("make", "layout", "values"),
    [
        (Point32, FieldLayout(["z", "x", "y"]), [1e-3, -2.5, 1e30]),
        (Float32MultiArray, ArrayLayout(3, code="f"), [0.1, np.inf, -0.0]),
        (Int32MultiArray, ArrayLayout(3, code="i"), [2.4, -2.6, 2**31 - 1]),
        (UInt8MultiArray, ArrayLayout(3, code="B"), [0.2, 127.5, 254.9]),
        (RegionOfInterest, FieldLayout(["do_rectify", "width", "x_offset"]), [1.0, 639.6, 3.0]),
        (BatteryState, FieldLayout(["present", "percentage", "power_supply_status"]), [0.0, 0.31, 3.4]),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_numbers_of_every_type_are_replaced(make: Any, layout: Layout, values: list[float]) -> None:
    """As the message would hold them: float32, or the nearest whole number."""
    ready = ReadyMessage(make(), 3, layout.write)
    for given in (np.array(values), np.array([1.0, 0.0, 1.0]), np.array(values)):
        wanted = make()
        layout.write(given, wanted)
        assert deserialize_message(ready.serialized(given), make) == deserialize_message(
            serialized_exactly(wanted), make
        )


@pytest.mark.parametrize("count", [1, 2, 3, 5, 64, 65])
def test_each_of_many_numbers_is_found(count: int) -> None:
    """Also where a number is written before those that stand in front of it."""
    order = np.random.default_rng(count).permutation(count)

    def fill(values: Any, message: Float64MultiArray) -> None:
        message.data = values[order].tolist()

    values = np.random.default_rng(0).random(count)
    found = deserialize_message(ReadyMessage(Float64MultiArray(), count, fill).serialized(values), Float64MultiArray)
    assert list(found.data) == values[order].tolist()


@pytest.mark.parametrize(
    "fill",
    [
        lambda values, message: setattr(message, "data", (2 * values).tolist()),
        lambda values, message: setattr(message, "data", [*values.tolist(), values[0]]),
        lambda values, message: setattr(message, "data", values[:-1].tolist()),
        lambda values, message: setattr(message, "data", values[values > 0].tolist()),
        lambda values, message: setattr(message, "data", [values[0], values[0] + values[1], values[2]]),
    ],
    ids=["scaled", "twice", "left out", "of other lengths", "mixed"],
)
def test_numbers_that_do_not_stand_in_one_field_each_are_refused(fill: Any) -> None:
    with pytest.raises(ConfigurationError, match="the 3 numbers of a command cannot be located in a Float64MultiArray"):
        ReadyMessage(Float64MultiArray(), 3, fill)


def test_every_point_of_a_trajectory_has_its_numbers() -> None:
    layout = TrajectoryLayout(["a", "b"])

    def fill(values: Any, message: JointTrajectory) -> None:
        for number, point in enumerate(values.reshape(2, 2)):
            layout.write_point(point, message, number)

    found = deserialize_message(ReadyMessage(trajectory(2), 4, fill).serialized(VALUES), JointTrajectory)
    wanted = trajectory(2)
    fill(VALUES, wanted)
    assert found == wanted


@pytest.mark.parametrize("points", [1, 2, 3, 16])
@pytest.mark.parametrize("joints", [1, 2, 6, 7])
def test_a_trajectory_is_as_long_as_another_implementation_writes_it(points: int, joints: int) -> None:
    """Also rosbags, which reads our bags and refuses what stands behind the end of a message."""
    layout = TrajectoryLayout([f"joint_{number}" for number in range(joints)])

    def fill(values: Any, message: JointTrajectory) -> None:
        for number, point in enumerate(values.reshape(points, joints)):
            layout.write_point(point, message, number)

    content = ReadyMessage(trajectory(points), points * joints, fill).serialized(np.arange(float(points * joints)))
    found: Any = STORE.deserialize_cdr(content, "trajectory_msgs/msg/JointTrajectory")
    assert content == bytes(STORE.serialize_cdr(found, "trajectory_msgs/msg/JointTrajectory"))
    assert [point.positions.tolist() for point in found.points] == np.arange(float(points * joints)).reshape(
        points, joints
    ).tolist()


def test_a_returned_message_is_not_overwritten() -> None:
    ready = ReadyMessage(Float64MultiArray(), 4, ArrayLayout(4).write)
    first = ready.serialized(VALUES)
    before = bytes(first)
    ready.serialized(OTHERS)
    assert first == before


def test_a_dry_run_leaves_what_is_sent_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it runs in the midst of a command: the fail-safe sends from another thread than dry runs."""
    robot, spec = RobotFile.load(AVOIDING), get_task("avoiding").spec
    channel = CommandChannel(robot.commands, spec.observation, spec.action)
    outputs = PublishedOutputs(bench.node, channel, 0.005, control=True)  # type: ignore[arg-type]
    sent: list[bytes] = []
    command = outputs._commands[0]
    assert isinstance(command, CommandPublisher)
    monkeypatch.setattr(command.publisher, "publish", sent.append)
    outputs.command(np.zeros(2), (0,))
    outputs.dry_run(np.ones(2))
    assert bytes(command._ready._bytes) == sent[0]
    outputs.destroy()


@pytest.mark.parametrize("content", [b"", b"something else"])
def test_another_serialisation_is_refused(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(ready_message, "serialize_message", lambda _: content)
    with pytest.raises(ConfigurationError, match="rmw_fastrtps_cpp serialises Float64MultiArray"):
        ReadyMessage(Float64MultiArray(), 4, ArrayLayout(4).write)
