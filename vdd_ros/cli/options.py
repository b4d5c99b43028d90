"""Command line options from a configuration: a frozen dataclass whose docstring says what its fields mean."""

import argparse
import dataclasses
import inspect
import re
from collections.abc import Iterable
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from vdd_ros.errors import ConfigurationError

BACKBONES = ("gpt", "mlp")

Config = TypeVar("Config")

_ENTRY = re.compile(r"    (\w+(?:, \w+)*): (.*)")


def add_config_options(parser: argparse.ArgumentParser, *configs: type) -> None:
    """Add one option for every field of configurations, all of which have defaults.

    Literal types become choices, booleans a pair --x and --no-x. Options that are not given stay out of the namespace.
    A field that several configurations share becomes one option.

    Args:
        parser: Parser to add to.
        *configs: Dataclasses whose docstrings have an `Attributes:` section; the first one's fields come first.
    """
    seen: set[str] = {"method"}
    for config in configs:
        title = "settings" if config is configs[0] else f"settings of {config.__name__.removesuffix('Config')} alone"
        group = parser.add_argument_group(title)
        meaning, types = field_docs(config), get_type_hints(config)
        for field in dataclasses.fields(config):
            if field.name in seen:
                continue
            seen.add(field.name)
            group.add_argument(
                f"--{field.name.replace('_', '-')}",
                **_reading(types[field.name]),
                default=argparse.SUPPRESS,
                help=f"{meaning.get(field.name, '')} (default: {field.default})".replace("%", "%%"),
            )


def add_worker_options(parser: argparse.ArgumentParser) -> None:
    """Add --jobs and --ray, the arguments of `vdd_ros.workers.workers`."""
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at a time (default: %(default)s)")
    parser.add_argument(
        "--ray",
        metavar="local|auto|ADDRESS",
        help="run tasks on a Ray cluster: one of --jobs processes that the command begins here, the one that 'ray "
        "start' began here, or the one at an address",
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


def config_from_options(config: type[Config], args: argparse.Namespace, **base: Any) -> Config:
    """Build a configuration from the options that were given, other settings, and the defaults of the rest.

    Args:
        config: Dataclass.
        args: Parsed options; those that were given win.
        **base: Settings instead of defaults.

    Raises:
        ConfigurationError: The configuration refuses a value.
    """
    return config(**{**base, **given_options(config, args)})


def refuse_foreign_options(method: str, config: type, others: Iterable[type], args: argparse.Namespace) -> None:
    """Refuse options that only other configurations have.

    Raises:
        ConfigurationError: With the options and the method that does not take them.
    """
    known = {"method", *(field.name for field in dataclasses.fields(config))}
    foreign = sorted({name for other in others for name in given_options(other, args)} - known)
    if foreign:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in foreign)
        raise ConfigurationError(f"{options}: the method '{method}' has no such setting; omit it")


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
