"""The example arm: two joints in a plane move a gripper to a target, with the elbow up or down.

It represents the reader's own robot in the tutorial: an operator records demonstrations with it in bags, and the policy
then runs on it. See docs/tasks.md.
"""

import math

import numpy as np
from numpy.typing import NDArray

from vdd_ros.features import Feature
from vdd_ros.tasks.base import Bools, Floats, Ints, StepResult, TaskSpec, check_action, check_contexts, check_count

SPEC = TaskSpec(
    name="example_arm",
    observation=(
        Feature("target_x", "m"),
        Feature("target_y", "m"),
        Feature("shoulder_joint_position", "rad"),
        Feature("elbow_joint_position", "rad"),
    ),
    action=(Feature("shoulder_joint_command", "rad"), Feature("elbow_joint_command", "rad")),
    rate_hz=20.0,
    max_steps=120,
    modes=2,
    context=(Feature("target_x", "m"), Feature("target_y", "m")),
)
ELBOW_UP, ELBOW_DOWN = 0, 1
MODE_NAMES = ("elbow up", "elbow down")

UPPER, LOWER = 0.40, 0.35
"""Lengths of the links in m."""
HOME = (math.pi / 2, 0.0)
LAG_S = 0.06
"""Time constant of a joint behind its command."""
SUBSTEP_S = 0.01
SUBSTEPS = 5
REACHED_M, REACHED_STEPS = 0.03, 5
"""Distance and number of consecutive steps within it that count as reaching a target; passing by does not count."""
TRAY_M = ((-0.15, 0.15), (0.38, 0.53))
"""Bounds of the targets: left and right, near and far end of a tray."""


class ExampleArmSim:
    """N independent episodes of the example arm, stepped together. The context is the target; there is no noise."""

    def __init__(self, count: int) -> None:
        """Prepare `count` episodes; call `reset` before `step`.

        Raises:
            TaskError: `count` is not positive.
        """
        check_count(count)
        self.spec = SPEC
        self.count = count
        self._joints = np.tile(np.array(HOME), (count, 1))
        self._target = np.zeros((count, 2))
        self._near = np.zeros(count, dtype=np.int64)
        self._steps = np.zeros(count, dtype=np.int64)
        self._ended = np.zeros(count, dtype=bool)
        self._success = np.zeros(count, dtype=bool)

    def reset(self, contexts: Floats | None = None, which: Bools | None = None) -> Floats:
        """Start episodes anew, stretched out upwards; see `vdd_ros.tasks.base.TaskSim.reset`."""
        targets = check_contexts(self.spec, contexts, self.count)
        chosen = np.ones(self.count, dtype=bool) if which is None else which
        self._joints[chosen] = HOME
        self._target[chosen] = targets[chosen]
        for number in (self._near, self._steps):
            number[chosen] = 0
        for flag in (self._ended, self._success):
            flag[chosen] = False
        return self._observe()

    def step(self, action: Floats) -> StepResult:
        """Let the joints follow the commanded angles, (N, 2) in rad, for one control period of 50 ms."""
        running = ~self._ended
        check_action(self.spec, action, running)
        for _ in range(SUBSTEPS):
            self._joints[running] = follow(self._joints[running], action[running])
        self._steps += running
        near = np.linalg.norm(gripper(self._joints) - self._target, axis=1) < REACHED_M
        self._near[running] = np.where(near, self._near + 1, 0)[running]
        reached = running & (self._near >= REACHED_STEPS)
        truncated = running & ~reached & (self._steps >= SPEC.max_steps)
        self._success |= reached
        self._ended |= reached | truncated
        return StepResult(self._observe(), self._success.copy(), truncated, self._success.copy())

    def modes(self) -> Ints:
        """Return the side of each elbow, (N,): `ELBOW_UP` or `ELBOW_DOWN`."""
        return np.where(self._joints[:, 1] < 0, ELBOW_UP, ELBOW_DOWN).astype(np.int64)

    def _observe(self) -> Floats:
        return np.concatenate([self._target, self._joints], axis=1)  # (N, 4)


def follow(joints: Floats, wanted: Floats) -> Floats:
    """Return the joint angles 10 ms later, of joints that follow the wanted angles with a first-order lag, in rad."""
    return joints + (wanted - joints) * (SUBSTEP_S / LAG_S)


def gripper(joints: Floats) -> Floats:
    """Return the position of the gripper: (..., 2) joint angles in rad -> (..., 2) positions in m."""
    first, both = joints[..., 0], joints[..., 0] + joints[..., 1]
    x, y = (UPPER * turn(first) + LOWER * turn(both) for turn in (np.cos, np.sin))
    return np.stack([x, y], axis=-1)


def joint_angles(x: float, y: float, *, elbow_up: bool) -> tuple[float, float]:
    """Return the angles in rad at which the gripper is at a position in m, by the law of cosines."""
    cosine = (x * x + y * y - UPPER**2 - LOWER**2) / (2 * UPPER * LOWER)
    elbow = math.acos(min(max(cosine, -1.0), 1.0)) * (-1.0 if elbow_up else 1.0)
    shoulder = math.atan2(y, x) - math.atan2(LOWER * math.sin(elbow), UPPER + LOWER * math.cos(elbow))
    return shoulder, elbow


def draw_targets(count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Draw targets on the tray, (count, 2) in m."""
    low, high = np.array(TRAY_M).T
    return random.uniform(low, high, (count, 2))
