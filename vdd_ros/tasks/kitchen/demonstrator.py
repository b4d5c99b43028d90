"""A scripted demonstrator for the kitchen: four of the seven elements one after the other, as velocities of the joints.

Inverse kinematics turns the motion of the hand into steps of the joints, and a model of their lag and of gravity's load
turns these into actions: without, the arm sinks. Speed, tremor, tilt of the hand and how far an element is moved differ
from episode to episode; the hand rests now and then, and at times first sets out for another element.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.tasks.attempts import HandDemonstrator
from vdd_ros.tasks.base import Floats, check_episodes
from vdd_ros.tasks.kitchen.kinematics import JOINTS, Kinematics
from vdd_ros.tasks.kitchen.sim import FULL_SPEED, SEQUENCES, SPEC, START, WANTED, KitchenSim
from vdd_ros.tasks.kitchen.skills import CLOSED, SKILLS, Goal, Style

STIFFNESS: Floats = np.array([870.0] * 4 + [120.0] * 3)
"""(7,) of the joints in Nm/rad, as in the model."""
DAMPING: Floats = np.array([100.0] * 4 + [10.0] * 3)
"""(7,) of the joints in Nm s/rad, as in the model."""
PERIOD_S = 1.0 / SPEC.rate_hz
FOLLOWED: Floats = 1.0 - np.exp(-PERIOD_S * STIFFNESS / DAMPING)
"""(7,) share of the way to its set point that a joint goes in a period."""
LARGEST: Floats = np.array([0.068] * 4 + [0.09] * 3)
"""(7,) largest step of a joint in a period, in rad: the actuators' forces are limited."""
REST: Floats = np.array([-0.8, -0.9, 1.3, -2.2, 0.0, 1.4, 0.9])
"""(7,) joints in rad that the arm tends to where it is free: amid those of the skills."""
TURN_STEP = 0.12
"""Largest turn of the hand in a period, in rad."""


@dataclass(frozen=True)
class Habits:
    """Individual traits of one episode.

    Attributes:
        speed: Usual motion of the hand in m a step.
        tremor: Deviation of the motion in m a step.
        rest: Probability of a rest in each step.
        detour: Steps in which it first sets out for another element; 0: none.
    """

    speed: float
    tremor: float
    rest: float
    detour: int

    @classmethod
    def draw(cls, random: np.random.Generator) -> "Habits":
        """Draw the habits of one episode."""
        return cls(
            speed=random.uniform(0.036, 0.046),
            tremor=random.uniform(0.0005, 0.0015),
            rest=random.choice([0.0, 0.003, 0.006]),
            detour=int(random.integers(5, 11)) if random.random() < 0.1 else 0,
        )


