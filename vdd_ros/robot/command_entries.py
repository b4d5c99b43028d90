"""The entries of a command: which number of the message carries which action, and within which limits."""

import math
from dataclasses import dataclass

from vdd_ros.features import Feature
from vdd_ros.robot.command_rotations import FORMS, PARTS, CommandRotation
from vdd_ros.robot.quantities import EFFORTS, GO_ON, quantity_of, unit_factor
from vdd_ros.robot.yaml_section import Section, fail

LAST_COMMAND = "last_command"
"""Value of `relative_to` for actions that are added to the last command."""
FROM_DEMONSTRATIONS, URDF = "from_demonstrations", "urdf"
LIMITS = (FROM_DEMONSTRATIONS, URDF)
"""Sources of limits other than the robot file."""
_FROM_ZERO = (*GO_ON, *EFFORTS)
"""Quantities whose first command starts from zero."""
_LEARNED = ("action", "relative_to", "low", "high", "limits")


@dataclass(frozen=True)
class CommandEntry:
    """One number of the command.

    Attributes:
        name: Field, joint or label, according to `Message.named_by`.
        action: Name of the action entry that it carries; None if it is fixed.
        relative_to: Observation entry whose newest value is added to the action, `LAST_COMMAND`, or None if absolute.
        unit: Unit of the value, and of the limits below.
        low: Smallest value commanded; like `high` and `max_step`, NaN until resolved by `limits`.
        high: Largest value commanded.
        max_step: Largest change from one tick to the next; `.inf`: no limit.
        measured: Observation entry that measures this number, for the first command; None if unmeasured.
        first_step: Largest distance of the first command from the measurement with `first_action: refuse`.
        max_error: Largest distance of any command from the measurement; `.inf`: no limit; None: derived from
            `max_step`, see `max_errors`.
        fixed: The constant command; None if an action carries it.
        scale, offset: The value is scale times the number in the message plus offset, in `unit`.
        limits: Source of missing limits, one of `LIMITS`; empty: none is missing.
        wraps: Whether an angle is commanded at the turn nearest to the last command.
        tolerance: For a goal of an action: the difference from the last goal above which a new one is sent; None: a
            hundredth of the range.
        rotation: The orientation that this number belongs to, limited as a whole; None for other numbers.
    """

    name: str
    action: str | None
    relative_to: str | None
    unit: str
    low: float
    high: float
    max_step: float
    measured: str | None
    first_step: float
    max_error: float | None = math.inf
    fixed: float | None = None
    scale: float = 1.0
    offset: float = 0.0
    limits: str = ""
    wraps: bool = False
    tolerance: float | None = None
    rotation: CommandRotation | None = None

    @property
    def features(self) -> tuple[Feature, ...]:
        """Action entries of this number; an orientation's belong to its first."""
        if self.rotation is not None:
            return self.rotation.features if self.name.endswith(f".{PARTS[0]}") else ()
        return () if self.action is None else (Feature(self.action, self.unit),)

    @property
    def reference(self) -> str | None:
        """Observation entry that the action is relative to; None if it is absolute or follows the last command."""
        return None if self.relative_to == LAST_COMMAND else self.relative_to

    @property
    def follows_last(self) -> bool:
        """Whether the action is relative to the last command."""
        return self.relative_to == LAST_COMMAND

    @property
    def goal_tolerance(self) -> float:
        """Difference from the last goal's number, in the message, above which a new goal is sent."""
        given = 0.01 * (self.high - self.low) if self.tolerance is None else self.tolerance
        return given / abs(self.scale)

    def number(self, value: float) -> float:
        """Return the number in the message for a value."""
        return (value - self.offset) / self.scale


def read_command_entries(section: Section) -> list[CommandEntry]:
    """Read one entry of a command; an orientation gives four numbers. Raises RobotFileError naming the field."""
    return _rotated(section) if section.has("rotation") else [_number(section)]


def _number(section: Section) -> CommandEntry:
    entry = _fixed(section) if section.has("fixed") else _learned(section)
    section.finish()
    if section.has("first_step") and entry.measured is None:
        fail(
            section.at("first_step"),
            "has no effect without `measured`, the observation entry that measures this number; give both or neither",
        )
    return entry


