"""Checks that configurations share."""

import math
from typing import Any, get_args

from vdd_ros.errors import ConfigurationError

LARGEST_SEED = 2**32 - 1


def require_seed(seed: int) -> None:
    """Refuse a seed that some random number generator does not accept.

    Raises:
        ConfigurationError: With its value and the allowed values.
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise ConfigurationError(f"seed is {seed}; it must be from 0 to {LARGEST_SEED:,}")


def require_least(least: float, config: object, *names: str) -> None:
    """Refuse fields of a configuration that are below `least` or not finite.

    Raises:
        ConfigurationError: With the field, its value and the allowed values.
    """
    for name in names:
        if not least <= getattr(config, name) < math.inf:
            raise ConfigurationError(f"{name} is {getattr(config, name)}; it must be finite and at least {least:g}")


def require_positive(config: object, *names: str) -> None:
    """Refuse fields of a configuration that are not positive or not finite.

    Raises:
        ConfigurationError: With the field, its value and the allowed values.
    """
    for name in names:
        if not 0 < getattr(config, name) < math.inf:
            raise ConfigurationError(f"{name} is {getattr(config, name)}; it must be finite and above 0")


def require_choice(config: object, name: str, choices: Any) -> None:
    """Refuse a field of a configuration that is none of a `Literal`'s values.

    Raises:
        ConfigurationError: With the field, its value and the allowed values.
    """
    if getattr(config, name) not in get_args(choices):
        allowed = ", ".join(map(str, get_args(choices)))
        raise ConfigurationError(f"{name} is '{getattr(config, name)}'; allowed: {allowed}")
