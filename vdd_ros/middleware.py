"""Checks that the requested ROS middleware is installed, before rclpy ends the process over it."""

import importlib.util
import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from vdd_ros.errors import ConfigurationError
from vdd_ros.text import printable

VARIABLES = ("RMW_IMPLEMENTATION", "RCL_ASSERT_RMW_ID_MATCHES")
"""Variables that rcl compares with its middleware; if they differ, it ends the process with code 102."""
WHEEL = "rmw_fastrtps_cpp"
"""The only middleware of ROS 2's wheels."""
_WHEELS = ("ros-jazzy-rclpy", "ros-kilted-rclpy")


def check(environment: Mapping[str, str] = os.environ) -> None:
    """Raise ConfigurationError, with the remedy, if importing rclpy would end the process."""
    if found := problem(environment):
        raise ConfigurationError(found)


def problem(environment: Mapping[str, str] = os.environ) -> str:
    """Return why the requested middleware is unavailable; empty if it is available, or without rclpy."""
    for variable in VARIABLES:
        asked = environment.get(variable, "")
        if asked and (found := _missing(asked, environment)):
            return f"{variable} is {printable(asked)!r}, but {found}"
    return ""


def _missing(asked: str, environment: Mapping[str, str]) -> str:
    """Describe the available middleware and the remedy."""
    if _from_wheels():
        if asked == WHEEL:
            return ""
        return (
            f"rclpy comes from wheels here, which contain only {WHEEL}: no node can start. To use that, `unset "
            f"{' '.join(VARIABLES)}`, and make sure that the other nodes use a compatible middleware. To use "
            f"{printable(asked)}, run vdd_ros in a ROS 2 installation that has it, without these wheels"
        )
    folders = [Path(prefix, "lib") for prefix in environment.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    folders += [Path(folder) for folder in environment.get("LD_LIBRARY_PATH", "").split(os.pathsep) if folder]
    installed = sorted({file.stem.removeprefix("lib") for folder in folders for file in folder.glob("librmw_*_cpp.so")})
    if not installed or asked in installed:  # if none is found, rcl knows better
        return ""
    package = f"ros-{environment.get('ROS_DISTRO', 'DISTRO')}-{printable(asked).replace('_', '-')}"
    return (
        f"this ROS 2 installation has {', '.join(map(printable, installed))}: no node can start. Install it (apt "
        f"install {package}), or set {VARIABLES[0]} to an installed one, on every machine of the robot"
    )


def _from_wheels() -> bool:
    """Return whether importing rclpy would load it from the wheels."""
    spec = importlib.util.find_spec("rclpy")
    if spec is None or spec.origin is None:
        return False
    for name in _WHEELS:
        try:
            if Path(str(distribution(name).locate_file("rclpy"))).resolve() == Path(spec.origin).resolve().parent:
                return True
        except PackageNotFoundError:
            continue
    return False
