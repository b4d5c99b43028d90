"""The file of a demonstration set, read so that nothing it says can take long or much: sizes before numbers."""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vdd_ros.documents import parse_json
from vdd_ros.errors import DemonstrationError
from vdd_ros.features import Feature, from_pairs
from vdd_ros.text import printable

ARRAYS = {
    **{"header": "text", "observation": "float64", "action": "float64"},
    **{"lengths": "int64", "modes": "int64", "contexts": "float64"},
}
"""Members of the archive, and the types of their numbers."""
OPTIONAL = ("contexts",)
"""Left out where every episode starts alike."""
MAX_BYTES = 4 << 30
"""Of all arrays together: 10,000 episodes of 1,000 pairs of 50 numbers."""
MAX_HEADER_BYTES = 1 << 20
MAX_ENTRIES = 4_096
MAX_TEXT = 200
_MAX_NPY_HEADER = 4_096


class _Member(NamedTuple):
    """What an array's own header says."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def read_file(file: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read the header and the arrays of a set; the arrays fit each other and the header.

    Raises:
        ValueError: What is wrong.
        DemonstrationError: The header is no JSON.
    """
    if not zipfile.is_zipfile(file):
        raise ValueError("it is no .npz archive, or was cut off")
    with zipfile.ZipFile(file) as archive:
        members = {name: _look(archive, name) for name in _names(archive)}
        _check_types(members)
        header = parse_json(str(_read(archive, "header")), f"the header of '{file}'", DemonstrationError)
        if not isinstance(header, dict):
            raise ValueError("its header is no JSON object")
        _check_shapes(members)
        lengths = _read(archive, "lengths")
        pairs = members["observation"].shape[0]
        if not len(lengths) or lengths.min() < 1 or lengths.max() > pairs or lengths.sum() != pairs:
            raise ValueError(f"its lengths do not add up to its {pairs:,} pairs, or one is below 1")
        arrays = {name: _read(archive, name) for name in members if name not in ("header", "lengths")}
        if arrays["modes"].min() < -1:
            raise ValueError(f"it has the mode {arrays['modes'].min()}; modes count from 0, and -1 is an unknown one")
    return header, {**arrays, "lengths": lengths}


def _names(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the arrays; raises ValueError if they are not those of a set."""
    found = [info.filename for info in archive.infolist()]
    for name in found:
        if name.removesuffix(".npy") not in ARRAYS or not name.endswith(".npy"):
            raise ValueError(f"it holds '{printable(name)}', which demonstrations have not")
    if missing := [name for name in ARRAYS if f"{name}.npy" not in found and name not in OPTIONAL]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    if len(found) > len(set(found)):
        raise ValueError("it holds an array twice")
    return [name for name in ARRAYS if f"{name}.npy" in found]


@contextmanager
def _opened(archive: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    info = archive.getinfo(f"{name}.npy")
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"'{name}' is encrypted or packed in a way that numpy does not use")
    with archive.open(info) as stream:
        yield stream


def _look(archive: zipfile.ZipFile, name: str) -> _Member:
    """Read what an array's own header says; raises ValueError if the archive holds another number of bytes."""
    with _opened(archive, name) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"'{name}' has version {version} of numpy's format, not 1 or 2")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream, max_header_size=_MAX_NPY_HEADER)
        member = _Member(shape, dtype)
        if member.dtype.hasobject:
            raise ValueError(f"'{name}' holds Python objects, which are never loaded")
        there = archive.getinfo(f"{name}.npy").file_size - stream.tell()
        if min(shape, default=0) < 0 or member.bytes != there:
            raise ValueError(f"'{name}' says that it has the shape {shape}, but there are {there:,} bytes")
    return member


def _check_types(members: dict[str, _Member]) -> None:
    for name, member in members.items():
        wanted = ARRAYS[name]
        if wanted == "text":
            if member.dtype.kind != "U" or member.shape != () or member.bytes > MAX_HEADER_BYTES:
                raise ValueError(f"its header is no text of at most {MAX_HEADER_BYTES // 4:,} characters")
        elif member.dtype != np.dtype(wanted):
            raise ValueError(f"'{name}' is {member.dtype}, not {wanted}")
    if (total := sum(member.bytes for member in members.values())) > MAX_BYTES:
        raise ValueError(f"its arrays have {total:,} bytes; at most {MAX_BYTES:,} are read: split it")


def _check_shapes(members: dict[str, _Member]) -> None:
    shapes = {name: member.shape for name, member in members.items()}
    if [len(shapes[name]) for name in ("observation", "action", "lengths", "modes")] != [2, 2, 1, 1]:
        raise ValueError("observation and action must have two axes, lengths and modes one")
    if shapes["observation"][0] != shapes["action"][0]:
        raise ValueError(f"it has {shapes['observation'][0]:,} observations, but {shapes['action'][0]:,} actions")
    if shapes["lengths"] != shapes["modes"]:
        raise ValueError(f"it has {shapes['lengths'][0]:,} lengths, but {shapes['modes'][0]:,} modes")
    if (contexts := shapes.get("contexts")) is not None and (len(contexts) != 2 or contexts[:1] != shapes["lengths"]):
        raise ValueError(f"it has {shapes['lengths'][0]:,} episodes, but contexts of shape {contexts}")


def _read(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with _opened(archive, name) as stream:
        array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False, max_header_size=_MAX_NPY_HEADER)
    return array


def check_header(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a set's header, with features for its entries.

    Raises:
        ValueError: A field is missing, unknown or holds what it cannot.
    """
    needed = ("task", "observation", "action", "rate_hz", "source")
    if missing := [name for name in needed if name not in fields]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    if unknown := sorted(fields.keys() - {*needed, "seed", "context"}):
        raise ValueError(f"it has the unknown field {printable(unknown[0])}")
    for name in ("task", "source"):
        if not isinstance(fields[name], str) or not 0 < len(fields[name]) <= 5 * MAX_TEXT:
            raise ValueError(f"its {name} is {printable(fields[name])!r}, not a text of 1 to {5 * MAX_TEXT} characters")
    rate_hz, seed = fields["rate_hz"], fields.get("seed")
    if isinstance(rate_hz, bool) or not isinstance(rate_hz, int | float) or not 0 < rate_hz <= 1e6:
        raise ValueError(f"its rate_hz is {printable(rate_hz)}, not a number above 0 and up to 1,000,000")
    if isinstance(seed, bool) or not (seed is None or isinstance(seed, int)):
        raise ValueError(f"its seed is {printable(seed)}, neither a whole number nor null")
    entries = {name: _entries(name, fields[name]) for name in ("observation", "action")}
    return {**fields, **entries, "context": _entries("context", fields.get("context", []), least=0)}


def _entries(name: str, pairs: object, least: int = 1) -> tuple[Feature, ...]:
    if pairs == [] and least == 0:
        return ()
    try:
        return from_pairs(pairs, MAX_ENTRIES, MAX_TEXT)
    except ValueError as error:
        raise ValueError(f"its {name} {error}") from None
