"""A shadow that follows the phases of the node that commands; `~/home`, by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arm_rig import Arm

from vdd_ros.control.episodes import Phase


class Pair:
    """A loop that commands and a shadow that is told its phases before each tick, as over a topic."""

    def __init__(self, folder: Path) -> None:
        self.leader, self.shadow = (self._arm(folder / name, name == "leader") for name in ("leader", "shadow"))
        self.queue: list[str] = []
        self.calls = 0
        self.leader.rig.loop.episodes.entered = self.queue.append
        self.leader.rig.loop.episodes.go_home = self._call

    @staticmethod
    def _arm(folder: Path, control: bool) -> Arm:
        folder.mkdir()
        return Arm(folder, control=control)

    def _call(self) -> None:
        self.calls += 1

    def run(self, ticks: int = 3) -> tuple[int, int]:
        """Let time pass; return how many decisions each of them took."""
        before = [arm.rig.loop.counters.decisions for arm in (self.leader, self.shadow)]
        for _ in range(ticks):
            self.leader.tick()
            for phase in self.queue:
                self.shadow.rig.loop.episodes.follow(phase, -np.inf)
            self.queue.clear()
            self.shadow.tick()
        after = [arm.rig.loop.counters.decisions for arm in (self.leader, self.shadow)]
        return after[0] - before[0], after[1] - before[1]

    @property
    def phases(self) -> tuple[Phase, Phase]:
        return self.leader.rig.loop.episodes.phase, self.shadow.rig.loop.episodes.phase


def test_pause_resume_home_and_the_end_reach_the_shadow(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    episodes = pair.leader.rig.loop.episodes
    assert pair.run() == (3, 3)
    episodes.pause("by hand")
    assert (pair.run(), pair.phases) == ((0, 0), (Phase.PAUSED, Phase.PAUSED))
    assert pair.shadow.rig.loop.episodes.reason == "the commanding node is paused"
    episodes.resume()
    pair.run(2)
    assert pair.run() == (3, 3)
    episodes.end("the task is over")
    assert (pair.run(), pair.phases, pair.calls) == ((0, 0), (Phase.HOMING, Phase.HOMING), 1)
    episodes.homed("the brake is on")
    assert (pair.run(), pair.phases) == ((0, 0), (Phase.ENDED, Phase.ENDED))
    episodes.new_number(-np.inf)
    assert pair.run() == (0, 0)
    episodes.homed("")
    pair.run(2)
    assert (pair.run(), pair.phases) == ((3, 3), (Phase.RUNNING, Phase.RUNNING))
    assert pair.shadow.rig.out.commands == []


def test_an_episode_of_the_node_that_commands_is_one_of_the_shadow(tmp_path: Path) -> None:
    """It forgets what it has seen, as the other one does."""
    pair = Pair(tmp_path)
    pair.run()
    pair.leader.rig.loop.episodes.pause("by hand")
    pair.run()
    pair.leader.rig.loop.episodes.resume()
    forgotten: list[float] = []
    begin = pair.shadow.rig.loop.episodes._begin

    def noted(since_s: float) -> None:
        forgotten.append(since_s)
        begin(since_s)

    pair.shadow.rig.loop.episodes._begin = noted
    pair.run()
    assert forgotten == [-np.inf]


def test_a_phase_that_was_only_short_is_not_lost(tmp_path: Path) -> None:
    """The home service answers between two ticks of the shadow."""
    pair = Pair(tmp_path)
    pair.run()
    episodes = pair.leader.rig.loop.episodes
    episodes.end("the task is over")
    episodes.homed("")
    pair.leader.tick()
    assert pair.queue == ["homing", "running"]
    resets: list[float] = []
    pair.shadow.rig.loop.episodes._begin = resets.append
    pair.run(1)
    assert (resets, pair.phases[1]) == ([-np.inf], Phase.RUNNING)


def test_a_shadow_that_was_paused_itself_stays_so(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.run()
    pair.shadow.rig.loop.episodes.pause("by hand")
    pair.leader.rig.loop.episodes.pause("by hand")
    pair.leader.rig.loop.episodes.resume()
    pair.run()
    assert pair.phases == (Phase.RUNNING, Phase.PAUSED)
    pair.shadow.rig.loop.episodes.resume()
    pair.run(2)
    assert pair.phases == (Phase.RUNNING, Phase.RUNNING)


def test_an_unknown_phase_is_refused(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    with pytest.raises(ValueError, match="lunch"):
        pair.shadow.rig.loop.episodes.follow("lunch", 0.0)
    assert pair.run() == (3, 3)


@pytest.mark.parametrize("before", ["running", "paused", "ended"])
def test_home_can_be_asked_for_at_any_time(tmp_path: Path, before: str) -> None:
    """After a call that failed, too, without beginning an episode where the robot stands."""
    pair = Pair(tmp_path)
    pair.run()
    episodes: Any = pair.leader.rig.loop.episodes
    if before == "paused":
        episodes.pause("by hand")
    elif before == "ended":
        episodes.end("the task is over")
        episodes.homed("the brake is on")
    calls = pair.calls
    assert episodes.send_home("by hand") == "the home service has been called; an episode begins once it has answered"
    assert episodes.send_home("by hand") == "the robot is already homing"
    assert (pair.run(), pair.calls, episodes.phase) == ((0, 0), calls + 1, Phase.HOMING)
    episodes.homed("")
    pair.run(2)
    assert pair.run() == (3, 3)


def test_without_a_home_service_nothing_changes(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    episodes = pair.leader.rig.loop.episodes
    episodes.go_home = None
    assert episodes.send_home("by hand") == "the robot file names no home service"
    assert pair.run() == (3, 3)
