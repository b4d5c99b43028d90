"""Chunks over real DDS: as trajectories or a step at a time, asked for ahead, cut off, and of the next policy."""

import itertools
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from echo_policy import write_echo
from node_rig import AVOIDING, MakeNode, started
from policy_files import write_mixture
from ros_helpers import Bench, NodeProcess, node_process

pytest.importorskip("rclpy")

from fault_rig import Watched, pass_time
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from vdd_ros.benchmark.realtime.judge import WARM_UP, lost_ticks
from vdd_ros.control.timing import LATENCY_LABELS
from vdd_ros.features import Feature
from vdd_ros.policy.trial import opening_stops_python

HZ = 50.0
HORIZON = 8
STEPS = 4
MAX_STEP = 0.05
MOST_SWAPS = 20
JOINTS = ("elbow", "shoulder")
PLACE = {"shoulder": 0.5, "elbow": -0.4}  # not in the order of the commands: joints are found by name


class Arm:
    """Two joints that a JointTrajectory moves; keeps the trajectories."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench = bench
        self.trajectories: list[JointTrajectory] = bench.collect(JointTrajectory, "arm/joint_trajectory")
        self._states = bench.node.create_publisher(JointState, "joint_states", 10)
        observation = tuple(Feature(name, "rad") for name in JOINTS)
        action = tuple(Feature(f"{name}_position", "rad", -3.0, 3.0) for name in JOINTS)
        policy = write_mixture(folder / "arm.onnx", observation=observation, action=action, horizon=HORIZON)
        self.arguments = {"policy_path": str(policy), "robot_file": str(self._write(folder / "arm.yaml"))}
        # A busy machine may stall for longer than a period: that is no loss here.
        self.arguments |= {"rate_hz": HZ, "action_steps": STEPS, "inference_limit_s": 1.0}  # type: ignore[dict-item]

    def run(self, count: int) -> None:
        """Observe until `count` more trajectories came."""
        wanted = len(self.trajectories) + count

        def observed() -> bool:
            self.observe()
            return len(self.trajectories) >= wanted

        self.bench.wait(observed, f"{count} trajectories")

    def observe(self) -> None:
        """Publish where the joints are."""
        state: Any = JointState(name=list(PLACE), position=list(PLACE.values()))
        state.header.stamp = self.bench.node.get_clock().now().to_msg()
        self._states.publish(state)

    @staticmethod
    def _write(path: Path) -> Path:
        # These joints do not follow: they stay where they are.
        limits = {"unit": "rad", "low": -1.0, "high": 1.0, "max_step": MAX_STEP, "max_error": math.inf}
        joints = {name: {"joint": name, "interface": "position", "unit": "rad"} for name in JOINTS}
        arm = {"topic": "joint_states", "type": "sensor_msgs/msg/JointState", "max_age_s": 1.0, "entries": joints}
        commands = [limits | {"name": name, "action": f"{name}_position", "measured": name} for name in JOINTS]
        kind = "trajectory_msgs/msg/JointTrajectory"
        command = {"topic": "arm/joint_trajectory", "type": kind, "on_loss": "hold", "entries": commands}
        path.write_text(yaml.safe_dump({"inputs": {"arm": arm}, "command": command}))
        return path


@pytest.fixture
def arm(bench: Bench, tmp_path: Path) -> Arm:
    """Return an arm."""
    return Arm(bench, tmp_path)


def points(trajectory: JointTrajectory) -> np.ndarray:
    """Return the positions of a trajectory: (points, joints)."""
    return np.array([point.positions for point in trajectory.points])


def check_form(trajectory: JointTrajectory, count: int) -> None:
    """Check everything but the positions of a trajectory."""
    assert trajectory.joint_names == list(JOINTS)
    assert (trajectory.header.stamp.sec, trajectory.header.stamp.nanosec) == (0, 0)  # now
    times_s = [point.time_from_start.sec + 1e-9 * point.time_from_start.nanosec for point in trajectory.points]
    assert times_s == pytest.approx([(number + 1) / HZ for number in range(count)], abs=1e-9)
    assert not any(len(point.velocities) or len(point.accelerations) for point in trajectory.points)


def check_limits(trajectories: list[JointTrajectory], obeyed: int, records: list[Any]) -> None:
    """Check range and step of all points, also from the last obeyed point of each trajectory to the next trajectory.

    If a busy machine has lost ticks, more of a trajectory is obeyed, or the next one begins at the joints' position.
    """
    has_lost = bool((np.diff(column(records, "stamp_s")) > 1.5 / HZ).any())
    for trajectory in trajectories:
        assert (np.abs(points(trajectory)) <= 1).all()
        assert (np.abs(np.diff(points(trajectory), axis=0)) <= MAX_STEP + 1e-9).all()
    for before, after in itertools.pairwise(trajectories):
        reached = points(before)[obeyed - 1 : None if has_lost else obeyed]
        if has_lost:
            reached = np.vstack([reached, [PLACE[name] for name in JOINTS]])
        assert (np.abs(points(after)[0] - reached) <= MAX_STEP + 1e-9).all(axis=1).any()


@pytest.mark.timing
def test_whole_chunks(make_node: MakeNode, arm: Arm) -> None:
    """One message a chunk: points a period apart, every step within the limits, from where the joints are."""
    records = arm.bench.collect(Float64MultiArray, "/policy/latency")
    started(make_node(send="chunk", **arm.arguments))
    arm.run(20)
    for trajectory in arm.trajectories:
        check_form(trajectory, HORIZON)
    check_limits(arm.trajectories, STEPS, records)
    assert np.ptp(np.concatenate([points(each) for each in arm.trajectories]), axis=0).min() > MAX_STEP
    steps = column(records, "chunk_step")
    assert (column(records, "commanded") == (steps == 0)).all()
    assert set(steps) == set(range(STEPS))


@pytest.mark.timing
def test_a_step_at_a_time(make_node: MakeNode, arm: Arm) -> None:
    """The same robot gets one point a tick."""
    records = arm.bench.collect(Float64MultiArray, "/policy/latency")
    started(make_node(send="step", **arm.arguments))
    arm.run(40)
    for trajectory in arm.trajectories:
        check_form(trajectory, 1)
    check_limits(arm.trajectories, 1, records)
    assert column(records, "commanded").all()
    assert set(column(records, "chunk_step")) == set(range(STEPS))


@pytest.mark.timing
@pytest.mark.parametrize("way", ["stale", "deactivated"])
def test_a_trajectory_is_cut_off_at_a_loss(make_node: MakeNode, arm: Arm, way: str) -> None:
    """The arm would follow the rest of it for seconds: it gets one more point, where it is just now, and stops there.

    Controllers refuse a trajectory without points, and go on with the one before.
    """
    node = started(make_node(send="chunk", **arm.arguments))
    arm.run(10)
    assert node.session is not None
    counters = node.session.loop.counters
    if way == "deactivated":
        node.trigger_deactivate()
    else:
        arm.bench.wait(lambda: counters.failsafes, "the loss")
    arm.bench.wait(lambda: len(arm.trajectories[-1].points) == 1, "the point to stop at")
    check_form(arm.trajectories[-1], 1)
    plan, end = points(arm.trajectories[-2]), points(arm.trajectories[-1])[0]
    assert len(plan) == HORIZON
    assert np.isclose(plan, end).all(axis=1).any()
    stopped = len(arm.trajectories)
    pass_time(arm.bench, 0.3)
    assert len(arm.trajectories) == stopped
    if way == "stale":
        arm.run(3)
        check_form(arm.trajectories[-1], HORIZON)
        assert (np.abs(points(arm.trajectories[stopped])[0] - [PLACE[name] for name in JOINTS]) <= MAX_STEP).all()


@pytest.mark.timing
def test_chunks_that_are_asked_for_ahead(make_node: MakeNode, bench: Bench, tmp_path: Path) -> None:
    """A command each tick and a decision each chunk, recorded with the tick that it begins with."""
    watched = Watched(bench)
    records = bench.collect(Float64MultiArray, "/policy/latency", 1000)
    decisions = bench.collect(Float64MultiArray, "/policy/decision", 1000)
    policy = write_mixture(tmp_path / "chunks.onnx", horizon=HORIZON)
    node = started(make_node(policy_path=str(policy), rate_hz=HZ, action_steps=STEPS, prefetch_ticks=2))
    watched.run_for_commands(100)
    node.trigger_deactivate()
    pass_time(bench, 0.3)
    assert node.session is not None
    assert node.session.loop.counters.overruns <= 2  # the machine of the tests may be busy
    last = len(records)
    answered = column(records, "seq")[np.isfinite(column(records, "inference_s"))]
    recorded = np.array([decision.data[0] for decision in decisions])
    assert recorded.tolist() == answered.tolist()
    assert last / STEPS - 2 <= len(recorded) <= last / STEPS + 6
    steps = column(records, "chunk_step")
    assert np.isin(steps[-80:], range(2, 2 + STEPS)).mean() > 0.9  # the first two belong to ticks that have passed
    assert column(records, "commanded")[-80:].mean() > 0.95
    assert np.median(column(records, "total_s")) < 0.5 / HZ
    watched.check(HZ)


def test_a_prefetching_node_tells_the_policy_what_it_executes(
    make_node: MakeNode, bench: Bench, tmp_path: Path
) -> None:
    """This policy's density is the number of actions that it was told, and it goes on from those in another way."""
    watched = Watched(bench)
    decisions = bench.collect(Float64MultiArray, "/policy/decision", 1000)
    policy = write_echo(tmp_path / "echo.onnx", HORIZON, told=(0.0002, 0.0), untold=(0.0, 0.0001))
    started(make_node(policy_path=str(policy), rate_hz=HZ, action_steps=STEPS, prefetch_ticks=2))
    watched.run_until(lambda: any(decision.data[2] == 2 for decision in decisions), "an answer to what was executed")
    first, told = decisions[0], next(decision for decision in decisions if decision.data[2] == 2)
    assert first.data[2] == 0
    assert list(first.data[-2:]) == pytest.approx([0.0, 0.0001])
    assert list(told.data[-2:]) == pytest.approx([0.0002, 0.0])


