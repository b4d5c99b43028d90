"""A scripted demonstrator for Avoiding whose data look like D3IL's gamepad data.

A stick moves the desired position by at most 8.33 mm a step and axis, and a deflection under 5 mm a step counts as none
(D3IL's dead zone), so that every action entry is 0 or between 5 and 8.33 mm. The demonstrator follows one of the 24
routes: forward through a gap, sideways in the lane behind it until it faces the next gap, and on. Where it crosses each
gap, when it starts sideways, how hard it pushes and how often it corrects differ from episode to episode.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.errors import DemonstrationError
from vdd_ros.tasks.avoiding import ROW_Y, SPEC, AvoidingSim

STICK_MAX = 1.0 / 120.0
STICK_DEAD = 0.005
MAX_DEMONSTRATION_STEPS = 200
MAX_TRIES = 50

GAP_CENTRES = ((0.435, 0.565), (0.365, 0.5, 0.635), (0.295, 0.425, 0.575, 0.705))
"""Where the demonstrator crosses each row on average, in m; the clear width is at least 8 mm to either side."""
GAP_SPREAD = ((0.012, 0.012), (0.01, 0.012, 0.01), (0.01, 0.01, 0.01, 0.01))
LEAVE = 0.055
"""How far behind a row, in m, the desired position is when the demonstrator turns to the next: the rod lags by 20 mm."""
ARRIVE = 0.045
"""How far before a row, in m, a sideways move is to be over."""
LANE = ROW_Y[1] - ROW_Y[0] - LEAVE - ARRIVE


@dataclass(frozen=True)
class Habits:
    """What differs from one episode to the next.

    Attributes:
        crossings: (3,) x in m at which each row is crossed.
        starts: (3,) how long the demonstrator waits in each lane before going sideways, as a fraction of the lane that
            the sideways move can spare.
        slides: (3,) where in the lane forward motion stops to let a long sideways move finish, as a fraction of the lane.
        forward, sideways: Usual deflections in m a step.
        wander: Deviation of the deflections in m a step.
        tolerance: Offset in m at which a correction begins.
    """

    crossings: NDArray[np.float64]
    starts: NDArray[np.float64]
    slides: NDArray[np.float64]
    forward: float
    sideways: float
    wander: float
    tolerance: float

    @classmethod
    def draw(cls, route: int, random: np.random.Generator) -> "Habits":
        """Draw the habits of one episode along `route`, 0 to 23."""
        gaps = (route // 12, route % 12 // 4, route % 4)
        crossings = [
            centres[gap] + random.uniform(-spread[gap], spread[gap])
            for gap, centres, spread in zip(gaps, GAP_CENTRES, GAP_SPREAD, strict=True)
        ]
        return cls(
            crossings=np.array(crossings),
            starts=random.uniform(0.0, 0.8, 3),
            slides=random.uniform(0.0, 1.0, 3),
            forward=random.uniform(0.0068, STICK_MAX),
            sideways=random.uniform(0.0068, STICK_MAX),
            wander=random.uniform(0.0002, 0.0006),
            tolerance=random.uniform(0.004, 0.007),
        )


class Stick:
    """One hand on a gamepad: decides a deflection each control step."""

    def __init__(self, habits: Habits, random: np.random.Generator) -> None:
        """Take the habits of one episode."""
        self._habits = habits
        self._random = random
        self._tremor = np.zeros(2)
        self._sideways = 0.0
        self._committed = -1

    def act(self, desired: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the action, (2,) in m, at the desired position, (2,) in m."""
        habits = self._habits
        self._tremor = 0.8 * self._tremor + habits.wander * self._random.standard_normal(2)
        row = int(np.searchsorted(np.array(ROW_Y) + LEAVE, desired[1]))
        if row == len(ROW_Y):
            return np.array([0.0, self._deflect(habits.forward, 1)])
        offset = habits.crossings[row] - desired[0]
        ahead = ROW_Y[row] - ARRIVE - desired[1]
        self._push_sideways(row, offset, ahead)
        needed = abs(offset) / habits.sideways * habits.forward
        too_far = needed > max(ahead, 0.0) + 0.01 and ahead < LANE * (1.0 - habits.slides[row])
        forward = 0.0 if self._sideways and too_far else self._deflect(habits.forward, 1)
        sideways = self._sideways * self._deflect(habits.sideways, 0) if self._sideways else 0.0
        return np.array([sideways, forward])

    def _push_sideways(self, row: int, offset: float, ahead: float) -> None:
        """Begin, keep or end pushing the stick sideways, like a thumb: at once or not at all."""
        habits = self._habits
        if self._sideways:
            if offset * self._sideways < 0.5 * STICK_DEAD:
                self._sideways = 0.0
            return
        spare = ahead - abs(offset) / habits.sideways * habits.forward
        must_begin = spare <= LANE * (1.0 - habits.starts[row]) or self._committed == row
        if must_begin and abs(offset) > habits.tolerance:
            self._committed = row
            self._sideways = float(np.sign(offset))

    def _deflect(self, usual: float, axis: int) -> float:
        return float(np.clip(usual + self._tremor[axis], STICK_DEAD, STICK_MAX))


def demonstrate_route(route: int, random: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Demonstrate one route, 0 to 23, until it succeeds.

    Returns:
        Observations (T, 4) and actions (T, 2) in m, T at most 200.

    Raises:
        DemonstrationError: No try succeeded, which would be a fault of the demonstrator.
    """
    for _ in range(MAX_TRIES):
        stick, sim = Stick(Habits.draw(route, random), random), AvoidingSim(1)
        observation = sim.reset()
        observations, actions = [], []
        for _ in range(MAX_DEMONSTRATION_STEPS):
            action = stick.act(observation[0, :2])
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
    if episodes < 1:
        raise DemonstrationError(f"{episodes} demonstrations were asked for; the number must be at least 1")
    random = np.random.default_rng(seed)
    routes = np.arange(episodes, dtype=np.int64) % SPEC.modes
    observations, actions = [], []
    for route in routes:
        observation, action = demonstrate_route(int(route), random)
        observations.append(observation)
        actions.append(action)
        progress()
    header = Header(
        task=SPEC.name,
        observation=tuple((entry.name, entry.unit) for entry in SPEC.observation),
        action=tuple((entry.name, entry.unit) for entry in SPEC.action),
        rate_hz=SPEC.rate_hz,
        source="scripted gamepad demonstrator",
        seed=seed,
    )
    lengths = np.array([len(action) for action in actions], dtype=np.int64)
    return DemonstrationSet(header, np.concatenate(observations), np.concatenate(actions), lengths, routes)
