"""Files of torch.save, read without running anything in them."""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from traps import Trap

from vdd_ros.errors import CheckpointError
from vdd_ros.learning.importing import torch_archive
from vdd_ros.learning.importing.torch_archive import Foreign, StoredTensor, opened


def read(file: Path) -> Any:
    with opened(file) as archive:
        return archive.content


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(6.0).reshape(2, 3),
        torch.arange(12.0).reshape(3, 4).t()[1:, ::2],
        torch.arange(5, dtype=torch.float64)[2],
        torch.zeros(0, 3),
        torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        torch.tensor([1, 2]),
        torch.ones(1).expand(1),
    ],
)
def test_tensors_come_back_as_they_were(tmp_path: Path, tensor: torch.Tensor) -> None:
    made = OrderedDict(a=tensor, b=torch.nn.Parameter(tensor) if tensor.is_floating_point() else tensor)
    torch.save({"x": made, "n": 3, "l": [1.5, None, (True, "t")]}, tmp_path / "f.ckpt")
    with opened(tmp_path / "f.ckpt") as archive:
        content: Any = archive.content
        found = archive.tensors(content["x"])
    assert (content["n"], content["l"]) == (3, [1.5, None, (True, "t")])
    for name, one in found.items():
        assert one.dtype == tensor.dtype
        assert torch.equal(one, made[name])


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_nothing_runs_and_other_classes_are_not_made(tmp_path: Path, protocol: int) -> None:
    trap = Trap(tmp_path / "ran")
    torch.save({"w": trap, "p": Path("x"), "t": torch.ones(2)}, tmp_path / "f.ckpt", pickle_protocol=protocol)
    content = read(tmp_path / "f.ckpt")
    assert not (tmp_path / "ran").exists()
    assert isinstance(content["w"], Foreign)
    assert isinstance(content["p"], Foreign)
    assert isinstance(content["t"], StoredTensor)
    torch.load(tmp_path / "f.ckpt", weights_only=False)
    assert (tmp_path / "ran").exists()  # so it would have run


@pytest.mark.parametrize("kept", [0, 2, 100, 0.5, -1])
def test_files_that_are_cut_off(tmp_path: Path, kept: float) -> None:
    file = tmp_path / "f.ckpt"
    torch.save({"w": torch.ones(1_000)}, file)
    content = file.read_bytes()
    file.write_bytes(content[: round(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(
        CheckpointError, match=r"f\.ckpt' is truncated or no file of torch\.save: .*copy the checkpoint"
    ):
        read(file)


def test_numbers_that_were_damaged(tmp_path: Path) -> None:
    file = tmp_path / "f.ckpt"
    torch.save({"w": torch.full((1_000,), 0.125)}, file)
    content = bytearray(file.read_bytes())
    content[content.index(bytes(torch.full((8,), 0.125).numpy())) + 64] ^= 1
    file.write_bytes(content)
    with opened(file) as archive:
        stored: Any = archive.content
        with pytest.raises(CheckpointError, match="Bad CRC-32"):
            archive.tensors(stored)


def repacked(file: Path, change: Callable[[str, bytes], bytes | None], compression: int = zipfile.ZIP_STORED) -> None:
    """Write the archive again with other members; None leaves one out."""
    torch.save({"w": torch.ones(4)}, file)
    content = io.BytesIO(file.read_bytes())
    with zipfile.ZipFile(content) as old, zipfile.ZipFile(file, "w", compression) as new:
        for name in old.namelist():
            if (found := change(name, old.read(name))) is not None:
                new.writestr(name, found)


def read_all(file: Path) -> None:
    with opened(file) as archive:
        content: Any = archive.content
        archive.tensors(content)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda n, c: None if n.endswith("data.pkl") else c, "not an archive as torch.save writes it"),
        (lambda n, c: None if n.endswith("data/0") else c, "data/0"),
        (lambda n, c: c[:-4] if n.endswith("data/0") else c, "data/0 has 12 bytes, not 16"),
        (lambda n, c: c + c if n.endswith("data/0") else c, "data/0 has 32 bytes, more than 16"),
        (lambda n, c: b"big" if n.endswith("byteorder") else c, "not in little-endian order"),
        (
            lambda n, c: c.replace(b"FloatStorage", b"QInt8Storage") if n.endswith(".pkl") else c,
            "the type QInt8Storage",
        ),
        (
            lambda n, c: b"\x80\x02\x82\x01." if n.endswith("data.pkl") else c,
            "the step EXT1, which torch does not write",
        ),
        (lambda n, c: b"\x80\x02K\x01Q." if n.endswith("data.pkl") else c, "refers to something other than numbers"),
    ],
)
def test_archives_that_torch_does_not_write(
    tmp_path: Path, change: Callable[[str, bytes], bytes | None], reason: str
) -> None:
    repacked(tmp_path / "f.ckpt", change)
    with pytest.raises(CheckpointError, match=reason):
        read_all(tmp_path / "f.ckpt")


