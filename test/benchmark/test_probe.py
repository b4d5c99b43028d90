"""The robot's side of the benchmark is alive: the guards have nothing against it, however long it stands."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loop_rig import AVOIDING, PERIOD_S, Rig
from policy_files import write_mixture

pytest.importorskip("rclpy")

from geometry_msgs.msg import PoseStamped

from vdd_ros.benchmark.realtime.probe import noisy_messages
from vdd_ros.features import Feature
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.channels import InputChannel, set_stamp
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.tasks import get_task

OBSERVATION = np.array([0.525, -0.28, 0.525, -0.28])


@pytest.fixture
def channels() -> dict[str, InputChannel]:
    task = get_task("avoiding")
    return {source.name: InputChannel(source, task.spec.observation) for source in RobotFile.load(AVOIDING).inputs}


def test_messages_differ_in_their_last_digits_as_policies_see_them(channels: dict[str, InputChannel]) -> None:
    for channel in channels.values():
        found = np.zeros((5, len(channel.columns)))
        for row, message in zip(found, noisy_messages(channel, PoseStamped, OBSERVATION), strict=True):
            channel.read(message, row)
        assert len(np.unique(found.astype(np.float32), axis=0)) == 5
        assert found == pytest.approx(np.tile(OBSERVATION[channel.columns], (5, 1)), abs=1e-5)


@pytest.mark.parametrize(
    ("choose", "frozen"), [(lambda messages, tick: messages[tick % 5], 0), (lambda messages, _: messages[0], 1)]
)
def test_a_node_does_not_take_it_for_frozen(
    tmp_path: Path, channels: dict[str, InputChannel], choose: Callable[[list[Any], int], Any], frozen: int
) -> None:
    """As it would one that repeats its message."""
    action = tuple(Feature(f"delta_desired_{axis}", "m", 0.009, 0.01) for axis in "xy")
    rig = Rig(OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", action=action)), RobotFile.load(AVOIDING))
    messages = {name: noisy_messages(channel, PoseStamped, OBSERVATION) for name, channel in channels.items()}
    for tick in range(90):
        rig.time_s += PERIOD_S
        for name, given in messages.items():
            message = choose(given, tick)
            set_stamp(message, round(rig.time_s * 1e9))
            rig.receive(name, message, rig.time_s)
        rig.loop.tick(rig.time_s, 0.0)
    assert rig.loop.commander.following.times_frozen == {"tcp": frozen}
    assert rig.loop.counters.not_followed == frozen
    assert rig.loop.commander.limits.waited.tolist() == [0, 0]
    assert rig.loop.observer.contradictions == {"desired": 0, "tcp": 0}
    assert (len(rig.out.commands) == 90) == (not frozen)
