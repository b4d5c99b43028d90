"""Pushing: a rod pushes two cubes to two targets, in either assignment and order (D3IL).

Geometry, masses, friction, timing, observation and the tests of success and mode are those of D3IL's block pushing
task. The Panda and its torque control are replaced by a rod on two position actuators; see docs/tasks.md.
"""

import numpy as np
from numpy.typing import NDArray

from vdd_ros.features import Feature
from vdd_ros.tasks.base import Bools, Floats, Ints, StepResult, TaskSpec, check_action, check_contexts, check_count
from vdd_ros.tasks.endings import Endings
from vdd_ros.tasks.physics import Physics, upright, yaw

COLOURS = ("red", "green")
_POSE = ("x", "y", "yaw")

SPEC = TaskSpec(
    name="pushing",
    observation=(
        Feature("desired_x", "m"),
        Feature("desired_y", "m"),
        Feature("tcp_x", "m"),
        Feature("tcp_y", "m"),
        Feature("red_x", "m"),
        Feature("red_y", "m"),
        Feature("red_tan_yaw", "1"),
        Feature("green_x", "m"),
        Feature("green_y", "m"),
        Feature("green_tan_yaw", "1"),
    ),
    action=(Feature("delta_desired_x", "m"), Feature("delta_desired_y", "m")),
    rate_hz=1000.0 / 35.0,
    max_steps=400,
    modes=4,
    context=tuple(
        Feature(f"{colour}_{entry}", "rad" if entry == "yaw" else "m") for colour in COLOURS for entry in _POSE
    ),
)
MODE_NAMES = (
    "red to red, then green to green",
    "green to green, then red to red",
    "red to green, then green to red",
    "green to red, then red to green",
)

START: tuple[float, float] = (0.525, -0.28)
TARGETS: NDArray[np.float64] = np.array([(0.42, 0.3), (0.63, 0.3)])
"""(2, 2) centres of the red and the green target in m."""
REACHED_M = 0.05
"""Distance of a cube's centre from that of a target at which it counts as pushed there."""
TABLE_Z = -0.019
HALF = 0.03
ROD_RADIUS = 0.01
STARTS: NDArray[np.float64] = np.array(
    [[(0.40, 0.50), (-0.15, 0.0), (-np.pi / 2, np.pi / 2)], [(0.55, 0.65), (-0.15, 0.0), (-np.pi / 2, np.pi / 2)]]
)
"""(2, 3, 2) bounds of x, y and yaw of the red and the green cube, m and rad."""
TAN_LIMIT = 10.0
"""Limit of the tangents in the observation, which D3IL leaves unbounded."""
SUBSTEP_S = 0.0025
SUBSTEPS = 14
STIFFNESS, DAMPING = 480.0, 40.0
"""Of the rod in N/m and N s/m: it lags behind its desired position by 10/120 s, as in Avoiding."""

SCENE = f"""
<mujoco>
  <option timestep="{SUBSTEP_S}" integrator="implicitfast" cone="elliptic" impratio="3"/>
  <default>
    <geom friction="1 0.005 0.0001" condim="3"/>
    <position kp="{STIFFNESS}"/>
  </default>
  <worldbody>
    <geom name="table" type="plane" pos="0.5 0 {TABLE_Z}" size="1 1 0.1" contype="1" conaffinity="2"/>
    <body name="rod" pos="0 0 0">
      <joint name="rod_x" type="slide" axis="1 0 0" damping="{DAMPING}"/>
      <joint name="rod_y" type="slide" axis="0 1 0" damping="{DAMPING}"/>
      <geom type="capsule" fromto="0 0 0.01 0 0 0.3" size="{ROD_RADIUS}" mass="0.1" contype="1" conaffinity="2"/>
    </body>
    <body name="red">
      <freejoint name="red"/>
      <geom type="box" size="{HALF} {HALF} {HALF}" mass="0.05" contype="2" conaffinity="3"/>
    </body>
    <body name="green">
      <freejoint name="green"/>
      <geom type="box" size="{HALF} {HALF} {HALF}" mass="0.05" contype="2" conaffinity="3"/>
    </body>
  </worldbody>
  <actuator>
    <position joint="rod_x"/>
    <position joint="rod_y"/>
  </actuator>
</mujoco>
"""

PAIRS = ((0, 0), (1, 1), (0, 1), (1, 0))
"""(cube, target) of the pair that a mode brings together first; the second pair has the others."""
NO_PAIR = -1
NO_MODE = -1
"""Mode of an episode whose second pair is not the partner of its first."""


