"""Registry of demonstration formats: the shipped ones, and those of other packages in `vdd_ros.formats`."""

from collections.abc import Mapping
from pathlib import Path

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats.format import Format
from vdd_ros.errors import DemonstrationError, PluginError, VddError
from vdd_ros.registry import Registry
from vdd_ros.text import printable

__all__ = ["FORMATS", "Format", "find_format", "format_names", "get_format", "read_demonstrations"]

_SHIPPED = (
    "npz",
    "description",
    "block_push",
    "d3il",
    "diffusion_policy",
    "lerobot",
    "lerobot_v2",
    "minari",
    "relay_kitchen",
    "robomimic",
)

FORMATS = Registry(
    "vdd_ros.formats",
    "demonstration format",
    Format,
    DemonstrationError,
    {name: f"vdd_ros.data.formats.{name}:FORMAT" for name in _SHIPPED},
)


def format_names() -> list[str]:
    """Return the names of all formats; imports none of them."""
    return FORMATS.names()


def get_format(name: str) -> Format:
    """Return a format by name.

    Raises:
        DemonstrationError: No format has that name.
        PluginError: The registering package is broken.
    """
    return FORMATS.get(name)


def read_demonstrations(path: Path) -> DemonstrationSet:
    """Read demonstrations from a file or folder of any registered format.

    The format of `vdd demos` is tried first, formats of other packages only if it does not match. A broken package is
    reported if no other format recognises the data.

    Raises:
        DemonstrationError: The path does not exist, no single format recognises it, or the format refuses it.
        PluginError: A package that registers a format is broken.
    """
    own = get_format("npz")
    found = find_format(path) if path.exists() else None
    return own.read(path) if found in (None, own) else found.read(path).found_at(path)


def find_format(path: Path) -> Format | None:
    """Return the format of an existing file or folder; None if no format recognises it.

    Raises:
        DemonstrationError: Several formats recognise it.
        PluginError: No format recognises it, and a package that registers one is broken.
    """
    own = get_format("npz")
    if own.probe(path):
        return own
    usable, broken = FORMATS.usable()
    found = []
    for name, one in usable.items():
        try:
            if name != "npz" and one.probe(path):
                found.append(name)
        except Exception as error:  # another package's code may raise anything
            broken[name] = PluginError(f"the probe of format '{printable(name)}' fails: {printable(repr(error))}")
    if len(found) > 1:
        raise DemonstrationError(
            f"'{printable(path)}' is recognised by the formats {' and '.join(map(printable, found))}; uninstall the "
            "package of one"
        )
    if not found:
        _report(broken, path)
        return None
    return usable[found[0]]


def _report(broken: Mapping[str, VddError], path: Path) -> None:
    """Raise the first error of broken formats, for data that no other format recognises."""
    for error in broken.values():
        raise PluginError(f"no usable format recognises '{printable(path)}', and {error}") from error
