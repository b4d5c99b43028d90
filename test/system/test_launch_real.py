"""Launch files under launch itself, where that is installed: what runs, with which parameters, and how it ends."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from policy_files import write_mixture
from ros_helpers import Bench

pytest.importorskip("rclpy")
pytest.importorskip("launch.actions", reason="launch is on ROS installations only")
pytest.importorskip("launch_ros.actions", reason="launch_ros is on ROS installations only")

from ament_index_python.packages import get_package_prefix
from launch.actions import IncludeLaunchDescription, OpaqueFunction, RegisterEventHandler, Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.event_handlers import OnStateTransition
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
from rclpy.parameter import parameter_value_to_python

from vdd_ros import resources
from vdd_ros.bags.latency import read_latency_bag
from vdd_ros.cli.main import main

ROOT = Path(__file__).parents[2]
EXECUTABLES = ("policy_node", "sim_robot_node", "bag_recorder")
START_S = 180.0
END_S = 180.0
ASK_AGAIN_S = 2.0
PROGRAM = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

source = PythonLaunchDescriptionSource(sys.argv[1])
given = [tuple(word.split(":=", 1)) for word in sys.argv[2:]]
service = LaunchService(argv=sys.argv[2:])
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(source, launch_arguments=given)]))
sys.exit(service.run())
"""


class Launched:
    """A running launch file; like a terminal's job, launch and its nodes are one process group."""

    def __init__(self, file: str, folder: Path, environment: dict[str, str], arguments: dict[str, object]) -> None:
        words = [f"{name}:={value}" for name, value in arguments.items()]
        self._log = folder / "launch.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(ROOT / "launch" / f"{file}.launch.py"), *words],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def await_output(self, text: str) -> None:
        end = time.monotonic() + START_S
        while text not in self.output:
            assert time.monotonic() < end, f"waited in vain for {text!r}:\n{self.output}"
            assert self.process.poll() is None, self.output
            time.sleep(0.1)

    def end(self) -> int:
        """Return the exit code; everything must have ended with launch."""
        try:
            code = self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"launch did not end:\n{self.output}") from None
        with pytest.raises(ProcessLookupError):
            os.killpg(self.process.pid, 0)
        return code

    def kill(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.process.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Launched]]:
    """Start a launch file with arguments, over the code of this checkout, and kill what is left at the end."""
    prefix = tmp_path / "prefix"
    for folder in ("lib/vdd_ros", "share/ament_index/resource_index/packages"):
        (prefix / folder).mkdir(parents=True)
    (prefix / "share/ament_index/resource_index/packages/vdd_ros").touch()
    for name in EXECUTABLES:
        script = prefix / "lib/vdd_ros" / name
        script.write_text(f"#!{sys.executable}\nimport sys\nfrom vdd_ros.nodes.{name} import main\nsys.exit(main())\n")
        script.chmod(0o755)
    paths = {"AMENT_PREFIX_PATH": str(prefix), "PYTHONPATH": str(ROOT)}
    joined = {name: os.pathsep.join(filter(None, [path, os.environ.get(name, "")])) for name, path in paths.items()}
    running: list[Launched] = []

    def start(file: str, **arguments: object) -> Launched:
        running.append(Launched(file, tmp_path, os.environ | joined, arguments))
        return running[-1]

    yield start
    for launched in running:
        launched.kill()


def ask(bench: Bench, kind: Any, service: str, request: Any) -> Any:
    """Call a service of a live node, again where the answer was lost because the client was not yet known there."""
    client = bench.node.create_client(kind, service)
    futures: list[Any] = []

    def answered() -> bool:
        if client.service_is_ready() and time.monotonic() > asked_s[0] + ASK_AGAIN_S:
            asked_s[0] = time.monotonic()
            futures.append(client.call_async(request))
        return any(future.done() for future in futures)

    asked_s = [-ASK_AGAIN_S]
    bench.wait(answered, f"an answer of {service}", deadline_s=START_S)
    bench.node.destroy_client(client)
    return next(future.result() for future in futures if future.done())


def parameters(bench: Bench, node: str, *names: str) -> dict[str, Any]:
    """Return parameters of a live node."""
    answer = ask(bench, GetParameters, f"{node}/get_parameters", GetParameters.Request(names=list(names)))
    return dict(zip(names, map(parameter_value_to_python, answer.values), strict=True))


def await_state(bench: Bench, node: str, state: str) -> None:
    """Wait until a live node is in a lifecycle state."""
    end = time.monotonic() + START_S
    while (now := ask(bench, GetState, f"{node}/get_state", GetState.Request()).current_state.label) != state:
        assert time.monotonic() < end, f"{node} is {now}"


def test_demo_ends_by_itself_with_a_whole_bag(start: Callable[..., Launched], tmp_path: Path) -> None:
    """Any number of policies shadow, and whatever the folder is called, `vdd latency` finds all that it needs."""
    file = resources.path("models/avoiding_teacher.onnx")
    params = tmp_path / "mine.params.yaml"
    params.write_text("/**: {ros__parameters: {publish_decisions: false}}")
    demo = start("demo", episodes=2, record=2026, compare_with=f"teacher,student,{file}", params_file=params)
    assert demo.end() == 0, demo.output
    assert "process has died" not in demo.output
    assert main(["latency", str(tmp_path / "2026")]) == 0
    nodes = read_latency_bag(tmp_path / "2026")
    assert {node.node for node in nodes} == {"/policy", "/shadow_policy", "/shadow_policy_2", "/shadow_policy_3"}
    assert all(node.sequence.first == 0 and node.decisions is not None for node in nodes)


