"""`vdd robot new`: the draft of a synthetic arm's bag, whose truth is known, and its open questions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags")

from bag_files import STORE
from robot_bags import ARRAY, JOINT_STATE, POSE, START_S, ArmBag, header, joint_positions, joint_state, numbers, pose

from vdd_ros.cli.main import main
from vdd_ros.data.formats import read_demonstrations
from vdd_ros.errors import RobotFileError
from vdd_ros.evaluation.preflight.command_order import command_order
from vdd_ros.evaluation.robot_check.bag import check_bag
from vdd_ros.evaluation.robot_draft.draft import Draft, write_draft
from vdd_ros.robot.robot_file import RobotFile

TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
TWIST = "geometry_msgs/msg/TwistStamped"


def draft(folder: Path, bag: ArmBag, **options: Any) -> tuple[Draft, Path]:
    """Write bag and draft."""
    return write_draft([bag.write(folder / "bag")], folder / "arm.yaml", **options), folder / "arm.yaml"


def trajectory(names: tuple[str, ...], positions: Any) -> Any:
    types = STORE.types
    duration = types["builtin_interfaces/msg/Duration"](0, 20_000_000)
    nothing = np.empty(0)
    point = types["trajectory_msgs/msg/JointTrajectoryPoint"](
        np.asarray(positions), nothing, nothing, nothing, duration
    )
    return types[TRAJECTORY](header(None), list(names), [point])


def twist(x: float, turn: float) -> Any:
    types = STORE.types
    vector = types["geometry_msgs/msg/Vector3"]
    return types[TWIST](header(None), types["geometry_msgs/msg/Twist"](vector(x, 0.0, 0.0), vector(0.0, 0.0, turn)))


def test_a_draft_loads_and_reads_the_bag_it_came_from(tmp_path: Path) -> None:
    found, file = draft(tmp_path, ArmBag())
    assert found.questions == 0
    assert found.inputs == ("/camera/target_pose", "/joint_states")
    robot = RobotFile.load(file)
    assert [entry.name for entry in robot.input_entries] == [
        *("target_x", "target_y", "target_z"),
        *("shoulder_position", "elbow_position", "finger_position"),
    ]
    assert robot.commands[0].topic == "/controller/commands"
    assert robot.commands[0].on_loss == "hold"
    report = check_bag(file, tmp_path / "bag")
    assert [one for one in report.findings if one.level != "note"] == []


def test_each_number_of_an_unnamed_command_finds_its_joint(tmp_path: Path) -> None:
    bag = ArmBag(command_hz=0.0)
    order = (2, 0, 1)
    for k, row in enumerate(joint_positions(np.arange(200) / 50 + 0.05)):
        bag.more.append(("/arm/commands", "std_msgs/msg/Float64MultiArray", k / 50, numbers(row[list(order)])))
    _, file = draft(tmp_path, bag)
    entries = RobotFile.load(file).commands[0].entries
    assert [entry.name for entry in entries] == ["finger", "shoulder", "elbow"]
    assert [entry.measured for entry in entries] == ["finger_position", "shoulder_position", "elbow_position"]
    rows = joint_positions(np.arange(200) / 50 + 0.05)[:, list(order)]
    assert all(entry.low <= low for entry, low in zip(entries, rows.min(0), strict=True))
    assert all(entry.high >= high for entry, high in zip(entries, rows.max(0), strict=True))
    assert all(e.max_step >= step for e, step in zip(entries, np.abs(np.diff(rows, axis=0)).max(0), strict=True))


def test_an_order_that_the_bag_does_not_show_is_a_question(tmp_path: Path) -> None:
    def alike(times: Any) -> Any:
        return np.repeat(joint_positions(times)[:, :1], 3, axis=1)

    bag = ArmBag(command_hz=0.0, joints=alike)
    for k, row in enumerate(alike(np.arange(200) / 50)):
        bag.more.append(("/arm/commands", "std_msgs/msg/Float64MultiArray", k / 50, numbers(row)))
    found, file = draft(tmp_path, bag)
    assert found.questions == 6  # name and unit of each
    with pytest.raises(RobotFileError, match=r"command.entries\[0\].name: is \?\?\?, an open question"):
        RobotFile.load(file)
    text = file.read_text()
    for joint in ("shoulder", "elbow", "finger"):
        text = text.replace('name: "???"', f"name: {joint}", 1).replace('unit: "???"', "unit: rad", 1)
    file.write_text(text)
    assert [entry.name for entry in RobotFile.load(file).commands[0].entries] == ["shoulder", "elbow", "finger"]


def test_the_joint_that_may_slide_is_asked_for_its_unit(tmp_path: Path) -> None:
    _, file = draft(tmp_path, ArmBag())
    asked = [line.split(":")[0].strip() for line in file.read_text().splitlines() if line.endswith("m if it slides?")]
    assert asked == ["finger_position"]
    _, file = draft(tmp_path / "nameless", ArmBag(names=("a", "b", "c")))
    asked = [line.split(":")[0].strip() for line in file.read_text().splitlines() if line.endswith("m if it slides?")]
    assert asked == ["a_position"]


def test_a_bag_without_commands_asks_for_them(tmp_path: Path) -> None:
    found, file = draft(tmp_path, ArmBag(command_hz=0.0))
    assert (found.commands, found.questions) == ((), 8)
    with pytest.raises(RobotFileError, match="question"):
        RobotFile.load(file)


def test_a_trajectory_is_commanded_by_the_names_of_its_joints(tmp_path: Path) -> None:
    bag = ArmBag(command_hz=0.0)
    for k, row in enumerate(joint_positions(np.arange(100) / 25)):
        bag.more.append(("/arm/joint_trajectory", TRAJECTORY, k / 25, trajectory(("elbow", "shoulder"), row[[1, 0]])))
    _, file = draft(tmp_path, bag, rate_hz=25.0)
    command = RobotFile.load(file).commands[0]
    assert (command.type, [entry.name for entry in command.entries]) == (TRAJECTORY, ["elbow", "shoulder"])
    assert [entry.measured for entry in command.entries] == ["elbow_position", "shoulder_position"]


def test_speeds_are_zeroed_on_loss_and_numbers_that_never_vary_are_left_out(tmp_path: Path) -> None:
    bag = ArmBag(command_hz=0.0)
    bag.more = [("/base/cmd_vel", TWIST, k / 20, twist(0.1 * np.sin(k / 9), 0.02 * k)) for k in range(60)]
    found, file = draft(tmp_path, bag)
    command = RobotFile.load(file).commands[0]
    assert (command.on_loss, found.numbers) == ("zero", 2)
    assert [entry.name for entry in command.entries] == ["twist.linear.x", "twist.angular.z"]


def arm_and_gripper(folder: Path) -> RobotFile:
    """Return the draft of an arm that is commanded by trajectories, and a gripper by an array of one number."""
    bag = ArmBag(command_hz=0.0)
    for k, row in enumerate(joint_positions(np.arange(100) / 25)):
        bag.more.append(
            ("/arm/joint_trajectory", TRAJECTORY, k / 25, trajectory(("shoulder", "elbow"), [row[0], -1.0]))
        )
        bag.more.append(("/gripper/commands", "std_msgs/msg/Float64MultiArray", k / 25 + 0.01, numbers(row[2:])))
    found, file = draft(folder, bag)
    assert set(found.commands) == {"/arm/joint_trajectory", "/gripper/commands"}
    return RobotFile.load(file)


def test_an_arm_and_a_gripper_are_two_commands(tmp_path: Path) -> None:
    robot = arm_and_gripper(tmp_path)
    assert [command.name for command in robot.commands] == ["arm", "gripper"]
    assert [entry.name for entry in robot.command_entries] == ["shoulder", "elbow", "finger"]
    assert [entry.measured for entry in robot.command_entries] == [
        *("shoulder_position", "elbow_position", "finger_position")
    ]
    report = check_bag(tmp_path / "arm.yaml", tmp_path / "bag")
    assert report.commands == 200
    assert [one for one in report.findings if one.level == "error"] == []


def test_a_finger_that_may_stay_behind_is_asked_for(tmp_path: Path) -> None:
    """Without `max_error: .inf`, a gripper that closes on an object would stop the robot."""
    arm_and_gripper(tmp_path)
    lines = (tmp_path / "arm.yaml").read_text().splitlines()
    assert [line.split(",")[0].strip() for line in lines if "`max_error: .inf`?" in line] == ["- {name: finger"]


def test_the_bag_becomes_demonstrations_by_its_draft(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every pair is what was measured and what was commanded, at the rate of the commands."""
    bag = ArmBag().write(tmp_path / "bag")
    assert main(["robot", "new", "--bag", str(bag), "--out", str(tmp_path / "arm.yaml")]) == 0
    arguments = ["demos", "from-bags", str(bag), "--robot", str(tmp_path / "arm.yaml"), "--out", str(tmp_path / "set")]
    assert main(arguments) == 0, capsys.readouterr().err
    found = read_demonstrations(tmp_path / "set")
    assert found.header.rate_hz == 50
    assert [feature.name for feature in found.header.action] == ["shoulder_command", "elbow_command", "finger_command"]
    names = [feature.name for feature in found.header.observation]
    joints = [names.index(f"{joint}_position") for joint in ("shoulder", "elbow", "finger")]
    ahead = joint_positions(np.arange(250) / 50)  # the commands are 50 ms ahead of the joints
    for observation, action in zip(found.observation[:100], found.action[:100], strict=True):
        assert np.abs(ahead - observation[joints]).sum(1).min() < 0.03
        np.testing.assert_allclose(observation[joints], action, atol=0.06)


