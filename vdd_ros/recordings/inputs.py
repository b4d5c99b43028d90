"""The inputs of a recording, taken in as the policy node takes them."""

import math
from dataclasses import dataclass

from vdd_ros.control.counters import Counters
from vdd_ros.control.observer import Formats, Observer
from vdd_ros.recordings.form import SamplingForm
from vdd_ros.recordings.ticks import DOUBTED, SEEN, STALE, WAITING, Tick
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.robot.transforms import TransformBuffer


@dataclass
class Traffic:
    """What arrived on an input.

    Attributes:
        messages: Number of messages.
        accepted: Those that were accepted.
        refused: Those that were refused.
        others: Those of other joints.
        unstamped: Those without a stamp, dated by their arrival, though the robot file asks for stamps.
        refusals: The first reason for a refusal.
        first_ns, last_ns: When the first and the last one were received.
    """

    messages: int = 0
    accepted: int = 0
    refused: int = 0
    others: int = 0
    unstamped: int = 0
    refusals: str = ""
    first_ns: int = 0
    last_ns: int = 0

    def note(self, received_ns: int) -> None:
        """Count a message."""
        self.first_ns = self.first_ns if self.messages else received_ns
        self.last_ns = received_ns
        self.messages += 1

    @property
    def rate_hz(self) -> float:
        """Messages per second; NaN for fewer than two."""
        span_s = (self.last_ns - self.first_ns) * 1e-9
        return (self.messages - 1) / span_s if self.messages > 1 and span_s > 0 else math.nan


class RecordedInputs:
    """Feeds an observer with the messages of a bag at their times of receipt, and looks at ticks.

    Args:
        form: Form of the demonstrations.
        robot: The robot file.
        formats: Serialised form of a message type, by its name.

    Attributes:
        traffic: What arrived since the last reset, by input.
        transforms: Transforms between frames, of which a reset forgets none.
    """

    def __init__(self, form: SamplingForm, robot: RobotFile, formats: Formats) -> None:
        self._counters = Counters()
        self.transforms = TransformBuffer()
        self._observer = Observer(form, robot, self._counters, form.period_s, formats, self.transforms)
        self._formats = formats
        self._prompt = [source.name for source in robot.inputs if not source.is_kept]
        self._stamped = {s.name for s in robot.inputs if s.stamp == "header" and s.message.has_header}
        self._unchecked = set(self._observer.inputs)
        self._accepted = dict.fromkeys(self._observer.inputs, 0)
        self.reset()

    def reset(self, since_ns: int | None = None) -> None:
        """Forget everything, as at the start of an episode, and ignore messages from before a time."""
        self._observer.reset(-math.inf if since_ns is None else since_ns * 1e-9)
        self.count_anew()

    def count_anew(self) -> None:
        """Begin new counts of traffic."""
        self.traffic = {name: Traffic() for name in self._observer.inputs}

    def receive(self, name: str, content: bytes, received_ns: int) -> None:
        """Take in a serialised message of an input.

        Raises:
            RobotFileError: Its type lacks a field that the robot file names.
        """
        observer, counters, traffic = self._observer, self._counters, self.traffic[name]
        if name in self._unchecked:
            channel = observer.inputs[name]
            channel.check(self._formats(channel.source.type).message(content))
            self._unchecked.discard(name)
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
            traffic.unstamped += name in self._stamped and observer.stamps_s[name] == received_s

    def look(self, now_ns: int, *, begun: bool = True) -> Tick:
        """Return what the node would see at a time; no action yet.

        Args:
            now_ns: The time.
            begun: Whether the episode has a pair already, so that inputs with `when_stale: keep` may be old.
        """
        observer, now_s = self._observer, now_ns * 1e-9
        if not observer.complete:
            return Tick(now_ns, WAITING, observer.missing())
        if stale := observer.stale(now_s):
            return Tick(now_ns, STALE, tuple(stale))
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
        """Say why an input has no value."""
        traffic = self.traffic[name]
        if not traffic.messages:
            return f"{name}: no message"
        if traffic.refused:
            return f"{name}: {traffic.refused:,} of {traffic.messages:,} messages refused, first: {traffic.refusals}"
        return f"{name}: {traffic.messages:,} messages of other joints ({self._observer.other_joints[name]})"
