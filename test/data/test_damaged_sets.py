"""Damage to any file of any format: refused, or harmless; and libraries that are not installed."""

import sys
from collections.abc import Callable
from pathlib import Path

import hdf5_sets
import lerobot_sets
import numpy as np
import padded_sets
import pytest

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import DemonstrationError

for library in ("pyarrow", "h5py", "numcodecs", "zarr", "PIL"):
    pytest.importorskip(library)

FLIPS = 12
"""Bytes that are changed in each file, one at a time."""


def lerobot(folder: Path) -> None:
    lerobot_sets.write_v3(folder, lerobot_sets.frames(images=True))


def lerobot_v2(folder: Path) -> None:
    lerobot_sets.write_v2(folder)


def robomimic(folder: Path) -> None:
    hdf5_sets.write_robomimic(folder)


def minari(folder: Path) -> None:
    hdf5_sets.write_minari(folder)


def zarr_store(folder: Path) -> None:
    import zarr

    random = np.random.default_rng(0)
    root = zarr.open_group(str(folder), mode="w", zarr_format=2)
    for key, size in (("state", 3), ("action", 2)):
        root.create_array(f"data/{key}", data=random.normal(size=(12, size)), chunks=(5, 2))
    root.create_array("meta/episode_ends", data=np.array([5, 12]))


MAKERS: dict[str, Callable[[Path], object]] = {
    "lerobot": lerobot,
    "lerobot_v2": lerobot_v2,
    "robomimic": robomimic,
    "minari": minari,
    "zarr_store": zarr_store,
    "kitchen": padded_sets.write_kitchen,
    "block_push": padded_sets.write_block_push,
}
DESCRIPTIONS = {
    "minari": "data: it\nrate_hz: 10\n",
    "zarr_store": "data: it\nrate_hz: 10\nobservation: [state]\n",
}


@pytest.mark.filterwarnings("ignore")  # of zarr, of damaged images
@pytest.mark.parametrize("name", MAKERS)
def test_damage_is_refused_or_harmless(tmp_path: Path, name: str) -> None:
    MAKERS[name](tmp_path / "it")
    described = tmp_path / "set.yaml"
    described.write_text(DESCRIPTIONS.get(name, "data: it\n"))
    whole = DemonstrationSet.load(described)
    files = [path for path in [tmp_path / "it", *(tmp_path / "it").rglob("*")] if path.is_file()]
    random = np.random.default_rng(0)
    for file in files:
        content = file.read_bytes()
        damages = [content[: len(content) * part // 4] for part in range(4)]
        for place in random.integers(0, len(content), FLIPS):
            flipped = bytearray(content)
            flipped[place] ^= 0xFF
            damages.append(bytes(flipped))
        for damage in damages:
            file.write_bytes(damage)
            try:
                found = DemonstrationSet.load(described)
            except DemonstrationError as error:
                assert str(tmp_path.name) in str(error) or "it'" in str(error)
            else:  # a number, or what is not read, is another one
                assert found.action.shape == whole.action.shape
                assert found.observation.shape == whole.observation.shape
        file.write_bytes(content)
    assert DemonstrationSet.load(described).sha256 == whole.sha256


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("lerobot", "pyarrow"),
        ("lerobot", "PIL"),
        ("lerobot_v2", "pyarrow"),
        ("robomimic", "h5py"),
        ("minari", "h5py"),
        ("zarr_store", "numcodecs"),
    ],
)
def test_a_library_that_is_not_installed_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, library: str
) -> None:
    MAKERS[name](tmp_path / "it")
    (tmp_path / "set.yaml").write_text(DESCRIPTIONS.get(name, "data: it\n"))
    for module in [module for module in sys.modules if module.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    wanted = (
        rf"needs {library}, which is not installed; the extra 'formats' contains it: pip install 'vdd_ros\[formats\]'"
    )
    with pytest.raises(DemonstrationError, match=wanted):
        DemonstrationSet.load(tmp_path / "set.yaml")
