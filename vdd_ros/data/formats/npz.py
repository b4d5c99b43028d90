"""`demonstrations.npz`, read with bounded time and memory: sizes are checked before data is read.

Sets below `COMPRESSED_BELOW` are compressed. The members of larger ones are not compressed, since measured numbers
hardly shrink, and compression takes longer than everything else. From `MAPPED_FROM` on, observations and actions are
memory-mapped instead of read, so a set may be larger than memory. The archive's checksums are verified for members that
are read, but not for mapped ones; the SHA-256 of the set covers all.
"""

import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DTYPES, FILE_NAME, DemonstrationSet, Header
from vdd_ros.data.foreign import OWN, OWN_ARRAYS, describe
from vdd_ros.data.formats.format import Format
from vdd_ros.data.formats.npz_members import Member, look, read_member
from vdd_ros.documents import JsonObject, parse_json
from vdd_ros.errors import DemonstrationError
from vdd_ros.features import DTYPES as FEATURE_DTYPES
from vdd_ros.features import Feature, from_pairs
from vdd_ros.file_kinds import DEMONSTRATIONS, archive_names, misplaced
from vdd_ros.files import replacing
from vdd_ros.text import printable

FORMAT_VERSION = 1
ARRAYS = {"header": "text", **DTYPES}
"""Members of the archive, and the types of their numbers."""
_ARRAY = re.compile(r"array_(0|[1-9][0-9]{0,3})")
"""Prefix of members with arrays of the observation, numbered in the order of the header, which has their names."""
OPTIONAL = ("contexts",)
"""Member that is omitted if all episodes start alike."""
MAX_BYTES = 4 << 30
"""Limit on all arrays that are read into memory: 10,000 episodes of 1,000 pairs of 50 numbers."""
COMPRESSED_BELOW = 4 << 20
"""Size of the largest array up to which a set is compressed, in bytes."""
MAPPED_FROM = 64 << 20
"""Size from which an uncompressed array is memory-mapped, in bytes."""
_MAPPED = ("observation", "action")
MAX_HEADER_BYTES = 1 << 20
MAX_ENTRIES = 4_096
MAX_TEXT = 200


def probe(path: Path) -> bool:
    """Return whether a file, or the file of the standard name in a folder, has arrays specific to this format."""
    file = path / FILE_NAME if path.is_dir() else path
    return not OWN_ARRAYS.isdisjoint(archive_names(file))


def read(path: Path) -> DemonstrationSet:
    """Read a set written by `write`.

    Args:
        path: The file, or its folder.

    Raises:
        DemonstrationError: The file is missing, damaged, of another version, too large, or another program's.
    """
    file = path / FILE_NAME if path.is_dir() else path
    _check_place(path, file)
    try:
        header, arrays = read_file(file)
    except DemonstrationError:
        raise
    except Exception as error:  # zipfile and numpy raise nearly anything for a damaged archive
        raise DemonstrationError(
            f"'{printable(file)}' is not a readable demonstration set ({printable(error)}); write it again with "
            "'vdd demos'"
        ) from error
    version = header.pop("format_version", None)
    if isinstance(version, bool) or version != FORMAT_VERSION:
        raise DemonstrationError(
            f"'{printable(file)}' has format version {printable(version)}; this version of vdd_ros reads "
            f"{FORMAT_VERSION}"
        )
    try:
        known = read_header(header)
        seen = _named(known.arrays, arrays)
        return DemonstrationSet(known, **arrays, arrays=seen).found_at(file)
    except (TypeError, ValueError) as error:
        raise DemonstrationError(f"'{printable(file)}' has a malformed header ({error}); write it again") from error


def write(demonstrations: DemonstrationSet, folder: Path) -> Path:
    """Write a set into `folder`, whole or not at all, and return the file; see `write_as`."""
    return write_as(demonstrations, folder, compressed=None)


