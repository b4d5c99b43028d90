"""The ticks of a recording as arrays."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.recordings.ticks import DOUBTED, INTERRUPTED, SEEN, SILENT, SKEWED, STALE, WAITING, Tick
from vdd_ros.recordings.traffic import Traffic

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
STATES = (SEEN, WAITING, STALE, SKEWED, DOUBTED)
"""States by their number in `Seen.states`."""


@dataclass
class Seen:
    """The node's view of n inputs at t ticks.

    Attributes:
        now_ns: (t,) their times, on the clock of receipt.
        states: (t,) number of the state in `STATES`.
        blamed: (t, n) the inputs in that state.
        observation: (t, obs_dim) float32; meaningless unless the state is `seen`.
        ages_s: (t, n) age of each input's newest value in seconds; infinite without one.
        spread_s: (t,) time between the oldest and the newest value of inputs without `when_stale: keep`.
        numbers: (t, n) number of each input's newest value, counted from the beginning of the recording.
    """

    now_ns: Ints
    states: NDArray[np.int8]
    blamed: Flags
    observation: NDArray[np.float32]
    ages_s: Floats
    spread_s: Floats
    numbers: Ints

    def __len__(self) -> int:
        return len(self.now_ns)

    def reasons(self) -> Counter[str]:
        """Return how many ticks are not a pair, by reason, if none is."""
        numbers = np.bincount(self.states, minlength=len(STATES)).tolist()
        named = {SILENT if name == SEEN else name: count for name, count in zip(STATES, numbers, strict=True)}
        return Counter({name: count for name, count in named.items() if count})

    def ever_blamed(self, inputs: Sequence[str]) -> set[str]:
        """Return the names of the inputs that were old, skewed or doubted at any tick."""
        wrong = np.isin(self.states, [STATES.index(state) for state in INTERRUPTED])
        return {name for column, name in enumerate(inputs) if self.blamed[wrong, column].any()}

    def apart_s(self) -> float:
        """Return the largest spread at a skewed tick; 0 without one."""
        return float(self.spread_s[self.states == STATES.index(SKEWED)].max(initial=0.0))

    def taken(self, rows: slice | Flags) -> "Seen":
        """Return some of the ticks."""
        return Seen(*(getattr(self, one.name)[rows] for one in fields(Seen)))

    @classmethod
    def joined(cls, parts: "Sequence[Seen]") -> "Seen":
        """Return the ticks of one or more parts."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)))


@dataclass
class Commanded:
    """The operator's commands after t ticks: c commands with m numbers in all.

    Attributes:
        values: (t, m) the numbers, command after command; meaningless unless `whole`.
        received_ns: (t, c) times of receipt of these commands.
        numbers: (t, c) their numbers, counted from the beginning of the recording.
        whole: (t,) whether every command arrived in time.
    """

    values: Floats
    received_ns: Ints
    numbers: Ints
    whole: Flags

    def taken(self, rows: slice | Flags) -> "Commanded":
        """Return some of the ticks."""
        return Commanded(*(getattr(self, one.name)[rows] for one in fields(Commanded)))


@dataclass
class Ticks:
    """Ticks with their observations and the following commands.

    Attributes:
        inputs: Names of the inputs.
        seen: The observations.
        commanded: The commands.
        arrays: (t, *shape) of each array of the observation, by name; meaningless unless `is_pair`.
    """

    inputs: tuple[str, ...]
    seen: Seen
    commanded: Commanded
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, ticks: Sequence[Tick], inputs: Sequence[str], dim: int, sizes: Sequence[int]) -> "Ticks":
        """Return ticks as arrays.

        Args:
            ticks: The ticks.
            inputs: Names of the inputs.
            dim: Number of single numbers in an observation.
            sizes: Number of numbers in each command.
        """
        none, unknown = np.zeros(dim, np.float32), [np.inf] * len(inputs)
        whole = np.array([tick.is_commanded for tick in ticks], bool)
        values = np.zeros((len(ticks), sum(sizes)))
        for row, tick in enumerate(ticks):
            if (command := tick.command) is not None:
                values[row] = command
        seen = Seen(
            np.array([tick.now_ns for tick in ticks], np.int64),
            np.array([STATES.index(tick.state) for tick in ticks], np.int8),
            _rows(([name in tick.blame for name in inputs] for tick in ticks), len(inputs), bool),
            _rows((none if tick.observation is None else tick.observation for tick in ticks), dim, np.float32),
            _rows((tick.ages_s or unknown for tick in ticks), len(inputs), np.float64),
            np.array([tick.spread_s for tick in ticks], np.float64),
            _rows((tick.numbers or [0] * len(inputs) for tick in ticks), len(inputs), np.int64),
        )
        commanded = Commanded(
            values,
            _rows((tick.commands_ns for tick in ticks), len(sizes), np.int64),
            _rows((tick.commands_numbers for tick in ticks), len(sizes), np.int64),
            whole,
        )
        return cls(tuple(inputs), seen, commanded, _arrays(ticks))

    def __len__(self) -> int:
        return len(self.seen)

    @property
    def is_pair(self) -> Flags:
        """(t,) whether each has an observation and an action."""
        return (self.seen.states == 0) & self.commanded.whole

    def why_not(self, place: int) -> str:
        """Return why a tick is not a pair: its state, or `silent` if only a command is missing."""
        state = STATES[self.seen.states[place]]
        return SILENT if state == SEEN else state

    def blamed(self, places: Ints) -> tuple[str, ...]:
        """Return the inputs that cause the states of some ticks."""
        blamed: Flags = np.any(self.seen.blamed[places], axis=0)
        return tuple(name for name, there in zip(self.inputs, blamed, strict=True) if there)

    def taken(self, rows: slice | Flags) -> "Ticks":
        """Return some of the ticks."""
        arrays = {name: values[rows] for name, values in self.arrays.items()}
        return Ticks(self.inputs, self.seen.taken(rows), self.commanded.taken(rows), arrays)


@dataclass(frozen=True)
class RawEpisode:
    """The ticks between two marks, before any rule is applied.

    Attributes:
        label: Label of its mark; empty if a bag is one episode.
        begin_ns: Time of its beginning, on the clock of receipt.
        ticks: Its ticks, from the first one with an observation and an action, or a possible action.
        skipped: Number of earlier ticks, by state.
        blamed: Inputs that were old, skewed or doubted at a skipped tick.
        apart_s: Largest spread at a skipped skewed tick; 0 without one.
        inputs: Traffic of each input.
        commands: Traffic of each command, by name.
        missing: Why inputs never had a value, by name.
    """

    label: str
    begin_ns: int
    ticks: Ticks
    skipped: Counter[str]
    blamed: frozenset[str]
    apart_s: float
    inputs: Mapping[str, Traffic]
    commands: Mapping[str, Traffic]
    missing: dict[str, str]


def _rows(rows: Iterable[object], width: int, dtype: type) -> NDArray[Any]:
    """Return rows of some numbers as an array, also without rows."""
    return np.array(list(rows), dtype).reshape(-1, width)


def _arrays(ticks: Sequence[Tick]) -> dict[str, NDArray[Any]]:
    """Return the arrays of ticks; zeros for ticks without."""
    known: dict[str, NDArray[Any]] = next((tick.arrays for tick in ticks if tick.arrays), {})
    return {
        name: np.stack([tick.arrays.get(name, np.zeros_like(one)) for tick in ticks]) for name, one in known.items()
    }
