"""The intended value of a parameter: accepted if unambiguous, otherwise refused with a correction."""

import math
import re
from dataclasses import Field
from pathlib import Path
from typing import Any

from vdd_ros.errors import ConfigurationError
from vdd_ros.nodes.ros.arguments import written
from vdd_ros.text import printable

LONGEST_TEXT = 4096
WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", tuple: "a list of texts"}


def meant(item: "Field[Any]", value: Any) -> Any:
    """Return the intended value of the parameter described by a dataclass field.

    YAML reads `50` as an integer, `off` as a boolean and `"5e-2"` as text, whatever the parameter's type.

    Raises:
        ConfigurationError: The value has the wrong type, is out of range, not finite, or too long.
    """
    kind = type(item.default)
    taken = _READERS[kind](value)
    if taken is None:
        raise _refusal(item, value, f"must be {_KINDS[kind]}")
    if kind is str:
        return _text(item, taken)
    low, high = item.metadata["range"]
    if kind is float and not math.isfinite(taken):
        raise _refusal(item, value, "must be finite")
    if low is not None and not low <= taken <= high:
        raise _refusal(item, value, f"must be between {low:.12g} and {high:.12g}")
    return taken


def _text(item: "Field[Any]", text: str) -> str:
    if len(text) > LONGEST_TEXT or "\0" in text:
        raise _refusal(item, text, f"must be text of at most {LONGEST_TEXT} characters, none of them NUL")
    if item.metadata["path"] and text.startswith("~"):
        try:
            return str(Path(text).expanduser())
        except RuntimeError:
            raise _refusal(item, text, "names the home folder of a user who does not exist") from None
    return text


def _to_bool(value: Any) -> bool | None:
    return value if isinstance(value, bool) else WORDS.get(str(value).lower()) if isinstance(value, int | str) else None


def _to_float(value: Any) -> float | None:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _to_int(value: Any) -> int | None:
    number = _to_float(value)
    if isinstance(value, int) and number is not None:
        return value  # also beyond 2^53
    return int(number) if number is not None and math.isfinite(number) and number.is_integer() else None


def _to_text(value: Any) -> str | None:
    # The original spelling of a float or boolean is lost.
    return value if isinstance(value, str) else str(value) if type(value) is int else None


def _to_texts(value: Any) -> list[str] | None:
    if isinstance(value, str):
        return [value]
    texts = isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(text, str) for text in value)
    return list(value) if texts else None


_READERS: dict[type, Any] = {bool: _to_bool, int: _to_int, float: _to_float, str: _to_text, tuple: _to_texts}


def _refusal(item: "Field[Any]", value: Any, what: str) -> ConfigurationError:
    """Return an error that shows the parameter's syntax."""
    example = written(_example(item))
    shell = example if isinstance(item.default, bool | int | float) else f"'{example}'"
    return ConfigurationError(
        f"parameter {item.name} is {printable(repr(value))}, but it {what} ({item.metadata['description']}); write "
        f"-p {item.name}:={shell} on the command line, or {item.name}: {example} in a parameter file"
    )


def _example(item: "Field[Any]") -> Any:
    """Return an example of an allowed value."""
    if isinstance(item.default, tuple):
        return ["/first", "/second"]
    if isinstance(item.default, str):
        return item.default or ("/path/of/it" if item.metadata["path"] else "text")
    low, _ = item.metadata["range"]
    return item.default if low is None else max(item.default, low)
