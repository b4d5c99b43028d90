"""Relay Kitchen, as FrankaKitchen-v1 of gymnasium-robotics: a Panda moves seven elements of a kitchen, in any order.

Model, initial state, rate, actions, bounds, goals and their threshold are those of the public environment; observations
have no noise. See docs/tasks.md.
"""

from itertools import chain, permutations

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.formats.relay_kitchen import ACTIONS, NAMES, RATE_HZ, UNITS
from vdd_ros.errors import TaskError
from vdd_ros.features import Feature
from vdd_ros.tasks.base import Bools, Floats, Ints, StepResult, TaskSpec, check_action, check_contexts, check_count
from vdd_ros.tasks.endings import Endings
from vdd_ros.tasks.kitchen.model import scene
from vdd_ros.tasks.physics import Physics
from vdd_ros.tasks.rollout import Rollouts

ELEMENTS = (
    "bottom burner",
    "top burner",
    "light switch",
    "slide cabinet",
    "hinge cabinet",
    "microwave",
    "kettle",
)
WANTED = 4
"""Completed elements of a success, as in each human demonstration."""
SEQUENCES = tuple(permutations(range(len(ELEMENTS)), WANTED))
"""The first four elements of each mode, in order."""
_CODES = (*SEQUENCES, *chain.from_iterable(permutations(range(len(ELEMENTS)), few) for few in (3, 2, 1, 0)))
"""The sequence of elements of each code of `KitchenSim.modes`."""
_CODE_OF = {sequence: code for code, sequence in enumerate(_CODES)}

SPEC = TaskSpec(
    name="kitchen",
    observation=tuple(map(Feature, NAMES, UNITS)),
    action=tuple(Feature(name, "1") for name in ACTIONS),
    rate_hz=RATE_HZ,
    max_steps=280,
    modes=len(SEQUENCES),
)
ROBOT = 9
"""Joints of the robot, the first entries of the observation: seven of the arm, two fingers."""
SUBSTEPS = 40
FULL_SPEED = 2.0
"""Velocity of a joint at an action of 1, in rad/s, or m/s of a finger."""
LOW: Floats = np.array([-2.9, -1.8, -2.9, -3.1, -2.9, 0.0, -2.9, 0.0, 0.0])
HIGH: Floats = np.array([2.9, 1.8, 2.9, 0.0, 2.9, 3.8, 2.9, 0.04, 0.04])
"""(9,) bounds of the set points in rad, and m of the fingers."""
REACHED = 0.3
"""Euclidean distance of an element's entries from its goal, regardless of their units, below which it is completed."""
GOALS: tuple[tuple[slice, tuple[float, ...]], ...] = (
    (slice(11, 13), (-0.88, -0.01)),
    (slice(15, 17), (-0.92, -0.01)),
    (slice(17, 19), (-0.69, -0.05)),
    (slice(19, 20), (0.37,)),
    (slice(20, 22), (0.0, 1.45)),
    (slice(22, 23), (-0.75,)),
    (slice(23, 30), (-0.23, 0.75, 1.62, 0.99, 0.0, 0.0, -0.06)),
)
"""For each element its entries of the observation, and their goal."""

START: NDArray[np.float64] = np.array(
    [
        *(1.48388023e-01, -1.76848573e00, 1.84390296e00, -2.47685760e00, 2.60252026e-01, 7.12533105e-01),
        *(1.59515394e00, 4.79267505e-02, 3.71350919e-02, -2.66279850e-04, -5.18043486e-05, 3.12877220e-05),
        *(-4.51199853e-05, -3.90842156e-06, -4.22629655e-05, 6.28065475e-05, 4.04984708e-05, 4.62730939e-04),
        *(-2.26906415e-04, -4.65501369e-04, -6.44129196e-03, -1.77048263e-03, 1.08009684e-03, -2.69397440e-01),
        *(3.50383255e-01, 1.61944683e00, 1.00618764e00, 4.06395120e-03, -6.62095997e-03, -2.68278933e-04),
    ]
)
"""(30,) observation at the start of every episode."""


