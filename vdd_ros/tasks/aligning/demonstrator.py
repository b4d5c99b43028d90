"""A scripted demonstrator for Aligning whose data look like a person's at a gamepad.

The hand goes into the box from above, or down beside it, and then makes strokes against its walls. A stroke begins at
the wall, and at the place on it, from where the next centimetres bring the box closest to its target; its direction
follows the box. The hand lets go when the stroke hardly helps any more, or another one helps much more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.tasks.aligning.sim import (
    INSIDE,
    OUTSIDE,
    ROD_RADIUS,
    SPEC,
    TIP_BELOW_TCP,
    WALL_AT,
    WALL_HALF,
    AligningSim,
    draw_poses,
)
from vdd_ros.tasks.attempts import HandDemonstrator
from vdd_ros.tasks.base import Floats, check_episodes
from vdd_ros.tasks.gamepad import Gamepad
from vdd_ros.tasks.physics import yaw

LEVER_M = 0.06
"""What a radian counts for, in m."""
GRIP_M = 0.038
"""Ratio of the largest torque to the largest force of friction under the box (a square with even pressure)."""
WALLS: NDArray[np.float64] = np.array([(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)])
"""(4, 2) outward directions of the walls, in the box's frame."""
PLACES = {INSIDE: np.linspace(-0.026, 0.026, 5), OUTSIDE: np.linspace(-0.042, 0.042, 7)}
"""Places of contacts along a wall, in m from its middle."""
SLANTS: NDArray[np.float64] = np.array([-0.5, -0.25, 0.0, 0.25, 0.5])
"""Directions of strokes in rad from the wall's normal; the rod does not slip there."""
RETREAT = {INSIDE: 0.008, OUTSIDE: 0.03}
"""How far the rod keeps from a wall on its way to a contact, in m."""
CLEAR = 0.1
"""Distance from the box's centre in m at which the rod does not touch it."""
WORK_Z = TIP_BELOW_TCP + 0.03
ARRIVED = 0.006
LIFT_STEP = 0.0075
"""What a press of a button lifts or lowers the rod in a step, in m."""
HARDLY, MUCH = 0.15, 1.6
"""Progress in m a m of the rod below which a stroke ends, and the ratio above which another one replaces it."""


class _Phase(Enum):
    ENTER = "over the box or beside it, and down"
    REACH = "to the contact"
    STROKE = "against the wall"


@dataclass(frozen=True)
class Habits:
    """Individual traits of one episode.

    Attributes:
        speed: Usual deflection of the stick in m a step.
        tremor: Deviation of the deflection in m a step.
        rest: Probability of a rest in each step.
        travel: How much the hand minds a way to another contact, in progress a m.
    """

    speed: float
    tremor: float
    rest: float
    travel: float

    @classmethod
    def draw(cls, random: np.random.Generator) -> "Habits":
        """Draw the habits of one episode."""
        return cls(
            speed=random.uniform(0.0065, 0.0085),
            tremor=random.uniform(0.0003, 0.0008),
            rest=random.choice([0.0, 0.005, 0.015]),
            travel=random.uniform(0.8, 1.6),
        )


@dataclass(frozen=True)
class _View:
    """What the hand sees, in the box's frame: the rod, (2,), and the way of the box to its target.

    Attributes:
        rod: (2,) in m.
        shift: (2,) of the target's centre in m.
        turn: Of the target in rad.
        rotation: (2, 2) from the box's frame to the table's.
    """

    rod: Floats
    shift: Floats
    turn: float
    rotation: Floats

    @property
    def apart(self) -> float:
        """Distance from the target, a turn included, in m."""
        return float(np.hypot(np.hypot(*self.shift), LEVER_M * self.turn))


def _look(observation: Floats) -> _View:
    tcp, box, target = observation[3:5], observation[6:8], observation[13:15]
    angle, aim = (float(yaw(observation[first : first + 4])) for first in (9, 16))
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    turn = float((aim - angle + np.pi) % (2 * np.pi) - np.pi)
    return _View(rotation.T @ (tcp - box), rotation.T @ (target - box), turn, rotation)


