"""From messages and goals to observation windows."""

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vdd_ros.control.alignment import TimeAlignment
from vdd_ros.control.before_commands import BeforeCommands
from vdd_ros.control.continuity import Continuity, judges
from vdd_ros.control.counters import Counters
from vdd_ros.control.differences import Differences
from vdd_ros.control.history import ObservationHistory
from vdd_ros.control.refusals import NOT_NEWER, far_from_arrival, not_finite
from vdd_ros.control.rings import usable
from vdd_ros.control.window_form import WindowForm
from vdd_ros.errors import ConfigurationError, ObservationError
from vdd_ros.policy.observed import Windows
from vdd_ros.robot.cdr.format import MessageFormat
from vdd_ros.robot.channels import ArrayChannel, InputChannel
from vdd_ros.robot.layouts import OtherJointsError
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.robot.transforms import TransformBuffer

Formats: TypeAlias = Callable[[str], MessageFormat]

GOAL = "~/goal"
"""Topic of goals."""


class Observer:
    """Takes messages and goals, counts and refuses unusable ones, and reports missing and stale inputs.

    Args:
        spec: Metadata of the policy.
        robot: The robot file, checked against the policy.
        counters: Where refusals are counted.
        period_s: Time between ticks.
        formats: Serialised form of a message type, by its name; needed to receive bytes.
        transforms: Transforms between frames; needed if an input names a frame.

    Attributes:
        inputs: The channels of the robot file's inputs and last commands, by name.
        columns: Vector columns that each input of single numbers determines alone, by name.
        counters: Where refusals are counted.
        goal: The newest goal, (goal_length, obs_dim), or None.
        last_refusal: Reason for the newest refusal of a message or goal.
        unusable: Number of messages of each input that were refused or had none of its joints, by input.
        other_joints: Joints of the newest message with none of an input's joints, by input; empty without one.
        observes_commands: Whether the policy observes the last command.
        times_stale: How often each input became stale.
        stamps_s: Stamp of the newest message in seconds, by input; -inf before the first.
        alignment: Ages of the inputs, and the time between their stamps.

    Raises:
        ConfigurationError: An input names a frame, and there are no transforms.
    """

    def __init__(
        self,
        spec: WindowForm,
        robot: RobotFile,
        counters: Counters,
        period_s: float,
        formats: Formats | None = None,
        transforms: TransformBuffer | None = None,
    ) -> None:
        if robot.needs_transforms and transforms is None:
            raise ConfigurationError("the robot file names a `frame`, but transforms are not read here; leave it out")
        self._transforms = transforms or TransformBuffer()
        self._differences = Differences(robot, spec.vector)
        vector = self._differences.read
        self._before = BeforeCommands(robot, vector)
        self._is_derived = bool(robot.last_commands) or self._differences.any
        numbers = {s.name: InputChannel(s, vector) for s in robot.sources if s.array is None}
        arrays = {s.name: ArrayChannel(s, spec.arrays) for s in robot.inputs if s.array is not None}
        self.inputs: dict[str, InputChannel | ArrayChannel] = {**numbers, **arrays}
        for framing in (each.framing for each in numbers.values()):
            if framing is not None:
                framing.buffer = self._transforms
        if formats is not None:
            for channel in self.inputs.values():
                channel.expect(formats(channel.source.type))
        read = {name: channel.columns.tolist() for name, channel in numbers.items()}
        self.columns = {name: _measured(channel) for name, channel in numbers.items()}
        self.goal: NDArray[np.float32] | None = None
        self.last_refusal = ""
        self._goal_shape = (spec.goal_length, len(spec.vector))
        self.counters = counters
        self._history = ObservationHistory(
            read,
            history=spec.history,
            period_s=spec.period_s,
            max_gaps_s={source.name: source.max_age_s for source in robot.inputs if not source.is_kept},
            arrays={name: channel.feature for name, channel in arrays.items()},
            optional=[source.name for source in robot.last_commands],
        )
        self.unusable = dict.fromkeys(self.inputs, 0)
        self.other_joints = dict.fromkeys(self.inputs, "")
        self.observes_commands = bool(robot.last_commands)
        self._begins_s = -math.inf
        self.times_stale = dict.fromkeys(self.inputs, 0)
        self._were_stale: list[str] = []
        self._max_ages_s = [(source.name, source.max_age_s) for source in robot.inputs]
        self._strict_ages_s = [(source.name, source.max_age_s) for source in robot.inputs if not source.is_kept]
        self._begun = False
        self.stamps_s = dict.fromkeys(self.inputs, -math.inf)
        # The origin of an input's age: its stamp or its arrival, whichever is earlier.
        self._since_s = dict.fromkeys(self.inputs, -math.inf)
        self.alignment = TimeAlignment(robot.inputs, robot.max_skew_s, self.stamps_s, self._since_s)
        self._received = {name: np.empty(len(channel.columns)) for name, channel in numbers.items()}
        self._doubted_until_s = -math.inf
        self._continuity = judges([channel.source for channel in numbers.values()], robot, vector, period_s)

    def reset(self, since_s: float = -math.inf) -> None:
        """Forget all observations, keep the goal, and ignore messages that arrived before a time."""
        self._begins_s = since_s
        self._begun = False
        self._history.reset()
        for name in self.inputs:
            self.stamps_s[name] = self._since_s[name] = -math.inf
        self._doubted_until_s, self.alignment.skew_s = -math.inf, math.nan
        for judge in self._continuity.values():
            judge.reset()

    def receive(self, name: str, message: Any, now_s: float) -> None:
        """Take in a message of an input.

        Args:
            name: Name of an input, one of `inputs`.
            message: The message or its bytes; its values are dated by its stamp, or by `now_s` without one.
            now_s: Time of arrival in seconds, on the clock of the stamps.
        """
        if now_s < self._begins_s:
            return
        channel, values = self.inputs[name], self._received.get(name)
        if values is None:  # an array, read into its buffer
            values = self._history.free(name)
        source = channel.source
        judge = self._continuity.get(name)
        self._transforms.now_s = now_s
        try:
            stamp = channel.read(message, values)
        except OtherJointsError as other:
            self.counters.other_joints += 1
            self.unusable[name] += 1
            self.other_joints[name] = other.joints
            return
        except ObservationError as error:
            self._refuse(name, str(error))
            return
        if stamp is not None and source.stamp != "arrival":
            stamp_s = stamp * 1e-9
        elif now_s > (newest_s := self.stamps_s[name]):
            stamp_s = now_s
        else:  # messages arrive in order, though simulated time or clock resolution may give two the same time
            stamp_s = math.nextafter(newest_s, math.inf)
        if abs(stamp_s - now_s) > source.max_age_s:
            self._refuse(name, far_from_arrival(now_s - stamp_s))
        elif judge is not None and (why := self._contradiction(judge, stamp_s, values, now_s)):
            self._refuse(name, why)
        elif not self._history.push(source.name, stamp_s, values):
            why = not_finite(source, values) or NOT_NEWER
            self._refuse(name, why)
        else:
            self.stamps_s[name], self._since_s[name] = stamp_s, min(stamp_s, now_s)
            if judge is not None:
                judge.take(stamp_s)

    def receive_goal(self, values: ArrayLike) -> None:
        """Set the goal, which is valid until the next one.

        Args:
            values: (goal_length * obs_dim,) in the policy's units: observation after observation, oldest first.
        """
        given = np.asarray(values, np.float64)
        if given.shape != (math.prod(self._goal_shape),):
            self.last_refusal = f"{GOAL}: {given.size} numbers; it must be {self._goal_shape} in one row"
        elif not usable(given):
            self.last_refusal = f"{GOAL}: value not finite in single precision"
        else:
            self.goal = given.astype(np.float32).reshape(self._goal_shape)
            self.counters.goals += 1
            return
        self.counters.refused_goals += 1

    def take_goal_of(self, other: "Observer") -> None:
        """Take the goal of another policy's observer, if both goals have the same form."""
        if other.goal is not None and other.goal.shape == self._goal_shape:
            self.goal = other.goal

    def count_on_from(self, other: "Observer") -> None:
        """Continue another observer's counts of the same inputs, so that no counter decreases."""
        self.times_stale |= other.times_stale
        self._history.too_fast |= other.too_fast
        for name, judge in self._continuity.items():
            judge.refused = other.contradictions.get(name, 0)

    @property
    def too_fast(self) -> dict[str, int]:
        """Values overwritten by their successor because the input is too fast, by input."""
        return self._history.too_fast

    @property
    def complete(self) -> bool:
        """Whether every input and, if the policy takes one, the goal has arrived."""
        return self._history.complete and not self._waits_for_goal()

    def covers(self, now_s: float) -> bool:
        """Return whether a window at this time needs no value from before the first message."""
        return self.complete and self._history.covers(now_s)

    def newest_s(self) -> float:
        """Return the newest common stamp of inputs without `when_stale: keep`, in seconds; -inf if one has no value."""
        return self.alignment.newest_s()

    def missing(self) -> tuple[str, ...]:
        """Return the inputs, and the goal, that have not arrived yet."""
        return self._history.missing() + ((GOAL,) if self._waits_for_goal() else ())

    def others(self, names: Iterable[str]) -> str:
        """Describe inputs that only receive messages of other joints; empty if none do."""
        found = [
            f"{name} gets only messages of other {self.inputs[name].source.message.items}, {joints}"
            for name in names
            if (joints := self.other_joints.get(name))
        ]
        return "; ".join(found)

    def stale(self, now_s: float) -> list[str]:
        """Return the stale inputs; count each that was not stale at the last call.

        An input with `when_stale: keep` is stale only before the episode's first sample.
        """
        since_s, limits_s = self._since_s, self._strict_ages_s if self._begun else self._max_ages_s
        found = [name for name, max_age_s in limits_s if now_s - since_s[name] > max_age_s]
        if found != self._were_stale:
            if self._history.complete:
                for name in found:
                    self.times_stale[name] += name not in self._were_stale
            self._were_stale = found
        return found

    def doubted(self, now_s: float, *, starting: bool = False) -> list[str]:
        """Return the inputs with contradicting messages; before a first command, also those with recent refusals."""
        if now_s > self._doubted_until_s:
            return []
        return [name for name, judge in self._continuity.items() if judge.is_doubted(now_s, starting=starting)]

    def distrusted(self, now_s: float, *, starting: bool = False) -> str:
        """Return why nothing may be commanded, such as a stale input; empty if it may. `starting`: see `doubted`."""
        if stale := self.stale(now_s):
            return f"stale: {', '.join(stale)}"
        if self.alignment.is_skewed():
            return f"the stamps of its inputs are {self.alignment.skew_s:.3g} s apart (max_skew_s)"
        doubted = self.doubted(now_s, starting=starting)
        return f"contradictory messages: {', '.join(doubted)}" if doubted else ""

    @property
    def contradictions(self) -> dict[str, int]:
        """Messages refused because they contradict earlier ones, by watched input."""
        return {name: judge.refused for name, judge in self._continuity.items()}

    def sample(self, now_s: float, *, begins: bool = True) -> NDArray[np.float32]:
        """Return the window at a time, (history, obs_dim), oldest first, and fill `arrays` with the array windows.

        The next call overwrites both.

        Args:
            now_s: The time in seconds, on the clock of the stamps.
            begins: Whether this window begins the episode; inputs with `when_stale: keep` may be old from then on.

        Raises:
            ObservationError: An input has no value yet.
        """
        self._begun |= begins
        window = self._history.sample(now_s)
        if not self._is_derived:
            return window
        self._before.fill(window, self._history)
        return self._differences.applied(window)

    @property
    def arrays(self) -> Windows | None:
        """The arrays of the newest sample by name, (history, *shape); None if the policy observes none."""
        return self._history.windows

    def _waits_for_goal(self) -> bool:
        return self.goal is None and self._goal_shape[0] > 0

    def _contradiction(self, judge: Continuity, stamp_s: float, values: NDArray[np.float64], now_s: float) -> str:
        why = judge.contradiction(stamp_s, values, now_s)
        self._doubted_until_s = max(self._doubted_until_s, judge.may_be_doubted_until_s)
        return why

    def _refuse(self, name: str, why: str) -> None:
        self.counters.refused_messages += 1
        self.unusable[name] += 1
        self.last_refusal = f"{name}: {why}"


def _measured(channel: InputChannel) -> list[int]:
    """Return the columns of an input's entries, except constants, hidden entries and differences."""
    return [
        column
        for entry, column in zip(channel.source.entries, channel.columns.tolist(), strict=True)
        if entry.constant is None and entry.minus is None and entry.commands is None and not entry.hidden
    ]