def _learned(section: Section) -> CommandEntry:
    relative_to = section.text("relative_to") if section.has("relative_to") else None
    limits = section.choice("limits", LIMITS) if section.has("limits") else ""
    may_miss = bool(limits)
    max_step = _limit(section, "max_step", may_miss=may_miss)
    by_default = None if relative_to == LAST_COMMAND else relative_to
    entry = CommandEntry(
        name=section.text("name"),
        action=section.text("action") if section.has("action") else section.text("name"),
        relative_to=relative_to,
        unit=section.unit("unit"),
        low=_limit(section, "low", may_miss=may_miss),
        high=_limit(section, "high", may_miss=may_miss),
        max_step=max_step,
        measured=section.text("measured") if section.has("measured") else by_default,
        first_step=section.number("first_step", positive=True) if section.has("first_step") else max_step,
        max_error=_max_error(section),
        scale=_scale(section),
        offset=section.number("offset") if section.has("offset") else 0.0,
        limits=limits,
        wraps=_wraps(section, relative_to),
        tolerance=section.number("tolerance", positive=True) if section.has("tolerance") else None,
    )
    if limits == FROM_DEMONSTRATIONS and relative_to is not None:
        _check_demonstrated(section)
    if entry.low >= entry.high:
        fail(section.at("low"), f"is {entry.low}, which is not below high ({entry.high})")
    if entry.follows_last and entry.measured is None and quantity_of(entry.unit) not in _FROM_ZERO:
        fail(
            section.at("relative_to"),
            f"is {LAST_COMMAND}, but there is none before the first command; name the observation entry that measures "
            f"this number with `measured`",
        )
    return entry


def _limit(section: Section, key: str, *, may_miss: bool) -> float:
    """Return a limit; NaN if it is left to `limits`."""
    if may_miss and not section.has(key):
        return math.nan
    step = key == "max_step"
    return section.number(key, positive=step, infinite=step)


def _check_demonstrated(section: Section) -> None:
    """Refuse missing limits of a displacement that demonstrations do not determine."""
    for key in ("low", "high"):
        if not section.has(key):
            section.refuse(key, "is missing: demonstrations only determine the range of displacements; give this limit")


def _fixed(section: Section) -> CommandEntry:
    """Read a number that is commanded but not learned."""
    for key in _LEARNED:
        if section.has(key):
            fail(section.at(key), "is for an action of the policy, not for `fixed`; leave one of them out")
    max_step = section.number("max_step", positive=True, infinite=True) if section.has("max_step") else math.inf
    return CommandEntry(
        name=section.text("name"),
        action=None,
        relative_to=None,
        unit=section.unit("unit"),
        low=-math.inf,
        high=math.inf,
        max_step=max_step,
        measured=section.text("measured") if section.has("measured") else None,
        first_step=section.number("first_step", positive=True) if section.has("first_step") else max_step,
        max_error=_max_error(section),
        fixed=section.number("fixed"),
        scale=_scale(section),
        offset=section.number("offset") if section.has("offset") else 0.0,
    )


def _wraps(section: Section, relative_to: str | None) -> bool:
    if not section.has("wraps"):
        return False
    wraps = section.flag("wraps")
    if relative_to is not None:
        section.refuse("wraps", "is for absolute angles, not for `relative_to`; leave it out")
    unit_factor("rad", section.unit("unit"), section.at("wraps"))
    return wraps


def _rotated(section: Section) -> list[CommandEntry]:
    """Read an orientation: four numbers of the message, limited by their angle."""
    form = section.choice("rotation", tuple(FORMS))
    name, unit = section.field("name"), section.unit("unit") if section.has("unit") else "rad"
    to_rad = unit_factor(unit, "rad", section.at("unit"))
    relative_to = section.choice("relative_to", (LAST_COMMAND,)) if section.has("relative_to") else None
    if relative_to is not None and form != "vector":
        section.refuse("relative_to", f"is for `rotation: vector`, not for {form}; leave it out")
    measured = section.text("measured") if section.has("measured") else None
    if relative_to is not None and measured is None:
        section.refuse("relative_to", "needs `measured`, since there is no command before the first one")
    if measured is None and (key := next((k for k in ("first_step", "max_error") if section.has(k)), None)):
        section.refuse(key, "has no effect without `measured`, a rotation of an input; give both or neither")
    max_step = to_rad * section.number("max_step", positive=True, infinite=True)
    first_step = to_rad * section.number("first_step", positive=True) if section.has("first_step") else max_step
    given = section.has("max_error")
    rotation = CommandRotation(
        name=name,
        form=form,
        action=section.text("action") if section.has("action") else name,
        unit=unit,
        follows_last=relative_to is not None,
        measured=measured,
        max_step=max_step,
        max_error=to_rad * section.number("max_error", positive=True, infinite=True) if given else math.inf,
        first_step=first_step,
    )
    section.finish()
    return [
        CommandEntry(
            f"{name}.{part}", None, None, "1", -math.inf, math.inf, math.inf, None, math.inf, rotation=rotation
        )
        for part in PARTS
    ]


def _scale(section: Section) -> float:
    scale = section.number("scale") if section.has("scale") else 1.0
    if scale == 0:
        section.refuse(
            "scale", "is 0, which cannot convert a value to a number of the message; it must be another number"
        )
    return scale


def _max_error(section: Section) -> float | None:
    """Return the largest distance of a command from its measurement; a `relative_to` set point is not a measurement."""
    if not section.has("max_error"):
        return None if section.has("measured") else math.inf
    if not section.has("measured") and not section.has("relative_to"):
        fail(section.at("max_error"), "needs `measured`, the observation entry that measures this number")
    return section.number("max_error", positive=True, infinite=True)
