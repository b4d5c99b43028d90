"""Matches topics of the robot file with those of a recording."""

import difflib
from collections.abc import Sequence

from vdd_ros.bags.topics import Topic
from vdd_ros.text import printable

_SHOWN = 5


def find_topic(name: str, topics: Sequence[Topic]) -> Topic | None:
    """Return the topic of a recording that matches a robot file's, or None.

    An absolute name must be equal. A relative one may be in any namespace, if only one matches; `~/` stands for any
    node.

    Args:
        name: Topic of the robot file.
        topics: Topics of the recording.
    """
    by_name = {topic.name: topic for topic in topics}
    if name.startswith("/"):
        return by_name.get(name)
    relative = "/" + name.removeprefix("~").lstrip("/")
    if relative in by_name:
        return by_name[relative]
    ends = [topic for topic in topics if topic.name.endswith(relative)]
    return ends[0] if len(ends) == 1 else None


def missing_topic(name: str, kind: str, topics: Sequence[Topic]) -> str:
    """Return alternatives to a missing topic, as the end of a sentence: similar names, or topics of the same type."""
    ends = [topic.name for topic in topics if topic.name.endswith("/" + name.lstrip("~/"))]
    if len(ends) > 1 and not name.startswith("/"):
        return f"in several namespaces, {_listed(ends)}; write the whole name in the robot file"
    near = difflib.get_close_matches("/" + name.lstrip("~/"), [topic.name for topic in topics], n=_SHOWN, cutoff=0.6)
    same = [topic.name for topic in topics if topic.type == kind and topic.name not in near]
    if near:
        return f"not there; similar topics: {_listed(near)}"
    if same:
        return f"not there; topics of the type {kind}: {_listed(same)}"
    return f"not there, nor is any topic of the type {kind}; there are {_listed([topic.name for topic in topics])}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return (", ".join(printable(name) for name in names[:_SHOWN]) or "none") + more
