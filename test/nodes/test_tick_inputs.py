"""Messages wait in the middleware until the tick takes them, over real DDS."""

import time
from typing import Any

import pytest
from node_rig import MakeNode, Robot, started
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message
from ros_helpers import Bench
from std_msgs.msg import Int64

from vdd_ros.nodes.ros.messages import LATCHED, PHASES, RELIABLE, SENSOR_DATA
from vdd_ros.nodes.ros.polled_subscriptions import TickInputs

TOPIC = "/number"


class Numbers:
    """Takes numbers from a topic into a list, and publishes some there."""

    def __init__(self, bench: Bench, qos: Any = SENSOR_DATA) -> None:
        self.bench = bench
        self.taken: list[int] = []
        self.received_s: list[float] = []
        self.inputs = TickInputs(bench.node)
        self.inputs.add(Int64, TOPIC, self._callback, qos)
        self.publisher = bench.node.create_publisher(Int64, TOPIC, qos)
        self.wait_for_match(1)

    def wait_for_match(self, subscriptions: int) -> None:
        """Wait for this many subscriptions: the topic is best effort."""
        self.bench.wait(lambda: self.publisher.get_subscription_count() >= subscriptions, "the match")

    def publish(self, *numbers: int) -> None:
        for number in numbers:
            self.publisher.publish(Int64(data=number))

    def _callback(self, message: Int64, received_s: float) -> None:
        self.taken.append(message.data)
        self.received_s.append(received_s)


@pytest.fixture
def numbers(bench: Bench) -> Any:
    made = Numbers(bench)
    yield made
    made.inputs.destroy()


def test_no_executor_takes_them(numbers: Numbers, bench: Bench) -> None:
    seen = bench.collect(Int64, TOPIC, SENSOR_DATA)
    numbers.wait_for_match(2)
    began_s = time.time()
    numbers.publish(1, 2, 3)
    bench.wait(lambda: len(seen) == 3, "the numbers at another subscription")
    assert numbers.taken == []
    numbers.inputs.take()
    assert numbers.taken == [1, 2, 3]
    assert all(began_s <= at_s <= time.time() for at_s in numbers.received_s)


def test_bytes_instead_of_messages(bench: Bench) -> None:
    seen: list[Any] = []
    inputs = TickInputs(bench.node)
    inputs.add(Int64, TOPIC, lambda content, _: seen.append(content), LATCHED, raw=True)
    publisher = bench.node.create_publisher(Int64, TOPIC, LATCHED)
    bench.wait_for_match(TOPIC, publishers=1, subscriptions=1)
    for number in (7, 8):
        publisher.publish(Int64(data=number))
        publisher.wait_for_all_acked()
        (inputs.take if number == 7 else inputs.discard)()  # the newest one of a latched topic is kept
    inputs.destroy()
    assert [type(content) for content in seen] == [bytes, bytes]
    assert [deserialize_message(content, Int64) for content in seen] == [Int64(data=7), Int64(data=8)]


def test_of_a_flood_the_newest_are_left(numbers: Numbers, bench: Bench) -> None:
    seen = bench.collect(Int64, TOPIC, SENSOR_DATA)
    numbers.wait_for_match(2)
    numbers.publish(*range(1000))
    bench.wait(lambda: seen and seen[-1] == Int64(data=999), "the last number")
    numbers.inputs.take()
    assert numbers.taken == list(range(990, 1000))


def test_waiting_ends_with_an_arrival(numbers: Numbers) -> None:
    began = time.monotonic()
    numbers.inputs.wait(0.01)
    assert time.monotonic() - began >= 0.01
    numbers.publish(7)
    numbers.inputs.wait(120.0)
    numbers.inputs.take()
    assert numbers.taken == [7]


def test_messages_before_the_start_are_discarded_except_latched_ones(bench: Bench) -> None:
    for qos, expected in ((SENSOR_DATA, []), (LATCHED, [3])):
        numbers = Numbers(bench, qos)
        seen = bench.collect(Int64, TOPIC, qos)
        numbers.publish(1, 2, 3)
        bench.wait(lambda seen=seen: Int64(data=3) in seen, "the last number")  # type: ignore[misc]
        numbers.inputs.discard()
        numbers.inputs.take()
        assert numbers.taken == expected
        numbers.inputs.destroy()
        bench.node.destroy_publisher(numbers.publisher)


