"""The seven skills of the kitchen's hand, as goals one after the other, each from what is seen then.

Doors are pulled by their handles, between the fingers. The kettle is pushed with open fingers, everything else with
closed ones.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from vdd_ros.tasks.base import Floats
from vdd_ros.tasks.kitchen.sim import at_goals

OPEN, CLOSED = 1.0, -1.0
"""Actions of the fingers."""
GRIP_STEPS = 4
RELEASE_STEPS = 3
KNOBS_X, KNOBS_Y = -0.256, 0.626
"""Of the left knobs, and of the fingers at these: deeper, their tips rub on the knob's disc."""
KNOB_HALF_M, KETTLE_HALF_M = 0.014, 0.122
FINGERS_M = 0.02
"""Half of the width of the closed fingers."""
HELD_M = 0.03
"""Least distance of the fingers that hold a handle."""


@dataclass(frozen=True)
class Goal:
    """What the hand does next: move until it is there, or hold for some steps.

    Attributes:
        place: (3,) of the grip in m.
        axes: (3, 3) of the hand.
        fingers: `OPEN` or `CLOSED`.
        steps: Steps of waiting; 0: until the place is reached.
        precision: Distance in m at which it is reached.
        pace: Share of the usual speed.
        patience: Steps after which a place that cannot be reached is given up.
    """

    place: Floats
    axes: Floats
    fingers: float
    steps: int = 0
    precision: float = 0.012
    pace: float = 1.0
    patience: int = 50


@dataclass(frozen=True)
class Style:
    """How one skill is done this time.

    Attributes:
        tilt: Of the hand below the horizontal, in rad.
        offset: (3,) of the place in m.
        far: Share of the way beyond the goal's threshold, 0 to 1.
        retreat: Distance in m that the hand backs off.
    """

    tilt: float
    offset: Floats
    far: float
    retreat: float

    @classmethod
    def draw(cls, random: np.random.Generator) -> "Style":
        """Draw the style of one skill."""
        return cls(
            tilt=math.radians(random.uniform(22, 34)),
            offset=random.uniform(-0.006, 0.006, 3),
            far=random.uniform(0.05, 0.3),
            retreat=random.uniform(0.08, 0.11),
        )


See = Callable[[], Floats]
"""Returns the observation of this step, (30,)."""


def turn(angle: float) -> Floats:
    """Return the rotation about the vertical, (3, 3), by an angle in rad."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def forward(tilt: float, yaw: float = 0.0) -> Floats:
    """Return the axes of a hand, (3, 3), that points to the kitchen, so far down, with fingers that open sideways."""
    c, s = math.cos(tilt), math.sin(tilt)
    return turn(yaw) @ np.array([[0.0, 1.0, 0.0], [s, 0.0, c], [c, 0.0, -s]])


@dataclass(frozen=True)
class Door:
    """A door that is pulled open by its handle.

    Attributes:
        entry: Its angle in the observation.
        pivot: (3,) of its hinge in m.
        handle: (3,) of the grip from the hinge in m, when it is shut.
        threshold: Angle of the goal's edge in rad.
        most: Angle in rad beyond which it is never opened.
        tilt: Of the hand, beyond its usual one, in rad.
        yaw: Of the hand in rad, when the door is shut: one finger hooks behind the handle.
        follow: Share of the door's turn by which the hand turns too.
        deep: Distance in m of the grip beyond the handle.
        lead: How far ahead of the door the hand is sent, in rad.
        pace: Share of the usual speed.
    """

    entry: int
    pivot: tuple[float, float, float]
    handle: tuple[float, float, float]
    threshold: float
    most: float
    tilt: float
    yaw: float
    follow: float
    deep: float
    lead: float
    pace: float

    def grip(self, style: Style, angle: float, back: float) -> Goal:
        """Return the goal at the handle of a door at an angle in rad, so far back from it in m."""
        axes = forward(style.tilt + self.tilt, self.yaw + self.follow * angle)
        place = np.array(self.pivot) + turn(angle) @ np.array(self.handle) + (self.deep - back) * axes[:, 2]
        return Goal(place, axes, OPEN)


MICROWAVE = Door(
    entry=22,
    pivot=(-1.1275, 0.455, 1.792),
    handle=(0.4856, 0.0372, 0.06),
    threshold=-0.45,
    most=-0.8,
    tilt=0.2,
    yaw=0.3,
    follow=0.0,
    deep=0.015,
    lead=0.12,
    pace=0.6,
)
HINGE_CABINET = Door(
    entry=21,
    pivot=(-0.224, 0.71, 2.6),
    handle=(-0.302, -0.128, -0.06),
    threshold=1.15,
    most=1.3,
    tilt=-0.4,
    yaw=-0.2,
    follow=0.25,
    deep=0.025,
    lead=0.25,
    pace=1.0,
)


ROUND_DOOR = (-0.075, 0.28, 2.52)
"""Place of the hand in m, clear of the open door of the hinge cabinet."""
OPEN_DOOR = 0.5
"""Angle in rad beyond which that door is in the way."""


def _pull(door: Door, see: See, style: Style) -> Iterator[Goal]:
    """Pull a door open; grip it again if the handle slips."""
    sign = math.copysign(1.0, door.threshold)
    aim = door.threshold + 0.06 * sign + style.far * (door.most - door.threshold)

    def now() -> float:
        return float(see()[door.entry])

    def grip(back: float, ahead: float = 0.0) -> Goal:
        return door.grip(style, now() + ahead * sign, back)

    while sign * (door.threshold - now()) > 0:
        yield replace(grip(style.retreat), precision=0.05)
        yield replace(grip(0.05), precision=0.02, pace=0.8, patience=14)
        yield replace(grip(0.0), precision=0.012, pace=0.6, patience=14)
        for _ in range(GRIP_STEPS):
            yield replace(grip(0.0), fingers=CLOSED, steps=1)
        while sign * (aim - now()) > 0 and see()[7:9].sum() > HELD_M:
            yield replace(grip(0.0, door.lead), fingers=CLOSED, steps=1, pace=door.pace)
        for _ in range(RELEASE_STEPS):
            yield replace(grip(0.0), steps=1)
        yield replace(grip(style.retreat), precision=0.05)


def microwave(see: See, style: Style) -> Iterator[Goal]:
    """Pull the microwave's door."""
    return _pull(MICROWAVE, see, style)


