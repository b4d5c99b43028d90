"""What `vdd robot check` reads of a bag is what a node observes of it, to the bit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

pytest.importorskip("rosbags")

from bag_files import STORE
from robot_bags import START_S, ArmBag, header

from vdd_ros.bags.topics import open_bag
from vdd_ros.evaluation.robot_check.bag import check_bag
from vdd_ros.evaluation.robot_check.readings import read_inputs
from vdd_ros.evaluation.robot_check.table import report_text
from vdd_ros.evaluation.robot_check.windows import observed_at
from vdd_ros.recordings.form import SamplingForm
from vdd_ros.recordings.inputs import RecordedInputs
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.robot.transforms import TF_STATIC

ODOMETRY, TF = "nav_msgs/msg/Odometry", "tf2_msgs/msg/TFMessage"
ROBOT = """
rate_hz: 25
inputs:
  joints:
    topic: /joint_states
    type: sensor_msgs/msg/JointState
    max_age_s: 0.5
    entries:
      elbow: {joint: elbow, interface: position, unit: deg, scale: 57.29577951308232}
      shoulder: {joint: shoulder, interface: position, unit: rad, minus: forearm}
      forearm: {joint: elbow, interface: position, unit: rad, hidden: true}
  target:
    topic: /camera/target_pose
    type: geometry_msgs/msg/PoseStamped
    max_age_s: 0.5
    frame: base
    entries:
      ahead: {field: pose.position.x, unit: m, minus: travelled}
      across: {field: pose.position.y, unit: m, offset: 0.125}
  base:
    topic: /odometry
    type: nav_msgs/msg/Odometry
    max_age_s: 0.5
    stamp: arrival
    entries:
      travelled: {field: pose.pose.position.x, unit: cm, scale: 100, hidden: true}
      heading: {field: pose.pose.orientation, rotation: yaw, encode: sin_cos}
  last: {command: command, entries: all}
command:
  topic: /controller/commands
  type: std_msgs/msg/Float64MultiArray
  on_loss: hold
  entries:
    - {name: shoulder, action: shoulder_target, unit: rad, low: -9, high: 9, max_step: 9, measured: elbow}
    - {name: elbow, action: elbow_target, unit: rad, low: -9, high: 9, max_step: 9, measured: elbow}
    - {name: finger, action: finger_target, unit: rad, low: -9, high: 9, max_step: 9, measured: elbow}
"""


def odometry(times: NDArray[np.float64]) -> Iterator[tuple[str, str, float, Any]]:
    """Yield messages whose frames have other lengths each, which moves every field behind them."""
    for number, time_s in enumerate(times.tolist()):
        yield "/odometry", ODOMETRY, time_s, moved("b" * (number % 7), time_s)


def moved(frame: str, time_s: float) -> Any:
    """Return an odometry that has turned and moved on since the start."""
    types = STORE.types
    half = 2.0 * time_s
    turned = types["geometry_msgs/msg/Quaternion"](0.0, 0.0, float(np.sin(half)), float(np.cos(half)))
    place = types["geometry_msgs/msg/Pose"](types["geometry_msgs/msg/Point"](0.01 * time_s, 0.0, 0.0), turned)
    zero = types["geometry_msgs/msg/Vector3"](0.0, 0.0, 0.0)
    twist = types["geometry_msgs/msg/TwistWithCovariance"](types["geometry_msgs/msg/Twist"](zero, zero), np.zeros(36))
    where = types["geometry_msgs/msg/PoseWithCovariance"](place, np.zeros(36))
    return types[ODOMETRY](header(START_S + time_s), frame, where, twist)


def camera() -> tuple[str, str, float, Any]:
    """Return the transform from the frame of the camera to that of the arm."""
    types, half = STORE.types, np.sqrt(0.5)
    turned = types["geometry_msgs/msg/Quaternion"](0.0, 0.0, float(half), float(half))
    move = types["geometry_msgs/msg/Transform"](types["geometry_msgs/msg/Vector3"](0.1, 0.2, 0.3), turned)
    one = types["geometry_msgs/msg/TransformStamped"](header(START_S), "camera", move)  # header() is in "base"
    return TF_STATIC, TF, 0.0, types[TF]([one])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bag whose poses are in the frame of a camera; files of robot and bag lie in one folder."""
    folder = tmp_path_factory.mktemp("recorded")
    bag = ArmBag(duration_s=2.0, command_hz=20.0, more=[camera(), *odometry(np.arange(0.05, 2, 0.03))])
    for _, _, _, message in (poses := list(bag._poses())):
        message.header.frame_id = "camera"
    bag.pose_hz, bag.more = 0.0, bag.more + poses
    bag.write(folder / "bag")
    (folder / "arm.yaml").write_text(ROBOT)
    return folder


