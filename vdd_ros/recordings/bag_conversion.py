"""Converts one bag's messages, in the order of receipt, to episodes."""

from collections.abc import Callable

import numpy as np

from vdd_ros.bags.contents import Channel, StoredMessage
from vdd_ros.bags.raw_messages import RawBag
from vdd_ros.bags.types import Decoder
from vdd_ros.errors import DemonstrationError
from vdd_ros.recordings.bag_list import NamedBag
from vdd_ros.recordings.column_sampler import ColumnSampler, why_not_by_columns
from vdd_ros.recordings.episode_names import EpisodeNames
from vdd_ros.recordings.episodes import Episode, EpisodeRules
from vdd_ros.recordings.form import SamplingForm
from vdd_ros.recordings.marks import Mark, Marker, ServiceCalls
from vdd_ros.recordings.record import BagRecord, EpisodeRecord, LeftOut
from vdd_ros.recordings.sampler import Sampler
from vdd_ros.recordings.tick_columns import RawEpisode
from vdd_ros.recordings.topics import Wanted, find_topics, wanted_topics
from vdd_ros.robot.cdr.format import MessageFormat
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.robot.transforms import TF_STATIC
from vdd_ros.text import printable

Keep = Callable[[Episode], None]
_HOUR_NS = 3600 * 1_000_000_000
LONGEST_PAUSE_NS = 24 * _HOUR_NS
"""Longest time between messages of a bag; more means that the clock was set, with millions of ticks in between."""


def convert_bag(
    bag: NamedBag,
    form: SamplingForm,
    robot: RobotFile,
    keep: Keep,
    names: EpisodeNames | None = None,
    *,
    by_columns: bool = True,
) -> BagRecord:
    """Convert a bag.

    Args:
        bag: The bag.
        form: Form of the demonstrations.
        robot: The robot file.
        keep: Called with each episode, in order; only one is in memory at a time.
        names: Names the episodes; None: the bag is the only one of its conversion.
        by_columns: Whether messages are sampled in blocks, if the robot file allows it; the result is the same.

    Returns:
        Its record. A bag that lacks a topic, or whose clock jumped, is left out as a whole: its record has no episode,
        although some may have been kept already.

    Raises:
        RecordingError: The bag is damaged, or holds fewer messages than its metadata count.
        RobotFileError: A message lacks a field that the robot file names.
    """
    names = names or EpisodeNames(divides=robot.demonstrations.divides)
    return _BagConversion(bag, form, robot, keep, names, by_columns=by_columns).run()


