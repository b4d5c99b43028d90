"""A scripted demonstrator for Pushing whose data look like a person's at a gamepad.

For each cube the hand drives round both cubes to a place behind it, as seen from its target, pushes it there while
steering against its drift, and backs off. It drives round again if it has lost the cube. Speed, sureness of aim and
tremor differ from episode to episode; the hand rests now and then, and at times first sets out for another mode.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.tasks.attempts import HandDemonstrator
from vdd_ros.tasks.base import Floats, check_episodes
from vdd_ros.tasks.gamepad import Gamepad
from vdd_ros.tasks.pushing.sim import HALF, PAIRS, ROD_RADIUS, SPEC, TARGETS, PushingSim, draw_cubes

ROUND = HALF * np.sqrt(2.0) + ROD_RADIUS
"""Distance from a cube's centre, in m, at which the rod does not touch it however it is turned."""
BEHIND = ROUND + 0.015
CLEAR = ROUND + 0.006
ARRIVED = 0.008
LOST_RAD = 0.6
"""Angle between the push and the way to the target beyond which the hand drives round again."""


class _Phase(Enum):
    APPROACH = "drive to a place behind the cube"
    PUSH = "push it"
    BACK_OFF = "let go of it"


@dataclass(frozen=True)
class Habits:
    """Individual traits of one episode.

    Attributes:
        speed: Usual deflection of the stick in m a step.
        tremor: Deviation of the deflection in m a step.
        gain: How strongly the hand steers against a drift.
        near: Distance from the target in m at which the hand is content with the first cube.
        back_off: How far it then backs off, in m.
        rest: Probability of a rest in each step.
        detour: Steps in which it first sets out for another mode; 0: none.
    """

    speed: float
    tremor: float
    gain: float
    near: float
    back_off: float
    rest: float
    detour: int

    @classmethod
    def draw(cls, random: np.random.Generator) -> "Habits":
        """Draw the habits of one episode."""
        return cls(
            speed=random.uniform(0.0065, 0.009),
            tremor=random.uniform(0.0003, 0.001),
            gain=random.uniform(2.0, 3.0),
            near=random.uniform(0.015, 0.035),
            back_off=random.uniform(0.03, 0.06),
            rest=random.choice([0.0, 0.005, 0.015]),
            detour=int(random.integers(6, 20)) if random.random() < 0.15 else 0,
        )


@dataclass(frozen=True)
class _View:
    """What the hand sees: the desired position and the rod, (2,), and the cubes, (2, 2), in m."""

    desired: Floats
    tcp: Floats
    cubes: Floats


