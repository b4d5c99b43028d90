"""The counters of a policy node, from its diagnostics in a bag."""

from collections.abc import Collection, Iterable
from typing import Any

from vdd_ros.text import printable

DIAGNOSTICS = "/diagnostics"
"""The topic on which all nodes of a robot report their status."""

_NAME = ": policy"  # ending of the name of a policy node's status, after the node's own
_STARTED = "ticks"  # an unconfigured node only reports its state
_PLAIN = ("ticks", "records", "commands", "goals", "decisions", "expert_switches", "statistics_count", "listeners")
"""Counters of normal events."""
_MOST_DIGITS = 18
_EARLIER = {"losses": "failsafes", "rivals": "other_publishers", "input_rivals": "other_input_publishers"}
"""Names of counters in older bags, and their current names."""


def newest_values(messages: Iterable[Any]) -> dict[str, dict[str, str]]:
    """Return each policy node's last values from messages (diagnostic_msgs/DiagnosticArray) in the order of receipt.

    Counters of older bags get their current names.

    Statuses of other nodes, and those without counters, are skipped.
    """
    found = {}
    for message in messages:
        for status in message.status:
            values = {_EARLIER.get(pair.key, pair.key): pair.value for pair in status.values}
            if status.name.endswith(_NAME) and _STARTED in values:
                found[printable(status.name.removesuffix(_NAME))] = values
    return found


def counters(values: dict[str, str], known: Collection[str]) -> dict[str, int]:
    """Return the nonzero counters, without those of normal events.

    Args:
        values: A node's last values.
        known: Keys of its `~/policy_info`, which are not counters.
    """
    numbers = {printable(key): _whole(value) for key, value in values.items() if key not in known and key not in _PLAIN}
    return {key: number for key, number in numbers.items() if number}


def _whole(value: str) -> int:
    """Return a whole number from 0 on, of at most 18 digits; 0 for anything else."""
    return int(value) if value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS else 0
