"""Sections of a parameter file by node; rcl silently drops those of other nodes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vdd_ros.documents import read_yaml
from vdd_ros.errors import ConfigurationError
from vdd_ros.text import printable

KEY = "ros__parameters"
EXAMPLE = f"/**:\n  {KEY}:\n    enable_control: false"


@dataclass(frozen=True)
class Section:
    """A section of a parameter file.

    Attributes:
        name: Its full name, such as `/arm/policy` or `/**`.
        values: Its parameters.
    """

    name: str
    values: dict[str, Any]

    def matches(self, node: str) -> bool:
        """Return whether it applies to a node of this full name: * matches one part, ** any number."""
        parts = [
            "(/[^/]+)*" if part == "**" else "/[^/]+" if part == "*" else re.escape(f"/{part}")
            for part in self.name.split("/")[1:]
        ]
        return re.fullmatch("".join(parts), node) is not None

    @property
    def names(self) -> list[str]:
        """Names of its parameters, such as `rate_hz` or `qos_overrides.x`."""
        return list(_flat(self.values, ""))


def read_sections(file: Path) -> list[Section]:
    """Return the sections of a parameter file.

    Raises:
        ConfigurationError: The file cannot be read, repeats a key, or has no section.
    """
    try:
        document = read_yaml(file, ConfigurationError)
    except ConfigurationError as error:
        raise ConfigurationError(f"parameter file {error}") from None
    sections = list(_sections(document, "", file)) if isinstance(document, dict) else []
    if not sections:
        raise ConfigurationError(f"{printable(file)} has no section with {KEY}, so it sets nothing; write\n{EXAMPLE}")
    return sections


def own_sections(file: Path, nodes: list[str]) -> tuple[list[Section], list[str]]:
    """Return the sections of a file for the given nodes, and the names of the others.

    Raises:
        ConfigurationError: No section is for these nodes, or as `read_sections`.
    """
    sections = read_sections(file)
    own = [section for section in sections if any(map(section.matches, nodes))]
    others = [printable(section.name) for section in sections if section not in own]
    if not own:
        raise ConfigurationError(
            f"{printable(file)} is for {', '.join(others)}, but not for {' or '.join(nodes)}, so none of it "
            f"would apply here; rename a section to {nodes[0]}, or to /** for every node"
        )
    return own, others


def _sections(content: dict[Any, Any], above: str, file: Path) -> Iterator[Section]:
    for key, value in content.items():
        if key == KEY:
            if not above or not isinstance(value, dict):
                what = "stands under no node" if not above else f"of {printable(above)} holds no parameters"
                raise ConfigurationError(f"{printable(file)}: {KEY} {what}; write\n{EXAMPLE}")
            yield Section(above, value)
        elif isinstance(value, dict):
            yield from _sections(value, f"{above}/{str(key).strip('/')}", file)
        else:
            where = printable(f"{above}/{key}")
            raise ConfigurationError(
                f"{printable(file)}: {where} is outside of {KEY}, where it would set nothing; write\n{EXAMPLE}"
            )


def _flat(values: dict[str, Any], above: str) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}"
