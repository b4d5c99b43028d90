"""Identifies foreign files: other formats by their first bytes, foreign ONNX by its outline."""

from collections.abc import Iterable
from pathlib import Path

from vdd_ros.file_kinds import GRAPH, POLICY, misplaced
from vdd_ros.policy.onnx_outline import Outline
from vdd_ros.text import printable

_MADE_BY = "Policy files are made by vdd export, from a checkpoint of vdd train or vdd distil"
_PAGE = "an HTML page, a web server's answer instead of the file. Download the file again, from its raw link"
_PICKLE = "a Python pickle, as torch.save once wrote; vdd_ros never unpickles"
_ZIP = "a zip archive, as torch.save and numpy.savez write"
_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", _ZIP),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "a gzip archive. Unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstandard archive. Unpack it first"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras and data sets use"),
    (b"\x93NUMPY", "a numpy array"),
    (b"\x89MCAP", "an MCAP bag"),
    (b"SQLite format 3", "an SQLite database, such as a bag"),
    (b"GGUF", "a GGUF model"),
)
_MARKS: tuple[tuple[int, bytes, str], ...] = (
    *((0, b"\x80" + bytes([version]), _PICKLE) for version in (2, 3, 4, 5)),
    (4, b"ORTM", "a model in ONNX Runtime's own format (.ort), which holds no metadata"),
    (4, b"TFL3", "a TensorFlow Lite model"),
)
_TEXTS: tuple[tuple[bytes, str], ...] = (
    (
        b"version https://git-lfs",
        "a Git LFS pointer, not the file itself. Get the file with 'git lfs pull', or download it",
    ),
    (b"<!doctype html", _PAGE),
    (b"<html", _PAGE),
    (b"<?xml", "an XML document"),
    (b"{", "a JSON document"),
)
_SHOWN = 8


def foreign_kind(content: bytes) -> str | None:
    """Name the format of non-ONNX bytes; None if unknown."""
    text = content[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    known = [what for start, what in _STARTS if content.startswith(start)]
    known += [what for at, mark, what in _MARKS if content[at : at + len(mark)] == mark]
    known += [what for start, what in _TEXTS if text.startswith(start)]
    if content[8:9] == b"{" and int.from_bytes(content[:8], "little") <= len(content) - 8:
        known.append("a safetensors file: weights without a graph")
    known += ["text"] if _is_text(content) else []
    return next(iter(known), None if content else "empty")


def _is_text(content: bytes) -> bool:
    """Return whether the content begins with lines of text, as no ONNX model does."""
    head = content[:1024].decode("utf-8", "ignore")
    return "\n" in head and all(character.isprintable() or character in "\r\n\t" for character in head)


def no_onnx(path: str | Path, content: bytes, reason: object, family: str = POLICY) -> str:
    """Describe a file that is not readable as ONNX and the remedy; ends a sentence about the file.

    Args:
        path: The file.
        content: Its bytes.
        reason: Why they cannot be read.
        family: What is wanted, `POLICY` or `GRAPH` of `vdd_ros.file_kinds`.
    """
    kind = foreign_kind(content)
    what = "a policy file" if family == POLICY else "an ONNX graph"
    if _is_text(content) and (why := misplaced(Path(path), family, what)):
        return f"{why}."
    if kind is None:
        return (
            f"cannot be read as ONNX ({printable(reason)}). It is another kind of file, or it was cut off: copy it or "
            "export it again."
        )
    if family == GRAPH:
        return f"is not an ONNX graph: it is {kind}. Give the .onnx file that the other tool exported."
    return f"is not a policy file: it cannot be read as ONNX, it is {kind}. {_MADE_BY}."


def no_policy(outline: Outline, key: str) -> str:
    """Describe ONNX without policy metadata, and its gaps; ends a sentence about the file."""
    producer = printable(outline.producer, 60) or "an unknown program"
    return (
        f"ONNX without the metadata {key!r} is not a policy file: it was written by {producer}, with the inputs "
        f"{_names(outline.inputs)} and the outputs {_names(outline.outputs)}, and says nothing about units, limits, "
        f"rate or normalisation. {_MADE_BY}; vdd wrap makes one from another tool's deterministic graph."
    )


def _names(names: Iterable[str]) -> str:
    listed = [printable(name, 40) for name in names]
    more = f" and {len(listed) - _SHOWN:,} more" if len(listed) > _SHOWN else ""
    return (", ".join(listed[:_SHOWN]) or "(none)") + more
