"""A scripted demonstrator for Stacking: takes the boxes one after the other, recorded as motions of the joints.

For each box the hand goes above it, turns along its sides, goes down, grips, lifts it above the stack, puts it down and
lets go. Speed, heights, tremor and aim differ from episode to episode; the hand rests now and then, and at times first
sets out for another box.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.tasks.attempts import HandDemonstrator
from vdd_ros.tasks.base import Floats, check_episodes
from vdd_ros.tasks.stacking.arm import OPEN_M
from vdd_ros.tasks.stacking.kinematics import Kinematics
from vdd_ros.tasks.stacking.sim import BOXES, HALF, HOME, ORDERS, SPEC, TABLE_Z, TARGET, StackingSim, draw_boxes

GRIP_STEPS = 14
RELEASE_STEPS = 10
TURN_STEP = 0.05
"""Largest turn of the hand in a step, in rad."""
OPEN, CLOSED = 2 * OPEN_M, 0.0


@dataclass(frozen=True)
class Habits:
    """Individual traits of one episode.

    Attributes:
        speed: Usual motion of the tool in m a step.
        tremor: Deviation of the motion in m a step.
        above: Height above a box, or above the stack, at which the hand moves sideways, in m.
        rest: Probability of a rest in each step.
        aim: (2,) of the stack from the target's middle in m.
        detour: Steps in which it first sets out for another box; 0: none.
    """

    speed: float
    tremor: float
    above: float
    rest: float
    aim: Floats
    detour: int

    @classmethod
    def draw(cls, random: np.random.Generator) -> "Habits":
        """Draw the habits of one episode."""
        return cls(
            speed=random.uniform(0.006, 0.01),
            tremor=random.uniform(0.0002, 0.0006),
            above=random.uniform(0.09, 0.14),
            rest=random.choice([0.0, 0.003, 0.01]),
            aim=random.uniform(-0.012, 0.012, 2),
            detour=int(random.integers(8, 25)) if random.random() < 0.15 else 0,
        )


@dataclass(frozen=True)
class _Goal:
    """What the hand does next: move until it is there, or hold for some steps."""

    place: Floats
    yaw: float
    width: float
    steps: int = 0
    """Steps of waiting; 0: until the place is reached."""
    precision: float = 0.006


class Hand:
    """One episode's hand.

    Args:
        mode: The order of the boxes.
        random: The episode's random stream.
        kinematics: Of the arm.
    """

    def __init__(self, mode: int, random: np.random.Generator, kinematics: Kinematics) -> None:
        self._random = random
        self._habits = Habits.draw(random)
        self._kinematics = kinematics
        self._order = ORDERS[mode]
        self._goals = self._plan()
        self._goal: _Goal | None = None
        self._left = 0
        self._rest_left = 0
        self._tremor = np.zeros(3)
        self._width = OPEN
        self._observation = np.zeros(len(SPEC.observation))

    def act(self, observation: Floats) -> Floats:
        """Return the action, (8,) in rad and m, at an observation, (20,)."""
        self._observation = observation
        joints = observation[:7]
        if self._rest_left == 0 and self._random.random() < self._habits.rest:
            self._rest_left = int(self._random.integers(4, 17))
        if self._rest_left > 0:
            self._rest_left -= 1
            return np.append(np.zeros(7), self._width)
        place, yaw = self._kinematics.pose(joints)
        goal = self._current(place, yaw)
        self._width = goal.width
        self._tremor = 0.8 * self._tremor + self._habits.tremor * self._random.standard_normal(3)
        way = goal.place - place
        distance = float(np.linalg.norm(way))
        step = way * min(1.0, self._habits.speed / max(distance, 1e-9)) + self._tremor * (goal.steps == 0)
        turn = float(np.clip(_turned(goal.yaw - yaw), -TURN_STEP, TURN_STEP))
        wanted = self._kinematics.solve(joints, place + step, yaw + turn, HOME)
        return np.append(wanted - joints, self._width)

    def _current(self, place: Floats, yaw: float) -> _Goal:
        """Return the goal of this step."""
        while True:
            if self._goal is None:
                self._goal = next(self._goals)
                self._left = self._goal.steps
            if self._goal.steps:
                if self._left > 0:
                    self._left -= 1
                    return self._goal
            else:
                there = np.linalg.norm(self._goal.place - place) <= self._goal.precision
                if not (there and abs(_turned(self._goal.yaw - yaw)) < 0.04):
                    return self._goal
            self._goal = None

    def _plan(self) -> Iterator[_Goal]:
        """Yield the goals one after the other, each from what is seen then."""
        habits = self._habits
        if habits.detour:
            other = self._order[int(self._random.integers(1, len(BOXES)))]
            place, yaw = self._grasp(other)
            yield _Goal(_raised(place, habits.above), yaw, OPEN, steps=habits.detour)
            self._rest_left = int(self._random.integers(4, 13))
        for level, box in enumerate(self._order):
            place, yaw = self._grasp(box)
            top = TABLE_Z + HALF + 2 * HALF * level
            high = top + 2 * HALF + habits.above - 0.04
            yield _Goal(_raised(place, habits.above), yaw, OPEN, precision=0.012)
            place, yaw = self._grasp(box)
            yield _Goal(place, yaw, OPEN)
            yield _Goal(place, yaw, CLOSED, steps=GRIP_STEPS)
            yield _Goal(np.append(place[:2], max(high, place[2] + 0.05)), yaw, CLOSED, precision=0.02)
            held = self._held(box)
            stack = np.array([*(np.array(TARGET) + habits.aim), high])
            yield _Goal(stack - held * (1, 1, 0), yaw, CLOSED, precision=0.008)
            held = self._held(box)
            down = np.array([*(np.array(TARGET) + habits.aim), top + 0.004]) - held
            yield _Goal(down, yaw, CLOSED)
            yield _Goal(down, yaw, OPEN, steps=RELEASE_STEPS)
            yield _Goal(_raised(down, habits.above), yaw, OPEN, precision=0.02)
        while True:
            yield _Goal(_raised(down, habits.above), yaw, OPEN, steps=1000)

    def _seen(self, box: int) -> tuple[Floats, float]:
        """Return the centre, (3,) in m, and the yaw in rad of a box, up to half a turn."""
        first = 8 + 4 * box
        return self._observation[first : first + 3], math.atan(float(self._observation[first + 3]))

    def _grasp(self, box: int) -> tuple[Floats, float]:
        """Return the place and the yaw of the hand around a box; its fingers close along the hand's y axis."""
        place, turn = self._seen(box)
        _, yaw = self._kinematics.pose(self._observation[:7])
        symmetry = math.pi if BOXES[box] == "blue" else math.pi / 2
        along = turn + (math.pi / 2 if BOXES[box] == "blue" else 0.0)
        best = yaw + math.remainder(along - yaw, symmetry)
        if abs(best) > 2.0:  # the wrist's limits
            best -= math.copysign(symmetry, best)
        return place.copy(), best

    def _held(self, box: int) -> Floats:
        """Return where a box hangs from the tool, (3,) in m, as it is seen."""
        place, _ = self._kinematics.pose(self._observation[:7])
        offset = self._seen(box)[0] - place
        return offset if np.linalg.norm(offset) < 0.05 else np.zeros(3)


