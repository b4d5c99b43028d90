"""Selection of keys of a data set, and statements that it lacks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KeyChoice:
    """One key of a data set in an observation or an action.

    Attributes:
        key: Name of the key in the data set.
        names: Names of its numbers, in order; empty: those of the data set, otherwise KEY_0, KEY_1, …
        units: One for all numbers, or one for each; empty: those of the data set, otherwise "unknown".
        take: Indices of the numbers to take, from 0; None: all.
        flatten: Treat the numbers of an array as single numbers.
    """

    key: str
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    take: tuple[int, ...] | None = None
    flatten: bool = False


@dataclass(frozen=True)
class Choice:
    """Selection from a data set; omitted fields come from the data set.

    Attributes:
        task: Name of the task; None: the data set's.
        rate_hz: Frames per second; None: the data set's.
        observation: Keys in order; empty: those that the format marks.
        action: Keys in order; empty: those that the format marks.
        subset: Named part of the episodes; None: all.
        leave_out: Numbers of episodes to leave out, from 0.
    """

    task: str | None = None
    rate_hz: float | None = None
    observation: tuple[KeyChoice, ...] = ()
    action: tuple[KeyChoice, ...] = ()
    subset: str | None = None
    leave_out: tuple[int, ...] = ()
