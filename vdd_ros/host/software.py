"""The installed ROS 2 and its middleware; works without them too."""

import importlib
import os
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TypedDict

from vdd_ros import middleware


class RosFacts(TypedDict):
    """The ROS 2 of this environment; None for each missing part.

    Attributes:
        ros_distro: Distribution, such as `jazzy`.
        rclpy, rosbags: Versions.
        rmw: Name of the middleware implementation that rclpy loads.
    """

    ros_distro: str | None
    rclpy: str | None
    rosbags: str | None
    rmw: str | None


def ros_facts() -> RosFacts:
    """Return distribution, versions and middleware of ROS 2."""
    rmw = None
    if not middleware.problem():  # otherwise importing rclpy would end the process
        with suppress(ImportError):
            rmw = importlib.import_module("rclpy").get_rmw_implementation_identifier()
    return {
        "ros_distro": os.environ.get("ROS_DISTRO"),
        "rclpy": _version("ros-jazzy-rclpy", "ros-kilted-rclpy", "rclpy"),
        "rosbags": _version("rosbags"),
        "rmw": rmw,
    }


def _version(*packages: str) -> str | None:
    """Return the version of the first of these packages that is installed."""
    for package in packages:
        with suppress(PackageNotFoundError):
            return version(package)
    return None
