"""Untrusted data sets: no link leads to another file, no pipe blocks, and no small file takes much memory."""

import errno
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hdf5_sets
import lerobot_sets
import numpy as np
import padded_sets
import pytest

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats import hdf5, images, lerobot_writer, parquet, zarr_arrays
from vdd_ros.data.formats.conversion import convert
from vdd_ros.data.formats.description import read_description
from vdd_ros.data.formats.outline import write_outline
from vdd_ros.errors import DemonstrationError

for library in ("pyarrow", "h5py", "numcodecs", "zarr", "PIL"):
    pytest.importorskip(library)

ZARR = "data: it\nrate_hz: 10\nobservation: [state]\n"


def refused(path: Path, match: str) -> None:
    with pytest.raises(DemonstrationError, match=match):
        DemonstrationSet.load(path)


def described(folder: Path, text: str) -> Path:
    file = folder / "set.yaml"
    file.write_text(text, encoding="utf-8")
    return file


# HDF5


def robomimic(folder: Path, change: Callable[[Any], object]) -> Path:
    """Write a file of robomimic, with a pipe and another file beside it, and change it."""
    import h5py

    hdf5_sets.write_robomimic(folder / "it.hdf5")
    os.mkfifo(folder / "pipe")
    with h5py.File(folder / "other.hdf5", "w") as other:
        other["object"] = np.zeros((3, 3))
    with h5py.File(folder / "it.hdf5", "r+") as file:
        change(file)
    return folder / "it.hdf5"


def put(key: str, value: Any) -> Callable[[Any], object]:
    def change(file: Any) -> None:
        if key in file:
            del file[key]
        file[key] = value() if callable(value) else value

    return change


def link(kind: str, *to: str) -> Callable[[], Any]:
    def make() -> Any:
        import h5py

        return getattr(h5py, kind)(*to)

    return make


@pytest.mark.parametrize(
    "key", ["data", "data/demo_0", "data/demo_3", "data/demo_0/obs", "data/demo_3/actions", "mask"]
)
def test_a_link_to_another_file_is_not_followed(tmp_path: Path, key: str) -> None:
    """Opening a pipe in place of that file would block."""
    file = robomimic(tmp_path, put(key, link("ExternalLink", "pipe", "/x")))
    with pytest.raises(DemonstrationError, match=r"in another file|neither robomimic's nor Minari's"):
        DemonstrationSet.load(file)


def test_a_link_within_the_file_leads_to_no_other_file(tmp_path: Path) -> None:
    def change(file: Any) -> None:
        put("outside", link("ExternalLink", "other.hdf5", "/"))(file)
        put("data/demo_4/obs/object", link("SoftLink", "/outside/object"))(file)

    refused(robomimic(tmp_path, change), "'/data/demo_4/obs/object' in another file; copy its content into this file")


def test_links_within_the_file_are_followed(tmp_path: Path) -> None:
    def change(file: Any) -> None:
        file["kept"] = file["data/demo_4/obs/object"][()]
        put("data/demo_4/obs/object", link("SoftLink", "../../../nothing"))(file)
        put("data/demo_4/obs/object", link("SoftLink", "/data/beside"))(file)
        put("data/beside", link("SoftLink", "/kept"))(file)

    hdf5_sets.write_robomimic(tmp_path / "same.hdf5")
    found = DemonstrationSet.load(robomimic(tmp_path, change))
    assert np.array_equal(found.observation, DemonstrationSet.load(tmp_path / "same.hdf5").observation)


def test_a_link_in_a_circle_is_refused(tmp_path: Path) -> None:
    key = "data/demo_3/actions"
    refused(robomimic(tmp_path, put(key, link("SoftLink", f"/{key}"))), "behind more than 32 links")


def test_a_group_in_itself_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5, "_MAX_KEYS", 20)

    def change(file: Any) -> None:
        group = file.create_group("data/demo_0/obs/group")
        for name in "abc":
            group[name] = group

    refused(robomimic(tmp_path, change), "more than 20 arrays and groups in an episode")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (put("data/demo_0/obs", np.zeros((3, 3))), "has no group '/data/demo_0/obs'"),
        (put("data/demo_0", np.zeros((3, 3))), "has no group '/data/demo_0'"),
        (put("mask", np.arange(3)), "has no group '/mask'"),
        (lambda file: file["data"].attrs.update(total=np.inf), "is damaged"),
        (lambda file: file["data/demo_0"].attrs.update(num_samples=np.inf), "is damaged"),
        (lambda file: file["mask"].create_dataset("long", (12,), "S2000000"), "has the mask 'long' of .S2000000"),
    ],
)
def test_a_file_of_another_structure_is_refused(tmp_path: Path, change: Any, match: str) -> None:
    refused(robomimic(tmp_path, change), match)


