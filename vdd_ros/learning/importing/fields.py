"""Fields of another program's configuration: each is checked, and errors name it, its value and what is supported."""

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from vdd_ros.errors import CheckpointError
from vdd_ros.text import printable

MOST_LEVELS = 100_000
MOST_NUMBERS = 65_536
LARGEST = 1e30
"""Largest number: single precision can represent its products with usual numbers."""


class Fields:
    """One section of a configuration, before validation."""

    def __init__(self, values: Mapping[str, Any], source: str, section: str = "") -> None:
        """Take the values.

        Args:
            values: By name.
            source: File, in quotes, for errors.
            section: Name of the section with a dot behind it; empty for the whole.
        """
        self.values, self.source, self._section = values, source, section
        self._used: set[str] = set()

    def refuse(self, name: str, value: object, allowed: str) -> NoReturn:
        """Raise the error for a value that is not supported."""
        if isinstance(value, str) and "${" in value:
            allowed += ". Expressions are never evaluated: save the checkpoint again with a resolved configuration"
        raise CheckpointError(f"{self.source}: {self._section}{name} is {printable(value)!r}; supported: {allowed}")

    def get(self, name: str, *default: Any) -> Any:
        """Return a field, or the default if there is one; raises CheckpointError if it is missing."""
        self._used.add(name)
        if name not in self.values and not default:
            raise CheckpointError(
                f"{self.source} lacks the field {self._section}{name}; copy the checkpoint again, or complete the field"
            )
        return self.values.get(name, *default)

    def section(self, name: str) -> "Fields":
        """Return a section of it; raises CheckpointError if there is none."""
        value = self.get(name)
        if not isinstance(value, dict):
            self.refuse(name, value, "a section of the configuration")
        return Fields(value, self.source, f"{self._section}{name}.")

    def unused(self, others: Iterable[str] = ()) -> tuple[str, ...]:
        """Return the names of fields that nobody asked for, apart from some others."""
        return tuple(sorted(map(str, self.values.keys() - self._used - {*others})))

    def whole(self, name: str, least: int, most: int) -> int:
        """Return a whole number; raises as `refuse`."""
        value = self.get(name)
        if type(value) is not int or not least <= value <= most:
            self.refuse(name, value, f"a whole number from {least:,} to {most:,}")
        return value

    def number(self, name: str, *default: float) -> float:
        """Return a number above 0; raises as `refuse`."""
        value = self.get(name, *default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LARGEST:
            self.refuse(name, value, f"a number above 0, at most {LARGEST:g}")
        return float(value)

    def flag(self, name: str, *default: bool) -> bool:
        """Return true or false; raises as `refuse`."""
        value = self.get(name, *default)
        if not isinstance(value, bool):
            self.refuse(name, value, "true or false")
        return value

    def choice(self, name: str, choices: tuple[Any, ...]) -> Any:
        """Return one of some values; raises as `refuse`."""
        value = self.get(name)
        if value not in choices:
            self.refuse(name, value, ", ".join(choices))
        return value

    def channels(self, name: str) -> str:
        """Return a list of whole numbers above 0, separated by commas; raises as `refuse`."""
        value = self.get(name)
        if not isinstance(value, list) or not all(type(one) is int and 0 < one <= MOST_NUMBERS for one in value):
            self.refuse(name, value, f"a list of whole numbers from 1 to {MOST_NUMBERS:,}")
        return ",".join(map(str, value))