class KitchenSim:
    """N independent episodes of the kitchen, stepped together. There is neither context nor noise.

    Success comes with the fourth element. The episode goes on: the return counts all seven.
    """

    def __init__(self, count: int, last: int = len(ELEMENTS)) -> None:
        """Prepare `count` episodes, each of which ends with its `last` completed element; call `reset` before `step`.

        Raises:
            TaskError: `count` is not positive, or MuJoCo or the model is missing or of another version.
        """
        check_count(count)
        self.spec = SPEC
        self.count = count
        self._last = last
        self._physics = Physics(scene(), count, SUBSTEPS)
        self._sequence = np.full((count, len(ELEMENTS)), -1, dtype=np.int64)
        self._endings = Endings(count, SPEC.max_steps)

    def reset(self, contexts: Floats | None = None, which: Bools | None = None) -> Floats:
        """Start episodes anew; see `vdd_ros.tasks.base.TaskSim.reset`."""
        check_contexts(self.spec, contexts, self.count)
        chosen = np.ones(self.count, dtype=bool) if which is None else which
        self._physics.reset(chosen)
        self._physics.positions[chosen] = START
        self._sequence[chosen] = -1
        self._endings.reset(chosen)
        return self._physics.positions.copy()

    def step(self, action: Floats) -> StepResult:
        """Move the joints with velocities `action`, (N, 9) clipped to -1 to 1, for one control period of 80 ms.

        As in the public environment, the set points are the positions before the period plus the way at that velocity.
        """
        running = self._endings.running
        check_action(self.spec, action, running)
        way = np.clip(np.where(running[:, None], action, 0.0), -1.0, 1.0) * FULL_SPEED / SPEC.rate_hz
        set_points = np.clip(self._physics.positions[:, :ROBOT] + way, LOW, HIGH)
        failed = self._physics.advance(running, set_points)
        before = self._completed()
        self._note(running & ~failed)
        completed = self._completed()
        truncated = self._endings.note(running & (completed >= self._last), failed)
        return StepResult(
            self._physics.positions.copy(),
            self._endings.terminated,
            truncated,
            completed >= WANTED,
            (completed - before).astype(np.float64),
            np.minimum(completed / WANTED, 1.0),
        )

    def modes(self) -> Ints:
        """Return the sequence of each episode's first four elements so far, (N,): a code of `sequence_of`."""
        return np.array([_CODE_OF[tuple(row[row >= 0].tolist())] for row in self._sequence[:, :WANTED]], dtype=np.int64)

    def _completed(self) -> Ints:
        """Return how many elements each episode has completed, (N,)."""
        return np.asarray((self._sequence >= 0).sum(axis=1))

    def _note(self, which: Bools) -> None:
        """Append the elements that have come to their goals; those of one step in the order of `ELEMENTS`."""
        near = at_goals(self._physics.positions)
        for element in range(len(ELEMENTS)):
            new = which & near[:, element] & (self._sequence != element).all(axis=1)
            self._sequence[new, self._completed()[new]] = element


def goal_share(run: Rollouts) -> Floats:
    """Return the share of the elements that the goals have at their places which each rollout completed, (N,).

    The last observation of a goal counts. A goal with no element at its place asks for nothing: its share is 1.

    Raises:
        TaskError: The rollouts had no goals.
    """
    if run.goals is None:
        raise TaskError("these rollouts had no goals; give --goals to a policy that takes them")
    done, asked = at_goals(run.observations[:, -1]), at_goals(np.asarray(run.goals[:, -1], dtype=np.float64))
    for row, code in zip(done, run.modes, strict=True):
        row[list(sequence_of(int(code)))] = True
    wanted = asked.sum(axis=1)
    return np.where(wanted == 0, 1.0, (done & asked).sum(axis=1) / np.maximum(wanted, 1))


def at_goals(observation: Floats) -> Bools:
    """Return which elements are at their goals: (..., 30) -> (..., 7)."""
    apart = [np.linalg.norm(observation[..., entries] - np.array(goal), axis=-1) for entries, goal in GOALS]
    return np.asarray(np.stack(apart, axis=-1) < REACHED)


def sequence_of(code: int) -> tuple[int, ...]:
    """Return the elements, as indices of `ELEMENTS`, in the order in which they were completed, at most four.

    Args:
        code: Of `KitchenSim.modes`: 0 to 839 for four elements, up to 1049 for three, 1091 for two, 1098 for one, and
            1099 for none.
    """
    return _CODES[code]


def name_of(code: int) -> str:
    """Return the elements of a code of `KitchenSim.modes` for people."""
    return ", ".join(ELEMENTS[element] for element in sequence_of(code)) or "none"
