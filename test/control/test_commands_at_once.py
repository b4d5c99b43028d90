"""Several commands in one tick: one vector of actions spread over them, all or none, each with its fail-safe."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arm_rig import JOINTS, MAX_STEP, Arm, arm_document

from vdd_ros.errors import RobotFileError
from vdd_ros.robot.robot_file import RobotFile

ARM, GRIPPER = (0,), (1,)
BOTH = (0, 1)


def two_commands(gripper: dict[str, Any] | None = None, **entry: Any) -> dict[str, Any]:
    """Return a robot file whose first joint is a trajectory and whose second one a command of its own."""
    document = arm_document(**entry)
    arm = document.pop("command")
    first, second = arm["entries"]
    other = {"topic": "gripper/commands", "type": "std_msgs/msg/Float64MultiArray", "on_loss": "hold"}
    document["commands"] = {
        "arm": arm | {"entries": [first]},
        "gripper": other | {"entries": [second]} | (gripper or {}),
    }
    return document


def speed_gripper() -> dict[str, Any]:
    """Return a gripper that takes speeds, which the fail-safe sets to zero."""
    entry = {"name": "elbow", "action": "elbow_target", "unit": "rad/s", "low": -1.0, "high": 1.0, "max_step": 1.0}
    return {"on_loss": "zero", "entries": [entry]}


def test_one_action_is_spread_over_all_commands(tmp_path: Path) -> None:
    arm = Arm(tmp_path, two_commands())
    arm.wants = [0.01, -0.015]
    arm.tick()
    assert arm.commands.tolist() == pytest.approx(np.array([[0.01, -0.015]]))
    assert arm.rig.out.parts == [BOTH]


def test_order_of_the_file_does_not_change_what_each_gets(tmp_path: Path) -> None:
    """Each number belongs to its action by name, whatever the order of commands."""
    document = two_commands()
    document["commands"] = dict(reversed(document["commands"].items()))
    arm = Arm(tmp_path, document)
    arm.wants = [0.01, -0.015]
    arm.tick()
    assert arm.commands.tolist() == pytest.approx(np.array([[-0.015, 0.01]]))
    channel = arm.rig.loop.commander.channel
    assert [(part.command.name, part.place) for part in channel.parts] == [
        ("gripper", slice(0, 1)),
        ("arm", slice(1, 2)),
    ]


@pytest.mark.parametrize("bad", [(math.nan, 0.0), (0.0, math.inf)])
def test_what_is_wrong_with_one_stops_all(tmp_path: Path, bad: tuple[float, float]) -> None:
    arm = Arm(tmp_path, two_commands())
    arm.tick()
    arm.wants = bad
    arm.tick()
    assert len(arm.commands) == 1
    assert (arm.rig.loop.commander.limits.refused, arm.rig.loop.counters.failsafes) == (1, 1)


def test_each_command_has_its_own_on_loss(tmp_path: Path) -> None:
    """Held, zeroed and called: when the robot is not seen any more, each gets what its block says."""
    document = two_commands(speed_gripper())
    document["commands"]["arm"] |= {"on_loss": "call", "loss_service": "stop"}
    arm = Arm(tmp_path, document, action_units=("rad", "rad/s"))
    arm.wants = [0.01, 0.5]
    arm.tick()
    assert (arm.rig.out.parts, arm.rig.out.calls) == ([BOTH], 0)
    arm.rig.loop.tick(arm.rig.time_s + 1.0, 0.0)  # stale
    assert arm.rig.out.parts == [BOTH, GRIPPER]
    assert arm.commands[-1].tolist() == [0.0, 0.0]
    assert arm.rig.out.calls == 1
    arm.rig.loop.tick(arm.rig.time_s + 1.1, 0.0)
    assert (arm.rig.out.parts[2:], arm.rig.out.calls) == ([GRIPPER], 1)  # zeros again, the call once


def test_a_chunk_goes_to_the_trajectory_and_step_by_step_to_the_others(tmp_path: Path) -> None:
    arm = Arm(tmp_path, two_commands(), horizon=4, action_steps=3, trajectories=True)
    arm.wants = np.array([[0.01, 0.01], [0.02, 0.0], [0.03, -0.01], [0.04, -0.02]])
    for _ in range(3):
        arm.tick()
    out = arm.rig.out
    assert out.parts == [BOTH, GRIPPER, GRIPPER]
    assert np.array(out.trajectories[0]) == pytest.approx(arm.wants)
    assert [row[1] for row in out.commands] == pytest.approx([0.0, -0.01])


def test_a_trajectory_is_cut_off_and_the_others_get_nothing_more(tmp_path: Path) -> None:
    """Both hold: the trajectory ends with the point due, the other command holds what it has."""
    arm = Arm(tmp_path, two_commands(), horizon=4, action_steps=3, trajectories=True)
    arm.wants = np.array([[0.01, 0.01], [0.02, 0.0], [0.03, -0.01], [0.04, -0.02]])
    arm.tick()
    arm.rig.loop.enter_failsafe()
    assert arm.rig.out.parts == [BOTH, ARM]
    assert len(arm.rig.out.trajectories[-1]) == 1


def test_reports_name_command_and_entry(tmp_path: Path) -> None:
    arm = Arm(tmp_path, two_commands())
    arm.wants = [1.0, 0.0]
    for _ in range(3):
        arm.tick()
    assert arm.rig.loop.commander.channel.labels == ("arm.shoulder", "gripper.elbow")
    arm.run(2.0)
    assert "arm.shoulder (max_error" in arm.blocked


def test_a_single_command_is_a_mapping_of_one() -> None:
    document = arm_document()
    short = RobotFile.from_dict(document)
    long = RobotFile.from_dict({"inputs": document["inputs"], "commands": {"command": document["command"]}})
    assert short == long
    assert (short.commands[0].path, long.commands[0].path) == ("command", "commands.command")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda d: d | {"command": d["commands"]["arm"]}, "commands: cannot be combined with `command`; move"),
        (lambda d: d | {"commands": {}}, "commands: must be a mapping with at least one key"),
        (lambda d: d | {"commands": [1]}, "commands: must be a mapping"),
        (lambda d: d["commands"]["gripper"].update(topic="arm/joint_trajectory") or d, "commands: has these topics"),
        (
            lambda d: d["commands"]["gripper"]["entries"][0].update(action="shoulder_target") or d,
            "commands: has these",
        ),
        (lambda d: d["commands"]["gripper"].update(on_loss="zero") or d, "commands.gripper.on_loss: is 'zero', which"),
        (lambda d: d["commands"]["gripper"]["entries"][0].update(low=4.0) or d, "commands.gripper.entries[0].low: is"),
        (
            lambda d: d["commands"]["gripper"]["entries"][0].update(measured="x") or d,
            "commands.gripper.entries[0].meas",
        ),
        (lambda d: d["commands"]["arm"].pop("type") and d, "commands.arm.type: is missing; write it as in `type: traj"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(change: Any, problem: str) -> None:
    with pytest.raises(RobotFileError) as error:
        RobotFile.from_dict(change(two_commands()))
    assert str(error.value).startswith(problem)


def test_max_step_is_each_commands_own(tmp_path: Path) -> None:
    document = two_commands()
    document["commands"]["gripper"]["entries"][0]["max_step"] = math.inf
    arm = Arm(tmp_path, document)
    arm.wants = [1.0, 1.0]
    arm.tick()
    assert arm.commands[-1].tolist() == pytest.approx([MAX_STEP, 1.0])
    assert len(JOINTS) == 2
