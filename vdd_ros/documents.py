"""JSON and YAML: the one reader of foreign documents, bounded in size and depth, and the writer of our own JSON.

Every reading function raises the error class that the caller passes, with the source and the problem. The caller checks
the result: `Json` for a JSON document, `object` for a YAML document, which may also contain dates.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Protocol, TypeAlias

from vdd_ros.errors import ConfigurationError, VddError
from vdd_ros.files import replacing
from vdd_ros.text import printable

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""Content of a JSON document, to be narrowed with `isinstance`."""
JsonObject: TypeAlias = "dict[str, Json]"

MAX_JSON_BYTES = 64 << 20
MAX_YAML_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_YAML_NODES = 100_000
"""Limit on the values of a YAML document, anchors expanded: a few lines can expand to billions."""
MAX_NUMBER = 1_000
"""Limit on the characters of a number in a YAML document: parsing in base 60 takes quadratic time."""

_PLAIN = re.compile(r"[A-Za-z_/][\w./-]*")
_WORDS = ("true", "false", "yes", "no", "on", "off", "null", "y", "n")
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_MISREAD = re.compile(r"[-+]?(0[0-9_]+|[0-9][0-9_.]*(:[0-9_.]+)+)")


def read_json(
    file: Path, error: type[VddError], *, max_bytes: int = MAX_JSON_BYTES, max_depth: int = MAX_DEPTH
) -> Json:
    """Read a JSON file.

    Args:
        file: The file.
        error: Raised if the file is missing, too large, not JSON, nested deeper than `max_depth`, or has a duplicate
            key.
        max_bytes: Size limit, checked before reading.
        max_depth: Maximum nesting of lists and objects.
    """
    return parse_json(_read(file, error, max_bytes), str(file), error, max_bytes=max_bytes, max_depth=max_depth)


def parse_json(
    text: str | bytes,
    source: str,
    error: type[VddError],
    *,
    max_bytes: int = MAX_JSON_BYTES,
    max_depth: int = MAX_DEPTH,
) -> Json:
    """Parse JSON; `source` names its origin, the rest is as in `read_json`."""
    text = _decoded(text, source, error, max_bytes)
    try:
        value: Json = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as problem:
        _refuse(source, f"is not JSON that can be read: {_reason(problem)}", error)
    _check_depth(value, source, error, max_depth)
    return value


def read_yaml(
    file: Path,
    error: type[VddError],
    *,
    max_bytes: int = MAX_YAML_BYTES,
    max_depth: int = MAX_DEPTH,
    exact_numbers: bool = False,
) -> object:
    """Read a YAML file of one document; None if it is empty.

    Args:
        file: The file.
        error: Raised if the file is missing, too large, not YAML, nested deeper than `max_depth`, holds more than
            `MAX_YAML_NODES` values or a second document, or has a duplicate key.
        max_bytes: Size limit, checked before reading.
        max_depth: Maximum nesting of lists and mappings.
        exact_numbers: Refuse octal and sexagesimal numbers of YAML 1.1: `010` (8) and `1:30` (90).
    """
    return parse_yaml(
        _read(file, error, max_bytes),
        str(file),
        error,
        max_bytes=max_bytes,
        max_depth=max_depth,
        exact_numbers=exact_numbers,
    )


def parse_yaml(
    text: str | bytes,
    source: str,
    error: type[VddError],
    *,
    max_bytes: int = MAX_YAML_BYTES,
    max_depth: int = MAX_DEPTH,
    exact_numbers: bool = False,
) -> object:
    """Parse one YAML document; `source` names its origin, the rest is as in `read_yaml`."""
    import yaml

    text = _decoded(text, source, error, max_bytes)
    try:
        loader = yaml.SafeLoader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return None
            _check_nodes(root, source, error, max_depth, exact_numbers)
            return loader.construct_document(root)
        finally:
            loader.dispose()
    except VddError:
        raise
    except Exception as problem:  # a value that contradicts its tag makes the library raise nearly anything
        _refuse(source, f"is not YAML that can be read: {_reason(problem)}", error)


def yaml_text(text: str) -> str:
    """Return a text as YAML, in quotes if it could be read as something else.

    Unprintable characters are escaped as in Python, which YAML understands too. YAML would read JSON's pairs of escapes
    for characters beyond U+FFFF as two characters.
    """
    shown = printable(text, max(len(text), 1))
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS and shown == text:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return printable(quoted, len(quoted))


def _read(file: Path, error: type[VddError], max_bytes: int) -> bytes:
    """Return the content of an ordinary file; its size is checked before reading."""
    try:
        if not file.exists():
            _refuse(str(file), "does not exist", error)
        if file.is_dir():
            _refuse(str(file), "is a folder; give a file", error)
        if not file.is_file():
            _refuse(str(file), "is not an ordinary file", error)
        with file.open("rb") as stream:
            content = stream.read(max_bytes + 1)
    except (OSError, ValueError) as problem:
        _refuse(str(file), f"cannot be read: {_reason(problem)}", error)
    if len(content) > max_bytes:
        _refuse(str(file), f"has more than {max_bytes:,} bytes, the limit for such a file", error)
    return content