class PushingSim:
    """N independent episodes of Pushing, stepped together. The context is the pose of the cubes; there is no noise."""

    def __init__(self, count: int) -> None:
        """Prepare `count` episodes; call `reset` before `step`.

        Raises:
            TaskError: `count` is not positive, or MuJoCo is missing or of another version.
        """
        check_count(count)
        self.spec = SPEC
        self.count = count
        self._physics = Physics(SCENE, count, SUBSTEPS)
        self._rod = slice(0, 2)
        self._cubes = [self._physics.joint(colour)[0] for colour in COLOURS]
        self._desired = np.zeros((count, 2))
        self._seen = np.zeros((count, len(SPEC.observation) - 2))
        self._first, self._mode = np.full((2, count), NO_PAIR, dtype=np.int64)
        self._partial = np.zeros(count)
        self._endings = Endings(count, SPEC.max_steps)

    def reset(self, contexts: Floats | None = None, which: Bools | None = None) -> Floats:
        """Start episodes anew; see `vdd_ros.tasks.base.TaskSim.reset`."""
        poses = check_contexts(self.spec, contexts, self.count).reshape(self.count, 2, 3)
        chosen = np.ones(self.count, dtype=bool) if which is None else which
        self._physics.reset(chosen)
        positions = self._physics.positions
        positions[chosen, self._rod] = START
        for cube, columns in enumerate(self._cubes):
            height = np.full((self.count, 1), TABLE_Z + HALF)
            placed = np.concatenate([poses[:, cube, :2], height, upright(poses[:, cube, 2])], axis=1)
            positions[chosen, columns] = placed[chosen]
        self._desired[chosen] = START
        self._first[chosen] = self._mode[chosen] = NO_PAIR
        self._partial[chosen] = 0
        self._endings.reset(chosen)
        self._seen[chosen] = self._look()[chosen]
        return self._observe()

    def step(self, action: Floats) -> StepResult:
        """Move the desired position by `action`, (N, 2) in m, and simulate one control period of 35 ms.

        As in D3IL the observation holds the new desired position and everything else as it was BEFORE the period, and
        success is tested on that, so that a finished episode runs for one more period.
        """
        running = self._endings.running
        check_action(self.spec, action, running)
        self._desired[running] += action[running]
        self._seen[running] = self._look()[running]
        near = self._near()
        self._note_pairs(near, running)
        self._partial[running] = _delivered(near)[running]
        reached = running & _solved(near)
        failed = self._physics.advance(running, self._desired)
        truncated = self._endings.note(reached, failed)
        return StepResult(
            self._observe(),
            self._endings.terminated,
            truncated,
            self._endings.success.copy(),
            partial=self._partial.copy(),
        )

    def modes(self) -> Ints:
        """Return the mode of each episode so far, (N,): 0 to 3, or `NO_MODE`."""
        return self._mode.copy()

    def _observe(self) -> Floats:
        return np.concatenate([self._desired, self._seen], axis=1)  # (N, 10)

    def _look(self) -> Floats:
        """Return the rod and both cubes as they are, (N, 8)."""
        positions = self._physics.positions
        parts = [positions[:, self._rod]]
        for columns in self._cubes:
            pose = positions[:, columns]
            tangent = np.clip(np.tan(yaw(pose[:, 3:])), -TAN_LIMIT, TAN_LIMIT)
            parts += [pose[:, :2], tangent[:, None]]
        return np.concatenate(parts, axis=1)

    def _near(self) -> Bools:
        """Return which cube is at which target, (N, cube, target)."""
        centres = np.stack([self._physics.positions[:, columns][:, :3] for columns in self._cubes], axis=1)
        targets = np.concatenate([TARGETS, np.zeros((2, 1))], axis=1)
        distance = np.linalg.norm(centres[:, :, None] - targets, axis=-1)
        return np.asarray(distance <= REACHED_M)

    def _note_pairs(self, near: Bools, running: Bools) -> None:
        """Note each episode's first pair, once and for all, and its mode at this step."""
        for pair, (cube, target) in enumerate(PAIRS):
            self._first[running & near[:, cube, target] & (self._first == NO_PAIR)] = pair
        self._mode[running] = NO_MODE
        for pair, (cube, target) in enumerate(PAIRS):
            self._mode[running & (self._first == pair) & near[:, 1 - cube, 1 - target]] = pair


def _solved(near: Bools) -> Bools:
    """Return whether the cubes are at distinct targets: (N, cube, target) -> (N,)."""
    straight, crossed = near[:, 0, 0] & near[:, 1, 1], near[:, 0, 1] & near[:, 1, 0]
    return np.asarray(straight | crossed)


def _delivered(near: Bools) -> Floats:
    """Return the share of the cubes that are at targets of their own: (N, cube, target) -> (N,)."""
    return np.where(_solved(near), 1.0, 0.5 * near.any(axis=(1, 2)))


def draw_cubes(count: int, random: np.random.Generator) -> Floats:
    """Draw poses of both cubes, (count, 6) in m and rad; cubes that could overlap are drawn again."""
    low, high = STARTS.reshape(6, 2).T
    poses = random.uniform(low, high, (count, 6))
    while (close := np.hypot(*(poses[:, 3:5] - poses[:, :2]).T) < 2 * np.sqrt(2) * HALF).any():
        poses[close] = random.uniform(low, high, (int(close.sum()), 6))
    return poses
