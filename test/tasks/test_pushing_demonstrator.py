"""The scripted demonstrator of Pushing: its data succeed when replayed, in equal shares, and look like a person's."""

import numpy as np
import pytest

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import DemonstrationError
from vdd_ros.tasks import get_task
from vdd_ros.tasks.rollout import replay

pytest.importorskip("mujoco")

TASK = get_task("pushing")


@pytest.fixture(scope="module")
def demonstrations() -> DemonstrationSet:
    return TASK.demonstrate(80, 3, lambda: None)


def test_all_succeed_when_replayed_in_the_mode_that_they_say(demonstrations: DemonstrationSet) -> None:
    replayed = replay(TASK.make_sim(80), demonstrations)
    assert replayed.success.all()
    assert (replayed.modes == demonstrations.modes).all()
    assert (replayed.lengths == demonstrations.lengths).all()


def test_the_modes_have_equal_shares(demonstrations: DemonstrationSet) -> None:
    assert TASK.default_demonstrations == 2000
    assert np.bincount(demonstrations.modes).tolist() == [20] * 4


def test_the_actions_are_those_of_a_gamepad_with_a_dead_zone(demonstrations: DemonstrationSet) -> None:
    size = np.abs(demonstrations.action)
    assert ((size == 0) | ((size >= 0.005) & (size <= 1 / 120))).all()


def test_the_hand_rests_in_some_episodes_and_not_in_others(demonstrations: DemonstrationSet) -> None:
    """A rest takes at least four steps; a straight way holds shorter ones between two pulses."""
    rests = []
    for pairs in demonstrations.episodes():
        still = (demonstrations.action[pairs] == 0).all(axis=1)
        rests.append("1111" in "".join("1" if one else "0" for one in still))
    assert 0.2 < np.mean(rests) < 0.95


def test_there_is_time_to_spare(demonstrations: DemonstrationSet) -> None:
    assert demonstrations.lengths.max() < TASK.spec.max_steps
    assert demonstrations.lengths.min() > 100


def test_every_episode_starts_elsewhere(demonstrations: DemonstrationSet) -> None:
    assert len(np.unique(demonstrations.contexts, axis=0)) == 80


@pytest.mark.parametrize("episodes", [0, -4])
def test_no_episodes_are_refused(episodes: int) -> None:
    with pytest.raises(DemonstrationError, match=f"{episodes} demonstrations"):
        TASK.demonstrate(episodes, 0, lambda: None)
