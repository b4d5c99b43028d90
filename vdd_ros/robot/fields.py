"""Which physical quantity each number of a standard message is, as the message definitions say.

A field that is not listed, of a listed type or of any other, may have any unit: a `Vector3` alone does not say what it
is of, nor does a `Float64`.
"""

from collections.abc import Iterator, Mapping
from typing import Union

from vdd_ros.robot.quantities import (
    ACCELERATION,
    ANGLE,
    ANGULAR_ACCELERATION,
    ANGULAR_SPEED,
    CHARGE,
    CURRENT,
    DIMENSIONLESS,
    EFFORTS,
    FORCE,
    ILLUMINANCE,
    INERTIA,
    LENGTH,
    MAGNETIC_FIELD,
    MASS,
    POSITIONS,
    PRESSURE,
    SPEED,
    TEMPERATURE,
    TIME,
    TORQUE,
    VELOCITIES,
    VOLTAGE,
)

Fields = Mapping[str, Union[str, "Fields"]]

JOINT_STATE = "sensor_msgs/msg/JointState"
JOINT_QUANTITIES = {"position": POSITIONS, "velocity": VELOCITIES, "effort": EFFORTS}
"""Of a JointState: metres or radians, whether the joint is prismatic or revolute, and likewise."""


def _xyz(quantity: str) -> Fields:
    return dict.fromkeys("xyz", quantity)


def _no_unit(*names: str) -> Fields:
    return dict.fromkeys(names, DIMENSIONLESS)


_POINT = _xyz(LENGTH)
_QUATERNION = _no_unit(*"xyzw")
_POSE: Fields = {"position": _POINT, "orientation": _QUATERNION}
_TRANSFORM: Fields = {"translation": _POINT, "rotation": _QUATERNION}
_TWIST: Fields = {"linear": _xyz(SPEED), "angular": _xyz(ANGULAR_SPEED)}
_ACCEL: Fields = {"linear": _xyz(ACCELERATION), "angular": _xyz(ANGULAR_ACCELERATION)}
_WRENCH: Fields = {"force": _xyz(FORCE), "torque": _xyz(TORQUE)}
_INERTIA: Fields = {"m": MASS, "com": _POINT, **dict.fromkeys(("ixx", "ixy", "ixz", "iyy", "iyz", "izz"), INERTIA)}
_SCAN: Fields = {
    **dict.fromkeys(("angle_min", "angle_max", "angle_increment"), ANGLE),
    **dict.fromkeys(("time_increment", "scan_time"), TIME),
    **dict.fromkeys(("range_min", "range_max"), LENGTH),
}
_REGION = _no_unit("x_offset", "y_offset", "height", "width", "do_rectify")

