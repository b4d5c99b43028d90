"""The types of ROS messages that carry observations and commands, by name in ROS.

A type with special rules has its own module; types of plain fields share one module per ROS package. Another package
adds a type with one line in its metadata, under the type's name in ROS:

    [project.entry-points."vdd_ros.messages"]
    "ackermann_msgs/msg/AckermannDriveStamped" = "my_package.ackermann:MESSAGE"

`vdd_ros.testing.messages.check_message` checks such a type. No message class is imported here; nodes import them.
"""

from vdd_ros.errors import PluginError, RobotFileError
from vdd_ros.registry import Registry
from vdd_ros.robot.messages.message import Message, names_action

_HERE = "vdd_ros.robot.messages"
_SHIPPED = {
    "control_msgs/action/GripperCommand": "gripper_command:MESSAGE",
    "geometry_msgs/msg/PoseStamped": "pose_stamped:MESSAGE",
    "geometry_msgs/msg/TwistStamped": "twist_stamped:MESSAGE",
    "sensor_msgs/msg/Image": "image:MESSAGE",
    "sensor_msgs/msg/JointState": "joint_state:MESSAGE",
    "std_msgs/msg/Float64MultiArray": "float64_multi_array:MESSAGE",
    "trajectory_msgs/msg/JointTrajectory": "joint_trajectory:MESSAGE",
    "geometry_msgs/msg/Accel": "geometry_msgs:ACCEL",
    "geometry_msgs/msg/AccelStamped": "geometry_msgs:ACCEL_STAMPED",
    "geometry_msgs/msg/AccelWithCovariance": "geometry_msgs:ACCEL_WITH_COVARIANCE",
    "geometry_msgs/msg/AccelWithCovarianceStamped": "geometry_msgs:ACCEL_WITH_COVARIANCE_STAMPED",
    "geometry_msgs/msg/Inertia": "geometry_msgs:INERTIA",
    "geometry_msgs/msg/InertiaStamped": "geometry_msgs:INERTIA_STAMPED",
    "geometry_msgs/msg/Point": "geometry_msgs:POINT",
    "geometry_msgs/msg/Point32": "geometry_msgs:POINT32",
    "geometry_msgs/msg/PointStamped": "geometry_msgs:POINT_STAMPED",
    "geometry_msgs/msg/PolygonInstance": "geometry_msgs:POLYGON_INSTANCE",
    "geometry_msgs/msg/PolygonInstanceStamped": "geometry_msgs:POLYGON_INSTANCE_STAMPED",
    "geometry_msgs/msg/Pose": "geometry_msgs:POSE",
    "geometry_msgs/msg/Pose2D": "geometry_msgs:POSE_2D",
    "geometry_msgs/msg/PoseWithCovariance": "geometry_msgs:POSE_WITH_COVARIANCE",
    "geometry_msgs/msg/PoseWithCovarianceStamped": "geometry_msgs:POSE_WITH_COVARIANCE_STAMPED",
    "geometry_msgs/msg/Quaternion": "geometry_msgs:QUATERNION",
    "geometry_msgs/msg/QuaternionStamped": "geometry_msgs:QUATERNION_STAMPED",
    "geometry_msgs/msg/Transform": "geometry_msgs:TRANSFORM",
    "geometry_msgs/msg/TransformStamped": "geometry_msgs:TRANSFORM_STAMPED",
    "geometry_msgs/msg/Twist": "geometry_msgs:TWIST",
    "geometry_msgs/msg/TwistWithCovariance": "geometry_msgs:TWIST_WITH_COVARIANCE",
    "geometry_msgs/msg/TwistWithCovarianceStamped": "geometry_msgs:TWIST_WITH_COVARIANCE_STAMPED",
    "geometry_msgs/msg/VelocityStamped": "geometry_msgs:VELOCITY_STAMPED",
    "geometry_msgs/msg/Wrench": "geometry_msgs:WRENCH",
    "geometry_msgs/msg/WrenchStamped": "geometry_msgs:WRENCH_STAMPED",
    "nav_msgs/msg/Odometry": "nav_msgs:ODOMETRY",
    "sensor_msgs/msg/BatteryState": "sensor_msgs:BATTERY_STATE",
    "sensor_msgs/msg/CameraInfo": "sensor_msgs:CAMERA_INFO",
    "sensor_msgs/msg/FluidPressure": "sensor_msgs:FLUID_PRESSURE",
    "sensor_msgs/msg/Illuminance": "sensor_msgs:ILLUMINANCE_MESSAGE",
    "sensor_msgs/msg/Imu": "sensor_msgs:IMU",
    "sensor_msgs/msg/JoyFeedback": "sensor_msgs:JOY_FEEDBACK",
    "sensor_msgs/msg/LaserScan": "sensor_msgs:LASER_SCAN",
    "sensor_msgs/msg/MagneticField": "sensor_msgs:MAGNETIC_FIELD_MESSAGE",
    "sensor_msgs/msg/MultiEchoLaserScan": "sensor_msgs:MULTI_ECHO_LASER_SCAN",
    "sensor_msgs/msg/NavSatFix": "sensor_msgs:NAV_SAT_FIX",
    "sensor_msgs/msg/NavSatStatus": "sensor_msgs:NAV_SAT_STATUS",
    "sensor_msgs/msg/PointCloud2": "sensor_msgs:POINT_CLOUD2",
    "sensor_msgs/msg/PointField": "sensor_msgs:POINT_FIELD",
    "sensor_msgs/msg/Range": "sensor_msgs:RANGE",
    "sensor_msgs/msg/RegionOfInterest": "sensor_msgs:REGION_OF_INTEREST",
    "sensor_msgs/msg/RelativeHumidity": "sensor_msgs:RELATIVE_HUMIDITY",
    "sensor_msgs/msg/Temperature": "sensor_msgs:TEMPERATURE_MESSAGE",
    "std_msgs/msg/Bool": "std_msgs:BOOL",
    "std_msgs/msg/ColorRGBA": "std_msgs:COLOR_RGBA",
}

MESSAGES = Registry(
    "vdd_ros.messages",
    "message type",
    Message,
    RobotFileError,
    {name: f"{_HERE}.{place}" for name, place in _SHIPPED.items()},
    own_name=lambda message: message.type,
)


def find_message(type_name: str) -> Message:
    """Return the description of a message type; an unregistered type can only be observed.

    Args:
        type_name: Name of the type, as `package/msg/Name`, or of an action, as `package/action/Name`.

    Raises:
        PluginError: The registering package cannot be imported, or describes another type.
    """
    if type_name not in MESSAGES.names():
        return Message(type=type_name, named_by="")
    return MESSAGES.get(type_name)


def message_types() -> list[str]:
    """Return the registered message types, without actions."""
    return [name for name in MESSAGES.names() if not names_action(name)]


def action_types() -> list[str]:
    """Return the registered actions, whose goals command a robot."""
    return [name for name in MESSAGES.names() if names_action(name)]


def command_types(*, points: bool = False, actions: bool = False) -> list[str]:
    """Return the types that command a robot; types that cannot be imported are omitted.

    Args:
        points: Whether to return only multi-point ones.
        actions: Whether to add the actions.
    """
    found = []
    for name in [*message_types(), *(action_types() if actions else ())]:
        try:
            message = find_message(name)
        except PluginError:
            continue  # a third-party type, reported if a robot file names it
        if message.commands and (message.has_points or not points):
            found.append(name)
    return found
