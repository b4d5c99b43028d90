"""Opening a file may take any time: shutdown meanwhile, and ONNX Runtime's cancellation."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from endless_policy import write_endless
from node_rig import AVOIDING, MakeNode, Robot, call, started
from policy_files import write_mixture
from ros_helpers import DEADLINE_S, Bench

pytest.importorskip("rclpy")

from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from vdd_ros.nodes.policy import loading as policy_loading
from vdd_ros.nodes.policy import session as policy_session
from vdd_ros.policy.trial import opening_stops_python

STOPS_PYTHON = opening_stops_python()
NODE = """
import sys
from vdd_ros.nodes import policy_node
from vdd_ros.policy import onnx_session, trial
if {tried_elsewhere}:
    trial.opening_stops_python = lambda: True
module, name = (trial, "try_to_open") if trial.opening_stops_python() else (onnx_session, "_create")
opens = getattr(module, name)
def tell(*given, **options):
    print("opens", flush=True)
    return opens(*given, **options)
setattr(module, name, tell)
sys.exit(policy_node.main())
"""


@contextmanager
def process(tmp_path: Path, *, tried_elsewhere: bool = False, **parameters: object) -> Iterator[tuple[Any, Path]]:
    """Run a policy node that tells when it begins to open a file."""
    program, log = tmp_path / "program.py", tmp_path / "log"
    program.write_text(NODE.format(tried_elsewhere=tried_elsewhere))
    given = {"robot_file": AVOIDING, "autostart": "true"} | parameters
    words = [word for name, value in given.items() for word in ("-p", f"{name}:={value}")]
    with log.open("wb") as output:
        running = subprocess.Popen([sys.executable, str(program), "--ros-args", *words], stdout=output, stderr=output)
    try:
        yield running, log
    finally:
        running.kill()
        running.wait()


@pytest.mark.parametrize(
    ("number", "tried_elsewhere"), [(signal.SIGTERM, False), (signal.SIGINT, False), (signal.SIGTERM, True)]
)
def test_a_process_that_configures_leaves_with_0(
    bench: Bench, tmp_path: Path, number: signal.Signals, tried_elsewhere: bool
) -> None:
    """Whether its ONNX Runtime stops Python while it opens the file, or not."""
    endless = write_endless(tmp_path / "endless.onnx")
    with process(tmp_path, tried_elsewhere=tried_elsewhere, policy_path=endless) as (running, log):
        bench.wait(lambda: "opens" in log.read_text(), "the opening")
        running.send_signal(number)
        assert running.wait(DEADLINE_S) == 0, log.read_text()


@pytest.mark.skipif(STOPS_PYTHON, reason="this ONNX Runtime would stop the ticks while it opens a file")
def test_a_process_that_loads_beside_the_ticks_leaves_with_0(
    bench: Bench, robot: Robot, nan_policy: Path, tmp_path: Path
) -> None:
    """The robot is left as its file says, and native code that still runs does not turn the code into a signal."""
    endless = write_endless(tmp_path / "endless.onnx")
    with process(tmp_path, policy_path=nan_policy, next_policy=endless) as (running, log):
        robot.run_until(lambda: len(robot.commands) > 3, "commands")
        count = log.read_text().count("opens")
        client = bench.node.create_client(Trigger, "/policy_node/load_policy")
        bench.wait(client.service_is_ready, "the service")
        client.call_async(Trigger.Request())
        bench.wait(lambda: log.read_text().count("opens") > count, "the opening")
        running.send_signal(signal.SIGTERM)
        assert running.wait(DEADLINE_S) == 0, log.read_text()


@pytest.fixture
def stops_python(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ONNX Runtime that stops all threads while it opens a file."""
    monkeypatch.setattr("vdd_ros.policy.trial.opening_stops_python", lambda: True)


@pytest.mark.usefixtures("stops_python")
def test_nothing_is_opened_beside_the_ticks_that_would_stop_them(
    make_node: MakeNode, robot: Robot, nan_policy: Path
) -> None:
    """The refusal says what to do, which then works."""
    node = started(make_node())
    answer = call(node, robot, nan_policy)
    assert not answer.success
    assert "stops all ticks while it opens a file: deactivate the node first, or install" in answer.message
    count = len(robot.commands)
    robot.run_until(lambda: len(robot.commands) > count, "commands of the old policy")
    node.trigger_deactivate()
    answer = call(node, robot, nan_policy)
    assert answer.success, answer.message


@pytest.mark.usefixtures("stops_python")
def test_no_tick_begins_beside_an_opening_that_would_stop_it(
    make_node: MakeNode, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = make_node()
    node.trigger_configure()
    load, go_on = policy_loading.load, Event()

    def held_up(*arguments: Any, **options: Any) -> Any:
        go_on.wait()
        return load(*arguments, **options)

    monkeypatch.setattr(policy_session, "load", held_up)
    node.set_parameters([Parameter("next_policy", value=str(write_mixture(tmp_path / "next.onnx")))])
    client = bench.node.create_client(Trigger, "/policy/load_policy")
    bench.wait(client.service_is_ready, "the service")
    answer = client.call_async(Trigger.Request())
    bench.wait(lambda: node._loader.running, "the load")
    node.trigger_activate()
    assert node.state == "inactive"
    assert "a policy file is being loaded" in node.failure
    go_on.set()
    bench.wait(answer.done, "the answer")
    assert answer.result().success, answer.result().message
    node.trigger_activate()
    assert node.state == "active", node.failure


@pytest.mark.usefixtures("stops_python")
def test_a_file_that_does_not_open_is_abandoned_in_time(make_node: MakeNode, tmp_path: Path) -> None:
    node = make_node(policy_path=str(write_endless(tmp_path / "endless.onnx")), load_timeout_s=1.0)
    node.trigger_configure()
    assert node.state == "unconfigured"
    assert "(parameter load_timeout_s)" in node.failure or "was not open after 1 s" in node.failure
