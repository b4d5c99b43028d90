"""`~/load_policy` over real DDS: another file takes over while the node ticks, or the old one continues."""

import gc
import json
from pathlib import Path
from threading import Event, Thread, Timer
from types import SimpleNamespace
from typing import Any
from weakref import ref

import numpy as np
import pytest
import rclpy
import yaml
from node_rig import AVOIDING, MakeNode, Robot, call, started
from policy_files import write_diffusion, write_mixture
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from ros_helpers import Bench
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import Trigger

from vdd_ros.control.policy_swap import PolicySwap
from vdd_ros.control.timing import LATENCY_LABELS
from vdd_ros.nodes.policy.handover import ACTS, Done
from vdd_ros.nodes.policy.loader import Loader
from vdd_ros.nodes.policy.loading import LoadedPolicy
from vdd_ros.nodes.policy.session import PolicySession
from vdd_ros.nodes.policy.swap import HotSwap, SwapTarget
from vdd_ros.nodes.policy_node import PolicyNode
from vdd_ros.nodes.ros.messages import LATCHED


@pytest.mark.parametrize("kind", ["mixture", "diffusion"])
def test_a_file_takes_over_without_a_tick_missed(
    make_node: MakeNode, robot: Robot, bench: Bench, tmp_path: Path, kind: str
) -> None:
    """Records go on without a gap, the description follows, and the node stays active."""
    records = bench.collect(Float64MultiArray, "/policy/latency")
    infos = bench.collect(String, "/policy/policy_info", LATCHED)
    decisions = bench.collect(Float64MultiArray, "/policy/decision")
    node = started(make_node())
    robot.run_until(lambda: len(records) > 20, "records")
    write = write_mixture if kind == "mixture" else write_diffusion
    path = write(tmp_path / "next.onnx", history=3)
    answer = call(node, robot, path)
    assert (answer.success, answer.message) == (True, "")
    count = len(records)
    robot.run_until(lambda: len(records) > count + 20, "records of the new policy")
    robot.run_until(lambda: json.loads(infos[-1].data)["policy"] == "next.onnx", "its description")
    assert json.loads(infos[-1].data)["history"] == 3
    robot.run_until(lambda: {len(decision.data) for decision in decisions} >= {10, 18}, "decisions of both")
    assert {len(decision.data) for decision in decisions} == {len(d.layout.dim) for d in decisions} == {10, 18}
    seq = np.array([record.data[LATENCY_LABELS.index("seq")] for record in records])
    assert (np.diff(seq) == 1).all()
    assert node.state == "active"


def test_an_incompatible_policy_is_refused_and_the_old_one_stays_active(
    make_node: MakeNode, robot: Robot, tmp_path: Path
) -> None:
    node = started(make_node(rate_hz=0.0))
    (tmp_path / "garbage.onnx").write_bytes(b"garbage")
    slow = write_mixture(tmp_path / "slow.onnx", rate_hz=5.0)
    for path, reason in (
        ("", "next_policy is not set"),
        (tmp_path / "nowhere.onnx", "is not a file"),
        (tmp_path / "garbage.onnx", "cannot be read as ONNX"),
        (slow, "was made for 5 Hz, but the node ticks at 28.5714 Hz"),
    ):
        answer = call(node, robot, path)
        assert not answer.success
        assert reason in answer.message
        count = len(robot.commands)
        robot.run_until(lambda count=count: len(robot.commands) > count, "a command")  # type: ignore[misc]


def test_an_inactive_node_takes_the_file_at_once(make_node: MakeNode, robot: Robot, tmp_path: Path) -> None:
    node = make_node()
    node.trigger_configure()
    assert call(node, robot, write_mixture(tmp_path / "next.onnx", seed=5)).success
    assert node.session is not None
    assert node.session.info["policy"] == "next.onnx"
    node.trigger_activate()
    robot.run_until(lambda: robot.commands, "a command")


def test_only_one_file_is_loaded_at_a_time(make_node: MakeNode, robot: Robot, bench: Bench, tmp_path: Path) -> None:
    """The second call is answered while the first waits for the window to fill."""
    node = started(make_node())
    node.set_parameters([Parameter("next_policy", value=str(write_mixture(tmp_path / "next.onnx", history=3)))])
    client = bench.node.create_client(Trigger, "/policy/load_policy")
    bench.wait(client.service_is_ready, "the service")
    first, second = client.call_async(Trigger.Request()), client.call_async(Trigger.Request())
    bench.wait(second.done, "the refusal")  # nothing is observed, so that nobody can take over
    assert "another file is being loaded" in second.result().message
    assert not first.done()
    robot.run_until(first.done, "the answer")
    assert first.result().success


LONG = 600
"""Observations of a window, 21 s, that no test waits to see full."""


def patient(folder: Path) -> str:
    """Write a robot file whose inputs are not stale where a busy machine delays this test."""
    document = yaml.safe_load(AVOIDING.read_text(encoding="utf-8"))
    for source in document["inputs"].values():
        source["max_age_s"] = 10.0
    path = folder / "patient.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return str(path)


def ask(node: PolicyNode, robot: Robot, path: Path) -> Any:
    """Ask a node to load a file and wait until it is to take over or has been refused; return the answer's future."""
    node.set_parameters([Parameter("next_policy", value=str(path))])
    client = robot.bench.node.create_client(Trigger, f"/{node.get_name()}/load_policy")
    robot.bench.wait(client.service_is_ready, "the service")
    answer = client.call_async(Trigger.Request())
    assert node.session is not None
    loop = node.session.loop
    robot.run_until(lambda: loop.swap.waiting is not None or answer.done(), "a policy that waits")
    return answer


