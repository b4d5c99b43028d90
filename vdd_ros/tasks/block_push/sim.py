"""Multimodal Block Push: a tool pushes two blocks to two squares, in either assignment and order (BeT, BESO).

Geometry, masses, friction, rate, workspace and the tests of success are those of the public environment. The xArm and
its inverse kinematics are replaced by a tool on two position actuators, and PyBullet by MuJoCo; see docs/tasks.md.
"""

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import TaskError
from vdd_ros.features import Feature
from vdd_ros.tasks.base import Bools, Floats, Ints, StepResult, TaskSpec, check_action, check_contexts, check_count
from vdd_ros.tasks.endings import Endings
from vdd_ros.tasks.physics import Physics, upright, yaw
from vdd_ros.tasks.rollout import Rollouts

BLOCKS = ("block1", "block2")
_POSE = ("x", "y", "yaw")

SPEC = TaskSpec(
    name="block_push",
    observation=(
        *(Feature(f"{block}_{entry}", "rad" if entry == "yaw" else "m") for block in BLOCKS for entry in _POSE),
        Feature("tool_x", "m"),
        Feature("tool_y", "m"),
        Feature("tool_target_x", "m"),
        Feature("tool_target_y", "m"),
    ),
    action=(Feature("delta_tool_target_x", "m"), Feature("delta_tool_target_y", "m")),
    rate_hz=10.0,
    max_steps=300,
    modes=4,
    context=(
        *(Feature(f"{block}_{entry}", "rad" if entry == "yaw" else "m") for block in BLOCKS for entry in _POSE),
        *(Feature(f"target{number}_{entry}", "m") for number in (1, 2) for entry in "xy"),
    ),
)
MODE_NAMES = (
    "block 1 to target 1, then 2 to 2",
    "block 1 to target 2, then 2 to 1",
    "block 2 to target 1, then 1 to 2",
    "block 2 to target 2, then 1 to 1",
)
"""Mode 2 b + t: block b first, to target t."""

START: tuple[float, float] = (0.3, -0.4)
WORKSPACE: NDArray[np.float64] = np.array([(0.15, 0.7), (-0.5, 0.5)])
"""(2, 2) bounds of the tool's target in m: those of x, and those of y."""
HALF = 0.02
REACHED_M = 0.05
"""Distance of a block's centre from a target's on the table at which it counts as pushed there."""
BLOCK_KG, FRICTION = 0.01, 0.5
INERTIA = 3 * BLOCK_KG * (2 * HALF) ** 2 / 6
"""Of a block in kg m2, three times that of a cube: a factor of public model files, though not of each one's blocks."""
TOOL_RADIUS, TOOL_BOTTOM, TOOL_TOP = 0.001, 0.017, 0.045
"""The published pin, 28 mm long, with its middle 29 mm below the effector, as that of a public tool."""
SUBSTEPS = 24
SUBSTEP_S = 0.1 / SUBSTEPS
TOUCH_S = 0.010
"""Time constant of the tool's contacts, hardly more than two substeps, MuJoCo's least; its default is 20 ms.

The tool moves by up to 4 mm in a substep, more than its diameter, and enters blocks through softer contacts.
"""
STIFFNESS, DAMPING = 375.0, 15.0
"""Of the tool in N/m and N s/m: it lags behind its target by 40 ms, as PyBullet's motors lag, which close a tenth of
the way in 1/240 s."""
FIRST, BOTH = 0.49, 0.51
"""Rewards of a block that comes to a target for the first time, and of both at different ones."""

