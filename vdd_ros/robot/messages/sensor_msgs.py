"""Plain-field messages of sensor_msgs, with quantities from their definitions."""

from vdd_ros.robot.messages.fields import QUATERNION, Fields, no_unit, xyz
from vdd_ros.robot.messages.message import Message
from vdd_ros.robot.quantities import (
    ACCELERATION,
    ANGLE,
    ANGULAR_SPEED,
    CHARGE,
    CURRENT,
    ILLUMINANCE,
    LENGTH,
    MAGNETIC_FIELD,
    PRESSURE,
    TEMPERATURE,
    TIME,
    VOLTAGE,
)


def _message(name: str, numbers: Fields, *, has_header: bool = True) -> Message:
    return Message(type=f"sensor_msgs/msg/{name}", fields=numbers, has_header=has_header)


_SCAN: Fields = {
    **dict.fromkeys(("angle_min", "angle_max", "angle_increment"), ANGLE),
    **dict.fromkeys(("time_increment", "scan_time"), TIME),
    **dict.fromkeys(("range_min", "range_max"), LENGTH),
}
_REGION = no_unit("x_offset", "y_offset", "height", "width", "do_rectify")

BATTERY_STATE = _message(
    "BatteryState",
    {
        "voltage": VOLTAGE,
        "temperature": TEMPERATURE,
        "current": CURRENT,
        **dict.fromkeys(("charge", "capacity", "design_capacity"), CHARGE),
        **no_unit("percentage", "power_supply_status", "power_supply_health", "power_supply_technology", "present"),
    },
)
CAMERA_INFO = _message("CameraInfo", {**no_unit("height", "width", "binning_x", "binning_y"), "roi": _REGION})
FLUID_PRESSURE = _message("FluidPressure", {"fluid_pressure": PRESSURE})
ILLUMINANCE_MESSAGE = _message("Illuminance", {"illuminance": ILLUMINANCE})
IMU = _message(
    "Imu",
    {
        "orientation": QUATERNION,
        "angular_velocity": xyz(ANGULAR_SPEED),
        "linear_acceleration": xyz(ACCELERATION),
    },
)
JOY_FEEDBACK = _message("JoyFeedback", no_unit("type", "id", "intensity"), has_header=False)
LASER_SCAN = _message("LaserScan", _SCAN)
MAGNETIC_FIELD_MESSAGE = _message("MagneticField", {"magnetic_field": xyz(MAGNETIC_FIELD)})
MULTI_ECHO_LASER_SCAN = _message("MultiEchoLaserScan", _SCAN)
NAV_SAT_FIX = _message(
    "NavSatFix",
    {
        "status": no_unit("status", "service"),
        **dict.fromkeys(("latitude", "longitude"), ANGLE),
        "altitude": LENGTH,
        **no_unit("position_covariance_type"),
    },
)
NAV_SAT_STATUS = _message("NavSatStatus", no_unit("status", "service"), has_header=False)
POINT_CLOUD2 = _message("PointCloud2", no_unit("height", "width", "is_bigendian", "point_step", "row_step", "is_dense"))
POINT_FIELD = _message("PointField", no_unit("offset", "datatype", "count"), has_header=False)
RANGE = _message(
    "Range",
    {
        **no_unit("radiation_type"),
        "field_of_view": ANGLE,
        **dict.fromkeys(("min_range", "max_range", "range"), LENGTH),
    },
)
REGION_OF_INTEREST = _message("RegionOfInterest", _REGION, has_header=False)
RELATIVE_HUMIDITY = _message("RelativeHumidity", no_unit("relative_humidity"))
TEMPERATURE_MESSAGE = _message("Temperature", {"temperature": TEMPERATURE})
