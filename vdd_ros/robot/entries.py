"""The entries of an input: location of each number of the observation in a message, and its conversion."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from vdd_ros.features import SCALAR
from vdd_ros.robot.field_paths import elements
from vdd_ros.robot.quantities import DIMENSIONLESS_UNIT, RATE_UNITS, quantity_of, unit_factor
from vdd_ros.robot.yaml_section import EXAMPLES, Section, fail, refuse_duplicates

JOINT_INTERFACES = ("position", "velocity", "effort")
ROTATIONS = {"yaw": ("",), "vector": ("_x", "_y", "_z"), "six_d": ("_r11", "_r21", "_r31", "_r12", "_r22", "_r32")}
"""Forms of a rotation, with the endings of its entries' names."""
SIN_COS, TAN = "sin_cos", "tan"
_ENDS = {SIN_COS: ("_sin", "_cos"), TAN: ("",)}
ENCODINGS = tuple(_ENDS)
"""Encodings of an angle, with the endings of its entries' names."""
TAN_LIMIT = 10.0
"""Limit of a tangent, which would otherwise be unbounded near a quarter turn."""


@dataclass(frozen=True)
class InputEntry:
    """Location of one observation entry in a message, and its conversion.

    A rotation, or an angle as sine and cosine, consists of several consecutive entries, its parts.

    Attributes:
        name: Name of the observation entry.
        unit: Unit of the entry in this file; converted to the policy's unit.
        field: Path of the field, or None if `joint`, `joints` or `encoding` is given.
        joint: Name of the joint in a JointState, or None.
        interface: `position`, `velocity` or `effort` of that joint, or those joints.
        max_rate: Highest rate of change, in `unit` per second, of the angle of sines and of `six_d` in rad/s; `.inf`:
            no limit; None: derived from the command's limits, see `Continuity`.
        shape: Shape of an array; () for a single number.
        joints: Names of the n joints of an array, (n,); empty for other entries.
        encoding: Pixel encoding of an array, or None.
        scale, offset: The entry is scale times the number in the message plus offset, in `unit`.
        rotation: Form of a rotation, one of `ROTATIONS`; empty for other entries.
        encode: `sin_cos` for an angle as its sine and cosine, `tan` as its limited tangent, or empty.
        angle_unit: Unit of an encoded angle: of `scale` times the number plus `offset`.
        part, parts: Index of the part of a rotation or an encoded angle, and number of parts.
        place: Path of the entry below its input in the file, such as `entries.elbow`; empty: by its name.
        constant: Value of a constant entry, in `unit`; None for other entries.
        minus: Entry whose value at the same time is subtracted, or None.
        hidden: Whether it is only subtracted from other entries, not observed by the policy.
        commands: Name of the command's number, for an entry of a `LastCommand`.
        starts_at: Entry that measures that number, used before the first command; None: 0.
    """

    name: str
    unit: str
    field: str | None = None
    joint: str | None = None
    interface: str | None = None
    max_rate: float | None = None
    shape: tuple[int, ...] = SCALAR
    joints: tuple[str, ...] = ()
    encoding: str | None = None
    scale: float = 1.0
    offset: float = 0.0
    rotation: str = ""
    encode: str = ""
    angle_unit: str = ""
    part: int = 0
    parts: int = 1
    place: str = ""
    constant: float | None = None
    minus: str | None = None
    hidden: bool = False
    commands: str | None = None
    starts_at: str | None = None

    @property
    def at(self) -> str:
        """Path of the entry below its input in the file."""
        return self.place or f"entries.{self.name}"

    @property
    def is_plain(self) -> bool:
        """Whether the entry is a number of the message in another unit, with scale and offset."""
        return not self.rotation and not self.encode and self.constant is None

    @property
    def message_unit(self) -> str:
        """Unit of the number in the message, up to `scale`."""
        return self.angle_unit if self.encode and not self.rotation else self.unit


