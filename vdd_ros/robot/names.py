"""ROS 2 names of topics, message types and fields, and diagnoses of invalid ones."""

import difflib
import re

from vdd_ros.robot.field_paths import parse_path
from vdd_ros.robot.messages import MESSAGES, action_types

_TOPIC = re.compile(r"(~/|/)?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")
_ACTION = re.compile(r"([a-z][a-z0-9_]*)(?:/|\.|::)action(?:/|\.|::)([A-Z][A-Za-z0-9]*)")
_TYPE = re.compile(r"([a-z][a-z0-9_]*)(?:/|\.|::)(?:msg(?:/|\.|::))?([A-Z][A-Za-z0-9]*)")


def topic_problem(name: str) -> str:
    """Return why ROS 2 forbids a topic or service name, as the rest of a sentence; empty if it is valid."""
    if _TOPIC.fullmatch(name):
        return ""
    strange = sorted(set(re.findall(r"[^A-Za-z0-9_/~]", name)))
    why = f" with {' and '.join(map(repr, strange[:5]))}" if strange else ""
    near = _near_topic(name)
    hint = f", perhaps {near}" if near else ""
    return (
        f"{why}; names of topics and services consist of letters, digits and '_', no part between two '/' begins with "
        f"a digit or is empty, and '~' stands for the node's own name, in front of a '/' (`ros2 topic list` shows the "
        f"existing names{hint})"
    )


def usual_type(name: str) -> str | None:
    """Return a message type as `package/msg/Name`, normalised from any unambiguous spelling; else None.

    A registered action, whose goals can command a robot, is returned as `package/action/Name`.
    """
    if (action := usual_action(name)) in action_types():
        return action
    found = _TYPE.fullmatch(name)
    return f"{found[1]}/msg/{found[2]}" if found else None


def usual_action(name: str) -> str | None:
    """Return an action as `package/action/Name`, normalised likewise; None if the text is not one."""
    found = _ACTION.fullmatch(name)
    return f"{found[1]}/action/{found[2]}" if found else None


def type_problem(name: str) -> str:
    """Return why a text is not a message type, as the rest of a sentence."""
    parts = [part for part in re.split(r"[/.:]+", name) if part]
    if len(parts) > 1 and parts[1] in ("srv", "action"):
        return f", which is {'a service' if parts[1] == 'srv' else 'an action'}; it must be a message type"
    last = parts[-1].lower() if parts else ""
    names = {known.rpartition("/")[2].lower(): known for known in MESSAGES.names()}
    close = difflib.get_close_matches(last, names, n=1, cutoff=0.8)
    hint = f" (did you mean {names[close[0]]}?)" if close else ""
    return f"; a message type is written package/msg/Name{hint}"


def field_problem(name: str) -> str:
    """Return why a text is not a path of a number, as the rest of a sentence; empty if it is one."""
    try:
        parse_path(name)
    except ValueError as error:
        return str(error)
    return ""


def _near_topic(name: str) -> str:
    """Return a valid name close to an invalid one, or an empty text."""
    near = re.sub(r"[^A-Za-z0-9_/]", "_", name.removeprefix("~").strip())
    near = re.sub("/+", "/", near)
    near = "~/" + near.lstrip("/") if name.startswith("~") else near
    return near if near != name and _TOPIC.fullmatch(near) else ""