def test_packed_archives_are_not_unpacked(tmp_path: Path) -> None:
    """A few bytes may unpack to any number of them."""
    repacked(tmp_path / "f.ckpt", lambda _, content: content + bytes(1 << 20), zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match=r"is packed or encrypted, as torch\.save never does"):
        read(tmp_path / "f.ckpt")


class _Rebuilt:
    """A tensor with a shape and strides of its own."""

    def __init__(self, tensor: torch.Tensor, shape: tuple[Any, ...], stride: tuple[Any, ...]) -> None:
        self._parts = tensor, shape, stride

    def __reduce__(self) -> Any:
        tensor, shape, stride = self._parts
        return torch._utils._rebuild_tensor_v2, (tensor.storage(), 0, shape, stride, False, OrderedDict())


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
@pytest.mark.parametrize(
    ("shape", "stride", "reason"),
    [
        ((1 << 40,), (0,), "a tensor of the shape"),
        ((2,), (1 << 40,), "a tensor of the shape"),
        ((1,) * 9, (1,) * 9, "a tensor that torch did not write"),
        ((-1,), (1,), "a tensor that torch did not write"),
        (("x",), (1,), "a tensor that torch did not write"),
        ((2, 2), (1,), "zip"),
    ],
)
def test_tensors_larger_than_their_numbers(
    tmp_path: Path, shape: tuple[Any, ...], stride: tuple[Any, ...], reason: str
) -> None:
    torch.save({"w": _Rebuilt(torch.ones(4), shape, stride)}, tmp_path / "f.ckpt")
    with pytest.raises(CheckpointError, match=reason):
        read(tmp_path / "f.ckpt")


def test_one_storage_behind_many_tensors_takes_no_more_memory_than_the_file(tmp_path: Path) -> None:
    torch.save({str(number): torch.ones(10_000) for number in range(1)}, tmp_path / "f.ckpt")
    with opened(tmp_path / "f.ckpt") as archive:
        content: Any = archive.content
        with pytest.raises(CheckpointError, match="its tensors have more numbers than the file"):
            archive.tensors({str(number): content["0"] for number in range(1_000)})


def test_bare_pickles_and_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f.ckpt"
    file.write_bytes(pickle.dumps({"w": Trap(tmp_path / "ran")}))
    with pytest.raises(CheckpointError, match=r"a pickle without an archive around it, .* never opened"):
        read(file)
    file.write_bytes(b"PK\x05\x06" + bytes(18))
    with pytest.raises(CheckpointError, match=r"not an archive as torch\.save writes it"):
        read(file)
    with pytest.raises(CheckpointError, match=r"cannot be read \(it is a folder, not an ordinary file\)"):
        read(tmp_path)
    torch.save({"w": torch.ones(4)}, file)
    monkeypatch.setattr(torch_archive, "MAX_BYTES", 100)
    with pytest.raises(CheckpointError, match="bytes; at most 100 are read"):
        read(file)
    assert not (tmp_path / "ran").exists()
