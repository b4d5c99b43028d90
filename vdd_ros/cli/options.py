"""Command line options from a configuration: a frozen dataclass whose docstring explains its fields."""

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from vdd_ros.cli.numbers import Real, Whole
from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.field_docs import field_docs
from vdd_ros.learning.methods.registry import Method
from vdd_ros.workers import MOST_JOBS

BACKBONES = ("gpt", "mlp")
_NUMBERS = {int: Whole(None, None), float: Real()}
"""Parsers of numeric settings; the configuration checks their ranges."""

Config = TypeVar("Config")


def add_config_options(parser: argparse.ArgumentParser, config: type) -> None:
    """Add one option for every field of a configuration, all of which have defaults.

    Literal types become choices, booleans a pair --x and --no-x. Omitted options are not in the namespace.

    Args:
        parser: Parser to add to.
        config: Dataclass whose docstring has an `Attributes:` section.
    """
    group, meaning = parser.add_argument_group("settings"), field_docs(config)
    for name, reading in _readings(config).items():
        _add(group, name, reading, meaning.get(name, ""), f"{_defaults(config)[name]}")


def add_method_options(parser: argparse.ArgumentParser, methods: Sequence[Method]) -> None:
    """Add one option for every setting of methods, in groups by the methods that have it; as `add_config_options`.

    Args:
        parser: Parser to add to.
        methods: As from `offered_methods`: those that share a setting's name parse it alike.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in dict.fromkeys(name for method in methods for name in _readings(method.config)):
        groups.setdefault(tuple(one.name for one in methods if name in one.settings), []).append(name)
    for owners in sorted(groups, key=len, reverse=True):
        title = "all methods" if len(owners) == len(methods) else ", ".join(owners)
        group = parser.add_argument_group(f"settings of {title}")
        for name in groups[owners]:
            _add_shared(group, name, [method for method in methods if method.name in owners])


def _add_shared(group: argparse._ArgumentGroup, name: str, methods: list[Method]) -> None:
    """Add the option of a setting that some methods have."""
    reading = _readings(methods[0].config)[name]
    meaning = _by_method({method.name: field_docs(method.config).get(name, "") for method in methods})
    default = _by_method({method.name: str(_defaults(method.config)[name]) for method in methods})
    _add(group, name, reading, meaning, default)


def add_worker_options(parser: argparse.ArgumentParser) -> None:
    """Add --jobs and --ray, the arguments of `vdd_ros.workers.workers`."""
    parser.add_argument(
        "--jobs", type=Whole(most=MOST_JOBS), default=1, metavar="N", help="processes at a time (default: %(default)s)"
    )
    parser.add_argument(
        "--ray",
        metavar="local|auto|HOST:PORT",
        help="run the work on a Ray cluster. local: start one here, with --jobs processes; auto: join the one started "
        "here by 'ray start --head'; HOST:PORT: join that one",
    )


def _by_method(texts: dict[str, str]) -> str:
    """Return the text that most methods share, followed by other methods' texts with their names."""
    owners: dict[str, list[str]] = {}
    for method, text in texts.items():
        owners.setdefault(text, []).append(method)
    usual, *others = owners
    return "; ".join([usual, *(f"{', '.join(owners[other])}: {other}" for other in others)])


def _add(group: argparse._ArgumentGroup, name: str, reading: dict[str, Any], meaning: str, default: str) -> None:
    text = f"{meaning} (default: {default})".replace("%", "%%")
    group.add_argument(f"--{name.replace('_', '-')}", **reading, default=argparse.SUPPRESS, help=text)


def _defaults(config: type) -> dict[str, Any]:
    return {field.name: field.default for field in dataclasses.fields(config)}


def _readings(config: type) -> dict[str, dict[str, Any]]:
    """Return argparse's keywords for each field of a configuration."""
    types = get_type_hints(config)
    all_fields = dataclasses.fields(config)
    return {one.name: _reading(types[one.name], one.metadata.get("choices")) for one in all_fields}


def _reading(kind: Any, choices: Callable[[], Sequence[str]] | None) -> dict[str, Any]:
    """Return argparse's keywords for a value of a type, or for one of some names."""
    if choices is not None or get_origin(kind) is Literal:
        allowed = tuple(choices() if choices is not None else get_args(kind))
        return {"choices": allowed, "type": type(allowed[0])}
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    return {"type": _NUMBERS.get(kind, kind), "metavar": kind.__name__.upper()}


def given_options(config: type, args: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of a configuration given on the command line, with their values."""
    names = {field.name for field in dataclasses.fields(config)}
    return {name: value for name, value in vars(args).items() if name in names}


def config_from_options(config: type[Config], args: argparse.Namespace, **base: Any) -> Config:
    """Build a configuration from the options that were given, other settings, and the defaults of the rest.

    Args:
        config: Dataclass.
        args: Parsed options; given ones take precedence.
        **base: Settings instead of defaults.

    Raises:
        ConfigurationError: The configuration refuses a value.
    """
    return config(**{**base, **given_options(config, args)})


def refuse_foreign_options(method: Method, methods: Sequence[Method], args: argparse.Namespace) -> None:
    """Refuse options that belong only to other methods.

    Raises:
        ConfigurationError: With each option and the methods to which it belongs.
    """
    given = {name for other in methods for name in given_options(other.config, args)}
    if foreign := sorted(given - method.settings):
        owners = {name: [one.name for one in methods if name in one.settings] for name in foreign}
        options = "; ".join(f"--{name.replace('_', '-')} belongs to {', '.join(owners[name])}" for name in foreign)
        raise ConfigurationError(f"the method '{method.name}' does not have these options: {options}; omit them")