def column(records: list[Any], label: str) -> np.ndarray:
    return np.array([record.data[LATENCY_LABELS.index(label)] for record in records])


class Swaps:
    """A node as a process of its own, whose policy another one relieves."""

    def __init__(self, bench: Bench, process: NodeProcess) -> None:
        node = bench.node
        self.bench, self.process, self.watched = bench, process, Watched(bench)
        self.records = bench.collect(Float64MultiArray, "/policy_node/latency", 1000)
        self.decisions = bench.collect(Float64MultiArray, "/policy_node/decision", 1000)
        self._parameters = node.create_client(SetParameters, "/policy_node/set_parameters")
        self._load = node.create_client(Trigger, "/policy_node/load_policy")
        self.watched.run_until(
            lambda: (
                len(self.records) > WARM_UP + 2 + STEPS  # what is looked at before a swap
                and self._parameters.service_is_ready()
                and self._load.service_is_ready()
            ),
            "records and services",
        )

    def swap(self, path: Path) -> tuple[int, int]:
        """Let a policy with another window take over; return how many ticks were lost around it, and not commanded."""
        length = len(self.decisions[-1].data)
        wanted = SetParameters.Request(parameters=[Parameter("next_policy", value=str(path)).to_parameter_msg()])
        self._await(self._parameters.call_async(wanted))
        answer = self._await(self._load.call_async(Trigger.Request()))
        assert answer.success, answer.message
        self._run(lambda: len(self.decisions[-1].data) != length)
        last = next(int(each.data[0]) for each in reversed(self.decisions) if len(each.data) == length)
        relieved = last - int(self.records[0].data[0])  # within the chunk that began there
        self._run(lambda: len(self.records) > relieved + 2 * STEPS)
        around = self.records[relieved - 2 - WARM_UP : relieved + STEPS + 3]
        found = {"records": np.array([each.data for each in around]), "labels": np.array(LATENCY_LABELS)}
        return lost_ticks(found, HZ), int((column(around[WARM_UP:], "commanded") == 0).sum())

    def lost_elsewhere(self, found: list[tuple[int, int]]) -> bool:
        """Whether more ticks were lost than around the swaps: then the machine is busy."""
        every = {"records": np.array([each.data for each in self.records]), "labels": np.array(LATENCY_LABELS)}
        return lost_ticks(every, HZ) > sum(lost for lost, _ in found)

    def _await(self, future: Any) -> Any:
        self._run(future.done)
        return future.result()

    def _run(self, condition: Any) -> None:
        """Observe a few times a tick, as a robot does, until a condition holds."""
        due = [0.0]

        def observed() -> Any:
            if time.monotonic() > due[0]:
                due[0] = time.monotonic() + 0.3 / HZ
                self.watched.publish()
            return condition()

        self.bench.wait(observed, f"the swap; {self.process.output[-500:]}")


