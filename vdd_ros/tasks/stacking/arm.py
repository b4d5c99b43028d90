"""The Panda of Stacking, in MuJoCo's XML: its kinematics and joint limits, simple masses, and no shapes but fingers.

Gravity is compensated. Each joint follows its set point with a lag of damping over stiffness, 10/120 s, as in D3IL.
"""

JOINTS = tuple(f"joint{number}" for number in range(1, 8))
FINGERS = ("left", "right")
OPEN_M = 0.04
"""Largest distance of a finger from the middle."""
TCP_M = 0.105
"""Distance of the tool centre point from the hand's flange."""

_QUARTER, _BACK = "0.70710678 0.70710678 0 0", "0.70710678 -0.70710678 0 0"
_LINKS = (
    # position and orientation in the parent, limits in rad, mass in kg, stiffness in Nm/rad
    ("0 0 0.333", "1 0 0 0", (-2.8973, 2.8973), 3.0, 1200),
    ("0 0 0", _BACK, (-1.7628, 1.7628), 3.0, 1200),
    ("0 -0.316 0", _QUARTER, (-2.8973, 2.8973), 2.5, 1200),
    ("0.0825 0 0", _QUARTER, (-3.0718, -0.0698), 2.5, 1200),
    ("-0.0825 0.384 0", _BACK, (-2.8973, 2.8973), 2.5, 600),
    ("0 0 0", _QUARTER, (-0.0175, 3.7525), 1.5, 400),
    ("0.088 0 0", _QUARTER, (-2.8973, 2.8973), 0.7, 300),
)
LIMITS = tuple(limits for _, _, limits, _, _ in _LINKS)
"""Bounds of the joints in rad."""
_LAG_S = 10.0 / 120.0
_GRIP = 667
"""Stiffness of a finger in N/m: it presses a cube of 60 mm with 20 N."""


def arm() -> str:
    """Return the body of the arm."""
    return _link(0)


def actuators() -> str:
    """Return position actuators of the joints and of both fingers, in this order."""
    joints = (f'<position joint="{name}" kp="{link[4]}"/>' for name, link in zip(JOINTS, _LINKS, strict=True))
    return "".join([*joints, *(f'<position joint="{name}" kp="{_GRIP}"/>' for name in FINGERS)])


def _link(index: int) -> str:
    if index == len(_LINKS):
        return _hand()
    place, turn, (low, high), mass, stiffness = _LINKS[index]
    return f"""
    <body name="link{index + 1}" pos="{place}" quat="{turn}" gravcomp="1">
      <joint name="{JOINTS[index]}" axis="0 0 1" limited="true" range="{low} {high}" damping="{stiffness * _LAG_S}"
             armature="0.1"/>
      <geom type="sphere" size="0.05" mass="{mass}" contype="0" conaffinity="0"/>
      {_link(index + 1)}
    </body>"""


def _hand() -> str:
    return f"""
    <body name="hand" pos="0 0 0.107" quat="0.92387953 0 0 -0.38268343" gravcomp="1">
      <geom type="box" pos="0 0 0.03" size="0.02 0.1 0.03" mass="0.7" contype="0" conaffinity="0"/>
      <site name="tcp" pos="0 0 {TCP_M}"/>
      {_finger(FINGERS[0], 1)}{_finger(FINGERS[1], -1)}
    </body>"""


def _finger(name: str, side: int) -> str:
    return f"""
    <body name="{name}" pos="0 0 0.0584" gravcomp="1">
      <joint name="{name}" type="slide" axis="0 {side} 0" limited="true" range="0 {OPEN_M}" damping="20"
             armature="0.05"/>
      <geom type="box" pos="0 {0.006 * side} 0.035" size="0.01 0.006 0.02" mass="0.05" friction="2 0.05 0.0001"
            condim="4" contype="1" conaffinity="2"/>
    </body>"""
