"""Files of torch.save, read without running any code in them.

Such a file is a zip archive of a pickle and of the numbers of its tensors. The pickle's steps are interpreted by a
machine of ours: dictionaries, lists, numbers and tensors come back as such; objects of any other class become
`Foreign`, which has the name of the class and the state, but nothing of its behaviour. The numbers of a tensor are read
when they are needed.
"""

import hashlib
import io
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NoReturn

import torch
from torch import Tensor

from vdd_ros.data.formats.pickle_machine import PickleMachine
from vdd_ros.errors import CheckpointError
from vdd_ros.files import open_ordinary
from vdd_ros.learning.fit.checkpoint import MAX_BYTES
from vdd_ros.text import printable

MAX_PICKLE_BYTES = 64 << 20
"""Size limit of the pickle, which holds names and configuration, not the numbers of the tensors."""
_CHUNK = 1 << 20
_MOST_AXES = 8
_TYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class Foreign:
    """An object of a class that is not made.

    Attributes:
        name: Module and name of the class or function.
        state: What the pickle says of the object; None if nothing.
    """

    __slots__ = ("name", "state")

    def __init__(self, name: str) -> None:
        """Take the name."""
        self.name = name
        self.state: object = None


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: torch.dtype
    numel: int


@dataclass(frozen=True)
class StoredTensor:
    """A tensor whose numbers are not read yet.

    Attributes:
        storage: Where they are.
        offset, shape, stride: As torch has them, in numbers.
    """

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Size of its numbers."""
        return math.prod(self.shape) * self.storage.dtype.itemsize


def _tensor(storage: object, offset: object, shape: object, stride: object, *_: object) -> StoredTensor:
    """Take the arguments of torch's own function."""
    if not isinstance(storage, _Storage) or type(offset) is not int or offset < 0:
        raise ValueError("it holds a tensor that torch did not write")
    sizes, strides = _sizes(shape), _sizes(stride)
    reach = offset + sum((size - 1) * step for size, step in zip(sizes, strides, strict=True)) + 1
    count: int = math.prod(sizes)
    if count > storage.numel or (count and reach > storage.numel):
        raise ValueError(f"it holds a tensor of the shape {printable(sizes)} in {storage.numel:,} numbers")
    return StoredTensor(storage, offset, sizes, strides)


def _sizes(value: object) -> tuple[int, ...]:
    if not isinstance(value, tuple) or len(value) > _MOST_AXES or not all(type(n) is int and n >= 0 for n in value):
        raise ValueError("it holds a tensor that torch did not write")
    return value


def _ordered(pairs: object = ()) -> dict[Any, Any]:
    """Return an ordered dictionary as a plain one; torch fills it later."""
    return {}


_FUNCTIONS: dict[str, Callable[..., object]] = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
    "collections.OrderedDict": _ordered,
}


class _Machine(PickleMachine):
    """Accepts every name, and makes nothing of it."""

    writer = "torch"
    steps: ClassVar[dict[str, str]] = {
        **PickleMachine.steps,
        "NEWOBJ": "_new",
        "NEWOBJ_EX": "_new_with_names",
        "BINPERSID": "_persistent",
    }

    def named(self, module: str, name: str) -> object:
        return Foreign(f"{module}.{name}")

    def called(self, function: object, arguments: object) -> object:
        name = function.name if isinstance(function, Foreign) else ""
        known = _FUNCTIONS.get(name)
        return known(*arguments) if known is not None and isinstance(arguments, tuple) else Foreign(name)

    def changed(self, value: object, state: object) -> None:
        if isinstance(value, Foreign):
            value.state = state

    def _new(self, _: object) -> None:
        self._reduce(None)

    def _new_with_names(self, _: object) -> None:
        self._stack.pop()
        self._reduce(None)

    def _persistent(self, _: object) -> None:
        """Take a reference to the numbers of tensors: ("storage", type, key, device, count)."""
        parts = self._stack.pop()
        if not isinstance(parts, tuple) or len(parts) != 5 or not isinstance(parts[1], Foreign):
            raise ValueError("it refers to something other than numbers of a tensor")
        kind = parts[1].name.rpartition(".")[2]
        if kind not in _TYPES or not isinstance(parts[2], str) or type(parts[4]) is not int or parts[4] < 0:
            raise ValueError(f"it holds tensors of the type {printable(kind)}; supported: {', '.join(_TYPES)}")
        self._stack.append(_Storage(parts[2], _TYPES[kind], parts[4]))

    def _put(self, value: object, members: list[Any]) -> None:
        if isinstance(value, dict):
            pairs = zip(members[::2], members[1::2], strict=True)
            super()._put(value, [one for pair in pairs if isinstance(pair[0], str | int) for one in pair])

    def _list_of(self, value: object) -> list[Any]:
        return value if isinstance(value, list) else []


