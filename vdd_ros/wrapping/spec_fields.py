"""Checked values of the YAML that describes a foreign graph; errors name the file and the field."""

import difflib
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from vdd_ros.errors import ConfigurationError
from vdd_ros.policy.spec_checks import LARGEST, MAX_COUNT, MAX_TEXT
from vdd_ros.text import printable

OPEN = "???"
"""Placeholder for values that a person must supply."""


class Fields:
    """A mapping in the file with its path.

    Args:
        value: The mapping.
        file: Path of the file, for errors.
        path: Path of the mapping in it; empty for the root.
        known: Allowed keys.

    Raises:
        ConfigurationError: It is not a mapping, or has an unknown key.
    """

    def __init__(self, value: object, file: str, path: str, known: Sequence[str]) -> None:
        self._file = file
        self._path = path
        if not isinstance(value, Mapping):
            self.refuse("", f"is {_shown(value)}; it must be a mapping with the keys {', '.join(known)}")
        self._value: Mapping[Any, Any] = value
        for key in value:
            if key not in known:
                close = difflib.get_close_matches(str(key), known, n=1)
                hint = f" (did you mean {close[0]!r}?)" if close else ""
                self.refuse(printable(key, 60), f"is unknown here{hint}; allowed are {', '.join(known)}")
            if OPEN in (each if isinstance(each := value[key], list) else [each]):
                self.refuse(str(key), "is an open question; answer it in place of ???")

    def refuse(self, key: str, problem: str) -> NoReturn:
        """Raise ConfigurationError for a key."""
        where = ".".join(filter(None, [self._path, key])) or "the document"
        raise ConfigurationError(f"{printable(self._file)}: {where}: {problem}")

    def has(self, key: str) -> bool:
        """Return whether a key exists."""
        return key in self._value

    def get(self, key: str) -> Any:
        """Return a value of any type; refuse a missing one."""
        if key not in self._value:
            self.refuse(key, "is missing")
        return self._value[key]

    def text(self, key: str) -> str:
        """Return a name or a unit."""
        value = self.get(key)
        if key == "unit" and value == 1 and type(value) is int:
            return "1"
        if not isinstance(value, str) or not value.strip() or printable(value, MAX_TEXT) != value:
            self.refuse(key, f"is {_shown(value)}; it must be text of at most {MAX_TEXT} printable characters")
        return value

    def count(self, key: str, default: int) -> int:
        """Return a positive whole number."""
        value = self._value.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_COUNT:
            self.refuse(key, f"is {_shown(value)}; it must be a whole number from 1 to {MAX_COUNT:,}")
        return value

    def choice(self, key: str, allowed: Sequence[str], default: str) -> str:
        """Return one of the allowed texts."""
        value = self._value.get(key, default)
        if value not in allowed:
            self.refuse(key, f"is {_shown(value)}; it must be {' or '.join(allowed)}")
        return str(value)

    def names(self) -> tuple[str, ...]:
        """Return `names`, or `name` alone."""
        if self.has("name") == self.has("names"):
            self.refuse("name", "give `name`, or `names` for several numbers of one unit")
        if self.has("name"):
            return (self.text("name"),)
        value = self.get("names")
        if not isinstance(value, list) or not value or not all(isinstance(name, str) and name for name in value):
            self.refuse("names", f"is {_shown(value)}; it must be a list of names")
        return tuple(value)

    def number(self, key: str) -> float:
        """Return a finite number in single precision."""
        return self._number(key, self.get(key))

    def numbers(self, key: str, size: int, default: float | None = None) -> tuple[float, ...] | None:
        """Return a number for each of `size` names: a list, or one number for all; the default if missing."""
        if not self.has(key):
            return None if default is None else (default,) * size
        value = self.get(key)
        if not isinstance(value, list):
            return (self._number(key, value),) * size
        if len(value) != size:
            self.refuse(key, f"has {len(value)} numbers for {size} names; give one for each, or one for all")
        return tuple(self._number(f"{key}[{index}]", each) for index, each in enumerate(value))

    def _number(self, key: str, value: object) -> float:
        if isinstance(value, str):  # YAML 1.1 reads 1e-3 as text
            with suppress(ValueError):
                value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.refuse(key, f"is {_shown(value)}; it must be a finite number")
        if abs(value) > LARGEST:
            self.refuse(key, f"is {value:g}; single precision ends at {LARGEST:.3g}")
        return float(value)


def _shown(value: object) -> str:
    return printable(repr(value), 80)
