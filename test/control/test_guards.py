"""The guards between a policy's answer and its command: each one refuses, counts, and lets go on."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from loop_rig import AVOIDING, PERIOD_S, Rig
from policy_files import mixture_spec, novelty_of, write_mixture
from robot_messages import joint_state

from vdd_ros.control.guards import GuardSettings
from vdd_ros.errors import ConfigurationError, RobotFileError
from vdd_ros.features import Feature
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.spec import Novelty
from vdd_ros.robot.robot_file import RobotFile

KNOWN, NOVEL = (0.2, 0.2), (0.8, 0.4)
BOUND = 5.0


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Rig]:
    """Make rigs of Avoiding whose policy knows the novelty of what it sees."""

    def make(*, known: bool = True, step_s: float = 0.001, **guards: Any) -> Rig:
        novelty = Novelty(BOUND, 0.999, 4) if known else None
        path = write_mixture(tmp_path / "policy.onnx", novelty=novelty)
        document = yaml.safe_load(AVOIDING.read_text())
        for entry in [entry for source in document["inputs"].values() for entry in source["entries"].values()]:
            entry["max_rate"] = math.inf  # places are far apart here
        return Rig(OnnxPolicy.load(path, expert="greedy"), RobotFile.from_dict(document), step_s=step_s, **guards)

    return make


def run(rig: Rig, *places: tuple[float, float]) -> list[int]:
    """Let ticks see these places; return the number of commands after each."""
    sent = []
    for place in places:
        rig.time_s += PERIOD_S
        rig.see(place, place, rig.time_s)
        rig.loop.tick(rig.time_s, 0.0)
        sent.append(len(rig.out.commands))
    return sent


def test_the_places_are_on_either_side_of_the_bound() -> None:
    known, novel = (novelty_of(mixture_spec(), np.array([[*place, *place]])) for place in (KNOWN, NOVEL))
    assert known < BOUND < novel


@pytest.mark.parametrize(
    ("on_novelty", "sent", "novel", "fault"),
    [
        ("ignore", [1, 2, 3, 4, 5], 0, False),
        ("warn", [1, 2, 3, 4, 5], 3, False),
        ("hold", [1, 2, 2, 2, 3], 3, False),
        ("deactivate", [1, 2, 2, 2, 2], 3, True),
    ],
)
def test_novel_observations(
    make: Callable[..., Rig], on_novelty: str, sent: list[int], novel: int, fault: bool
) -> None:
    """Two in a row are needed here; a known one opens the way again."""
    rig = make(on_novelty=on_novelty, novelty_ticks=2)
    assert run(rig, KNOWN, NOVEL, NOVEL, NOVEL, KNOWN) == sent
    assert rig.loop.counters.novel == novel
    assert rig.loop.counters.failsafes == (1 if sent[-1] < 5 else 0)
    assert ("out of distribution" in rig.loop.active.guards.fault) == fault
    expected = [novelty_of(mixture_spec(), np.array([[*p, *p]])) for p in (KNOWN, NOVEL, NOVEL, NOVEL, KNOWN)]
    assert [record["novelty"] for record in rig.out.records] == pytest.approx(expected, rel=1e-5)


def test_a_policy_without_novelty_cannot_be_held_by_it(make: Callable[..., Rig]) -> None:
    for on_novelty in ("hold", "deactivate"):
        with pytest.raises(ConfigurationError, match="the policy file has no novelty: export it again"):
            make(known=False, on_novelty=on_novelty)
    rig = make(known=False)
    run(rig, NOVEL)
    assert "novelty" not in rig.out.records[0]


def test_an_action_that_comes_too_late_is_dropped(make: Callable[..., Rig]) -> None:
    """Each of the two stages before it takes 10 ms here: within the period together, but not within 15 ms."""
    for step_s, limit_s, commands in ((0.01, 0.0, 2), (0.01, 0.015, 0), (0.02, 0.0, 0)):
        rig = make(step_s=step_s, inference_limit_s=limit_s)
        run(rig, KNOWN, KNOWN)
        assert len(rig.out.commands) == commands
        assert rig.loop.counters.overruns == 2 - commands
        assert rig.loop.counters.failsafes == 0


@pytest.mark.parametrize("stage", ["observation", "policy", "chunk"])
def test_wherever_a_tick_is_held_up_nothing_late_is_commanded(tmp_path: Path, stage: str) -> None:
    """By more than a period: what was observed at its beginning is too long ago, also for an action of an old chunk."""
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", horizon=4), expert="greedy")
    rig = Rig(policy, RobotFile.load(AVOIDING), action_steps=4 if stage == "chunk" else 1)
    run(rig, KNOWN)
    held, name = (rig.loop.observer, "sample") if stage == "observation" else (rig.loop.active.chunks, "next")
    do = getattr(held, name)

    def hold_up(*given: Any) -> Any:
        rig.timer.now_s += 1.1 * PERIOD_S
        return do(*given)

    setattr(held, name, hold_up)
    assert run(rig, KNOWN) == [1]
    assert (rig.loop.counters.overruns, rig.loop.counters.failsafes) == (1, 1)
    setattr(held, name, do)
    assert run(rig, KNOWN) == [2]


def test_a_late_tick_does_not_cut_a_trajectory_that_is_followed(tmp_path: Path) -> None:
    """It has nothing to send: the robot has got the chunk's actions long before."""
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", horizon=4), expert="greedy")
    rig = Rig(policy, RobotFile.load(AVOIDING), action_steps=4, trajectories=True)
    run(rig, KNOWN)
    rig.timer.step_s = 1.1 * PERIOD_S
    run(rig, KNOWN)
    assert (rig.loop.counters.overruns, rig.loop.counters.failsafes, len(rig.out.trajectories)) == (0, 0, 1)


