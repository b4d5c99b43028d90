"""Aligning: a rod moves an open box to a target pose, from within the box or from without (D3IL).

Geometry, masses, friction, timing, observation and the tests of success and mode are those of D3IL's aligning task. The
Panda and its torque control are replaced by a rod on three position actuators; see docs/tasks.md.
"""

import numpy as np
from numpy.typing import NDArray

from vdd_ros.features import Feature
from vdd_ros.tasks.base import Bools, Floats, Ints, StepResult, TaskSpec, check_action, check_contexts, check_count
from vdd_ros.tasks.endings import Endings
from vdd_ros.tasks.physics import Physics, upright

_PLACE = tuple("xyz")
_TURN = ("qw", "qx", "qy", "qz")

SPEC = TaskSpec(
    name="aligning",
    observation=(
        *(Feature(f"desired_{axis}", "m") for axis in _PLACE),
        *(Feature(f"tcp_{axis}", "m") for axis in _PLACE),
        *(Feature(f"box_{axis}", "m") for axis in _PLACE),
        *(Feature(f"box_{part}", "1") for part in _TURN),
        *(Feature(f"target_{axis}", "m") for axis in _PLACE),
        *(Feature(f"target_{part}", "1") for part in _TURN),
    ),
    action=tuple(Feature(f"delta_desired_{axis}", "m") for axis in _PLACE),
    rate_hz=1000.0 / 35.0,
    max_steps=400,
    modes=2,
    context=tuple(
        Feature(f"{thing}_{entry}", "rad" if entry == "yaw" else "m")
        for thing in ("box", "target")
        for entry in ("x", "y", "yaw")
    ),
)
INSIDE, OUTSIDE = 0, 1
MODE_NAMES = ("from inside", "from outside")

START: tuple[float, float, float] = (0.525, -0.35, 0.25)
TIP_BELOW_TCP = 0.12
TABLE_Z = -0.019
BASE_HALF = (0.05, 0.05, 0.01)
BOX_Z = TABLE_Z + BASE_HALF[2]
WALL_HALF = (0.005, 0.05, 0.045)
WALL_AT, WALL_Z = 0.05, 0.0485
WALL_TOP = BOX_Z + WALL_Z + WALL_HALF[2]
ROD_RADIUS = 0.01
STARTS: NDArray[np.float64] = np.array(
    [[(0.4, 0.6), (-0.25, -0.1), (-np.pi / 2, np.pi / 2)], [(0.4, 0.6), (0.2, 0.35), (-np.pi / 2, np.pi / 2)]]
)
"""(2, 3, 2) bounds of x, y and yaw of the box and of the target, m and rad."""
NEAR_M, NEAR_TURN = 0.018, 0.048
"""Largest distance from the target in m, and angle as a share of half a turn."""
INSIDE_M = 0.051
"""Horizontal distance of rod and box below which the rod is inside."""
SUBSTEP_S = 0.0025
SUBSTEPS = 14
STIFFNESS, DAMPING = 480.0, 40.0
"""Of the rod in N/m and N s/m: it lags behind its desired position by 10/120 s, as in Avoiding."""


def _wall(x: float, y: float) -> str:
    size = WALL_HALF if x else (WALL_HALF[1], WALL_HALF[0], WALL_HALF[2])
    return (
        f'<geom type="box" pos="{x} {y} {WALL_Z}" size="{size[0]} {size[1]} {size[2]}" mass="0.001" contype="2" '
        'conaffinity="3"/>'
    )


SCENE = f"""
<mujoco>
  <option timestep="{SUBSTEP_S}" integrator="implicitfast" cone="elliptic" impratio="3"/>
  <default>
    <geom friction="1 0.005 0.0001" condim="3"/>
    <position kp="{STIFFNESS}"/>
  </default>
  <worldbody>
    <geom name="table" type="plane" pos="0.5 0 {TABLE_Z}" size="1 1 0.1" contype="1" conaffinity="3"/>
    <body name="rod" gravcomp="1">
      <joint name="rod_x" type="slide" axis="1 0 0" damping="{DAMPING}"/>
      <joint name="rod_y" type="slide" axis="0 1 0" damping="{DAMPING}"/>
      <joint name="rod_z" type="slide" axis="0 0 1" damping="{DAMPING}"/>
      <geom type="capsule" fromto="0 0 {ROD_RADIUS - TIP_BELOW_TCP} 0 0 {0.3 - TIP_BELOW_TCP}" size="{ROD_RADIUS}"
            mass="0.1" contype="1" conaffinity="2"/>
    </body>
    <body name="box">
      <freejoint name="box"/>
      <geom type="box" size="{BASE_HALF[0]} {BASE_HALF[1]} {BASE_HALF[2]}" mass="1" friction="0.3 0.005 0.0001"
            priority="1" contype="2" conaffinity="3"/>
      {_wall(WALL_AT, 0.0)}{_wall(-WALL_AT, 0.0)}{_wall(0.0, WALL_AT)}{_wall(0.0, -WALL_AT)}
    </body>
  </worldbody>
  <actuator>
    <position joint="rod_x"/>
    <position joint="rod_y"/>
    <position joint="rod_z"/>
  </actuator>
</mujoco>
"""


