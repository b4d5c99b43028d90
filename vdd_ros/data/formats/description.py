"""A description: a YAML file that names a data set of another program, and supplies missing statements.

data: lerobot/my_arm          # file or folder, relative to this file task: my_arm                  # default: the data
set's rate_hz: 50                   # needed if the data set states none observation:                  # keys, in order;
default: those that the format marks
  observation.state: {unit: rad, names: [shoulder, elbow]}
action:
  action: {units: [rad, rad]}
leave_out: [3, 7]             # episodes, counted from 0
"""

from pathlib import Path
from typing import Any

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats.assembly import MAX_ENTRIES, assemble
from vdd_ros.data.formats.choice import Choice, KeyChoice
from vdd_ros.data.formats.format import Format
from vdd_ros.data.formats.source import MAX_EPISODES
from vdd_ros.documents import read_yaml
from vdd_ros.errors import DemonstrationError
from vdd_ros.text import printable

SUFFIXES = (".yaml", ".yml")
FIELDS = ("data", "task", "rate_hz", "observation", "action", "subset", "leave_out")
KEY_FIELDS = ("names", "unit", "units", "take", "flatten")
MAX_TEXT = 200


def probe(path: Path) -> bool:
    """Return whether a file is YAML with a field `data`."""
    if path.suffix not in SUFFIXES or not path.is_file():
        return False
    try:
        fields = read_yaml(path, DemonstrationError)
    except DemonstrationError:
        return False
    return isinstance(fields, dict) and "data" in fields


def read(path: Path) -> DemonstrationSet:
    """Read the data set that a description names.

    Raises:
        DemonstrationError: The description is malformed, or the data set is missing, damaged or contradicts it.
    """
    from vdd_ros.data.formats import find_format

    data, choice = read_description(path)
    if probe(data):
        raise _refused(path, "data", f"is '{printable(data)}', another description; name the data set itself")
    found = find_format(data) if data.exists() else None
    if found is None:
        raise _refused(path, "data", f"is '{printable(data)}', which is not a data set of a known format; correct it")
    if found.open is None:
        raise _refused(
            path,
            "data",
            f"is '{printable(data)}', {found.description}, which needs no description; name it directly",
        )
    return assemble(found.open(data), choice)


def read_description(path: Path) -> tuple[Path, Choice]:
    """Read a description, and return the path of its data set and what to read.

    Raises:
        DemonstrationError: It is not YAML, lacks `data`, or has a field that is unknown or invalid.
    """
    fields = read_yaml(path, DemonstrationError)
    if not isinstance(fields, dict):
        raise _refused(path, "", f"it is not a mapping; it needs the field data, and may have {', '.join(FIELDS[1:])}")
    _known(path, "", fields, FIELDS)
    data = _text(path, "data", fields.get("data"))
    rate_hz = fields.get("rate_hz")
    if rate_hz is not None and (
        isinstance(rate_hz, bool) or not isinstance(rate_hz, int | float) or not 0 < rate_hz <= 1e6
    ):
        raise _refused(path, "rate_hz", f"is {printable(rate_hz)}, not a number above 0 and up to 1,000,000")
    task, subset = (
        None if fields.get(name) is None else _text(path, name, fields[name]) for name in ("task", "subset")
    )
    observation, action = (_keys(path, name, fields.get(name)) for name in ("observation", "action"))
    leave_out = _indices(path, "leave_out", fields.get("leave_out", []), MAX_EPISODES)
    return path.parent / data, Choice(task, rate_hz, observation, action, subset, leave_out)


def _keys(path: Path, role: str, value: object) -> tuple[KeyChoice, ...]:
    if value is None:
        return ()
    if isinstance(value, list):
        value = {key if isinstance(key, str) else repr(key): None for key in value}
    if not isinstance(value, dict) or not value or not all(isinstance(key, str) for key in value):
        raise _refused(path, role, "is neither a list of keys nor a mapping of keys to fields")
    return tuple(_key(path, f"{role}.{printable(key, 60)}", key, fields) for key, fields in value.items())


def _key(path: Path, at: str, key: str, fields: Any) -> KeyChoice:
    fields = {} if fields is None else fields
    if not isinstance(fields, dict):
        raise _refused(path, at, f"is {printable(fields)}, not a mapping with {', '.join(KEY_FIELDS)}")
    _known(path, at, fields, KEY_FIELDS)
    if "unit" in fields and "units" in fields:
        raise _refused(path, at, "has both unit and units; give unit for all numbers, or units for each")
    units = [fields["unit"]] if "unit" in fields else fields.get("units", [])
    flatten = fields.get("flatten", False)
    if not isinstance(flatten, bool):
        raise _refused(path, f"{at}.flatten", f"is {printable(flatten)}, not true or false")
    return KeyChoice(
        key,
        _texts(path, f"{at}.names", fields.get("names", [])),
        _texts(path, f"{at}.units", units),
        None if fields.get("take") is None else _indices(path, f"{at}.take", fields["take"], MAX_ENTRIES, least=1),
        flatten,
    )


def _known(path: Path, at: str, fields: dict[Any, Any], names: tuple[str, ...]) -> None:
    if unknown := [name for name in fields if name not in names]:
        raise _refused(path, at, f"has the unknown field '{printable(unknown[0])}'; known: {', '.join(names)}")


def _text(path: Path, at: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not 0 < len(str(value)) <= MAX_TEXT:
        raise _refused(path, at, f"is {printable(value)}, not a text of 1 to {MAX_TEXT} characters")
    return str(value)


def _texts(path: Path, at: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_ENTRIES:
        raise _refused(path, at, f"is {printable(value)}, not a list of at most {MAX_ENTRIES:,} texts")
    return tuple(_text(path, at, text) for text in value)  # such as the unit 1


def _indices(path: Path, at: str, value: object, most: int, least: int = 0) -> tuple[int, ...]:
    if (
        not isinstance(value, list)
        or len(value) < least
        or not all(type(index) is int and 0 <= index < most for index in value)
        or len(set(value)) < len(value)
    ):
        raise _refused(path, at, f"is {printable(value)}, not a list of whole numbers from 0, each once")
    return tuple(value)


def _refused(path: Path, at: str, problem: str) -> DemonstrationError:
    return DemonstrationError(f"the description '{printable(path)}'{f': {at}' if at else ','} {problem}")


FORMAT = Format("a description of a data set (YAML)", probe, read)
