"""Drafts a description of a data set: its own statements, and questions for its owner."""

import os
from collections.abc import Iterator
from pathlib import Path

from vdd_ros.data.formats import find_format
from vdd_ros.data.formats.choice import KeyChoice
from vdd_ros.data.formats.source import UNKNOWN, Column, Source
from vdd_ros.documents import yaml_text
from vdd_ros.errors import DemonstrationError
from vdd_ros.files import replacing
from vdd_ros.text import counted, printable

OPEN = "???"
"""Placeholder for required statements: a description with one is refused."""
_MANY = 24
"""Limit on the numbers of a key whose names and units are listed."""


def outline(path: Path, file: Path | None = None) -> str:
    """Return a description of a data set.

    Args:
        path: The data set.
        file: Path of the description, to which its path to the data set is relative; None: the current folder.

    Raises:
        DemonstrationError: No format recognises the data set, or it needs no description, or is damaged.
    """
    if not path.exists():
        raise DemonstrationError(f"there is nothing at '{printable(path)}'; name a data set")
    found = find_format(path)
    if found is None or found.open is None:
        what = "no data set of a known format" if found is None else f"{found.description}, which needs no description"
        raise DemonstrationError(
            f"'{printable(path)}' is {what}; docs/formats.md lists the data sets that can be described"
        )
    place = os.path.relpath(path.resolve(), (Path() if file is None else file.parent).resolve())
    return "\n".join(_lines(found.open(path), place)) + "\n"


def write_outline(path: Path, file: Path, *, force: bool = False) -> None:
    """Write a description of a data set.

    Args:
        path: The data set.
        file: The description, a new file that ends in .yaml.
        force: Replace an old one.

    Raises:
        DemonstrationError: As `outline`; or there is a file already, or its name does not end in .yaml.
    """
    if file.suffix not in (".yaml", ".yml"):
        raise DemonstrationError(f"'{printable(file)}' does not end in .yaml, as descriptions must; rename it")
    if file.exists() and not force:
        raise DemonstrationError(f"'{printable(file)}' exists; replace it with --force, or name another file")
    text = outline(path, file)
    with replacing(file) as aside:
        aside.write_text(text, encoding="utf-8")


def _lines(source: Source, place: str) -> Iterator[str]:
    rate = f", {source.rate_hz:.6g} Hz" if source.rate_hz is not None else ""
    episodes, frames = counted(len(source.lengths), "episode"), counted(source.frames, "frame")
    yield f"# {printable(source.kind)}: {episodes}, {frames}{rate}"
    yield f"data: {yaml_text(place)}"
    yield f"task: {yaml_text(source.task)}"
    if source.rate_hz is None:
        yield f"rate_hz: {OPEN}  # frames per second; the data set does not state them"
    if source.subsets:
        yield f"# subset: {' or '.join(map(yaml_text, source.subsets))}  # without this line all episodes are read"
    used: set[str] = set()
    named = [KeyChoice(column.key) for column in source.columns]
    actions = source.marked("action") or tuple(one for one in named if one.key.startswith("action"))
    rest = tuple(one for one in named if one.key not in {action.key for action in actions})
    for role, guessed in (("observation", rest), ("action", actions)):
        marked = source.marked(role)
        yield f"{role}:" + (
            "" if marked else f"  # the data set does not state which keys these are: leave only {role}s"
        )
        chosen = [(column, one) for one in marked or guessed if (column := source.column(one.key)) is not None]
        used.update(column.key for column, _ in chosen)
        for column, one in chosen:
            yield from _key(column, one.take)
        if not any(not column.problem for column, _ in chosen):
            yield f"  {OPEN}"
    if others := [column for column in source.columns if column.key not in used]:
        yield f"# Keys that are in neither: {', '.join(printable(column.key, 60) for column in others)}"


def _key(column: Column, take: tuple[int, ...] | None) -> Iterator[str]:
    form = " x ".join(map(str, column.shape)) or "one number"
    if column.problem:
        yield f"  # {yaml_text(column.key)}: left out, since it {printable(column.problem)}"
        return
    yield f"  {yaml_text(column.key)}:  # {printable(column.dtype)}, {form}"
    if len(column.shape) > 1:
        yield "    flatten: false  # true: its numbers one by one"
    elif column.size > _MANY:
        yield f"    unit: {yaml_text((*column.units, UNKNOWN)[0])}"
    else:
        base = column.base or column.key
        names = column.names or ((base,) if column.size == 1 else tuple(f"{base}_{i}" for i in range(column.size)))
        units = column.units if len(column.units) == column.size else (*column.units, UNKNOWN)[:1] * column.size
        taken = range(column.size) if take is None else take
        if take is not None:
            yield f"    take: [{', '.join(map(str, take))}]"
        yield f"    names: [{', '.join(yaml_text(names[index]) for index in taken)}]"
        yield f"    units: [{', '.join(yaml_text(units[index]) for index in taken)}]"
