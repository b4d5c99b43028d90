"""A mapping of a robot file that knows its own path, so that every error can name the field."""

import difflib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NoReturn

from vdd_ros.errors import RobotFileError


def fail(path: str, problem: str, allowed: Collection[str] = ()) -> NoReturn:
    """Raise RobotFileError for the field at `path`, listing what is allowed there."""
    listed = f" {', '.join(allowed)}" if allowed else ""
    raise RobotFileError(f"{path}: {problem}{listed}")


class Section:
    """A mapping of the file, its path in the file, and which of its keys were used.

    Every getter raises RobotFileError, naming the path, where the key is missing or its value is not allowed.
    """

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, Mapping) or not value:
            fail(path or "the document", f"must be a mapping with at least one key, not {value!r}")
        self._value = value
        self._path = path
        self._used: set[str] = set()

    def at(self, key: str) -> str:
        """Return the path of a key."""
        return f"{self._path}.{key}" if self._path else key

    def names(self) -> list[str]:
        """Return the keys, where they are names that the user chose."""
        for key in self._value:
            if not isinstance(key, str):
                fail(self.at(str(key)), f"is {key!r}; names must be text (quote it)")
        return list(self._value)

    def has(self, key: str) -> bool:
        """Tell whether a key is there."""
        return key in self._value

    def get(self, key: str) -> Any:
        """Return any value."""
        self._used.add(key)
        if key not in self._value:
            fail(self.at(key), "is missing")
        return self._value[key]

    def section(self, key: str) -> "Section":
        """Return a mapping below this one."""
        return Section(self.get(key), self.at(key))

    def sections(self, key: str) -> list["Section"]:
        """Return a list of mappings."""
        value = self.get(key)
        if not isinstance(value, list) or not value:
            fail(self.at(key), f"must be a list with at least one entry, not {value!r}")
        return [Section(item, f"{self.at(key)}[{index}]") for index, item in enumerate(value)]

    def text(self, key: str, pattern: re.Pattern[str] | None = None) -> str:
        """Return text that is not empty and has the form of `pattern`."""
        value = self.get(key)
        if not isinstance(value, str) or not value:
            fail(self.at(key), f"must be text, not {value!r}")
        if pattern is not None and not pattern.fullmatch(value):
            fail(self.at(key), f"is {value!r}, which does not have the form {pattern.pattern}")
        return value

    def choice(self, key: str, allowed: Sequence[str], default: str | None = None) -> str:
        """Return one of the allowed words."""
        value = default if default is not None and not self.has(key) else self.text(key)
        self._used.add(key)
        if value not in allowed:
            fail(self.at(key), f"is {value!r}; allowed are", allowed)
        return value

    def number(self, key: str, *, positive: bool = False, infinite: bool = False) -> float:
        """Return a number that is finite, unless `infinite`, and above zero where `positive`."""
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            fail(self.at(key), f"must be a number, not {value!r}")
        if math.isinf(value) and not infinite:
            fail(self.at(key), f"must be finite, not {value!r}")
        if positive and value <= 0:
            fail(self.at(key), f"must be above zero, not {value!r}")
        return float(value)

    def finish(self) -> None:
        """Refuse the keys that nobody asked for."""
        for key in self._value:
            if key not in self._used:
                known = sorted(self._used)
                close = difflib.get_close_matches(str(key), known, n=1)
                hint = f" (did you mean {close[0]!r}?)" if close else ""
                fail(self.at(str(key)), f"is not known here{hint}; allowed are", known)
