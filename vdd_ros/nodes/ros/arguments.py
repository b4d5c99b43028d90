"""The command line of an executable, checked before rclpy: arguments that rcl would ignore are refused or reported."""

import difflib
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from vdd_ros.errors import ConfigurationError
from vdd_ros.nodes.ros.parameter_files import own_sections
from vdd_ros.text import printable

ROS_OWN = ("use_sim_time", "start_type_description_service", "qos_overrides")
"""Parameters that rclpy declares itself, including as a name prefix."""
ROS_ARGS = "--ros-args"
_OVERRIDE = re.compile(r"(?:(?P<node>[^:]*):)?(?P<name>[^:=]+):=(?P<value>.*)", re.DOTALL)
_REMAP = re.compile(r"(?:(?P<node>[^:]*):)?__(?P<what>node|name|ns):=(?P<to>.*)", re.DOTALL)


@dataclass(frozen=True)
class Executable:
    """An executable.

    Attributes:
        name: Its name.
        node: Default name of its node.
        parameters: Dataclass of its parameters.
        summary: One-line description.
    """

    name: str
    node: str
    parameters: type[Any]
    summary: str

    @property
    def names(self) -> list[str]:
        """Names of its parameters."""
        return [item.name for item in fields(self.parameters)]


def answered(executable: Executable, argv: list[str] | None) -> int | None:
    """Check a command line; return the exit code if the program must not start, otherwise None.

    Args:
        executable: The executable.
        argv: The arguments without the program name; by default those of the process.
    """
    words = sys.argv[1:] if argv is None else argv
    plain, ros = split(words)
    if any(word in ("-h", "--help") for word in plain + ros):
        print(usage(executable))
        return 0
    try:
        for note in check(executable, plain, ros):
            print(f"warning: {note}", file=sys.stderr)
    except ConfigurationError as error:
        print(f"ConfigurationError: {error}", file=sys.stderr)
        return 1
    return None


def split(words: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the non-ROS and the ROS arguments."""
    plain: list[str] = []
    ros: list[str] = []
    into = plain
    for word in words:
        if word == ROS_ARGS:
            into = ros
        elif word == "--" and into is ros:
            into = plain
        else:
            into.append(word)
    return plain, ros


def check(executable: Executable, plain: list[str], ros: list[str]) -> list[str]:
    """Return the notices about a command line.

    Raises:
        ConfigurationError: An argument would be ignored, a parameter is unknown, or a file is for another node.
    """
    if plain:
        raise ConfigurationError(
            f"unknown argument: {printable(plain[0])}; parameters are given as "
            f"{executable.name} {ROS_ARGS} -p {executable.names[0]}:=VALUE; --help lists them"
        )
    node = full_name(executable.node, ros)
    for given in _values(ros, "-p", "--param"):
        _check_override(executable, node, given)
    notes: list[str] = []
    for given in _values(ros, "--params-file"):
        own, others = own_sections(Path(given), [node])
        for section in own:
            _refuse_unknown(executable, section.names, f"{printable(given)}, section {printable(section.name)}")
        if others:
            notes.append(f"{printable(given)}: not for this node, which is {node}: {', '.join(others)}")
    return notes


def full_name(node: str, ros: list[str]) -> str:
    """Return the node's full name after the first applicable remappings of name and namespace."""
    found = {"node": node, "ns": "/"}
    for what in found:
        for given in _values(ros, "-r", "--remap"):
            remap = _REMAP.fullmatch(given)
            if remap and remap["node"] in (None, node) and (remap["what"] == "ns") == (what == "ns"):
                found[what] = remap["to"]
                break
    return f"{found['ns'].rstrip('/')}/{found['node']}"


def usage(executable: Executable) -> str:
    """Return the text of --help."""
    lines = [
        f"{executable.name}: {executable.summary}",
        "",
        f"usage: {executable.name} {ROS_ARGS} [-p NAME:=VALUE …] [--params-file FILE] [-r __node:=NAME] [-r FROM:=TO]",
        "",
        "parameters (their defaults in brackets):",
    ]
    for item in fields(executable.parameters):
        low, high = item.metadata["range"]
        bounds = f"; {low:.12g} to {high:.12g}" if low is not None else ""
        lines.append(f"  {item.name} [{written(item.default)}]: {item.metadata['description']}{bounds}")
    return "\n".join(lines)


def written(value: Any) -> str:
    """Return a value in the syntax of a parameter file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return f"[{', '.join(map(written, value))}]" if isinstance(value, list | tuple) else repr(value)


def unknown_parameters(names: list[str], known: list[str]) -> str:
    """Report unknown names and suggest close ones; empty if all are known."""
    unknown = [name for name in names if name not in known and name.partition(".")[0] not in ROS_OWN]
    if not unknown:
        return ""
    close = [match for name in unknown for match in difflib.get_close_matches(name, known, n=1)]
    hint = f"; did you mean {', '.join(close)}?" if close else ";"
    return f"unknown parameters: {', '.join(map(printable, unknown))}{hint}"


def _check_override(executable: Executable, node: str, given: str) -> None:
    override = _OVERRIDE.fullmatch(given)
    if override is None or not override["value"]:
        empty = "; for an empty text write -p NAME:='\"\"'" if override else ""
        raise ConfigurationError(f"-p {printable(given)} sets nothing; write -p NAME:=VALUE{empty}")
    if override["node"] is not None and f"/{override['node']}" != node:
        raise ConfigurationError(
            f"-p {printable(given)} is for a node called /{printable(override['node'])}, but this one is {node}; leave "
            f"the name out: -p {printable(given).partition(':')[2]}"
        )
    _refuse_unknown(executable, [override["name"]], f"-p {printable(given)}")


def _refuse_unknown(executable: Executable, names: list[str], where: str) -> None:
    if problem := unknown_parameters(names, executable.names):
        raise ConfigurationError(f"{where}: {problem} {executable.name} has {', '.join(executable.names)}")


def _values(words: list[str], *options: str) -> Iterator[str]:
    """Yield the values of the given options."""
    following = iter(words)
    for word in following:
        if word in options:
            value = next(following, None)
            if value is not None:
                yield value
