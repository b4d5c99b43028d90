"""A tick that hangs, over real DDS: the fail-safe stops the robot, and the node can be stopped."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import yaml
from node_rig import AVOIDING, MakeNode, Robot, started
from policy_files import write_mixture
from ros_helpers import DEADLINE_S, Bench

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from vdd_ros.control.watchdog import Watchdog
from vdd_ros.features import Feature
from vdd_ros.nodes.policy_node import PolicyNode


def zero_on_loss(tmp_path: Path) -> Path:
    """Write Avoiding's robot file with a robot that obeys velocities."""
    document = yaml.safe_load(AVOIDING.read_text())
    document["command"]["on_loss"] = "zero"
    for entry in document["command"]["entries"]:
        del entry["relative_to"], entry["measured"], entry["first_step"]
        entry |= {"unit": "m/s", "low": -1.0, "high": 1.0}
    path = tmp_path / "robot.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture(params=["in a tick", "in a dry run"])
def hanging(
    make_node: MakeNode, robot: Robot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[tuple[PolicyNode, Event]]:
    """A node that has commanded, and whose policy blocks until the event is set."""
    monkeypatch.setattr("vdd_ros.nodes.policy.ticker.STOP_S", 0.3)
    early_s = 0.002 if request.param == "in a dry run" else 0.0
    action = tuple(Feature(name, "m/s", -0.01, 0.01) for name in ("delta_desired_x", "delta_desired_y"))
    file = write_mixture(tmp_path / "policy.onnx", action=action)
    node = started(make_node(policy_path=str(file), robot_file=str(zero_on_loss(tmp_path)), wake_early_s=early_s))
    robot.run_until(lambda: len(robot.commands) > 5, "commands")
    assert node.session is not None
    policy, hangs, answers = node.session.loop.active.policy, Event(), Event()
    act = policy.act

    def hang(*args: Any, **options: Any) -> Any:
        hangs.set()
        answers.wait()
        return act(*args, **options)

    monkeypatch.setattr(policy, "act", hang)
    robot.run_until(hangs.is_set, "the hang")  # a tick that merely begins late is counted as one too
    yield node, answers
    answers.set()
    if ticker := node.session and node.session._ticker:
        robot.bench.wait(lambda: not ticker.hung, "the end of the tick")


def test_a_tick_that_does_not_end_enters_the_failsafe_and_is_reported(
    hanging: tuple[PolicyNode, Event], robot: Robot, bench: Bench
) -> None:
    node, _ = hanging
    arrays = bench.collect(DiagnosticArray, "/diagnostics")
    robot.run_until(lambda: list(robot.commands[-1].data) == [0.0, 0.0], "zeros")
    robot.run_until(lambda: arrays and "a tick has been running for" in arrays[-1].status[0].message, "the diagnosis")
    status = arrays[-1].status[0]
    assert status.level == DiagnosticStatus.ERROR
    assert {item.key: item.value for item in status.values}["hangs"] != "0"
    assert node.state == "active"


def test_a_node_whose_tick_does_not_end_can_be_deactivated(hanging: tuple[PolicyNode, Event], robot: Robot) -> None:
    """It stays inactive while the tick still runs, and is active again when asked after that."""
    node, answers = hanging
    assert node.session is not None
    counters = node.session.loop.counters
    robot.run_until(lambda: counters.hangs, "its report")
    node.trigger_deactivate()
    assert node.state == "inactive"
    assert "a tick did not end within 0.3 s" in node.failure
    node.trigger_activate()
    assert node.state == "inactive"
    assert "is still running" in node.failure
    robot.run_until(lambda: list(robot.commands[-1].data) == [0.0, 0.0], "zeros")
    commanded = counters.commands
    ticker = node.session._ticker
    assert ticker is not None
    assert ticker.hung
    answers.set()
    robot.bench.wait(lambda: not ticker.hung, "the end of the tick")
    assert counters.commands == commanded
    node.trigger_activate()
    assert (node.state, node.failure) == ("active", "")
    robot.run_until(lambda: counters.commands > commanded, "a command")


def test_a_process_whose_tick_does_not_end_leaves_with_1(bench: Bench, tmp_path: Path, nan_policy: Path) -> None:
    program = tmp_path / "hang.py"
    program.write_text(
        "import sys, threading\n"
        "from vdd_ros.control import loop\n"
        "from vdd_ros.nodes import policy_node\n"
        "def hang(*_):\n    print('hangs', flush=True)\n    threading.Event().wait()\n"
        "loop.PolicyLoop.tick = hang\n"
        "sys.exit(policy_node.main())\n"
    )
    parameters = {"policy_path": nan_policy, "robot_file": AVOIDING, "autostart": "true"}
    words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    log = tmp_path / "log"
    with log.open("wb") as output:
        running = subprocess.Popen([sys.executable, str(program), "--ros-args", *words], stdout=output, stderr=output)
    try:
        bench.wait(lambda: "hangs" in log.read_text(), "the tick")
        running.send_signal(signal.SIGTERM)
        assert running.wait(DEADLINE_S) == 1, log.read_text()
        assert "a tick did not end" in log.read_text()
    finally:
        running.kill()
        running.wait()


def test_the_watchdog_goes_on_after_an_error_and_tells_it_once() -> None:
    told: list[Exception] = []
    looked = Event()
    calls: list[int] = []

    def check() -> bool:
        calls.append(0)
        if len(calls) > 5:
            looked.set()
        raise OSError("the topic is gone")

    watchdog = Watchdog(check, told.append, 0.001)
    assert looked.wait(DEADLINE_S)
    assert watchdog.overdue_s > 0
    watchdog.stop()
    assert [str(error) for error in told] == ["the topic is gone"]