@pytest.mark.timing
@pytest.mark.skipif(opening_stops_python(), reason="this ONNX Runtime stops all ticks while it opens a file")
@pytest.mark.parametrize("prefetch_ticks", [0, 2])
def test_no_tick_is_lost_when_a_policy_takes_over(bench: Bench, tmp_path: Path, prefetch_ticks: int) -> None:
    """No instant of the schedule passes without a tick and a command.

    A busy machine loses ticks too, but not each time just where the other policy takes over.
    """
    files = [write_mixture(tmp_path / f"{n}.onnx", history=n, horizon=HORIZON, seed=n) for n in (1, 3)]
    arguments = {"policy_path": files[0], "robot_file": AVOIDING, "rate_hz": HZ, "autostart": "true"}
    arguments |= {"action_steps": STEPS, "prefetch_ticks": prefetch_ticks}
    with node_process("vdd_ros.nodes.policy_node", tmp_path / "log", **arguments) as process:
        swaps = Swaps(bench, process)
        found = []
        for number in range(MOST_SWAPS):
            found.append(swaps.swap(files[(number + 1) % 2]))
            if found[-1] == (0, 0) or (number >= 2 and not swaps.lost_elsewhere(found)):
                break
    assert found[-1] == (0, 0), json.dumps(found)
    assert (np.diff(column(swaps.records, "seq")) == 1).all()
    swaps.watched.check(HZ)