class AligningSim:
    """N independent episodes of Aligning, stepped together. The context is box and target; there is no noise."""

    def __init__(self, count: int) -> None:
        """Prepare `count` episodes; call `reset` before `step`.

        Raises:
            TaskError: `count` is not positive, or MuJoCo is missing or of another version.
        """
        check_count(count)
        self.spec = SPEC
        self.count = count
        self._physics = Physics(SCENE, count, SUBSTEPS)
        self._rod = slice(0, 3)
        self._box = self._physics.joint("box")[0]
        self._target = np.zeros((count, 7))
        self._desired = np.zeros((count, 3))
        self._seen = np.zeros((count, 10))
        self._endings = Endings(count, SPEC.max_steps)

    def reset(self, contexts: Floats | None = None, which: Bools | None = None) -> Floats:
        """Start episodes anew; see `vdd_ros.tasks.base.TaskSim.reset`."""
        given = check_contexts(self.spec, contexts, self.count)
        chosen = np.ones(self.count, dtype=bool) if which is None else which
        box, target = (_pose(given[:, columns]) for columns in (slice(0, 3), slice(3, 6)))
        self._physics.reset(chosen)
        self._physics.positions[chosen, self._rod] = START
        self._physics.positions[chosen, self._box] = box[chosen]
        self._target[chosen] = target[chosen]
        self._desired[chosen] = START
        self._endings.reset(chosen)
        self._seen[chosen] = self._look()[chosen]
        return self._observe()

    def step(self, action: Floats) -> StepResult:
        """Move the desired position by `action`, (N, 3) in m, and simulate one control period of 35 ms.

        As in D3IL the observation holds the new desired position and everything else as it was BEFORE the period, and
        success is tested on that, so that a finished episode runs for one more period.
        """
        running = self._endings.running
        check_action(self.spec, action, running)
        self._desired[running] += action[running]
        self._seen[running] = self._look()[running]
        reached = running & self._aligned()
        failed = self._physics.advance(running, self._desired)
        truncated = self._endings.note(reached, failed)
        return StepResult(self._observe(), self._endings.terminated, truncated, self._endings.success.copy())

    def modes(self) -> Ints:
        """Return where the rod is, (N,): `INSIDE` or `OUTSIDE` of the box."""
        apart = np.linalg.norm(self._seen[:, :2] - self._seen[:, 3:5], axis=1)
        return np.where(apart < INSIDE_M, INSIDE, OUTSIDE).astype(np.int64)

    def _observe(self) -> Floats:
        return np.concatenate([self._desired, self._seen, self._target], axis=1)  # (N, 20)

    def _look(self) -> Floats:
        """Return rod and box as they are, (N, 10)."""
        positions = self._physics.positions
        return np.concatenate([positions[:, self._rod], positions[:, self._box]], axis=1)

    def _aligned(self) -> Bools:
        """Return whether each box is at its target."""
        box = self._physics.positions[:, self._box]
        apart = np.linalg.norm(box[:, :3] - self._target[:, :3], axis=1)
        cosine = np.abs((box[:, 3:] * self._target[:, 3:]).sum(axis=1)).clip(max=1.0)
        return np.asarray((apart <= NEAR_M) & (2 * np.arccos(cosine) / np.pi <= NEAR_TURN))


def _pose(places: Floats) -> Floats:
    """Return the poses on the table, (N, 7), of x, y and yaw, (N, 3)."""
    return np.concatenate([places[:, :2], np.full((len(places), 1), BOX_Z), upright(places[:, 2])], axis=1)


def draw_poses(count: int, random: np.random.Generator) -> Floats:
    """Draw the poses of box and target, (count, 6) in m and rad."""
    low, high = STARTS.reshape(6, 2).T
    return random.uniform(low, high, (count, 6))
