"""Which ROS 2 and which middleware run here; imports without them too, and then says so."""

import importlib
import os
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from vdd_ros import middleware

_PACKAGES = {"rclpy": ("ros-jazzy-rclpy", "ros-kilted-rclpy", "rclpy"), "rosbags": ("rosbags",)}


def ros_facts() -> dict[str, Any]:
    """Return distribution, versions and middleware of ROS 2; None for what is not there."""
    found = {name: next(filter(None, map(_version, packages)), None) for name, packages in _PACKAGES.items()}
    rmw = None
    if not middleware.problem():  # else importing rclpy would end the process
        with suppress(ImportError):
            rmw = importlib.import_module("rclpy").get_rmw_implementation_identifier()
    return {"ros_distro": os.environ.get("ROS_DISTRO"), **found, "rmw": rmw}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
