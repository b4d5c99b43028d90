"""`vdd robot check --policy`: faults of order, unit, sign, range, rate and limits between a bag and a policy."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags")

from policy_files import write_policy
from robot_bags import ROBOT, ArmBag, joint_positions, numbers

from vdd_ros.cli.main import main
from vdd_ros.evaluation.robot_check.bag import check_bag
from vdd_ros.evaluation.robot_check.report import RobotReport
from vdd_ros.features import Feature
from vdd_ros.policy.spec import Novelty, Statistics

OBSERVED = ("shoulder", "elbow", "finger", "target_x", "target_y")
MEANS, DEVIATIONS = (0.5, -1.0, 0.4, 0.4, -0.1), (0.28, 0.21, 0.21, 0.05, 0.05)


def policy(folder: Path, **overrides: Any) -> Path:
    """Write a policy whose demonstrations were those of the arm."""
    names = [*OBSERVED[:3], *OBSERVED[3:]]
    values: dict[str, Any] = {
        "observation": tuple(Feature(n, "m" if n.startswith("target") else "rad") for n in names),
        "action": tuple(Feature(f"{name}_target", "rad", -1.8, 1.8) for name in OBSERVED[:3]),
        "rate_hz": 25.0,
        "task": None,
        "statistics": Statistics(MEANS, DEVIATIONS, MEANS[:3], DEVIATIONS[:3]),
    }
    return write_policy(folder / "policy.onnx", "cd", **(values | overrides))


def check(folder: Path, bag: ArmBag | None = None, robot: str = ROBOT, **overrides: Any) -> RobotReport:
    file = folder / "arm.yaml"
    file.write_text(robot)
    return check_bag(file, (bag or ArmBag(duration_s=8.0)).write(folder / "bag"), policy(folder, **overrides))


def texts(report: RobotReport, level: str) -> str:
    return "\n".join(f"{one.where}: {one.text}" for one in report.findings if one.level == level)


@pytest.mark.parametrize("history", [1, 3])
def test_a_policy_of_this_arm_raises_no_doubt(tmp_path: Path, history: int) -> None:
    report = check(tmp_path, history=history, novelty=Novelty(20.0, 0.999, 4))
    assert texts(report, "error") == texts(report, "warning") == ""
    assert "0.0 % of 200 observations are out of distribution" in texts(report, "note")
    assert report.rate_hz == 25


def swap(text: str, one: str, other: str) -> str:
    """Exchange two texts."""
    return text.replace(one, "\0").replace(other, one).replace("\0", other)


def mirrored(times: Any) -> Any:
    return joint_positions(times) * [1, -1, 1]


def stuck_at_zero(times: Any) -> Any:
    return joint_positions(times) * [1, 1, 0]


def elsewhere(times: Any) -> Any:
    return joint_positions(times) + np.array([3.0, 0, 0])


BAG, LONG = ArmBag(duration_s=8.0), {"duration_s": 8.0}
FAULTS: dict[str, tuple[str, ArmBag, str, dict[str, Any], str]] = {
    "order": (
        "warning",
        BAG,
        swap(ROBOT, "joint: shoulder", "joint: elbow"),
        {},
        r"inputs.joints.entries.shoulder: is the order of the joints right\?.*shoulder like elbow, elbow like shoulder",
    ),
    "degrees in the message": (
        "error",
        ArmBag(duration_s=8.0, joints=lambda t: np.degrees(joint_positions(t))),
        ROBOT,
        {},
        r"values of shoulder, elbow, finger are 57.3 times too large: degrees, read as radians\?",
    ),
    "degrees in the file": (
        "error",
        BAG,
        ROBOT.replace("position, unit: rad", "position, unit: deg"),
        {},
        r"values of shoulder, elbow, finger are 57.3 times too small: radians, read as degrees\?",
    ),
    "millimetres in the file": (
        "error",
        BAG,
        ROBOT.replace("unit: m}", "unit: mm}"),
        {},
        r"values of target_x, target_y are 1,000 times too small: metres, read as millimetres\?",
    ),
    "sign": (
        "warning",
        ArmBag(duration_s=8.0, joints=mirrored),
        ROBOT,
        {},
        r"entries.elbow: the recorded values of elbow have the other sign",
    ),
    "outside": (
        "warning",
        ArmBag(duration_s=8.0, joints=elsewhere),
        ROBOT,
        {},
        r"entries.shoulder: 100.0 % of the values lie outside the demonstrations, which had 0.5 ± 0.28 rad",
    ),
    "demonstrated range": (
        "warning",
        BAG,
        ROBOT,
        {
            "observation": tuple(
                Feature(n, "m", 0.45, 0.6) if n == "target_x" else Feature(n, "m" if n == "target_y" else "rad")
                for n in OBSERVED
            )
        },
        r"entries.target_x: 100.0 % of the values lie outside",
    ),
    "dead": (
        "warning",
        ArmBag(duration_s=8.0, joints=stuck_at_zero),
        ROBOT,
        {},
        r"entries.finger: is exactly 0 in all 800 messages",
    ),
    "novel": (
        "warning",
        ArmBag(duration_s=8.0, joints=elsewhere),
        ROBOT,
        {"novelty": Novelty(20.0, 0.999, 4)},
        r"policy: 100.0 % of 200 observations are out of distribution",
    ),
    "rate": ("warning", BAG, ROBOT, {"rate_hz": 100.0}, r"inputs.target: has no new value at 70 % of the ticks"),
    "limits in another unit": (
        "error",
        BAG,
        ROBOT.replace("unit: rad, low: -2, high: 2", "unit: deg, low: -2, high: 2"),
        {},
        r"command.entries\[0\].low: the policy's actions are 28.65 ± 16 deg: the mean lies outside \[-2, 2\]",
    ),
    "limits that no action meets": (
        "error",
        BAG,
        ROBOT.replace("low: 0, high: 0.8", "low: 2.0, high: 3.0"),
        {},
        r"command.entries\[2\].low: the policy's actions lie in \[-1.8, 1.8\] rad, none of them within \[2, 3\]",
    ),
    "limits that cut": (
        "warning",
        BAG,
        ROBOT.replace("low: 0, high: 0.8", "low: 0, high: 0.5"),
        {},
        r"command.entries\[2\].low: the policy's actions are 0.4 ± 0.21 rad: some lie, whatever their distribution",
    ),
    "a joint that hardly moved": (
        "warning",
        BAG,
        ROBOT.replace("max_step: 0.2, measured: elbow", "limits: from_demonstrations, measured: elbow"),
        {"settings": {"demonstrated_steps": {"quantile": 0.999, "steps": [0.1, 1e-5, 0.1]}}},
        r"command.entries\[1\].max_step: is 1e-05 rad by `limits: from_demonstrations`, 0.00025 rad in a second: elbow",
    ),
    "displacements beyond max_step": (
        "warning",
        BAG,
        ROBOT.replace("measured: finger", "measured: finger, relative_to: finger"),
        {"statistics": Statistics(MEANS, DEVIATIONS, (0.5, -1.0, 0.0), (0.28, 0.21, 0.25))},
        r"command.entries\[2\].max_step: the policy's actions are 0 ± 0.25 rad: some lie",
    ),
    "actions in degrees": (
        "error",
        BAG,
        ROBOT.replace("unit: rad, low: -2, high: 2", "unit: deg, low: -200, high: 200").replace(
            "unit: rad, low: 0, high: 0.8", "unit: deg, low: 0, high: 45"
        ),
        {},
        r"the recorded actions of shoulder_target, elbow_target, finger_target are 57.3 times too small",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(fault: str, tmp_path: Path) -> None:
    level, bag, robot, overrides, expected = FAULTS[fault]
    report = check(tmp_path, bag, robot, **overrides)
    assert re.search(expected, texts(report, level)), report.findings


def test_an_action_is_the_command_after_its_observation(tmp_path: Path) -> None:
    """Each command is a displacement; the arm overshoots it by as much again, so the one before has the other sign."""
    rate_hz = 25.0
    displaced = 0.01 * (1.0 + np.sin(np.arange(200)[:, None] / [7.0, 11.0, 13.0]))
    starts = np.array([-1.9, -1.9, -1.9]) + np.vstack([np.zeros(3), np.cumsum(2 * displaced, axis=0)[:-1]])
    bag = ArmBag(duration_s=8.0, joint_hz=rate_hz, command_hz=0.0, joints=lambda _: starts)
    bag.more = [
        ("/controller/commands", "std_msgs/msg/Float64MultiArray", k / rate_hz + 0.005, numbers(row))
        for k, row in enumerate(starts + displaced)
    ]
    robot = ROBOT
    for name in ("shoulder", "elbow", "finger"):
        robot = robot.replace(f"measured: {name}", f"measured: {name}, relative_to: {name}")
    means, deviations = tuple(displaced.mean(0).tolist()), tuple(displaced.std(0).tolist())
    seen = tuple(starts.mean(0).tolist()), tuple(starts.std(0).tolist())
    statistics = Statistics((*seen[0], *MEANS[3:]), (*seen[1], *DEVIATIONS[3:]), means, deviations)
    report = check(tmp_path, bag, robot, statistics=statistics)
    assert "recorded actions" not in texts(report, "error") + texts(report, "warning")


DERIVED = (
    ROBOT.replace(
        "finger: {joint: finger, interface: position, unit: rad}",
        """finger: {joint: finger, interface: position, unit: rad}
      ahead: {joint: shoulder, interface: position, unit: rad, minus: elbow}
      height: {constant: 0.0, unit: m}""",
    )
    .replace("target_y: {field: pose.position.y, unit: m}", "target_y: {field: pose.position.y, unit: m, hidden: true}")
    .replace(
        "target_x: {field: pose.position.x, unit: m}", "target_x: {field: pose.position.x, unit: m, minus: target_y}"
    )
    .replace("\ncommand:", "\n  last: {command: command, entries: all}\ncommand:")
)


def derived(folder: Path, ahead: tuple[float, float] = (1.5, 0.35), **overrides: Any) -> RobotReport:
    """Check a policy that observes a difference, a constant and the last commands."""
    names = [*OBSERVED[:3], "ahead", "height", "target_x", *(f"{name}_target_commanded" for name in OBSERVED[:3])]
    units = ["rad"] * 4 + ["m"] * 2 + ["rad"] * 3
    means = (*MEANS[:3], ahead[0], 0.0, 0.5, *MEANS[:3])
    deviations = (*DEVIATIONS[:3], ahead[1], 0.01, 0.05, *DEVIATIONS[:3])
    return check(
        folder,
        robot=DERIVED,
        observation=tuple(map(Feature, names, units)),
        statistics=Statistics(means, deviations, MEANS[:3], DEVIATIONS[:3]),
        **overrides,
    )


def test_derived_entries_are_compared_as_the_policy_observes_them(tmp_path: Path) -> None:
    report = derived(tmp_path, novelty=Novelty(30.0, 0.999, 4))
    assert texts(report, "error") == texts(report, "warning") == ""
    assert "0.0 % of 200 observations are out of distribution" in texts(report, "note")


def test_a_difference_outside_of_the_demonstrations_is_named(tmp_path: Path) -> None:
    """The minuend, the shoulder at 0.5, would lie within; the difference, 1.5, does not."""
    report = derived(tmp_path, ahead=(0.5, 0.1))
    assert re.search(r"entries.ahead: 8\d.\d % of the values lie outside", texts(report, "warning"))


def test_a_policy_without_statistics_is_told(tmp_path: Path) -> None:
    nothing = Statistics((0.0,) * 5, (1.0,) * 5, MEANS[:3], DEVIATIONS[:3])
    report = check(tmp_path, statistics=nothing)
    assert "has no statistics of its observations" in texts(report, "note")


def test_an_entry_without_statistics_is_not_compared(tmp_path: Path) -> None:
    bag = ArmBag(duration_s=8.0, joints=elsewhere)
    report = check(tmp_path, bag, settings={"unknown_statistics": ["shoulder"]})
    assert "has no statistics of shoulder" in texts(report, "note")
    assert "shoulder" not in texts(report, "warning")


def test_an_entry_that_was_always_0_in_the_demonstrations_may_be_0(tmp_path: Path) -> None:
    still = Statistics(
        (*MEANS[:2], 0.0, *MEANS[3:]), (*DEVIATIONS[:2], 1.0, *DEVIATIONS[3:]), MEANS[:3], DEVIATIONS[:3]
    )
    report = check(tmp_path, ArmBag(duration_s=8.0, joints=stuck_at_zero), statistics=still)
    assert "exactly 0" not in texts(report, "warning")


def test_a_robot_file_that_does_not_fit_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "arm.yaml").write_text(ROBOT.replace("target_y:", "target_yaw:"))
    bag, file = BAG.write(tmp_path / "bag"), policy(tmp_path)
    assert main(["robot", "check", str(tmp_path / "arm.yaml"), "--bag", str(bag), "--policy", str(file)]) == 2
    assert "target_yaw" in capsys.readouterr().err


def test_errors_against_a_policy_set_the_exit_code(tmp_path: Path) -> None:
    (tmp_path / "arm.yaml").write_text(ROBOT.replace("position, unit: rad", "position, unit: deg"))
    bag, file, out = BAG.write(tmp_path / "bag"), policy(tmp_path), tmp_path / "report.json"
    arguments = ["robot", "check", str(tmp_path / "arm.yaml"), "--bag", str(bag), "--policy", str(file)]
    assert main([*arguments, "--json", str(out)]) == 1
    findings = json.loads(out.read_text())["findings"]
    assert findings[0]["level"] == "error"
    assert "radians, read as degrees" in findings[0]["text"]
