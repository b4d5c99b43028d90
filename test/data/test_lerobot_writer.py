"""LeRobot data sets that are written here: they come back, LeRobot itself opens them, and nothing is half written."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_sets import IMAGE, made

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats import get_format
from vdd_ros.data.formats.lerobot_statistics import statistics
from vdd_ros.errors import DemonstrationError
from vdd_ros.features import Feature

pytest.importorskip("pyarrow")


def write(demonstrations: DemonstrationSet, folder: Path) -> Path:
    writing = get_format("lerobot").write
    assert writing is not None
    return writing(demonstrations, folder)


@pytest.mark.parametrize("rate_hz", [20.0, 28.57])
def test_a_set_with_images_comes_back_as_it_was(tmp_path: Path, rate_hz: float) -> None:
    folder = write(made(rate_hz), tmp_path / "push")
    found = DemonstrationSet.load(folder)
    assert found.sha256 == made(rate_hz).sha256
    assert found.header == made(rate_hz).header
    assert found.file == folder


def test_numbers_are_rounded_to_float32(tmp_path: Path) -> None:
    exact = replace(made(), observation=made().observation + 1e-12)
    found = DemonstrationSet.load(write(exact, tmp_path / "push"))
    assert np.array_equal(found.observation, exact.observation.astype(np.float32))


def test_a_description_of_it_knows_the_units(tmp_path: Path) -> None:
    write(made(), tmp_path / "push")
    (tmp_path / "set.yaml").write_text("data: push\nobservation: [observation.state]\n")
    assert DemonstrationSet.load(tmp_path / "set.yaml").header.observation == (Feature("x", "m"), Feature("yaw", "rad"))


def test_many_files_are_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vdd_ros.data.formats.lerobot_writer.FILE_BYTES", 1)
    write(made(), tmp_path / "push")
    assert len(list((tmp_path / "push/data").rglob("*.parquet"))) == 3
    assert DemonstrationSet.load(tmp_path / "push").sha256 == made().sha256


def test_a_set_that_was_changed_by_another_program_is_told(tmp_path: Path) -> None:
    write(made(), tmp_path / "push")
    record = tmp_path / "push/meta/vdd_ros.json"
    record.write_text(record.read_text().replace('"lengths": [3,', '"lengths": [4,'))
    with pytest.raises(DemonstrationError, match=r"vdd_ros\.json' does not fit the data set, which was changed"):
        DemonstrationSet.load(tmp_path / "push")
    record.unlink()
    found = DemonstrationSet.load(tmp_path / "push")
    assert [str(feature) for feature in found.header.vector] == ["x (unknown)", "yaw (unknown)"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ('{"format_version": 2}', "is of another version than 1"),
        ('{"format_version": 1}', "is damaged"),
        ('{"format_version": 1, "header": []}', "its header is not an object"),
    ],
)
def test_a_damaged_record_is_told(tmp_path: Path, content: str, message: str) -> None:
    write(made(), tmp_path / "push")
    (tmp_path / "push/meta/vdd_ros.json").write_text(content)
    with pytest.raises(DemonstrationError, match=message):
        DemonstrationSet.load(tmp_path / "push")


def with_array(feature: Feature, values: Any) -> DemonstrationSet:
    plain = made(image=False)
    header = replace(plain.header, observation=(*plain.header.observation, feature))
    return replace(plain, header=header, arrays={feature.name: values})


@pytest.mark.parametrize(
    ("demonstrations", "message"),
    [
        (replace(made(), action=np.full((10, 1), 1e39)), r"'action' has numbers beyond 3.4e\+38"),
        (with_array(Feature("d", shape=(4, 6)), np.zeros((10, 4, 6), np.float32)), "only stores uint8 images"),
        (with_array(replace(IMAGE, name="a/b"), np.zeros((10, 4, 6, 3), np.uint8)), "a slash in its name"),
        (with_array(replace(IMAGE, name="state"), np.zeros((10, 4, 6, 3), np.uint8)), "the name of LeRobot's vector"),
    ],
)
def test_what_lerobot_cannot_hold_is_refused(tmp_path: Path, demonstrations: DemonstrationSet, message: str) -> None:
    with pytest.raises(DemonstrationError, match=message):
        write(demonstrations, tmp_path / "push")
    assert list(tmp_path.iterdir()) == []


def test_other_folders_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "push").mkdir()
    (tmp_path / "push/mine").write_text("mine")
    with pytest.raises(DemonstrationError, match="holds anything other than a data set that vdd_ros wrote"):
        write(made(), tmp_path / "push")
    assert (tmp_path / "push/mine").read_text() == "mine"


def test_a_full_disk_leaves_the_old_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(made(), tmp_path / "push")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vdd_ros.data.formats.lerobot_writer.record_of", full)
    with pytest.raises(OSError, match="No space left"):
        write(made(30.0), tmp_path / "push")
    assert [path.name for path in tmp_path.iterdir()] == ["push"]
    assert DemonstrationSet.load(tmp_path / "push").sha256 == made().sha256


def test_statistics_are_those_of_numpy() -> None:
    random = np.random.default_rng(0)
    numbers, images = random.normal(size=(9, 2)), random.integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
    colours = images.reshape(-1, 3) / 255
    for values, expected, shape in ((numbers, numbers, (2,)), (images, colours, (3, 1, 1))):
        found = statistics(values)
        assert found["count"] == [len(values)]
        for name in ("min", "max", "mean", "std"):
            assert np.allclose(found[name], getattr(expected, name)(axis=0).reshape(shape), rtol=1e-12)
        for share in (1, 10, 50, 90, 99):
            assert np.allclose(found[f"q{share:02}"], np.quantile(expected, share / 100, axis=0).reshape(shape))
