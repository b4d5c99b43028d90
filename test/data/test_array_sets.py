"""Demonstration sets with arrays: kept in their own types, read from the disk, refused in learning."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vdd_ros.data import blocks
from vdd_ros.data.demonstrations import FILE_NAME, DemonstrationSet, Header
from vdd_ros.data.formats import npz
from vdd_ros.errors import DemonstrationError
from vdd_ros.features import Feature

CAMERA = Feature("cam/left", shape=(4, 6, 3), dtype="uint8")
DEPTH = Feature("depth", "m", shape=(2, 2))
CLOSED = Feature("closed", dtype="bool")
OBSERVATION = (Feature("x", "m"), CAMERA, DEPTH, Feature("y", "m"), CLOSED)
HEADER = Header("toy", OBSERVATION, (Feature("dx", "m"),), 20.0, "a test")
PAIRS = 11


def toy(**changes: Any) -> DemonstrationSet:
    random = np.random.default_rng(0)
    values: dict[str, Any] = {
        "header": HEADER,
        "observation": random.normal(size=(PAIRS, 2)),
        "action": random.normal(size=(PAIRS, 1)),
        "lengths": np.array([4, 1, 6]),
        "modes": np.array([2, -1, 0]),
        "arrays": {
            CAMERA.name: random.integers(0, 256, (PAIRS, 4, 6, 3)).astype(np.uint8),
            DEPTH.name: random.normal(size=(PAIRS, 2, 2)).astype(np.float32),
            CLOSED.name: random.random(PAIRS) < 0.5,
        },
    }
    return DemonstrationSet(**values | changes)


@pytest.mark.parametrize("mapped", [False, True])
def test_a_set_comes_back_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mapped: bool) -> None:
    if mapped:
        monkeypatch.setattr(npz, "COMPRESSED_BELOW", 1)
        monkeypatch.setattr(npz, "MAPPED_FROM", 1)
        monkeypatch.setattr(blocks, "BLOCK_BYTES", 100)
    made = toy()
    found = DemonstrationSet.load(made.save(tmp_path))
    assert found.header == made.header
    assert found.is_mapped == mapped
    assert list(found.arrays) == list(made.arrays)
    for name, values in made.arrays.items():
        assert isinstance(found.arrays[name], np.memmap) == mapped
        assert found.arrays[name].dtype == values.dtype
        np.testing.assert_array_equal(found.arrays[name], values)
    assert found.sha256 == made.sha256


def test_every_pixel_counts_in_the_digest() -> None:
    made = toy()
    pixels = made.arrays[CAMERA.name].copy()
    pixels[-1, -1, -1, -1] ^= 1
    assert replace(made, arrays={**made.arrays, CAMERA.name: pixels}).sha256 != made.sha256


def test_parts_joined_are_the_whole() -> None:
    made = toy()
    joined = DemonstrationSet.joined([made.part(range(0, 1)), made.part(range(1, 3))])
    assert joined.sha256 == made.sha256


def test_windows_are_of_single_numbers() -> None:
    made = toy()
    plain = replace(made, header=replace(HEADER, observation=HEADER.vector), arrays={})
    for found, wanted in zip(made.windows(3, 2), plain.windows(3, 2), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({}, r"header has the arrays cam/left .* but \(none\) are given"),
        ({CAMERA.name: np.zeros((PAIRS, 4, 6, 3))}, "'cam/left' is float64 of the shape .* ask for uint8"),
        ({CAMERA.name: np.zeros((PAIRS - 1, 4, 6, 3), np.uint8)}, r"of the shape \(10, 4, 6, 3\)"),
        (
            {DEPTH.name: np.full((PAIRS, 2, 2), np.inf, np.float32)},
            "'depth' is not finite in 11 pairs",
        ),
        ({CAMERA.name: [0] * PAIRS}, "'cam/left' is a list, not an array of numpy"),
        ({"other": np.zeros(PAIRS)}, "but cam/left, depth, closed, other are given"),
    ],
)
def test_arrays_that_are_not_those_of_the_header_are_refused(arrays: dict[str, Any], problem: str) -> None:
    with pytest.raises(DemonstrationError, match=problem):
        toy(arrays={**toy().arrays, **arrays} if arrays else {})


def test_arrays_in_actions_are_refused() -> None:
    with pytest.raises(DemonstrationError, match=r"depth .* cannot be kept; actions and contexts are single numbers"):
        toy(header=replace(HEADER, action=(DEPTH,)))


def rewritten(folder: Path, **changes: Any) -> Path:
    """Write a set with members replaced or, with None, left out."""
    file = toy().save(folder)
    with np.load(file) as found:
        members = {name: found[name] for name in found.files} | changes
    np.savez_compressed(file, **{name: value for name, value in members.items() if value is not None})
    return folder


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"array_1": None}, "its header has 3 arrays, but the file holds array_0, array_2"),
        ({"array_3": np.zeros(PAIRS)}, "'array_3' is float64, not one of float32, uint8"),
        ({"array_3": np.zeros(PAIRS, np.uint8)}, "its header has 3 arrays, but the file holds array_0, .* array_3"),
        ({"array_x": np.zeros(PAIRS, np.uint8)}, "it holds 'array_x.npy', which is not part of demonstrations"),
        ({"array_0": np.zeros((PAIRS, 4, 6), np.uint8)}, r"ask for uint8 of the shape \(11, 4, 6, 3\)"),
        ({"array_0": np.array([None] * PAIRS)}, "holds Python objects"),
    ],
)
def test_files_that_contradict_themselves_are_refused(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(DemonstrationError, match=problem):
        DemonstrationSet.load(rewritten(tmp_path, **changes))


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (["cam", "1", [4], "float16"], "shape or number type is wrong"),
        (["cam", "1", [4, 0], "uint8"], "shape or number type is wrong"),
        (["cam", "1", [True], "uint8"], "shape or number type is wrong"),
        (["cam", "1", [1] * 9, "uint8"], "shape or number type is wrong"),
        (["cam", "1", [], "float32"], "shape or number type is wrong"),
        (["cam", "1", [4]], "not a pair of name and unit"),
    ],
)
def test_forms_that_no_array_has_are_refused(tmp_path: Path, entry: list[Any], problem: str) -> None:
    header = {"format_version": 1, **HEADER.to_dict(), "observation": [["x", "m"], ["y", "m"], entry]}
    with pytest.raises(DemonstrationError, match=problem):
        DemonstrationSet.load(rewritten(tmp_path, header=np.array(json.dumps(header))))


def test_a_set_without_arrays_is_written_as_before(tmp_path: Path) -> None:
    plain = replace(toy(), header=replace(HEADER, observation=HEADER.vector), arrays={})
    with zipfile.ZipFile(plain.save(tmp_path)) as archive:
        names = {info.filename for info in archive.infolist()}
    assert (tmp_path / FILE_NAME).is_file()
    assert names == {"header.npy", "observation.npy", "action.npy", "lengths.npy", "modes.npy"}


def test_learning_refuses_them_with_the_reason() -> None:
    pytest.importorskip("torch")
    from vdd_ros.learning.fit.windows import Statistics

    with pytest.raises(DemonstrationError, match=r"training on arrays, such as cam/left .* no image encoder"):
        Statistics.of(toy())