class Hand:
    """One episode's hand.

    Args:
        mode: The sequence of elements.
        random: The episode's random stream.
        kinematics: Of the arm.
    """

    def __init__(self, mode: int, random: np.random.Generator, kinematics: Kinematics) -> None:
        self._random = random
        self._habits = Habits.draw(random)
        self._kinematics = kinematics
        self._sequence = SEQUENCES[mode]
        self._goals = self._plan()
        self._goal: Goal | None = None
        self._left = 0
        self._rest_left = 0
        self._pace = 1.0
        self._tremor = np.zeros(3)
        self._observation = START

    def act(self, observation: Floats) -> Floats:
        """Return the action, (9,), at an observation, (30,)."""
        self._observation = observation
        joints = observation[:JOINTS]
        place, axes = self._kinematics.pose(joints)
        goal = self._current(place)
        moved = np.zeros(JOINTS)
        if self._rest_left == 0 and self._random.random() < self._habits.rest:
            self._rest_left = int(self._random.integers(2, 8))
        if self._rest_left > 0:
            self._rest_left -= 1
        else:
            moved = self._step(joints, place, axes, goal)
        ahead = moved / FOLLOWED + self._kinematics.load(joints) / STIFFNESS
        action = np.append(ahead / (FULL_SPEED * PERIOD_S), [goal.fingers] * 2)
        return np.clip(action, -1.0, 1.0)

    def _step(self, joints: Floats, place: Floats, axes: Floats, goal: Goal) -> Floats:
        """Return the step of the joints towards a goal, (7,) in rad."""
        self._pace = float(np.clip(self._pace + 0.05 * self._random.standard_normal(), 0.75, 1.1))
        self._tremor = 0.8 * self._tremor + self._habits.tremor * self._random.standard_normal(3)
        way = goal.place - place
        most = self._habits.speed * self._pace * goal.pace
        step = way * min(1.0, most / max(float(np.linalg.norm(way)), 1e-9)) + self._tremor
        turned = _towards(axes, goal.axes)
        moved = self._kinematics.solve(joints, place + step, turned, REST) - joints
        return moved * min(1.0, 1.0 / float(np.max(np.abs(moved) / LARGEST)))

    def _current(self, place: Floats) -> Goal:
        """Return the goal of this step."""
        while True:
            if self._goal is None:
                self._goal = next(self._goals)
                self._left = self._goal.steps or self._goal.patience
            there = self._goal.steps == 0 and np.linalg.norm(self._goal.place - place) <= self._goal.precision
            if self._left > 0 and not there:
                self._left -= 1
                return self._goal
            self._goal = None

    def _plan(self) -> Iterator[Goal]:
        """Yield the goals one after the other."""
        if self._habits.detour:
            others = [element for element in range(len(SKILLS)) if element != self._sequence[0]]
            first = next(SKILLS[self._random.choice(others)](self._see, Style.draw(self._random)))
            for _ in range(self._habits.detour):
                yield _held(first, 1)
            self._rest_left = int(self._random.integers(2, 7))
        for element in self._sequence:
            for goal in SKILLS[element](self._see, Style.draw(self._random)):
                last = goal
                yield goal
        while True:
            yield _held(last, 1)

    def _see(self) -> Floats:
        return self._observation


def _held(goal: Goal, steps: int) -> Goal:
    """Return a goal that is pursued for so many steps."""
    return Goal(goal.place, goal.axes, CLOSED, steps)


def _towards(axes: Floats, wanted: Floats) -> Floats:
    """Return axes, (3, 3), turned towards wanted ones by at most `TURN_STEP`."""
    difference = wanted @ axes.T
    angle = math.acos(float(np.clip((np.trace(difference) - 1.0) / 2.0, -1.0, 1.0)))
    if angle <= TURN_STEP:
        return wanted
    across = (difference - difference.T) / max(2.0 * math.sin(angle), 1e-9)
    turned = np.eye(3) + math.sin(TURN_STEP) * across + (1.0 - math.cos(TURN_STEP)) * across @ across
    return np.asarray(turned @ axes)


def mode_of(number: int) -> int:
    """Return the mode of an episode: elements and orders are spread evenly over consecutive numbers."""
    rest, first = divmod(number % SPEC.modes, len(SKILLS))
    sequence = [first]
    while len(sequence) < WANTED:
        others = [element % len(SKILLS) for element in range(first + 1, first + len(SKILLS))]
        left = [element for element in others if element not in sequence]
        rest, place = divmod(rest, len(left))
        sequence.append(left[place])
    return SEQUENCES.index(tuple(sequence))


def demonstrate_part(numbers: range, seed: int, progress: Callable[[], None]) -> DemonstrationSet:
    """Demonstrate the episodes of these numbers, each from its own random stream.

    Raises:
        DemonstrationError: No attempt at an episode succeeded, which is a bug of the demonstrator.
    """
    kinematics = Kinematics()

    def make_hand(mode: int, random: np.random.Generator) -> Hand:
        return Hand(mode, random, kinematics)

    make_sim = partial(KitchenSim, last=WANTED)
    hands = HandDemonstrator(SPEC, "scripted demonstrator", make_sim, _no_contexts, make_hand, mode_of)
    return hands.demonstrate(numbers, seed, progress)


def _no_contexts(count: int, random: np.random.Generator) -> Floats:
    return np.zeros((count, 0))


def demonstrate(episodes: int, seed: int, progress: Callable[[], None] = lambda: None) -> DemonstrationSet:
    """Demonstrate sequences of four elements.

    Args:
        episodes: Number of episodes.
        seed: Seed; the same seed gives the same demonstrations.
        progress: Called after each episode.

    Raises:
        DemonstrationError: `episodes` is not positive.
    """
    check_episodes(episodes)
    return demonstrate_part(range(episodes), seed, progress)