class _BagConversion:
    def __init__(
        self,
        bag: NamedBag,
        form: SamplingForm,
        robot: RobotFile,
        keep: Keep,
        names: EpisodeNames,
        *,
        by_columns: bool,
    ) -> None:
        self._bag = bag
        self._names = names
        self._form = form
        self._robot = robot
        self._keep = keep
        self._rules = EpisodeRules(form, robot)
        self._marker, self._calls = Marker(), ServiceCalls()
        self._decoder = Decoder()
        self._by_columns = by_columns and not why_not_by_columns(robot)
        self._messages = 0
        self._record = BagRecord(bag.name, str(bag.path), 0)

    def run(self) -> BagRecord:
        wanted = wanted_topics(self._robot)
        record = self._record
        with RawBag(self._bag.path, lambda topic: any(one.may_be(topic) for one in wanted)) as stream:
            try:
                readers: dict[int, list[Wanted]] = {}
                for one, places in find_topics(wanted, stream.channels, stream.counts()):
                    for place in places:
                        readers.setdefault(place, []).append(one)
                self._read(stream, readers)
                self._note_unmarked()
            except DemonstrationError as error:
                record.episodes.clear()
                record.left_out[:] = [LeftOut(self._bag.name, str(error))]
        return BagRecord(record.name, record.path, self._messages, record.episodes, record.left_out)

    def _read(self, stream: RawBag, readers: dict[int, list[Wanted]]) -> None:
        observed = [
            stream.channels[place]
            for place, found in readers.items()
            for one in found
            if one.role in ("input", "command")
        ]
        forms: dict[str, MessageFormat] = {}
        for channel in observed:
            form = self._decoder.form(channel)
            if repr(forms.setdefault(channel.msgtype, form).schema) != repr(form.schema):  # the order of fields counts
                raise DemonstrationError(
                    f"the bag has two definitions of {printable(channel.msgtype)}, one of them on "
                    f"{printable(channel.topic)}: it was joined from recordings of different software; convert those "
                    "one by one"
                )
        marks = self._robot.demonstrations.episodes
        self._whole = marks.one_per_bag or marks.gap_s is not None
        shared = any(_is_mark(one) for found in readers.values() for one in found if len(found) > 1)
        if self._by_columns and not shared:
            self._read_blocks(stream, readers, ColumnSampler(self._form, self._robot, forms.__getitem__, readers))
        else:
            self._read_messages(stream, readers, Sampler(self._form, self._robot, forms.__getitem__))

    def _note_unmarked(self) -> None:
        """Note a bag without the beginning of any episode, which would be left out unnoticed."""
        topic = self._robot.demonstrations.episodes.topic
        if topic is not None and not self._record.episodes and not self._record.left_out:
            reason = f"no message on {printable(topic)} begins an episode: all are false, negative or empty"
            self._record.left_out.append(LeftOut(self._bag.name, reason))

    def _read_blocks(self, stream: RawBag, readers: dict[int, list[Wanted]], sampler: ColumnSampler) -> None:
        marking = {place: found[0] for place, found in readers.items() if _is_mark(found[0])}
        last_ns = None
        for block in stream.blocks(readers):
            first_ns = int(block.log_ns[0])
            if self._whole and not self._messages:
                sampler.begin(first_ns)
            self._messages += len(block)
            _refuse_jump(int(np.max(np.diff(block.log_ns, prepend=first_ns if last_ns is None else last_ns))))
            last_ns, begin = int(block.log_ns[-1]), 0
            for place in np.flatnonzero(np.isin(block.places, list(marking))).tolist() if marking else ():
                channel = int(block.places[place])
                now_ns = int(block.log_ns[place])
                mark = self._mark_of(marking[channel], stream.channels[channel], block.contents[place])
                if mark is not None:
                    sampler.take(block.taken(slice(begin, place)), now_ns)
                    begin = place + 1
                    self._mark(sampler, mark, now_ns)
            sampler.take(block.taken(slice(begin, None)), last_ns)
            self._take_episodes(sampler)
        sampler.end()
        self._take_episodes(sampler)

    def _read_messages(self, stream: RawBag, readers: dict[int, list[Wanted]], sampler: Sampler) -> None:
        by_channel = {id(stream.channels[place]): found for place, found in readers.items()}
        last_ns = None
        for stored in stream.messages(readers):
            now_ns = stored.log_ns
            if self._whole and not self._messages:
                sampler.begin(now_ns)
            self._messages += 1
            _refuse_jump(0 if last_ns is None else now_ns - last_ns)
            last_ns = now_ns
            sampler.advance(now_ns)
            for one in by_channel[id(stored.channel)]:
                self._dispatch(sampler, one, stored)
            self._take_episodes(sampler)
        sampler.end()
        self._take_episodes(sampler)

    def _dispatch(self, sampler: Sampler, wanted: Wanted, stored: StoredMessage) -> None:
        if wanted.role == "input":
            sampler.receive(wanted.name, stored.content, stored.log_ns)
        elif wanted.role == "command":
            sampler.command(wanted.name, stored.content, stored.log_ns)
        elif wanted.role == "transforms":
            message = self._decoder.decode(stored.channel, stored.content)
            sampler.transforms(message, static=wanted.name == TF_STATIC)
        elif (mark := self._mark_of(wanted, stored.channel, stored.content)) is not None:
            self._mark(sampler, mark, stored.log_ns)

    def _mark_of(self, wanted: Wanted, channel: Channel, content: bytes) -> Mark | None:
        if wanted.role == "marker":
            return self._marker.take(self._decoder.decode(channel, content))
        return self._calls.take(wanted.role, content)

    def _mark(self, sampler: Sampler | ColumnSampler, mark: Mark, now_ns: int) -> None:
        if mark.begins:
            sampler.begin(now_ns, mark.label)
        else:
            sampler.end()

    def _take_episodes(self, sampler: Sampler | ColumnSampler) -> None:
        for raw in sampler.finished():
            name = self._names.name(self._bag.name, raw.label)
            for part, found in self._rules.episodes(raw):
                whole = f"{name}:{part}" if part else name
                if isinstance(found, Episode):
                    self._take(whole, raw, found)
                else:
                    self._record.left_out.append(LeftOut(whole, str(found)))

    def _take(self, name: str, raw: RawEpisode, episode: Episode) -> None:
        self._keep(episode)
        self._record.episodes.append(
            EpisodeRecord(
                name,
                len(episode.action),
                episode.begin_s,
                episode.cut_s,
                episode.outside_limits,
                episode.alignment,
                episode.awaited,
                episode.interrupted,
            )
        )


def _is_mark(wanted: Wanted) -> bool:
    return wanted.role in ("marker", "start", "stop")


def _refuse_jump(pause_ns: int) -> None:
    """Refuse a bag whose clock jumps between consecutive times of receipt."""
    if pause_ns > LONGEST_PAUSE_NS:
        raise DemonstrationError(
            f"{pause_ns / _HOUR_NS:,.0f} hours lie between two messages, so the recorder's clock was set in between; "
            "divide the bag there (`ros2 bag convert`)"
        )
