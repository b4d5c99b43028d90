"""The recorder as users run it: a process that listens to real publishers."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import rclpy
from process_rig import LATCHED, RECORDER, wait_until_ready
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_helpers import Bench, node_process
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore
from std_msgs.msg import Float64MultiArray, Int64, MultiArrayDimension, MultiArrayLayout, String

STORE = get_typestore(Stores.ROS2_JAZZY)


def content(bag: Path) -> dict[str, list[Any]]:
    """The decoded messages of a bag by topic."""
    with Reader(bag) as reader:
        found: dict[str, list[Any]] = {connection.topic: [] for connection in reader.connections}
        for connection, _, raw in reader.messages():
            found[connection.topic].append(STORE.deserialize_cdr(raw, connection.msgtype))
    return found


def latency(seq: int) -> Float64MultiArray:
    layout = MultiArrayLayout(dim=[MultiArrayDimension(label="seq", size=1, stride=1)])
    return Float64MultiArray(layout=layout, data=[float(seq)])


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_everything_published_is_in_the_bag_after_a_signal(bench: Bench, tmp_path: Path, stop: signal.Signals) -> None:
    numbers = bench.node.create_publisher(Float64MultiArray, "/student/latency", 1000)
    info = bench.node.create_publisher(String, "/student/policy_info", LATCHED)
    lossy = bench.node.create_publisher(
        Int64, "/student/expert", QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
    )
    info.publish(String(data="published before the recorder started"))
    topics = "[/student/latency, /student/policy_info, /student/expert]"
    with node_process(RECORDER, tmp_path / "log", output=tmp_path / "bag", topics=topics) as recorder:
        wait_until_ready(bench, recorder)
        bench.wait(numbers.get_subscription_count, "the match of the latency topic")
        bench.wait(lossy.get_subscription_count, "the match of the expert topic")
        for seq in range(500):
            numbers.publish(latency(seq))
        lossy.publish(Int64(data=3))
        assert numbers.wait_for_all_acked()
        recorder.signal(stop)
        assert recorder.wait() == 0, recorder.output
    assert not (tmp_path / "bag.partial").exists()
    found = content(tmp_path / "bag")
    assert [message.data[0] for message in found["/student/latency"]] == list(range(500))
    assert [message.data for message in found["/student/policy_info"]] == ["published before the recorder started"]
    assert [message.data for message in found["/student/expert"]] == [3]
    with Reader(tmp_path / "bag") as reader:
        profiles = {c.topic: c.ext.offered_qos_profiles[0] for c in reader.connections}  # type: ignore[union-attr]
    assert profiles["/student/policy_info"].durability == QosDurability.TRANSIENT_LOCAL
    assert profiles["/student/latency"].durability == QosDurability.VOLATILE


def test_optional_topics_are_recorded_once_published(bench: Bench, tmp_path: Path) -> None:
    """Nothing waits for it, and where nobody publishes it, it is not in the bag."""
    info = bench.node.create_publisher(String, "/student/policy_info", LATCHED)
    info.publish(String(data="a student"))
    optional = "[/student/expert, /teacher/expert]"
    parameters = {"output": tmp_path / "bag", "topics": "[/student/policy_info]", "optional_topics": optional}
    with node_process(RECORDER, tmp_path / "log", **parameters) as recorder:
        wait_until_ready(bench, recorder)
        experts = bench.node.create_publisher(Int64, "/student/expert", LATCHED)
        experts.publish(Int64(data=3))
        bench.wait(experts.get_subscription_count, "the match of the late topic")
        assert experts.wait_for_all_acked()
        recorder.signal(signal.SIGINT)
        assert recorder.wait() == 0, recorder.output
    found = content(tmp_path / "bag")
    assert {topic: len(messages) for topic, messages in found.items()} == {
        "/student/policy_info": 1,
        "/student/expert": 1,
    }


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0, 1, 4), "/teacher/latency: 2 of 5 records missing (sequence numbers 2 to 3)"),
        ((0, 1, 1), "/teacher/latency: sequence numbers come twice 1 time"),
    ],
)
def test_sequence_numbers_that_are_not_whole_fail_at_the_end(
    bench: Bench, tmp_path: Path, numbers: tuple[int, ...], text: str
) -> None:
    publisher = bench.node.create_publisher(Float64MultiArray, "/teacher/latency", 100)
    with node_process(RECORDER, tmp_path / "log", output=tmp_path / "bag", topics="[/teacher/latency]") as recorder:
        wait_until_ready(bench, recorder)
        bench.wait(publisher.get_subscription_count, "the match")
        for seq in numbers:
            publisher.publish(latency(seq))
        assert publisher.wait_for_all_acked()
        recorder.signal(signal.SIGINT)
        assert recorder.wait() == 1
    assert text in recorder.output
    assert len(content(tmp_path / "bag")["/teacher/latency"]) == 3


def test_a_full_disk_is_said_once_and_at_the_end_and_the_record_until_then_is_readable(
    bench: Bench, tmp_path: Path
) -> None:
    numbers = bench.node.create_publisher(Float64MultiArray, "/student/latency", 1000)
    with node_process(RECORDER, tmp_path / "log", output=tmp_path / "bag", topics="[/student/latency]") as recorder:
        wait_until_ready(bench, recorder)
        bench.wait(numbers.get_subscription_count, "the match")
        mcap = tmp_path / "bag.partial" / "bag" / "bag.mcap"
        numbers.publish(latency(0))
        empty = mcap.stat().st_size
        bench.wait(lambda: mcap.stat().st_size > empty, "the first flush")
        resource.prlimit(recorder.process.pid, resource.RLIMIT_FSIZE, (40_000, 40_000))
        for seq in range(1, 900):
            numbers.publish(latency(seq))
        wait_until_ready(bench, recorder, value=False)
        recorder.signal(signal.SIGINT)
        assert recorder.wait() == 1
    assert recorder.output.count("File too large") == 1
    found = content(tmp_path / "bag.partial" / "bag")["/student/latency"]
    assert [message.data[0] for message in found] == list(range(len(found)))
    assert found
    assert not (tmp_path / "bag").exists()


@contextmanager
def publisher_elsewhere(kind: Any, topic: str) -> Iterator[None]:
    """Publish a topic from another participant, since one cannot have two types for a topic."""
    elsewhere = rclpy.Context()
    elsewhere.init()
    other = rclpy.create_node("other", context=elsewhere)
    other.create_publisher(kind, topic, 1)
    try:
        yield
    finally:
        other.destroy_node()
        elsewhere.shutdown()


CONFUSED = "std_msgs/msg/Int64, std_msgs/msg/String"


def test_two_types_on_one_topic_are_refused(bench: Bench, tmp_path: Path) -> None:
    """At once; where the second publisher is discovered so late that the record has begun, the exit code tells."""
    bench.node.create_publisher(Int64, "/confused", 1)
    with publisher_elsewhere(String, "/confused"):
        bench.wait(lambda: bench.node.count_publishers("/confused") == 2, "both publishers")
        with node_process(RECORDER, tmp_path / "log", output=tmp_path / "bag", topics="[/confused]") as recorder:
            late = "it is not recorded"
            bench.wait(lambda: recorder.process.poll() is not None or late in recorder.output, "the refusal")
            if late in recorder.output:
                recorder.signal(signal.SIGINT)
            assert recorder.wait() == 1
        assert CONFUSED in recorder.output


def test_another_type_that_comes_later_is_said_once_and_the_record_goes_on(bench: Bench, tmp_path: Path) -> None:
    numbers = bench.node.create_publisher(Int64, "/confused", 100)
    with node_process(RECORDER, tmp_path / "log", output=tmp_path / "bag", topics="[/confused]") as recorder:
        wait_until_ready(bench, recorder)
        bench.wait(numbers.get_subscription_count, "the match")
        numbers.publish(Int64(data=1))
        with publisher_elsewhere(String, "/confused"):
            bench.wait(lambda: CONFUSED in recorder.output, "the error")
            numbers.publish(Int64(data=2))
            assert numbers.wait_for_all_acked()
        recorder.signal(signal.SIGINT)
        assert recorder.wait() == 1
    assert recorder.output.count(CONFUSED) == 1
    assert [message.data for message in content(tmp_path / "bag")["/confused"]] == [1, 2]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"topics": "[/a]"}, "parameter output is empty"),
        ({"output": "{tmp}/bag"}, "parameter topics is empty"),
        ({"output": "{tmp}", "topics": "[/a]"}, "exists already"),
        ({"output": "{tmp}/bag", "topics": "[1, 2]"}, "topics"),
        ({"output": "{tmp}/bag", "topic": "[/a]"}, "unknown parameters: topic; did you mean topics?"),
    ],
)
def test_bad_parameters_end_the_recorder(tmp_path: Path, parameters: dict[str, str], message: str) -> None:
    filled = {name: value.format(tmp=tmp_path) for name, value in parameters.items()}
    with node_process(RECORDER, tmp_path / "log", **filled) as recorder:
        assert recorder.wait() == 1
    assert message in recorder.output