class Hand:
    """One episode's hand on the gamepad.

    Args:
        mode: The mode to demonstrate.
        random: The episode's random stream.
    """

    def __init__(self, mode: int, random: np.random.Generator) -> None:
        self._random = random
        self._habits = Habits.draw(random)
        self._gamepad = Gamepad(self._habits.tremor, random)
        cube, target = PAIRS[mode]
        self._left = [(cube, target), (1 - cube, 1 - target)]
        self._other = PAIRS[(mode + int(random.integers(1, SPEC.modes))) % SPEC.modes]
        self._detour_left = self._habits.detour
        self._rest_left = 0
        self._phase = _Phase.APPROACH
        self._let_go_at = np.zeros(2)
        self._side = 0.0  # on which it drives round a cube: 1 left, -1 right, 0 undecided

    def act(self, observation: Floats) -> Floats:
        """Return the action, (2,) in m, at an observation, (10,)."""
        if self._rests():
            return np.zeros(2)
        view = _View(observation[:2], observation[2:4], observation[[[4, 5], [7, 8]]])
        wanted = self._detour(view) if self._detour_left else self._deliver(view)
        return self._gamepad.press(wanted * self._habits.speed)

    def _rests(self) -> bool:
        """Return whether the thumb rests in this step."""
        if self._rest_left == 0 and self._random.random() < self._habits.rest:
            self._rest_left = int(self._random.integers(4, 17))
        resting = self._rest_left > 0
        self._rest_left -= resting
        return resting

    def _detour(self, view: _View) -> Floats:
        """Return the direction towards another mode, and hesitate at the end."""
        self._detour_left -= 1
        if self._detour_left == 0:
            self._rest_left = int(self._random.integers(4, 13))
        cube, target = self._other
        return self._drive(view, _behind(view.cubes[cube], TARGETS[target]))

    def _deliver(self, view: _View) -> Floats:
        """Return the direction, (2,) of length 1 at most, that brings the cubes to their targets in turn."""
        cube, target = self._left[0]
        near = float(np.hypot(*(TARGETS[target] - view.cubes[cube]))) < self._habits.near
        if self._phase is _Phase.PUSH and near and len(self._left) > 1:
            self._phase, self._let_go_at = _Phase.BACK_OFF, view.desired.copy()
        if self._phase is _Phase.BACK_OFF:
            if np.hypot(*(view.desired - self._let_go_at)) < self._habits.back_off:
                return _unit(view.tcp - view.cubes[cube])
            self._left.pop(0)
            self._phase = _Phase.APPROACH
            cube, target = self._left[0]
        place = _behind(view.cubes[cube], TARGETS[target])
        if self._phase is _Phase.APPROACH:
            if np.hypot(*(place - view.desired)) > ARRIVED:
                return self._drive(view, place)
            self._phase = _Phase.PUSH
        return self._push(view.cubes[cube] - view.tcp, _unit(TARGETS[target] - view.cubes[cube]))

    def _push(self, arm: Floats, along: Floats) -> Floats:
        """Return the direction of a push, or start driving round the cube again.

        Args:
            arm: (2,) from the rod to the cube's centre, in m.
            along: (2,) direction from the cube to its target.
        """
        across = np.array([-along[1], along[0]])
        forward, aside = float(arm @ along), float(arm @ across)
        if forward <= 0 or abs(np.arctan2(aside, forward)) > LOST_RAD:
            self._phase = _Phase.APPROACH
            return -along
        return _unit(along + self._habits.gain * aside / max(forward, 0.02) * across)

    def _drive(self, view: _View, place: Floats) -> Floats:
        """Return the direction of a way to a place that touches no cube; shorter than 1 just before it."""
        way = place - view.desired
        distance = float(np.hypot(*way))
        direction = way / max(distance, 1e-9)
        in_the_way = [cube for cube in view.cubes - view.desired if _blocks(cube, direction, distance)]
        if not in_the_way:
            self._side = 0.0
        else:
            direction = self._round(min(in_the_way, key=lambda cube: float(np.hypot(*cube))), direction)
        return direction * min(distance / self._habits.speed, 1.0)

    def _round(self, cube: Floats, direction: Floats) -> Floats:
        """Return the direction past a cube, (2,) from here in m, on the side once chosen; away from it if too near."""
        aside = direction[0] * cube[1] - direction[1] * cube[0]
        self._side = self._side or float(-np.sign(aside)) or 1.0
        away = float(np.hypot(*cube))
        heading = np.arctan2(cube[1], cube[0]) + self._side * np.arcsin(min(CLEAR / max(away, CLEAR), 1.0))
        past = np.array([np.cos(heading), np.sin(heading)])
        return _unit(past - 0.5 * cube / max(away, 1e-9)) if away < CLEAR else past


def _blocks(cube: Floats, direction: Floats, distance: float) -> bool:
    """Return whether a cube, (2,) from here in m, is in the way of a motion."""
    ahead, aside = float(cube @ direction), float(direction[0] * cube[1] - direction[1] * cube[0])
    return 0 < ahead < distance + CLEAR and abs(aside) < CLEAR


def _unit(vector: Floats) -> Floats:
    return vector / max(float(np.hypot(*vector)), 1e-9)


def _behind(cube: Floats, target: Floats) -> Floats:
    """Return the place in m from which the rod pushes a cube to a target."""
    return np.asarray(cube + BEHIND * _unit(cube - target))


def demonstrate_part(numbers: range, seed: int, progress: Callable[[], None]) -> DemonstrationSet:
    """Demonstrate the episodes of these numbers, each from its own random stream: number n in mode n mod 4.

    Raises:
        DemonstrationError: No attempt at an episode succeeded, which is a bug of the demonstrator.
    """
    hands = HandDemonstrator(SPEC, "scripted gamepad demonstrator", PushingSim, draw_cubes, Hand)
    return hands.demonstrate(numbers, seed, progress)


def demonstrate(episodes: int, seed: int, progress: Callable[[], None] = lambda: None) -> DemonstrationSet:
    """Demonstrate the four modes in turn, each from a context of its own.

    Args:
        episodes: Number of episodes.
        seed: Seed; the same seed gives the same demonstrations.
        progress: Called after each episode.

    Raises:
        DemonstrationError: `episodes` is not positive.
    """
    check_episodes(episodes)
    return demonstrate_part(range(episodes), seed, progress)
