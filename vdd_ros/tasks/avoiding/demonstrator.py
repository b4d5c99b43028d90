"""A scripted demonstrator for Avoiding whose data look like D3IL's gamepad data.

It follows one of the 24 routes by pure pursuit: it steers at a point some way ahead on the route. Crossing points,
sideways moves, look-ahead distance and strength of the push differ from episode to episode.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import DemonstrationError
from vdd_ros.tasks.avoiding.sim import ROW_Y, SPEC, START, AvoidingSim
from vdd_ros.tasks.base import check_episodes
from vdd_ros.tasks.gamepad import Gamepad

MAX_DEMONSTRATION_STEPS = 200
MAX_TRIES = 50
DETOURS = 0.2
"""Share of the episodes of a `HumanHand` that first set out for another route."""

GAP_CENTRES = ((0.425, 0.575), (0.355, 0.5, 0.645), (0.285, 0.425, 0.575, 0.715))
"""Mean crossing point of each row, in m; the clear width is at least 35 mm to either side."""
GAP_SPREAD = 0.008
ARRIVE, LEAVE = 0.045, 0.05
"""Distance in m before and behind a row on which the route runs straight ahead."""
PATH_STEP = 0.002

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Habits:
    """Individual traits of one episode.

    Attributes:
        route: (P, 2) points of the intended path in m, 2 mm apart.
        speed: Usual deflection of the stick in m a step.
        look_ahead: Distance in m of the point that the demonstrator steers at.
        tremor: Deviation of the deflection in m a step.
    """

    route: Floats
    speed: float
    look_ahead: float
    tremor: float

    @classmethod
    def draw(cls, route: int, random: np.random.Generator) -> "Habits":
        """Draw the habits of one episode along `route`, 0 to 23."""
        return cls(
            route=draw_path((route // 12, route % 12 // 4, route % 4), random),
            speed=random.uniform(0.0075, 0.0095),
            look_ahead=random.uniform(0.03, 0.045),
            tremor=random.uniform(0.0002, 0.0005),
        )


def draw_path(gaps: tuple[int, int, int], random: np.random.Generator) -> Floats:
    """Draw a path through the given gap of each row: straight past a row, then across the lane, (P, 2) in m."""
    corners = [np.array(START)]
    for row_y, gap, centres in zip(ROW_Y, gaps, GAP_CENTRES, strict=True):
        x = centres[gap] + random.uniform(-GAP_SPREAD, GAP_SPREAD)
        arrive = row_y - ARRIVE
        spare = max(arrive - corners[-1][1] - 0.5 * abs(x - corners[-1][0]), 0.0)
        corners.append(corners[-1] + (0.0, spare * random.uniform(0.0, 0.5)))
        corners.append(np.array((x, arrive - spare * random.uniform(0.0, 0.4))))
        corners.append(np.array((x, row_y + LEAVE)))
    corners.append(corners[-1] + (0.0, 0.15))
    points = np.array(corners)
    travelled = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    stations = np.arange(0.0, travelled[-1], PATH_STEP)
    return np.stack([np.interp(stations, travelled, points[:, axis]) for axis in (0, 1)], axis=1)


class Hand:
    """The demonstrator's hand: decides an action each control step."""

    def __init__(self, habits: Habits, random: np.random.Generator) -> None:
        """Take the habits of one episode."""
        self._habits = habits
        self._gamepad = Gamepad(habits.tremor, random)
        self._nearest = 0

    def act(self, desired: Floats, pace: float = 1.0) -> Floats:
        """Return the action, (2,) in m, at the desired position, (2,) in m, at a share of the usual speed."""
        return self._gamepad.press(self._direction(desired) * (self._habits.speed * pace))

    def _direction(self, desired: Floats) -> Floats:
        ahead = self._habits.route[self._nearest : self._nearest + 40]
        self._nearest += int(np.argmin(np.hypot(*(ahead - desired).T)))
        target = min(self._nearest + round(self._habits.look_ahead / PATH_STEP), len(self._habits.route) - 1)
        offset = self._habits.route[target] - desired
        return offset / np.hypot(*offset)


