"""Large sets: stored uncompressed, mapped into memory, hashed and checked a block at a time."""

import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from vdd_ros.data import blocks
from vdd_ros.data.demonstrations import FILE_NAME, DemonstrationSet, Header
from vdd_ros.data.formats import npz
from vdd_ros.errors import DemonstrationError
from vdd_ros.features import Feature

HEADER = Header("toy", (Feature("x", "m"), Feature("y", "m")), (Feature("dx", "m"),), 20.0, "a test")


def made(pairs: int = 40) -> DemonstrationSet:
    random = np.random.default_rng(0)
    lengths = np.array([pairs // 4, pairs - pairs // 4])
    return DemonstrationSet(
        HEADER, random.normal(size=(pairs, 2)), random.normal(size=(pairs, 1)), lengths, np.array([0, -1])
    )


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take everything for large."""
    monkeypatch.setattr(npz, "COMPRESSED_BELOW", 1)
    monkeypatch.setattr(npz, "MAPPED_FROM", 1)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 48)


def test_a_large_set_is_mapped_and_the_same(large: None, tmp_path: Path) -> None:
    before = made()
    found = DemonstrationSet.load(before.save(tmp_path))
    assert found.is_mapped
    assert isinstance(found.observation, np.memmap) and isinstance(found.action, np.memmap)
    assert np.array_equal(found.observation, before.observation)
    assert np.array_equal(found.action, before.action)
    assert found.sha256 == before.sha256


def test_the_digest_does_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = made().sha256
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 48)
    assert made().sha256 == whole


def test_a_small_set_is_compressed_and_in_memory(tmp_path: Path) -> None:
    file = made().save(tmp_path)
    with zipfile.ZipFile(file) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_DEFLATED}
    assert not DemonstrationSet.load(file).is_mapped


def test_a_larger_set_is_stored_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compressing it would take longer than making it."""
    monkeypatch.setattr(npz, "COMPRESSED_BELOW", made().observation.nbytes)
    file = made().save(tmp_path)
    with zipfile.ZipFile(file) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    found = DemonstrationSet.load(file)
    assert (found.is_mapped, found.sha256) == (False, made().sha256)


def test_reading_and_hashing_take_memory_for_blocks_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """24 MB in blocks of 100 kB; what numpy allocates is counted by tracemalloc, mapped pages are not."""
    monkeypatch.setattr(npz, "MAPPED_FROM", 1 << 20)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 100_000)
    file = made(1_000_000).save(tmp_path)
    tracemalloc.start()
    try:
        found = DemonstrationSet.load(file)
        assert len(found.sha256) == 64
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_the_limit_is_about_what_is_read(large: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz, "MAX_BYTES", 2_000)  # of the header and the lengths
    assert len(DemonstrationSet.load(made(400).save(tmp_path)).action) == 400
    monkeypatch.setattr(npz, "MAPPED_FROM", 1 << 20)
    with pytest.raises(DemonstrationError, match=r"at most 2,000 are read: split it, or store it uncompressed"):
        DemonstrationSet.load(tmp_path)


def test_a_mapped_set_that_was_cut_off_is_refused(large: None, tmp_path: Path) -> None:
    content = made().save(tmp_path).read_bytes()
    for size in range(0, len(content), 37):
        (tmp_path / FILE_NAME).write_bytes(content[:size])
        with pytest.raises(DemonstrationError):
            DemonstrationSet.load(tmp_path)


def test_values_that_are_not_finite_are_found_in_any_block(large: None, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(40, 2))
    values[[31, 39], 1] = np.nan
    file = tmp_path / FILE_NAME
    whole = made()
    header = np.array(
        '{"format_version": 1, "task": "toy", "observation": [["x", "m"], ["y", "m"]], '
        '"action": [["dx", "m"]], "rate_hz": 20, "source": "a test"}'
    )
    np.savez(file, header=header, observation=values, action=whole.action, lengths=whole.lengths, modes=whole.modes)
    with pytest.raises(DemonstrationError, match="'observation' is not finite in 2 pairs, first in pair 31"):
        DemonstrationSet.load(file)
