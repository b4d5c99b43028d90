"""How commanding ends: the fail-safe of the robot file, whatever interrupts the loop, and hand-overs beside it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arm_rig import MAX_STEP, Arm
from loop_rig import AVOIDING, PERIOD_S, MakeRig, Rig
from policy_files import write_mixture
from robot_messages import joint_state

from vdd_ros.control.interruption import Interruption
from vdd_ros.errors import ConfigurationError
from vdd_ros.features import Feature
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile


def _velocities(on_loss: dict[str, str]) -> dict[str, Any]:
    """Return the robot file of two joints whose velocities are commanded."""
    names = ("shoulder", "elbow")
    joints = {name: {"joint": f"{name}_joint", "interface": "position", "unit": "rad"} for name in names}
    commands = [
        {"name": f"{name}_joint", "action": f"{name}_velocity", "unit": "rad/s", "low": -1, "high": 1} for name in names
    ]
    return {
        "inputs": {
            "arm": {
                "topic": "joint_states",
                "type": "sensor_msgs/msg/JointState",
                "max_age_s": 0.1,
                "entries": joints,
            }
        },
        "command": {
            "topic": "velocities",
            "type": "std_msgs/msg/Float64MultiArray",
            "entries": [entry | {"max_step": 0.5} for entry in commands],
            **on_loss,
        },
    }


@pytest.fixture
def on_loss() -> dict[str, str]:
    """Return what the robot file of `joint_rig` says of losses."""
    return {"on_loss": "zero"}


@pytest.fixture
def joint_rig(tmp_path: Path, on_loss: dict[str, str]) -> Rig:
    """A robot with two joints whose velocities are commanded."""
    observation = tuple(Feature(name, "rad") for name in ("shoulder", "elbow"))
    action = tuple(Feature(f"{entry.name}_velocity", "rad/s", -1.0, 1.0) for entry in observation)
    path = write_mixture(tmp_path / "joints.onnx", observation=observation, action=action, nan_above=1.0)
    return Rig(OnnxPolicy.load(path, expert="greedy"), RobotFile.from_dict(_velocities(on_loss)))


def test_joint_state_that_does_not_fit_is_refused(joint_rig: Rig) -> None:
    """A message without a joint or with the wrong length is counted, with the reason; a good one is taken."""
    joint_rig.receive("arm", joint_state(10.0, shoulder_joint=0.1), 10.0)
    assert "lacks the joints ['elbow_joint']" in joint_rig.loop.observer.last_refusal
    short = joint_state(10.01, shoulder_joint=0.1, elbow_joint=0.2)
    short.position.pop()
    joint_rig.receive("arm", short, 10.01)
    assert "2 names but 1 value of position" in joint_rig.loop.observer.last_refusal
    assert joint_rig.loop.counters.refused_messages == 2
    assert joint_rig.loop.observer.missing() == ("arm",)
    joint_rig.receive("arm", joint_state(10.02, elbow_joint=0.2, shoulder_joint=0.1), 10.02)
    assert not joint_rig.loop.observer.missing()


def test_velocities_become_zero_when_the_input_is_lost(joint_rig: Rig) -> None:
    """With on_loss zero the robot is stopped by stale input, by a NaN action, and at deactivation."""
    joint_rig.loop.tick(9.9, 0.0)
    assert not joint_rig.out.commands, "a robot that was never commanded is left alone"
    joint_rig.receive("arm", joint_state(10.0, shoulder_joint=0.1, elbow_joint=0.2), 10.0)
    joint_rig.loop.tick(10.01, 0.0)
    assert any(joint_rig.out.commands[0])
    joint_rig.loop.tick(10.2, 0.0)
    assert joint_rig.out.commands[1:] == [[0.0, 0.0]]
    joint_rig.receive("arm", joint_state(10.3, shoulder_joint=2.0, elbow_joint=0.2), 10.3)
    joint_rig.loop.tick(10.31, 0.0)
    assert joint_rig.out.commands[2:] == [[0.0, 0.0]]
    joint_rig.loop.stop()
    assert joint_rig.out.commands[3:] == [[0.0, 0.0]]
    joint_rig.loop.stop()
    assert len(joint_rig.out.commands) == 4


def go_stale(rig: Rig) -> None:
    rig.loop.tick(10.5, 0.0)


def go_stale_and_stop(rig: Rig) -> None:
    go_stale(rig)
    rig.loop.stop()


def hang(rig: Rig, end: Callable[[], object]) -> None:
    """Run a tick to its end whose policy answers only after something else has ended commanding."""
    act = rig.policy.act

    def late(*given: Any) -> Any:
        rig.timer.now_s += 1.0
        end()
        return act(*given)

    rig.policy.act = late  # type: ignore[method-assign, assignment]
    rig.loop.tick(10.02, 0.0)


@pytest.mark.parametrize("on_loss", [{"on_loss": "zero"}, {"on_loss": "call", "loss_service": "/stop"}], ids=str)
@pytest.mark.parametrize(
    "end",
    [
        lambda rig: rig.loop.stop(),
        lambda rig: rig.loop.enter_failsafe(),
        go_stale,
        go_stale_and_stop,
        lambda rig: hang(rig, rig.loop.check_overdue),
        lambda rig: hang(rig, rig.loop.stop),
        lambda rig: hang(rig, rig.loop.enter_failsafe),
    ],
    ids=["stop", "no tick", "stale", "stale, stop", "overdue", "stop in a hang", "no tick in a hang"],
)
def test_however_commanding_ends_the_robot_is_left_as_its_file_says(
    joint_rig: Rig, on_loss: dict[str, str], end: Callable[[Rig], None]
) -> None:
    joint_rig.receive("arm", joint_state(10.0, shoulder_joint=0.1, elbow_joint=0.2), 10.0)
    joint_rig.loop.tick(10.01, 0.0)
    end(joint_rig)
    first, *after = joint_rig.out.commands
    assert any(first)
    assert joint_rig.loop.counters.failsafes == 1
    zeros = on_loss["on_loss"] == "zero"
    assert bool(after) == zeros, "zeros may be repeated"
    assert not np.any(after)
    assert joint_rig.out.calls == (0 if zeros else 1)


def test_velocities_become_zero_at_a_new_episode(joint_rig: Rig) -> None:
    """A robot in motion does not wait with its last velocity for the first observation of the next episode."""
    joint_rig.receive("arm", joint_state(10.0, shoulder_joint=0.1, elbow_joint=0.2), 10.0)
    joint_rig.loop.tick(10.01, 0.0)
    joint_rig.loop.new_episode()
    assert joint_rig.out.commands[1:] == [[0.0, 0.0]]


def test_hold_commands_nothing_at_the_end(rig: MakeRig) -> None:
    """With on_loss hold the controller keeps the last set point."""
    made = rig()
    made.see((0.5, 0.1), (0.5, 0.1), now_s=10.0)
    made.loop.tick(10.01, 0.0)
    made.loop.stop()
    assert len(made.out.commands) == 1


@pytest.mark.parametrize("end", ["watch", "stop"])
def test_the_action_of_a_hung_tick_is_not_commanded(rig: MakeRig, end: str) -> None:
    """Another thread ends commanding while the policy has not answered; its answer comes to nothing."""
    made = rig(step_s=0.0)
    made.see((0.5, 0.1), (0.5, 0.1), now_s=10.0)
    made.loop.tick(10.01, 0.0)
    act, overdue = made.policy.act, []

    def hang(*given: Any) -> Any:
        made.timer.now_s += 0.034 + 0.05
        overdue.append(made.loop.check_overdue())
        made.timer.now_s += 0.002
        if end == "watch":
            overdue.append(made.loop.check_overdue())
            overdue.append(made.loop.check_overdue())
        else:
            made.loop.stop()
        made.timer.now_s -= 0.08  # so that the guard against late answers has nothing to say
        return act(*given)

    made.policy.act = hang  # type: ignore[method-assign, assignment]
    made.loop.tick(10.02, 0.0)
    counters = made.loop.counters
    assert (counters.commands, counters.failsafes, counters.overruns) == (1, 1, 0)
    assert (overdue, counters.hangs) == (([False, True, True], 1) if end == "watch" else ([False], 0))
    assert not made.loop.check_overdue()
    made.policy.act = act  # type: ignore[method-assign]
    made.loop.tick(10.03, 0.0)
    assert counters.commands == (2 if end == "watch" else 1)
    made.loop.start()
    made.see((0.5, 0.1), (0.5, 0.1), now_s=10.04)
    made.loop.tick(10.05, 0.0)
    assert counters.commands == (3 if end == "watch" else 2)


def test_failsafes_are_reported_before_any_wait(rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    made = rig()
    made.see((0.5, 0.1), (0.5, 0.1), now_s=10.0)
    made.loop.tick(10.01, 0.0)
    lost: list[int] = []

    def drop() -> bool:
        lost.append(made.loop.counters.failsafes)
        return False

    monkeypatch.setattr(made.loop.active.chunks, "drop", drop)
    made.loop.tick(11.0, 0.0)
    assert lost == [1]


def test_a_goal_may_come_while_a_policy_takes_over(rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes in another thread than the ticks, which take the waiting policy away just then."""
    made = rig(goal_length=1)

    class Vanishing:
        def __get__(self, swap: Any, owner: Any) -> Any:
            return swap.__dict__.pop("given", None)

    swap = made.loop.swap
    swap.__dict__["given"] = (swap.active, lambda: None)
    monkeypatch.setattr(type(swap), "waiting", Vanishing(), raising=False)
    monkeypatch.delitem(swap.__dict__, "waiting")
    made.loop.receive_goal(np.zeros(4))
    assert made.loop.counters.goals == 2


