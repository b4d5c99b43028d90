"""First descriptions: they read what they describe, and leave questions open."""

import json
from pathlib import Path

import hdf5_sets
import lerobot_sets
import pytest

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats.outline import outline, write_outline
from vdd_ros.errors import DemonstrationError

pytest.importorskip("pyarrow")


def test_a_described_set_is_read_as_without_a_description(tmp_path: Path) -> None:
    lerobot_sets.write_v3(tmp_path / "arm")
    write_outline(tmp_path / "arm", tmp_path / "made" / "set.yaml")
    described = DemonstrationSet.load(tmp_path / "made" / "set.yaml")
    assert described.sha256 == DemonstrationSet.load(tmp_path / "arm").sha256


def test_a_video_is_left_out(tmp_path: Path) -> None:
    lerobot_sets.write_v3(tmp_path / "arm")
    fields = json.loads((tmp_path / "arm/meta/info.json").read_text())["features"]
    lerobot_sets.edit_info(
        tmp_path / "arm", features={"observation.top": {"dtype": "video", "shape": [4, 6, 3], "names": None}, **fields}
    )
    write_outline(tmp_path / "arm", tmp_path / "set.yaml")
    assert "# observation.top: left out, since it is a video" in (tmp_path / "set.yaml").read_text()
    assert DemonstrationSet.load(tmp_path / "set.yaml").observation.shape == (12, 4)


def test_what_the_data_do_not_state_must_be_stated(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    hdf5_sets.write_minari(tmp_path / "reach")
    file = tmp_path / "set.yaml"
    write_outline(tmp_path / "reach", file)
    with pytest.raises(DemonstrationError, match=r"rate_hz is \?\?\?, not a number"):
        DemonstrationSet.load(file)
    file.write_text(file.read_text().replace("???", "25"))
    assert DemonstrationSet.load(file).header.rate_hz == 25


def test_an_edited_description_is_not_overwritten(tmp_path: Path) -> None:
    lerobot_sets.write_v3(tmp_path / "arm")
    file = tmp_path / "set.yaml"
    file.write_text("mine")
    with pytest.raises(DemonstrationError, match="exists; replace it with --force"):
        write_outline(tmp_path / "arm", file)
    assert file.read_text() == "mine"
    with pytest.raises(DemonstrationError, match=r"does not end in \.yaml"):
        write_outline(tmp_path / "arm", tmp_path / "set.txt")
    write_outline(tmp_path / "arm", file, force=True)
    assert file.read_text() == outline(tmp_path / "arm", file)


def test_what_needs_no_description_is_told(tmp_path: Path) -> None:
    with pytest.raises(DemonstrationError, match="there is nothing at"):
        outline(tmp_path / "nowhere")
    with pytest.raises(DemonstrationError, match="no data set of a known format"):
        outline(tmp_path)
