"""`vdd run` on a robot over real DDS: its processes, its output, and its remains."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from arm_rig import arm_document, gripper_document
from node_rig import AVOIDING, Robot
from policy_files import write_mixture
from ros_helpers import DEADLINE_S, LEAVE_S, Bench

pytest.importorskip("rclpy")

from sensor_msgs.msg import JointState
from std_msgs.msg import String
from velocity_rig import VelocityRobot

from vdd_ros.bags.latency import read_latency_bag
from vdd_ros.bags.reader import read_messages
from vdd_ros.cli.main import main
from vdd_ros.errors import VddError
from vdd_ros.evaluation.robot_check.live import check_live
from vdd_ros.nodes.policy.console import AGAIN_S
from vdd_ros.nodes.robot_capture import Captured
from vdd_ros.nodes.ros.installed import missing_for_nodes
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.running import robot_run
from vdd_ros.running.arguments import recorded_topics
from vdd_ros.running.robot_run import RobotRun, execute

pytestmark = pytest.mark.ros


class Running:
    """A `vdd run` as a process, with its console in a file."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        self._log = folder / "console"
        words = [sys.executable, "-m", "vdd_ros.cli.main", "run", *map(str, arguments)]
        with self._log.open("wb") as log:
            environment = os.environ | {"ROS_LOG_DIR": str(folder / "logs")}
            self.process = subprocess.Popen(
                words, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def said(self) -> str:
        """The console so far."""
        return self._log.read_text(errors="replace")

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal, as Ctrl-C does; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)


@contextmanager
def running(folder: Path, *arguments: object) -> Iterator[Running]:
    """Start `vdd run`; at the end it is over, with all its nodes."""
    run = Running(folder, *arguments)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.process.terminate()
            try:
                run.process.wait(LEAVE_S)
            except subprocess.TimeoutExpired:
                run.process.kill()
                run.process.wait()


def alive(file: Path) -> list[str]:
    """Return the processes of nodes that run a policy file."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if "vdd_ros.nodes.policy_node" in words and any(str(file) in word for word in words):
                found.append(process.name)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_leaves_the_robot_as_its_file_says_and_the_bag_complete(
    bench: Bench, tmp_path: Path, number: signal.Signals
) -> None:
    """A robot that obeys velocities gets zeros; every record up to them, and they too, are in the bag."""
    robot = VelocityRobot(bench, tmp_path, "zero")
    bag = tmp_path / "bag"
    arguments = ("--robot", robot.file, "--policy", robot.policy, "--shadow", robot.policy, "--record", bag)
    with running(tmp_path, *arguments) as run:
        shadowed = bench.collect(JointState, "/shadow_policy/latency", 1000)
        robot.observations.run_until(lambda: shadowed and robot.moves(), "commands, and a shadow that acts")
        assert run.end(number) == 0, run.said
        said = run.said
    bench.wait(lambda: not robot.said[-1][1].any(), "zeros")
    assert "vdd run: ended on request; all nodes ended cleanly" in said
    assert f"recorded {bag}" in said
    policy, other = read_latency_bag(bag)
    assert (policy.node, other.node) == ("/policy", "/shadow_policy")
    assert policy.sequence.first == 0
    assert policy.sequence.describe() == ""
    assert policy.column("commanded").any()
    assert not other.column("commanded").any()
    twists = [message.message.twist for message in read_messages(bag, ("/avoiding_controller/commands",), {})]
    assert [(twist.linear.x, twist.linear.y) for twist in twists[-1:]] == [(0.0, 0.0)]


def test_the_console_names_what_is_missing(bench: Bench, tmp_path: Path, nan_policy: Path) -> None:
    """Somebody publishes a topic of a similar name, and nobody listens to the commands but to similar ones."""
    wrong = [bench.node.create_publisher(String, "tcp_pose_2", 10)]
    began_s = time.monotonic()
    with running(tmp_path, "--robot", AVOIDING, "--policy", nan_policy) as run:
        similar = "nobody publishes /tcp_pose, but there is /tcp_pose_2"
        bench.wait(lambda: similar in run.said, "the console")
        robot = Robot(bench)
        robot.run_until(lambda: "policy: running" in run.said, "commands and the news")
        assert run.end() == 0, run.said
        lines = run.said.splitlines()
    assert wrong
    waiting = [line.partition("waiting for desired, tcp")[2] for line in lines if "waiting for desired, tcp" in line]
    again = (time.monotonic() - began_s) // AGAIN_S
    assert len(waiting) <= len(set(waiting)) + again  # what is discovered one after the other; not one every second


def test_a_node_that_cannot_start_ends_all(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no policy")
    with running(
        tmp_path, "--robot", AVOIDING, "--policy", "broken.onnx", "--shadow", "student", "--record", "bag"
    ) as run:
        assert run.process.wait(DEADLINE_S) == 1, run.said
        said = run.said
    assert "vdd run: policy ended by itself, with exit code 1; see its lines above" in said
    assert "broken.onnx" in said


def test_a_node_that_dies_on_the_way_ends_all_in_order(bench: Bench, tmp_path: Path) -> None:
    """Whatever the commanding policy died of: the bag is closed, and the exit code tells."""
    robot = VelocityRobot(bench, tmp_path, "zero")
    bag = tmp_path / "bag"
    with running(tmp_path, "--robot", robot.file, "--policy", robot.policy, "--record", bag) as run:
        robot.move()
        for number in alive(robot.policy):
            os.kill(int(number), signal.SIGKILL)
        assert run.process.wait(DEADLINE_S) == 1, run.said
        said = run.said
    assert "vdd run: policy ended by itself, with exit code -9; see its lines above" in said
    assert f"recorded {bag}" in said
    assert [node.node for node in read_latency_bag(bag)] == ["/policy"]


def test_nodes_do_not_outlive_a_run_that_is_killed(bench: Bench, tmp_path: Path) -> None:
    """Nobody would end them any more: the robot is left as its file says."""
    robot = VelocityRobot(bench, tmp_path, "zero")
    with running(tmp_path, "--robot", robot.file, "--policy", robot.policy) as run:
        robot.move()
        run.process.kill()
        bench.wait(lambda: not alive(robot.policy), "the end of the node")
    bench.wait(lambda: not robot.said[-1][1].any(), "zeros")


def test_a_run_without_commands_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "logs"))
    monkeypatch.setattr(robot_run, "signals_noted", lambda: nullcontext([signal.SIGINT]))  # before the first node
    said: list[str] = []
    asked = RobotRun(robot=AVOIDING, policy=str(write_mixture(tmp_path / "p.onnx")), commands=False)
    assert execute(asked, said.append).code == 0
    assert "no commands: every policy is a shadow" in said


def test_that_a_simulated_robot_has_left_is_no_news() -> None:
    """While it runs, a topic without publisher is reported after a delay."""
    told, now_s = list[str](), [0.0]
    lines = robot_run._Lines(told.append, holds=True, now_s=lambda: now_s[0])
    lines.take(["policy: running", "policy: stale: arm: nobody publishes /arm"], robot_left=False)
    assert told == ["policy: running"]
    now_s[0] += robot_run.HOLD_S + 0.1
    lines.take([], robot_left=False)
    assert told == ["policy: running", "policy: stale: arm: nobody publishes /arm"]
    lines.take(["policy: stale: arm: nobody publishes /arm"], robot_left=False)
    lines.take(["policy: stale: arm: nobody publishes /arm", "policy: left"], robot_left=True)
    lines.finish()
    assert told[2:] == ["policy: left"]


def test_lines_about_a_real_robot_are_told_at_once() -> None:
    told = list[str]()
    robot_run._Lines(told.append, holds=False).take(["nobody publishes /arm"], robot_left=False)
    assert told == ["nobody publishes /arm"]


def test_results_without_a_simulation_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only simulated episodes have any; otherwise the file would silently not be written."""
    assert main(["run", "--robot", str(AVOIDING), "--json", str(tmp_path / "out.json")]) == 2
    assert "--json and --append store the results of simulated episodes" in capsys.readouterr().err