def test_arguments_reach_the_live_nodes(start: Callable[..., Launched], bench: Bench, tmp_path: Path) -> None:
    """Every argument with a value that is not its default; those of a node's own section win over the shared ones."""
    policy = write_mixture(tmp_path / "1e3")
    robot = str(shutil.copy(resources.path("config/robots/avoiding.yaml"), tmp_path / "mine.yaml"))
    params = tmp_path / "mine.params.yaml"
    own = "policy: {ros__parameters: {expert: greedy, enable_control: true, policy_path: nowhere.onnx}}"
    params.write_text(f"{own}\n/**: {{ros__parameters: {{warmup_runs: 3, seed: 4, enable_control: true}}}}")
    given = {"record": "bag", "episode_topic": "off", "use_sim_time": "true", "robot": "mine.yaml", "seed": 7}
    launched = start(
        "policy", policy="1e3", compare_with="teacher", params_file=params, shadow="true", activate="false", **given
    )
    names = "robot_file", "enable_control", "episode_topic", "use_sim_time", "seed", "warmup_runs"
    expected = dict(zip(names, (robot, False, "off", True, 7, 3), strict=True))
    files = {"/policy": (str(policy), "greedy"), "/shadow_policy": (str(teacher()), "sample")}
    for node, (path, expert) in files.items():
        await_state(bench, node, "inactive")
        found = parameters(bench, node, "policy_path", "expert", *names)
        assert found == {"policy_path": path, "expert": expert} | expected, node
    recorded = parameters(bench, "/bag_recorder", "output", "topics")
    assert recorded["output"] == str(tmp_path / "bag")
    assert {"off", "policy/decision", "shadow_policy/decision"} <= set(recorded["topics"])
    os.killpg(launched.process.pid, signal.SIGINT)
    assert launched.end() == 0, launched.output


def teacher() -> Path:
    return resources.path("models/avoiding_teacher.onnx")


def test_what_the_parameter_file_says_holds_where_no_argument_is_given(
    start: Callable[..., Launched], bench: Bench, tmp_path: Path
) -> None:
    """A file that forbids commands is not overruled, its episodes count, and the node becomes active."""
    params = tmp_path / "mine.params.yaml"
    params.write_text(
        "/**: {ros__parameters: {enable_control: false, episode_topic: mine, seed: 4, use_sim_time: true}}"
    )
    launched = start("policy", policy="teacher", params_file=params)
    await_state(bench, "/policy", "active")
    expected = {"enable_control": False, "episode_topic": "mine", "seed": 4, "use_sim_time": True}
    assert parameters(bench, "/policy", *expected) == expected
    launched.process.send_signal(signal.SIGINT)
    assert launched.end() == 0, launched.output
    assert "process has died" not in launched.output


@pytest.mark.parametrize(
    ("argument", "value", "told"),
    [
        ("policy", "nowhere.onnx", "the policy nowhere.onnx is not a file"),
        ("compare_with", "student,techer", "the policy techer is not a file"),
        ("record", "prefix", "record prefix exists already"),
        ("params_file", "nowhere.yaml", "params_file nowhere.yaml is not a file"),
        ("robot", "nowhere.yaml", "nowhere.yaml"),
        ("seed", "one", "give a whole number"),
        ("episodes", "1.5", "give a whole number"),
        ("shadow", "yes", "Valid options are: ['true', 'false']"),
    ],
)
def test_a_wrong_argument_is_reported_before_anything_starts(
    start: Callable[..., Launched], argument: str, value: str, told: str
) -> None:
    launched = start("demo", **{argument: value})
    assert launched.end() == 1
    assert told in launched.output
    assert "process started" not in launched.output


def test_a_policy_that_is_refused_ends_launch_with_an_error(start: Callable[..., Launched], tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_text("this is not a policy")
    launched = start("demo", compare_with="broken.onnx")
    assert launched.end() == 1, launched.output
    assert "shadow_policy could not be configured" in launched.output


def test_a_node_that_dies_ends_launch_with_an_error(start: Callable[..., Launched], bench: Bench) -> None:
    launched = start("policy")
    await_state(bench, "/policy", "active")
    pid = int(launched.output.split("[policy_node-1]: process started with pid [")[1].split("]")[0])
    os.kill(pid, signal.SIGKILL)
    assert launched.end() == 1, launched.output
    assert "policy_node-1 ended with exit code -9" in launched.output


def test_ctrl_c_ends_everything_and_leaves_a_whole_bag(start: Callable[..., Launched], tmp_path: Path) -> None:
    demo = start("demo", episodes=1000, record="bag")
    demo.await_output("episode 0: ")
    os.killpg(demo.process.pid, signal.SIGINT)
    assert demo.end() == 0, demo.output
    assert "process has died" not in demo.output
    assert "escalating" not in demo.output
    assert main(["latency", str(tmp_path / "bag")]) == 0


def test_an_installed_policy_becomes_active(tmp_path: Path) -> None:
    """As part of another launch description, and with an installed package, policy.launch.py starts a policy."""
    launch = pytest.importorskip("launch")
    try:
        get_package_prefix("vdd_ros")
    except LookupError:
        pytest.skip("vdd_ros is not installed in an ament prefix")
    seen = []

    def end(_: Any) -> list[Any]:
        seen.append("active")
        return [Shutdown()]

    active = OnStateTransition(goal_state="active", entities=[OpaqueFunction(function=end)])
    file = PythonLaunchDescriptionSource(str(ROOT / "launch" / "policy.launch.py"))
    given = {"policy": str(write_mixture(tmp_path / "policy.onnx"))}.items()
    included = IncludeLaunchDescription(file, launch_arguments=given)
    service = launch.LaunchService()
    service.include_launch_description(launch.LaunchDescription([RegisterEventHandler(active), included]))
    assert service.run() == 0
    assert seen == ["active"]