def _progress(view: _View, contacts: Floats, strokes: Floats) -> Floats:
    """Return how much nearer strokes bring the box per m of the rod.

    A box on a table follows a rod that does not slip quasi-statically, with an ellipsoid as limit of its friction: K.
    Lynch, H. Maekawa, K. Tanie, Manipulation and Active Sensing by Pushing Using Tactile Feedback, 1992.

    Args:
        view: What the hand sees.
        contacts: (..., 2) places on the walls in m.
        strokes: (..., 2) directions of the rod.
    """
    x, y = np.moveaxis(contacts, -1, 0)
    u, v = np.moveaxis(strokes, -1, 0)
    square = GRIP_M**2
    whole = square + x * x + y * y
    along_x = ((square + x * x) * u + x * y * v) / whole
    along_y = (x * y * u + (square + y * y) * v) / whole
    turning = (x * along_y - y * along_x) / square
    gain = view.shift[0] * along_x + view.shift[1] * along_y + LEVER_M**2 * view.turn * turning
    return np.asarray(gain / max(view.apart, 1e-9))


class Hand:
    """One episode's hand on the gamepad.

    Args:
        mode: `INSIDE` or `OUTSIDE`.
        random: The episode's random stream.
    """

    def __init__(self, mode: int, random: np.random.Generator) -> None:
        self._random = random
        self._habits = Habits.draw(random)
        self._gamepad = Gamepad(self._habits.tremor, random)
        self._side = 1.0 if mode == INSIDE else -1.0  # strokes go along the walls' outward directions, or against them
        self._mode = mode
        self._phase = _Phase.ENTER
        self._rest_left = 0
        reach = WALL_AT - self._side * WALL_HALF[0]
        along = np.stack([-WALLS[:, 1], WALLS[:, 0]], axis=1)
        self._contacts = WALLS[:, None] * reach + along[:, None] * PLACES[mode][:, None]  # (4, P, 2)
        self._normals = np.repeat(self._side * WALLS[:, None], len(PLACES[mode]), axis=1)  # (4, P, 2)
        self._contact, self._normal = self._contacts[0, 0], self._normals[0, 0]

    def act(self, observation: Floats) -> Floats:
        """Return the action, (3,) in m, at an observation, (20,)."""
        if self._rest_left == 0 and self._random.random() < self._habits.rest:
            self._rest_left = int(self._random.integers(4, 17))
        if self._rest_left > 0:
            self._rest_left -= 1
            return np.zeros(3)
        view = _look(observation)
        wanted, lift = self._wanted(view, float(observation[2]))
        stick = self._gamepad.press(view.rotation @ wanted * self._habits.speed)
        return np.append(stick, lift)

    def _wanted(self, view: _View, height: float) -> tuple[Floats, float]:
        """Return the wanted direction in the box's frame, (2,) of length 1 at most, and the change of height in m."""
        low = height <= WORK_Z + LIFT_STEP
        if self._phase is _Phase.ENTER:
            if self._mode == OUTSIDE or np.hypot(*view.rod) < 0.015:
                lift = 0.0 if low else -LIFT_STEP
                if low:
                    self._begin(view)
                elif self._mode == OUTSIDE and np.hypot(*view.rod) > CLEAR + 0.05:
                    return _towards(-view.rod, self._habits.speed), lift
                return np.zeros(2), lift
            return _towards(-view.rod, self._habits.speed), 0.0
        if self._phase is _Phase.REACH:
            return self._reach(view), 0.0
        return self._stroke(view), 0.0

    def _begin(self, view: _View) -> None:
        """Choose the contact of the next stroke."""
        gains = self._gains(view, self._contacts, self._normals)
        rods = self._contacts - self._normals * ROD_RADIUS
        ways = np.linalg.norm(rods - view.rod, axis=-1)
        score = gains - self._habits.travel * ways
        wall, place = np.unravel_index(int(np.argmax(np.where(gains > HARDLY, score, score - 10))), score.shape)
        self._contact, self._normal = self._contacts[wall, place], self._normals[wall, place]
        self._phase = _Phase.REACH

    def _gains(self, view: _View, contacts: Floats, normals: Floats) -> Floats:
        """Return the progress of the best stroke at each contact, (...)."""
        return np.max([_progress(view, contacts, _turned(normals, slant)) for slant in SLANTS], axis=0)

    def _reach(self, view: _View) -> Floats:
        """Return the direction to the contact; begin the stroke there."""
        rod = self._contact - self._normal * ROD_RADIUS
        before = rod - self._normal * RETREAT[self._mode]
        offset = view.rod - rod
        ahead, aside = float(offset @ self._normal), float(offset @ _turned(self._normal, np.pi / 2))
        if ahead > -0.003 and abs(aside) < 3 * ARRIVED:
            self._phase = _Phase.STROKE
            return self._stroke(view)
        if abs(aside) < ARRIVED and -RETREAT[self._mode] - ARRIVED < ahead:
            return _towards(rod + 0.004 * self._normal - view.rod, self._habits.speed)
        if self._mode == INSIDE:
            return _towards(before - view.rod, self._habits.speed)
        return self._round(view, before)

    def _round(self, view: _View, place: Floats) -> Floats:
        """Return the direction of a way round the box to a place."""
        way = place - view.rod
        closest = view.rod + way * np.clip(-(view.rod @ way) / max(float(way @ way), 1e-12), 0.0, 1.0)
        if np.hypot(*closest) > min(CLEAR, float(np.hypot(*place))) - 0.012:
            return _towards(way, self._habits.speed)
        radius = float(np.hypot(*view.rod))
        out = view.rod / max(radius, 1e-9)
        sense = np.sign(out[0] * place[1] - out[1] * place[0]) or 1.0
        tangent = sense * np.array([-out[1], out[0]])
        direction = tangent + out * np.clip((CLEAR + 0.01 - radius) / 0.02, -1.0, 1.0)
        return direction / np.hypot(*direction)

    def _stroke(self, view: _View) -> Floats:
        """Return the direction of the stroke, or of the way to the next one."""
        along = _turned(self._normal, np.pi / 2)
        contact = self._normal * float(self._contact @ self._normal) + along * float(view.rod @ along)
        strokes = np.array([_turned(self._normal, slant) for slant in SLANTS])
        gains = _progress(view, np.broadcast_to(contact, strokes.shape), strokes)
        best = int(np.argmax(gains))
        others = self._gains(view, self._contacts, self._normals)
        if gains[best] < HARDLY or others.max() > MUCH * gains[best] + self._habits.travel * 0.05:
            self._begin(view)
            return self._reach(view)
        return strokes[best]


