"""The last command as an input: what the command's topic carried, and measured values before an episode's first one."""

import copy
import math
from array import array
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from arm_rig import JOINTS, arm_document
from loop_rig import PERIOD_S, Rig
from policy_files import mixture_spec, write_mixture
from robot_messages import joint_state

from vdd_ros.control.counters import Counters
from vdd_ros.control.observer import Observer
from vdd_ros.errors import ConfigurationError, RobotFileError
from vdd_ros.features import Feature
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile

LAST = {"command": "arm", "entries": "all"}
ENTRIES = [f"{joint}_target_commanded" for joint in JOINTS]
ACTION = tuple(Feature(f"{joint}_target", "rad", -4.0, 4.0) for joint in JOINTS)


def document(**entry: Any) -> dict[str, Any]:
    """Return the robot file of an arm whose commands are in degrees, with its last command as an input."""
    made = arm_document(unit="deg", low=-90.0, high=90.0, max_step=5.0, **entry)
    return {"inputs": {"last": LAST, **made["inputs"]}, "commands": {"arm": made["command"]}}


def observer_of(robot: RobotFile, history: int = 1) -> Observer:
    observation = tuple(Feature(name, "rad") for name in (*ENTRIES, *JOINTS))
    robot.check(observation, ACTION)
    spec = mixture_spec(observation=observation, action=ACTION, history=history, rate_hz=1 / PERIOD_S)
    return Observer(spec, robot, Counters(), PERIOD_S)


def trajectory(shoulder: float, elbow: float) -> Any:
    """Return a stand-in for a JointTrajectory of one point, its joints in another order."""
    point = SimpleNamespace(positions=array("d", [elbow, shoulder]), velocities=array("d"))
    stamp = SimpleNamespace(sec=0, nanosec=0)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=stamp, frame_id=""), joint_names=["elbow", "shoulder"], points=[point]
    )


def test_entries_are_named_after_the_actions_and_come_last() -> None:
    robot = RobotFile.from_dict(document())
    names = [(feature.name, feature.unit) for feature in robot.signature.observation]
    assert names == [("shoulder", "rad"), ("elbow", "rad"), (ENTRIES[0], "deg"), (ENTRIES[1], "deg")]
    assert [source.name for source in robot.inputs] == ["arm"]
    assert robot.last_commands[0].topic == "arm/joint_trajectory"
    alone = document()
    alone["command"] = alone.pop("commands")["arm"]
    alone["inputs"]["last"] = {"command": "command", "entries": "all"}
    assert RobotFile.from_dict(alone).signature == robot.signature


def test_a_command_is_observed_from_the_tick_after_it() -> None:
    observer = observer_of(RobotFile.from_dict(document()), history=2)
    assert observer.missing() == ("arm",)
    for now_s, place in ((1.0, 0.1), (1.0 + PERIOD_S, 0.2)):
        observer.receive("arm", joint_state(now_s, shoulder=place, elbow=-place), now_s)
    assert observer.complete
    assert observer.missing() == ()
    second_s = 1.0 + PERIOD_S
    np.testing.assert_allclose(observer.sample(second_s), [[0.1, -0.1] * 2, [0.2, -0.2] * 2], rtol=1e-6)
    observer.receive("last", trajectory(45.0, -90.0), second_s + 0.001)
    assert observer.newest_s() == pytest.approx(second_s)
    assert observer.alignment.oldest_s(observer.alignment.ages_s(second_s)) == pytest.approx(0.0, abs=1e-9)
    third_s = second_s + PERIOD_S
    observer.receive("arm", joint_state(third_s, shoulder=0.3, elbow=0.3), third_s)
    np.testing.assert_allclose(observer.sample(third_s)[-1], [math.pi / 4, -math.pi / 2, 0.3, 0.3], rtol=1e-6)
    observer.receive("arm", joint_state(60.0, shoulder=0.3, elbow=0.3), 60.0)
    assert observer.stale(60.0) == []  # a command stays the last one, however old
    np.testing.assert_allclose(observer.sample(60.0)[-1, :2], [math.pi / 4, -math.pi / 2], rtol=1e-6)


def test_an_episode_forgets_the_last_command() -> None:
    observer = observer_of(RobotFile.from_dict(document()))
    observer.receive("last", trajectory(45.0, -90.0), 1.0)
    observer.reset()
    observer.receive("arm", joint_state(2.0, shoulder=0.5, elbow=0.25), 2.0)
    np.testing.assert_allclose(observer.sample(2.0), [[0.5, 0.25, 0.5, 0.25]])


