"""Zarr stores of Diffusion Policy: read as zarr itself reads them, in both versions, as folder and as zip file."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats import get_format
from vdd_ros.errors import DemonstrationError
from vdd_ros.features import Feature
from vdd_ros.testing.formats import check_format

zarr = pytest.importorskip("zarr", minversion="3")
pytest.importorskip("numcodecs")
pytestmark = pytest.mark.filterwarnings("ignore")  # zarr warns of codecs outside its specification

ENDS = [5, 12]
DESCRIPTION = "data: push.zarr\nrate_hz: 10\nobservation: [state, count]\n"


def made() -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(0)
    return {
        "action": random.normal(size=(12, 2)).astype(np.float32),
        "state": random.normal(size=(12, 3)),
        "count": random.integers(-9, 9, (12, 1)).astype(">i2"),
        "img": random.integers(0, 256, (12, 4, 6, 3), dtype=np.uint8),
        "resting": np.zeros((12, 2)),
    }


def write(folder: Path, version: int, **options: Any) -> dict[str, NDArray[Any]]:
    """Write a store with chunks that do not divide the arrays, and return its arrays."""
    root = zarr.open_group(str(folder), mode="w", zarr_format=version)
    values = made()
    data = root.create_group("data")
    for key, found in values.items():
        chunks = (5, *(max(size - 1, 1) for size in found.shape[1:]))
        data.create_array(key, data=found, chunks=chunks, **options)
    root.create_group("meta").create_array("episode_ends", data=np.array(ENDS))
    return values


def load(folder: Path, text: str = DESCRIPTION) -> DemonstrationSet:
    (folder / "set.yaml").write_text(text)
    return DemonstrationSet.load(folder / "set.yaml")


def codecs(version: int) -> dict[str, Any]:
    import numcodecs
    import zarr.codecs

    if version == 2:
        return {
            "blosc": numcodecs.Blosc("zstd", 5, numcodecs.Blosc.BITSHUFFLE),
            "zstd": numcodecs.Zstd(),
            "lz4": numcodecs.LZ4(),
            "zlib": numcodecs.Zlib(),
            "gzip": numcodecs.GZip(),
            "none": None,
        }
    return {
        "blosc": zarr.codecs.BloscCodec(cname="lz4", shuffle="shuffle"),
        "zstd": zarr.codecs.ZstdCodec(),
        "gzip": zarr.codecs.GzipCodec(),
        "none": None,
    }


CASES = [*((2, name) for name in codecs(2)), *((3, name) for name in codecs(3))]


@pytest.mark.parametrize(("version", "codec"), CASES)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_store_is_read_as_written(tmp_path: Path, version: int, codec: str, zipped: bool) -> None:
    values = write(tmp_path / "store", version, compressors=codecs(version)[codec])
    if zipped:
        shutil.make_archive(str(tmp_path / "push.zarr"), "zip", tmp_path / "store")
        (tmp_path / "push.zarr.zip").rename(tmp_path / "push.zarr")
    else:
        (tmp_path / "store").rename(tmp_path / "push.zarr")
    found = load(tmp_path, f"{DESCRIPTION.replace(']', ', img, resting]')}")
    assert np.array_equal(found.observation, np.concatenate([values[k] for k in ("state", "count", "resting")], axis=1))
    assert np.array_equal(found.action, values["action"])
    assert np.array_equal(found.arrays["img"], values["img"])
    assert found.lengths.tolist() == [5, 7]
    assert [str(feature) for feature in found.header.action] == ["action_0 (unknown)", "action_1 (unknown)"]
    assert found.header.arrays == (Feature("img", "1", shape=(4, 6, 3), dtype="uint8"),)


@pytest.mark.parametrize("order", ["C", "F"])
def test_both_orders_in_a_chunk_are_read(tmp_path: Path, order: str) -> None:
    values = write(tmp_path / "push.zarr", 2, order=order)
    assert json.loads((tmp_path / "push.zarr/data/state/.zarray").read_text())["order"] == order
    assert np.array_equal(load(tmp_path).observation[:, :3], values["state"])


def test_the_zip_of_zarr_itself_is_read(tmp_path: Path) -> None:
    values = write(tmp_path / "store", 2)
    source = zarr.open_group(str(tmp_path / "store"), mode="r")
    with zarr.storage.ZipStore(tmp_path / "push.zarr", mode="w") as store:
        root = zarr.create_group(store, zarr_format=2)
        for key in ("data/action", "data/state", "data/count", "meta/episode_ends"):
            root.create_array(key, data=source[key][:])
    assert np.array_equal(load(tmp_path).action, values["action"])


def test_a_store_states_neither_rate_nor_observation(tmp_path: Path) -> None:
    write(tmp_path / "push.zarr", 3)
    with pytest.raises(DemonstrationError, match="does not state its rate"):
        DemonstrationSet.load(tmp_path / "push.zarr")
    with pytest.raises(
        DemonstrationError, match=r"does not state which of its keys are the observation \(action, count"
    ):
        load(tmp_path, "data: push.zarr\nrate_hz: 10\n")


def test_the_format_conforms(tmp_path: Path) -> None:
    """The store states no rate, so the conformance test reads it through a description."""
    write(tmp_path / "push.zarr", 2)
    assert get_format("diffusion_policy").probe(tmp_path / "push.zarr")
    load(tmp_path)
    check_format(get_format("description"), tmp_path / "F", tmp_path / "set.yaml")


def edit(folder: Path, key: str, **changes: Any) -> None:
    file = folder / f"push.zarr/{key}/.zarray"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("key", "changes", "message"),
    [
        (
            "data/state",
            {"compressor": {"id": "imagecodecs_jpeg2k"}},
            "'state', which is in the image codec 'imagecodecs_jp",
        ),
        ("data/state", {"compressor": {"id": "pickle"}}, "is in the codec 'pickle', which is not supported"),
        ("data/state", {"filters": [{"id": "pickle"}]}, "is in the codec 'pickle', which is not supported"),
        ("data/state", {"dtype": "|O"}, r"is of \|O, which are not numbers"),
        ("data/state", {"dtype": [["a", "<f4"]]}, "which are not numbers"),
        ("data/state", {"shape": [13, 3]}, "has 13 frames, while the episodes end at 12"),
        ("data/state", {"shape": [12, -1]}, "are not sizes"),
        ("data/state", {"shape": [12, 10**7], "chunks": [1, 1]}, "has more than 10,000,000 chunks"),
        ("data/state", {"shape": [12]}, "its shape, chunks or separator are invalid"),
        ("data/state", {"shape": [12, 10**8], "chunks": [5, 10**8]}, "has chunks of more than"),
        (
            "data/state",
            {"shape": [12, 10**8], "chunks": [1, 10**6]},
            "with 100,000,000 numbers a frame; at most 4,096",
        ),
        (
            "data/img",
            {"shape": [12, 10**4, 10**4, 10], "chunks": [1, 1000, 1000, 10]},
            "bytes in the chosen keys, most of them in 'img'",
        ),
        ("data/state", {"chunks": [4, 2]}, "damaged chunk|instead of"),
        ("data/state", {"dimension_separator": "../"}, "chunks or separator are invalid"),
        ("meta/episode_ends", {"dtype": "<f8"}, "has no whole numbers as meta/episode_ends"),
        ("meta/episode_ends", {"shape": [0]}, "holds no episode"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, key: str, changes: dict[str, Any], message: str) -> None:
    write(tmp_path / "push.zarr", 2)
    edit(tmp_path, key, **changes)
    with pytest.raises(DemonstrationError, match=message):
        load(tmp_path, DESCRIPTION.replace("]", ", img]"))


def test_ends_that_do_not_rise_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "push.zarr", 2)
    zarr.open_group(str(tmp_path / "push.zarr"))["meta/episode_ends"][:] = [12, 12]
    with pytest.raises(DemonstrationError, match="do not increase: episode 1 ends at 12"):
        load(tmp_path)


@pytest.mark.parametrize("codec", ["blosc", "zstd", "lz4", "zlib", "gzip", "none"])
def test_a_damaged_or_cut_chunk_is_refused(tmp_path: Path, codec: str) -> None:
    write(tmp_path / "push.zarr", 2, compressors=codecs(2)[codec])
    file = tmp_path / "push.zarr/data/state/0.0"
    content = file.read_bytes()
    for damage in (content[: len(content) // 2], b"", content + bytes(1 << 20)):
        file.write_bytes(damage)
        if codec in ("zlib", "gzip", "zstd", "lz4") and len(damage) > len(content):
            continue  # what follows the end of a compressed stream is never read
        with pytest.raises(DemonstrationError, match=r"push\.zarr' has .*0\.0'"):
            load(tmp_path)


def test_a_chunk_that_unpacks_to_more_than_it_is_is_refused(tmp_path: Path) -> None:
    import zlib

    write(tmp_path / "push.zarr", 2, compressors=codecs(2)["zlib"])
    (tmp_path / "push.zarr/data/state/0.0").write_bytes(zlib.compress(bytes(1 << 26)))
    with pytest.raises(DemonstrationError, match=r"damaged chunk .*has 81 bytes instead of 80"):
        load(tmp_path)
