#!/bin/sh
# mujoco.rollout: a copy whose simulation becomes unstable starts anew within the call, and returns as if nothing happened.
#
# Versions: mujoco 3.11.0, numpy 2.4.6; Python 3.11, x86_64 Linux.
#
# mj_step resets an unstable state to qpos0 and time 0. rollout then stops stepping that copy and repeats its state to the
# end of the call. A warning goes to standard error and MUJOCO_LOG.TXT, but nothing is raised or returned: the states are
# finite and have the usual shape, so that a batched environment goes on from the start of the scene in the middle of an
# episode. Only the first column, the time, tells: it is behind.
#
# Remedy: compare the time that passed with the number of steps, and end such an episode. A set point out of reach should
# not be simulated at all.
#
# Output seen (time after 20 steps of 2 ms, height of the ball that began at 0.9 m with qpos0 at 0.5 m):
#   calm:     time 0.040, height 0.892
#   unstable: time 0.002, height 0.500
#
# Exits with 0 while the unstable copy restarts silently, with 1 otherwise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"  # MuJoCo writes MUJOCO_LOG.TXT here
unset PYTHONPATH || true
"${PYTHON:-python3}" -m venv env
env/bin/pip install --quiet --disable-pip-version-check mujoco==3.11.0 numpy==2.4.6
env/bin/python - <<'PYTHON'
import mujoco
import numpy as np
from mujoco import rollout

model = mujoco.MjModel.from_xml_string(
    '<mujoco><worldbody><body pos="0 0 0.5"><freejoint/><geom size="0.1"/></body></worldbody></mujoco>'
)
data = mujoco.MjData(model)
start = np.zeros((2, mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_FULLPHYSICS)))
start[:, 1:8] = model.qpos0
start[:, 3] = 0.9
start[1, 8] = 1e12  # m/s: finite, and beyond what MuJoCo accepts
states, _ = rollout.rollout(model, data, start, nstep=20)
for name, state in zip(("calm", "unstable"), states[:, -1]):
    print(f"{name + ':':<10}time {state[0]:.3f}, height {state[3]:.3f}")
calm, unstable = states[:, -1]
silent = np.isfinite(states).all() and calm[0] > 0.039 and unstable[0] < 0.039 and abs(unstable[3] - 0.5) < 0.01
raise SystemExit(0 if silent else 1)
PYTHON
