"""Checks of single values in a policy's metadata; errors name the field."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, NoReturn

from vdd_ros.documents import JsonObject, parse_json
from vdd_ros.errors import PolicyFileError
from vdd_ros.text import printable

MAX_METADATA_BYTES = 1 << 20
MAX_DEPTH = 16
"""Maximum nesting of lists and objects in the metadata."""
MAX_COUNT = 10_000
"""Limit on entries, observations in a window, actions in a chunk, experts and sampling steps."""
MAX_TEXT = 200
LARGEST = 3.4028234663852886e38
"""Largest float32, the number type of graphs."""


def refuse(field: str, value: object, allowed: str) -> NoReturn:
    """Raise PolicyFileError for a value that is not allowed."""
    raise PolicyFileError(
        f"Policy metadata, field {field}: {_shown(value)} is not allowed; it must be {allowed}. "
        "Correct it at its source and export the policy again."
    )


def _shown(value: object) -> str:
    """Return a value's repr on one line, clipped; its type if repr fails."""
    try:
        return printable(repr(value))
    except (RecursionError, ValueError):  # nested too deep, or a number of too many digits
        return f"a {type(value).__name__}"


def check_choice(field: str, value: object, allowed: Sequence[str]) -> str:
    """Return the value if it is one of the allowed texts; refuse anything else."""
    for text in allowed:
        if text == value:
            return text
    refuse(field, value, "one of " + ", ".join(allowed))


def check_text(field: str, value: object, most: int = MAX_TEXT) -> None:
    """Refuse a value that is not a printable name."""
    if not isinstance(value, str) or not value or value != value.strip() or printable(value, most) != value:
        refuse(field, value, f"a text of 1 to {most:,} printable characters, without spaces at its beginning or end")


def check_number(field: str, value: object, *, positive: bool = False) -> None:
    """Refuse a value that is not a finite single-precision number, or not above 0 if required."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -LARGEST <= value <= LARGEST:
        refuse(field, value, "a finite number of single precision")
    if positive and value <= 0:
        refuse(field, value, "above 0")


def check_count(field: str, value: object, *, least: int = 1, most: int = MAX_COUNT) -> None:
    """Refuse a value that is not an integer in the range."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        refuse(field, value, f"a whole number from {least} to {most:,}")


def check_object(field: str, value: object) -> None:
    """Refuse an object that JSON does not round-trip."""
    try:
        text = json.dumps(value, allow_nan=False)
        plain = isinstance(value, Mapping) and value == parse_json(
            text, field, PolicyFileError, max_bytes=MAX_METADATA_BYTES, max_depth=MAX_DEPTH
        )
    except (TypeError, ValueError, RecursionError, PolicyFileError):
        plain = False
    if not plain:
        refuse(
            field,
            value,
            f"a JSON object of finite values, with texts as keys and lists rather than tuples, nested at most "
            f"{MAX_DEPTH} deep, of at most {MAX_METADATA_BYTES:,} bytes",
        )


def check_list(field: str, value: object) -> list[Any]:
    """Return a list; refuse anything else."""
    if not isinstance(value, list):
        refuse(field, value, "a list")
    return value


def names(cls: type) -> list[str]:
    """List the fields of a dataclass."""
    return [field.name for field in fields(cls)]


def members(where: str, raw: object, needed: Sequence[str], optional: Sequence[str] = ()) -> JsonObject:
    """Return the members of a JSON object with required and optional ones; their values are not checked.

    Args:
        where: Field of the metadata; empty for the whole.
        raw: Parsed JSON.
        needed: Names of required members.
        optional: Names of optional members.

    Raises:
        PolicyFileError: It is not an object, or a member is missing or unknown; the message names the field.
    """
    known = [*needed, *optional]
    if not isinstance(raw, dict):
        refuse(where or "(all of it)", raw, "an object with the members " + ", ".join(known))
    prefix = f"{where}." if where else ""
    for name in needed:
        if name not in raw:
            raise PolicyFileError(
                f"Policy metadata, field {prefix}{name}: missing. Export the policy again with vdd export."
            )
    for name in raw:
        if name not in known:
            raise PolicyFileError(
                f"Policy metadata, field {prefix}{printable(name, 60)}: unknown; known here are {', '.join(known)}. "
                "Remove it, or put it into settings."
            )
    return raw