def _decoded(text: str | bytes, source: str, error: type[VddError], max_bytes: int) -> str:
    if len(text) > max_bytes:
        _refuse(source, f"has {len(text):,} bytes; at most {max_bytes:,} are read", error)
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        _refuse(source, f"is not text in UTF-8 (byte {problem.start:,})", error)


def _object(pairs: list[tuple[str, Json]]) -> JsonObject:
    """Return a JSON object; raises ValueError for a duplicate key."""
    content = dict(pairs)
    if len(content) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {printable(twice)!r} is duplicated; keep one of them")
    return content


def _check_depth(value: object, source: str, error: type[VddError], max_depth: int) -> None:
    """Refuse a value nested deeper than `max_depth`."""
    level = [value]
    for _ in range(max_depth + 1):
        level = [
            item
            for outer in level
            if isinstance(outer, list | dict)
            for item in (outer.values() if isinstance(outer, Mapping) else outer)
        ]
        if not level:
            return
    _refuse(source, f"is nested deeper than {max_depth} levels", error)


def _check_nodes(root: Any, source: str, error: type[VddError], max_depth: int, exact_numbers: bool) -> None:
    """Refuse a YAML tree that is too deep, expands to too many values, or names a key twice."""
    import yaml

    sizes: dict[int, tuple[int, int]] = {}

    def measure(node: Any, depth: int) -> tuple[int, int]:
        """Return the number of values and levels that a node expands to; an anchored node is walked once."""
        values, levels = sizes.get(id(node), (0, 0))
        if depth + levels > max_depth:
            _refuse(source, f"is nested deeper than {max_depth} levels, or holds itself", error)
        if not values:
            if isinstance(node, yaml.MappingNode):
                _check_keys(node, source, error)
                below = [item for pair in node.value for item in pair]
            else:
                below = node.value if isinstance(node, yaml.SequenceNode) else []
                if isinstance(node, yaml.ScalarNode):
                    _check_number(node, source, error, exact_numbers)
            inner = [measure(item, depth + 1) for item in below]
            values, levels = 1 + sum(count for count, _ in inner), max((1 + height for _, height in inner), default=0)
            sizes[id(node)] = values, levels
        if values > MAX_YAML_NODES:
            _refuse(source, f"holds more than {MAX_YAML_NODES:,} values", error)
        return values, levels

    measure(root, 0)


def _check_keys(node: Any, source: str, error: type[VddError]) -> None:
    """Refuse duplicate keys; YAML readers silently keep the last."""
    lines: dict[Hashable, int] = {}
    for key, _ in node.value:
        name = (key.tag, key.value) if isinstance(key.value, str) else id(key)
        line = key.start_mark.line + 1
        if name in lines:
            _refuse(source, f"names {printable(key.value)!r} twice, in lines {lines[name]} and {line}; keep one", error)
        lines[name] = line


def _check_number(node: Any, source: str, error: type[VddError], exact: bool) -> None:
    """Refuse a number that takes long to parse and, with `exact_numbers`, one that YAML 1.1 reads in base 8 or 60."""
    if node.tag not in _NUMBERS:
        return
    where = f"has {printable(node.value, 40)!r} in line {node.start_mark.line + 1}"
    if len(node.value) > MAX_NUMBER:
        _refuse(source, f"{where}; a number has at most {MAX_NUMBER:,} characters", error)
    if exact and _MISREAD.fullmatch(node.value):
        base = 60 if ":" in node.value else 8
        _refuse(
            source,
            f"{where}, which YAML reads in base {base}; write the number without colons and leading zeros, or put "
            f"quotes around a name",
            error,
        )


def _reason(problem: BaseException) -> str:
    if isinstance(problem, RecursionError):
        return "it is nested too deep"
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    text = " ".join(str(problem).split()).replace('in "<unicode string>", ', "in ")
    hint = "; indent with spaces, YAML does not allow tabs" if "'\\t'" in text else ""
    return printable(text, 300) + hint


def _refuse(source: str, problem: str, error: type[VddError]) -> NoReturn:
    raise error(f"{printable(source)} {problem}.")


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON, whole or not at all; non-finite numbers become null.

    Args:
        path: The file.
        value: As `to_json` takes it.

    Raises:
        ConfigurationError: The system refuses the file.
    """
    text = json.dumps(to_json(value), indent=2, allow_nan=False) + "\n"
    try:
        with replacing(path) as aside:
            aside.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{printable(path)} could not be written: {error.strerror or error}") from error


class Record(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


def to_json(value: object) -> Json:
    """Return a value in JSON's types: tuples as lists, dataclasses as objects, null for NaN and infinity.

    Args:
        value: None, a number, a text, or a list, tuple, dictionary or dataclass of such values.

    Raises:
        TypeError: It holds anything else.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return json_object(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def json_object(record: Record) -> JsonObject:
    """Return a dataclass as a JSON object: its fields by name, each converted by `to_json`."""
    return {field.name: to_json(getattr(record, field.name)) for field in fields(record)}