def test_the_gate_of_the_window_waits_until_no_row_is_made_up(tmp_path: Path) -> None:
    policy = OnnxPolicy.load(write_mixture(tmp_path / "policy.onnx", history=3), expert="greedy")
    made = Rig(policy, RobotFile.load(AVOIDING), start_gate="window")
    for tick in range(5):
        now_s = 10.0 + PERIOD_S * tick
        made.see((0.5, 0.1), (0.5, 0.1), now_s)
        made.loop.tick(now_s, 0.0)
    assert (made.loop.counters.waiting, len(made.out.commands)) == (2, 3)
    with pytest.raises(ConfigurationError, match=r"start_gate is 'all'; use one of inputs, window\."):
        Rig(policy, RobotFile.load(AVOIDING), start_gate="all")


@pytest.mark.parametrize("on_loss", [{"on_loss": "zero"}])
def test_a_gap_after_which_the_window_is_not_full_stops_the_robot(
    joint_rig: Rig, tmp_path: Path, on_loss: dict[str, str]
) -> None:
    """No tick finds the input stale, but the gap empties the window: velocities must not go on meanwhile."""
    observation = joint_rig.policy.spec.observation
    path = write_mixture(
        tmp_path / "window.onnx", observation=observation, action=joint_rig.policy.spec.action, history=3
    )
    robot = RobotFile.from_dict(_velocities(on_loss))
    made = Rig(OnnxPolicy.load(path, expert="greedy"), robot, start_gate="window")

    def tick(*, told: bool = True) -> None:
        made.time_s += PERIOD_S
        if told:
            made.receive("arm", joint_state(made.time_s, shoulder_joint=0.1, elbow_joint=0.2), made.time_s)
        made.loop.tick(made.time_s, 0.0)

    for _ in range(4):
        tick()
    assert any(made.out.commands[-1])
    tick(told=False)
    tick(told=False)
    tick()
    assert (made.loop.counters.stale, made.loop.counters.failsafes) == (0, 1)
    assert made.out.commands[-1] == [0.0, 0.0]


