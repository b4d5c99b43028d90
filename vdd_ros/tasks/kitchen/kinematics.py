"""Kinematics of the kitchen's Panda: where its fingers are, inverse kinematics, and the load of gravity."""

import numpy as np

from vdd_ros.tasks.base import Floats
from vdd_ros.tasks.kitchen.model import scene

JOINTS = 7
SITE = "end_effector"
GRIP_M = 0.033
"""Distance of the middle of the finger pads from the model's site, along the hand."""
DAMPING = 1e-3
ITERATIONS = 2
REST_GAIN = 0.02
LARGEST_REST = 0.012
"""Largest motion of a joint in an iteration that only brings the arm nearer to its rest, in rad."""
STIFF_M = 0.15
"""Weight of rotations of the hand against its motion, in m/rad."""
LARGEST_STEP = 0.2
"""Of a joint in an iteration, in rad."""
LOW: Floats = np.array([-2.88, -1.76, -2.88, -3.05, -2.88, 0.02, -2.88])
HIGH: Floats = np.array([2.88, 1.76, 2.88, -0.42, 2.88, 2.09, 2.88])
"""(7,) joint angles in rad that the hand uses, just within the bounds of the model and of the task."""


class Kinematics:
    """The arm of the kitchen.

    Raises:
        TaskError: The model is missing.
    """

    def __init__(self) -> None:
        import mujoco

        self._mujoco = mujoco
        self._model = mujoco.MjModel.from_xml_string(scene())
        self._data = mujoco.MjData(self._model)
        self._site = self._model.site(SITE).id
        self._jacobian = np.zeros((6, self._model.nv))
        self._load = np.zeros(self._model.nv)

    def pose(self, joints: Floats) -> tuple[Floats, Floats]:
        """Return the place of the grip, (3,) in m, and the axes of the hand, (3, 3), for joints (7,) in rad.

        The columns of the axes are the hand's x, its y, along which the fingers open, and its z, along the fingers.
        """
        self._update(joints)
        return self._found()

    def solve(self, joints: Floats, place: Floats, axes: Floats, rest: Floats) -> Floats:
        """Return joints, (7,) in rad, near the given ones, that bring the hand nearer to a pose.

        Args:
            joints: (7,) in rad.
            place: (3,) of the grip in m.
            axes: (3, 3) of the hand.
            rest: (7,) joints that the arm tends to where it is free.
        """
        for _ in range(ITERATIONS):
            self._update(joints)
            found, turned = self._found()
            self._mujoco.mj_jac(
                self._model,
                self._data,
                self._jacobian[:3],
                self._jacobian[3:],
                found,
                self._model.site_bodyid[self._site],
            )
            error = np.empty(6)
            error[:3] = place - found
            error[3:] = STIFF_M * 0.5 * np.cross(turned.T, axes.T).sum(axis=0)
            jacobian = self._jacobian[:, :JOINTS].copy()
            jacobian[3:] *= STIFF_M
            inverse = jacobian.T @ np.linalg.inv(jacobian @ jacobian.T + DAMPING * np.eye(6))
            free = np.clip(REST_GAIN * (rest - joints), -LARGEST_REST, LARGEST_REST)
            step = inverse @ error + free - inverse @ (jacobian @ free)
            step *= min(1.0, LARGEST_STEP / max(float(np.abs(step).max()), 1e-9))
            joints = np.clip(joints + step, LOW, HIGH)
        return joints

    def load(self, joints: Floats) -> Floats:
        """Return the torques that hold the arm against gravity, (7,) in Nm."""
        self._update(joints)
        self._mujoco.mj_comVel(self._model, self._data)
        self._mujoco.mj_rne(self._model, self._data, 0, self._load)
        return self._load[:JOINTS].copy()

    def _update(self, joints: Floats) -> None:
        self._data.qpos[:JOINTS] = joints
        self._mujoco.mj_kinematics(self._model, self._data)
        self._mujoco.mj_comPos(self._model, self._data)

    def _found(self) -> tuple[Floats, Floats]:
        axes = self._data.site_xmat[self._site].reshape(3, 3).copy()
        return self._data.site_xpos[self._site] + GRIP_M * axes[:, 2], axes