def test_a_joint_that_is_never_moved_is_commanded_and_not_learned(tmp_path: Path) -> None:
    entry = arm_and_gripper(tmp_path).commands[0].entries[1]
    assert (entry.name, entry.fixed, entry.action) == ("elbow", -1.0, None)
    assert 0 < entry.max_step < 1


def test_a_joint_that_hardly_moves_is_told(tmp_path: Path) -> None:
    """For example a joint that only trembled with the operator's arm."""
    bag = ArmBag(command_hz=0.0)
    rows = joint_positions(np.arange(200) / 50)[:, :2]
    rows[:, 1] = -1.0 + 1e-6 * (np.arange(200) % 2)
    bag.more = [
        ("/arm/joint_trajectory", TRAJECTORY, k / 50, trajectory(("shoulder", "elbow"), row))
        for k, row in enumerate(rows)
    ]
    bag.write(tmp_path / "bag")
    assert main(["robot", "new", "--bag", str(tmp_path / "bag"), "--out", str(tmp_path / "arm.yaml")]) == 0
    lines = (tmp_path / "arm.yaml").read_text().splitlines()
    told = [line for line in lines if "it hardly moves in the bag: `fixed: -1`, or a larger max_step?" in line]
    assert ["name: elbow" in line for line in told] == [True]