SCENE = f"""
<mujoco>
  <option timestep="{SUBSTEP_S}" integrator="implicitfast" cone="elliptic" impratio="10"/>
  <default>
    <geom friction="{FRICTION} 0.005 0.0001" condim="3"/>
    <position kp="{STIFFNESS}"/>
  </default>
  <worldbody>
    <geom name="table" type="plane" pos="0.4 0 0" size="1 1 0.1" contype="1" conaffinity="2"/>
    <body name="tool">
      <joint name="tool_x" type="slide" axis="1 0 0" damping="{DAMPING}"/>
      <joint name="tool_y" type="slide" axis="0 1 0" damping="{DAMPING}"/>
      <geom type="capsule" fromto="0 0 {TOOL_BOTTOM} 0 0 {TOOL_TOP}" size="{TOOL_RADIUS}" mass="0.05" contype="1"
            conaffinity="2" solref="{TOUCH_S} 1" priority="1"/>
    </body>
    <body name="block1">
      <freejoint name="block1"/>
      <inertial pos="0 0 0" mass="{BLOCK_KG}" diaginertia="{INERTIA} {INERTIA} {INERTIA}"/>
      <geom type="box" size="{HALF} {HALF} {HALF}" contype="2" conaffinity="3"/>
    </body>
    <body name="block2">
      <freejoint name="block2"/>
      <inertial pos="0 0 0" mass="{BLOCK_KG}" diaginertia="{INERTIA} {INERTIA} {INERTIA}"/>
      <geom type="box" size="{HALF} {HALF} {HALF}" contype="2" conaffinity="3"/>
    </body>
  </worldbody>
  <actuator>
    <position joint="tool_x"/>
    <position joint="tool_y"/>
  </actuator>
</mujoco>
"""

NO_MODE = -1
_NONE = -1