def test_switches_between_experts_are_counted(tmp_path: Path) -> None:
    """Against the experts that were published; an episode's first is no switch."""
    rig = Rig(OnnxPolicy.load(write_mixture(tmp_path / "p.onnx"), expert="sample"), RobotFile.load(AVOIDING))
    run(rig, *[KNOWN] * 30)
    switches = np.count_nonzero(np.diff(rig.out.experts))
    assert 0 < switches == rig.loop.counters.expert_switches
    rig.loop.new_episode()
    run(rig, KNOWN)
    assert rig.loop.counters.expert_switches == switches


@pytest.fixture
def arm(tmp_path: Path) -> Callable[..., Rig]:
    """Make rigs of an arm with one joint whose absolute position is commanded, always near 0.4 rad."""

    def make(*, on_loss: dict[str, Any] | None = None, entry: dict[str, Any] | None = None, **guards: Any) -> Rig:
        path = write_mixture(
            tmp_path / "arm.onnx",
            observation=(Feature("elbow", "rad"),),
            action=(Feature("elbow_position", "rad", 0.399, 0.401),),
        )
        command = {"name": "elbow", "action": "elbow_position", "unit": "deg", "low": -90, "high": 90, "max_step": 5.0}
        reading = {"elbow": {"joint": "elbow", "interface": "position", "unit": "rad"}}
        command |= {"measured": "elbow"} | (entry or {})
        document = {
            "inputs": {
                "arm": {
                    "topic": "joint_states", "type": "sensor_msgs/msg/JointState", "max_age_s": 0.1, "entries": reading,
                }
            },
            "command": {
                "topic": "positions", "type": "std_msgs/msg/Float64MultiArray", **(on_loss or {"on_loss": "hold"}),
                "entries": [{name: value for name, value in command.items() if value is not None}],
            },
        }  # fmt: skip
        return Rig(OnnxPolicy.load(path), RobotFile.from_dict(document), **guards)

    return make


def move(rig: Rig, *degrees: float) -> list[float]:
    """Let ticks measure these angles; return what was commanded, in degrees."""
    before = len(rig.out.commands)
    for angle in degrees:
        rig.time_s += PERIOD_S
        rig.receive("arm", joint_state(rig.time_s, elbow=np.deg2rad(angle)), rig.time_s)
        rig.loop.tick(rig.time_s, 0.0)
    return [round(command[0], 1) for command in rig.out.commands[before:]]


def test_the_first_command_ramps_from_what_is_measured(arm: Callable[..., Rig]) -> None:
    """0.4 rad are 22.9 degrees; steps of 5 lead there, anew after a loss, from wherever the arm then is."""
    rig = arm()
    assert move(rig, 10, 14, 18, 22) == [15, 20, 22.9, 22.9]
    rig.time_s += 1.0
    rig.loop.tick(rig.time_s, 0.0)
    assert rig.loop.counters.failsafes == 1
    assert move(rig, 60, 58) == [55, 50]


def test_a_first_command_far_from_what_is_measured_is_refused(arm: Callable[..., Rig]) -> None:
    rig = arm(first_action="refuse", entry={"first_step": 8.0})
    assert move(rig, 10, 12, 14) == []
    assert rig.loop.counters.first_refused == 3
    assert move(rig, 15.0, 50) == [22.9, 22.9], "once it has begun, only max_step and max_error count"
    rig.loop.new_episode()
    assert move(rig, 60) == []


def test_a_free_first_command(arm: Callable[..., Rig]) -> None:
    assert move(arm(first_action="free", entry={"max_error": math.inf}), -60) == [22.9]


def test_to_refuse_something_has_to_be_measured(arm: Callable[..., Rig]) -> None:
    with pytest.raises(ConfigurationError, match="no measurement of elbow"):
        arm(first_action="refuse", entry={"measured": None})


def test_a_loss_calls_the_service_once(arm: Callable[..., Rig]) -> None:
    rig = arm(on_loss={"on_loss": "call", "loss_service": "/controller/stop"})
    rig.loop.tick(0.5, 0.0)
    move(rig, 20)
    assert rig.out.calls == 0
    for _ in range(3):
        rig.time_s += 1.0
        rig.loop.tick(rig.time_s, 0.0)
    assert (rig.out.calls, rig.loop.counters.stale) == (1, 3)
    rig.loop.stop()
    assert rig.out.calls == 1
    rig.loop.start()
    move(rig, 20)
    rig.loop.stop()
    assert rig.out.calls == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"on_loss": "call"}, "loss_service: belongs to `on_loss: call`"),
        ({"loss_service": "/stop"}, "loss_service: belongs to `on_loss: call`"),
        (
            {"entries": [{"measured": "speed"}]},
            r"entries\[0\].measured: is 'speed', which is not an entry of any input",
        ),
        ({"entries": [{"first_step": 0}]}, r"entries\[0\].first_step"),
    ],
)
def test_robot_files_that_contradict_themselves(change: dict[str, Any], message: str) -> None:
    document = yaml.safe_load(AVOIDING.read_text())
    for entry, more in zip(document["command"]["entries"], change.pop("entries", []), strict=False):
        entry.update(more)
    document["command"].update(change)
    with pytest.raises(RobotFileError, match=message):
        RobotFile.from_dict(document)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"first_action": "jump"}, "first_action is 'jump'; use one of ramp"),
        ({"on_novelty": "panic"}, "on_novelty is 'panic'; use one of ignore"),
        ({"inference_limit_s": -1.0}, "inference_limit_s is -1.0"),
        ({"novelty_ticks": 0}, "novelty_ticks is 0"),
    ],
)
def test_settings_that_cannot_be_meant(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        GuardSettings(**settings)
