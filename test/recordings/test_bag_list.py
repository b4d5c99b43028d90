"""Which bags there are among folders and files."""

from pathlib import Path

import pytest

from vdd_ros.errors import RecordingError
from vdd_ros.recordings.bag_list import list_bags

pytest.importorskip("rosbags")

from recorded_arm import drive, write_recording


def bag(path: Path) -> Path:
    return write_recording(path, drive(0.2))


def names(*places: Path) -> list[str]:
    return [one.name for one in list_bags(places)]


def test_a_folder_of_bags_and_bags_themselves(tmp_path: Path) -> None:
    for name in ("b", "a"):
        bag(tmp_path / "day" / name)
    bag(tmp_path / "single")
    (tmp_path / "day" / "notes").mkdir()
    (tmp_path / "day" / "notes.txt").write_text("")
    assert names(tmp_path / "day", tmp_path / "single") == ["a", "b", "single"]
    assert names(tmp_path / "single" / "single.mcap") == ["single.mcap"]


def test_equal_names_get_the_folder_above(tmp_path: Path) -> None:
    for day in ("monday", "friday"):
        bag(tmp_path / day / "ep")
    assert names(tmp_path / "monday", tmp_path / "friday") == ["monday/ep", "friday/ep"]


def test_a_mended_bag_stands_for_the_other(tmp_path: Path) -> None:
    for name in ("ep", "ep.mended", "other"):
        bag(tmp_path / name)
    assert names(tmp_path) == ["ep.mended", "other"]
    assert names(*sorted(tmp_path.iterdir())) == ["ep.mended", "other"]  # as a shell gives them
    assert names(tmp_path / "ep") == ["ep"]


def test_a_bag_given_twice_is_refused(tmp_path: Path) -> None:
    bag(tmp_path / "ep")
    with pytest.raises(RecordingError, match="given twice"):
        names(tmp_path, tmp_path / "ep")


def test_an_unfinished_recording_is_refused(tmp_path: Path) -> None:
    bag(tmp_path / "ep_0")
    bag(tmp_path / "ep_1.partial" / "ep_1")
    with pytest.raises(RecordingError, match=r"ep_1\.partial is unfinished.*vdd bag mend"):
        names(tmp_path)


def test_loose_files_without_metadata_may_be_one_bag_or_several(tmp_path: Path) -> None:
    for name in ("ep_0", "ep_1"):
        (bag(tmp_path / "bags" / name) / f"{name}.mcap").rename(tmp_path / f"{name}.mcap")
    with pytest.raises(RecordingError, match=r"holds 2 files of bags, but no metadata\.yaml"):
        names(tmp_path)
    assert names(tmp_path / "ep_0.mcap", tmp_path / "ep_1.mcap") == ["ep_0.mcap", "ep_1.mcap"]


@pytest.mark.parametrize(("name", "why"), [("empty", "holds no bag"), ("missing", "does not exist")])
def test_nothing_to_read(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordingError, match=why):
        names(tmp_path / name)
