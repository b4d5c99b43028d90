"""The rules for episodes: waits to cut off, and conditions for leaving one out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.errors import DemonstrationError
from vdd_ros.recordings.alignment import Alignment, Spread, TopicAlignment, repeats_and_drops
from vdd_ros.recordings.form import SamplingForm
from vdd_ros.recordings.motion import Motion
from vdd_ros.recordings.sampler import max_delay_s
from vdd_ros.recordings.tick_columns import RawEpisode, Ticks
from vdd_ros.recordings.ticks import DOUBTED, SILENT, SKEWED, STALE, WAITING
from vdd_ros.recordings.traffic import Traffic
from vdd_ros.robot.command_channel import CommandChannel
from vdd_ros.robot.commands import ALONE
from vdd_ros.robot.demonstrations import STARTS
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.text import counted

SLOWEST = 1.5
"""Largest median interval of commands, in periods."""
LEAST_PAIRS = 2
SHORTEST_PART_S = 1.0
"""Shorter parts of an interrupted episode are left out, unless the robot file gives `shortest_s`."""

Floats = NDArray[np.float64]


class LeftOutError(DemonstrationError):
    """An episode breaks a rule; the message names it."""


@dataclass(frozen=True)
class Episode:
    """One demonstrated episode of n pairs.

    Attributes:
        observation: (n, obs_dim).
        action: (n, act_dim).
        arrays: (n, *shape) of each array of the observation, by name.
        begin_s: Time of the first pair, in seconds since the epoch.
        cut_s: Time cut off before and after, in seconds.
        outside_limits: Commands outside the robot file's limits, by number of the command.
        alignment: Alignment in time.
        awaited: Input or command that it waited for at its beginning; empty if none.
        interrupted: For a part of an episode: the interruption before it; otherwise empty.
    """

    observation: Floats
    action: Floats
    arrays: dict[str, NDArray[Any]]
    begin_s: float
    cut_s: tuple[float, float]
    outside_limits: dict[str, int]
    alignment: Alignment
    awaited: str = ""
    interrupted: str = ""

    def to_set(self, header: Header) -> DemonstrationSet:
        """Return a set of this single episode."""
        one = np.array([len(self.action)], np.int64)
        return DemonstrationSet(header, self.observation, self.action, one, np.array([-1]), arrays=self.arrays)


class EpisodeRules:
    """Makes episodes from ticks.

    Args:
        form: Form of the demonstrations.
        robot: The robot file.
    """

    def __init__(self, form: SamplingForm, robot: RobotFile) -> None:
        self._form = form
        self._rules = robot.demonstrations
        self._max_delay_s = max_delay_s(form, robot)
        self._max_skew_s = robot.max_skew_s
        self._observed = {source.name for source in robot.inputs}
        self._max_ages_s = {source.name: source.max_age_s for source in robot.sources}
        self._channel = CommandChannel(robot.commands, form.vector, form.action)
        self._learned = np.array([entry.action is not None for entry in self._channel.entries])
        self._motion = Motion(self._channel, robot.joints)
        self._kept = {name for name, recorded in self._rules.commands.items() if recorded.keep_last}

    def episodes(self, raw: RawEpisode) -> Iterator[tuple[str, Episode | LeftOutError]]:
        """Yield the episode made from ticks; its parts if it is interrupted and the robot file divides such episodes.

        Yields:
            The number of the part, from 1, empty for a whole episode; and the episode, or the reason to leave it out.
        """
        try:
            ticks = self._kept_ticks(raw)
            runs = _runs(ticks.is_pair)
            broken = self._interruption(raw, ticks, np.flatnonzero(~ticks.is_pair))
            if broken and not (self._rules.divides and runs):
                instead = "" if self._rules.divides else "; `when_interrupted: divide` keeps the parts before and after"
                raise LeftOutError(broken + instead)
        except LeftOutError as error:
            yield "", error
            return
        has_counts = False
        for number, run in enumerate(runs):
            name = str(number + 1) if broken else ""
            interrupted = self._interruption(raw, ticks, np.arange(runs[number - 1].stop if number else 0, run.start))
            try:
                found = self._episode(raw, ticks.taken(run), is_part=bool(broken))
            except LeftOutError as error:
                yield name, LeftOutError(f"{error}; before it: {interrupted}") if interrupted else error
                continue
            before_s, behind_s = found.cut_s
            cut_s = before_s if run is runs[0] else 0.0, behind_s if run is runs[-1] else 0.0
            alignment = found.alignment.without_counts() if has_counts else found.alignment
            has_counts = True
            yield name, replace(found, cut_s=cut_s, alignment=alignment, interrupted=interrupted)
        if rest := self._interruption(raw, ticks, np.arange(runs[-1].stop, len(ticks))):
            yield str(len(runs) + 1), LeftOutError(f"the rest of the episode has no pair: {rest}")

    def _kept_ticks(self, raw: RawEpisode) -> Ticks:
        """Return the ticks from the first pair to the last command, without waits."""
        pairs = np.flatnonzero(raw.ticks.is_pair)
        if not len(pairs):
            raise LeftOutError(self._why_empty(raw))
        first, last = int(pairs[0]), int(np.flatnonzero(raw.ticks.commanded.whole)[-1])
        try:
            begin, end = self._trimmed(raw.ticks.taken(slice(first, last + 1)))
        except LeftOutError as error:
            raise LeftOutError(f"{error}{self._wait(raw)}") from None
        return raw.ticks.taken(slice(first + begin, first + end))

    def _episode(self, raw: RawEpisode, ticks: Ticks, *, is_part: bool) -> Episode:
        """Return the episode of ticks that are pairs; raises LeftOutError."""
        self._refuse_short(raw, ticks, self._rules.shortest_s or (SHORTEST_PART_S if is_part else 0.0))
        self._refuse_slow(ticks)
        return self._assembled(raw, ticks)

    def _trimmed(self, ticks: Ticks) -> tuple[int, int]:
        """Return the range of the ticks that remains after cutting off waits."""
        trim = self._rules.trim
        places = np.flatnonzero(ticks.commanded.whole)
        values = ticks.commanded.values[places]
        begin, end = 0, len(ticks)
        if trim.until == STARTS[1]:
            moved = self._motion.moved(values, 0)
            if not moved.size:
                raise LeftOutError("the commands never change by more than 0.1 % of their range")
            begin = int(places[moved[0]])
        if trim.after_s is not None:
            moved = self._motion.moved(values, -1)
            stops = int(places[moved[-1]]) + 1 if moved.size else 0
            end = min(end, stops + 1 + round(trim.after_s * self._form.rate_hz))
        return begin, max(end, begin + 1)

    def _interruption(self, raw: RawEpisode, ticks: Ticks, wrong: NDArray[np.int64]) -> str:
        """Describe why ticks at some places are no pairs, reason by reason; empty if there are none."""
        states = ticks.seen.states[wrong]
        firsts = np.sort(np.unique(states, return_index=True)[1])
        return "; then ".join(self._why_wrong(raw, ticks, wrong[states == states[first]]) for first in firsts.tolist())

    def _why_wrong(self, raw: RawEpisode, ticks: Ticks, wrong: NDArray[np.int64]) -> str:
        """Describe why ticks at some places, at least one, are no pairs; all for the same reason."""
        place = int(wrong[0])
        why, blame = ticks.why_not(place), ticks.blamed(wrong)
        after_s = int(ticks.seen.now_ns[place] - ticks.seen.now_ns[0]) * 1e-9
        lasted_s = len(wrong) / self._form.rate_hz
        where = f"{after_s:.2f} s after its start, {lasted_s:.2f} s in all"
        if why in (STALE, WAITING):
            ages = ", ".join(f"{name} (max_age_s {self._max_ages_s[name]:g})" for name in blame)
            return f"{ages} had no new value {where}{_refusals(raw, blame)}"
        if why == SKEWED:
            apart_s = float(ticks.seen.spread_s[wrong].max())
            return (
                f"the stamps of {' and '.join(blame)} are further apart than max_skew_s, {self._max_skew_s:g} s, "
                f"{where}, at most {apart_s:.3g} s"
            )
        if why == DOUBTED:
            return f"messages of {', '.join(blame)} contradict one another {where}{_refusals(raw, blame)}"
        silent = [
            name for name, at_ns in zip(raw.commands, ticks.commanded.received_ns[place], strict=True) if not at_ns
        ]
        missing = f"message of {' and '.join(map(_named, silent))}" if len(raw.commands) > 1 and silent else "command"
        keep = ", `when_silent: keep` suits one that is sent only on changes" if missing != "command" else ""
        return (
            f"no {missing} within {self._max_delay_s:g} s of an observation {where}; `episodes: {{gap_s: …}}` divides "
            f"a recording where the operator paused, `max_delay_s` allows more{keep}"
        )

    def _refuse_short(self, raw: RawEpisode, ticks: Ticks, shortest_s: float) -> None:
        lasts_s = len(ticks) / self._form.rate_hz
        if len(ticks) < LEAST_PAIRS or lasts_s < shortest_s:
            least = f"shortest_s, {shortest_s:g} s, is needed" if lasts_s < shortest_s else f"{LEAST_PAIRS} are needed"
            is_begun = raw.ticks.is_pair[raw.ticks.seen.now_ns < ticks.seen.now_ns[0]].any()
            wait = "" if is_begun else self._wait(raw)
            raise LeftOutError(f"it has {counted(len(ticks), 'pair')} ({lasts_s:.2f} s); at least {least}{wait}")

    def _refuse_slow(self, ticks: Ticks) -> None:
        """Refuse commands that are too infrequent for the rate."""
        for place, part in enumerate(self._channel.parts):
            name, received = part.command.name, np.unique(ticks.commanded.received_ns[:, place])
            if name in self._kept or len(received) < LEAST_PAIRS:
                continue
            interval_s = float(np.median(np.diff(received))) * 1e-9
            if interval_s > SLOWEST * self._form.period_s:
                raise LeftOutError(
                    f"messages of {_named(name)} come at {1 / interval_s:.3g} Hz, too seldom for rate_hz "
                    f"{self._form.rate_hz:g}, since most pairs would repeat the previous action; set rate_hz to "
                    f"{1 / interval_s:.3g} or less, or, if the command is only sent where it changes, "
                    "`when_silent: keep`"
                )

    def _assembled(self, raw: RawEpisode, ticks: Ticks) -> Episode:
        observation = ticks.seen.observation.astype(np.float64)
        commands = ticks.commanded.values
        action = np.empty((len(ticks), len(self._form.action)))
        self._channel.to_actions(commands, observation, action)
        outside = ((commands < self._channel.low) | (commands > self._channel.high)).sum(axis=0) * self._learned
        names = self._channel.labels
        now_ns = ticks.seen.now_ns
        before_ns, behind_ns = int(now_ns[0]) - raw.begin_ns, int(raw.ticks.seen.now_ns[-1] - now_ns[-1])
        return Episode(
            observation,
            action,
            {feature.name: ticks.arrays[feature.name] for feature in self._form.arrays},
            begin_s=raw.begin_ns * 1e-9 + before_ns * 1e-9,
            cut_s=(before_ns * 1e-9, behind_ns * 1e-9),
            outside_limits={name: int(count) for name, count in zip(names, outside, strict=True) if count},
            alignment=_alignment(raw, ticks),
            awaited=self._awaited(raw),
        )

    def _awaited(self, raw: RawEpisode) -> str:
        """Return the input or command whose first message came last, if the episode had to wait for it."""
        last, waited_s = self._last_begun(raw)
        return last if waited_s > self._max_delay_s else ""

    def _wait(self, raw: RawEpisode) -> str:
        """Describe what the episode had to wait for, to complete a reason; empty if nothing."""
        name, waited_s = self._last_begun(raw)
        if waited_s <= self._max_delay_s:
            return ""
        return f"; it began only after {waited_s:.3g} s, with the first message of {name}"

    def _last_begun(self, raw: RawEpisode) -> tuple[str, float]:
        """Return the input or command whose first message came last, and when, in seconds from the beginning."""
        named = {f"the input {name}": one for name, one in raw.inputs.items() if name in self._observed}
        named |= {_named(name): one for name, one in raw.commands.items()}
        last = max(named, key=lambda name: named[name].first_ns)
        return last, (named[last].first_ns - raw.begin_ns) * 1e-9

    def _why_empty(self, raw: RawEpisode) -> str:
        """Describe why no tick has an observation and an action."""
        states = raw.skipped + raw.ticks.seen.reasons()
        if not states:
            return "it ended before the first tick"
        if raw.missing:
            return f"an input never had a value; {'; '.join(raw.missing.values())}"
        for name, traffic in raw.commands.items():
            if not traffic.accepted and name not in self._kept:
                refused = f"; {traffic.refused:,} were refused, first: {traffic.refusals}" if traffic.refused else ""
                return f"no usable message of {_named(name)}{refused}"
        if states[SKEWED] > states[STALE] + states[DOUBTED]:
            apart_s = max(raw.apart_s, raw.ticks.seen.apart_s())
            return (
                f"the stamps of {' and '.join(sorted(raw.blamed | raw.ticks.seen.ever_blamed(raw.ticks.inputs)))} are "
                f"further apart than max_skew_s, {self._max_skew_s:g} s, at every tick with a command, at most "
                f"{apart_s:.3g} s"
            )
        if states[STALE] or states[DOUBTED]:
            blamed = sorted(raw.blamed | raw.ticks.seen.ever_blamed(raw.ticks.inputs))
            rates = [f"{name} at {raw.inputs[name].rate_hz:.3g} Hz" for name in blamed or raw.inputs]
            return f"inputs are older than max_age_s at every tick with a command; messages come: {', '.join(rates)}"
        return f"none of {states[SILENT]:,} observations is followed by a command within {self._max_delay_s:g} s"


def _runs(flags: NDArray[np.bool_]) -> list[slice]:
    """Return the runs of true values in (n,) flags, in order."""
    ends = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [slice(begin, end) for begin, end in ends.reshape(-1, 2).tolist()]


def _named(command: str) -> str:
    """Return the words for a command in a sentence."""
    return "the command" if command == ALONE else f"the command {command}"


def _refusals(raw: RawEpisode, names: Sequence[str]) -> str:
    """Describe refusals on some inputs; empty without any."""
    return "".join(
        f"; {raw.inputs[name].refused:,} of {raw.inputs[name].messages:,} messages of {name} were refused, first: "
        f"{raw.inputs[name].refusals}"
        for name in names
        if raw.inputs[name].refused
    )


def _alignment(raw: RawEpisode, ticks: Ticks) -> Alignment:
    seen, commanded = ticks.seen, ticks.commanded
    inputs = {
        name: _topic(traffic, seen.ages_s[:, column], seen.numbers[:, column])
        for column, (name, traffic) in enumerate(raw.inputs.items())
    }
    commands = {}
    for place, (name, traffic) in enumerate(raw.commands.items()):
        delays_s = 1e-9 * (commanded.received_ns[:, place] - seen.now_ns).astype(np.float64)
        commands[name] = _topic(traffic, delays_s, commanded.numbers[:, place])
    return Alignment(Spread.of(seen.spread_s), inputs, commands)


def _topic(traffic: Traffic, times_s: Floats, numbers: NDArray[np.int64]) -> TopicAlignment:
    repeats, drops = repeats_and_drops(numbers)
    return TopicAlignment(
        messages=traffic.messages,
        rate_hz=traffic.rate_hz,
        time_s=Spread.of(times_s),
        repeats=repeats,
        drops=drops,
        refused=traffic.refused,
        refusals=traffic.refusals,
        unstamped=traffic.unstamped,
    )