def hinge_cabinet(see: See, style: Style) -> Iterator[Goal]:
    """Pull the right door of the hinged cabinet, then go round it."""
    for goal in _pull(HINGE_CABINET, see, style):
        last = goal
        yield goal
    yield replace(last, place=np.array(ROUND_DOOR), fingers=CLOSED, precision=0.09)


@dataclass(frozen=True)
class Pushed:
    """An element that closed fingers push along its way.

    Attributes:
        entry: Its position in the observation.
        contact: Place of the fingers, (3,) in m, that touch it at a position.
        threshold: Position of the goal's edge.
        most: Position beyond which it is never pushed.
        lead: How far ahead of it the fingers are sent.
        beside: Way along x in m from the first contact to where the fingers come from.
        yaw: Of the hand in rad: the fingers widen away from their tips, and touch with these.
        tilt: Of the hand, beyond its usual one, in rad.
    """

    entry: int
    contact: Callable[[float], Floats]
    threshold: float
    most: float
    lead: float
    beside: float
    yaw: float
    tilt: float = 0.0


def _lower_end(height: float, angle: float) -> Floats:
    """Return the contact right of the lower end of a left knob at a height; the fingers stay at theirs."""
    down = 0.035
    beside = down * math.tan(angle) + (KNOB_HALF_M + FINGERS_M) / math.cos(angle)
    return np.array([KNOBS_X + beside, KNOBS_Y, height - down])


def _upper_end(height: float, angle: float) -> Floats:
    """Return the contact left of the upper end of a left knob at a height."""
    along = np.array([-math.sin(angle), 0.0, math.cos(angle)])
    beside = np.array([-math.cos(angle), 0.0, -math.sin(angle)])
    return np.array([KNOBS_X, KNOBS_Y, height]) + 0.037 * along + (KNOB_HALF_M + FINGERS_M) * beside


def _lever(angle: float) -> Floats:
    """Return the contact right of the lever of the light switch."""
    along = turn(angle) @ np.array([0.389, -0.921, 0.0])
    beside = np.array([-along[1], along[0], 0.0])
    return np.array([-0.4, 0.691, 2.28]) + 0.085 * along + (0.021 + FINGERS_M) * beside


def _handle(way: float) -> Floats:
    """Return the contact left of the handle of the sliding door."""
    return np.array([-0.108 + way - 0.022 - FINGERS_M, 0.607, 2.55])