class TorchArchive:
    """An open file of torch.save.

    Attributes:
        content: What was saved: dictionaries, lists, numbers, texts, `StoredTensor` and `Foreign`.
        sha256: Hex digest of the file.
    """

    def __init__(self, file: Path, stream: BinaryIO) -> None:
        """Read the pickle; raises CheckpointError as `opened`."""
        self._file = file
        digest = hashlib.sha256()
        while part := stream.read(_CHUNK):
            digest.update(part)
        self.sha256 = digest.hexdigest()
        with self._refusing():
            self._archive = zipfile.ZipFile(stream)
            names = [info.filename for info in self._archive.infolist()]
            found = [name for name in names if name.endswith("/data.pkl")]
            if len({*names}) != len(names) or len(found) != 1:
                raise ValueError("it is not an archive as torch.save writes it")
            self._folder = found[0].removesuffix("data.pkl")
            if f"{self._folder}byteorder" in names and self._read("byteorder", 16) != b"little":
                raise ValueError("its numbers are not in little-endian order")
            self.content = _Machine().run(self._read("data.pkl", MAX_PICKLE_BYTES))

    def tensors(self, wanted: Mapping[str, StoredTensor]) -> dict[str, Tensor]:
        """Read the numbers of tensors.

        Raises:
            CheckpointError: They are damaged, or have more bytes than the file.
        """
        with self._refusing():
            if sum(one.bytes for one in wanted.values()) > self._file.stat().st_size:
                raise ValueError("its tensors have more numbers than the file")
            return {name: self._tensor(one) for name, one in wanted.items()}

    def _tensor(self, stored: StoredTensor) -> Tensor:
        storage = stored.storage
        size = storage.numel * storage.dtype.itemsize
        content = self._read(f"data/{storage.key}", size)
        if len(content) != size:
            raise ValueError(f"data/{printable(storage.key)} has {len(content):,} bytes, not {size:,}")
        if not size:
            return torch.empty(stored.shape, dtype=storage.dtype)
        flat = torch.frombuffer(bytearray(content), dtype=storage.dtype)
        return flat.as_strided(stored.shape, stored.stride, stored.offset).clone(memory_format=torch.contiguous_format)

    def _read(self, name: str, most: int) -> bytes:
        info = self._archive.getinfo(f"{self._folder}{name}")
        if info.flag_bits & 1 or info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise ValueError(f"{printable(name)} is packed or encrypted, as torch.save never does")
        if info.file_size > most:
            raise ValueError(f"{printable(name)} has {info.file_size:,} bytes, more than {most:,}")
        return self._archive.read(info)

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            _refuse(self._file, f"cannot be read ({error.strerror}); mend the file system or its permissions")
        except Exception as error:  # damaged archives and pickles make the libraries raise nearly anything
            reason = printable(error) or type(error).__name__
            _refuse(self._file, f"is truncated or no file of torch.save: {reason}; copy the checkpoint again")


def _refuse(file: Path, problem: str) -> NoReturn:
    raise CheckpointError(f"'{printable(file)}' {problem}")


@contextmanager
def opened(file: Path) -> Iterator[TorchArchive]:
    """Open a file of torch.save.

    Raises:
        CheckpointError: It is missing, too large, damaged, or no such file.
    """
    try:
        stream = open_ordinary(file)
    except OSError as error:
        _refuse(file, f"cannot be read ({error.strerror}); name the file of a checkpoint")
    with stream:
        size = stream.seek(0, io.SEEK_END)
        if size > MAX_BYTES:
            _refuse(file, f"has {size:,} bytes; at most {MAX_BYTES:,} are read")
        stream.seek(0)
        head = stream.read(2)
        stream.seek(0)
        if head[:1] == b"\x80":
            _refuse(
                file,
                "is a pickle without an archive around it, as torch before 1.6 and others write it, which is never "
                "opened; load it with the program that wrote it, and save it again with a later torch",
            )
        yield TorchArchive(file, stream)
