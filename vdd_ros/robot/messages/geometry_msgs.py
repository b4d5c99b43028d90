"""Plain-field messages of geometry_msgs, with quantities from their definitions; those of `Vector3` are unknown."""

from dataclasses import replace

from vdd_ros.robot.messages import fields
from vdd_ros.robot.messages.fields import Fields, no_unit
from vdd_ros.robot.messages.message import Message
from vdd_ros.robot.quantities import ANGLE, LENGTH, MASS
from vdd_ros.robot.quantities import INERTIA as MOMENT


def _message(name: str, numbers: Fields) -> Message:
    return Message(type=f"geometry_msgs/msg/{name}", fields=numbers, has_header=name.endswith("Stamped"))


_INERTIA: Fields = {
    "m": MASS,
    "com": fields.POINT,
    **dict.fromkeys(("ixx", "ixy", "ixz", "iyy", "iyz", "izz"), MOMENT),
}
_TRANSFORM: Fields = {"translation": fields.POINT, "rotation": fields.QUATERNION}

ACCEL = _message("Accel", fields.ACCEL)
ACCEL_STAMPED = _message("AccelStamped", {"accel": fields.ACCEL})
ACCEL_WITH_COVARIANCE = _message("AccelWithCovariance", {"accel": fields.ACCEL})
ACCEL_WITH_COVARIANCE_STAMPED = _message("AccelWithCovarianceStamped", {"accel": {"accel": fields.ACCEL}})
INERTIA = _message("Inertia", _INERTIA)
INERTIA_STAMPED = _message("InertiaStamped", {"inertia": _INERTIA})
POINT = _message("Point", fields.POINT)
POINT32 = _message("Point32", fields.POINT)
POINT_STAMPED = _message("PointStamped", {"point": fields.POINT})
POLYGON_INSTANCE = _message("PolygonInstance", no_unit("id"))
POLYGON_INSTANCE_STAMPED = _message("PolygonInstanceStamped", {"polygon": no_unit("id")})
POSE = _message("Pose", fields.POSE)
POSE_2D = _message("Pose2D", {"x": LENGTH, "y": LENGTH, "theta": ANGLE})
POSE_WITH_COVARIANCE = _message("PoseWithCovariance", {"pose": fields.POSE})
POSE_WITH_COVARIANCE_STAMPED = _message("PoseWithCovarianceStamped", {"pose": {"pose": fields.POSE}})
QUATERNION = _message("Quaternion", fields.QUATERNION)
QUATERNION_STAMPED = _message("QuaternionStamped", {"quaternion": fields.QUATERNION})
TRANSFORM = _message("Transform", _TRANSFORM)
TRANSFORM_STAMPED = _message("TransformStamped", {"transform": _TRANSFORM})
TWIST = replace(_message("Twist", fields.TWIST), commands=True)
TWIST_WITH_COVARIANCE = _message("TwistWithCovariance", {"twist": fields.TWIST})
TWIST_WITH_COVARIANCE_STAMPED = _message("TwistWithCovarianceStamped", {"twist": {"twist": fields.TWIST}})
VELOCITY_STAMPED = _message("VelocityStamped", {"velocity": fields.TWIST})
WRENCH = _message("Wrench", fields.WRENCH)
WRENCH_STAMPED = _message("WrenchStamped", {"wrench": fields.WRENCH})
