"""Help texts of options, taken from the docstrings of configurations."""

import inspect
import re

_ENTRY = re.compile(r"    (\w+(?:, \w+)*): (.*)")


def field_docs(config: type) -> dict[str, str]:
    """Return the `Attributes:` entries of a class and its bases by field; fields may share an entry."""
    docs: dict[str, str] = {}
    for base in reversed(config.__mro__):
        docs |= _own_docs(base)
    return docs


def _own_docs(config: type) -> dict[str, str]:
    section = inspect.cleandoc(config.__doc__ or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    docs: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        if entry := _ENTRY.fullmatch(line):
            names, text = entry[1].split(", "), entry[2][0].lower() + entry[2][1:]
        else:
            text = f" {line.strip()}"
        docs |= {name: docs.get(name, "") + text for name in names}
    return {name: text.removesuffix(".") for name, text in docs.items()}
