"""Inverse kinematics of the Panda, pointing down."""

import math

import numpy as np

from vdd_ros.tasks.base import Floats
from vdd_ros.tasks.stacking.arm import JOINTS, LIMITS
from vdd_ros.tasks.stacking.sim import SCENE

DAMPING = 1e-5
ITERATIONS = 4
REST_GAIN = 0.02


class Kinematics:
    """The arm's tool centre point and its Jacobian, from MuJoCo."""

    def __init__(self) -> None:
        import mujoco

        self._mujoco = mujoco
        self._model = mujoco.MjModel.from_xml_string(SCENE)
        self._data = mujoco.MjData(self._model)
        self._site = self._model.site("tcp").id
        self._jacobian = np.zeros((6, self._model.nv))
        self._size = len(JOINTS)
        self._low, self._high = np.array(LIMITS).T

    def pose(self, joints: Floats) -> tuple[Floats, float]:
        """Return the place of the tool centre point, (3,) in m, and the yaw of the hand in rad, for joints (7,)."""
        self._update(joints)
        x = self._data.site_xmat[self._site].reshape(3, 3)[:, 0]
        return self._data.site_xpos[self._site].copy(), math.atan2(x[1], x[0])

    def solve(self, joints: Floats, place: Floats, yaw: float, rest: Floats) -> Floats:
        """Return joints, (7,) in rad, near the given ones, that bring the tool to a place with a yaw, pointing down.

        Args:
            joints: (7,) in rad.
            place: (3,) in m.
            yaw: Of the hand in rad.
            rest: (7,) joints that the arm tends to where it is free.
        """
        wanted = np.array([[math.cos(yaw), math.sin(yaw), 0], [math.sin(yaw), -math.cos(yaw), 0], [0, 0, -1]])
        for _ in range(ITERATIONS):
            self._update(joints)
            found = self._data.site_xmat[self._site].reshape(3, 3)
            error = np.empty(6)
            error[:3] = place - self._data.site_xpos[self._site]
            error[3:] = 0.5 * np.cross(found.T, wanted.T).sum(axis=0)
            self._mujoco.mj_jacSite(self._model, self._data, self._jacobian[:3], self._jacobian[3:], self._site)
            jacobian = self._jacobian[:, : self._size]
            inverse = jacobian.T @ np.linalg.inv(jacobian @ jacobian.T + DAMPING * np.eye(6))
            free = np.eye(self._size) - inverse @ jacobian
            joints = np.clip(joints + inverse @ error + REST_GAIN * free @ (rest - joints), self._low, self._high)
        return joints

    def _update(self, joints: Floats) -> None:
        self._data.qpos[: self._size] = joints
        self._mujoco.mj_kinematics(self._model, self._data)
        self._mujoco.mj_comPos(self._model, self._data)
