"""The inputs of a recording, received as by the policy node."""

import math

import numpy as np

from vdd_ros.control.counters import Counters
from vdd_ros.control.observer import Formats, Observer
from vdd_ros.recordings.form import SamplingForm
from vdd_ros.recordings.ticks import DOUBTED, SEEN, SKEWED, STALE, WAITING, Tick
from vdd_ros.recordings.traffic import Traffic
from vdd_ros.robot.cdr.format import MessageFormat
from vdd_ros.robot.channels import ArrayChannel, InputChannel
from vdd_ros.robot.command_channel import CommandPart
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.robot.transforms import TransformBuffer


class RecordedInputs:
    """Feeds an observer with the messages of a bag at their times of receipt, and observes at ticks.

    Args:
        form: Form of the demonstrations.
        robot: The robot file.
        formats: Serialised form of a message type, by its name.

    Raises:
        RobotFileError: A type lacks a field that the robot file names.

    Attributes:
        traffic: Messages since the last reset, by input.
        transforms: Transforms between frames, which survive a reset.
    """

    def __init__(self, form: SamplingForm, robot: RobotFile, formats: Formats) -> None:
        self._counters = Counters()
        self.transforms = TransformBuffer()
        self._observer = Observer(form, robot, self._counters, form.period_s, formats, self.transforms)
        for channel in self._observer.inputs.values():
            check_on_blank(channel, formats(channel.source.type))
        self._prompt = [source.name for source in robot.inputs if not source.is_kept]
        self._stamped = {s.name for s in robot.inputs if s.stamp == "header" and s.message.has_header}
        self._accepted = dict.fromkeys(self._observer.inputs, 0)
        self.reset()

    def reset(self, since_ns: int | None = None) -> None:
        """Forget everything, as at the start of an episode, and ignore messages before a time."""
        self._observer.reset(-math.inf if since_ns is None else since_ns * 1e-9)
        self.count_anew()

    def count_anew(self) -> None:
        """Restart the counts of traffic."""
        self.traffic = {name: Traffic() for name in self._observer.inputs}

    def receive(self, name: str, content: bytes, received_ns: int) -> None:
        """Take in a serialised message of an input."""
        observer, counters, traffic = self._observer, self._counters, self.traffic[name]
        traffic.note(received_ns)
        refused, others = counters.refused_messages, counters.other_joints
        received_s = received_ns * 1e-9
        observer.receive(name, content, received_s)
        if counters.refused_messages > refused:
            traffic.refused += 1
            traffic.refusals = traffic.refusals or observer.last_refusal
        elif counters.other_joints > others:
            traffic.others += 1
        else:
            traffic.accepted += 1
            self._accepted[name] += 1
            may_lack_stamp = name in self._stamped and observer.stamps_s[name] >= received_s
            traffic.unstamped += may_lack_stamp and not self._is_stamped(name, content)

    def look(self, now_ns: int, *, begun: bool = True) -> Tick:
        """Return the node's view at a time, without an action.

        Args:
            now_ns: The time.
            begun: Whether the episode has a pair already, so that inputs with `when_stale: keep` may be old.
        """
        observer, now_s = self._observer, now_ns * 1e-9
        if not observer.complete:
            return Tick(now_ns, WAITING, observer.missing())
        if stale := observer.stale(now_s):
            return Tick(now_ns, STALE, tuple(stale))
        if observer.alignment.is_skewed():
            oldest, newest, skew_s = observer.alignment.last or ("", "", 0.0)
            return Tick(now_ns, SKEWED, (oldest, newest), spread_s=skew_s)
        if doubted := observer.doubted(now_s):
            return Tick(now_ns, DOUBTED, tuple(doubted))
        row = observer.sample(now_s, begins=begun)[-1].copy()  # the only one
        arrays = {name: window[-1].copy() for name, window in (observer.arrays or {}).items()}
        stamps = observer.stamps_s
        prompt = [stamps[name] for name in self._prompt] or [now_s]
        return Tick(
            now_ns,
            SEEN,
            observation=row,
            arrays=arrays,
            ages_s=tuple(now_s - stamp_s for stamp_s in stamps.values()),
            spread_s=max(prompt) - min(prompt),
            numbers=tuple(self._accepted.values()),
        )

    def why_missing(self, name: str) -> str:
        """Describe why an input has no value."""
        items = self._observer.inputs[name].source.message.items
        return self.traffic[name].why_missing(name, self._observer.other_joints[name], items)

    def _is_stamped(self, name: str, content: bytes) -> bool:
        """Return whether a message has a stamp, which may equal its time of receipt."""
        channel = self._observer.inputs[name]
        if isinstance(channel, InputChannel):
            return channel.read(content, np.empty(len(channel.columns))) is not None
        return channel.read(content, np.empty(channel.feature.shape, channel.feature.dtype)) is not None


def check_on_blank(channel: InputChannel | ArrayChannel | CommandPart, form: MessageFormat) -> None:
    """Check that a message type has the fields that a robot file names; raises RobotFileError."""
    if form.schema is not None:
        channel.check(form.schema.blank())
