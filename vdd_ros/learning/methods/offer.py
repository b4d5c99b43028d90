"""The methods that `vdd distil` can offer together: their settings share one set of options."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

from vdd_ros.errors import PluginError, VddError
from vdd_ros.learning.methods.registry import METHODS, Method
from vdd_ros.text import printable

OWN_OPTIONS = frozenset(
    ("help", "method", "teacher", "demos", "out", "resume", "force", "json", "append", "label", "threads", "preset")
)
"""Options of `vdd distil` itself, which no setting can have."""


def offered_methods() -> tuple[list[Method], dict[str, VddError]]:
    """Return the usable methods, the shipped ones first, and by name why others are not."""
    usable, broken = METHODS.usable()
    offered: list[Method] = []
    for name, method in usable.items():
        if (problem := next(setting_problems(method, offered), None)) is None:
            offered.append(method)
        else:
            broken[name] = PluginError(problem)
    return offered, broken


def setting_problems(method: Method, others: Sequence[Method]) -> Iterator[str]:
    """Yield why settings of a method cannot be options beside those of other methods."""
    try:
        types = get_type_hints(method.config)
    except Exception as error:  # of somebody else's annotations, which may be anything
        yield f"the settings of '{printable(method.name)}' have annotations that cannot be read: {printable(error)}"
        return
    theirs = {other.name: get_type_hints(other.config) for other in others}
    for field in dataclasses.fields(method.config):
        where = f"the setting '{printable(field.name)}' of '{printable(method.name)}'"
        kind = types[field.name]
        if field.default is dataclasses.MISSING:
            yield f"{where} has no default"
        if (choices := field.metadata.get("choices")) is not None:
            try:
                choices()
            except Exception as error:  # of somebody else's code, which may raise anything
                yield f"{where} has choices that cannot be listed: {printable(repr(error))}"
        if not _is_option(kind):
            yield f"{where} is {printable(kind)}; take int, float, str, bool or Literal"
        if field.name in OWN_OPTIONS:
            yield f"{where} has the name of an option of `vdd distil` itself; give it another name"
        for name, known in theirs.items():
            if known.get(field.name, kind) != kind:
                yield f"{where} is {kind}, but {known[field.name]} in '{printable(name)}'; give it another name"


def _is_option(kind: Any) -> bool:
    texts = get_origin(kind) is Literal and all(isinstance(value, str) for value in get_args(kind))
    return texts or kind in (int, float, str, bool)