def test_the_check_reads_what_a_node_observes(recorded: Path) -> None:
    robot = RobotFile.load(recorded / "arm.yaml")
    form = SamplingForm.of(robot)
    names = {source.topic: source.name for source in robot.sources}
    with open_bag(recorded / "bag") as bag:
        inputs, last = (
            read_inputs(robot, sources, form.observation, bag) for sources in (robot.inputs, robot.last_commands)
        )
        messages = list(bag.serialized([*names, TF_STATIC]))
    forms = {one.form.type: one.form for one in messages}
    node = RecordedInputs(form, robot, forms.__getitem__)
    ticks_ns = [round((START_S + time_s) * 1e9) for time_s in np.arange(0.1, 2.0, 1 / form.rate_hz).tolist()]
    rows = []
    for now_ns in ticks_ns:
        while messages and messages[0].received_ns <= now_ns:
            one = messages.pop(0)
            if one.topic == TF_STATIC:
                node.transforms.receive(one.message(), static=True)
            else:
                node.receive(names[one.topic], one.content, one.received_ns)
        tick = node.look(now_ns)
        assert tick.observation is not None, tick.blame
        rows.append(tick.observation)
    checked = observed_at(np.array(ticks_ns) * 1e-9, robot, form, inputs, last)
    assert checked.astype(np.float32).tobytes() == np.stack(rows).astype(np.float32).tobytes()
    assert len({row.tobytes() for row in rows}) == len(rows)


def test_differences_are_listed_as_the_policy_observes_them(recorded: Path) -> None:
    """The target is at (0.4, -0.1) of a camera that is turned by a quarter and at (0.1, 0.2)."""
    report = check_bag(recorded / "arm.yaml", recorded / "bag")
    entries = {entry.name: entry for one in report.inputs for entry in one.entries}
    ahead, travelled = entries["ahead"], entries["travelled"]
    assert (ahead.minus, travelled.hidden, ahead.hidden) == ("travelled", True, False)
    assert ahead.high == pytest.approx(0.2 - 0.01 * 0.05, abs=2e-4)
    assert ahead.low == pytest.approx(0.2 - 0.01 * 1.97, abs=5e-4)
    assert travelled.high == pytest.approx(1.97, abs=0.04)
    assert entries["across"].mean == pytest.approx(0.2 + 0.4 + 0.125)
    text = report_text(report)
    assert "ahead (minus travelled)" in text
    assert "travelled (hidden)" in text


def test_bytes_that_are_no_message_are_refused_as_by_the_node(tmp_path: Path) -> None:
    from recorded_arm import EPOCH_NS, MS, Sent, document, drive, write_recording

    sent = drive(1.0)
    broken = [Sent(EPOCH_NS + 5 * MS, "/joint_states", sent[0].msgtype, sent[0].content[:20])]
    write_recording(tmp_path / "bag", sorted([*sent, *broken], key=lambda one: one.at_ns))
    (tmp_path / "arm.yaml").write_text(yaml.safe_dump(document(), sort_keys=False))
    report = check_bag(tmp_path / "arm.yaml", tmp_path / "bag")
    assert (report.inputs[0].used, report.inputs[0].messages) == (100, 101)
    assert any("1 of 101 messages are refused" in one.text for one in report.findings)