def _turned(vectors: Floats, angle: float) -> Floats:
    """Return vectors, (..., 2), turned by an angle in rad."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return vectors @ np.array([[cosine, sine], [-sine, cosine]])


def _towards(way: Floats, speed: float) -> Floats:
    """Return the direction of a way, (2,) in m, shorter than 1 if one step suffices."""
    distance = float(np.hypot(*way))
    return way / max(distance, speed)


def demonstrate_part(numbers: range, seed: int, progress: Callable[[], None]) -> DemonstrationSet:
    """Demonstrate the episodes of these numbers, each from its own random stream: even ones from inside.

    Raises:
        DemonstrationError: No attempt at an episode succeeded, which is a bug of the demonstrator.
    """
    hands = HandDemonstrator(SPEC, "scripted gamepad demonstrator", AligningSim, draw_poses, Hand)
    return hands.demonstrate(numbers, seed, progress)


def demonstrate(episodes: int, seed: int, progress: Callable[[], None] = lambda: None) -> DemonstrationSet:
    """Demonstrate from inside and outside in turn, each from a context of its own.

    Args:
        episodes: Number of episodes.
        seed: Seed; the same seed gives the same demonstrations.
        progress: Called after each episode.

    Raises:
        DemonstrationError: `episodes` is not positive.
    """
    check_episodes(episodes)
    return demonstrate_part(range(episodes), seed, progress)
