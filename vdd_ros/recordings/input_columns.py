"""One input of a recording in blocks of messages: which ones the node would accept, and what it would observe."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vdd_ros.control.continuity import Continuity
from vdd_ros.control.history import INPUT_RATE_HZ, SPARE, STAMP_TOLERANCE_S, spacing_s
from vdd_ros.control.refusals import NOT_NEWER, far_from_arrival, not_finite
from vdd_ros.control.rings import usable_rows
from vdd_ros.recordings.message_columns import ACCEPTED, OTHERS, REFUSED, CountedColumns, readable
from vdd_ros.robot.cdr.columns import Columns
from vdd_ros.robot.cdr.packed import Packed
from vdd_ros.robot.channels import InputChannel
from vdd_ros.robot.layouts import OtherJointsError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
_LONG_AGO = -1


class SeenOfInput(NamedTuple):
    """The node's view of an input of k numbers at t ticks.

    Attributes:
        there: (t,) whether it has a value.
        values: (t, k) the value.
        stamps_s: (t,) stamp of its newest message; -inf before the first.
        since_s: (t,) origin of its age.
        doubted: (t,) whether its messages contradict one another.
        numbers: (t,) number of accepted messages since the beginning of the recording.
    """

    there: Flags
    values: NDArray[np.float32]
    stamps_s: Floats
    since_s: Floats
    doubted: Flags
    numbers: Ints


class InputColumns(CountedColumns):
    """Equivalent of `vdd_ros.control.observer.Observer` for one input of single numbers and windows of one row.

    Most blocks need no loop over their messages. Blocks with possible contradictions, or with messages that arrive at
    the same time or faster than the node stores them, are processed message by message, in the same way.

    Args:
        channel: Reads the messages.
        judge: Judges whether they contradict one another; None if there is no limit.
        is_dated: Whether messages without a stamp are counted.
    """

    def __init__(self, channel: InputChannel, judge: Continuity | None, *, is_dated: bool) -> None:
        super().__init__()
        self.channel = channel
        self._source, self._judge, self._is_dated = channel.source, judge, is_dated
        self._gap_s = math.inf if channel.source.is_kept else channel.source.max_age_s
        self._spacing_s = spacing_s(INPUT_RATE_HZ)
        self._accepted = 0
        self.reset()

    def reset(self) -> None:
        """Forget all messages, as at the start of an episode."""
        if self._judge is not None:
            self._judge.reset()
        none = np.empty(0)
        self._stamps_s, self._since_s = none, none
        self._values = np.empty((0, len(self.channel.columns)), np.float32)
        self._is_kept, self._starts, self._arrived_ns = np.empty(0, bool), np.empty(0, np.int64), np.empty(0, np.int64)
        self._carried, self._accepted_before = 0, self._accepted
        self._doubts_s = np.full(1, -math.inf)
        empty = np.empty(0, np.int64)
        self._begin_block(empty, empty)

    def take(self, contents: Packed, log_ns: Ints, places: Ints) -> None:
        """Take in the messages of a block.

        Args:
            contents: The m messages.
            log_ns: (m,) their times of receipt.
            places: (m,) their indices in the block.
        """
        self._begin_block(log_ns, places)
        self._carry()
        found, now_s = self.channel.read_columns(contents), log_ns * 1e-9
        known = readable(found)
        undated = found.stamps_ns == 0 if self._source.stamp != "arrival" else np.ones(len(log_ns), bool)
        stamps_s = np.where(undated, now_s, found.stamps_ns * 1e-9)
        near = np.abs(stamps_s - now_s) <= self._source.max_age_s
        usable = usable_rows(found.numbers)
        candidates = known & near & usable
        newest = self._stamps_s[-1] if len(self._stamps_s) else -math.inf
        highest = np.maximum.accumulate(np.where(candidates, stamps_s, -math.inf))
        before = np.maximum(newest, np.append(-math.inf, highest[:-1])[: len(highest)])
        accepted = candidates & (stamps_s > before)
        rows = np.flatnonzero(accepted)
        judge, doubted_s = self._judge, self._doubts_s[-1]
        self._found, self._now_s = found, now_s
        self._texts: dict[int, str] = {}
        if (undated & known & (now_s <= before)).any() or (
            judge is not None and judge.may_refuse(stamps_s[rows], found.numbers[rows])
        ):
            rows = self._one_by_one(found, undated, stamps_s, usable, known)
        else:
            self._doubts_s = np.full(1, doubted_s)
            if judge is not None and len(rows):
                judge.take_as_last(float(stamps_s[rows[-1]]), found.numbers[rows[-1]])
        self._given_s = stamps_s
        self.fates[:] = REFUSED
        self.fates[rows] = ACCEPTED
        self.fates[[row for row, error in found.errors.items() if isinstance(error, OtherJointsError)]] = OTHERS
        self.unstamped[:] = undated & self._is_dated
        self._append(rows, stamps_s[rows])

    def look(self, now_ns: Ints) -> SeenOfInput:
        """Return the node's view at some ticks, (t,), none of them before an earlier one."""
        now_s = now_ns * 1e-9
        counts = np.searchsorted(self._arrived_ns, now_ns, "right")
        there = counts > 0
        numbers = self._accepted_before + counts - self._carried
        if len(self._doubts_s) == 1:
            doubted = now_s < self._doubts_s[0]
        else:
            doubted = now_s < self._doubts_s[np.searchsorted(self.log_ns, now_ns, "right")]
        if not len(self._stamps_s):
            never, none = np.full(len(now_s), -math.inf), np.zeros((len(now_s), self._values.shape[1]), np.float32)
            return SeenOfInput(there, none, never, never, doubted, numbers)
        newest = np.maximum(counts - 1, 0)
        stamps_s = np.where(there, self._stamps_s[newest], -math.inf)
        since_s = np.where(there, self._since_s[newest], -math.inf)
        picked = newest
        until_s = now_s + STAMP_TOLERANCE_S
        for tick in np.flatnonzero(there & (stamps_s > until_s)).tolist():
            picked[tick] = self._not_after(int(newest[tick]), float(until_s[tick]))
        return SeenOfInput(there, self._values[picked], stamps_s, since_s, doubted, numbers)

    def _one_by_one(self, found: Columns, undated: Flags, stamps_s: Floats, usable: Flags, known: Flags) -> Ints:
        """As `take`, but message by message; correct the stamps, and return the accepted rows."""
        newest = float(self._stamps_s[-1]) if len(self._stamps_s) else -math.inf
        judge, accepted, doubts_s = self._judge, [], [float(self._doubts_s[-1])]
        max_age_s, name = self._source.max_age_s, self._source.name
        given = (each.tolist() for each in (stamps_s, self._now_s, undated, usable, known))
        for row, (given_s, now_s, is_undated, is_usable, is_known) in enumerate(zip(*given, strict=True)):
            stamp_s = math.nextafter(newest, math.inf) if is_undated and now_s <= newest else given_s
            stamps_s[row] = stamp_s
            if not is_known or abs(stamp_s - now_s) > max_age_s:
                pass
            elif judge is not None and (why := judge.contradiction(stamp_s, found.numbers[row], now_s)):
                self._texts[row] = f"{name}: {why}"
            elif stamp_s > newest and is_usable:
                accepted.append(row)
                newest = stamp_s
                if judge is not None:
                    judge.take(stamp_s)
            doubts_s.append(-math.inf if judge is None else judge.doubted_until_s)
        self._doubts_s = np.array(doubts_s)
        return np.array(accepted, np.int64)

    def _append(self, rows: Ints, stamps_s: Floats) -> None:
        """Append accepted messages to those carried over."""
        self._carried = carried = len(self._stamps_s)
        self._accepted_before, self._accepted = self._accepted, self._accepted + len(rows)
        self._stamps_s = stamps_s = np.append(self._stamps_s, stamps_s)
        self._since_s = np.append(self._since_s, np.minimum(stamps_s[carried:], self._now_s[rows]))
        self._values = np.concatenate([self._values, self._found.numbers[rows].astype(np.float32)])
        self._arrived_ns = np.concatenate([np.full(carried, _LONG_AGO), self.log_ns[rows]])
        self._is_kept = np.ones(len(stamps_s), bool)
        steps = np.diff(stamps_s)
        begins = np.concatenate([np.zeros(min(1, len(stamps_s)), bool), steps > self._gap_s])
        begins[:carried] = False
        self._starts = np.maximum.accumulate(np.where(begins, np.arange(len(begins)), 0))
        if (steps < self._spacing_s).any():
            self._mark_replaced(carried)

    def _mark_replaced(self, carried: int) -> None:
        """Mark the messages replaced by their successors, as in `vdd_ros.control.rings.Ring`."""
        stamps, starts = self._stamps_s.tolist(), self._starts.tolist()
        newest = stamps[carried - 1] if carried else -math.inf
        before = stamps[carried - 2] if carried > 1 else -math.inf
        for row in range(carried, len(stamps)):
            if row and starts[row] == row:
                newest = before = -math.inf
            if newest - before < self._spacing_s:
                self._is_kept[row - 1] = False
            else:
                before = newest
            newest = stamps[row]

    def _carry(self) -> None:
        """Keep the values that the node would still store: the last ones since a gap."""
        if len(self._stamps_s):
            self._is_kept[-1] = True
            kept = np.flatnonzero(self._is_kept[self._starts[-1] :])[-SPARE:] + self._starts[-1]
            self._stamps_s, self._since_s, self._values = self._stamps_s[kept], self._since_s[kept], self._values[kept]

    def _not_after(self, newest: int, until_s: float) -> int:
        """Return the newest message stamped no later than a time, or the oldest that the node stores."""
        found, left = newest, SPARE
        for row in range(newest, int(self._starts[newest]) - 1, -1):
            if row < newest and not self._is_kept[row]:
                continue
            found, left = row, left - 1
            if not left or self._stamps_s[row] <= until_s:
                break
        return found

    def _reason(self, row: int) -> str:
        name = self._source.name
        if row in self._texts:
            return self._texts[row]
        if error := self._found.errors.get(row):
            return f"{name}: {error}"
        age_s = float(self._now_s[row] - self._given_s[row])
        if abs(age_s) > self._source.max_age_s:
            return f"{name}: {far_from_arrival(age_s)}"
        return f"{name}: {not_finite(self._source, self._found.numbers[row]) or NOT_NEWER}"

    def _joints(self, row: int) -> str:
        error = self._found.errors[row]
        return error.joints if isinstance(error, OtherJointsError) else ""