def test_a_recorder_does_not_wait_for_the_goals_of_an_action() -> None:
    """They are no topic: it would never be ready, and nothing would begin."""
    robot = RobotFile.from_dict(gripper_document())
    needed, optional = recorded_topics(robot, ["policy"], control=True)
    assert needed[:2] == ["joint_states", "arm/joint_trajectory"]
    assert not [topic for topic in (*needed, *optional) if "gripper" in topic]
    captured = Captured(topics=(), received=(), problems=(), listeners={"arm/joint_trajectory": ("c",)}, commanders=())
    findings = [f.text for f in check_live(robot, captured).findings]
    assert "c listens to arm/joint_trajectory" in findings
    assert not [text for text in findings if "arm/joint_trajectory is not there" in text]
    assert not [text for text in findings if "nobody listens" in text]


def test_a_recorder_of_shadows_keeps_the_commands_of_an_operator() -> None:
    """To compare them with the policy's actions; nobody needs to send any."""
    robot = RobotFile.from_dict(arm_document())
    needed, optional = recorded_topics(robot, ["policy"], control=False)
    assert "arm/joint_trajectory" in optional
    assert "arm/joint_trajectory" not in needed
    assert "arm/joint_trajectory" not in recorded_topics(robot, ["policy"], control=True)[1]


