"""Markers and order of the tests; fixtures for real ROS 2: a domain of its own, nodes that are always taken down."""

import gc
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before numpy, torch and rclpy are imported: one thread a process, since tests run in several processes at once.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "agg"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ.setdefault("ROS_LOG_DIR", tempfile.mkdtemp(prefix="vdd_ros_log_"))
os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)
# Participants that missed one another, and acknowledgements, do not take three seconds each.
os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(Path(__file__).with_name("rigs") / "fast_dds.xml")

import pytest
from hypothesis import HealthCheck, settings
from ros_helpers import Bench

from vdd_ros.policy.denormals import flush_denormals
from vdd_ros.running.ros_domains import take_domain

# The first policy that a process loads does this for good; here every test has it, whatever ran before. Hypothesis then
# refuses to draw denormal numbers: give its floats allow_subnormal=False.
flush_denormals()

# How long an example takes says how busy the machine is.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

DOMAIN, DOMAIN_LOCK = take_domain()
"""Held until this process ends: no other worker, test run or demo on this machine uses it."""
os.environ["ROS_DOMAIN_ID"] = str(DOMAIN)

TEST = Path(__file__).resolve().parent
MARKERS = {"learning": "train", "nodes": "ros", "system": "system"}
"""Folder to the marker of its tests; others carry theirs themselves."""
LONGEST = (
    *("test_style", "test_benchmark_run", "test_docs", "test_export", "test_demo", "test_robot_run", "test_workers"),
    *("test_fault_failsafe", "test_exact_ring", "test_layers", "test_your_robot", "test_fault_parameters"),
    *("test_bag_recorder", "test_cli_training", "test_distributed", "test_sim_robot", "test_exact_teacher"),
    *("test_policy_loader", "test_exact_targets", "test_fault_processes", "test_fault_callbacks", "test_lean"),
    *("test_packaging", "test_policy_opening"),
)
"""Files that workers begin with, so that none is left alone with a long one at the end."""

# Under nohup, or in the background of a script, processes ignore these, and so would those that the tests start.
for number, handler in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, handler)


def pytest_configure(config: pytest.Config) -> None:
    """Let each worker collect from another folder on: what one has compiled, the others read.

    Garbage is not collected meanwhile: a sixth of the time of all imports.
    """
    gc.disable()
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None:
        places = [place for argument in config.args for place in _folders(argument)]
        first = int(worker.removeprefix("gw")) * len(places) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        config.args[:] = places[first:] + places[:first]


def _folders(argument: str) -> list[str]:
    if Path(argument).resolve() != TEST:
        return [argument]
    return sorted(str(folder) for folder in TEST.iterdir() if any(folder.glob("test_*.py")))


def pytest_collection_finish() -> None:
    """Collect garbage again, but not among the half a million objects of all modules: that takes half a second."""
    gc.enable()
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by folder; long files first, then one of each folder in turn, in the same order in each worker.

    Those of some folders compute, those of others wait.
    """
    for item in items:
        folder = item.path.relative_to(TEST).parts[0]
        if marker := MARKERS.get(folder):
            item.add_marker(marker)
    files: dict[Path, list[Path]] = {}
    for path in sorted({item.path for item in items}):
        files.setdefault(path.parent, []).append(path)
    place = {path: (_rank(path), turn) for folder in files.values() for turn, path in enumerate(folder)}
    items.sort(key=lambda item: (*place[item.path], str(item.path)))


def _rank(path: Path) -> int:
    return LONGEST.index(path.stem) if path.stem in LONGEST else len(LONGEST)


class KeepingFrozen:
    """Stands for the module gc."""

    collect = gc.collect

    @staticmethod
    def freeze() -> None:
        """Freeze nothing more: what a test leaves can be collected."""

    @staticmethod
    def unfreeze() -> None:
        """Keep what is frozen."""


@pytest.fixture(scope="session")
def rclpy_context() -> Iterator[None]:
    """Initialise rclpy once.

    Policy nodes of this process leave alone what is frozen here; those in processes of their own freeze and unfreeze.
    """
    rclpy = pytest.importorskip("rclpy")
    rclpy.init()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vdd_ros.nodes.policy.session.gc", KeepingFrozen)
        yield
    rclpy.utilities.try_shutdown()


@pytest.fixture
def bench(rclpy_context: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """An executor with a test node; every node that is added is destroyed after the test.

    Policy nodes measure the jitter of one sleep when they are configured, not of ninety. They load beside the ticks
    whatever ONNX Runtime there is: these files are small.
    """
    monkeypatch.setattr("vdd_ros.policy.trial.opening_stops_python", lambda: False)
    monkeypatch.setattr("vdd_ros.nodes.policy.session.JITTER_SLEEPS", 1)
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


@pytest.fixture
def rig(tmp_path: Path) -> Any:
    """Make loops that are fed by hand, with Avoiding's robot and a mixture whose numbers are known."""
    from loop_rig import AVOIDING, Rig
    from policy_files import write_mixture

    from vdd_ros.policy.onnx_policy import OnnxPolicy
    from vdd_ros.robot.robot_file import RobotFile

    def make(*, nan_above: float | None = None, control: bool = True, step_s: float = 0.001, **spec: Any) -> Rig:
        path = write_mixture(tmp_path / "policy.onnx", nan_above=nan_above, **spec)
        policy = OnnxPolicy.load(path, expert="greedy")
        return Rig(policy, RobotFile.load(AVOIDING), control=control, step_s=step_s)

    return make