def test_a_bad_latched_message_does_not_hide_a_newer_one(bench: Bench) -> None:
    taken: list[int] = []
    failed: list[str] = []

    def take(message: Int64, _: float) -> None:
        if message.data == 1:
            raise ValueError("one")
        taken.append(message.data)

    inputs = TickInputs(bench.node, lambda topic, error: failed.append(f"{topic}: {error}"))
    inputs.add(Int64, TOPIC, take, PHASES)
    seen = bench.collect(Int64, TOPIC, PHASES)
    publisher = bench.node.create_publisher(Int64, TOPIC, PHASES)
    bench.wait_for_match(TOPIC, publishers=1, subscriptions=2)
    for number in (1, 2):
        publisher.publish(Int64(data=number))
    bench.wait(lambda: len(seen) == 2, "both numbers")
    inputs.discard()
    assert (taken, failed) == ([2], [f"{TOPIC}: one"])
    inputs.destroy()


def test_a_node_that_is_destroyed_while_it_ticks_ends_its_thread(
    make_node: MakeNode, robot: Robot, bench: Bench
) -> None:
    """Else the thread would use what is no longer there, and end the process."""
    for trigger in ("timer", "observation"):
        node = started(make_node(trigger, trigger=trigger))
        before = len(robot.commands)
        robot.run_until(lambda before=before: len(robot.commands) > before, "a command")  # type: ignore[misc]
        bench.remove(node)
        node.publish_diagnostics()  # which waited for the end of a tick: there is nothing left to publish with


def test_an_error_in_a_tick_ends_the_executor(
    make_node: MakeNode, robot: Robot, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an error in a callback does: nothing is swallowed."""
    node = started(make_node())
    assert node.session is not None
    monkeypatch.setattr(node.session.loop, "tick", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        robot.run_until(lambda: False, "the error")
    node.trigger_deactivate()
    assert node.state == "inactive"


def test_a_message_on_an_earlier_topic_is_handed_over_before_its_successor(bench: Bench) -> None:
    """Such as an episode's number, and the pose to which the robot leaps after it."""
    seen: list[tuple[str, int]] = []
    episode = bench.node.create_publisher(Int64, "/episode", LATCHED)
    pose = bench.node.create_publisher(Int64, "/pose", LATCHED)

    def on_pose(message: Int64, _: float) -> None:
        seen.append(("pose", message.data))
        if message.data == 0:
            episode.publish(Int64(data=1))
            episode.wait_for_all_acked()
            pose.publish(Int64(data=1))
            pose.wait_for_all_acked()

    inputs = TickInputs(bench.node)
    inputs.add(Int64, "/episode", lambda message, _: seen.append(("episode", message.data)), LATCHED)
    inputs.add(Int64, "/pose", on_pose, LATCHED)
    for topic in ("/episode", "/pose"):
        bench.wait_for_match(topic, publishers=1, subscriptions=1)
    pose.publish(Int64(data=0))
    pose.wait_for_all_acked()
    bench.wait(lambda: inputs.take() or len(seen) == 3, "all three")  # type: ignore[func-returns-value]
    inputs.destroy()
    assert seen == [("pose", 0), ("episode", 1), ("pose", 1)]


def test_a_partial_hand_over_before_the_start_is_discarded(bench: Bench) -> None:
    """A callback raised, and messages behind it stayed: they are not of the next start."""
    seen: list[int] = []

    def once(message: Int64, _: float) -> None:
        seen.append(message.data)
        if message.data == 1:
            raise ValueError("one")

    inputs = TickInputs(bench.node)
    inputs.add(Int64, TOPIC, once, RELIABLE)
    publisher = bench.node.create_publisher(Int64, TOPIC, RELIABLE)
    bench.wait_for_match(TOPIC, publishers=1, subscriptions=1)
    collected = bench.collect(Int64, TOPIC, RELIABLE)
    bench.wait_for_match(TOPIC, publishers=1, subscriptions=2)
    for number in (1, 2):
        publisher.publish(Int64(data=number))
    bench.wait(lambda: len(collected) == 2, "both numbers")
    with pytest.raises(ValueError, match="one"):
        inputs.take()
    inputs.discard()
    inputs.take()
    inputs.destroy()
    assert seen == [1]


def test_a_latched_topic_keeps_as_many_messages_as_its_depth(bench: Bench) -> None:
    """As /tf_static: each of several publishers has sent its own, once."""
    seen: list[int] = []
    latched = QoSProfile(depth=3, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    sending = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = bench.node.create_publisher(Int64, TOPIC, sending)
    inputs = TickInputs(bench.node)
    inputs.add(Int64, TOPIC, lambda message, _: seen.append(message.data), latched)
    collected = bench.collect(Int64, TOPIC, RELIABLE)
    bench.wait_for_match(TOPIC, publishers=1, subscriptions=2)
    for number in range(5):
        publisher.publish(Int64(data=number))
    bench.wait(lambda: len(collected) == 5, "all numbers")
    inputs.discard()
    inputs.destroy()
    assert seen == [2, 3, 4]