def write_as(demonstrations: DemonstrationSet, folder: Path, *, compressed: bool | None) -> Path:
    """Write a set into `folder`, whole or not at all, and return the file.

    Args:
        demonstrations: The set.
        folder: The folder.
        compressed: Whether to compress its arrays; None: if they are small.

    Raises:
        DemonstrationError: The header has an invalid field, so the set could not be read back.
    """
    target = folder / FILE_NAME
    fields = demonstrations.header.to_dict()
    try:
        read_header(json.loads(json.dumps(fields)))
    except ValueError as error:
        raise DemonstrationError(f"demonstrations with a wrong header are not written: {error}") from error
    members: dict[str, Any] = {name: getattr(demonstrations, name) for name in DTYPES}
    if not demonstrations.header.context:
        del members["contexts"]
    members |= {f"array_{index}": values for index, values in enumerate(demonstrations.arrays.values())}
    if compressed is None:
        compressed = max(values.nbytes for name, values in members.items() if _may_be_mapped(name)) < COMPRESSED_BELOW
    header = np.array(json.dumps({"format_version": FORMAT_VERSION, **fields}))
    with replacing(target) as aside, open(aside, "wb") as file:
        (np.savez_compressed if compressed else np.savez)(file, header=header, **members)
    return target


def _check_place(path: Path, file: Path) -> None:
    """Raise DemonstrationError if the path cannot hold a file of this format."""
    if not file.exists():
        known = describe(path) if path.is_dir() else None
        if known is not None:
            raise _foreign(path, known)
        _refuse_misplaced(path)
        raise DemonstrationError(
            f"no demonstrations at '{printable(file)}'; make some with 'vdd demos TASK --out {printable(path)}' or "
            "name their folder"
        )
    if not file.is_file():
        raise DemonstrationError(f"'{printable(file)}' is not an ordinary file; name the folder of the demonstrations")
    if (known := describe(file)) is not None:
        raise _foreign(file, known)
    _refuse_misplaced(file)


def _refuse_misplaced(path: Path) -> None:
    if why := misplaced(path, DEMONSTRATIONS, "demonstrations"):
        raise DemonstrationError(f"'{printable(path)}' {why}")


def _foreign(path: Path, known: str) -> DemonstrationError:
    return DemonstrationError(f"'{printable(path)}' is {known}. This version cannot read it as demonstrations: {OWN}")


def read_file(file: Path) -> tuple[JsonObject, dict[str, NDArray[Any]]]:
    """Read and check the header and the arrays of a set.

    Raises:
        ValueError: The problem.
        DemonstrationError: The header is not JSON.
    """
    if not zipfile.is_zipfile(file):
        raise ValueError("it is not an .npz archive, or was truncated")
    with zipfile.ZipFile(file) as archive:
        members = {name: _look(archive, name) for name in _names(archive)}
        _check_types(members)
        header = parse_json(str(read_member(archive, "header")), f"the header of '{file}'", DemonstrationError)
        if not isinstance(header, dict):
            raise ValueError("its header is not a JSON object")
        _check_shapes(members)
        lengths = read_member(archive, "lengths")
        pairs = members["observation"].shape[0]
        if not len(lengths) or lengths.min() < 1 or lengths.max() > pairs or lengths.sum() != pairs:
            raise ValueError(f"its lengths do not add up to its {pairs:,} pairs, or one is below 1")
        arrays = {
            name: read_member(archive, name) if member.offset is None else _map(file, member)
            for name, member in members.items()
            if name not in ("header", "lengths")
        }
        if arrays["modes"].min() < -1:
            raise ValueError(f"it has the mode {arrays['modes'].min()}; modes count from 0, and -1 is an unknown one")
    return header, {**arrays, "lengths": lengths}


