"""The seven skills of the kitchen's hand, as goals one after the other, each from what is seen then.

Doors are pulled by their handles, between the fingers. Everything else is pushed with closed fingers.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from vdd_ros.tasks.base import Floats
from vdd_ros.tasks.kitchen.sim import at_goals

OPEN, CLOSED = 1.0, -1.0
"""Actions of the fingers."""
GRIP_STEPS = 4
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
            far=random.uniform(0.1, 0.5),
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


def _pull(
    see: See,
    style: Style,
    entry: int,
    pivot: Floats,
    handle: Floats,
    threshold: float,
    most: float,
    tilt: float,
    yaw: float,
    follow: float,
    deep: float,
    lead: float,
    pace: float,
) -> Iterator[Goal]:
    """Pull a door open by its handle.

    Args:
        see: Returns what is seen.
        style: Of this time.
        entry: The door's angle in the observation.
        pivot: (3,) of the hinge in m.
        handle: (3,) of the grip from the hinge when the door is shut.
        threshold: Angle of the goal's edge in rad.
        most: Angle in rad beyond which the door is never opened.
        tilt: Of the hand in rad.
        yaw: Of the hand in rad when the door is shut: one finger hooks behind the handle.
        follow: Share of the door's turn by which the hand turns too.
        deep: Distance in m of the grip beyond the handle.
        lead: How far ahead of the door the hand is sent, in rad.
        pace: Share of the usual speed.
    """
    sign = math.copysign(1.0, threshold)
    aim = threshold + 0.06 * sign + style.far * (most - threshold)

    def grip(angle: float, back: float) -> Goal:
        axes = forward(tilt, yaw + follow * angle)
        place = pivot + turn(angle) @ handle + (deep - back) * axes[:, 2]
        return Goal(place, axes, OPEN)

    def now() -> float:
        return float(see()[entry])

    while sign * (threshold - now()) > 0:  # again if the handle slips
        yield _with(grip(now(), style.retreat), precision=0.03)
        yield _with(grip(now(), 0.05), precision=0.015, pace=0.8, patience=14)
        yield _with(grip(now(), 0.0), precision=0.01, pace=0.6, patience=14)
        for _ in range(GRIP_STEPS):
            yield _with(grip(now(), 0.0), fingers=CLOSED, steps=1)
        while sign * (aim - now()) > 0 and see()[7:9].sum() > HELD_M:
            yield _with(grip(now() + lead * sign, 0.0), fingers=CLOSED, steps=1, pace=pace)
        for _ in range(3):
            yield _with(grip(now(), 0.0), steps=1)
        yield _with(grip(now(), style.retreat), precision=0.03)


def microwave(see: See, style: Style) -> Iterator[Goal]:
    """Pull the microwave's door."""
    pivot, handle = np.array([-1.1275, 0.455, 1.792]), np.array([0.4856, 0.0372, 0.06])
    yield from _pull(see, style, 22, pivot, handle, -0.45, -0.8, style.tilt + 0.2, 0.3, 0.0, 0.015, 0.12, 0.6)


def hinge_cabinet(see: See, style: Style) -> Iterator[Goal]:
    """Pull the right door of the hinged cabinet."""
    pivot, handle = np.array([-0.224, 0.71, 2.6]), np.array([-0.302, -0.128, -0.06])
    for goal in _pull(see, style, 21, pivot, handle, 1.15, 1.3, style.tilt - 0.4, -0.2, 0.25, 0.025, 0.25, 1.0):
        last = goal
        yield goal
    yield _with(last, place=last.place + (0.12, -0.02, -0.03), fingers=CLOSED, precision=0.05)  # clear of the door


