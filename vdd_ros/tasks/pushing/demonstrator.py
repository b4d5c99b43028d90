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
from vdd_ros.errors import DemonstrationError
from vdd_ros.tasks.base import Floats, check_episodes
from vdd_ros.tasks.gamepad import Gamepad
from vdd_ros.tasks.pushing.sim import HALF, PAIRS, ROD_RADIUS, SPEC, TARGETS, PushingSim, draw_cubes

MAX_TRIES = 50
ROUND = HALF * np.sqrt(2.0) + ROD_RADIUS
"""Distance from a cube's centre, in m, at which the rod does not touch it however it is turned."""
BEHIND = ROUND + 0.015
CLEAR = ROUND + 0.006
ARRIVED = 0.008
LOST_RAD = 0.6
"""Angle between the push and the way to the target beyond which the hand drives round again."""


class _Phase(Enum):
    APPROACH = 0
    PUSH = 1
    BACK_OFF = 2


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
        self._detour = [PAIRS[(mode + int(random.integers(1, SPEC.modes))) % SPEC.modes]]
        self._phase = _Phase.APPROACH
        self._detour_left = self._habits.detour
        self._rest_left = 0
        self._side = 0.0
        self._rested = False

    def act(self, observation: Floats) -> Floats:
        """Return the action, (2,) in m, at an observation, (10,)."""
        if self._rest():
            return np.zeros(2)
        desired, tcp, cubes = observation[:2], observation[2:4], observation[[[4, 5], [7, 8]]]
        wanted = self._wanted(desired, tcp, cubes)
        return self._gamepad.press(wanted * self._habits.speed)

    def _rest(self) -> bool:
        """Return whether the thumb rests in this step."""
        if self._rest_left == 0 and self._random.random() < self._habits.rest:
            self._rest_left = int(self._random.integers(4, 17))
        resting = self._rest_left > 0
        self._rest_left -= resting
        return resting

    def _wanted(self, desired: Floats, tcp: Floats, cubes: Floats) -> Floats:
        """Return the wanted direction, (2,), at most of length 1."""
        if self._detour_left > 0:
            self._detour_left -= 1
            if self._detour_left == 0:
                self._rest_left = int(self._random.integers(4, 13))
            cube, target = self._detour[0]
            return self._drive(desired, _behind(cubes[cube], TARGETS[target]), cubes)
        cube, target = self._left[0]
        to_target = TARGETS[target] - cubes[cube]
        distance = float(np.hypot(*to_target))
        if self._phase is _Phase.PUSH and distance < self._habits.near and len(self._left) > 1:
            self._phase, self._from = _Phase.BACK_OFF, desired.copy()
        if self._phase is _Phase.BACK_OFF:
            away = tcp - cubes[cube]
            if np.hypot(*(desired - self._from)) < self._habits.back_off:
                return away / np.hypot(*away)
            self._left.pop(0)
            self._phase = _Phase.APPROACH
            return self._wanted(desired, tcp, cubes)
        along = to_target / distance
        if self._phase is _Phase.APPROACH:
            place = _behind(cubes[cube], TARGETS[target])
            if np.hypot(*(place - desired)) > ARRIVED:
                return self._drive(desired, place, cubes)
            self._phase = _Phase.PUSH
        return self._push(tcp, cubes[cube], along)

    def _push(self, tcp: Floats, cube: Floats, along: Floats) -> Floats:
        """Return the direction of a push that brings the cube to its target, or start driving round it again."""
        arm = cube - tcp
        across = np.array([-along[1], along[0]])
        forward, aside = float(arm @ along), float(arm @ across)
        if forward <= 0 or abs(np.arctan2(aside, forward)) > LOST_RAD:
            self._phase = _Phase.APPROACH
            return -along
        steered = along + self._habits.gain * aside / max(forward, 0.02) * across
        return steered / np.hypot(*steered)

    def _drive(self, here: Floats, place: Floats, cubes: Floats) -> Floats:
        """Return the direction of a way to a place that touches no cube."""
        way = place - here
        distance = float(np.hypot(*way))
        direction = way / max(distance, 1e-9)
        for cube in sorted(cubes, key=lambda centre: float(np.hypot(*(centre - here)))):
            offset = cube - here
            away = float(np.hypot(*offset))
            ahead, aside = float(offset @ direction), float(direction[0] * offset[1] - direction[1] * offset[0])
            if not 0 < ahead < distance + CLEAR or abs(aside) >= CLEAR:
                continue
            side = self._side or (-np.sign(aside) or 1.0)
            self._side = side
            tangent = np.arcsin(min(CLEAR / max(away, CLEAR), 1.0))
            heading = np.arctan2(offset[1], offset[0]) + side * tangent
            direction = np.array([np.cos(heading), np.sin(heading)])
            if away < CLEAR:
                direction = direction - 0.5 * offset / max(away, 1e-9)
                direction /= np.hypot(*direction)
            break
        else:
            self._side = 0.0
        return direction * min(distance / self._habits.speed, 1.0)


