"""What is read of a data set, and what the data set does not state itself."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KeyChoice:
    """One key of a data set in an observation or an action.

    Attributes:
        key: As the data set calls it.
        names: Of its numbers, in order; empty: those of the data set, else KEY_0, KEY_1, …
        units: One for all numbers, or one for each; empty: those of the data set, else "unknown".
        take: Indices of the numbers that are taken, from 0; None: all.
        flatten: Take the numbers of an array as single numbers.
    """

    key: str
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    take: tuple[int, ...] | None = None
    flatten: bool = False


@dataclass(frozen=True)
class Choice:
    """What is read of a data set; what is left out comes from the data set.

    Attributes:
        task: Name of the task; None: the data set's.
        rate_hz: Frames per second; None: the data set's.
        observation: Keys in order; empty: those that the format marks.
        action: Keys in order; empty: those that the format marks.
        subset: Named part of the episodes; None: all.
        leave_out: Numbers of episodes that are left out, from 0.
    """

    task: str | None = None
    rate_hz: float | None = None
    observation: tuple[KeyChoice, ...] = ()
    action: tuple[KeyChoice, ...] = ()
    subset: str | None = None
    leave_out: tuple[int, ...] = ()
