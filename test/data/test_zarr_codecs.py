"""Shards, filters, moved axes and checksums of zarr stores: read like zarr's own reader, or refused by name."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats import zarr_arrays
from vdd_ros.data.formats.crc32c import crc32c
from vdd_ros.data.formats.outline import outline
from vdd_ros.data.formats.zarr_arrays import ZarrArray, read_array
from vdd_ros.data.formats.zarr_store import opened
from vdd_ros.errors import DemonstrationError

zarr = pytest.importorskip("zarr", minversion="3")
numcodecs = pytest.importorskip("numcodecs")
pytestmark = pytest.mark.filterwarnings("ignore")  # zarr warns of codecs outside its specification


def made(dtype: str = "<f4") -> NDArray[Any]:
    values = np.random.default_rng(0).normal(0, 40, (13, 5))
    return (values > 0 if dtype == "|b1" else values).astype(dtype)


def write(folder: Path, values: NDArray[Any], version: int, **options: Any) -> NDArray[Any]:
    """Write an array x with chunks that do not divide it, unless given, and return it as zarr reads it."""
    root = zarr.open_group(str(folder), mode="w", zarr_format=version)
    root.create_array("x", data=values, **{"chunks": (4, 3), **options})
    return np.asarray(zarr.open_group(str(folder), mode="r")["x"][:])


def found(folder: Path) -> ZarrArray:
    with opened(folder) as store:
        array = read_array(store, "x")
    assert array is not None
    return array


def read(folder: Path) -> NDArray[Any]:
    array = found(folder)
    assert array.problem == ""
    with opened(folder) as store:
        return array.read(store)


FILTERED: dict[str, tuple[str, list[Any]]] = {
    "delta": ("<f4", [numcodecs.Delta("<f4")]),
    "delta in another type": ("<i4", [numcodecs.Delta("<i4", "<i2")]),
    "delta of floats in doubles": ("<f4", [numcodecs.Delta("<f4", "<f8")]),
    "scale and offset": ("<f8", [numcodecs.FixedScaleOffset(offset=-200.0, scale=10, dtype="<f8", astype="<u2")]),
    "quantised": ("<f8", [numcodecs.Quantize(3, "<f8", "<f4")]),
    "as type": ("<f8", [numcodecs.AsType("<f4", "<f8")]),
    "rounded": ("<f4", [numcodecs.BitRound(7)]),
    "packed bits": ("|b1", [numcodecs.PackBits()]),
    "shuffled": ("<i4", [numcodecs.Shuffle(4)]),
    "several": ("<i4", [numcodecs.Delta("<i4"), numcodecs.AsType("<i8", "<i4"), numcodecs.Shuffle(8)]),
}


@pytest.mark.parametrize("name", FILTERED)
@pytest.mark.parametrize("order", ["C", "F"])
def test_filters_are_undone_as_zarr_undoes_them(tmp_path: Path, name: str, order: str) -> None:
    dtype, filters = FILTERED[name]
    options = {"filters": filters, "compressors": numcodecs.Blosc(), "order": order}
    wanted = write(tmp_path / "s", made(dtype), 2, **options)
    assert np.array_equal(read(tmp_path / "s"), wanted)


def test_filters_may_make_more_of_a_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zarr_arrays, "_SLACK", 0)
    wanted = write(tmp_path / "s", made(), 2, filters=[numcodecs.Delta("<f4", "<f8")], compressors=None)
    assert np.array_equal(read(tmp_path / "s"), wanted)


def test_filtered_chunks_that_were_cut_off_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "s", made("|b1"), 2, filters=[numcodecs.PackBits()], compressors=None)
    file = tmp_path / "s/x/0.0"
    file.write_bytes(file.read_bytes()[:2])
    with pytest.raises(DemonstrationError, match=r"damaged chunk 'x/0\.0' \(it has 2 bytes instead of 3"):
        read(tmp_path / "s")


def version_3() -> dict[str, dict[str, Any]]:
    from zarr.codecs import BytesCodec, Crc32cCodec, TransposeCodec, ZstdCodec
    from zarr.codecs.numcodecs import LZ4, Shuffle

    return {
        "transposed": {"filters": [TransposeCodec(order=(1, 0))]},
        "big-endian": {"serializer": BytesCodec(endian="big")},
        "checksum behind": {"compressors": [ZstdCodec(), Crc32cCodec()]},
        "checksum before": {"compressors": [Crc32cCodec(), ZstdCodec()]},
        "of numcodecs": {"compressors": [Shuffle(elementsize=4), LZ4()]},
        "shards": {"shards": (8, 6)},
        "one shard, transposed": {"shards": (16, 6), "filters": [TransposeCodec(order=(1, 0))], "compressors": None},
    }


@pytest.mark.parametrize("name", version_3())
def test_codecs_of_version_3_are_read(tmp_path: Path, name: str) -> None:
    wanted = write(tmp_path / "s", made(), 3, **version_3()[name])
    assert np.array_equal(read(tmp_path / "s"), wanted)


@pytest.mark.parametrize("location", ["start", "end"])
@pytest.mark.parametrize("checksum", [True, False])
def test_shards_with_chunks_that_are_not_stored(tmp_path: Path, location: str, checksum: bool) -> None:
    from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec, ZstdCodec

    index: list[Any] = [BytesCodec(endian="big"), *([Crc32cCodec()] if checksum else [])]
    sharding = ShardingCodec(
        chunk_shape=(2, 3), codecs=[BytesCodec(), ZstdCodec()], index_codecs=index, index_location=location
    )
    values = made()
    values[:4] = 7.0
    root = zarr.open_group(str(tmp_path / "s"), mode="w")
    array = root.create_array(
        "x", shape=values.shape, dtype="f4", chunks=(8, 6), serializer=sharding, compressors=None, fill_value=7.0
    )
    array[:] = values
    assert np.array_equal(read(tmp_path / "s"), values)


def shard(folder: Path) -> Path:
    write(folder, made(), 3, shards=(8, 6))
    return folder / "x/c/0/0"


def test_a_damaged_shard_is_refused(tmp_path: Path) -> None:
    file = shard(tmp_path / "s")
    content = file.read_bytes()
    index = content[-(4 * 16 + 4) : -4]
    far = struct.pack("<QQ", len(content), 8) + index[16:]
    damages = {
        "checksum is wrong": content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
        "was truncated": content[:40],
        "after its end": content[: -(4 * 16 + 4)] + far + crc32c(far).to_bytes(4, "little"),
    }
    for message, damage in damages.items():
        file.write_bytes(damage)
        with pytest.raises(DemonstrationError, match=rf"damaged chunk 'x/c/0/0' \(.*{message}"):
            read(tmp_path / "s")


def edit(folder: Path, **changes: Any) -> None:
    file = folder / "x/zarr.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def codec(name: str, **settings: Any) -> dict[str, Any]:
    return {"name": name, "configuration": settings}


INDEX = [codec("bytes", endian="little"), codec("crc32c")]


def shards_of(codecs: list[Any], **changes: Any) -> dict[str, Any]:
    return codec("sharding_indexed", **{"chunk_shape": [2, 3], "codecs": codecs, "index_codecs": INDEX} | changes)


@pytest.mark.parametrize(
    ("codecs", "message"),
    [
        ([codec("bytes"), codec("zstd"), codec("gzip")], "is compressed twice, which is not supported"),
        ([codec("bytes"), codec("zstd"), codec("numcodecs.shuffle")], "has the filter 'shuffle' after a compression"),
        ([codec("bytes"), codec("numcodecs.pcodec")], "is in the codec 'pcodec', which is not supported; blosc, zstd"),
        ([codec("numcodecs.delta", dtype="<i8"), codec("bytes")], "has the filter 'delta' for <i8 on numbers of <f4"),
        ([codec("transpose", order=[1, 0]), codec("numcodecs.delta"), codec("bytes")], "has filters on moved axes"),
        ([codec("bytes"), codec("numcodecs.crc32c", location="start")], "has checksums before its chunks"),
        ([shards_of([codec("bytes")]), codec("zstd")], "has codecs around its shards, which are not read"),
        ([shards_of([shards_of([codec("bytes")])])], "has shards in shards, which are not read"),
    ],
)
def test_what_is_not_read_is_named(tmp_path: Path, codecs: list[Any], message: str) -> None:
    write(tmp_path / "s", made(), 3)
    edit(tmp_path / "s", codecs=codecs, chunk_grid=codec("regular", chunk_shape=[4, 3]))
    assert message in found(tmp_path / "s").problem


@pytest.mark.parametrize(
    "codecs",
    [
        [codec("transpose", order=[0, 0]), codec("bytes")],
        [codec("numcodecs.delta", dtype="O"), codec("bytes")],
        [codec("numcodecs.delta", dtype="no type"), codec("bytes")],
        [shards_of([codec("bytes")], chunk_shape=[3, 3])],
        [shards_of([codec("bytes")], index_codecs=[codec("zstd")])],
        [shards_of([codec("bytes")], index_location="middle")],
        "bytes",
    ],
)
def test_codecs_that_cannot_be_are_refused(tmp_path: Path, codecs: Any) -> None:
    write(tmp_path / "s", made(), 3)
    edit(tmp_path / "s", codecs=codecs)
    with pytest.raises(DemonstrationError, match="has invalid metadata of the array 'x'"):
        found(tmp_path / "s")


def test_images_of_another_codec_are_left_out_by_name(tmp_path: Path) -> None:
    """A store as UMI's: images in JPEG XL beside numbers. A first description leaves them out, and says so."""
    root = zarr.open_group(str(tmp_path / "umi.zarr"), mode="w", zarr_format=2)
    for key, size in (("action", 2), ("state", 3)):
        root.create_array(f"data/{key}", data=made()[:12, :size], chunks=(5, size))
    root.create_array("data/camera0_rgb", data=np.zeros((12, 4, 4, 3), np.uint8), chunks=(1, 4, 4, 3))
    root.create_array("meta/episode_ends", data=np.array([5, 12]))
    file = tmp_path / "umi.zarr/data/camera0_rgb/.zarray"
    file.write_text(
        json.dumps(json.loads(file.read_text()) | {"compressor": {"id": "imagecodecs_jpegxl", "level": 99}})
    )
    text = outline(tmp_path / "umi.zarr", tmp_path / "umi.yaml")
    assert "# camera0_rgb: left out, since it is in the image codec 'imagecodecs_jpegxl'" in text
    (tmp_path / "umi.yaml").write_text(text.replace("rate_hz: ???", "rate_hz: 60"))
    assert np.array_equal(DemonstrationSet.load(tmp_path / "umi.yaml").observation, made()[:12, :3])
    (tmp_path / "all.yaml").write_text("data: umi.zarr\nrate_hz: 60\nobservation: [state, camera0_rgb]\n")
    with pytest.raises(DemonstrationError, match=r"'camera0_rgb', which is in the image codec .* Leave it"):
        DemonstrationSet.load(tmp_path / "all.yaml")


@pytest.mark.parametrize("size", [0, 1, 3, 4, 100, 1023, 1024, 1025, 5000])
def test_the_checksum_is_that_of_its_polynomial(size: int) -> None:
    """Against the definition, bit by bit; and the check value of the catalogue of CRCs."""
    content = np.random.default_rng(size).bytes(size)
    register = 0xFFFFFFFF
    for byte in content:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    assert crc32c(content) == register ^ 0xFFFFFFFF
    assert crc32c(b"123456789") == 0xE3069283
