"""Fixtures for tests over real ROS 2: an own domain on this machine only, and nodes that are always taken down."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ros_helpers import Bench

# Before rclpy is imported. Domains above 100 collide with ephemeral ports.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ.setdefault("ROS_LOG_DIR", tempfile.mkdtemp(prefix="vdd_ros_log_"))
os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)

# Under nohup, or in the background of a script, processes ignore these, and so would those that the tests start.
for number, handler in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def rclpy_context() -> Iterator[None]:
    """Initialise rclpy once."""
    rclpy = pytest.importorskip("rclpy")
    rclpy.init()
    yield
    rclpy.utilities.try_shutdown()


@pytest.fixture
def bench(rclpy_context: None) -> Iterator[Bench]:
    """An executor with a test node; every node that is added is destroyed after the test."""
    bench = Bench()
    yield bench
    bench.close()


@pytest.fixture(scope="session")
def nan_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small mixture whose action is NaN while desired_x is above 0.8."""
    from policy_files import write_mixture

    return write_mixture(tmp_path_factory.mktemp("policy") / "student.onnx", nan_above=0.8)


@pytest.fixture
def make_node(bench: Bench, nan_policy: Path) -> Any:
    """Make policy nodes for Avoiding; keyword arguments are parameters."""
    from node_rig import node_maker

    return node_maker(bench, nan_policy)


@pytest.fixture
def robot(bench: Bench) -> Any:
    """The other side of the topics of Avoiding."""
    from node_rig import Robot

    return Robot(bench)
