"""`vdd demos info`: ranges are those of the arrays, and frames that look wrong are found where they were put."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from vdd_ros.cli.main import main
from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.evaluation.demonstration_info.report import examine
from vdd_ros.features import Feature

HEADER = Header("toy", (Feature("angle", "rad"), Feature("height", "m")), (Feature("speed", "m/s"),), 20.0, "test")


def smooth(lengths: tuple[int, ...] = (60, 80, 70), seed: int = 0) -> DemonstrationSet:
    """Return episodes of slow waves with noise, without anything wrong."""
    random = np.random.default_rng(seed)
    waves = [
        np.stack([np.sin(0.05 * np.arange(n) + random.uniform(0, 6)), np.cos(0.04 * np.arange(n)) + 2], axis=1)
        + 1e-3 * random.standard_normal((n, 2))
        for n in lengths
    ]
    observation = np.concatenate(waves)
    action = 0.5 * observation[:, :1] + 1e-3 * random.standard_normal((len(observation), 1))
    count = np.array(lengths)
    return DemonstrationSet(HEADER, observation, action, count, np.full(len(count), -1))


@pytest.mark.parametrize("seed", range(10))
def test_nothing_looks_wrong_in_good_demonstrations(seed: int) -> None:
    assert examine(smooth(seed=seed)).suspicions == []


def test_ranges_are_those_of_the_arrays() -> None:
    found = smooth()
    info = examine(found)
    for place, entry in enumerate(info.observation):
        column = found.observation[:, place]
        assert (entry.low, entry.high) == (column.min(), column.max())
        assert (entry.mean, entry.deviation) == pytest.approx((column.mean(), column.std()))
        steps = [np.abs(np.diff(column[one])).max() for one in found.episodes()]
        assert entry.largest_step == max(steps)
    assert (info.episodes, info.pairs, info.shortest, info.median, info.longest) == (3, 210, 60, 70, 80)
    assert info.modes == {"-1": 3}


def test_a_jump_is_found_where_it_is() -> None:
    found = smooth()
    found.observation[60 + 40 :, 0] += 1.5  # the seam of two episodes is no jump
    found.observation[140:, 0] -= 1.5
    assert [(one.episode, one.step) for one in examine(found).suspicions] == [(1, 40)]
    assert "angle jumps by 1." in examine(found).suspicions[0].what


def test_a_gripper_that_opens_and_closes_does_not_look_wrong() -> None:
    found = smooth()
    found.observation[:, 1] = np.arange(len(found.observation)) >= 130
    assert examine(found).suspicions == []


def test_a_frozen_observation_is_found_only_while_the_action_changes() -> None:
    found = smooth()
    found.observation[70:95] = found.observation[70]
    assert [(one.episode, one.step) for one in examine(found).suspicions if "stays the same" in one.what] == [(1, 10)]
    found.action[70:95] = found.action[70]
    assert [one for one in examine(found).suspicions if "stays the same" in one.what] == []


def test_equal_and_unusually_long_episodes_are_found() -> None:
    found = smooth((60, 60, 200))
    found.observation[60:120], found.action[60:120] = found.observation[:60], found.action[:60]
    texts = [(one.episode, one.what) for one in examine(found).suspicions if "jumps" not in one.what]
    assert texts == [(1, "is bit-identical to episode 0"), (2, "has 200 pairs; the median is 60")]


def test_the_command_prints_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    found = smooth()
    found.observation[100, 1] += 2
    found.save(tmp_path / "D")
    numbers, figure = tmp_path / "info.json", tmp_path / "info.png"
    assert main(["demos", "info", str(tmp_path / "D"), "--json", str(numbers), "--figure", str(figure)]) == 0
    printed = capsys.readouterr().out
    assert "3\n" in printed
    assert "height" in printed
    assert "episode 1, step 40: height jumps by 1.9" in printed
    assert imread(figure).ndim == 3
    assert json.loads(numbers.read_text())["sha256"] == DemonstrationSet.load(tmp_path / "D").sha256


def test_a_record_of_other_demonstrations_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = smooth()
    found.save(tmp_path)
    record = {"version": 1, "robot": "arm.yaml", "rate_hz": 20.0, "sha256": "0" * 64, "bags": []}
    (tmp_path / "recordings.json").write_text(json.dumps(record))
    assert main(["demos", "info", str(tmp_path)]) == 0
    assert "belongs to other demonstrations" in capsys.readouterr().err
    (tmp_path / "recordings.json").write_text(json.dumps(record | {"bags": [{"name": 3}]}))
    assert main(["demos", "info", str(tmp_path)]) == 0
    assert "is not a record of a conversion" in capsys.readouterr().err


def test_a_set_of_single_pairs_is_examined() -> None:
    one = dataclasses.replace(smooth((1, 1)))
    assert examine(one).observation[0].largest_step == 0.0
