"""Samples a recording at the policy's rate, in blocks of messages, with the same result as `sampler`."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vdd_ros.bags.blocks import MessageBlock
from vdd_ros.control.before_commands import BeforeCommands
from vdd_ros.control.continuity import judges
from vdd_ros.control.differences import Differences
from vdd_ros.control.observer import Formats
from vdd_ros.recordings.command_columns import NEVER, CommandColumns, Next
from vdd_ros.recordings.form import SamplingForm
from vdd_ros.recordings.input_columns import InputColumns
from vdd_ros.recordings.inputs import check_on_blank
from vdd_ros.recordings.sampler import max_delay_s
from vdd_ros.recordings.tick_columns import STATES, Commanded, RawEpisode, Seen, Ticks
from vdd_ros.recordings.ticks import DOUBTED, SEEN, SKEWED, STALE, WAITING
from vdd_ros.recordings.topics import Wanted
from vdd_ros.robot.channels import InputChannel
from vdd_ros.robot.command_channel import CommandChannel
from vdd_ros.robot.robot_file import RobotFile

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
_SEEN = STATES.index(SEEN)
_TICKS = 1 << 16
"""Number of ticks that are processed together, and kept before the first pair."""


def why_not_by_columns(robot: RobotFile) -> str:
    """Return the part of a robot file that forces sampling message by message; empty without any."""
    arrays = [source.name for source in robot.inputs if source.array is not None]
    if arrays:
        return f"the input {arrays[0]} is an array"
    framed = [source.name for source in robot.inputs if source.frame]
    return f"the input {framed[0]} names a frame" if framed else ""


class ColumnSampler:
    """Equivalent of `vdd_ros.recordings.sampler.Sampler`, for robot files that `why_not_by_columns` permits.

    Args:
        form: Form of the demonstrations.
        robot: The robot file.
        formats: Serialised form of a message type, by its name.
        readers: Readers of each channel of the bag, in order, by the index of the channel.

    Raises:
        RobotFileError: A type lacks a field that the robot file names.
    """

    def __init__(
        self, form: SamplingForm, robot: RobotFile, formats: Formats, readers: Mapping[int, Sequence[Wanted]]
    ) -> None:
        rules = robot.demonstrations
        self._form, self._robot = form, robot
        self._differences = Differences(robot, form.vector)
        vector = self._differences.read
        self._before = BeforeCommands(robot, vector)
        watching = judges(robot.sources, robot, vector, form.period_s)
        stamped = {s.name for s in robot.inputs if s.stamp == "header" and s.message.has_header}
        self._inputs: dict[str, InputColumns] = {}
        for source in robot.sources:
            channel = InputChannel(source, vector)
            channel.expect(formats(source.type))
            check_on_blank(channel, formats(source.type))
            judge = watching.get(source.name)
            self._inputs[source.name] = InputColumns(channel, judge, is_dated=source.name in stamped)
        self._commands: dict[str, CommandColumns] = {}
        for part in CommandChannel(robot.commands, form.vector, form.action).parts:
            part.expect(formats(part.command.type))
            check_on_blank(part, formats(part.command.type))
            recorded = rules.commands.get(part.command.name)
            self._commands[part.command.name] = CommandColumns(
                part,
                period_ns=round(1e9 * form.period_s),
                max_delay_ns=round(1e9 * max_delay_s(form, robot)),
                keep_last=recorded is not None and recorded.keep_last,
            )
        self._read: list[tuple[InputColumns | CommandColumns, Ints]] = [
            *((one, _places(readers, "input", name)) for name, one in self._inputs.items()),
            *((one, _places(readers, "command", name)) for name, one in self._commands.items()),
        ]
        observed = {source.name for source in robot.inputs}
        self._is_observed = np.array([name in observed for name in self._inputs])
        self._is_kept = np.array([source.is_kept for source in robot.sources]) & self._is_observed
        self._last_names = {source.name for source in robot.last_commands}
        self._max_ages_s = np.array([s.max_age_s if s.name in observed else math.inf for s in robot.sources])
        self._max_skew_s = math.inf if robot.max_skew_s is None else robot.max_skew_s
        gap_s = rules.episodes.gap_s
        self._gap_ns = None if gap_s is None else round(1e9 * gap_s)
        self._finished: list[RawEpisode] = []
        self._parts: list[Seen] = []
        self._skipped: Counter[str] = Counter()
        self._blamed: set[str] = set()
        self._apart_s = 0.0
        self._runs = self._has_pair = False
        self._label = ""
        self._part_ns = self._number = self._judged_ns = self._last_ns = 0

    def begin(self, now_ns: int, label: str = "") -> None:
        """Begin an episode: the first tick is due now; earlier messages are forgotten."""
        self.end()
        for one in self._inputs.values():
            one.reset()
        self._runs, self._label, self._origin_ns, self._count = True, label, now_ns, 0
        self._begun, self._pair_ns = not any(self._is_kept), NEVER
        self._begin_part(now_ns)

    def end(self) -> None:
        """End the running episode, if any."""
        if not self._runs:
            return
        self._finish(self._seen())
        self._parts, self._runs = [], False
        self._forget_commands(NEVER)

    def take(self, block: MessageBlock, until_ns: int) -> None:
        """Take in messages, and run the ticks that are due before a time, which is not before any message."""
        first, step_ns = 0, round(_TICKS * 1e9 / self._form.rate_hz)
        while self._runs:  # a long pause has millions of ticks, so it is processed in parts
            piece_ns = self._origin_ns + round(self._count * 1e9 / self._form.rate_hz) + step_ns
            if piece_ns >= until_ns:
                break
            last = first + int(np.searchsorted(block.log_ns[first:], piece_ns, "right"))
            self._take(block.taken(slice(first, last)), piece_ns)
            first = last
        self._take(block.taken(slice(first, None)), until_ns)

    def _take(self, block: MessageBlock, until_ns: int) -> None:
        for column, places in self._read:
            if self._runs or isinstance(column, CommandColumns):
                rows = np.flatnonzero(np.isin(block.places, places) if len(places) > 1 else block.places == places[0])
                column.take(block.contents.taken(rows), block.log_ns[rows], rows)
        if not self._runs:
            self._forget_commands(until_ns)
            return
        ticks = self._due(until_ns)
        if len(ticks):
            self._look(ticks)
            self._skip(int(ticks[-1]))
        self._divide(block, ticks)
        for column, _ in self._read:
            column.count()

    def finished(self) -> Sequence[RawEpisode]:
        """Return the episodes that have ended since the last call."""
        found, self._finished = self._finished, []
        return found

    def _due(self, until_ns: int) -> Ints:
        """Return the times of the ticks that are due before a time."""
        rate_hz = self._form.rate_hz
        last = max(int((until_ns - self._origin_ns) * 1e-9 * rate_hz) + 2, self._count)
        due = self._origin_ns + np.rint(np.arange(self._count, last) * 1e9 / rate_hz).astype(np.int64)
        due = due[due < until_ns]
        self._count += len(due)
        return due

    def _look(self, now_ns: Ints) -> None:
        """Observe the inputs at some ticks."""
        now_s = now_ns * 1e-9
        found = {name: one.look(now_ns) for name, one in self._inputs.items()}
        rows = np.zeros((len(now_ns), len(self._differences.read)), np.float32)
        for name, one in self._inputs.items():
            rows[:, one.channel.columns] = found[name].values
        self._before.fill_rows(rows, {source.name: ~found[source.name].there for source in self._robot.last_commands})
        self._differences.apply(rows)
        stamps_s, since_s, there, doubted, numbers = (
            np.stack([getattr(one, field) for one in found.values()], axis=1)
            for field in ("stamps_s", "since_s", "there", "doubted", "numbers")
        )
        waiting = ~there & self._is_observed
        stale = now_s[:, None] - since_s > self._max_ages_s
        spread_s, skewed = self._spread(stamps_s)
        strict = stale & ~self._is_kept
        states, blamed = _states(waiting, strict if self._begun else stale, skewed, doubted)
        observation = rows[:, : len(self._form.vector)].copy()
        self._parts.append(Seen(now_ns, states, blamed, observation, now_s[:, None] - stamps_s, spread_s, numbers))
        if not self._begun and len(now_ns):
            seen, new = self._seen(), self._begins(len(now_ns))
            old = slice(len(seen) - len(now_ns) + new, None)
            seen.states[old], seen.blamed[old] = _states(waiting[new:], strict[new:], skewed[new:], doubted[new:])

    def _spread(self, stamps_s: Floats) -> tuple[Floats, Flags]:
        """Return the spread of the stamps, (t, n), of inputs that may not be old, and the skewed inputs, (t, n).

        These have the oldest and the newest stamp at a tick where the spread, (t,), exceeds `max_skew_s`.
        """
        skewed = np.zeros(stamps_s.shape, bool)
        prompt = np.flatnonzero(self._is_observed & ~self._is_kept)
        if not len(prompt):
            return np.zeros(len(stamps_s)), skewed
        of_prompt = stamps_s[:, prompt]
        with np.errstate(invalid="ignore"):  # before the first message
            spread_s = of_prompt.max(axis=1) - of_prompt.min(axis=1)
        rows = np.flatnonzero(spread_s > self._max_skew_s)
        skewed[rows, prompt[of_prompt[rows].argmin(axis=1)]] = True
        skewed[rows, prompt[of_prompt[rows].argmax(axis=1)]] = True
        return spread_s, skewed

    def _begins(self, count: int) -> int:
        """Return the index among the newest ticks of the first one at which `when_stale: keep` applies."""
        seen = self._seen()
        newest = seen.taken(slice(len(seen) - count, None))
        following = self._following(seen, int(seen.now_ns[-1]))
        pairs = (seen.states == _SEEN) & np.all([one.there for one in following], axis=0)
        if pairs.any():
            known_ns = np.max([one.known_ns for one in following], axis=0)
            self._pair_ns = min(self._pair_ns, int(known_ns[pairs].min()))
        may_begin = (newest.states == _SEEN) & (newest.now_ns >= self._pair_ns)
        if not may_begin.any():
            return len(newest)
        self._begun = True
        return int(np.argmax(may_begin)) + 1

    def _skip(self, ticked_ns: int) -> None:
        """Forget ticks before the first pair, if there are many."""
        if self._has_pair or sum(map(len, self._parts)) < _TICKS:
            return
        seen = self._seen()
        following = self._following(seen, ticked_ns)
        pairs = (seen.states == _SEEN) & np.all([one.there for one in following], axis=0)
        longest_ns = max(command.limit_ns for command in self._commands.values())
        settled = seen.now_ns < ticked_ns - longest_ns
        self._has_pair = bool((pairs & settled).any())
        if self._has_pair:
            return
        skipped = seen.taken(settled)
        self._skipped += skipped.reasons()
        self._blamed |= skipped.ever_blamed(list(self._inputs))
        self._apart_s = max(self._apart_s, skipped.apart_s())
        self._parts = [seen.taken(~settled)]

    def _divide(self, block: MessageBlock, ticks: Ints) -> None:
        """Divide episodes at pauses of the commands."""
        if self._gap_ns is None:
            return
        prompt = [command for command in self._commands.values() if not command.keep_last]
        accepted = np.sort(np.concatenate([command.accepted_places() for command in prompt] or [np.empty(0, np.int64)]))
        lasts = np.append(self._last_ns, block.log_ns[accepted])
        self._last_ns = int(lasts[-1])
        sent = np.concatenate([command.places for command in self._commands.values()])
        times = np.concatenate([ticks, block.log_ns[sent]])
        places = np.concatenate([np.searchsorted(block.log_ns, ticks, "right"), sent])
        is_tick = np.arange(len(times)) < len(ticks)
        order = np.lexsort((~is_tick, places))
        times, places, is_tick = times[order], places[order], is_tick[order]
        last_ns = lasts[np.searchsorted(accepted, places)]
        over = np.flatnonzero(times - last_ns > self._gap_ns)
        for event in over[np.unique(last_ns[over], return_index=True)[1]].tolist():
            self._divide_at(int(last_ns[event]), int(times[event]), int(places[event]), is_tick=bool(is_tick[event]))

    def _divide_at(self, last_ns: int, now_ns: int, place: int, *, is_tick: bool) -> None:
        """End an episode with the last command before a pause, if it has a pair.

        Args:
            last_ns: Time of receipt of that command.
            now_ns: Time of the tick or message that shows the pause.
            place: Index of that message in the block, or of the first one after that tick.
            is_tick: Whether a tick shows the pause.
        """
        if last_ns <= self._part_ns or last_ns == self._judged_ns:
            return
        self._judged_ns = last_ns
        seen = self._seen()
        early = seen.now_ns < last_ns
        ticked = int(np.searchsorted(seen.now_ns, now_ns))
        until = {
            name: len(command.received_ns) - int(np.count_nonzero(command.accepted_places() >= place))
            for name, command in self._commands.items()
        }
        before = seen.taken(early)
        ticked_ns = int(seen.now_ns[ticked - 1]) if ticked else self._part_ns
        following = [
            command.following(before.now_ns, until=until[name], ticked_ns=ticked_ns)
            for name, command in self._commands.items()
        ]
        if not self._ticks(before, following).is_pair.any():
            return
        for name, one in self._inputs.items():
            is_before = not is_tick and name not in self._last_names  # on one topic, inputs are read before commands
            one.count_before(place, included=is_before)
        for command in self._commands.values():
            command.count_before(place)
        self._finish(before, following)
        self._parts = [seen.taken(~early)]
        self._forget_commands(last_ns)
        self._begin_part(last_ns)

    def _begin_part(self, now_ns: int) -> None:
        self._part_ns, self._has_pair = now_ns, False
        self._skipped, self._blamed, self._apart_s = Counter(), set(), 0.0
        for column, _ in self._read:
            column.count_anew()

    def _finish(self, seen: Seen, following: list[Next] | None = None) -> None:
        if following is None:
            following = self._following(seen)
        self._number += 1
        self._finished.append(
            RawEpisode(
                self._label if self._gap_ns is None else str(self._number),
                self._part_ns,
                self._ticks(seen, following),
                self._skipped,
                frozenset(self._blamed),
                self._apart_s,
                {name: one.traffic for name, one in self._inputs.items()},
                {name: command.traffic for name, command in self._commands.items()},
                self._missing(seen),
            )
        )

    def _missing(self, seen: Seen) -> dict[str, str]:
        """Return why inputs have no value at the last tick."""
        if not len(seen) or STATES[seen.states[-1]] != WAITING:
            return {}
        waits = sorted(name for name, blamed in zip(self._inputs, seen.blamed[-1].tolist(), strict=True) if blamed)
        found = {name: self._inputs[name] for name in waits}
        return {
            name: one.traffic.why_missing(name, one.others, one.channel.source.message.items)
            for name, one in found.items()
        }

    def _following(self, seen: Seen, ticked_ns: int | None = None) -> list[Next]:
        return [command.following(seen.now_ns, ticked_ns=ticked_ns) for command in self._commands.values()]

    def _ticks(self, seen: Seen, following: Sequence[Next]) -> Ticks:
        """Return ticks with the commands following them."""
        commanded = Commanded(
            np.concatenate([one.values for one in following], axis=1),
            np.stack([one.received_ns for one in following], axis=1),
            np.stack([one.numbers for one in following], axis=1),
            np.all([one.there for one in following], axis=0),
        )
        return Ticks(tuple(self._inputs), seen, commanded)

    def _seen(self) -> Seen:
        """Return the ticks of the episode so far."""
        if not self._parts:
            self._look(np.empty(0, np.int64))
        self._parts = [Seen.joined(self._parts)]
        return self._parts[0]

    def _forget_commands(self, before_ns: int) -> None:
        for command in self._commands.values():
            command.forget(before_ns)


def _places(readers: Mapping[int, Sequence[Wanted]], role: str, name: str) -> Ints:
    """Return the indices of the channels of an input or a command."""
    return np.array([p for p, wanted in readers.items() if any((one.role, one.name) == (role, name) for one in wanted)])


def _states(waiting: Flags, stale: Flags, skewed: Flags, doubted: Flags) -> tuple[NDArray[np.int8], Flags]:
    """Return the number of the state at each of t ticks, and the inputs that cause it, (t, n)."""
    states, blamed = np.zeros(len(waiting), np.int8), np.zeros(waiting.shape, bool)
    for state, flags in ((DOUBTED, doubted), (SKEWED, skewed), (STALE, stale), (WAITING, waiting)):
        rows = flags.any(axis=1)
        states[rows], blamed[rows] = STATES.index(state), flags[rows]
    return states, blamed