def _push(
    see: See,
    style: Style,
    entry: int,
    contact: Callable[[float], Floats],
    threshold: float,
    most: float,
    lead: float,
    back: Floats,
    yaw: float,
) -> Iterator[Goal]:
    """Push an element with closed fingers, along its way.

    Args:
        see: Returns what is seen.
        style: Of this time.
        entry: The element's position in the observation.
        contact: Place of the fingers, (3,) in m, that touch the element at a position.
        threshold: Position of the goal's edge.
        most: Position beyond which the element is never pushed.
        lead: How far ahead of the element the fingers are sent.
        back: (3,) way in m from the first contact to where the fingers come from.
        yaw: Of the hand in rad: the fingers widen away from their tips, and touch with these.
    """
    sign, axes = math.copysign(1.0, threshold), forward(style.tilt, yaw)
    aim = threshold + 0.02 * (most - threshold) + style.far * (most - threshold)
    clear = -0.1 * lead * sign

    def now() -> float:
        return float(see()[entry])

    def at(place: Floats, **changes: object) -> Goal:
        return _with(Goal(place, axes, CLOSED), **changes)

    yield at(contact(now() + clear) + back + (0, -style.retreat, 0) + style.offset, precision=0.03)
    yield at(contact(now() + clear) + back, precision=0.01, pace=0.7, patience=14)
    while sign * (aim - now()) > 0:
        yield at(contact(now() + lead * sign), steps=1, pace=0.7)
    yield at(contact(now() + clear) + back + (0, -style.retreat, 0), precision=0.04)


def bottom_burner(see: See, style: Style) -> Iterator[Goal]:
    """Turn the left lower knob by its lower end."""

    def contact(angle: float) -> Floats:
        down = 0.036
        beside = down * math.tan(angle) + (0.014 + FINGERS_M) / math.cos(angle)
        return np.array([-0.256 + beside, 0.626, 2.226 - down])

    return _push(see, style, 11, contact, -0.58, -0.65, 0.8, np.array([0.012, 0.0, 0.0]), 0.35)


def top_burner(see: See, style: Style) -> Iterator[Goal]:
    """Turn the left upper knob by its upper end."""

    def contact(angle: float) -> Floats:
        c, s = math.cos(-angle), math.sin(-angle)
        along, beside = np.array([s, 0.0, c]), np.array([-c, 0.0, s])
        return np.array([-0.256, 0.626, 2.34]) + 0.037 * along + (0.014 + FINGERS_M) * beside

    return _push(see, style, 15, contact, -0.62, -0.95, 0.8, np.array([-0.012, 0.0, 0.0]), -0.35)


def light_switch(see: See, style: Style) -> Iterator[Goal]:
    """Push the lever of the light switch to the left."""

    def contact(angle: float) -> Floats:
        along = turn(angle) @ np.array([0.389, -0.921, 0.0])
        beside = np.array([-along[1], along[0], 0.0])
        return np.array([-0.4, 0.691, 2.28]) + 0.085 * along + (0.021 + FINGERS_M) * beside

    return _push(see, style, 17, contact, -0.4, -0.69, 0.3, np.array([0.012, 0.0, 0.0]), 0.2)


def slide_cabinet(see: See, style: Style) -> Iterator[Goal]:
    """Push the sliding door to the right by its handle."""

    def contact(way: float) -> Floats:
        return np.array([-0.108 + way - 0.022 - FINGERS_M, 0.607, 2.55])

    return _push(see, style, 19, contact, 0.08, 0.3, 0.03, np.array([-0.012, 0.0, 0.0]), -0.2)


def kettle(see: See, style: Style) -> Iterator[Goal]:
    """Push the kettle to the burner behind it, low at its front, with both fingers."""
    axes = forward(0.3 + 0.5 * style.tilt)
    aim = 0.47 + 0.2 * style.far

    def front(ahead: float) -> Floats:
        x, y, z = see()[23:26]
        return np.array([x, y - 0.122 - FINGERS_M + ahead, z + 0.09])

    def at(place: Floats, **changes: object) -> Goal:
        return _with(Goal(place, axes, OPEN), **changes)

    yield at(front(-0.06) + (style.offset[0], -0.02, 0.28), precision=0.04)
    yield at(front(-0.05) + (0, 0, 0.1), precision=0.03)
    yield at(front(-0.02), precision=0.015, pace=0.7, patience=20)
    while see()[24] < aim or not at_goals(see())[6]:
        yield at(front(0.03), steps=1, pace=0.5)
    yield at(front(-0.06), precision=0.03)
    yield at(front(-0.06) + (0, -0.02, 0.28), precision=0.06)


SKILLS = (bottom_burner, top_burner, light_switch, slide_cabinet, hinge_cabinet, microwave, kettle)
"""Of each element, in the order of `vdd_ros.tasks.kitchen.sim.ELEMENTS`."""


def _with(goal: Goal, **changes: object) -> Goal:
    from dataclasses import replace

    return replace(goal, **changes)  # type: ignore[arg-type]