class BlockPushSim:
    """N independent episodes of Block Push, stepped together. The context holds blocks and targets; there is no noise.

    The targets are not observed.
    """

    def __init__(self, count: int) -> None:
        """Prepare `count` episodes; call `reset` before `step`.

        Raises:
            TaskError: `count` is not positive, or MuJoCo is missing or of another version.
        """
        check_count(count)
        self.spec = SPEC
        self.count = count
        self._physics = Physics(SCENE, count, SUBSTEPS)
        self._tool = slice(0, 2)
        self._blocks = [self._physics.joint(block)[0] for block in BLOCKS]
        self._target = np.zeros((count, 2))
        self._squares = np.zeros((count, 2, 2))
        self._visited = np.zeros((count, 2, 2), dtype=bool)
        self._first = np.full(count, _NONE, dtype=np.int64)
        self._partial = np.zeros(count)
        self._endings = Endings(count, SPEC.max_steps)

    def reset(self, contexts: Floats | None = None, which: Bools | None = None) -> Floats:
        """Start episodes anew; see `vdd_ros.tasks.base.TaskSim.reset`."""
        given = check_contexts(self.spec, contexts, self.count)
        chosen = np.ones(self.count, dtype=bool) if which is None else which
        self._physics.reset(chosen)
        positions = self._physics.positions
        positions[chosen, self._tool] = START
        for block, columns in enumerate(self._blocks):
            pose = given[:, 3 * block : 3 * block + 3]
            placed = np.concatenate([pose[:, :2], np.full((self.count, 1), HALF), upright(pose[:, 2])], axis=1)
            positions[chosen, columns] = placed[chosen]
        self._squares[chosen] = given[:, 6:].reshape(self.count, 2, 2)[chosen]
        self._target[chosen] = START
        self._visited[chosen] = self._near()[chosen]
        self._first[chosen] = _NONE
        self._partial[chosen] = 0
        self._endings.reset(chosen)
        return self._observe()

    def step(self, action: Floats) -> StepResult:
        """Move the tool's target by `action`, (N, 2) in m, within the workspace, and simulate one control period."""
        running = self._endings.running
        check_action(self.spec, action, running)
        self._target[running] = np.clip(self._target[running] + action[running], *WORKSPACE.T)
        failed = self._physics.advance(running, self._target)
        near = self._near()
        new = near & ~self._visited & running[:, None, None]
        self._note_first(new)
        self._visited |= new
        reached = running & ~failed & _solved(near)
        truncated = self._endings.note(reached, failed)
        reward = np.where(reached, BOTH, FIRST * new.sum(axis=(1, 2)))
        self._partial[running] = np.where(reached, 1.0, 0.5 * near.any(axis=(1, 2)))[running]
        ended, partial = self._endings.terminated, self._partial.copy()
        return StepResult(self._observe(), ended, truncated, self._endings.success.copy(), reward, partial)

    def modes(self) -> Ints:
        """Return the mode of each episode so far, (N,): 0 to 3 once both blocks are where it says, or `NO_MODE`."""
        near, block, square = self._near(), *divmod(self._first.clip(0), 2)
        rows = np.arange(self.count)
        partner = near[rows, block, square] & near[rows, 1 - block, 1 - square]
        return np.where((self._first != _NONE) & partner, self._first, NO_MODE)

    def _observe(self) -> Floats:
        positions = self._physics.positions
        poses = [positions[:, columns] for columns in self._blocks]
        parts = [part for pose in poses for part in (pose[:, :2], yaw(pose[:, 3:])[:, None])]
        return np.concatenate([*parts, positions[:, self._tool], self._target], axis=1)  # (N, 10)

    def _near(self) -> Bools:
        """Return which block is at which target, (N, block, target)."""
        centres = np.stack([self._physics.positions[:, columns][:, :2] for columns in self._blocks], axis=1)
        return np.asarray(np.linalg.norm(centres[:, :, None] - self._squares[:, None], axis=-1) < REACHED_M)

    def _note_first(self, new: Bools) -> None:
        """Note the first pair of each episode that came together, once and for all."""
        for pair in range(SPEC.modes):
            self._first[new[:, pair // 2, pair % 2] & (self._first == _NONE)] = pair


def _solved(near: Bools) -> Bools:
    """Return whether the blocks are at different targets: (N, block, target) -> (N,)."""
    straight, crossed = near[:, 0, 0] & near[:, 1, 1], near[:, 0, 1] & near[:, 1, 0]
    return np.asarray(straight | crossed)


def goal_share(run: Rollouts) -> Floats:
    """Return the share of the blocks that ended at the targets where the goals have them, (N,).

    A goal's block belongs to the nearest target of the rollout; the last observation of the goal counts.

    Raises:
        TaskError: The rollouts had no goals.
    """
    if run.goals is None:
        raise TaskError("these rollouts had no goals; give --goals to a policy that takes them")
    ended, asked = (_centres(seen) for seen in (run.observations[:, -1], run.goals[:, -1]))
    squares = run.contexts[:, 6:].reshape(-1, 2, 2)  # (N, target, 2)
    nearest = np.linalg.norm(asked[:, :, None] - squares[:, None], axis=-1).argmin(axis=-1)  # (N, block)
    wanted = np.take_along_axis(squares, nearest[..., None], axis=1)
    return np.asarray((np.linalg.norm(ended - wanted, axis=-1) < REACHED_M).mean(axis=1))


def _centres(observation: NDArray[np.floating]) -> Floats:
    """Return the centres of the blocks in observations: (N, obs_dim) -> (N, block, 2)."""
    return np.asarray(observation[:, :6].reshape(-1, 2, 3)[..., :2], dtype=np.float64)


def draw_contexts(count: int, random: np.random.Generator) -> Floats:
    """Draw poses of both blocks and places of both targets, (count, 10) in m and rad, as the public environment does.

    The blocks are more than 0.1 m apart in x; the targets lie left and right of x = 0.4 m, in either order.
    """
    blocks = np.empty((count, 2, 3))
    blocks[..., :2] = (0.4, -0.2) + random.uniform(-1, 1, (count, 2, 2)) * (0.1, 0.15)
    while (close := abs(blocks[:, 0, 0] - blocks[:, 1, 0]) <= 0.1).any():
        blocks[close, 1, :2] = (0.4, -0.2) + random.uniform(-1, 1, (int(close.sum()), 2)) * (0.1, 0.15)
        stuck = close & (abs(blocks[:, 0, 0] - 0.4) < 1e-3)  # its partner hardly finds a place
        blocks[stuck, 0, :2] = (0.4, -0.2) + random.uniform(-1, 1, (int(stuck.sum()), 2)) * (0.1, 0.15)
    blocks[..., 2] = random.uniform(1.0, np.pi, (count, 2))
    side = random.choice([-1.0, 1.0], (count, 1)) * (-1.0, 1.0)
    x = 0.4 + 0.12 * side + random.uniform(-0.005, 0.005, (count, 2))
    y = 0.2 + random.uniform(-0.0075, 0.0075, (count, 2))
    return np.concatenate([blocks.reshape(count, 6), np.stack([x, y], axis=-1).reshape(count, 4)], axis=1)
