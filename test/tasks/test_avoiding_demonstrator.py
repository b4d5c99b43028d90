"""The scripted demonstrator of Avoiding: its data succeed when replayed and look like D3IL's gamepad data."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from vdd_ros import resources
from vdd_ros.cli.main import main
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import DemonstrationError
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.tasks import get_task
from vdd_ros.tasks.avoiding.sim import SPEC
from vdd_ros.tasks.rollout import replay

TASK = get_task("avoiding")


@pytest.fixture(scope="module")
def demonstrations() -> DemonstrationSet:
    return TASK.demonstrate(96, 0, lambda: None)


def test_all_succeed_when_replayed_and_go_where_they_say(demonstrations: DemonstrationSet) -> None:
    replayed = replay(TASK.make_sim(96), demonstrations)
    assert replayed.success.all()
    assert (replayed.modes == demonstrations.modes).all()
    assert (replayed.lengths == demonstrations.lengths).all()
    for pairs, path in zip(demonstrations.episodes(), replayed.paths((0, 1, 2, 3)), strict=True):
        assert path[:-1] == pytest.approx(demonstrations.observation[pairs], abs=1e-12)


def test_there_are_four_of_each_route(demonstrations: DemonstrationSet) -> None:
    assert TASK.default_demonstrations == 96
    assert np.bincount(demonstrations.modes).tolist() == [4] * 24


def test_the_actions_are_those_of_a_gamepad_with_a_dead_zone(demonstrations: DemonstrationSet) -> None:
    size = np.abs(demonstrations.action)
    assert ((size == 0) | ((size >= 0.005) & (size <= 1 / 120))).all()
    assert (size[:, 0] == 0).any() and (size[:, 1] == 0).any()
    assert (demonstrations.action[:, 0] < 0).any() and (demonstrations.action[:, 0] > 0).any()


def test_the_desired_position_moves_by_the_action(demonstrations: DemonstrationSet) -> None:
    for pairs in demonstrations.episodes():
        desired, action = demonstrations.observation[pairs, :2], demonstrations.action[pairs]
        assert np.diff(desired, axis=0) == pytest.approx(action[:-1], abs=1e-12)


def test_the_lengths_are_those_of_d3il(demonstrations: DemonstrationSet) -> None:
    assert demonstrations.lengths.max() <= 200
    assert demonstrations.lengths.min() >= 0.63 / (1 / 120)  # the way to the goal at full deflection


def test_no_two_demonstrations_of_a_route_are_alike(demonstrations: DemonstrationSet) -> None:
    episodes = demonstrations.episodes()
    for route in range(24):
        same = [demonstrations.action[episodes[i]] for i in np.flatnonzero(demonstrations.modes == route)]
        for one, other in pairwise(same):
            assert one.shape != other.shape or not np.array_equal(one, other)


def test_the_header_says_what_the_numbers_are(demonstrations: DemonstrationSet) -> None:
    header = demonstrations.header
    assert header.task == "avoiding"
    assert header.observation == SPEC.observation
    assert header.action == SPEC.action
    assert (header.rate_hz, header.seed) == (SPEC.rate_hz, 0)


def test_the_seed_decides_everything() -> None:
    first, again, other = (TASK.demonstrate(5, seed, lambda: None).sha256 for seed in (7, 7, 8))
    assert first == again != other


def test_the_shipped_policies_learned_from_this_set(demonstrations: DemonstrationSet) -> None:
    teacher = OnnxPolicy.load(resources.path("models/avoiding_teacher.onnx"))
    assert teacher.spec.data_sha256 == demonstrations.sha256


def test_progress_is_reported_after_each_episode() -> None:
    calls: list[None] = []
    TASK.demonstrate(3, 0, lambda: calls.append(None))
    assert len(calls) == 3


@pytest.mark.parametrize("episodes", [0, -4])
def test_no_episodes_are_refused(episodes: int) -> None:
    with pytest.raises(DemonstrationError, match=f"{episodes} demonstrations"):
        TASK.demonstrate(episodes, 0, lambda: None)


@pytest.fixture(scope="module")
def human() -> DemonstrationSet:
    return TASK.styles["human"](range(48), 0, lambda: None)


def test_a_person_succeeds_on_every_route_too(human: DemonstrationSet) -> None:
    replayed = replay(TASK.make_sim(48), human)
    assert replayed.success.all()
    assert (replayed.modes == human.modes).all()
    assert np.bincount(human.modes).tolist() == [2] * 24
    assert human.header.source != "scripted gamepad demonstrator"


def test_a_person_is_slower_rests_and_trembles(human: DemonstrationSet, demonstrations: DemonstrationSet) -> None:
    assert np.median(human.lengths) > 1.2 * np.median(demonstrations.lengths)
    rests = [
        "1111" in "".join(map(str, (human.action[pairs] == 0).all(axis=1).astype(int))) for pairs in human.episodes()
    ]
    assert np.mean(rests) > 0.5
    size = np.abs(human.action)
    assert ((size == 0) | ((size >= 0.005) & (size <= 1 / 120))).all()


def test_parts_of_a_style_are_those_of_the_whole(human: DemonstrationSet) -> None:
    part = TASK.styles["human"](range(3, 5), 0, lambda: None)
    assert np.array_equal(part.action, human.action[human.episodes()[3].start : human.episodes()[4].stop])


def test_a_style_is_chosen_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["demos", "avoiding", "--episodes", "3", "--out", str(tmp_path / "D")]
    assert main([*words, "--style", "human"]) == 0
    assert np.array_equal(
        DemonstrationSet.load(tmp_path / "D").action, TASK.styles["human"](range(3), 0, lambda: None).action
    )
    capsys.readouterr()
    assert main([*words, "--style", "robot"]) == 2
    assert "--style is 'robot', no style of 'avoiding'; it has human" in capsys.readouterr().err
    assert main(["demos", "example_arm", "--style", "human", "--out", str(tmp_path / "E")]) == 2
    assert "no style of 'example_arm'; it has none; omit it" in capsys.readouterr().err
