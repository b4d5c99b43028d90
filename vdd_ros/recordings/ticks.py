"""One tick of a recording: the observation that the policy node would have made, and the operator's next commands."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEEN, WAITING, STALE, SKEWED, DOUBTED, SILENT = "seen", "waiting", "stale", "skewed", "doubted", "silent"
INTERRUPTED = (STALE, SKEWED, DOUBTED)
"""States in which a commanding node would stop."""


@dataclass(slots=True)
class Tick:
    """A tick.

    Attributes:
        now_ns: Its time, on the clock of receipt.
        state: `seen`; or why the node would not act: `waiting` for a first message of an input, an input is `stale`,
            the stamps of the inputs are `skewed`, or messages are `doubted`.
        blame: The inputs in that state.
        observation: (obs_dim,) float32, as the node would see it; None without one, and if no command followed.
        arrays: The arrays of the observation, by name.
        ages_s: Age of each input's newest value in seconds, in the order of the inputs; infinite without one.
        spread_s: Time between the oldest and the newest value of inputs without `when_stale: keep`.
        numbers: Number of each input's newest value, counted from the beginning of the recording.
        commands: The operator's next commands, (n,) each, by index of the command; None if none arrived in time.
        commands_ns: Times of receipt of these commands.
        commands_numbers: Numbers of these commands, counted from the beginning of the recording.
        open: Number of commands that may still come.
    """

    now_ns: int
    state: str
    blame: tuple[str, ...] = ()
    observation: NDArray[np.float32] | None = None
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    ages_s: tuple[float, ...] = ()
    spread_s: float = 0.0
    numbers: tuple[int, ...] = ()
    commands: list[NDArray[np.float64] | None] = field(default_factory=list)
    commands_ns: list[int] = field(default_factory=list)
    commands_numbers: list[int] = field(default_factory=list)
    open: int = 0

    @property
    def is_commanded(self) -> bool:
        """Whether every command arrived in time."""
        return not self.open and all(command is not None for command in self.commands)

    @property
    def command(self) -> NDArray[np.float64] | None:
        """The numbers of all commands, (n,), command after command; None unless every command arrived in time."""
        found = [command for command in self.commands if command is not None]
        return np.concatenate(found) if self.is_commanded else None

    @property
    def is_pair(self) -> bool:
        """Whether it has an observation and an action."""
        return self.observation is not None and self.is_commanded

    @property
    def why_not(self) -> str:
        """Why it is not a pair: its state, or `silent` if only a command is missing."""
        return SILENT if self.state == SEEN else self.state

    def await_commands(self, count: int) -> None:
        """Wait for a number of commands."""
        self.commands, self.commands_ns, self.commands_numbers = [None] * count, [0] * count, [0] * count
        self.open = count

    def settle(self, place: int, command: NDArray[np.float64] | None, received_ns: int, number: int) -> None:
        """Set the next command; without one, the observation is forgotten."""
        self.commands[place], self.commands_ns[place] = command, received_ns
        self.commands_numbers[place] = number
        self.open -= 1
        if command is None:
            self.observation, self.arrays = None, {}
