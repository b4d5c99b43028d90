"""`vdd robot check` on bags of a synthetic arm: its readings, and each finding."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags")

from random_messages import schema
from robot_bags import ARRAY, JOINT_STATE, POSE, ROBOT, START_S, ArmBag, joint_positions, joint_state, numbers, pose
from rosbags.rosbag2 import StoragePlugin

from vdd_ros.cli.main import main
from vdd_ros.evaluation.robot_check.bag import check_bag
from vdd_ros.evaluation.robot_check.report import RobotReport
from vdd_ros.evaluation.robot_check.table import report_text


def check(folder: Path, bag: ArmBag | None = None, robot: str = ROBOT, **options: Any) -> RobotReport:
    """Write bag and robot file, and check them."""
    file = folder / "arm.yaml"
    file.write_text(robot)
    return check_bag(file, (bag or ArmBag()).write(folder / "bag"), **options)


def texts(report: RobotReport, level: str) -> list[str]:
    """Return the findings of one level with their places."""
    return [f"{one.where}: {one.text}" for one in report.findings if one.level == level]


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_a_clean_bag_has_neither_errors_nor_warnings(tmp_path: Path, storage: StoragePlugin) -> None:
    (tmp_path / "arm.yaml").write_text(ROBOT)
    report = check_bag(tmp_path / "arm.yaml", ArmBag().write(tmp_path / "bag", storage), rate_hz=20)
    assert texts(report, "error") == texts(report, "warning") == []
    joints, target = report.inputs
    assert (joints.topic, joints.messages, joints.used) == ("/joint_states", 400, 400)
    assert joints.rate_hz == pytest.approx(100, rel=1e-3)
    assert target.rate_hz == pytest.approx(30, rel=1e-3)
    read = joint_positions(np.arange(400) / 100)
    for index, entry in enumerate(joints.entries):
        values = read[:, index]
        assert (entry.low, entry.high, entry.newest) == pytest.approx((values.min(), values.max(), values[-1]))
    assert joints.age_s is not None
    assert joints.age_s.median >= 0.002  # from stamp to receipt
    assert joints.age_s.max <= 0.0121
    assert [entry.name for entry in report.command] == ["shoulder", "elbow", "finger"]
    assert report.commands == 200


def test_rates_of_the_report_follow_the_given_one(tmp_path: Path) -> None:
    report = check(tmp_path, rate_hz=200)
    assert report.rate_hz == 200
    assert report.inputs[0].repeats == pytest.approx(0.5, abs=0.01)
    assert report.inputs[1].repeats == pytest.approx(0.85, abs=0.01)
    assert any("slower than the policy" in text for text in texts(report, "warning"))


FAULTS: dict[str, tuple[ArmBag, str, str]] = {
    "no topic": (ArmBag(pose_hz=0.0), ROBOT, r"inputs.target.topic: /camera/target_pose is not there, nor is any"),
    "similar topic": (
        ArmBag(),
        ROBOT.replace("/camera/target_pose", "/camera/targetpose"),
        r"similar topics: /camera/target_pose",
    ),
    "topic of the type": (
        ArmBag(),
        ROBOT.replace("topic: joint_states", "topic: /robot7/encoder"),
        r"topics of the type sensor_msgs/msg/JointState: /joint_states",
    ),
    "another type": (
        ArmBag(),
        ROBOT.replace("PoseStamped", "PointStamped").replace("pose.position", "point"),
        r"inputs.target.type: is geometry_msgs/msg/PointStamped, but /camera/target_pose carries .*PoseStamped",
    ),
    "a joint that is not there": (
        ArmBag(names=("shoulder", "upper_elbow", "finger")),
        ROBOT,
        r"inputs.joints: 400 of 400 messages are refused: a JointState lacks the joints \['elbow'\]; it has",
    ),
    "other joints": (
        ArmBag(names=("a", "b", "c")),
        ROBOT,
        r"400 of 400 messages have none of its joints, but \['a', 'b', 'c'\]",
    ),
    "an interface that is empty": (
        ArmBag(),
        ROBOT.replace("elbow, interface: position, unit: rad", "elbow, interface: velocity, unit: rad/s").replace(
            ", measured: elbow", ""
        ),
        r"3 names but 0 values of velocity",
    ),
    "another clock": (
        ArmBag(stamp_offset_s=-3600.0),
        ROBOT,
        r"inputs.joints.stamp: 400 of 400 stamps differ .*3.6e\+03 s older.*stamp: arrival",
    ),
    "a rate that max_age_s does not allow": (
        ArmBag(joint_hz=5.0),
        ROBOT,
        r"inputs.joints.max_age_s: is 0.1 s, less than the 0.2 s between messages",
    ),
    "a field that is not there": (
        ArmBag(),
        ROBOT.replace("{field: pose.position.y, unit: m}", "{field: pose.position.height, unit: m}"),
        r"inputs.target.entries.target_y.field: .*no field 'pose.position.height'",
    ),
    "an order of another size": (
        ArmBag(more=[("/controller/commands", ARRAY, 1.0, numbers([0.1]))]),
        ROBOT,
        r"command.entries: 1 of 201 recorded commands do not fit this file: a command has 1 value",
    ),
    "stamps further apart than max_skew_s": (
        ArmBag(),
        ROBOT.replace("inputs:", "max_skew_s: 0.01\ninputs:", 1),
        r"max_skew_s: is 10 ms, but at the ticks the newest stamps of the inputs are .* ms apart",
    ),
    "another command": (
        ArmBag(),
        ROBOT.replace("std_msgs/msg/Float64MultiArray", "trajectory_msgs/msg/JointTrajectory"),
        r"command.type: is trajectory_msgs/msg/JointTrajectory, but /controller/commands carries std_msgs",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_an_error(fault: str, tmp_path: Path) -> None:
    bag, robot, expected = FAULTS[fault]
    report = check(tmp_path, bag, robot)
    assert re.search(expected, "\n".join(texts(report, "error"))), texts(report, "error")
    assert report.errors


def swapped(text: str, one: str, other: str) -> str:
    """Exchange two texts."""
    return text.replace(one, "\0").replace(other, one).replace("\0", other)


def nan_once(times: Any) -> Any:
    values = joint_positions(times)
    values[10, 1] = np.nan
    return values


DOUBTS: dict[str, tuple[ArmBag, str, str]] = {
    "a value that is not finite": (ArmBag(joints=nan_once), ROBOT, r"entries.elbow: is not finite in 1 of 400"),
    "one message without a joint": (
        ArmBag(more=[("/joint_states", JOINT_STATE, 1.001, joint_state(["elbow"], [0.1], START_S + 1.001))]),
        ROBOT,
        r"1 of 401 messages are refused: a JointState lacks the joints",
    ),
    "a stamp that goes back": (
        ArmBag(
            more=[
                (
                    "/joint_states",
                    JOINT_STATE,
                    1.001,
                    joint_state(("shoulder", "elbow", "finger"), [0.6, -1, 0.5], START_S + 0.97),
                )
            ]
        ),
        ROBOT,
        r"1 of 401 stamps are not newer than the previous one",
    ),
    "degrees": (ArmBag(joints=lambda t: 57.3 * joint_positions(t)), ROBOT, r"more than two turns: does the message"),
    "commands beyond the limits": (
        ArmBag(),
        ROBOT.replace("high: 0.8", "high: 0.5"),
        r"command.entries\[2\].low: .* % of the recorded commands of finger lie outside \[0, 0.5\] rad",
    ),
    "commands faster than max_step": (
        ArmBag(),
        ROBOT.replace("max_step: 0.2, measured: elbow", "max_step: 0.0001, measured: elbow"),
        r"command.entries\[1\].max_step: .* change by more than 0.0001 rad in one tick",
    ),
    "commands in another order": (
        ArmBag(),
        swapped(ROBOT, "{name: shoulder, action", "{name: elbow, action")
        .replace("measured: shoulder", "measured: \0")
        .replace("measured: elbow", "measured: shoulder")
        .replace("measured: \0", "measured: elbow"),
        r"entries\[0\]: elbow is measured by elbow, but its recorded commands follow shoulder: they differ by 0.0",
    ),
    "a fixed number that was moved": (
        ArmBag(),
        ROBOT.replace("action: elbow_target, unit: rad, low: -2, high: 2", "fixed: -1.0, unit: rad"),
        r"entries\[1\].fixed: is -1 rad, but the recorded commands reach from -1.3",
    ),
    "relative to what is measured": (
        ArmBag(),
        ROBOT.replace("measured: elbow", "relative_to: elbow"),
        r"command.entries\[1\].relative_to: is 'elbow'",
    ),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_a_doubt_is_a_warning(doubt: str, tmp_path: Path) -> None:
    bag, robot, expected = DOUBTS[doubt]
    report = check(tmp_path, bag, robot)
    assert re.search(expected, "\n".join(texts(report, "warning"))), report.findings
    assert texts(report, "error") == []


def test_an_input_that_may_be_old_raises_no_alarm(tmp_path: Path) -> None:
    robot = ROBOT.replace("max_age_s: 0.2\n", "max_age_s: 0.2\n    when_stale: keep\n")
    bag = ArmBag(pose_hz=0.0, more=[("/camera/target_pose", POSE, 0.1, pose((0.4, 0.1, 0.0), START_S + 0.1))])
    report = check(tmp_path, bag, robot)
    assert texts(report, "error") == []
    assert any("its last value is then kept" in text for text in texts(report, "note"))


def test_commands_are_read_where_the_demonstrations_have_them(tmp_path: Path) -> None:
    robot = ROBOT.replace("/controller/commands", "/arm/commands")
    assert check(tmp_path, robot=robot).commands == 0
    elsewhere = robot + "demonstrations: {commands: /leader/command}\n"
    (tmp_path / "arm.yaml").write_text(elsewhere)
    notes = texts(check_bag(tmp_path / "arm.yaml", tmp_path / "bag"), "note")
    assert any("/leader/command is not there" in note for note in notes), notes
    mapped = robot + "demonstrations: {commands: /controller/commands}\n"
    (tmp_path / "arm.yaml").write_text(mapped)
    assert check_bag(tmp_path / "arm.yaml", tmp_path / "bag").commands == 200


def test_commands_limited_to_max_step_are_not_too_fast(tmp_path: Path) -> None:
    """A node limits its commands to it; their differences are larger by rounding."""
    bag = ArmBag(command_hz=0.0)
    bag.more = [("/controller/commands", ARRAY, k / 50, numbers([0.1 + 0.03 * k, -1.0, 0.4])) for k in range(50)]
    report = check(
        tmp_path, bag, ROBOT.replace("max_step: 0.2, measured: shoulder", "max_step: 0.03, measured: shoulder")
    )
    assert not [text for text in texts(report, "warning") if "max_step" in text]


def test_the_rate_of_the_robot_file_is_that_of_the_ticks(tmp_path: Path) -> None:
    assert check(tmp_path, robot=ROBOT + "rate_hz: 25\n").rate_hz == 25


def test_zero_stamps_are_dated_by_receipt(tmp_path: Path) -> None:
    report = check(tmp_path, ArmBag(stamp_offset_s=None))
    assert texts(report, "error") == texts(report, "warning") == []
    assert any("dated by its receipt" in text for text in texts(report, "note"))


def test_a_foreign_clock_is_right_with_arrival(tmp_path: Path) -> None:
    robot = ROBOT.replace("max_age_s: 0.1\n", "max_age_s: 0.1\n    stamp: arrival\n")
    report = check(tmp_path, ArmBag(stamp_offset_s=-3600.0), robot)
    assert texts(report, "error") == texts(report, "warning") == []


def test_a_gap_is_told(tmp_path: Path) -> None:
    def first_half(times: Any) -> Any:
        return joint_positions(times)

    bag = ArmBag(duration_s=2.0, joints=first_half)
    later = np.arange(50) / 100 + 2.5
    bag.more = [
        ("/joint_states", JOINT_STATE, t, joint_state(bag.names, row, START_S + t))
        for t, row in zip(later.tolist(), joint_positions(later), strict=True)
    ]
    report = check(tmp_path, bag)
    assert any("has 1 gap above max_age_s, the longest 0.51 s" in text for text in texts(report, "warning"))
    assert any("inputs.joints.max_age_s: is older than max_age_s at" in text for text in texts(report, "error"))


def test_the_command_prints_and_writes_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "arm.yaml").write_text(ROBOT)
    bag = ArmBag().write(tmp_path / "bag")
    arguments = ["robot", "check", str(tmp_path / "arm.yaml"), "--bag", str(bag), "--json", str(tmp_path / "r.json")]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "input joints: /joint_states (sensor_msgs/msg/JointState), 400 of 400 messages" in out
    assert "0 errors, 0 warnings" in out
    written = json.loads((tmp_path / "r.json").read_text())
    assert [one["name"] for one in written["inputs"]] == ["joints", "target"]
    (tmp_path / "arm.yaml").write_text(ROBOT.replace("joint: elbow", "joint: knee"))
    assert main(arguments) == 1
    assert "error    inputs.joints: 400 of 400 messages are refused" in capsys.readouterr().out


def test_long_names_of_joints_keep_the_columns(tmp_path: Path) -> None:
    long = "left_arm_gripper_left_inner_finger_joint_position"
    robot = ROBOT.replace("finger: {joint", f"{long}: {{joint").replace("measured: finger", f"measured: {long}")
    lines = report_text(check(tmp_path, robot=robot)).splitlines()
    row = next(number for number, line in enumerate(lines) if line.split()[:2] == [long, "rad"])
    title = max(number for number, line in enumerate(lines[:row]) if line.split()[:1] == ["unit"])
    assert lines[row].index(" rad ") + 1 == lines[title].index("unit")
    assert {len(line) for line in lines[title : row + 1]} == {len(lines[title])}


def test_a_cut_bag_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "arm.yaml").write_text(ROBOT)
    bag = ArmBag().write(tmp_path / "bag")
    file = next(bag.glob("*.mcap"))
    file.write_bytes(file.read_bytes()[:-20_000])
    assert main(["robot", "check", str(tmp_path / "arm.yaml"), "--bag", str(bag)]) == 2
    assert "vdd bag mend" in capsys.readouterr().err


def test_a_frame_is_reached_by_the_transforms_in_the_bag(tmp_path: Path) -> None:
    """The target is seen by a camera 0.25 m beside the base."""
    one = schema("geometry_msgs/msg/TransformStamped").blank()
    one.header.frame_id, one.child_frame_id = "base", "camera"
    one.transform.translation.y, one.transform.rotation.w = 0.25, 1.0
    message = schema("tf2_msgs/msg/TFMessage").blank()
    message.transforms = [one]
    seen = pose((0.5, 0.125, 0.0), START_S + 0.1)
    seen.header.frame_id = "camera"
    bag = ArmBag(pose_hz=0.0, more=[("/camera/target_pose", POSE, 0.1, seen)])
    robot = ROBOT.replace("    max_age_s: 0.2\n", "    max_age_s: 0.2\n    frame: base\n    when_stale: keep\n")
    alone = check(tmp_path, bag, robot)
    assert "no transform leads from 'camera' to 'base'" in " ".join(text.text for text in alone.findings)
    (tmp_path / "again").mkdir()
    bag.more.insert(0, ("/tf_static", "tf2_msgs/msg/TFMessage", 0.05, message))
    report = check(tmp_path / "again", bag, robot)
    target = next(one for one in report.inputs if one.name == "target")
    assert [entry.mean for entry in target.entries] == pytest.approx([0.5, 0.375])
