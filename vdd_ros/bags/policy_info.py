"""A policy node's description of itself on `~/policy_info`, validated before use."""

import math
from collections.abc import Callable
from typing import Any

from vdd_ros.documents import Json, JsonObject, parse_json
from vdd_ros.errors import RecordingError
from vdd_ros.text import printable

_MOST_BYTES = 1 << 20
_MOST_STEPS = 1_000_000
_LONGEST = 1000


def parse_info(topic: str, message: object) -> tuple[JsonObject, list[str]]:
    """Return the content of a message (std_msgs/String), and descriptions of its unused values.

    Invalid values of keys used in computations are left out. Foreign text is made printable.

    Args:
        topic: Its topic, for errors.
        message: The message.

    Raises:
        RecordingError: It is not a JSON object.
    """
    text = getattr(message, "data", None)
    if not isinstance(text, str):
        kind = printable(type(message).__name__)
        raise RecordingError(f"{printable(topic)} does not hold JSON, but {kind}; leave it out")
    info = parse_json(text, topic, RecordingError, max_bytes=_MOST_BYTES)
    if not isinstance(info, dict):
        raise RecordingError(f"{printable(topic)} holds {type(info).__name__}; a JSON object is needed")
    doubts = []
    for key, (allowed, fits) in _KNOWN.items():
        if info.get(key) is not None and not fits(info[key]):
            shown = printable(info.pop(key))
            doubts.append(f"{printable(topic)}: {key} is {shown!r}; {allowed} is needed, so it is not used")
    return _printable_object(info), doubts


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_steps(value: Any) -> bool:
    return type(value) is int and 1 <= value <= _MOST_STEPS


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _is_rate(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


_TEXTS = ("kind", "structure", "method", "policy", "policy_sha256", "expert", "noise")
_KNOWN: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(_TEXTS, ("a text", _is_text)),
    "sampling_steps": (f"a whole number from 1 to {_MOST_STEPS:,}", _is_steps),
    "rate_hz": ("a finite number above 0", _is_rate),
    **dict.fromkeys(("jitter_floor", "machine"), ("an object", _is_object)),
    "refused": ("a list of texts", _is_list),
}
"""Keys used in computations: their valid values, in words, and a test."""


def _printable_object(values: JsonObject) -> JsonObject:
    return {printable(key): _printable(item) for key, item in values.items()}


def _printable(value: Json) -> Json:
    if isinstance(value, dict):
        return _printable_object(value)
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return printable(value, _LONGEST) if isinstance(value, str) else value