def _names(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the arrays; raises ValueError if they are not those of a set."""
    found = [info.filename for info in archive.infolist()]
    for name in found:
        known = name.removesuffix(".npy")
        if not name.endswith(".npy") or (known not in ARRAYS and not _ARRAY.fullmatch(known)):
            raise ValueError(f"it holds '{printable(name)}', which is not part of demonstrations")
    if missing := [name for name in ARRAYS if f"{name}.npy" not in found and name not in OPTIONAL]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    if len(found) > len(set(found)):
        raise ValueError("it holds an array twice")
    return [
        *(name for name in ARRAYS if f"{name}.npy" in found),
        *(name for name in (text.removesuffix(".npy") for text in found) if _ARRAY.fullmatch(name)),
    ]


def _look(archive: zipfile.ZipFile, name: str) -> Member:
    return look(archive, name, mapped_from=MAPPED_FROM if _may_be_mapped(name) else None)


def _may_be_mapped(name: str) -> bool:
    return name in _MAPPED or _ARRAY.fullmatch(name) is not None


def _named(features: Sequence[Feature], found: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Take the arrays of the observation from the members; raises ValueError if they do not match the header."""
    members = sorted(name for name in found if _ARRAY.fullmatch(name))
    if members != sorted(f"array_{index}" for index in range(len(features))):
        raise ValueError(f"its header has {len(features)} arrays, but the file holds {', '.join(members) or 'none'}")
    return {feature.name: found.pop(f"array_{index}") for index, feature in enumerate(features)}


def _map(file: Path, member: Member) -> NDArray[Any]:
    return np.memmap(file, dtype=member.dtype, mode="r", offset=member.offset or 0, shape=member.shape)


def _check_types(members: dict[str, Member]) -> None:
    for name, member in members.items():
        wanted = ARRAYS.get(name)
        if wanted is None:
            if str(member.dtype) not in FEATURE_DTYPES:
                raise ValueError(f"'{name}' is {member.dtype}, not one of {', '.join(FEATURE_DTYPES)}")
        elif wanted == "text":
            if member.dtype.kind != "U" or member.shape != () or member.bytes > MAX_HEADER_BYTES:
                raise ValueError(f"its header is not a text of at most {MAX_HEADER_BYTES // 4:,} characters")
        elif member.dtype != np.dtype(wanted):
            raise ValueError(f"'{name}' is {member.dtype}, not {wanted}")
    if (total := sum(member.bytes for member in members.values() if member.offset is None)) > MAX_BYTES:
        raise ValueError(
            f"its arrays have {total:,} bytes; at most {MAX_BYTES:,} are read: split it, or store it uncompressed "
            "(numpy.savez), so that it can be memory-mapped"
        )


def _check_shapes(members: dict[str, Member]) -> None:
    shapes = {name: member.shape for name, member in members.items()}
    if [len(shapes[name]) for name in ("observation", "action", "lengths", "modes")] != [2, 2, 1, 1]:
        raise ValueError("observation and action must have two axes, lengths and modes one")
    if shapes["observation"][0] != shapes["action"][0]:
        raise ValueError(f"it has {shapes['observation'][0]:,} observations, but {shapes['action'][0]:,} actions")
    if shapes["lengths"] != shapes["modes"]:
        raise ValueError(f"it has {shapes['lengths'][0]:,} lengths, but {shapes['modes'][0]:,} modes")
    if (contexts := shapes.get("contexts")) is not None and (len(contexts) != 2 or contexts[:1] != shapes["lengths"]):
        raise ValueError(f"it has {shapes['lengths'][0]:,} episodes, but contexts of shape {contexts}")


def read_header(fields: JsonObject) -> Header:
    """Return the header of a set.

    Args:
        fields: In the form of `Header.to_dict`.

    Raises:
        ValueError: A field is missing, unknown or invalid.
    """
    needed = ("task", "observation", "action", "rate_hz", "source")
    if missing := [name for name in needed if name not in fields]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    if unknown := sorted(fields.keys() - {*needed, "seed", "context"}):
        raise ValueError(f"it has the unknown field {printable(unknown[0])}")
    task, source = (_text(name, fields[name]) for name in ("task", "source"))
    rate_hz, seed = fields["rate_hz"], fields.get("seed")
    if isinstance(rate_hz, bool) or not isinstance(rate_hz, int | float) or not 0 < rate_hz <= 1e6:
        raise ValueError(f"its rate_hz is {printable(rate_hz)}, not a number above 0 and up to 1,000,000")
    if isinstance(seed, bool) or not (seed is None or isinstance(seed, int)):
        raise ValueError(f"its seed is {printable(seed)}, neither a whole number nor null")
    observation, action = (_entries(name, fields[name]) for name in ("observation", "action"))
    if not any(feature.is_scalar for feature in observation):
        raise ValueError("its observation has no single number")
    context = _entries("context", fields.get("context", []), least=0)
    return Header(task, observation, action, rate_hz, source, seed, context)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 5 * MAX_TEXT:
        raise ValueError(f"its {name} is {printable(value)!r}, not a text of 1 to {5 * MAX_TEXT} characters")
    return value


def _entries(name: str, pairs: object, least: int = 1) -> tuple[Feature, ...]:
    if pairs == [] and least == 0:
        return ()
    try:
        return from_pairs(pairs, MAX_ENTRIES, MAX_TEXT, arrays=name == "observation")
    except ValueError as error:
        raise ValueError(f"its {name} {error}") from None


FORMAT = Format("an .npz archive of vdd_ros", probe, read, write)
