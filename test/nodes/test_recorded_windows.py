"""One bag through a live node and through the converter: what both observe is the same, to the bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from node_rig import AVOIDING, MakeNode, started
from ros_helpers import Bench

pytest.importorskip("rosbags")

from geometry_msgs.msg import PoseStamped
from recorded_arm import STORE, Sent, write_recording

from vdd_ros.bags.raw_messages import RawBag
from vdd_ros.bags.types import Decoder
from vdd_ros.control.loop import PolicyLoop
from vdd_ros.recordings.form import SamplingForm
from vdd_ros.recordings.inputs import RecordedInputs
from vdd_ros.robot.robot_file import RobotFile

KIND = "geometry_msgs/msg/PoseStamped"
TOPICS = {"desired": "/desired_pose", "tcp": "/tcp_pose"}
LEAST_MESSAGES, LEAST_TICKS = 100, 40


def pose(random: np.random.Generator) -> bytes:
    """Return a serialised PoseStamped; its frame has another length each time, which moves every field behind it."""
    types = STORE.types
    stamp = types["builtin_interfaces/msg/Time"](sec=1, nanosec=2)
    header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="f" * int(random.integers(0, 9)))
    x, y, z = random.uniform(0.3, 0.6, 3).tolist()
    quaternion = types["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0)
    place = types["geometry_msgs/msg/Pose"](types["geometry_msgs/msg/Point"](x=x, y=y, z=z), quaternion)
    return bytes(STORE.serialize_cdr(types[KIND](header=header, pose=place), KIND))


def in_ns(time_s: float) -> int:
    """Return a time in nanoseconds, as far as seconds since 1970 resolve it: a quarter of a microsecond."""
    return round(time_s * 1e9)


def test_a_node_and_the_converter_see_the_same(
    make_node: MakeNode, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = yaml.safe_load(AVOIDING.read_text())
    for source in document["inputs"].values():
        source |= {"stamp": "arrival", "max_age_s": 5.0}
    for name in ("desired_x", "desired_y"):
        document["inputs"]["desired"]["entries"][name]["max_rate"] = float("inf")
    for name in ("tcp_x", "tcp_y"):
        document["inputs"]["tcp"]["entries"][name]["max_rate"] = float("inf")
    file = tmp_path / "robot.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    arrived: list[tuple[int, str, bytes, int]] = []
    ticks: list[tuple[float, Any]] = []
    receive, observe = PolicyLoop.receive, PolicyLoop._observe

    def receiving(self: PolicyLoop, name: str, message: Any, now_s: float, received_s: float) -> None:
        arrived.append((in_ns(min(received_s, now_s)), name, message, len(ticks)))
        receive(self, name, message, now_s, received_s)

    def observing(self: PolicyLoop, observer: Any, now_s: float) -> Any:
        window = observe(self, observer, now_s)
        ticks.append((now_s, None if window is None else window.copy()))
        return window

    monkeypatch.setattr(PolicyLoop, "receive", receiving)
    monkeypatch.setattr(PolicyLoop, "_observe", observing)
    publishers = {name: bench.node.create_publisher(PoseStamped, topic, 10) for name, topic in TOPICS.items()}
    node = started(make_node(robot_file=str(file), enable_control=False, rate_hz=50.0))
    for topic in TOPICS.values():
        bench.wait_for_match(topic, publishers=1, subscriptions=1)
    random = np.random.default_rng(0)
    number = 0
    while number < LEAST_MESSAGES or sum(window is not None for _, window in ticks) < LEAST_TICKS:
        publishers["desired" if number % 3 else "tcp"].publish(pose(random))
        number += 1
        bench.wait(lambda number=number: len(arrived) >= number, "the message")  # type: ignore[misc]
    so_far = len(ticks)
    bench.wait(lambda: len(ticks) > so_far + 1, "a tick")
    node.trigger_deactivate()

    sent = [Sent(at_ns, TOPICS[name], KIND, content) for at_ns, name, content, _ in arrived]
    write_recording(tmp_path / "bag", sorted(sent, key=lambda one: one.at_ns))
    assert compare(tmp_path / "bag", RobotFile.load(file), arrived, ticks) > LEAST_TICKS // 4


def compare(
    bag: Path, robot: RobotFile, arrived: list[tuple[int, str, bytes, int]], ticks: list[tuple[float, Any]]
) -> int:
    """Hold each tick of the node against the converter's; return how many were held."""
    names, held = {topic: name for name, topic in TOPICS.items()}, 0
    with RawBag(bag) as stream:
        form = Decoder().form(stream.channels[0])
        inputs = RecordedInputs(SamplingForm.of(robot, 50.0), robot, lambda kind: form)
        messages = list(stream.messages(range(len(stream.channels))))
    for number, (now_s, window) in enumerate(ticks):
        now_ns = in_ns(now_s)
        while messages and messages[0].log_ns <= now_ns:
            one = messages.pop(0)
            inputs.receive(names[one.channel.topic], one.content, one.log_ns)
        if any(at_ns <= now_ns and before > number for at_ns, _, _, before in arrived):
            continue  # it arrived between the node's look at its topics and its look at the clock
        tick = inputs.look(now_ns)
        if window is None:
            assert tick.observation is None
        else:
            assert tick.observation is not None
            assert tick.observation.tobytes() == window[-1].tobytes()
            held += 1
    return held
