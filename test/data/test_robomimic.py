"""robomimic's HDF5: read as h5py holds it, in order of numbers; what contradicts the layout is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hdf5_sets as sets
import numpy as np
import pytest

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats import get_format
from vdd_ros.errors import DemonstrationError
from vdd_ros.features import Feature
from vdd_ros.testing.formats import check_format

h5py = pytest.importorskip("h5py")

FILE = "low_dim.hdf5"


def test_demonstrations_are_read_in_order_of_their_numbers(tmp_path: Path) -> None:
    made = sets.write_robomimic(tmp_path / FILE)
    found = DemonstrationSet.load(tmp_path / FILE)
    assert found.lengths.tolist() == list(sets.LENGTHS.values())
    observed = [sets.joined(made, key) for key in ("obs/object", "obs/robot0_eef_pos")]
    assert np.array_equal(found.observation, np.concatenate(observed, axis=1))
    assert np.array_equal(found.action, sets.joined(made, "actions"))
    assert [feature.name for feature in found.header.observation] == [
        *(f"object_{index}" for index in range(3)),
        *(f"robot0_eef_pos_{index}" for index in range(3)),
    ]
    assert [str(feature) for feature in found.header.action] == ["action_0 (unknown)", "action_1 (unknown)"]
    assert (found.header.task, found.header.rate_hz) == ("Lift", 20.0)


def test_the_format_conforms(tmp_path: Path) -> None:
    sets.write_robomimic(tmp_path / FILE)
    check_format(get_format("robomimic"), tmp_path / "F", tmp_path / FILE)


def test_images_become_arrays(tmp_path: Path) -> None:
    made = sets.write_robomimic(tmp_path / FILE, images=True)
    found = DemonstrationSet.load(tmp_path / FILE)
    assert found.header.arrays == (Feature("agentview_image", "1", shape=(4, 6, 3), dtype="uint8"),)
    assert np.array_equal(found.arrays["agentview_image"], sets.joined(made, "obs/agentview_image"))


def test_a_mask_is_a_subset(tmp_path: Path) -> None:
    made = sets.write_robomimic(tmp_path / FILE)
    (tmp_path / "set.yaml").write_text(f"data: {FILE}\nsubset: train\nobservation: [obs/object]\n")
    found = DemonstrationSet.load(tmp_path / "set.yaml")
    assert np.array_equal(found.observation, sets.joined(made, "obs/object", ["demo_0", "demo_10"]))
    (tmp_path / "set.yaml").write_text(f"data: {FILE}\nsubset: valid\n")
    with pytest.raises(DemonstrationError, match="has no subset 'valid'; it has train"):
        DemonstrationSet.load(tmp_path / "set.yaml")


def test_a_file_without_a_rate_needs_one(tmp_path: Path) -> None:
    sets.write_robomimic(tmp_path / FILE, rate_hz=None)
    with pytest.raises(DemonstrationError, match=r"does not state its rate.*vdd demos describe"):
        DemonstrationSet.load(tmp_path / FILE)
    (tmp_path / "set.yaml").write_text(f"data: {FILE}\nrate_hz: 10\n")
    assert DemonstrationSet.load(tmp_path / "set.yaml").header.rate_hz == 10


def test_a_rate_that_contradicts_the_file_is_refused(tmp_path: Path) -> None:
    sets.write_robomimic(tmp_path / FILE)
    (tmp_path / "set.yaml").write_text(f"data: {FILE}\nrate_hz: 10\n")
    with pytest.raises(DemonstrationError, match="has 20 frames per second, but its description says rate_hz: 10"):
        DemonstrationSet.load(tmp_path / "set.yaml")


def without_observations(file: Any) -> None:
    for demo in file["data"].values():
        del demo["obs"]


def shorter(file: Any) -> None:
    values = file["data/demo_3/obs/object"][:-1]
    del file["data/demo_3/obs/object"]
    file["data/demo_3/obs/object"] = values


def wider(file: Any) -> None:
    del file["data/demo_3/obs/object"]
    file["data/demo_3/obs/object"] = np.zeros((6, 4))


def of_objects(file: Any) -> None:
    for demo in file["data"].values():
        del demo["obs/object"]
        demo.create_dataset("obs/object", shape=(len(demo["actions"]),), dtype=h5py.string_dtype())


def elsewhere(file: Any) -> None:
    del file["data/demo_3/obs/object"]
    file["data/demo_3/obs/object"] = h5py.ExternalLink("other.hdf5", "object")


def fewer(file: Any) -> None:
    del file["data/demo_3"]


def uncounted(file: Any) -> None:
    file["data/demo_3"].attrs["num_samples"] = 7


def not_finite(file: Any) -> None:
    file["data/demo_10/obs/object"][0, 0] = np.inf


def huge(file: Any) -> None:
    """Chunks that were never written take no space in the file."""
    for demo in file["data"].values():
        del demo["obs/object"]
        demo.create_dataset(
            "obs/object", shape=(len(demo["actions"]), 1 << 20, 1 << 10), dtype="f4", chunks=(1, 1024, 1024)
        )


def masked(file: Any) -> None:
    file["mask/valid"] = np.array([b"demo_99"])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without_observations, "has no 'obs' in demo_0.*dataset_states_to_obs"),
        (shorter, r"'data/demo_3/obs/object' of float64 and the shape \(5, 3\); with 6 actions"),
        (wider, r"the shape \(6, 4\)"),
        (of_objects, "'obs/object', which holds objects, which are not numbers. Leave it out"),
        (
            elsewhere,
            "has '/data/demo_3/obs/object' in another file",
        ),
        (fewer, "add up to"),
        (uncounted, "states 7 samples for .*, which has 6 actions"),
        (not_finite, "'obs/object' with NaN or infinity in 1 frames of the episodes 10"),
        (huge, "bytes in the chosen keys, most of them in 'obs/object'; at most"),
        (masked, "'demo_99' in the mask 'valid', but no such episode"),
    ],
)
def test_damage_is_named(tmp_path: Path, damage: Callable[[Any], None], message: str) -> None:
    sets.write_robomimic(tmp_path / FILE)
    with h5py.File(tmp_path / FILE, "a") as file:
        damage(file)
    with pytest.raises(DemonstrationError, match=message):
        DemonstrationSet.load(tmp_path / FILE)
