"""One policy takes over from another between two ticks: no tick is lost, no command jumps, a misfit is refused."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loop_rig import AVOIDING, PERIOD_S, Rig
from policy_files import mixture_parameters, mixture_spec, write_diffusion, write_mixture
from robot_messages import joint_state

from vdd_ros.control.active_policy import ActivePolicy
from vdd_ros.errors import RobotFileError
from vdd_ros.features import Feature
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile

PLACE = (0.5, 0.1)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(OnnxPolicy.load(write_mixture(tmp_path / "old.onnx"), expert="greedy"), RobotFile.load(AVOIDING))


@pytest.fixture
def other(tmp_path: Path) -> Callable[..., ActivePolicy]:
    """Make another policy for the same robot."""

    def make(seed: int = 5, **spec: Any) -> ActivePolicy:
        path = write_mixture(tmp_path / "new.onnx", seed=seed, **spec)
        return ActivePolicy.of(OnnxPolicy.load(path, expert="greedy"), RobotFile.load(AVOIDING), period_s=PERIOD_S)

    return make


def run(rig: Rig, ticks: int) -> None:
    for _ in range(ticks):
        rig.time_s += PERIOD_S
        rig.see(PLACE, PLACE, rig.time_s)
        rig.loop.tick(rig.time_s, 0.0)


def expected(seed: int, history: int = 1) -> Any:
    """Return the command that the likeliest expert of a file wants at the place."""
    spec = mixture_spec(history=history)
    parameters = mixture_parameters(spec, seed=seed)
    seen = np.array([[*PLACE, *PLACE]] * history)
    mean = parameters.means(seen)[parameters.gating(seen).argmax()]
    return np.array(PLACE) + np.clip(mean, -0.01, 0.01)


@pytest.mark.parametrize("history", [1, 4])
def test_the_other_policy_acts_once_it_has_seen_its_window(
    rig: Rig, other: Callable[..., ActivePolicy], history: int
) -> None:
    run(rig, 3)
    told: list[int] = []
    rig.loop.swap.hand_over(other(history=history), lambda: told.append(rig.loop.counters.ticks))
    run(rig, 8)
    by_old = 3 + history  # the tick in which the window is full is already the new one's
    assert told == [by_old]
    commands = np.array(rig.out.commands)
    np.testing.assert_allclose(commands[: by_old - 1], np.tile(expected(0), (by_old - 1, 1)), atol=1e-6)
    rest = len(commands) - by_old + 1
    np.testing.assert_allclose(commands[by_old - 1 :], np.tile(expected(5, history), (rest, 1)), atol=1e-6)
    assert [record["seq"] for record in rig.out.records] == list(range(11))
    assert rig.loop.counters.failsafes == 0


def test_a_teacher_relieves_a_student(rig: Rig, tmp_path: Path) -> None:
    run(rig, 2)
    experts = len(rig.out.experts)
    policy = OnnxPolicy.load(write_diffusion(tmp_path / "teacher.onnx"))
    rig.loop.swap.hand_over(ActivePolicy.of(policy, RobotFile.load(AVOIDING), period_s=PERIOD_S), lambda: None)
    run(rig, 2)
    assert (len(rig.out.commands), len(rig.out.experts)) == (4, experts)


def test_counters_and_refusals_go_on(rig: Rig, other: Callable[..., ActivePolicy]) -> None:
    """What both saw while the other waited counts once."""
    run(rig, 1)
    rig.loop.swap.hand_over(other(history=3), lambda: None)
    rig.see((np.nan, 0.0), PLACE, rig.time_s + 0.01)
    assert rig.loop.counters.refused_messages == 1
    run(rig, 6)
    rig.see((np.nan, 0.0), PLACE, rig.time_s + 0.01)
    assert rig.loop.counters.refused_messages == 2
    assert rig.loop.observer.last_refusal == "desired: desired_x is nan, not finite in single precision"


def test_a_new_episode_empties_the_window_of_the_one_who_waits(rig: Rig, other: Callable[..., ActivePolicy]) -> None:
    run(rig, 1)
    told: list[int] = []
    rig.loop.swap.hand_over(other(history=3), lambda: told.append(rig.loop.counters.ticks))
    run(rig, 2)
    rig.loop.new_episode()
    run(rig, 4)
    assert told == [3 + 3]


def test_a_goal_is_passed_on_if_it_has_the_same_form(tmp_path: Path) -> None:
    robot = RobotFile.load(AVOIDING)
    rig = Rig(OnnxPolicy.load(write_mixture(tmp_path / "old.onnx", goal_length=1)), robot)
    rig.loop.receive_goal([0.6, 0.3, 0.6, 0.3])
    for goal_length, takes_over in ((1, True), (2, False)):
        policy = OnnxPolicy.load(write_mixture(tmp_path / "new.onnx", seed=5, goal_length=goal_length))
        active = ActivePolicy.of(policy, robot, period_s=PERIOD_S)
        rig.loop.swap.hand_over(active, lambda: None)
        run(rig, 3)
        assert (rig.loop.active is active) == takes_over
    rig.loop.receive_goal([0.6, 0.3, 0.6, 0.3] * 2)
    run(rig, 2)
    assert rig.loop.active is active


def test_a_policy_of_another_robot_is_refused(other: Callable[..., ActivePolicy]) -> None:
    with pytest.raises(RobotFileError, match="does not fit the observation"):
        other(observation=(Feature("elbow", "rad"),))


@pytest.mark.parametrize(("wants", "commands", "refused"), [(0.45, [0.4, 0.45], 0), (2.0, [0.4], 1)])
def test_the_first_command_of_another_policy_is_a_first_command(
    tmp_path: Path, wants: float, commands: list[float], refused: int
) -> None:
    """With `refuse`: no step is limited here, so that nothing else would hold a jump back."""
    entry = {"name": "elbow", "action": "elbow_position", "unit": "rad", "low": -3, "high": 3, "max_step": math.inf}
    robot = RobotFile.from_dict({
        "inputs": {
            "arm": {
                "topic": "joint_states", "type": "sensor_msgs/msg/JointState", "max_age_s": 0.5,
                "entries": {"elbow": {"joint": "elbow", "interface": "position", "unit": "rad"}},
            }
        },
        "command": {
            "topic": "arm", "type": "std_msgs/msg/Float64MultiArray", "on_loss": "hold",
            "entries": [entry | {"measured": "elbow", "first_step": 0.1}],
        },
    })  # fmt: skip
    path = write_mixture(
        tmp_path / "arm.onnx",
        observation=(Feature("elbow", "rad"),),
        action=(Feature("elbow_position", "rad", -3.0, 3.0),),
    )

    def policy(position: float) -> OnnxPolicy:
        made = OnnxPolicy.load(path)
        act = made.act
        made.act = lambda *given: act(*given)._replace(action=np.array([[position]]))  # type: ignore
        return made

    rig = Rig(policy(0.4), robot, first_action="refuse")
    rig.receive("arm", joint_state(1.0, elbow=0.4), 1.0)
    rig.loop.tick(1.0, 0.0)
    rig.loop.swap.hand_over(ActivePolicy.of(policy(wants), robot, period_s=PERIOD_S), lambda: None)
    rig.receive("arm", joint_state(1.1, elbow=0.4), 1.1)
    rig.loop.tick(1.1, 0.0)
    assert np.array(rig.out.commands)[:, 0].tolist() == pytest.approx(commands, abs=1e-6)
    assert (rig.loop.counters.first_refused, rig.loop.counters.failsafes) == (refused, refused)


def test_no_chunk_of_another_policy_comes_from_a_window_that_is_not_trusted(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its inputs are stale when it would make its first request; one period later they are fresh again."""
    path = write_mixture(tmp_path / "new.onnx", seed=5, horizon=4)
    policy = OnnxPolicy.load(path, expert="greedy")
    seen: list[float] = []
    act = policy.act

    def noting(window: Any, *given: Any) -> Any:
        seen.append(float(window[-1, 0]))
        return act(window, *given)

    monkeypatch.setattr(policy, "act", noting)
    successor = ActivePolicy.of(policy, RobotFile.load(AVOIDING), period_s=PERIOD_S, action_steps=2, prefetch_ticks=1)
    run(rig, 3)
    rig.loop.swap.hand_over(successor, lambda: None)
    rig.time_s += PERIOD_S
    rig.see((0.1, 0.3), (0.1, 0.3), rig.time_s)
    rig.time_s += 1.0
    rig.loop.tick(rig.time_s, 0.0)
    assert rig.loop.counters.stale == 1
    while rig.loop.active is not successor:
        run(rig, 1)
        if (request := successor.chunks._requested) is not None:
            request.result(10.0)
    assert seen[0] == pytest.approx(PLACE[0])
    rig.loop.close()