class HumanHand:
    """A hand that is less sure: it trembles, rests, changes its speed, and may first set out for another route."""

    def __init__(self, route: int, random: np.random.Generator) -> None:
        """Draw the habits of one episode along `route`, 0 to 23."""
        self._random = random
        usual = Habits.draw(route, random)
        self._habits = replace(usual, tremor=5 * usual.tremor)
        self._hand = Hand(self._habits, random)
        self._rest = random.choice([0.005, 0.015, 0.03])
        self._pace = 1.0
        self._rest_left = 0
        self._detour: Hand | None = None
        self._detour_left = 0
        if random.random() < DETOURS:
            other = (route + int(random.integers(1, SPEC.modes))) % SPEC.modes
            self._detour = Hand(replace(Habits.draw(other, random), tremor=self._habits.tremor), random)
            self._detour_left = int(random.integers(5, 13))

    def act(self, desired: Floats) -> Floats:
        """Return the action, (2,) in m, at the desired position, (2,) in m."""
        if self._rest_left == 0 and self._random.random() < self._rest:
            self._rest_left = int(self._random.integers(4, 17))
        if self._rest_left > 0:
            self._rest_left -= 1
            return np.zeros(2)
        if self._detour is not None and self._detour_left > 0:
            self._detour_left -= 1
            if self._detour_left == 0:
                self._rest_left = int(self._random.integers(4, 13))
            return self._detour.act(desired)
        self._pace = float(np.clip(self._pace + 0.05 * self._random.standard_normal(), 0.65, 1.1))
        return self._hand.act(desired, self._pace)


def demonstrate_route(
    route: int, random: np.random.Generator, *, human: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Demonstrate one route, 0 to 23, until it succeeds.

    Args:
        route: The route.
        random: Random stream.
        human: With a `HumanHand`.

    Returns:
        Observations (T, 4) and actions (T, 2) in m, T at most 200, or 250 of a `HumanHand`.

    Raises:
        DemonstrationError: No attempt succeeded, which is a bug of the demonstrator.
    """
    for _ in range(MAX_TRIES):
        hand = HumanHand(route, random) if human else Hand(Habits.draw(route, random), random)
        sim = AvoidingSim(1)
        observation = sim.reset()
        observations, actions = [], []
        for _ in range(SPEC.max_steps if human else MAX_DEMONSTRATION_STEPS):
            action = hand.act(observation[0, :2])
            observations.append(observation[0])
            actions.append(action)
            result = sim.step(action[None])
            observation = result.observation
            if result.terminated[0]:
                break
        if result.success[0] and sim.modes()[0] == route:
            return np.array(observations), np.array(actions)
    raise DemonstrationError(f"no demonstration of route {route} succeeded in {MAX_TRIES} tries; please report this")


def demonstrate(episodes: int, seed: int, progress: Callable[[], None] = lambda: None) -> DemonstrationSet:
    """Demonstrate the 24 routes in turn.

    Args:
        episodes: Number of episodes; 24 of them hold each route once.
        seed: Seed; the same seed gives the same demonstrations.
        progress: Called after each episode.

    Raises:
        DemonstrationError: `episodes` is not positive.
    """
    check_episodes(episodes)
    random = np.random.default_rng(seed)
    routes = np.arange(episodes, dtype=np.int64) % SPEC.modes
    observations, actions = [], []
    for route in routes:
        observation, action = demonstrate_route(int(route), random)
        observations.append(observation)
        actions.append(action)
        progress()
    header = SPEC.header("scripted gamepad demonstrator", seed)
    lengths = np.array([len(action) for action in actions], dtype=np.int64)
    return DemonstrationSet(header, np.concatenate(observations), np.concatenate(actions), lengths, routes)


def demonstrate_like_a_person(numbers: range, seed: int, progress: Callable[[], None]) -> DemonstrationSet:
    """Demonstrate the episodes of these numbers, each from its own random stream, by a `HumanHand`."""
    observations, actions = [], []
    routes = np.array([number % SPEC.modes for number in numbers], dtype=np.int64)
    for number, route in zip(numbers, routes.tolist(), strict=True):
        observation, action = demonstrate_route(route, np.random.default_rng([seed, number]), human=True)
        observations.append(observation)
        actions.append(action)
        progress()
    lengths = np.array([len(action) for action in actions], dtype=np.int64)
    header = SPEC.header("scripted gamepad demonstrator, human", seed)
    return DemonstrationSet(header, np.concatenate(observations), np.concatenate(actions), lengths, routes)
