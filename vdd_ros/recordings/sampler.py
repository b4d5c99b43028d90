"""Samples a recording at the policy's rate, message by message, and divides it into episodes.

It uses the node's own observer. `vdd_ros.recordings.column_sampler` does the same in blocks of messages, where
possible.
"""

from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

from vdd_ros.control.observer import Formats
from vdd_ros.recordings.commands import RecordedCommands
from vdd_ros.recordings.form import SamplingForm
from vdd_ros.recordings.inputs import RecordedInputs, check_on_blank
from vdd_ros.recordings.tick_columns import RawEpisode, Ticks
from vdd_ros.recordings.ticks import INTERRUPTED, SKEWED, WAITING, Tick
from vdd_ros.recordings.traffic import Traffic
from vdd_ros.robot.command_channel import CommandChannel
from vdd_ros.robot.robot_file import RobotFile

DELAY_PERIODS = 5
"""Periods within which a command must follow its observation, unless the robot file says otherwise."""


def max_delay_s(form: SamplingForm, robot: RobotFile) -> float:
    """Return the longest delay from a tick to its command, in seconds."""
    given = robot.demonstrations.max_delay_s
    return DELAY_PERIODS * form.period_s if given is None else given


class Sampler:
    """Observes the inputs at each tick, and assigns each tick the following command.

    Messages and marks come in the order of receipt. A tick sees only the messages received until then. Ticks are a
    period apart, counted from the beginning of their episode.

    Args:
        form: Form of the demonstrations.
        robot: The robot file.
        formats: Serialised form of a message type, by its name.

    Raises:
        RobotFileError: A type lacks a field that the robot file names.
    """

    def __init__(self, form: SamplingForm, robot: RobotFile, formats: Formats) -> None:
        rules = robot.demonstrations
        self._inputs = RecordedInputs(form, robot, formats)
        self._rate_hz = form.rate_hz
        self._dim = len(form.vector)
        parts = CommandChannel(robot.commands, form.vector, form.action).parts
        for part in parts:
            part.expect(formats(part.command.type))
            check_on_blank(part, formats(part.command.type))
        self._sizes = [len(part.command.entries) for part in parts]
        kept = {name for name, recorded in rules.commands.items() if recorded.keep_last}
        self._commands = {
            part.command.name: RecordedCommands(
                place,
                part,
                period_ns=round(1e9 * form.period_s),
                max_delay_ns=round(1e9 * max_delay_s(form, robot)),
                keep_last=part.command.name in kept,
            )
            for place, part in enumerate(parts)
        }
        gap_s = rules.episodes.gap_s
        self._gap_ns = None if gap_s is None else round(1e9 * gap_s)
        self._finished: list[RawEpisode] = []
        self._ticks: deque[Tick] = deque()
        self._skipped: Counter[str] = Counter()
        self._blamed: set[str] = set()
        self._apart_s = 0.0
        self._never: set[str] = set()
        self._runs = self._has_pair = False
        self._judged_ns = 0
        self._label = ""
        self._parts = 0

    def begin(self, now_ns: int, label: str = "") -> None:
        """Begin an episode: the first tick is due now; earlier messages are forgotten."""
        self.end()
        self._inputs.reset(now_ns)
        self._runs, self._label, self._origin_ns, self._count = True, label, now_ns, 0
        self._has_pair = False
        self._due_ns = now_ns
        self._begin_part(now_ns)

    def end(self) -> None:
        """End the running episode, if any."""
        if not self._runs:
            return
        for command in self._commands.values():
            command.end()
        self._finish(list(self._ticks))
        self._ticks.clear()
        self._runs = False

    def advance(self, until_ns: int) -> None:
        """Run the ticks that are due before a time."""
        while self._runs and self._due_ns < until_ns:
            now_ns = self._due_ns
            self._count += 1
            self._due_ns = self._origin_ns + round(self._count * 1e9 / self._rate_hz)
            self._divide(now_ns)
            self._tick(now_ns)

    def receive(self, name: str, content: bytes, received_ns: int) -> None:
        """Take in a serialised message of an input; call `advance` first."""
        if self._runs:
            self._inputs.receive(name, content, received_ns)

    def transforms(self, message: Any, *, static: bool) -> None:
        """Take in a message of /tf or /tf_static, also between episodes."""
        self._inputs.transforms.receive(message, static=static)

    def command(self, name: str, content: bytes, received_ns: int) -> None:
        """Take in a serialised message of a command; call `advance` first."""
        self._divide(received_ns)
        self._commands[name].receive(content, received_ns)

    def finished(self) -> Sequence[RawEpisode]:
        """Return the episodes that have ended since the last call."""
        if not self._finished:
            return ()
        found, self._finished = self._finished, []
        return found

    def _tick(self, now_ns: int) -> None:
        self._has_pair = self._has_pair or any(tick.is_pair for tick in self._ticks)
        tick = self._inputs.look(now_ns, begun=self._has_pair)
        self._never = set(tick.blame) if tick.state == WAITING else set()
        tick.await_commands(len(self._commands))
        self._ticks.append(tick)
        for command in self._commands.values():
            command.add(tick)
            command.expire(now_ns)
        while self._ticks and not self._ticks[0].open and not self._ticks[0].is_pair:
            skipped = self._ticks.popleft()
            self._skipped[skipped.why_not] += 1
            if skipped.state in INTERRUPTED:
                self._blamed.update(skipped.blame)
            if skipped.state == SKEWED:
                self._apart_s = max(self._apart_s, skipped.spread_s)

    def _divide(self, now_ns: int) -> None:
        """Divide episodes at a pause of the commands; a part without a pair is not an episode."""
        if self._gap_ns is None or not self._runs:
            return
        last_ns = max((c.last_ns or 0 for c in self._commands.values() if not c.keep_last), default=0)
        if last_ns <= self._part_ns or last_ns == self._judged_ns or now_ns - last_ns <= self._gap_ns:
            return
        self._judged_ns = last_ns
        before = [tick for tick in self._ticks if tick.now_ns < last_ns]
        if not any(tick.is_pair for tick in before):
            return
        self._has_pair = True
        self._finish(before)
        self._ticks = deque(tick for tick in self._ticks if tick.now_ns >= last_ns)
        self._begin_part(last_ns)

    def _begin_part(self, now_ns: int) -> None:
        self._part_ns = now_ns
        self._skipped, self._blamed, self._apart_s = Counter(), set(), 0.0
        self._never = set()
        self._inputs.count_anew()
        for command in self._commands.values():
            command.traffic = Traffic()

    def _finish(self, ticks: list[Tick]) -> None:
        self._parts += 1
        self._finished.append(
            RawEpisode(
                self._label if self._gap_ns is None else str(self._parts),
                self._part_ns,
                Ticks.of(ticks, list(self._inputs.traffic), self._dim, self._sizes),
                self._skipped,
                frozenset(self._blamed),
                self._apart_s,
                self._inputs.traffic,
                {name: command.traffic for name, command in self._commands.items()},
                {name: self._inputs.why_missing(name) for name in sorted(self._never)},
            )
        )
