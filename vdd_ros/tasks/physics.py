"""Physics of N episodes side by side, by MuJoCo (extra `physics`)."""

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import TaskError
from vdd_ros.tasks.base import Bools, Floats

OLDEST, NEWEST = (3, 3), (3, 11)
"""The oldest and the newest release of MuJoCo that the tasks work with."""

FARTHEST = 10.0
"""Largest set point that is simulated, in m or rad; any farther one is nonsense, and makes simulations unstable."""
_INSTALL = "pip install 'vdd_ros[physics]'"


class Physics:
    """N copies of a scene, simulated together; a copy's future depends on its state and control alone.

    Args:
        scene: The scene in MuJoCo's XML.
        count: Number of copies, at least 1.
        substeps: Steps of MuJoCo in a control period.

    Attributes:
        positions: (N, nq) generalised positions, SI units; write them to place bodies.
        velocities: (N, nv) generalised velocities, SI units.

    Raises:
        TaskError: MuJoCo is not installed, or is of a release that the tasks do not work with.
    """

    def __init__(self, scene: str, count: int, substeps: int) -> None:
        try:
            import mujoco
            from mujoco import rollout
        except ModuleNotFoundError as error:
            raise TaskError(f"MuJoCo is not installed; the extra 'physics' brings it: {_INSTALL}") from error
        _check_release(mujoco.__version__)
        self._model = mujoco.MjModel.from_xml_string(scene)
        self._data = mujoco.MjData(self._model)
        self._substeps = substeps
        self._period_s = substeps * self._model.opt.timestep
        self._rollout = rollout.Rollout(nthread=0)
        size = mujoco.mj_stateSize(self._model, mujoco.mjtState.mjSTATE_FULLPHYSICS)
        first = mujoco.mj_stateSize(self._model, mujoco.mjtState.mjSTATE_TIME)
        start = np.zeros(size)
        mujoco.mj_getState(self._model, self._data, start, mujoco.mjtState.mjSTATE_FULLPHYSICS)
        self._start = start
        self._state = np.tile(start, (count, 1))
        self.positions: Floats = self._state[:, first : first + self._model.nq]
        self.velocities: Floats = self._state[:, first + self._model.nq : first + self._model.nq + self._model.nv]

    def joint(self, name: str) -> tuple[slice, slice]:
        """Return the columns of a joint in `positions` and `velocities`."""
        joint = self._model.joint(name)
        place, motion = int(joint.qposadr[0]), int(joint.dofadr[0])
        return slice(place, place + len(joint.qpos0)), slice(motion, motion + _DOFS[len(joint.qpos0)])

    def reset(self, which: Bools) -> None:
        """Return the copies where `which`, (N,), is true to the start of the scene, at rest."""
        self._state[which] = self._start

    def advance(self, which: Bools, control: Floats) -> Bools:
        """Simulate one control period of the copies where `which`, (N,), is true, under a constant control (N, nu).

        Returns:
            (N,) the copies that could not be simulated and stay as they are: their control is beyond `FARTHEST`, or the
            simulation became unstable, after which MuJoCo would start the scene anew.
        """
        failed = which & (np.abs(control) > FARTHEST).any(axis=1)
        chosen = np.flatnonzero(which & ~failed)
        if not chosen.size:
            return failed
        states, _ = self._rollout.rollout(
            self._model, self._data, self._state[chosen], control[chosen, None], nstep=self._substeps
        )
        passed = states[:, -1, 0] - self._state[chosen, 0]  # time comes first
        stable = np.isfinite(states[:, -1]).all(axis=1) & (abs(passed - self._period_s) < 0.5 * self._period_s)
        self._state[chosen[stable]] = states[stable, -1]
        failed[chosen[~stable]] = True
        return failed


_DOFS = {1: 1, 4: 3, 7: 6}
"""Degrees of freedom of a joint by its number of coordinates: hinge or slide, ball, free."""


def yaw(quaternions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation about the vertical of orientations (..., 4), w x y z -> (...) in rad, -pi to pi."""
    w, x, y, z = np.moveaxis(quaternions, -1, 0)
    return np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


def upright(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the orientations of a rotation about the vertical: (...) rad -> (..., 4), w x y z."""
    zeros = np.zeros_like(angles)
    return np.stack([np.cos(angles / 2), zeros, zeros, np.sin(angles / 2)], axis=-1)


def _check_release(version: str) -> None:
    release = tuple(int(part) for part in version.split(".")[:2])
    if not OLDEST <= release <= NEWEST:
        oldest, newest = (".".join(map(str, one)) for one in (OLDEST, NEWEST))
        raise TaskError(f"MuJoCo {version} is installed; the tasks work with {oldest} to {newest}: {_INSTALL}")
