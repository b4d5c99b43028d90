"""`vdd robot new` on bags as operators record them: a gripper commanded where it changes, pauses, poses of a camera."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags")

from bag_files import STORE
from robot_bags import ARRAY, ArmBag, header, joint_positions, numbers

from vdd_ros.cli.main import main
from vdd_ros.evaluation.robot_draft.draft import write_draft
from vdd_ros.robot.robot_file import RobotFile

TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
TF = "tf2_msgs/msg/TFMessage"
HZ = 10


def arm(time_s: float) -> tuple[str, str, float, Any]:
    """Return a command of the arm's joints."""
    types, nothing = STORE.types, np.empty(0)
    duration = types["builtin_interfaces/msg/Duration"](0, 100_000_000)
    positions = joint_positions(np.array([time_s]))[0, :2]
    point = types["trajectory_msgs/msg/JointTrajectoryPoint"](positions, nothing, nothing, nothing, duration)
    message = types[TRAJECTORY](header(None), ["shoulder", "elbow"], [point])
    return "/arm/joint_trajectory", TRAJECTORY, time_s, message


def gripper(time_s: float) -> tuple[str, str, float, Any]:
    """Return a command of the gripper."""
    return "/gripper/commands", ARRAY, time_s, numbers(joint_positions(np.array([time_s]))[0, 2:])


def teleoperated(gripper_s: tuple[float, ...] = (0.0, 1.3, 6.7, 8.1)) -> ArmBag:
    """An arm commanded at 10 Hz in two episodes of 2 s, 4 s apart, and a gripper at a few times; all are on."""
    bag = ArmBag(duration_s=9.0, command_hz=0.0)
    for k in (*range(5, 25), *range(65, 85)):
        bag.more.append(arm(k / HZ))
    bag.more += [gripper(time_s) for time_s in gripper_s]
    return bag


def test_a_gripper_that_is_seldom_commanded_leaves_the_rate_to_the_arm(tmp_path: Path) -> None:
    robot = written(tmp_path, teleoperated())
    assert robot.rate_hz == HZ
    kept = {
        command.name: robot.demonstrations.commands[command.name].keep_last
        for command in robot.commands
        if command.name in robot.demonstrations.commands
    }
    assert kept == {"gripper": True}


def test_the_way_between_two_episodes_is_no_step(tmp_path: Path) -> None:
    robot = written(tmp_path, teleoperated())
    rows = joint_positions(np.arange(90) / HZ)[:, :2]
    steps = np.abs(np.diff(rows, axis=0))
    within = np.concatenate([steps[5:24], steps[65:84]]).max(0)
    over = np.abs(rows[65] - rows[24])
    found = [entry.max_step for entry in robot.command_entries[:2]]
    assert found == pytest.approx(1.5 * within, rel=0.1)
    assert (over > 2 * np.array(found)).any()
    assert "# Commands pause 1 time, for 4.1 s and longer." in (tmp_path / "arm.yaml").read_text()
    assert "# episodes: {gap_s: 2}" in (tmp_path / "arm.yaml").read_text()


def test_a_command_that_is_sent_once_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    robot = written(tmp_path, teleoperated(gripper_s=(1.0,)))
    assert [command.topic for command in robot.commands] == ["/arm/joint_trajectory"]
    assert (
        "# /gripper/commands (std_msgs/msg/Float64MultiArray) was sent at most once"
        in (tmp_path / "arm.yaml").read_text()
    )
    assert main(["robot", "new", "--bag", str(tmp_path / "bag"), "--out", str(tmp_path / "again.yaml")]) == 0
    assert "commands: 2 numbers on /arm/joint_trajectory\n" in capsys.readouterr().out


def test_a_pose_names_its_frame_where_transforms_are_known_and_its_orientation(tmp_path: Path) -> None:
    bag = ArmBag()
    bag.more.append(("/tf_static", TF, 0.0, STORE.types[TF]([])))
    written(tmp_path, bag)
    text = (tmp_path / "arm.yaml").read_text()
    assert "# frame: base_link  # recorded in base; in which frame does the policy need it?" in text
    line = '# target_turn: {field: pose.orientation, rotation: six_d, unit: "1"}'
    assert line in text
    (tmp_path / "turned.yaml").write_text(text.replace(line, line[2:]))
    assert "target_turn_r11" in {entry.name for entry in RobotFile.load(tmp_path / "turned.yaml").input_entries}


def test_a_gripper_whose_command_is_missing_at_the_beginning_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bag is cut to what follows the gripper's first command: that must not go unsaid."""
    bag = ArmBag(duration_s=4.0, command_hz=0.0)
    for k in range(2, 38):
        bag.more.append(arm(k / HZ))
    bag.more += [gripper(2.9), gripper(3.4)]
    written(tmp_path, bag)
    assert from_bags(tmp_path) == 0
    told = capsys.readouterr()
    assert "cut off   2.9 s before" in told.out
    assert "warning: 2.9 s before the episodes were cut off, more than the remaining 0.8 s" in told.err


def test_a_command_that_goes_silent_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = teleoperated(gripper_s=(0.5, 2.0, 8.1))
    written(tmp_path, bag)
    (tmp_path / "arm.yaml").write_text(
        (tmp_path / "arm.yaml").read_text().replace("  commands: {gripper: {when_silent: keep}}\n", "")
    )
    assert from_bags(tmp_path) == 2
    assert "no message of the command gripper within 0.5 s" in (told := capsys.readouterr().err)
    assert "`when_silent: keep`" in told


def written(folder: Path, bag: ArmBag) -> RobotFile:
    """Write bag and draft, and read the draft."""
    write_draft([bag.write(folder / "bag")], folder / "arm.yaml")
    return RobotFile.load(folder / "arm.yaml")


def from_bags(folder: Path) -> int:
    arguments: list[Any] = [folder / "bag", "--robot", folder / "arm.yaml", "--out", folder / "set"]
    return main(["demos", "from-bags", *map(str, arguments)])