def test_a_chunk_that_would_not_fit_is_refused(tmp_path: Path) -> None:
    def change(file: Any) -> None:
        group = file["data/demo_0/obs"]
        del group["object"]
        group.create_dataset("object", (3, 3), "f8", maxshape=(None, 3), chunks=(50_000_000, 3))

    refused(robomimic(tmp_path, change), r"in chunks of \(50000000, 3\); at most 1,073,741,824 bytes are read")


def test_an_episode_of_minari_that_is_no_group_is_refused(tmp_path: Path) -> None:
    import h5py

    hdf5_sets.write_minari(tmp_path / "it")
    with h5py.File(tmp_path / "it/data/main_data.hdf5", "r+") as file:
        put("episode_3", np.zeros((3, 3)))(file)
    refused(tmp_path / "it", "has no group '/episode_3'")


@pytest.mark.parametrize("value", ["Infinity", "NaN", "1.5", '"12"', "true"])
def test_a_count_of_minari_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    hdf5_sets.write_minari(tmp_path / "it")
    (tmp_path / "it/data/metadata.json").write_text(f'{{"data_format": "hdf5", "total_steps": {value}}}')
    refused(tmp_path / "it", "total_steps .*, not a whole number")


# Pipes in the place of files


def arrow(folder: Path) -> None:
    import pyarrow as pa

    (folder / "data/0").mkdir(parents=True)
    (folder / "data/metadata.json").write_text('{"data_format": "arrow"}')
    table = pa.table({"observations": np.arange(4.0), "actions": np.arange(4.0)})
    with pa.OSFile(str(folder / "data/0/part-0.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def pickles(folder: Path) -> None:
    import pickle

    folder.mkdir()
    for number in range(2):
        content = {"robot": {"des_c_pos": np.zeros((4, 3)), "c_pos": np.zeros((4, 3)), "time_stamp": np.arange(4.0)}}
        (folder / f"env_{number}.pkl").write_bytes(pickle.dumps(content))


def zarr_store(folder: Path, **kept: Any) -> None:
    import zarr

    root = zarr.open_group(str(folder), mode="w", zarr_format=2)
    for key, size in (("state", 3), ("action", 2)):
        root.create_array(f"data/{key}", data=np.ones((12, size)), chunks=(5, size), **kept)
    root.create_array("meta/episode_ends", data=np.array([5, 12]))


PIPES: dict[str, tuple[Callable[[Path], object], str]] = {
    "lerobot": (lambda folder: lerobot_sets.write_v3(folder, lerobot_sets.frames()), "data: it\n"),
    "lerobot_v2": (lerobot_sets.write_v2, "data: it\n"),
    "minari": (hdf5_sets.write_minari, "data: it\nrate_hz: 10\n"),
    "arrow": (arrow, "data: it\nrate_hz: 10\n"),
    "zarr": (zarr_store, ZARR),
    "d3il": (pickles, "data: it\n"),
    "kitchen": (padded_sets.write_kitchen, "data: it\n"),
    "block_push": (padded_sets.write_block_push, "data: it\n"),
}


@pytest.mark.parametrize("name", PIPES)
def test_a_pipe_in_the_place_of_any_file_is_not_waited_for(tmp_path: Path, name: str) -> None:
    write, text = PIPES[name]
    write(tmp_path / "it")
    file = described(tmp_path, text)
    DemonstrationSet.load(file)
    for place in [path for path in (tmp_path / "it").rglob("*") if path.is_file()]:
        content = place.read_bytes()
        place.unlink()
        os.mkfifo(place)
        try:
            DemonstrationSet.load(file)
        except DemonstrationError as error:
            assert "it" in str(error)
        place.unlink()
        place.write_bytes(content)
    DemonstrationSet.load(file)


# Zarr


def edited(folder: Path, array: str = "data/state", **fields: Any) -> Path:
    """Write a store with changed metadata of an array, and its description."""
    zarr_store(folder / "it", compressors=None)
    file = folder / "it" / array / ".zarray"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))
    return described(folder, ZARR)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"fill_value": 10**400}, "its fill value .* is beyond float64"),
        ({"dtype": "<i4", "fill_value": 2**40}, "its fill value 1099511627776 is beyond int32"),
        ({"dtype": "(3,)f8"}, "which are not numbers"),
        ({"dtype": "<f8,<f8"}, "which are not numbers"),
        ({"dtype": ","}, "which are not numbers"),
        ({"dtype": "(10,(("}, "which are not numbers"),
        ({"dtype": None}, "which are not numbers"),
        ({"filters": [{"id": "astype", "encode_dtype": "(9,)f8", "decode_dtype": "<f8"}]}, "astype has the type"),
    ],
)
def test_metadata_that_no_array_has_is_refused(tmp_path: Path, fields: dict[str, Any], match: str) -> None:
    refused(edited(tmp_path, **fields), match)


