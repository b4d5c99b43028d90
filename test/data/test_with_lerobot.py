"""LeRobot itself against our reader and writer: each opens the other's data sets.

LeRobot needs Python 3.12 and torch, so it has an environment of its own: VDD_LEROBOT_PYTHON names its Python, with
lerobot[dataset]==0.6.1.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_sets import made
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats import get_format
from vdd_ros.errors import DemonstrationError

PYTHON = "VDD_LEROBOT_PYTHON"
pytest.importorskip("pyarrow")
pytestmark = pytest.mark.skipif(PYTHON not in os.environ, reason=f"{PYTHON} names no Python with LeRobot")


def run(name: str, *arguments: object, folder: Path) -> str:
    """Run a script of the rigs with LeRobot's Python; return what it prints."""
    script = Path(__file__).parents[1] / "rigs" / name
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "cache"), "PYTHONPATH": ""}
    command = [os.environ[PYTHON], str(script), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("rate_hz", [20.0, 28.57])
def test_lerobot_opens_ours_with_chunks(tmp_path: Path, rate_hz: float) -> None:
    ours = made(rate_hz)
    writing = get_format("lerobot").write
    assert writing is not None
    folder = writing(ours, tmp_path / "push")
    found = json.loads(run("open_with_lerobot.py", folder, folder=tmp_path).splitlines()[-1])
    assert (found["fps"], found["episodes"], found["tasks"]) == (rate_hz, 3, ["push"])
    for episode in ours.episodes():
        for row in range(episode.start, episode.stop):
            past, ahead = np.maximum([row - 1, row], episode.start), np.array([row, row + 1, row + 2])
            wanted = ours.action[np.minimum(ahead, episode.stop - 1), 0]
            assert np.array_equal(found["state"][row], ours.observation[past])
            assert np.array_equal(np.ravel(found["action"][row]), wanted)
            assert found["is_pad"][row] == (ahead >= episode.stop).tolist()
    images = np.moveaxis(np.array(found["images"]["observation.images.top"]), 1, -1)
    assert np.allclose(images * 255, ours.arrays["images.top"], atol=1e-4)
    mean = found["statistics"]["observation.state"]["mean"]
    assert np.allclose(mean, ours.observation.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("end", ["finalised", "open"])
def test_what_lerobot_writes_is_read_or_told_not_to_be_finalised(tmp_path: Path, end: str) -> None:
    random = np.random.default_rng(0)
    sizes = {"state": 3, "gripper": 1, "action": 2}
    frames: dict[str, NDArray[Any]] = {
        name: random.normal(size=(12, size)).astype(np.float32) for name, size in sizes.items()
    }
    frames["top"] = random.integers(0, 256, (12, 8, 10, 3), dtype=np.uint8)
    np.savez(tmp_path / "frames.npz", lengths=np.array([5, 7]), **frames)  # type: ignore[arg-type]
    run("write_with_lerobot.py", tmp_path / "frames.npz", tmp_path / "arm", end, folder=tmp_path)
    if end == "open":
        with pytest.raises(DemonstrationError, match=r"not finalised: 2 episodes .* dataset\.finalize\(\)"):
            DemonstrationSet.load(tmp_path / "arm")
        return
    found = DemonstrationSet.load(tmp_path / "arm")
    assert np.array_equal(found.observation, np.concatenate([frames["state"], frames["gripper"]], axis=1))
    assert np.array_equal(found.action, frames["action"])
    assert np.array_equal(found.arrays["images.top"], frames["top"])
    assert [feature.name for feature in found.header.vector] == ["a", "b", "c", "gripper"]
    assert found.lengths.tolist() == [5, 7]
