"""Converts one bag: its messages, in the order of receipt, to episodes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from vdd_ros.bags.contents import StoredMessage
from vdd_ros.bags.raw_messages import RawBag
from vdd_ros.bags.types import Decoder
from vdd_ros.errors import DemonstrationError
from vdd_ros.recordings.bag_list import NamedBag
from vdd_ros.recordings.episodes import Episode, EpisodeRules
from vdd_ros.recordings.form import SamplingForm
from vdd_ros.recordings.marks import Mark, Marker, ServiceCalls
from vdd_ros.recordings.record import BagRecord, EpisodeRecord, LeftOut
from vdd_ros.recordings.sampler import Sampler
from vdd_ros.recordings.tick_columns import RawEpisode
from vdd_ros.recordings.topics import Wanted, find_topics, wanted_topics
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.robot.transforms import TF_STATIC

Keep = Callable[[Episode], None]


def convert_bag(bag: NamedBag, form: SamplingForm, robot: RobotFile, keep: Keep) -> BagRecord:
    """Convert a bag.

    Args:
        bag: The bag.
        form: Form of the demonstrations.
        robot: The robot file.
        keep: Called with each episode, in order; one is in memory at a time.

    Returns:
        What became of it. A bag that lacks a topic is left out as a whole.

    Raises:
        RecordingError: The bag is damaged, or holds fewer messages than it counts.
        RobotFileError: A message lacks a field that the robot file names.
    """
    return _BagConversion(bag, form, robot, keep).run()


class _BagConversion:
    def __init__(self, bag: NamedBag, form: SamplingForm, robot: RobotFile, keep: Keep) -> None:
        self._bag = bag
        self._form = form
        self._robot = robot
        self._keep = keep
        self._rules = EpisodeRules(form, robot)
        self._marker, self._calls = Marker(), ServiceCalls()
        self._decoder = Decoder()
        self._messages = 0
        self._record = BagRecord(bag.name, str(bag.path), 0)

    def run(self) -> BagRecord:
        wanted = wanted_topics(self._robot)
        with (
            RawBag(self._bag.path, lambda topic: any(one.may_be(topic) for one in wanted)) as stream,
            self._leaving_out(self._bag.name),
        ):
            readers: dict[int, list[Wanted]] = {}
            for one, places in find_topics(wanted, stream.channels, stream.counts()):
                for place in places:
                    readers.setdefault(place, []).append(one)
            self._read(stream, readers)
        record = self._record
        return BagRecord(record.name, record.path, self._messages, record.episodes, record.left_out)

    def _read(self, stream: RawBag, readers: dict[int, list[Wanted]]) -> None:
        observed = [stream.channels[place] for place, found in readers.items() for one in found if one.role in ("input", "command")]
        forms = {channel.msgtype: self._decoder.form(channel) for channel in observed}
        self._sampler = sampler = Sampler(self._form, self._robot, forms.__getitem__)
        by_channel = {id(stream.channels[place]): found for place, found in readers.items()}
        marks = self._robot.demonstrations.episodes
        whole = marks.one_per_bag or marks.gap_s is not None
        for stored in stream.messages(readers):
            if whole and not self._messages:
                sampler.begin(stored.log_ns)
            self._messages += 1
            sampler.advance(stored.log_ns)
            for one in by_channel[id(stored.channel)]:
                self._dispatch(one, stored)
            self._take_episodes()
        sampler.end()
        self._take_episodes()

    def _dispatch(self, wanted: Wanted, stored: StoredMessage) -> None:
        if wanted.role == "input":
            self._sampler.receive(wanted.name, stored.content, stored.log_ns)
        elif wanted.role == "command":
            self._sampler.command(wanted.name, stored.content, stored.log_ns)
        elif wanted.role == "transforms":
            self._sampler.transforms(self._decoded(stored), static=wanted.name == TF_STATIC)
        elif wanted.role == "marker":
            self._mark(self._marker.take(self._decoded(stored)), stored.log_ns)
        else:
            self._mark(self._calls.take(wanted.role, stored.content), stored.log_ns)

    def _decoded(self, stored: StoredMessage) -> Any:
        return self._decoder.decode(stored.channel, stored.content)

    def _mark(self, mark: Mark | None, now_ns: int) -> None:
        if mark is None:
            return
        if mark.begins:
            self._sampler.begin(now_ns, mark.label)
        else:
            self._sampler.end()

    def _take_episodes(self) -> None:
        for raw in self._sampler.finished():
            name = f"{self._bag.name}#{raw.label}" if raw.label else self._bag.name
            with self._leaving_out(name):
                self._take(name, raw)

    def _take(self, name: str, raw: RawEpisode) -> None:
        episode = self._rules.episode(raw)
        self._keep(episode)
        self._record.episodes.append(
            EpisodeRecord(
                name,
                len(episode.action),
                raw.begin_ns * 1e-9 + episode.cut_s[0],
                episode.cut_s,
                episode.outside_limits,
                episode.alignment,
            )
        )

    @contextmanager
    def _leaving_out(self, name: str) -> Iterator[None]:
        try:
            yield
        except DemonstrationError as error:
            self._record.left_out.append(LeftOut(name, str(error)))
