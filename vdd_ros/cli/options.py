"""Command line options from a configuration: a frozen dataclass whose docstring says what its fields mean."""

import argparse
import dataclasses
import inspect
import re
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

Config = TypeVar("Config")

_ENTRY = re.compile(r"    (\w+(?:, \w+)*): (.*)")


def add_config_options(parser: argparse.ArgumentParser, config: type) -> None:
    """Add one option for every field of a configuration, all of which have defaults.

    Literal types become choices, booleans a pair --x and --no-x. Options that are not given stay out of the namespace.

    Args:
        parser: Parser to add to.
        config: Dataclass whose docstring has an `Attributes:` section.
    """
    group = parser.add_argument_group("settings")
    meaning, types = field_docs(config), get_type_hints(config)
    for field in dataclasses.fields(config):
        group.add_argument(
            f"--{field.name.replace('_', '-')}",
            **_reading(types[field.name]),
            default=argparse.SUPPRESS,
            help=f"{meaning.get(field.name, '')} (default: {field.default})".replace("%", "%%"),
        )


def _reading(kind: Any) -> dict[str, Any]:
    """Return how argparse reads a value of a type."""
    if get_origin(kind) is Literal:
        return {"choices": get_args(kind)}
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    return {"type": kind, "metavar": kind.__name__.upper()}


def given_options(config: type, args: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of a configuration that the command line gives, with their values."""
    names = {field.name for field in dataclasses.fields(config)}
    return {name: value for name, value in vars(args).items() if name in names}


def config_from_options(config: type[Config], args: argparse.Namespace) -> Config:
    """Build a configuration from the options that were given and the defaults of the rest.

    Raises:
        ConfigurationError: The configuration refuses a value.
    """
    return config(**given_options(config, args))


def field_docs(config: type) -> dict[str, str]:
    """Return what the `Attributes:` sections of a class and its bases say, by field; fields may share an entry."""
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