@pytest.mark.parametrize("prefetch_ticks", [0, 1])
def test_a_chunk_from_before_a_standstill_is_not_executed_after_it(tmp_path: Path, prefetch_ticks: int) -> None:
    """The process was suspended in the middle of a chunk; fresh messages have come before its next tick."""
    horizon = 8
    arm = Arm(tmp_path, horizon=horizon, action_steps=6, prefetch_ticks=prefetch_ticks)

    def tick() -> None:
        arm.tick()
        if (request := arm.rig.loop.active.chunks._requested) is not None:
            request.result(10.0)

    arm.wants = np.repeat(MAX_STEP * np.arange(1, horizon + 1)[:, None], 2, axis=1)
    while len(arm.commands) < 3:
        tick()
        if len(arm.commands):
            arm.places = arm.commands[-1]
    arm.rig.time_s += 5.0
    arm.rig.loop.enter_failsafe()
    arm.wants, arm.places, moved = np.zeros((horizon, 2)), np.zeros(2), len(arm.commands)
    for _ in range(4):
        tick()
    assert len(arm.commands) > moved
    assert np.abs(arm.commands[moved:]).max() == 0
    arm.rig.loop.close()


def test_a_tick_that_was_interrupted_from_beside_it_commands_nothing(tmp_path: Path) -> None:
    arm = Arm(tmp_path)
    arm.tick()
    act = arm.rig.policy.act

    def interrupted(*given: Any) -> Any:
        arm.rig.loop.enter_failsafe()
        return act(*given)

    arm.rig.policy.act = interrupted  # type: ignore[method-assign, assignment]
    arm.tick()
    arm.rig.policy.act = act  # type: ignore[method-assign]
    assert len(arm.commands) == 1
    arm.tick()
    assert len(arm.commands) == 2


def _is_over_interrupted(interruption: Interruption, instruction: int) -> tuple[bool, bool]:
    """Call `is_over`, entering the fail-safe before one of its instructions; return the result, and if it was so."""
    left = [instruction]

    def trace(frame: Any, event: str, _argument: Any) -> Any:
        if frame.f_code is not Interruption.is_over.__code__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left[0] -= 1
            if left[0] == 0:
                interruption.enter_failsafe()
        return trace

    sys._getframe().f_trace_opcodes = True  # Python 3.12 looks for it as tracing begins, and then only
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return interruption.is_over(), left[0] <= 0
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("earlier", [False, True])
def test_a_failsafe_entered_while_a_tick_begins_is_not_missed(tmp_path: Path, *, earlier: bool) -> None:
    interruption, instruction, entered = Arm(tmp_path).rig.loop._interruption, 0, True
    while entered:
        instruction += 1
        interruption.is_over()
        if earlier:
            interruption.enter_failsafe()
        over, entered = _is_over_interrupted(interruption, instruction)
        assert over or not entered or not interruption.permits(1), f"instruction {instruction}"
    assert instruction > 2
