"""The counters of a policy node as its diagnostics in a bag have them."""

from collections.abc import Collection, Iterable
from typing import Any

from vdd_ros.text import printable

DIAGNOSTICS = "/diagnostics"
"""The topic on which every node of a robot says how it is."""

_NAME = ": policy"  # how the name of a policy node's status ends, after the node's own
_STARTED = "ticks"  # a node that is not configured says nothing but its state
_PLAIN = ("ticks", "records", "commands", "goals", "decisions", "expert_switches", "statistics_count", "listeners")
"""Numbers of what is as it should be."""
_MOST_DIGITS = 18
_EARLIER = {"losses": "failsafes", "rivals": "other_publishers", "input_rivals": "other_input_publishers"}
"""Names of counters in older bags, and what they are called now."""


def newest_values(messages: Iterable[Any]) -> dict[str, dict[str, str]]:
    """Return each policy node's last values from messages (diagnostic_msgs/DiagnosticArray) in the order of receipt.

    Counters of older bags get the names that they have now.

    Statuses of others than policy nodes, and those without counters, are passed over.
    """
    found = {}
    for message in messages:
        for status in message.status:
            values = {_EARLIER.get(pair.key, pair.key): pair.value for pair in status.values}
            if status.name.endswith(_NAME) and _STARTED in values:
                found[printable(status.name.removesuffix(_NAME))] = values
    return found


def counters(values: dict[str, str], known: Collection[str]) -> dict[str, int]:
    """Return the counters that are not zero, without those of what goes well.

    Args:
        values: A node's last values.
        known: What it also says about itself on `~/policy_info`, which counts nothing.
    """
    numbers = {printable(key): _whole(value) for key, value in values.items() if key not in known and key not in _PLAIN}
    return {key: number for key, number in numbers.items() if number}


def _whole(value: str) -> int:
    """Return a whole number from 0 on, of at most 18 digits; 0 for all else, which is no counter."""
    return int(value) if value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS else 0