def test_joints_of_two_devices_on_one_topic_are_two_inputs(tmp_path: Path) -> None:
    bag = ArmBag()
    bag.more = [
        ("/joint_states", JOINT_STATE, k / 50, joint_state(["left", "right"], [0.1, k / 100], START_S + k / 50))
        for k in range(150)
    ]
    _, file = draft(tmp_path, bag)
    robot = RobotFile.load(file)
    assert [source.name for source in robot.inputs] == ["camera_target_pose", "joint_states", "joint_states_2"]
    assert {entry.name for entry in robot.inputs[2].entries} == {"left_position", "right_position"}


def test_a_leader_arm_is_a_command_and_a_foreign_clock_is_dated_by_arrival(tmp_path: Path) -> None:
    bag = ArmBag(command_hz=0.0, stamp_offset_s=-500.0)
    for k, row in enumerate(joint_positions(np.arange(200) / 50)):
        bag.more.append(("/leader/joint_commands", JOINT_STATE, k / 50, joint_state(("shoulder",), row[:1], START_S)))
    _, file = draft(tmp_path, bag)
    robot = RobotFile.load(file)
    assert (robot.commands[0].topic, robot.commands[0].type) == ("/leader/joint_commands", JOINT_STATE)
    assert [(source.name, source.stamp) for source in robot.inputs] == [
        ("camera_target_pose", "header"),
        ("joint_states", "arrival"),
    ]