def test_shards_of_too_many_chunks_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zarr

    root = zarr.open_group(str(tmp_path / "it"), mode="w", zarr_format=3)
    for key, size in (("state", 3), ("action", 2)):
        root.create_array(f"data/{key}", data=np.ones((12, size)), chunks=(1, 1), shards=(12, size))
    root.create_array("meta/episode_ends", data=np.array([5, 12]))
    file = described(tmp_path, ZARR)
    DemonstrationSet.load(file)
    monkeypatch.setattr(zarr_arrays, "MAX_CHUNKS_OF_SHARD", 30)
    refused(file, "its shards hold 36 chunks each; at most 30 are read")


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_zip_file_is_refused_or_harmless(tmp_path: Path, packing: int) -> None:
    zarr_store(tmp_path / "folder")
    with zipfile.ZipFile(tmp_path / "it", "w", packing) as archive:
        for path in sorted((tmp_path / "folder").rglob("*")):
            if path.is_file():
                archive.write(path, str(path.relative_to(tmp_path / "folder")))
    content, file = (tmp_path / "it").read_bytes(), described(tmp_path, ZARR)
    whole = DemonstrationSet.load(file)
    random = np.random.default_rng(0)
    for place in [*random.integers(0, len(content), 60), *random.integers(len(content) - 400, len(content), 60)]:
        damage = bytearray(content)
        damage[place] ^= 0xFF
        (tmp_path / "it").write_bytes(damage)
        try:
            found = DemonstrationSet.load(file)
        except DemonstrationError as error:
            assert "it'" in str(error)
            assert "probe" not in str(error)
        else:
            assert found.observation.shape == whole.observation.shape


# Parquet and images


def changed(folder: Path, column: str, values: Any) -> Path:
    """Replace a column of the frames of a LeRobot data set with images."""
    import pyarrow.parquet as pq

    lerobot_sets.write_v3(folder, lerobot_sets.frames(images=True))
    for file in (folder / "data").rglob("*.parquet"):
        table = pq.read_table(file)
        pq.write_table(table.set_column(table.column_names.index(column), column, values(table.num_rows)), file)
    return folder


def test_lists_that_are_far_too_long_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa

    folder = changed(tmp_path / "it", "observation.state", lambda rows: pa.array([[0.0] * 40] * rows))
    refused(folder, "with lists of 40 to 40 numbers instead of 3")
    monkeypatch.setattr(parquet, "_SPARE_VALUES", 0)
    refused(folder, "has 480 numbers in the column 'observation.state', but 12 rows of 3")


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    lerobot_sets.write_v3(tmp_path / "it", lerobot_sets.frames())
    (file,) = (tmp_path / "it/data").rglob("*.parquet")
    table = pq.read_table(file)
    pq.write_table(table.append_column("observation.state", table.column("observation.state")), file)
    refused(tmp_path / "it", "has the column 'observation.state' twice")


def test_more_rows_than_are_counted_are_not_read(tmp_path: Path) -> None:
    """A pattern without numbers names one file for every episode."""
    lerobot_sets.write_v2(tmp_path / "it")
    file = tmp_path / "it/meta/info.json"
    fields = json.loads(file.read_text())
    file.write_text(json.dumps({**fields, "data_path": "data/chunk-000/episode_000001.parquet"}))
    refused(tmp_path / "it", "rows instead of at most")


