"""The simulated robot: as a plain object against its task, and as a process that a scripted policy commands."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import yaml
from geometry_msgs.msg import PoseStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_helpers import DEADLINE_S, Bench, node_process
from std_msgs.msg import Bool, Float64MultiArray, Int64, String
from std_srvs.srv import Trigger

from vdd_ros.nodes.sim_robot.episodes import SETTLE_PERIODS, Phase, SimulatedRobot
from vdd_ros.resources import path
from vdd_ros.robot.command_channel import CommandChannel
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.tasks import get_task

MODULE = "vdd_ros.nodes.sim_robot_node"
ROBOT_FILE = path("config/robots/avoiding.yaml")
TASK = get_task("avoiding")
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# Right of the first cylinder, between the second two, between the last two: route 12 + 4 + 2.
WAYPOINTS = np.array([(0.6, -0.12), (0.5, 0.08), (0.575, 0.26), (0.575, 0.5)])
STEP_M = 0.009


class Driver:
    """Steers the desired position along the waypoints."""

    def __init__(self) -> None:
        self._next = 0

    def __call__(self, x: float, y: float) -> tuple[float, float]:
        """Return the next set point."""
        way = WAYPOINTS[self._next] - (x, y)
        distance = float(np.linalg.norm(way))
        if distance < STEP_M:
            self._next += 1
            return self(x, y)
        return tuple((np.array([x, y]) + way / distance * STEP_M).tolist())


def make_robot() -> SimulatedRobot:
    robot_file = RobotFile.load(ROBOT_FILE)
    return SimulatedRobot(TASK, CommandChannel(robot_file.commands, TASK.spec.observation, TASK.spec.action), seed=0)


def settle(robot: SimulatedRobot) -> None:
    for _ in range(SETTLE_PERIODS):
        robot.advance()


def test_set_points_move_the_task_as_the_actions_they_stand_for() -> None:
    robot, sim, driver = make_robot(), TASK.make_sim(1), Driver()
    expected = sim.reset()
    settle(robot)
    result = None
    while result is None:
        np.testing.assert_allclose(robot.observation, expected[0], atol=1e-12)
        set_point = np.array(driver(*robot.observation[:2]))
        robot.command(set_point)
        result = robot.advance()
        step = sim.step(set_point[None] - expected[:, :2])
        expected = step.observation
    np.testing.assert_allclose(robot.observation, expected[0], atol=1e-12)
    assert step.success[0]
    assert (result.success, result.mode, robot.phase) == (True, 18, Phase.ENDED)


def test_commands_while_it_settles_are_ignored() -> None:
    robot = make_robot()
    robot.command(np.array([0.2, 0.4]))
    for _ in range(SETTLE_PERIODS + 3):
        robot.advance()
    assert robot.phase is Phase.WAITING
    np.testing.assert_array_equal(robot.observation, TASK.make_sim(1).reset()[0])


def test_a_set_point_holds_until_the_next_one() -> None:
    robot = make_robot()
    settle(robot)
    robot.command(np.array([0.53, -0.27]))
    for _ in range(100):
        assert robot.advance() is None
    np.testing.assert_allclose(robot.observation, [0.53, -0.27, 0.53, -0.27], atol=1e-9)


def test_an_episode_without_success_ends_at_the_step_limit_and_the_next_restarts() -> None:
    robot = make_robot()
    settle(robot)
    robot.command(robot.observation[:2])
    results = [robot.advance() for _ in range(TASK.spec.max_steps)]
    assert results[:-1] == [None] * (TASK.spec.max_steps - 1)
    assert results[-1] is not None
    assert (results[-1].success, results[-1].mode, results[-1].steps) == (False, None, TASK.spec.max_steps)
    robot.reset()
    assert (robot.episode, robot.phase) == (1, Phase.SETTLING)


def test_a_stopped_robot_stands_until_the_next_command() -> None:
    robot, far = make_robot(), np.array([0.6, -0.2])
    settle(robot)
    robot.command(far)
    for _ in range(3):
        robot.advance()
    robot.stop()
    measured = robot.observation[2:].copy()
    for _ in range(5):
        robot.advance()
    np.testing.assert_allclose(robot.observation[:2], measured, atol=1e-9)
    np.testing.assert_allclose(robot.observation[2:], measured, atol=5e-3)  # it swings
    robot.command(far)
    robot.advance()
    assert np.linalg.norm(robot.observation[:2] - measured) > 0


class ScriptedPolicy:
    """Answers each observation with a set point, after some commands that no robot must obey."""

    def __init__(self, bench: Bench) -> None:
        self.desired: list[PoseStamped] = []
        self.driver = Driver()
        self._commands = bench.node.create_publisher(Float64MultiArray, "/avoiding_controller/commands", 10)
        bench.node.create_subscription(PoseStamped, "/desired_pose", self._answer, 10)
        bench.node.create_subscription(Int64, "/episode", self._start, LATCHED)

    def _start(self, _: Int64) -> None:
        self.driver = Driver()

    def _answer(self, pose: PoseStamped) -> None:
        self.desired.append(pose)
        for unusable in ([0.5], [float("nan"), 0.3]):
            self._commands.publish(Float64MultiArray(data=unusable))
        position = pose.pose.position
        self._commands.publish(Float64MultiArray(data=self.driver(position.x, position.y)))


def test_it_runs_its_episodes_tells_their_results_and_leaves(bench: Bench, tmp_path: Path) -> None:
    results = bench.collect(String, "/sim_robot/result", LATCHED)
    episodes = bench.collect(Int64, "/episode", LATCHED)
    tcp = bench.collect(PoseStamped, "/tcp_pose", 1000)
    policy = ScriptedPolicy(bench)
    with node_process(MODULE, tmp_path / "log", robot_file=ROBOT_FILE, episodes=2, speed=2.0) as robot:
        bench.wait(lambda: len(results) == 3 or robot.process.poll() is not None, "three results", 2 * DEADLINE_S)
        assert robot.wait() == 0, robot.output
    first, second, last = (json.loads(message.data) for message in results)
    assert (first["episode"], first["success"], first["mode"]) == (0, True, 18)
    assert (second["episode"], second["success"], second["mode"]) == (1, True, 18)
    assert last == {"summary": {"episodes": 2, "successes": 2}}
    assert [message.data for message in episodes] == [0, 1]
    assert {pose.header.frame_id for pose in tcp} == {"world"}
    stamps = [(pose.header.stamp.sec, pose.header.stamp.nanosec) for pose in policy.desired]
    assert stamps == sorted(set(stamps))
    tcp_stamps = {(pose.header.stamp.sec, pose.header.stamp.nanosec) for pose in tcp}
    assert len(tcp_stamps & set(stamps)) > 0.9 * len(stamps)
    assert "a command has 1 value; the robot file names 2" in robot.output
    assert "is not finite" in robot.output


def test_it_serves_loss_service_and_stays_until_it_was_stopped(bench: Bench, tmp_path: Path) -> None:
    document = yaml.safe_load(ROBOT_FILE.read_text())
    document["command"] |= {"on_loss": "call", "loss_service": "/avoiding_controller/stop"}
    robot_file = tmp_path / "robot.yaml"
    robot_file.write_text(yaml.safe_dump(document))
    results = bench.collect(String, "/sim_robot/result", LATCHED)
    ScriptedPolicy(bench)
    client = bench.node.create_client(Trigger, "/avoiding_controller/stop")
    with node_process(MODULE, tmp_path / "log", robot_file=robot_file, episodes=1, speed=2.0) as robot:
        bench.wait(client.service_is_ready, "the service")
        bench.wait(lambda: len(results) == 2 or robot.process.poll() is not None, "two results", 2 * DEADLINE_S)
        answer = client.call_async(Trigger.Request())
        bench.wait(lambda: answer.done() or robot.process.poll() is not None, "the answer")
        assert answer.done()
        assert answer.result().success
        assert robot.wait() == 0, robot.output


def test_nothing_is_published_before_the_start_topic_says_true(bench: Bench, tmp_path: Path) -> None:
    start = bench.node.create_publisher(Bool, "/recorder/ready", LATCHED)
    episodes = bench.collect(Int64, "/episode", LATCHED)
    observations = bench.collect(PoseStamped, "/desired_pose", 100)
    parameters = {"robot_file": ROBOT_FILE, "start_topic": "/recorder/ready"}
    with node_process(MODULE, tmp_path / "log", **parameters) as robot:
        bench.wait(lambda: episodes and start.get_subscription_count(), "the robot")
        start.publish(Bool(data=False))
        bench.wait_for_match("/desired_pose", publishers=1)
        started = bench.node.get_clock().now().nanoseconds
        start.publish(Bool(data=True))
        bench.wait(lambda: observations, "an observation")
        stamp = observations[0].header.stamp
        assert stamp.sec * 1_000_000_000 + stamp.nanosec >= started
        robot.signal(signal.SIGINT)
        assert robot.wait() == 0, robot.output


def test_nothing_is_published_before_everybody_listens(bench: Bench, tmp_path: Path) -> None:
    """To every input: a second listener of one of them is not enough."""
    first = bench.collect(PoseStamped, "/desired_pose", 100)
    bench.collect(PoseStamped, "/tcp_pose", 100)
    bench.collect(PoseStamped, "/desired_pose", 100)
    with node_process(MODULE, tmp_path / "log", robot_file=ROBOT_FILE, listeners=2) as robot:
        bench.wait_for_match("/desired_pose", publishers=1)
        bench.wait_for_match("/tcp_pose", publishers=1)
        started = bench.node.get_clock().now().nanoseconds
        bench.collect(PoseStamped, "/tcp_pose", 100)
        bench.wait(lambda: first, "an observation")
        stamp = first[0].header.stamp
        assert stamp.sec * 1_000_000_000 + stamp.nanosec >= started
        robot.signal(signal.SIGINT)
        assert robot.wait() == 0, robot.output


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_code_0(bench: Bench, tmp_path: Path, stop: signal.Signals) -> None:
    episodes = bench.collect(Int64, "/episode", LATCHED)
    with node_process(MODULE, tmp_path / "log", robot_file=ROBOT_FILE) as robot:
        bench.wait(lambda: episodes, "the robot")
        robot.signal(stop)
        assert robot.wait() == 0, robot.output


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "parameter robot_file is not set"),
        ({"robot_file": "/nowhere.yaml"}, "/nowhere.yaml does not exist"),
        ({"robot_file": ROBOT_FILE, "task": "avoidin"}, "did you mean 'avoiding'?"),
        ({"robot_file": ROBOT_FILE, "episode": 3}, "unknown parameters: episode; did you mean episodes?"),
        ({"robot_file": ROBOT_FILE, "speed": 0.0}, "speed"),
        ({"robot_file": ROBOT_FILE, "speed": "fast"}, "speed"),
        ({"robot_file": ROBOT_FILE, "idle_timeout_s": 0.1}, "timed out after 0.1 s waiting for a command of episode 0"),
        (
            {"robot_file": ROBOT_FILE, "idle_timeout_s": 0.1, "start_topic": "go"},
            "timed out after 0.1 s waiting for the start",
        ),
        ({"robot_file": ROBOT_FILE, "idle_timeout_s": 0.1, "listeners": 2}, "waiting for 2 listeners of every input"),
    ],
)
def test_invalid_settings_end_it_with_code_1(tmp_path: Path, parameters: dict[str, object], message: str) -> None:
    with node_process(MODULE, tmp_path / "log", **parameters) as robot:
        assert robot.wait() == 1
    assert message in robot.output