@pytest.mark.parametrize(
    ("parameters", "publishes", "reason"),
    [
        ({}, True, "its window of 600 observations is not full"),
        ({"swap_timeout_s": 1.0}, False, "stale: desired, tcp"),
        ({"trigger": "observation"}, True, "its window of 600 observations is not full"),
    ],
)
def test_a_file_that_waits_too_long_is_refused(
    make_node: MakeNode, robot: Robot, tmp_path: Path, parameters: dict[str, Any], publishes: bool, reason: str
) -> None:
    """The old one acts on, and the next call is served."""
    if publishes:
        parameters = parameters | {"robot_file": patient(tmp_path)}
    node = started(make_node(**({"swap_timeout_s": 0.2} | parameters)))
    robot.run_until(lambda: robot.commands, "a command")
    answer = ask(node, robot, write_mixture(tmp_path / "long.onnx", history=LONG))
    if publishes:
        robot.run_until(answer.done, "the answer")
    else:
        robot.bench.wait(answer.done, "the answer")
    assert not answer.result().success
    assert "(parameter swap_timeout_s)" in answer.result().message
    assert reason in answer.result().message
    count = len(robot.commands)
    robot.run_until(lambda: len(robot.commands) > count, "a command of the old policy")
    assert node.session is not None
    assert node.session.info["policy"] == "student.onnx"
    path = write_mixture(tmp_path / "next.onnx")
    assert any(call(node, robot, path).success for _ in range(50)), "no later call is served"


def test_a_file_that_waits_when_the_node_is_deactivated_takes_over_at_once(
    make_node: MakeNode, robot: Robot, tmp_path: Path
) -> None:
    node = started(make_node())
    robot.run_until(lambda: robot.commands, "a command")
    answer = ask(node, robot, write_mixture(tmp_path / "long.onnx", history=LONG))
    node.trigger_deactivate()
    robot.bench.wait(answer.done, "the answer")
    assert answer.result().success
    assert node.session is not None
    assert node.session.info["policy"] == "long.onnx"
    assert node.session.loop.active.policy.spec.history == LONG


def broken(*_: Any, **__: Any) -> None:
    raise ZeroDivisionError("broken")


def test_an_error_while_taking_over_refuses_the_file(
    make_node: MakeNode, robot: Robot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node ticks on with the old policy, whole, and serves the next call."""
    node = started(make_node())
    path = write_mixture(tmp_path / "next.onnx", history=3)
    with monkeypatch.context() as patched:
        patched.setattr(PolicySwap, "hand_over", broken)
        answer = call(node, robot, path)
    assert (answer.success, answer.message) == (False, "ZeroDivisionError: broken")
    assert node.session is not None
    assert node.session.loop.active.policy.spec.history == 1
    assert call(node, robot, path).success


def test_a_policy_that_acts_is_not_refused_for_what_is_reported_of_it(
    make_node: MakeNode, robot: Robot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = started(make_node())
    robot.run_until(lambda: robot.commands, "a command")
    with monkeypatch.context() as patched:
        patched.setattr(PolicySession, "_tell", broken)
        assert call(node, robot, write_mixture(tmp_path / "next.onnx", history=3)).success
    assert node.session is not None
    assert node.session.info["policy"] == "next.onnx"
    assert node.session.loop.counters.refused_policies == 0


def test_an_executor_that_sleeps_is_woken(bench: Bench) -> None:
    """Neither the end of loading nor taking over waits for something else that happens in the node."""
    loaded = LoadedPolicy(SimpleNamespace(), {}, 0.0)  # type: ignore[arg-type,typeddict-item]
    node = rclpy.create_node("sleeper")
    node.declare_parameter("next_policy", "next.onnx")

    def load(_: str) -> LoadedPolicy:
        Event().wait(0.3)  # the executor sleeps by then
        return loaded

    def take_over(_: LoadedPolicy, done: Done) -> None:
        Timer(0.3, done, (ACTS,)).start()

    told: list[LoadedPolicy] = []
    swap = HotSwap(node, Loader())  # type: ignore[arg-type]
    swap.connect(SwapTarget(load, 100.0, take_over, told.append, lambda _: None, lambda: False))
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    spinning = Thread(target=executor.spin)
    spinning.start()
    try:
        client = bench.node.create_client(Trigger, "/sleeper/load_policy")
        bench.wait(client.service_is_ready, "the service")
        answer = client.call_async(Trigger.Request())
        bench.wait(answer.done, "the answer")
        assert told == [loaded]
    finally:
        executor.shutdown()
        spinning.join()
        swap.disconnect()
        node.destroy_node()


@pytest.mark.timing
def test_the_old_policy_is_freed_after_a_tick(
    make_node: MakeNode, robot: Robot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither where it is relieved nor by the collector of garbage, whenever that comes."""
    node = started(make_node())
    robot.run_until(lambda: robot.commands, "a command")
    assert node.session is not None
    old, alive = ref(node.session.loop.active.policy), []
    monkeypatch.setattr(PolicySession, "_tell", lambda _: alive.append(old() is not None))
    gc.disable()
    try:
        assert call(node, robot, write_mixture(tmp_path / "next.onnx")).success
        robot.run_until(lambda: old() is None, "the end of the old policy")
    finally:
        gc.enable()
    assert alive == [True]
