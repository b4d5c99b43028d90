"""The policy node's reports on other nodes of its topics: missing, silent or several publishers, other types or QoS."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from node_rig import AVOIDING, COMMANDS, MakeNode, started
from ros_helpers import Bench

pytest.importorskip("rclpy")

from fault_rig import Watched
from geometry_msgs.msg import PoseStamped
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo
from std_msgs.msg import Float64MultiArray

from vdd_ros.nodes.policy.ros_graph import UNKNOWN, GraphMonitor
from vdd_ros.robot.robot_file import RobotFile

POSE = "geometry_msgs/msg/PoseStamped"
RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def endpoint(name: str, kind: str = POSE, qos: QoSProfile = RELIABLE, space: str = "/") -> TopicEndpointInfo:
    return TopicEndpointInfo(node_name=name, node_namespace=space, topic_type=kind, qos_profile=qos)


class Graph:
    """Stands for a node: what the graph shows is set by hand."""

    def __init__(self) -> None:
        self.published: dict[str, list[TopicEndpointInfo]] = {}
        self.heard: dict[str, list[TopicEndpointInfo]] = {}
        self.publishers: list[Any] = []

    def get_name(self) -> str:
        return "policy"

    def get_namespace(self) -> str:
        return "/"

    def resolve_topic_name(self, topic: str) -> str:
        return f"/policy{topic[1:]}" if topic.startswith("~") else f"/{topic.lstrip('/')}"

    def get_publishers_info_by_topic(self, topic: str) -> list[TopicEndpointInfo]:
        return self.published.get(topic, [])

    def get_subscriptions_info_by_topic(self, topic: str) -> list[TopicEndpointInfo]:
        return self.heard.get(topic, [])

    def get_topic_names_and_types(self) -> list[tuple[str, list[str]]]:
        return [(name, sorted({each.topic_type for each in found})) for name, found in self.published.items()]


def monitor(graph: Graph, tmp_path: Path, qos: str = "sensor_data", **options: Any) -> GraphMonitor:
    """Look at a graph with Avoiding's robot file, its inputs with this quality of service."""
    document = yaml.safe_load(AVOIDING.read_text())
    for source in document["inputs"].values():
        source["qos"] = qos
    file = tmp_path / "robot.yaml"
    file.write_text(yaml.safe_dump(document))
    made = GraphMonitor(graph, RobotFile.load(file), **({"control": True} | options))  # type: ignore[arg-type]
    made.look()
    return made


@pytest.mark.parametrize(
    ("published", "comes", "told"),
    [
        ({}, False, "nobody publishes /tcp_pose"),
        ({"/arm/tcp_pose": [endpoint("driver")]}, False, "nobody publishes /tcp_pose, but there is /arm/tcp_pose"),
        ({"/tcp_pos": [endpoint("driver")]}, False, "nobody publishes /tcp_pose, but there is /tcp_pos"),
        ({"/camera/image": [endpoint("driver")]}, False, "nobody publishes /tcp_pose"),
        (
            {"/tcp_pose": [endpoint("driver", "geometry_msgs/msg/Pose")]},
            False,
            f"/tcp_pose is published as geometry_msgs/msg/Pose, not as {POSE}",
        ),
        (
            {"/tcp_pose": [endpoint("driver", qos=BEST_EFFORT, space="/arm")]},
            False,
            "/tcp_pose is published with a quality of service that does not match: /arm/driver (best effort publisher "
            "and reliable subscription)",
        ),
        ({"/tcp_pose": [endpoint("driver")]}, False, "/driver publishes /tcp_pose, but is silent"),
        ({"/tcp_pose": [endpoint("driver")]}, True, "/driver publishes /tcp_pose, but none of its messages is usable"),
        ({"/tcp_pose": [endpoint("\x1b[31mevil")]}, False, r"/\x1b[31mevil publishes /tcp_pose, but is silent"),
    ],
)
def test_why_nothing_comes_is_reported(
    tmp_path: Path, published: dict[str, list[TopicEndpointInfo]], comes: bool, told: str
) -> None:
    graph = Graph()
    graph.published = published
    assert monitor(graph, tmp_path, "reliable").explain(["tcp"], comes={"tcp"} if comes else {"desired"}) == told


def test_quality_of_service_that_does_not_match_is_reported_with_topic_node_and_policy(tmp_path: Path) -> None:
    """Of inputs and of the command, including durability; matches are not reported."""
    graph = Graph()
    graph.published = {
        "/tcp_pose": [endpoint("good"), endpoint("bad", qos=BEST_EFFORT)],
        "/episode": [endpoint("robot", "std_msgs/msg/Int64", RELIABLE)],
    }
    graph.heard = {COMMANDS: [endpoint("driver", qos=LATCHED, space="/arm"), endpoint("logger", qos=BEST_EFFORT)]}
    found = monitor(graph, tmp_path, "reliable", episode_topic="episode").mismatches()
    volatile = "volatile publisher and transient local subscription"
    assert found == [
        "/bad publishes /tcp_pose, but nothing arrives here: best effort publisher and reliable subscription",
        f"/robot publishes /episode, but nothing arrives here: {volatile}",
        f"/arm/driver listens to {COMMANDS}, but receives nothing: {volatile}",
    ]
    assert len(monitor(graph, tmp_path, control=False).mismatches()) == 0


def test_several_publishers_of_an_input_are_named(tmp_path: Path) -> None:
    """As those who command are; one that comes or goes just now is none."""
    graph = Graph()
    graph.published = {
        "/tcp_pose": [endpoint("driver"), endpoint("zeros", space="/test")],
        "/desired_pose": [endpoint("driver"), endpoint(UNKNOWN)],
    }
    assert monitor(graph, tmp_path).other_input_publishers() == {"tcp": ["/driver", "/test/zeros"]}


def test_over_dds_the_node_says_what_does_not_match(
    make_node: MakeNode, bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One case of each: who publishes with another quality, who listens so, and a second publisher of an input."""
    monkeypatch.setattr("vdd_ros.nodes.policy_node.DIAGNOSTICS_PERIOD_S", 0.1)
    document = yaml.safe_load(AVOIDING.read_text())
    for source in document["inputs"].values():
        source["qos"] = "reliable"
    file = tmp_path / "robot.yaml"
    file.write_text(yaml.safe_dump(document))
    watched = Watched(bench)
    started(make_node(robot_file=str(file)))
    waiting = "waiting for desired, tcp: /bench publishes /desired_pose, but is silent; /bench publishes /tcp_pose, but"
    watched.await_diagnosis(lambda message, _: waiting in message, "who is silent", valid=None)
    watched.run_for_commands()
    watched.await_diagnosis(lambda message, _: message == "running", "that all is well")
    second = bench.node.create_publisher(PoseStamped, "/tcp_pose", BEST_EFFORT)
    bench.node.create_subscription(Float64MultiArray, COMMANDS, lambda _: None, LATCHED)

    def told(message: str, values: dict[str, str]) -> bool:
        return (
            "input tcp has 2 publishers, which may contradict each other: /bench, /bench" in message
            and "/bench publishes /tcp_pose, but nothing arrives here: best effort publisher" in message
            and f"/bench listens to {COMMANDS}, but receives nothing: volatile publisher and transient" in message
            and values["other_input_publishers"] == "2"
        )

    watched.await_diagnosis(told, "both")
    bench.node.destroy_publisher(second)