def test_a_velocity_is_zero_before_the_first_command() -> None:
    made = document(measured=None)
    for entry in made["commands"]["arm"]["entries"]:
        entry["unit"] = "deg/s"
    made["commands"]["arm"]["on_loss"] = "zero"
    robot = RobotFile.from_dict(made)
    observation = (*(Feature(name, "rad/s") for name in ENTRIES), *(Feature(name, "rad") for name in JOINTS))
    spec = mixture_spec(observation=observation, action=tuple(Feature(f.name, "rad/s", -1, 1) for f in ACTION))
    observer = Observer(spec, robot, Counters(), PERIOD_S)
    observer.receive("arm", joint_state(2.0, shoulder=0.5, elbow=0.25), 2.0)
    np.testing.assert_allclose(observer.sample(2.0), [[0.0, 0.0, 0.5, 0.25]])


def test_fixed_and_scaled_numbers() -> None:
    """A joint that is not learned is part of the message and not observed; a scaled one is observed as its value."""
    made = document()
    shoulder, elbow = made["commands"]["arm"]["entries"]
    shoulder |= {"scale": 2.0, "offset": 10.0}
    made["commands"]["arm"]["entries"][1] = {"name": elbow["name"], "fixed": 30.0, "unit": "deg"}
    robot = RobotFile.from_dict(made)
    observation = (Feature(ENTRIES[0], "deg"), *(Feature(name, "rad") for name in JOINTS))
    robot.check(observation, ACTION[:1])
    observer = Observer(mixture_spec(observation=observation, action=ACTION[:1]), robot, Counters(), PERIOD_S)
    observer.receive("arm", joint_state(1.0, shoulder=0.5, elbow=0.25), 1.0)
    np.testing.assert_allclose(observer.sample(1.0), [[math.degrees(0.5), 0.5, 0.25]], rtol=1e-6)
    observer.receive("last", trajectory(15.0, 30.0), 1.01)
    np.testing.assert_allclose(observer.sample(1.02), [[40.0, 0.5, 0.25]], rtol=1e-6)


def test_the_policy_of_a_loop_sees_what_was_sent(tmp_path: Path) -> None:
    """A loop whose commands are given back as messages: row by row the command of the tick before."""
    observation = tuple(Feature(name, "rad") for name in (*JOINTS, *ENTRIES))
    file = write_mixture(tmp_path / "p.onnx", observation=observation, action=ACTION)
    policy = OnnxPolicy.load(file, expert="greedy")
    act, seen = policy.act, []

    def noting(window: Any, *more: Any) -> Any:
        seen.append(window[-1].tolist())
        return act(window, *more)._replace(action=np.array([[0.05 * len(seen), 0.0]], np.float32))

    policy.act = noting  # type: ignore[method-assign, assignment]
    rig = Rig(policy, RobotFile.from_dict(document()))
    for tick in range(5):
        now_s = 1.0 + tick * PERIOD_S
        rig.receive("arm", joint_state(now_s, shoulder=0.05 * tick, elbow=0.0), now_s)
        rig.loop.tick(now_s, 0.0)
        rig.receive("last", trajectory(*rig.out.commands[-1]), now_s + 0.002)
    sent = np.radians(rig.out.commands)
    np.testing.assert_allclose(np.array(seen)[1:, 2:], sent[:-1], rtol=1e-6)
    np.testing.assert_allclose(seen[0][2:], seen[0][:2])
    with pytest.raises(ConfigurationError, match="send is 'chunk', but the robot file observes its last command"):
        Rig(policy, RobotFile.from_dict(document()), trajectories=True)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"command": "leg"},
            "inputs.last.command: is 'leg', which is not a command of this file; the commands are arm; write",
        ),
        ({"command": None}, "inputs.last.command: is empty; give it a value, or leave the line out; write it as in `c"),
        ({"entries": "some"}, "inputs.last.entries: is 'some'; allowed are all"),
        ({"entries": ["a"]}, "inputs.last.entries: is ['a']; allowed are all; write it as in `entries: all`"),
        ({"max_age_s": 1.0}, "inputs.last.max_age_s: is unknown here"),
    ],
)
def test_a_wrong_key_is_named(change: dict[str, Any], problem: str) -> None:
    made = copy.deepcopy(document())
    made["inputs"]["last"] = LAST | change
    with pytest.raises(RobotFileError) as error:
        RobotFile.from_dict(made)
    assert problem in str(error.value)


def test_a_position_without_measurement_cannot_be_observed_before_it_is_commanded() -> None:
    with pytest.raises(RobotFileError, match=r"^commands\.arm\.entries\[0\]: needs `measured`, since inputs\.last obs"):
        RobotFile.from_dict(document(measured=None))


def test_a_command_does_not_refer_to_itself() -> None:
    with pytest.raises(RobotFileError, match=r"relative_to: is '\w+_commanded', a last command"):
        RobotFile.from_dict(document(relative_to=ENTRIES[0]))


def test_a_robot_without_sensors_is_refused() -> None:
    made = document()
    made["inputs"] = {"last": LAST}
    with pytest.raises(RobotFileError, match="inputs: contain no topic of the robot; give one with `topic`"):
        RobotFile.from_dict(made)