def test_a_recorder_keeps_the_transforms_of_a_frame() -> None:
    """Without them, the bag's poses could not be read again."""
    document = arm_document()
    document["inputs"]["tool"] = {"topic": "tool", "type": "geometry_msgs/msg/PoseStamped", "max_age_s": 1.0}
    document["inputs"]["tool"] |= {"frame": "base", "entries": {"x": {"field": "pose.position.x", "unit": "m"}}}
    _, optional = recorded_topics(RobotFile.from_dict(document), ["policy"], control=True)
    assert {"/tf", "/tf_static"} <= set(optional)
    assert "/tf" not in recorded_topics(RobotFile.from_dict(arm_document()), ["policy"], control=True)[1]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"robot": None}, "give --robot FILE, or --sim"),
        ({"policy": "nowhere.onnx"}, "the policy nowhere.onnx is not a file"),
        ({"shadows": ("nowhere.onnx",)}, "the policy nowhere.onnx is not a file"),
        ({"record": Path("there")}, "record there exists already"),
        ({"params_file": Path("nowhere.yaml")}, "params_file nowhere.yaml is not a file"),
        ({"params_file": Path("other.yaml")}, "has a section for /other_node, but the nodes are /policy"),
        ({"params_file": Path("silent.yaml"), "record": Path("bag")}, "so give --no-commands to record"),
        ({"robot": Path("nowhere.yaml")}, "nowhere.yaml"),
        ({"task": "no_such_task"}, "'avoiding', not for 'no_such_task'; omit the task of --sim"),
        ({"task": "example_arm"}, "'avoiding', not for 'example_arm'; omit the task of --sim"),
        ({"task": "avoiding", "episodes": 0}, "--episodes is 0; it must be from 1 to 1,000,000"),
        (
            {"task": "avoiding", "robot": Path("goals.yaml")},
            "commands.gripper: the simulated robot accepts no goals of an",
        ),
        ({"seed": -1}, "--seed is -1; it must be from 0 to 2,147,483,647"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "logs"))
    (tmp_path / "there").mkdir()
    (tmp_path / "goals.yaml").write_text(yaml.safe_dump(gripper_document()))
    for name, section in (("other", "/other_node"), ("silent", "/**")):
        (tmp_path / f"{name}.yaml").write_text(f"{section}:\n  ros__parameters:\n    enable_control: false\n")
    with pytest.raises(VddError, match=words):
        execute(RobotRun(**({"robot": AVOIDING} | wrong)), print)
    assert not (tmp_path / "logs").exists()


def test_packages_that_the_nodes_would_lack_are_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the words of `vdd robot check --live`; shadows alone need no action, whatever forbids the commands."""
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "logs"))
    for name in ("tf2_msgs", "tf2_msgs.msg", "control_msgs", "control_msgs.action"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "silent.yaml").write_text("/**: {ros__parameters: {enable_control: false}}")
    document = gripper_document()
    file = tmp_path / "goals.yaml"
    file.write_text(yaml.safe_dump(document))
    live = list(missing_for_nodes(RobotFile.load(file), control=True))
    assert [where for where, _ in live] == ["commands.gripper.type"]
    assert main(["run", "--robot", str(file)]) == 2
    assert "{}: {}".format(*live[0]) in capsys.readouterr().err
    for allowed in (RobotRun(file, commands=False), RobotRun(file, params_file=tmp_path / "silent.yaml")):
        assert "policy" in robot_run._plan(allowed)
    document["inputs"]["tool"] = {"topic": "tool", "type": "geometry_msgs/msg/PoseStamped", "max_age_s": 1.0}
    document["inputs"]["tool"] |= {"frame": "base", "entries": {"x": {"field": "pose.position.x", "unit": "m"}}}
    document["inputs"]["arm"]["type"] = "no_such_msgs/msg/State"
    file.write_text(yaml.safe_dump(document))
    with pytest.raises(VddError) as refused:
        execute(RobotRun(file, commands=False), print)
    assert "inputs.arm.type: message type no_such_msgs/msg/State: the package no_such_msgs" in str(refused.value)
    assert "inputs.tool.frame: the package tf2_msgs is not installed, so there are no transforms" in str(refused.value)
    assert not (tmp_path / "logs").exists()


SIMULATED = "aligning, avoiding, block_push, example_arm, kitchen, pushing, stacking"


@pytest.mark.parametrize(
    ("made_for", "words"),
    [
        (None, f"does not name its task; name the simulated one: --sim TASK, one of {SIMULATED}"),
        ("my_robot", f"was made for 'my_robot', which has no simulation; there are {SIMULATED}"),
    ],
)
def test_a_policy_without_a_simulation_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], made_for: str | None, words: str
) -> None:
    policy = write_mixture(tmp_path / "p.onnx", task=made_for)
    assert main(["run", "--sim", "--policy", str(policy)]) == 2
    assert words in capsys.readouterr().err


def test_a_robot_has_no_results_to_keep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "results.json"
    assert main(["run", "--robot", str(AVOIDING), "--json", str(file)]) == 2
    assert "give --sim, or omit them" in capsys.readouterr().err
    assert not file.exists()


@pytest.mark.parametrize("record", [False, True])
def test_inactive_nodes_are_configured_and_stay_so(tmp_path: Path, record: bool) -> None:
    """Also if the parameter file would start them."""
    file = tmp_path / "mine.yaml"
    file.write_text("/**: {ros__parameters: {autostart: true, stay_inactive: false}}")
    asked = RobotRun(
        robot=AVOIDING,
        shadows=("other",),
        record=tmp_path / "bag" if record else None,
        activate=False,
        params_file=file,
    )
    plan = robot_run._plan(asked)
    for name in ("policy", "shadow_policy"):
        given = plan[name].parameters
        assert (given["autostart"], given["stay_inactive"]) == (True, True)
    assert robot_run._plan(RobotRun(robot=AVOIDING))["policy"].parameters["stay_inactive"] is False