def read_entries(section: Section, name: str) -> list[InputEntry]:
    """Read one entry of `entries`, which may have several numbers; raises RobotFileError naming the field."""
    if section.has("constant"):
        return [_constant(section, name)]
    given = [key for key in _PLACES if section.has(key)]
    if len(given) > 1:
        fail(section.at(given[1]), f"cannot be combined with `{given[0]}`; give one of them")
    rotation = section.choice("rotation", tuple(ROTATIONS)) if section.has("rotation") else ""
    encode = section.choice("encode", ENCODINGS) if section.has("encode") else ""
    unit = _rotation_unit(section, rotation, encode) if rotation else section.unit("unit")
    max_rate = section.number("max_rate", positive=True, infinite=True) if section.has("max_rate") else None
    if not given:
        fail(
            section.path,
            f"does not name a number of the message; give {EXAMPLES['field']}, or, in a JointState, "
            f"{EXAMPLES['joint']} and {EXAMPLES['interface']}, or, of an image, {EXAMPLES['encoding']} and "
            f"{EXAMPLES['shape']}",
        )
    place = _PLACES[given[0]](section)
    scale, offset = _scale(section), section.number("offset") if section.has("offset") else 0.0
    minus = section.text("minus") if section.has("minus") else None
    hidden = section.has("hidden") and section.flag("hidden")
    section.finish()
    entry = InputEntry(
        name, unit, max_rate=max_rate, scale=scale, offset=offset, rotation=rotation, encode=encode, **place
    )
    found = _parts(replace(entry, place=f"entries.{name}", minus=minus, hidden=hidden), section)
    for key in ("minus", "hidden"):
        if getattr(entry := found[0], key) and (len(found) > 1 or entry.encode or entry.shape):
            section.refuse(key, "is for entries of a single number; leave it out")
    return found


def read_joints(section: Section) -> list[InputEntry]:
    """Read `joints`, the short form of an entry per joint and interface; raises RobotFileError naming the field.

    The entries are called JOINT_INTERFACE: all joints of the first interface, then of the next, in the file's order.
    """
    names = section.texts("names")
    refuse_duplicates(section.at("names"), "joints", names)
    interfaces = section.texts("interfaces") if section.has("interfaces") else ["position"]
    refuse_duplicates(section.at("interfaces"), "interfaces", interfaces)
    for interface in interfaces:
        if interface not in JOINT_INTERFACES:
            section.refuse("interfaces", f"holds {interface!r}; allowed are", JOINT_INTERFACES)
    unit, scale = section.unit("unit"), _scale(section)
    offset = section.number("offset") if section.has("offset") else 0.0
    max_rate = section.number("max_rate", positive=True, infinite=True) if section.has("max_rate") else None
    encode = section.choice("encode", ENCODINGS) if section.has("encode") else ""
    section.finish()
    if len(interfaces) > 1:
        for key, value in {"scale": scale != 1, "offset": offset, "max_rate": max_rate, "encode": encode}.items():
            if value:
                section.refuse(key, "is for a single interface; give the others in a separate input, or under")
    found = []
    for interface in interfaces:
        own = unit if len(interfaces) == 1 else _unit_of(interface, unit, section)
        for name in names:
            entry = InputEntry(f"{name}_{interface}", own, joint=name, interface=interface, max_rate=max_rate)
            entry = replace(entry, scale=scale, offset=offset, encode=encode, place="joints")
            found += _parts(entry, section)
    return found


def _constant(section: Section, name: str) -> InputEntry:
    value, unit = section.number("constant"), section.unit("unit")
    for key in (*_PLACES, "scale", "offset", "rotation", "encode", "minus", "hidden", "max_rate"):
        if section.has(key):
            section.refuse(key, "is for numbers of a message, not for `constant`; leave it out")
    section.finish()
    return InputEntry(name, unit, constant=value, place=f"entries.{name}")


def _unit_of(interface: str, unit: str, section: Section) -> str:
    """Return the unit of an interface of joints whose positions have a unit."""
    if interface == "position":
        return unit
    try:
        return RATE_UNITS[unit] if interface == "velocity" else {"angle": "Nm", "length": "N"}[quantity_of(unit) or ""]
    except KeyError:
        section.refuse(
            "unit", f"is {unit!r}; with several interfaces it is the unit of the positions, one of", RATE_UNITS
        )


