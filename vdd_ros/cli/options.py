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

    Literal types become choices. Options that are not given stay out of the namespace.

    Args:
        parser: Parser to add to.
        config: Dataclass whose docstring has an `Attributes:` section.
    """
    group = parser.add_argument_group("settings")
    meaning, types = field_docs(config), get_type_hints(config)
    for field in dataclasses.fields(config):
        choices = get_args(types[field.name]) if get_origin(types[field.name]) is Literal else None
        group.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=str if choices else types[field.name],
            choices=choices,
            metavar=None if choices else types[field.name].__name__.upper(),
            default=argparse.SUPPRESS,
            help=f"{meaning.get(field.name, '')} (default: {field.default})".replace("%", "%%"),
        )


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
    """Return what the `Attributes:` section of a docstring says, by field; fields may share an entry."""
    section = (inspect.getdoc(config) or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    docs: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        if entry := _ENTRY.fullmatch(line):
            names, text = entry[1].split(", "), entry[2][0].lower() + entry[2][1:]
        else:
            text = f" {line.strip()}"
        docs |= {name: docs.get(name, "") + text for name in names}
    return {name: text.removesuffix(".") for name, text in docs.items()}