def _behind(cube: Floats, target: Floats) -> Floats:
    """Return the place in m from which the rod pushes a cube to a target."""
    away = cube - target
    return np.asarray(cube + BEHIND * away / np.hypot(*away))


def demonstrate_part(numbers: range, seed: int, progress: Callable[[], None]) -> DemonstrationSet:
    """Demonstrate the episodes of these numbers, each from its own random stream: number n in mode n mod 4.

    Raises:
        DemonstrationError: No attempt at an episode succeeded, which is a bug of the demonstrator.
    """
    streams = [np.random.default_rng([seed, number]) for number in numbers]
    modes = np.array([number % SPEC.modes for number in numbers], dtype=np.int64)
    contexts = np.concatenate([draw_cubes(1, stream) for stream in streams])
    found: list[tuple[Floats, Floats] | None] = [None] * len(streams)
    for _ in range(MAX_TRIES):
        open_rows = [row for row, episode in enumerate(found) if episode is None]
        if not open_rows:
            break
        hands = [Hand(int(modes[row]), streams[row]) for row in open_rows]
        for row, episode in zip(open_rows, _attempt(hands, contexts[open_rows], modes[open_rows]), strict=True):
            found[row] = episode
            if episode is not None:
                progress()
    episodes = [episode for episode in found if episode is not None]
    if len(episodes) < len(found):
        number = numbers[found.index(None)]
        raise DemonstrationError(
            f"demonstration {number} of seed {seed} did not succeed in {MAX_TRIES} tries; please report this"
        )
    lengths = np.array([len(action) for _, action in episodes], dtype=np.int64)
    observation, action = (np.concatenate(parts) for parts in zip(*episodes, strict=True))
    return DemonstrationSet(
        SPEC.header("scripted gamepad demonstrator", seed), observation, action, lengths, modes, contexts
    )


def _attempt(hands: list[Hand], contexts: Floats, modes: Floats) -> list[tuple[Floats, Floats] | None]:
    """Return the observations (T, 10) and actions (T, 2) of each hand's attempt, or None where it failed."""
    sim = PushingSim(len(hands))
    observation = sim.reset(contexts)
    running, lengths = np.ones(len(hands), dtype=bool), np.zeros(len(hands), dtype=np.int64)
    observations, actions = [], []
    while running.any():
        action = np.array(
            [
                hand.act(row) if runs else np.zeros(2)
                for hand, row, runs in zip(hands, observation, running, strict=True)
            ]
        )
        observations.append(observation)
        actions.append(action)
        result = sim.step(action)
        observation = result.observation
        lengths += running
        running &= ~(result.terminated | result.truncated)
    good = result.success & (sim.modes() == modes)
    seen, done = np.stack(observations, axis=1), np.stack(actions, axis=1)
    return [
        (seen[row, :length], done[row, :length]) if good[row] else None for row, length in enumerate(lengths.tolist())
    ]


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