def _scale(section: Section) -> float:
    scale = section.number("scale") if section.has("scale") else 1.0
    if scale == 0:
        section.refuse("scale", "is 0, which makes the entry constant; it must be another number")
    return scale


def _rotation_unit(section: Section, rotation: str, encode: str) -> str:
    """Return the unit of the numbers of a rotation."""
    if encode and rotation != "yaw":
        section.refuse("encode", f"is for an angle or `rotation: yaw`, not for `rotation: {rotation}`")
    for key in ("scale", "offset"):
        if section.has(key):
            section.refuse(key, "is for single numbers, not for `rotation`; leave it out")
    if rotation == "six_d" or encode:
        if section.has("unit") and section.unit("unit") != DIMENSIONLESS_UNIT:
            section.refuse("unit", "is not 1, as the numbers of a matrix, sines, cosines and tangents have no unit; ")
        return DIMENSIONLESS_UNIT
    unit = section.unit("unit") if section.has("unit") else "rad"
    unit_factor("rad", unit, section.at("unit"))
    return unit


def _parts(entry: InputEntry, section: Section) -> list[InputEntry]:
    """Return the entries of one entry in the file."""
    if entry.rotation and (entry.shape or not entry.field):
        section.refuse("rotation", "is for `field`, the path of a quaternion; leave it out")
    if entry.encode and entry.shape:
        section.refuse("encode", "is for single numbers, not for arrays; leave it out")
    if entry.encode == TAN and entry.max_rate is not None:
        section.refuse("max_rate", "is for numbers that do not jump, as a tangent does at a quarter turn; leave it out")
    if entry.rotation:
        ends = _ENDS[entry.encode] if entry.encode else ROTATIONS[entry.rotation]
        return _numbered([replace(entry, name=entry.name + end) for end in ends])
    if entry.encode:
        rate = entry.max_rate and entry.max_rate * unit_factor(entry.unit, "rad", section.at("unit"))
        angle = replace(entry, unit=DIMENSIONLESS_UNIT, angle_unit=entry.unit, max_rate=rate)
        unit_factor(entry.unit, "rad", section.at("unit"))
        return _numbered([replace(angle, name=entry.name + end) for end in _ENDS[entry.encode]])
    if entry.field and not entry.shape and len(paths := elements(entry.field)) > 1:
        return [replace(entry, name=f"{entry.name}_{index}", field=path) for index, path in enumerate(paths)]
    return [entry]


def _numbered(entries: Sequence[InputEntry]) -> list[InputEntry]:
    return [replace(entry, part=part, parts=len(entries)) for part, entry in enumerate(entries)]


class _Place(TypedDict, total=False):
    """Location fields of an InputEntry."""

    field: str
    joint: str
    interface: str
    shape: tuple[int, ...]
    joints: tuple[str, ...]
    encoding: str


def _joint(section: Section) -> _Place:
    return {"joint": section.text("joint"), "interface": section.choice("interface", JOINT_INTERFACES)}


def _joints(section: Section) -> _Place:
    joints = tuple(section.texts("joints"))
    refuse_duplicates(section.at("joints"), "joints", joints)
    return {
        "joints": joints,
        "interface": section.choice("interface", JOINT_INTERFACES),
        "shape": (len(joints),),
    }


def _field(section: Section) -> _Place:
    if section.has("interface"):
        fail(section.at("interface"), "is for `joint`, the name of a joint in a JointState; leave it out")
    place: _Place = {"field": section.field("field")}
    return place | {"shape": section.shape("shape")} if section.has("shape") else place


def _encoding(section: Section) -> _Place:
    return {"encoding": section.text("encoding"), "shape": section.shape("shape")}


_PLACES: dict[str, Callable[[Section], _Place]] = {
    "joint": _joint,
    "field": _field,
    "joints": _joints,
    "encoding": _encoding,
}
"""Location keys of an entry; exactly one is given."""
