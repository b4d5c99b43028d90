"""HDF5 files of robomimic and Minari, written with h5py in their layouts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LENGTHS = {f"demo_{number}": 3 + number for number in range(12)}
"""Twelve, so that demo_10 comes before demo_2 in the alphabet."""


def write_robomimic(
    file: Path, *, rate_hz: float | None = 20, images: bool = False
) -> dict[str, dict[str, NDArray[Any]]]:
    """Write demonstrations and return them: name of the episode to key to values."""
    import h5py

    random = np.random.default_rng(0)
    found: dict[str, dict[str, NDArray[Any]]] = {}
    with h5py.File(file, "w") as opened:
        data = opened.create_group("data")
        kwargs = {} if rate_hz is None else {"control_freq": rate_hz}
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "type": 1, "env_kwargs": kwargs})
        data.attrs["total"] = sum(LENGTHS.values())
        for name, length in LENGTHS.items():
            found[name] = {
                "actions": random.normal(size=(length, 2)),
                "obs/object": random.normal(size=(length, 3)),
                "obs/robot0_eef_pos": random.normal(size=(length, 3)).astype(np.float32),
            }
            if images:
                found[name]["obs/agentview_image"] = random.integers(0, 256, (length, 4, 6, 3), dtype=np.uint8)
            demo = data.create_group(name)
            demo.attrs["num_samples"] = length
            for key, values in found[name].items():
                demo[key] = values
            demo["rewards"], demo["dones"], demo["states"] = np.zeros(length), np.zeros(length), np.zeros((length, 9))
        opened["mask/train"] = np.array([b"demo_0", b"demo_10"])
    return found


def joined(found: dict[str, dict[str, NDArray[Any]]], key: str, names: list[str] | None = None) -> NDArray[Any]:
    """Return a key's values of episodes, by default of all, end to end."""
    return np.concatenate([found[name][key] for name in names or found])


def write_minari(folder: Path, *, parts: bool = False, extra: int = 1) -> list[dict[str, NDArray[Any]]]:
    """Write a data set as Minari 0.5 does, and return its episodes: key to values.

    Args:
        folder: Of the data set; the file is in `data`.
        parts: Observations of a dictionary space.
        extra: Observations after the last action: 1, or 0 as Minari also accepts.
    """
    import h5py

    random, lengths = np.random.default_rng(0), [3 + number for number in range(12)]
    keys = {"observations/arm/pos": 3, "observations/goal": 2} if parts else {"observations": 3}
    episodes: list[dict[str, NDArray[Any]]] = [
        {
            "actions": random.normal(size=(length, 2)).astype(np.float32),
            **{key: random.normal(size=(length + extra, size)) for key, size in keys.items()},
        }
        for length in lengths
    ]
    (folder / "data").mkdir(parents=True)
    with h5py.File(folder / "data/main_data.hdf5", "w") as file:
        for number, episode in enumerate(episodes):
            group = file.create_group(f"episode_{number}")
            group.attrs.update({"id": number, "seed": number, "total_steps": lengths[number]})
            for key, values in episode.items():
                group[key] = values
            group.create_group("infos")
            group["rewards"] = np.zeros(lengths[number])
    metadata = {"total_episodes": 12, "total_steps": sum(lengths), "data_format": "hdf5", "dataset_id": "toy/reach-v0"}
    (folder / "data/metadata.json").write_text(json.dumps(metadata))
    return episodes
