"""One command of a recording in blocks of messages: assigns commands to ticks."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vdd_ros.control.rings import usable_rows
from vdd_ros.recordings.commands import NOT_FINITE
from vdd_ros.recordings.message_columns import ACCEPTED, REFUSED, CountedColumns, readable
from vdd_ros.robot.cdr.packed import Packed
from vdd_ros.robot.command_channel import CommandPart

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
NEVER = 2**63 - 1


class Next(NamedTuple):
    """The command that belongs to each of t ticks.

    Attributes:
        values: (t, m) its numbers; zeros without a command.
        received_ns: (t,) its time of receipt.
        numbers: (t,) its index, counted from the beginning of the recording.
        there: (t,) whether a command exists.
        known_ns: (t,) the first time at which a tick may know it, if later ones of these ticks do; otherwise `NEVER`.
    """

    values: Floats
    received_ns: Ints
    numbers: Ints
    there: Flags
    known_ns: Ints


class CommandColumns(CountedColumns):
    """Equivalent of `vdd_ros.recordings.commands.RecordedCommands` for many ticks at once.

    Args:
        part: Reads the messages, after its `expect`.
        period_ns, max_delay_ns, keep_last: See `RecordedCommands`.

    Attributes:
        keep_last: The same.
        limit_ns: Longest delay from a tick to its command.
    """

    def __init__(self, part: CommandPart, *, period_ns: int, max_delay_ns: int, keep_last: bool) -> None:
        super().__init__()
        self.keep_last = keep_last
        self._part = part
        self.limit_ns = period_ns if keep_last else max_delay_ns
        self._received = [np.empty(0, np.int64)]
        self._values = [np.empty((0, len(part.command.entries)))]
        self._forgotten = 0

    @property
    def received_ns(self) -> Ints:
        """Times of receipt of the stored commands, (n,)."""
        return self._joined()[0]

    def take(self, contents: Packed, log_ns: Ints, places: Ints) -> None:
        """Take in the messages of a block; arguments as of `InputColumns.take`."""
        self._begin_block(log_ns, places)
        self._found = found = self._part.read_columns(contents)
        accepted = readable(found) & usable_rows(found.numbers)
        self.fates[:] = np.where(accepted, ACCEPTED, REFUSED)
        self._received.append(log_ns[accepted])
        self._values.append(found.numbers[accepted])

    def accepted_places(self) -> Ints:
        """Return the indices of its accepted messages in the block."""
        return self.places[self.fates == ACCEPTED]

    def following(self, now_ns: Ints, *, until: int | None = None, ticked_ns: int | None = None) -> Next:
        """Return the command that belongs to each of some ticks, (t,).

        Args:
            now_ns: Their times.
            until: Number of stored commands received so far; None: all.
            ticked_ns: Time of the newest tick, if more commands may come; None: no more commands.
        """
        received, values = self._joined()
        received, values = received[:until], values[:until]
        after = np.searchsorted(received, now_ns, "right")
        padded = np.append(received, NEVER)
        delay_ns = padded[after] - now_ns
        in_time = (after < len(received)) & (delay_ns <= self.limit_ns)
        picked, there, known_ns = after, in_time, np.where(in_time, padded[after], NEVER)
        if self.keep_last:
            late = now_ns + self.limit_ns
            abandoned_by = padded[np.searchsorted(received, late, "right")]  # a command that arrives too late
            abandoned = np.ones(len(now_ns), bool)
            if ticked_ns is not None:
                abandoned = (abandoned_by < NEVER) | (ticked_ns > late)
            next_tick = np.append(now_ns, NEVER - 1)[np.searchsorted(now_ns, late, "right")] + 1
            kept = ~in_time & abandoned & (after > 0)
            picked, there = np.where(kept, after - 1, after), in_time | kept
            known_ns = np.where(kept, np.minimum(abandoned_by, next_tick), known_ns)
        rows = np.where(there, picked, 0)
        if not len(received):
            values, received = np.zeros((1, values.shape[1])), np.zeros(1, np.int64)
        found = np.where(there[:, None], values[rows], 0.0)
        received_ns = np.where(there, received[rows], 0)
        numbers = self._forgotten + np.where(there, picked + 1, 0)
        return Next(found, received_ns, numbers, there, known_ns)

    def forget(self, before_ns: int) -> None:
        """Forget the commands that no tick from a time on needs: all earlier ones except the last."""
        received, values = self._joined()
        needed = max(int(np.searchsorted(received, before_ns, "right")) - 1, 0)
        self._forgotten += needed
        self._received, self._values = [received[needed:].copy()], [values[needed:].copy()]

    def _joined(self) -> tuple[Ints, Floats]:
        if len(self._received) > 1:
            self._received, self._values = [np.concatenate(self._received)], [np.concatenate(self._values)]
        return self._received[0], self._values[0]

    def _reason(self, row: int) -> str:
        error = self._found.errors.get(row)
        return NOT_FINITE if error is None else str(error)
