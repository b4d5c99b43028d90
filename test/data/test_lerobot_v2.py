"""LeRobot data sets of version 2.1, read without LeRobot, and refusals."""

from pathlib import Path

import lerobot_sets as sets
import numpy as np
import pytest

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats import get_format
from vdd_ros.errors import DemonstrationError
from vdd_ros.testing.formats import check_format

pytest.importorskip("pyarrow")


def test_a_set_is_read_as_written(tmp_path: Path) -> None:
    values = sets.write_v2(tmp_path / "arm")
    found = DemonstrationSet.load(tmp_path / "arm")
    observed = [values["observation.state"], values["observation.gripper"]]
    assert np.array_equal(found.observation, np.concatenate(observed, axis=1))
    assert np.array_equal(found.action, values["action"])
    assert found.lengths.tolist() == list(sets.LENGTHS)
    assert (found.header.rate_hz, found.header.source) == (10.0, "LeRobot data set (v2.1) 'arm'")


def test_the_format_conforms(tmp_path: Path) -> None:
    sets.write_v2(tmp_path / "arm")
    check_format(get_format("lerobot_v2"), tmp_path / "F", tmp_path / "arm")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (None, "episodes.jsonl' is missing"),
        ('{"episode_index": 0, "length": 5}', "does not hold each of the counted episodes 0 to 1"),
        ('{"episode_index": 0, "length": 5}\n{"episode_index": 0, "length": 7}', "the episode 0 with the length 7 in"),
        ('{"episode_index": 0, "length": 5}\n{"episode_index": 1, "length": 0}', "the length 0 in line 2"),
        ('{"episode_index": 0, "length": 5}\n{"episode_index": 1, "length"', "line 2, is not JSON"),
        ('{"episode_index": 0, "length": 6}\n{"episode_index": 1, "length": 6}', "5 frames of episode 0 instead of 6"),
        ('{"episode_index": 0, "length": 5}\n{"episode_index": 1, "length": 6}', "has 12 frames, but .* add up to 11"),
    ],
)
def test_wrong_episodes_are_refused(tmp_path: Path, lines: str | None, message: str) -> None:
    sets.write_v2(tmp_path / "arm")
    file = tmp_path / "arm/meta/episodes.jsonl"
    file.unlink() if lines is None else file.write_text(lines)
    with pytest.raises(DemonstrationError, match=message):
        DemonstrationSet.load(tmp_path / "arm")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    sets.write_v2(tmp_path / "arm")
    (tmp_path / "arm/data/chunk-000/episode_000001.parquet").unlink()
    with pytest.raises(DemonstrationError, match=r"episode_000001.parquet' is missing"):
        DemonstrationSet.load(tmp_path / "arm")
