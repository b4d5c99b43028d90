"""The example robot file: the guards have nothing against a robot that follows, and see one that does not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from loop_rig import AVOIDING, PERIOD_S, Rig

from vdd_ros.control.active_policy import ActivePolicy
from vdd_ros.control.guards import GuardSettings
from vdd_ros.nodes.sim_robot.episodes import Phase, SimulatedRobot
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.command_channel import CommandChannel
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.tasks import get_task

MODELS = Path(__file__).parents[2] / "models"


def student(seed: int) -> OnnxPolicy:
    return OnnxPolicy.load(MODELS / "avoiding_student.onnx", seed=seed)


def run_episodes(
    rig: Rig, robot: RobotFile, ticks_a_period: int = 1, each: Callable[[SimulatedRobot], object] = lambda _: None
) -> None:
    """Let a loop command three episodes of Avoiding; `each` is called once a period."""
    task = get_task("avoiding")
    simulated = SimulatedRobot(task, CommandChannel(robot.commands, task.spec.observation, task.spec.action), seed=0)
    ended = 0
    while ended < 3:
        if simulated.phase is Phase.ENDED:
            ended += 1
            simulated.reset()
            rig.loop.new_episode()
        simulated.advance()
        each(simulated)
        desired, tool = simulated.observation[:2], simulated.observation[2:]
        for tick in range(ticks_a_period):
            now_s = rig.time_s + tick * PERIOD_S / ticks_a_period
            if tick == 0:
                rig.see(tuple(desired), tuple(tool), now_s)
            rig.loop.tick(now_s, 0.0)
            if rig.out.commands:
                simulated.command(np.array(rig.out.commands[-1]))
        rig.time_s += PERIOD_S


@pytest.mark.parametrize("ticks_a_period", [1, 7])
def test_episodes_of_the_simulated_robot_raise_nothing(ticks_a_period: int) -> None:
    """Avoiding, its student, with the tool as the measurement: at the policy's rate and at 200 Hz."""
    robot = RobotFile.load(AVOIDING)
    rig = Rig(student(seed=1), robot)
    run_episodes(rig, robot, ticks_a_period)
    commander, counters = rig.loop.commander, rig.loop.counters
    assert (commander.blocked, commander.limits.waited.tolist()) == ("", [0, 0])
    assert commander.following.times_frozen == {"tcp": 0}
    assert rig.loop.observer.contradictions == {"desired": 0, "tcp": 0}
    assert (counters.not_followed, counters.contradicted, counters.outside_limits) == (0, 0, 0)


def test_a_policy_that_takes_over_in_motion_is_not_refused() -> None:
    """The tool trails its set point then by more than a step, which `first_step` of the example knows."""
    robot = RobotFile.load(AVOIDING)
    rig = Rig(student(seed=1), robot, first_action="refuse")
    behind: list[float] = []

    def hand_over(simulated: SimulatedRobot) -> None:
        behind.append(float(np.abs(simulated.observation[:2] - simulated.observation[2:]).max()))
        if len(behind) % 20 == 0:
            settings = GuardSettings(first_action="refuse")
            active = ActivePolicy.of(student(seed=len(behind)), robot, period_s=PERIOD_S, guards=settings)
            rig.loop.swap.hand_over(active, lambda: None)

    run_episodes(rig, robot, each=hand_over)
    assert max(behind) > robot.command_entries[0].max_step
    assert (rig.loop.counters.first_refused, rig.loop.commander.blocked) == (0, "")


def test_a_tool_that_stands_while_its_set_point_goes_on_ends_the_commands() -> None:
    """A brake, or a driver of the tool that is frozen: the set point, which obeys, tells nothing of it."""
    rig = Rig(student(seed=1), RobotFile.load(AVOIDING))
    desired, tool = np.array([0.525, -0.28]), (0.525, -0.28)
    for _ in range(90):
        rig.time_s += PERIOD_S
        rig.see((float(desired[0]), float(desired[1])), tool, rig.time_s)
        rig.loop.tick(rig.time_s, 0.0)
        if rig.out.commands:
            desired[:] = rig.out.commands[-1]
    max_error = rig.loop.commander.following.max_error
    assert (np.abs(np.array(rig.out.commands) - tool) <= np.array(max_error) + 1e-6).all()
    assert (rig.loop.counters.not_followed, rig.loop.counters.failsafes) == (1, 1)
    assert rig.loop.commander.blocked
