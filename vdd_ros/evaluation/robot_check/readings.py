"""The values of each input of a robot file in a recording, read by the node's own code."""

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.bags.topics import Recording, SerializedMessage, Topic
from vdd_ros.control.rings import usable
from vdd_ros.errors import ObservationError, RobotFileError
from vdd_ros.evaluation.robot_check.topics import find_topic
from vdd_ros.features import Feature
from vdd_ros.recordings.topics import wanted_topics
from vdd_ros.robot.cdr.format import MessageFormat
from vdd_ros.robot.channels import ArrayChannel, InputChannel
from vdd_ros.robot.inputs import Input
from vdd_ros.robot.layouts import OtherJointsError
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.robot.transforms import TF, TF_STATIC, TransformBuffer

Floats = NDArray[np.float64]
MOST_REASONS = 20
"""Limit on the different reasons for refusals that are kept for one input."""


@dataclass
class InputReadings:
    """The values of one input.

    Attributes:
        source: The input in the robot file.
        topic: Its topic in the recording, or None.
        features: Features of its m columns, in the units of `values`.
        received_s: (n,) times of receipt of the values, seconds since the epoch.
        stamped_s: (n,) their stamps; NaN for a missing or zero stamp.
        values: (n, m); for an array the smallest and the largest number of each message, m = 2.
        refused: Messages that could not be read, by reason.
        unusable: Messages with a non-finite value, by entry.
        other_joints: Messages without any of its joints; `joints` names some of their joints.
        joints: See `other_joints`.
        problem: Why the topic is unreadable; empty if it is readable.
    """

    source: Input
    topic: Topic | None
    features: tuple[Feature, ...]
    received_s: Floats = field(default_factory=lambda: np.empty(0))
    stamped_s: Floats = field(default_factory=lambda: np.empty(0))
    values: Floats = field(default_factory=lambda: np.empty((0, 0)))
    refused: Counter[str] = field(default_factory=Counter)
    unusable: Counter[str] = field(default_factory=Counter)
    other_joints: int = 0
    joints: str = ""
    problem: str = ""

    @property
    def name(self) -> str:
        """Name of the input in the robot file."""
        return self.source.name

    @property
    def dated_s(self) -> Floats:
        """The times, (n,), by which the node dates the values: stamps, or times of receipt without stamps."""
        if self.source.stamp == "arrival":
            return self.received_s
        return np.where(np.isnan(self.stamped_s), self.received_s, self.stamped_s)


class _Reader:
    """Collects the values of one input."""

    def __init__(self, source: Input, observation: Sequence[Feature]) -> None:
        scalars, arrays = ([f for f in observation if f.is_scalar is scalar] for scalar in (True, False))
        self._channel = ArrayChannel(source, arrays) if source.array else InputChannel(source, scalars)
        names = [entry.name for entry in source.entries]
        self.features = tuple(next(f for f in observation if f.name == name) for name in names)
        shape, dtype = (source.array.shape, self.features[0].dtype) if source.array else ((len(names),), "float64")
        self._out = np.empty(shape, dtype)
        self._width = 2 if source.array else len(names)
        self._checked = False
        self._form: MessageFormat | None = None
        self._columns = array("d"), array("d"), array("d")

    def take(self, found: InputReadings, received: SerializedMessage) -> None:
        """Read one message, or count the reason why it cannot be read."""
        if received.form is not self._form:
            self._form = received.form
            self._channel.expect(received.form)
        try:
            if found.problem or (not self._checked and not self._check(found, received)):
                return
            stamp = self._channel.read(received.content, self._out)
        except OtherJointsError as other:
            found.other_joints += 1
            found.joints = other.joints
            return
        except ObservationError as error:
            reason = str(error)
            full = len(found.refused) >= MOST_REASONS and reason not in found.refused
            found.refused["other reasons" if full else reason] += 1
            return
        if not usable(self._out.ravel()):
            wrong = [f.name for f, value in zip(self.features, self._rows(), strict=True) if not usable(value)]
            found.unusable.update(wrong)
            return
        received_s, stamped_s, values = self._columns
        received_s.append(received.received_ns * 1e-9)
        stamped_s.append(math.nan if stamp is None else stamp * 1e-9)
        values.extend([float(self._out.min()), float(self._out.max())] if found.source.array else self._out.tolist())

    def follow(self, transforms: TransformBuffer) -> bool:
        """Use transforms from this buffer; return whether the input names a frame."""
        framing = self._channel.framing if isinstance(self._channel, InputChannel) else None
        if framing is not None:
            framing.buffer = transforms
        return framing is not None

    def finish(self, found: InputReadings) -> None:
        """Return the values."""
        received_s, stamped_s, values = (np.array(column, np.float64) for column in self._columns)
        found.received_s, found.stamped_s, found.values = received_s, stamped_s, values.reshape(-1, self._width)

    def _check(self, found: InputReadings, received: SerializedMessage) -> bool:
        message = received.form.message(received.content)
        self._checked = True
        try:
            self._channel.check(message)
        except RobotFileError as error:
            found.problem = str(error)
        return not found.problem

    def _rows(self) -> Sequence[NDArray[Any]]:
        return [self._out.ravel()] if len(self.features) == 1 else list(self._out.reshape(len(self.features), -1))


def read_inputs(
    robot: RobotFile, sources: Sequence[Input], observation: Sequence[Feature], recording: Recording
) -> tuple[InputReadings, ...]:
    """Read some inputs of a robot file from a recording.

    Args:
        robot: The robot file.
        sources: Its inputs, or its last commands.
        observation: Features of the policy, whose units the values get; without a policy those of the robot file.
        recording: A bag, or messages of a running robot.

    Raises:
        RecordingError: The recording is damaged, or a topic of an input has a type without a definition.
    """
    readers = [_Reader(source, (*observation, *robot.hidden)) for source in sources]
    topics = {one.name: one.topic for one in wanted_topics(robot) if one.role == "input"}
    found = [
        InputReadings(source, find_topic(topics[source.name], recording.topics), reader.features)
        for source, reader in zip(sources, readers, strict=True)
    ]
    by_topic: dict[str, list[int]] = {}
    for index, one in enumerate(found):
        if one.topic is not None and one.topic.type == one.source.type:
            by_topic.setdefault(one.topic.name, []).append(index)
    transforms = TransformBuffer()
    framed = [reader.follow(transforms) for reader in readers]
    statics = {TF: False, TF_STATIC: True} if any(framed) else {}
    for message in recording.serialized([*by_topic, *statics]):
        if message.topic in statics:
            transforms.receive(message.message(), static=statics[message.topic])
        for index in by_topic.get(message.topic, ()):
            transforms.now_s = message.received_ns * 1e-9
            readers[index].take(found[index], message)
    for one, reader in zip(found, readers, strict=True):
        reader.finish(one)
    return tuple(found)
