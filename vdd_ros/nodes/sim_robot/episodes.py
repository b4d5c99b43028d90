"""A simulated robot: a task stepped one control period at a time by absolute commands."""

from dataclasses import dataclass
from enum import Enum

import numpy as np

from vdd_ros.documents import JsonObject, json_object
from vdd_ros.robot.command_channel import CommandChannel
from vdd_ros.robot.quantities import GO_ON, quantity_of
from vdd_ros.tasks import Task
from vdd_ros.tasks.base import Floats

SETTLE_PERIODS = 5


class Phase(Enum):
    """Phase of an episode."""

    SETTLING = "settling"
    """Just reset: commands are ignored, since they may refer to the previous episode."""
    WAITING = "waiting"
    """The first command starts the episode."""
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True)
class EpisodeResult:
    """Result of an episode.

    Attributes:
        episode: Number of the episode, from 0.
        success: The goal was reached.
        mode: The task mode that it took; None without success.
        steps: Control periods from the first command to the end.
    """

    episode: int
    success: bool
    mode: int | None
    steps: int

    def to_dict(self) -> JsonObject:
        """Return the result for JSON."""
        return json_object(self)


class SimulatedRobot:
    """Episodes of a task on one robot.

    Attributes:
        observation: (obs_dim,) the newest observation, in the task's units.
        phase: Phase of the current episode.
        episode: Its number.
    """

    def __init__(self, task: Task, channel: CommandChannel, seed: int) -> None:
        self._sim, self._draw_contexts = task.make_sim(1), task.draw_contexts
        self._channel = channel
        self._seed = seed
        self._command: Floats = np.zeros(len(channel.entries))
        self._action: Floats = np.zeros(len(task.spec.action))
        self.episode = -1
        self.reset()

    def reset(self) -> None:
        """Start the next episode."""
        self.episode += 1
        self.observation = self._sim.reset(self._draw_contexts(1, self._seed + self.episode))[0]
        self.phase = Phase.SETTLING
        self._settling = SETTLE_PERIODS
        self._steps = 0
        self._before: Floats | None = None

    def command(self, values: Floats) -> None:
        """Take the newest command, (n,), in the units of the robot file; it holds until the next one."""
        if self.phase is Phase.WAITING:
            self.phase = Phase.RUNNING
        if self.phase is Phase.RUNNING:
            self._command[:] = values

    def stop(self) -> None:
        """Stand still until the next command: stay at the measured place, without velocity; other numbers stay."""
        if self.phase is not Phase.RUNNING:
            return
        place = np.empty_like(self._command)
        self._channel.measure(self.observation, place)
        moving = [quantity_of(entry.unit) in GO_ON for entry in self._channel.entries]
        changed = self._channel.measured | np.array(moving)
        self._command[changed] = place[changed]

    def advance(self) -> EpisodeResult | None:
        """Advance one control period; return the result if the episode ends."""
        if self.phase is Phase.SETTLING:
            self._settling -= 1
            if self._settling == 0:
                self.phase = Phase.WAITING
        if self.phase is not Phase.RUNNING:
            return None
        self._channel.to_action(self._command, self.observation, self._action, self._before)
        self._before = self._command.copy()
        step = self._sim.step(self._action[None])
        self.observation = step.observation[0]
        self._steps += 1
        if not (step.terminated[0] or step.truncated[0]):
            return None
        self.phase = Phase.ENDED
        success = bool(step.success[0])
        return EpisodeResult(self.episode, success, int(self._sim.modes()[0]) if success else None, self._steps)