def test_images_are_read_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = lerobot_sets.frames(images=True)
    lerobot_sets.write_v3(tmp_path / "it", made)
    monkeypatch.setattr(parquet, "_IMAGES_AT_ONCE", 5)
    sizes: list[int] = []

    def decoded(encoded: Any, *args: Any) -> Any:
        sizes.append(len(encoded))
        return decode(encoded, *args)

    decode = images.decode_images
    monkeypatch.setattr(parquet, "decode_images", decoded)
    found = DemonstrationSet.load(tmp_path / "it")
    assert np.array_equal(found.arrays["images.top"], made["observation.images.top"])
    assert max(sizes) <= 5


def png(width: int, height: int) -> bytes:
    """Return a PNG file that states a size and holds no pixel."""

    def part(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(b"")) + part(b"IEND", b"")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("content", "match"),
    [
        (png(60_000, 60_000), "image 0 cannot be read"),
        (png(10_000, 10_000), "it has 10000 x 10000 pixels, not 4 x 6"),
        (png(6, 4), "image 0 cannot be read"),
        (b"GIF89a" + bytes(20), "image 0 cannot be read"),
        (b"", "image 0 cannot be read"),
        (None, "image 0 is not in the file, only its path"),
    ],
)
def test_an_image_of_another_size_is_refused(tmp_path: Path, content: bytes | None, match: str) -> None:
    import pyarrow as pa

    column = "observation.images.top"
    folder = changed(
        tmp_path / "it", column, lambda rows: pa.array([{"bytes": content, "path": "x"}] * rows, image_type())
    )
    refused(folder, match)


def image_type() -> Any:
    import pyarrow as pa

    return pa.struct([("bytes", pa.binary()), ("path", pa.string())])


# Names


@pytest.mark.parametrize(
    "key", ["\N{GRINNING FACE}", "a\N{COMBINING ACUTE ACCENT}", "\x1b[31m", "\u202eabc", "tab\t", "ö"]
)
def test_a_description_has_any_key_as_it_is(tmp_path: Path, key: str) -> None:
    def change(file: Any) -> None:
        for number in range(12):
            file[f"data/demo_{number}/obs/{key}"] = np.ones((3 + number, 2))

    source = robomimic(tmp_path, change)
    write_outline(source, tmp_path / "set.yaml")
    text = (tmp_path / "set.yaml").read_text(encoding="utf-8")
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert f"obs/{key}" in [one.key for one in read_description(tmp_path / "set.yaml")[1].observation]


# Writing


def test_what_a_killed_writer_left_is_removed_and_what_it_put_aside_returns(tmp_path: Path) -> None:
    hdf5_sets.write_robomimic(tmp_path / "it.hdf5")
    made = DemonstrationSet.load(tmp_path / "it.hdf5")
    lerobot_writer.write(made, tmp_path / "out")
    left = tmp_path / ".out.999999999-0123abcd.partial"
    left.mkdir()
    (tmp_path / "out").rename(left / "old")
    (left / "new").mkdir()
    lerobot_writer.write(made, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["it.hdf5", "out"]
    assert np.array_equal(DemonstrationSet.load(tmp_path / "out").lengths, made.lengths)


@pytest.mark.parametrize("name", ["npz", "lerobot"])
def test_a_killed_conversion_can_be_begun_again(tmp_path: Path, name: str) -> None:
    hdf5_sets.write_robomimic(tmp_path / "it.hdf5")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.demonstrations.npz.999999999-0123abcd.partial").write_bytes(b"half")
    convert(tmp_path / "it.hdf5", name, tmp_path / "out")
    assert not list(tmp_path.rglob("*.partial"))
    with pytest.raises(DemonstrationError, match="is not empty"):
        convert(tmp_path / "it.hdf5", name, tmp_path / "out")


@pytest.mark.parametrize("name", ["npz", "lerobot"])
def test_a_full_disk_names_the_place_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def full(*args: Any, **kept: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    hdf5_sets.write_robomimic(tmp_path / "it.hdf5")
    monkeypatch.setattr("numpy.savez_compressed", full)
    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*out"):
        convert(tmp_path / "it.hdf5", name, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["it.hdf5"]