def _raised(place: Floats, height: float) -> Floats:
    """Return a place, (3,), so much higher, in m."""
    return place + np.array([0.0, 0.0, height])


def _turned(angle: float) -> float:
    """Return an angle in rad from -pi to pi."""
    return math.remainder(angle, 2 * math.pi)


def demonstrate_part(numbers: range, seed: int, progress: Callable[[], None]) -> DemonstrationSet:
    """Demonstrate the episodes of these numbers, each from its own random stream: number n in mode n mod 6.

    Raises:
        DemonstrationError: No attempt at an episode succeeded, which is a bug of the demonstrator.
    """
    kinematics = Kinematics()

    def make_hand(mode: int, random: np.random.Generator) -> Hand:
        return Hand(mode, random, kinematics)

    hands = HandDemonstrator(SPEC, "scripted demonstrator", StackingSim, draw_boxes, make_hand)
    return hands.demonstrate(numbers, seed, progress)


def demonstrate(episodes: int, seed: int, progress: Callable[[], None] = lambda: None) -> DemonstrationSet:
    """Demonstrate the six orders in turn, each from a context of its own.

    Args:
        episodes: Number of episodes.
        seed: Seed; the same seed gives the same demonstrations.
        progress: Called after each episode.

    Raises:
        DemonstrationError: `episodes` is not positive.
    """
    check_episodes(episodes)
    return demonstrate_part(range(episodes), seed, progress)