BELOW_DOOR = -0.28
"""Tilt of a hand that works below the open door of the hinge cabinet."""
BOTTOM_BURNER = Pushed(11, partial(_lower_end, 2.226), -0.58, -0.65, 0.8, 0.012, 0.35)
TOP_BURNER = Pushed(15, partial(_upper_end, 2.34), -0.62, -0.95, 0.8, -0.012, -0.35)
TOP_BURNER_BELOW_DOOR = Pushed(15, partial(_lower_end, 2.34), -0.62, -0.67, 0.8, 0.012, 0.35, BELOW_DOOR)
LIGHT_SWITCH = Pushed(17, _lever, -0.4, -0.69, 0.3, 0.012, 0.2)
LIGHT_SWITCH_BELOW_DOOR = replace(LIGHT_SWITCH, tilt=BELOW_DOOR)
SLIDE_CABINET = Pushed(19, _handle, 0.08, 0.3, 0.03, -0.012, -0.2)


def push(pushed: Pushed, see: See, style: Style) -> Iterator[Goal]:
    """Push an element beyond its goal's edge."""
    sign, axes = math.copysign(1.0, pushed.threshold), forward(style.tilt + pushed.tilt, pushed.yaw)
    aim = pushed.threshold + (0.02 + style.far) * (pushed.most - pushed.threshold)
    beside, before = np.array([pushed.beside, 0.0, 0.0]), np.array([0.0, -style.retreat, 0.0])

    def now() -> float:
        return float(see()[pushed.entry])

    def at(ahead: float, *ways: Floats) -> Goal:
        return Goal(pushed.contact(now() + ahead * pushed.lead * sign) + sum(ways, np.zeros(3)), axes, CLOSED)

    yield replace(at(-0.1, beside, before, style.offset), precision=0.045)
    yield replace(at(-0.1, beside), precision=0.013, pace=0.7, patience=14)
    while sign * (aim - now()) > 0:
        yield replace(at(1.0), steps=1, pace=0.7)
    yield replace(at(-0.1, beside, before), precision=0.06)


def _door_is_open(see: See) -> bool:
    return bool(see()[HINGE_CABINET.entry] > OPEN_DOOR)


def top_burner(see: See, style: Style) -> Iterator[Goal]:
    """Turn the left upper knob; by its lower end, if the door of the hinge cabinet hangs above it."""
    return push(TOP_BURNER_BELOW_DOOR if _door_is_open(see) else TOP_BURNER, see, style)


def light_switch(see: See, style: Style) -> Iterator[Goal]:
    """Push the lever of the light switch; from lower down, if the door of the hinge cabinet hangs above it."""
    return push(LIGHT_SWITCH_BELOW_DOOR if _door_is_open(see) else LIGHT_SWITCH, see, style)


def slide_cabinet(see: See, style: Style) -> Iterator[Goal]:
    """Push the sliding door by its handle; come round the door of the hinge cabinet, if it is open."""
    if _door_is_open(see):
        yield Goal(np.array(ROUND_DOOR), forward(style.tilt, SLIDE_CABINET.yaw), CLOSED, precision=0.1)
    yield from push(SLIDE_CABINET, see, style)


def kettle(see: See, style: Style) -> Iterator[Goal]:
    """Push the kettle to the burner behind it, low at its front, with both fingers."""
    axes = forward(0.3 + 0.5 * style.tilt)
    aim = 0.47 + 0.2 * style.far

    def front(ahead: float, side: float = 0.0, up: float = 0.0) -> Goal:
        x, y, z = see()[23:26]
        place = np.array([x + side, y - KETTLE_HALF_M - FINGERS_M + ahead, z + 0.09 + up])
        return Goal(place, axes, OPEN)

    yield replace(front(-0.08, style.offset[0], 0.28), precision=0.06)
    yield replace(front(-0.05, up=0.1), precision=0.045)
    yield replace(front(-0.02), precision=0.015, pace=0.7, patience=20)
    while see()[24] < aim or not at_goals(see())[6]:
        yield replace(front(0.03), steps=1, pace=0.5)
    yield replace(front(-0.06), precision=0.04)
    yield replace(front(-0.08, up=0.28), precision=0.1)


SKILLS: tuple[Callable[[See, Style], Iterator[Goal]], ...] = (
    partial(push, BOTTOM_BURNER),
    top_burner,
    light_switch,
    slide_cabinet,
    hinge_cabinet,
    microwave,
    kettle,
)
"""Of each element, in the order of `vdd_ros.tasks.kitchen.sim.ELEMENTS`."""