FIELDS: Mapping[str, Fields] = {
    "geometry_msgs/msg/Accel": _ACCEL,
    "geometry_msgs/msg/AccelStamped": {"accel": _ACCEL},
    "geometry_msgs/msg/AccelWithCovariance": {"accel": _ACCEL},
    "geometry_msgs/msg/AccelWithCovarianceStamped": {"accel": {"accel": _ACCEL}},
    "geometry_msgs/msg/Inertia": _INERTIA,
    "geometry_msgs/msg/InertiaStamped": {"inertia": _INERTIA},
    "geometry_msgs/msg/Point": _POINT,
    "geometry_msgs/msg/Point32": _POINT,
    "geometry_msgs/msg/PointStamped": {"point": _POINT},
    "geometry_msgs/msg/PolygonInstance": _no_unit("id"),
    "geometry_msgs/msg/PolygonInstanceStamped": {"polygon": _no_unit("id")},
    "geometry_msgs/msg/Pose": _POSE,
    "geometry_msgs/msg/Pose2D": {"x": LENGTH, "y": LENGTH, "theta": ANGLE},
    "geometry_msgs/msg/PoseStamped": {"pose": _POSE},
    "geometry_msgs/msg/PoseWithCovariance": {"pose": _POSE},
    "geometry_msgs/msg/PoseWithCovarianceStamped": {"pose": {"pose": _POSE}},
    "geometry_msgs/msg/Quaternion": _QUATERNION,
    "geometry_msgs/msg/QuaternionStamped": {"quaternion": _QUATERNION},
    "geometry_msgs/msg/Transform": _TRANSFORM,
    "geometry_msgs/msg/TransformStamped": {"transform": _TRANSFORM},
    "geometry_msgs/msg/Twist": _TWIST,
    "geometry_msgs/msg/TwistStamped": {"twist": _TWIST},
    "geometry_msgs/msg/TwistWithCovariance": {"twist": _TWIST},
    "geometry_msgs/msg/TwistWithCovarianceStamped": {"twist": {"twist": _TWIST}},
    "geometry_msgs/msg/VelocityStamped": {"velocity": _TWIST},
    "geometry_msgs/msg/Wrench": _WRENCH,
    "geometry_msgs/msg/WrenchStamped": {"wrench": _WRENCH},
    "nav_msgs/msg/Odometry": {"pose": {"pose": _POSE}, "twist": {"twist": _TWIST}},
    "sensor_msgs/msg/BatteryState": {
        "voltage": VOLTAGE,
        "temperature": TEMPERATURE,
        "current": CURRENT,
        **dict.fromkeys(("charge", "capacity", "design_capacity"), CHARGE),
        **_no_unit("percentage", "power_supply_status", "power_supply_health", "power_supply_technology", "present"),
    },
    "sensor_msgs/msg/CameraInfo": {**_no_unit("height", "width", "binning_x", "binning_y"), "roi": _REGION},
    "sensor_msgs/msg/FluidPressure": {"fluid_pressure": PRESSURE},
    "sensor_msgs/msg/Illuminance": {"illuminance": ILLUMINANCE},
    "sensor_msgs/msg/Image": _no_unit("height", "width", "is_bigendian", "step"),
    "sensor_msgs/msg/Imu": {
        "orientation": _QUATERNION,
        "angular_velocity": _xyz(ANGULAR_SPEED),
        "linear_acceleration": _xyz(ACCELERATION),
    },
    "sensor_msgs/msg/JoyFeedback": _no_unit("type", "id", "intensity"),
    "sensor_msgs/msg/LaserScan": _SCAN,
    "sensor_msgs/msg/MagneticField": {"magnetic_field": _xyz(MAGNETIC_FIELD)},
    "sensor_msgs/msg/MultiEchoLaserScan": _SCAN,
    "sensor_msgs/msg/NavSatFix": {
        "status": _no_unit("status", "service"),
        **dict.fromkeys(("latitude", "longitude"), ANGLE),
        "altitude": LENGTH,
        **_no_unit("position_covariance_type"),
    },
    "sensor_msgs/msg/NavSatStatus": _no_unit("status", "service"),
    "sensor_msgs/msg/PointCloud2": _no_unit("height", "width", "is_bigendian", "point_step", "row_step", "is_dense"),
    "sensor_msgs/msg/PointField": _no_unit("offset", "datatype", "count"),
    "sensor_msgs/msg/Range": {
        **_no_unit("radiation_type"),
        "field_of_view": ANGLE,
        **dict.fromkeys(("min_range", "max_range", "range"), LENGTH),
    },
    "sensor_msgs/msg/RegionOfInterest": _REGION,
    "sensor_msgs/msg/RelativeHumidity": _no_unit("relative_humidity"),
    "sensor_msgs/msg/Temperature": {"temperature": TEMPERATURE},
    "std_msgs/msg/Bool": _no_unit("data"),
    "std_msgs/msg/ColorRGBA": _no_unit(*"rgba"),
}


def field_quantity(type_name: str, field: str) -> str | None:
    """Return the quantity of a field, such as `pose.position.x`, of a message type; None where it is not known."""
    found: str | Fields = FIELDS.get(type_name, {})
    for part in field.split("."):
        if isinstance(found, str):
            return None
        found = found.get(part, {})
    return found if isinstance(found, str) else None


def field_names(type_name: str) -> list[str]:
    """Return the fields of a message type whose quantity is known."""
    return list(_paths(FIELDS.get(type_name, {})))


def _paths(fields: Fields, before: str = "") -> Iterator[str]:
    for name, below in fields.items():
        if isinstance(below, str):
            yield before + name
        else:
            yield from _paths(below, f"{before}{name}.")