def test_a_camera_that_is_late_may_be_as_old_as_that(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Until its next message, a value stamped 150 ms before its receipt becomes 180 ms old."""
    bag = ArmBag()
    bag.more = [
        ("/late_pose", POSE, k / 30, pose((0.1 + k / 1000, 0.2, 0.3), START_S + k / 30 - 0.15)) for k in range(6, 120)
    ]
    _, file = draft(tmp_path, bag)
    source = next(one for one in RobotFile.load(file).inputs if one.topic == "/late_pose")
    assert source.stamp == "header"
    assert source.max_age_s == pytest.approx(0.22, abs=0.011)
    options = ["--robot", str(file), "--out", str(tmp_path / "D")]
    assert main(["demos", "from-bags", str(tmp_path / "bag"), *options]) == 0
    assert "1, 0 left out" in capsys.readouterr().out


@pytest.mark.parametrize("topic", ["/leader/joint_states", "/left_leader/joint_states", "/leader_arm/joint_states"])
def test_joint_states_of_a_leader_arm_are_not_observed(tmp_path: Path, topic: str) -> None:
    """They are what the operator commands; beside commands they are named."""
    for command_hz in (0.0, 20.0):
        bag = ArmBag(command_hz=command_hz)
        for k, row in enumerate(joint_positions(np.arange(200) / 50)):
            names = ("shoulder", "elbow", "finger")
            bag.more.append((topic, JOINT_STATE, k / 50, joint_state(names, row, START_S + k / 50)))
        (tmp_path / str(command_hz)).mkdir()
        _, file = draft(tmp_path / str(command_hz), bag)
        robot = RobotFile.load(file)
        assert [source.name for source in robot.inputs] == ["camera_target_pose", "joint_states"]
        assert (robot.commands[0].topic == topic) is (command_hz == 0)
        told = f"# {topic} (sensor_msgs/msg/JointState) looks like a command too."
        assert (told in file.read_text()) is (command_hz > 0)


def test_names_that_yaml_would_misread_are_quoted(tmp_path: Path) -> None:
    bag = ArmBag(names=("on", "1.5", "joint: {a}"))
    _, file = draft(tmp_path, bag)
    joints = [entry.joint for entry in RobotFile.load(file).inputs[1].entries]
    assert joints == ["on", "1.5", "joint: {a}"]


def test_poses_of_one_name_have_different_entries(tmp_path: Path) -> None:
    bag = ArmBag()
    bag.more = [("/tracker/target_pose", POSE, k / 30, pose((0.1, 0.2, 0.3), START_S + k / 30)) for k in range(90)]
    _, file = draft(tmp_path, bag)
    names = [entry.name for entry in RobotFile.load(file).input_entries]
    assert len(set(names)) == len(names) == 9


def test_the_command_refuses_to_overwrite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag, file = ArmBag().write(tmp_path / "bag"), tmp_path / "arm.yaml"
    file.write_text("mine")
    arguments = ["robot", "new", "--bag", str(bag), "--out", str(file), "--json", str(tmp_path / "n.json")]
    assert main(arguments) == 2
    assert "--force" in capsys.readouterr().err
    assert file.read_text() == "mine"
    assert main([*arguments, "--force"]) == 0
    assert "the file is valid" in capsys.readouterr().out
    assert json.loads((tmp_path / "n.json").read_text())["questions"] == 0


def test_limits_are_those_of_all_bags(tmp_path: Path) -> None:
    (tmp_path / "bags").mkdir()
    for number, (short, factor) in enumerate(((1.0, 1.0), (4.0, 2.0))):
        bag = ArmBag(duration_s=short, command_hz=0.0)
        for k, row in enumerate(factor * joint_positions(np.arange(int(25 * short)) / 25)):
            bag.more.append(("/arm/joint_trajectory", TRAJECTORY, k / 25, trajectory(("shoulder", "elbow"), row[:2])))
        bag.write(tmp_path / "bags" / f"ep_{number}")
    found = write_draft([tmp_path / "bags"], tmp_path / "arm.yaml")
    assert found.bags == 2
    sent = [joint_positions(np.arange(25) / 25), 2 * joint_positions(np.arange(100) / 25)]
    low, high = (np.array([fold(part[:, :2], axis=0) for part in sent]) for fold in (np.min, np.max))
    steps = np.array([np.abs(np.diff(part[:, :2], axis=0)).max(0) for part in sent]).max(0)
    for index, entry in enumerate(RobotFile.load(tmp_path / "arm.yaml").command_entries):
        assert entry.low == pytest.approx(low.min(0)[index], rel=0.02)
        assert entry.high == pytest.approx(high.max(0)[index], rel=0.02)
        assert 1.4 * steps[index] < entry.max_step < 1.7 * steps[index]


def test_what_never_changes_in_several_bags_is_a_comment(tmp_path: Path) -> None:
    """One bag does not show that something never moves."""
    (tmp_path / "bags").mkdir()
    for number in range(2):
        bag = ArmBag(joints=lambda times: joint_positions(times) * (1.0, 1.0, 0.0), command_hz=0.0)
        for k, row in enumerate(joint_positions(np.arange(100) / 25)):
            bag.more.append(("/arm/joint_trajectory", TRAJECTORY, k / 25, trajectory(("shoulder", "elbow"), row[:2])))
        bag.write(tmp_path / "bags" / f"ep_{number}")
    one = write_draft([tmp_path / "bags" / "ep_0"], tmp_path / "one.yaml")
    both = write_draft([tmp_path / "bags"], tmp_path / "my_arm.yaml")
    assert (one.entries, both.entries) == (6, 5)
    robot = RobotFile.load(tmp_path / "my_arm.yaml")
    assert (robot.name, robot.demonstrations.trim.until) == ("my_arm", "first_motion")
    assert "finger_position" not in {entry.name for entry in robot.input_entries}
    assert "# finger_position: {" in (tmp_path / "my_arm.yaml").read_text()


def test_a_bag_with_nothing_to_observe_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = ArmBag(joint_hz=0.0, pose_hz=0.0).write(tmp_path / "bag")
    assert main(["robot", "new", "--bag", str(bag), "--out", str(tmp_path / "arm.yaml")]) == 2
    assert "nothing to observe: it has /controller/commands" in capsys.readouterr().err
    assert not (tmp_path / "arm.yaml").exists()


@pytest.mark.parametrize("seed", range(20))
def test_commands_find_the_measurements_that_they_were_made_of(seed: int) -> None:
    rng = np.random.default_rng(seed)
    measured = np.cumsum(rng.normal(0, 0.02, (400, 7)), axis=0) + rng.normal(0, 1, 7)
    places = rng.permutation(7)[: rng.integers(1, 8)]
    order = command_order(measured[:, places] + rng.normal(0, 0.005, (400, len(places))), measured)
    assert order is not None
    assert order.measured.tolist() == places.tolist()


def test_equal_measurements_are_not_clear() -> None:
    measured = np.repeat(np.sin(np.arange(100) / 9)[:, None], 2, axis=1)
    order = command_order(measured, measured + 0.01)
    assert order is not None
    assert not order.clear.any()
    assert command_order(measured, measured[:, :1]) is None


def test_commands_that_are_no_numbers_leave_their_limits_open(tmp_path: Path) -> None:
    sent = [("/controller/commands", ARRAY, 0.02 * k, numbers([0.01 * k, np.nan, np.inf])) for k in range(150)]
    _, file = draft(tmp_path, ArmBag(command_hz=0.0, more=sent))
    assert file.read_text().count('low: "???", high: "???", max_step: "???"') == 2
    assert "not always finite in the bag" in file.read_text()
