"""Stacking: a Panda stacks three boxes on a target, in any order, commanded by its joints (D3IL).

Geometry, masses, rate, observation and modes are those of D3IL's stacking task; docs/tasks.md has the differences.
"""

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from vdd_ros.features import Feature
from vdd_ros.tasks.base import Bools, Floats, Ints, StepResult, TaskSpec, check_action, check_contexts, check_count
from vdd_ros.tasks.endings import Endings
from vdd_ros.tasks.physics import Physics, upright, yaw
from vdd_ros.tasks.stacking.arm import FINGERS, JOINTS, OPEN_M, actuators, arm

BOXES = ("red", "green", "blue")
_POSE = ("x", "y", "yaw")

SPEC = TaskSpec(
    name="stacking",
    observation=(
        *(Feature(f"desired_{joint}", "rad") for joint in JOINTS),
        Feature("gripper_width", "m"),
        *(
            Feature(f"{box}_{entry}", "1" if entry == "tan_yaw" else "m")
            for box in BOXES
            for entry in ("x", "y", "z", "tan_yaw")
        ),
    ),
    action=(*(Feature(f"delta_desired_{joint}", "rad") for joint in JOINTS), Feature("gripper_width_command", "m")),
    rate_hz=1000.0 / 30.0,
    max_steps=1000,
    modes=6,
    context=tuple(Feature(f"{box}_{entry}", "rad" if entry == "yaw" else "m") for box in BOXES for entry in _POSE),
)
ORDERS = tuple(permutations(range(len(BOXES))))
"""The order of the boxes in each mode."""
MODE_NAMES = tuple(", ".join(BOXES[box] for box in order) for order in ORDERS)
_PARTS = (*ORDERS, *permutations(range(3), 2), *permutations(range(3), 1), ())
"""The sequence of boxes of each code of `StackingSim.modes`."""

HOME: NDArray[np.float64] = np.array([0.0, -0.03926, 0.0, -2.18613, 0.0, 2.14687, 0.7854])
"""Joint angles in rad at the start: the tool centre point at (0.525, 0, 0.3) m, pointing down."""
TARGET: tuple[float, float] = (0.5, 0.2)
REACHED_M = 0.06
"""Horizontal distance of a box from the target at which it counts."""
STACKED_M = 0.03
"""Least difference in height between any two boxes of a stack."""
LOOSE_M = 0.01
"""How much higher than its own size above another one a box may be in a stack."""
OPEN_FROM_M = 0.075
"""A command above this width opens the gripper, any other one closes it."""
TABLE_Z = -0.019
HALF = 0.03
HALVES = {"red": (HALF, HALF, HALF), "green": (HALF, HALF, HALF), "blue": (HALF, 0.05, HALF)}
STARTS: NDArray[np.float64] = np.array(
    [[(0.35, 0.45), (-0.25, -0.15)], [(0.35, 0.45), (-0.1, 0.0)], [(0.55, 0.6), (-0.2, 0.0)]]
)
"""(3, 2, 2) bounds of x and y of each box in m."""
TAN_LIMIT = 10.0
"""Limit of the tangents in the observation, which D3IL leaves unbounded."""
SUBSTEP_S = 0.0025
SUBSTEPS = 12


def _box(name: str) -> str:
    size = " ".join(map(str, HALVES[name]))
    return (
        f'<body name="{name}"><freejoint name="{name}"/><geom type="box" size="{size}" mass="0.05" contype="2" '
        'conaffinity="3"/></body>'
    )


SCENE = f"""
<mujoco>
  <compiler angle="radian"/>
  <option timestep="{SUBSTEP_S}" integrator="implicitfast" cone="elliptic" impratio="10"/>
  <default><geom friction="1 0.005 0.0001" condim="4"/></default>
  <worldbody>
    <geom name="table" type="plane" pos="0.5 0 {TABLE_Z}" size="1 1 0.1" contype="1" conaffinity="3"/>
    {arm()}
    {"".join(map(_box, BOXES))}
  </worldbody>
  <actuator>{actuators()}</actuator>
</mujoco>
"""


