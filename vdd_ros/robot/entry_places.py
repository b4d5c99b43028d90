"""Places of a command's numbers in a robot file, and their names."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from vdd_ros.text import printable

_PLACE = re.compile(r"((?:command|commands\.[^.\s]+)\.entries)\[([0-9]+)\]")


def with_name(text: str, names: Mapping[str, Sequence[Any]]) -> str:
    """Append the name of a command's number to a message about it, unless the message has the name.

    Args:
        text: A message that begins with a place, such as `commands.arm.entries[4].low: …`; others are returned as
            they are.
        names: The names of each list of numbers by its place, such as `commands.arm.entries`.
    """
    found = _PLACE.match(text)
    place = int(found[2]) if found else 0
    known = names.get(found[1], ()) if found else ()
    name = known[place] if place < len(known) else None
    if not isinstance(name, str) or re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text):
        return text
    return f"{text} (entries[{place}] is {printable(name, 60)})"


def names_in(document: Any) -> dict[str, list[Any]]:
    """Return the names in each list of a command's numbers, by its place in a robot file's unchecked mapping."""
    root = document if isinstance(document, Mapping) else {}
    several = root.get("commands")
    found = {"command": root.get("command")}
    found |= {f"commands.{name}": one for name, one in several.items()} if isinstance(several, Mapping) else {}
    return {f"{path}.entries": _names(one) for path, one in found.items()}


def _names(command: Any) -> list[Any]:
    entries = command.get("entries") if isinstance(command, Mapping) else None
    found = entries if isinstance(entries, list) else []
    return [one.get("name") if isinstance(one, Mapping) else None for one in found]
