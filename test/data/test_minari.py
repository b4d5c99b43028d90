"""Minari's HDF5: read as h5py holds it, without the observation after the last action."""

import json
from pathlib import Path

import hdf5_sets as sets
import numpy as np
import pytest

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats import get_format
from vdd_ros.errors import DemonstrationError
from vdd_ros.testing.formats import check_format

h5py = pytest.importorskip("h5py")


def described(folder: Path) -> Path:
    file = folder / "set.yaml"
    file.write_text("data: reach\nrate_hz: 25\n")
    return file


@pytest.mark.parametrize("extra", [0, 1])
def test_episodes_are_read_in_order_of_their_numbers(tmp_path: Path, extra: int) -> None:
    made = sets.write_minari(tmp_path / "reach", extra=extra)
    found = DemonstrationSet.load(described(tmp_path))
    assert found.lengths.tolist() == [len(episode["actions"]) for episode in made]
    assert np.array_equal(found.observation, np.concatenate([e["observations"][: len(e["actions"])] for e in made]))
    assert np.array_equal(found.action, np.concatenate([episode["actions"] for episode in made]))
    assert [feature.name for feature in found.header.observation] == [f"observation_{index}" for index in range(3)]
    assert (found.header.task, found.header.rate_hz) == ("toy/reach-v0", 25.0)


def test_a_dictionary_space_is_read_part_by_part(tmp_path: Path) -> None:
    made = sets.write_minari(tmp_path / "reach", parts=True)
    found = DemonstrationSet.load(described(tmp_path))
    names = [*(f"arm/pos_{index}" for index in range(3)), "goal_0", "goal_1"]
    assert [feature.name for feature in found.header.observation] == names
    parts = [np.concatenate([e[key][:-1] for e in made]) for key in ("observations/arm/pos", "observations/goal")]
    assert np.array_equal(found.observation, np.concatenate(parts, axis=1))


def test_the_format_conforms(tmp_path: Path) -> None:
    """The data state no rate, so the conformance test reads them through a description."""
    sets.write_minari(tmp_path / "reach")
    assert get_format("minari").probe(tmp_path / "reach")
    assert get_format("minari").probe(tmp_path / "reach/data/main_data.hdf5")
    check_format(get_format("description"), tmp_path / "F", described(tmp_path))
    with pytest.raises(DemonstrationError, match="does not state its rate"):
        DemonstrationSet.load(tmp_path / "reach")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"total_steps": 101}, "has 101 frames, but the lengths of its 12 episodes add up to 102"),
        ({"total_episodes": 13}, "holds 12 episodes instead of 13"),
        ({"total_episodes": "many"}, "total_episodes many, not a whole number"),
    ],
)
def test_wrong_metadata_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    sets.write_minari(tmp_path / "reach")
    file = tmp_path / "reach/data/metadata.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(DemonstrationError, match=message):
        DemonstrationSet.load(described(tmp_path))


def test_observations_of_another_length_are_refused(tmp_path: Path) -> None:
    sets.write_minari(tmp_path / "reach", extra=2)
    with pytest.raises(DemonstrationError, match=r"the shape \(5, 3\); with 3 actions in this episode"):
        DemonstrationSet.load(described(tmp_path))


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    sets.write_minari(tmp_path / "reach")
    file = tmp_path / "reach/data/main_data.hdf5"
    file.write_bytes(file.read_bytes()[:5_000])
    with pytest.raises(DemonstrationError, match="is damaged"):
        DemonstrationSet.load(described(tmp_path))