class StackingSim:
    """N independent episodes of Stacking, stepped together. The context is the pose of the boxes; there is no noise."""

    def __init__(self, count: int) -> None:
        """Prepare `count` episodes; call `reset` before `step`.

        Raises:
            TaskError: `count` is not positive, or MuJoCo is missing or of another version.
        """
        check_count(count)
        self.spec = SPEC
        self.count = count
        self._physics = Physics(SCENE, count, SUBSTEPS)
        self._joints = [self._physics.joint(joint)[0].start for joint in JOINTS]
        self._fingers = [self._physics.joint(finger)[0].start for finger in FINGERS]
        self._boxes = [self._physics.joint(box)[0] for box in BOXES]
        self._control = np.zeros((count, len(JOINTS) + len(FINGERS)))
        self._seen = np.zeros((count, len(SPEC.observation) - len(JOINTS)))
        self._sequence = np.full((count, len(BOXES)), -1, dtype=np.int64)
        self._endings = Endings(count, SPEC.max_steps)

    def reset(self, contexts: Floats | None = None, which: Bools | None = None) -> Floats:
        """Start episodes anew; see `vdd_ros.tasks.base.TaskSim.reset`."""
        poses = check_contexts(self.spec, contexts, self.count).reshape(self.count, len(BOXES), 3)
        chosen = np.ones(self.count, dtype=bool) if which is None else which
        rows = np.flatnonzero(chosen)[:, None]
        self._physics.reset(chosen)
        positions = self._physics.positions
        positions[rows, self._joints] = HOME
        positions[rows, self._fingers] = OPEN_M
        for box, columns in enumerate(self._boxes):
            height = np.full((self.count, 1), TABLE_Z + HALF)
            placed = np.concatenate([poses[:, box, :2], height, upright(poses[:, box, 2])], axis=1)
            positions[chosen, columns] = placed[chosen]
        self._control[chosen] = (*HOME, OPEN_M, OPEN_M)
        self._sequence[chosen] = -1
        self._endings.reset(chosen)
        self._seen[chosen] = self._look()[chosen]
        return self._observe()

    def step(self, action: Floats) -> StepResult:
        """Move the desired joints, set the gripper, (N, 8) in rad and m, and simulate one control period of 30 ms.

        As in D3IL the observation holds the new desired joints and everything else as it was BEFORE the period, and
        success is tested on that, so that a finished episode runs for one more period.
        """
        running = self._endings.running
        check_action(self.spec, action, running)
        self._control[running, : len(JOINTS)] += action[running, : len(JOINTS)]
        opened = np.where(action[:, -1:] > OPEN_FROM_M, OPEN_M, 0.0)
        self._control[running, len(JOINTS) :] = opened[running]
        self._seen[running] = self._look()[running]
        places = self._places()
        self._note_box(places, running)
        reached = running & _stacked(places) & (self._seen[:, 0] > OPEN_FROM_M)
        failed = self._physics.advance(running, self._control)
        truncated = self._endings.note(reached, failed)
        partial = (self._sequence >= 0).mean(axis=1)
        return StepResult(
            self._observe(),
            self._endings.terminated,
            truncated,
            self._endings.success.copy(),
            partial=np.asarray(partial),
        )

    def modes(self) -> Ints:
        """Return the order of each episode's boxes so far, (N,): a code of `sequence_of`."""
        codes = {sequence: code for code, sequence in enumerate(_PARTS)}
        return np.array([codes[tuple(row[row >= 0].tolist())] for row in self._sequence], dtype=np.int64)

    def _observe(self) -> Floats:
        return np.concatenate([self._control[:, : len(JOINTS)], self._seen], axis=1)  # (N, 20)

    def _look(self) -> Floats:
        """Return gripper and boxes as they are, (N, 13)."""
        positions = self._physics.positions
        parts = [positions[:, self._fingers].sum(axis=1, keepdims=True)]
        for columns in self._boxes:
            pose = positions[:, columns]
            tangent = np.clip(np.tan(yaw(pose[:, 3:])), -TAN_LIMIT, TAN_LIMIT)
            parts += [pose[:, :3], tangent[:, None]]
        return np.concatenate(parts, axis=1)

    def _places(self) -> Floats:
        """Return the centres of the boxes, (N, 3, 3) in m."""
        return np.stack([self._physics.positions[:, columns][:, :3] for columns in self._boxes], axis=1)

    def _note_box(self, places: Floats, running: Bools) -> None:
        """Append the nearest box at the target that has not been there yet, at most one a step."""
        there = (self._sequence[:, :, None] == np.arange(len(BOXES))).any(axis=1)
        apart = np.where(there, np.inf, _apart(places))
        rows = np.flatnonzero(running & (apart.min(axis=1) <= REACHED_M))
        self._sequence[rows, there[rows].sum(axis=1)] = apart[rows].argmin(axis=1)


def sequence_of(code: int) -> tuple[int, ...]:
    """Return the boxes, as indices of `BOXES`, in the order in which they came to the target.

    Args:
        code: Of `StackingSim.modes`: 0 to 5 for three boxes, 6 to 11 for two, 12 to 14 for one, 15 for none.
    """
    return _PARTS[code]


def _apart(places: Floats) -> Floats:
    """Return the horizontal distances from the target, (N, 3) in m."""
    return np.linalg.norm(places[..., :2] - TARGET, axis=-1)


def _stacked(places: Floats) -> Bools:
    """Return whether all boxes are at the target, one on the other."""
    rises = np.diff(np.sort(places[..., 2], axis=1), axis=1)
    on_each_other = (rises > STACKED_M) & (rises < 2 * HALF + LOOSE_M)
    return np.asarray((_apart(places) <= REACHED_M).all(axis=1) & on_each_other.all(axis=1))


def draw_boxes(count: int, random: np.random.Generator) -> Floats:
    """Draw poses of the boxes, (count, 9) in m and rad; boxes that could touch are drawn again."""
    reach = np.array([np.hypot(*HALVES[box][:2]) for box in BOXES])
    low, high = np.moveaxis(STARTS, -1, 0)
    places = random.uniform(low, high, (count, 3, 2))
    pairs = ((0, 1), (0, 2), (1, 2))
    while True:
        close = np.zeros(count, dtype=bool)
        for one, other in pairs:
            close |= np.linalg.norm(places[:, one] - places[:, other], axis=1) < reach[one] + reach[other]
        if not close.any():
            break
        places[close] = random.uniform(low, high, (int(close.sum()), 3, 2))
    turns = random.uniform(-np.pi / 2, np.pi / 2, (count, 3, 1))
    return np.concatenate([places, turns], axis=2).reshape(count, 9)
