"""MuJoCo's side of tasks: copies of a scene against closed forms, orientations, releases that do not work."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vdd_ros.cli.main import main
from vdd_ros.errors import TaskError
from vdd_ros.tasks import get_task
from vdd_ros.tasks.physics import Physics, upright, yaw

mujoco = pytest.importorskip("mujoco")

FALL = """
<mujoco>
  <option timestep="0.001"/>
  <worldbody>
    <body name="cart"><joint name="rail" type="slide" axis="1 0 0"/><geom size="0.1" mass="2"/></body>
    <body name="stone" pos="0 0 5"><freejoint name="stone"/><geom size="0.1" mass="1" pos="0 0 0"/></body>
  </worldbody>
  <actuator><motor joint="rail"/></actuator>
</mujoco>
"""


def test_copies_follow_newton_and_each_its_own_control() -> None:
    physics = Physics(FALL, 3, substeps=100)
    physics.reset(np.ones(3, dtype=bool))
    physics.advance(np.array([True, False, True]), np.array([[4.0], [4.0], [-2.0]]))
    rail, stone = physics.joint("rail"), physics.joint("stone")
    assert physics.velocities[:, rail[1]][:, 0] == pytest.approx([0.2, 0.0, -0.1])
    assert physics.positions[:, rail[0]][:, 0] == pytest.approx([0.01, 0.0, -0.005], rel=0.02)
    fallen = 5 - 0.5 * 9.81 * 0.1**2
    assert physics.positions[:, stone[0]][:, 2] == pytest.approx([fallen, 5.0, fallen], abs=1e-3)
    assert physics.velocities[:, stone[1]][:, 2] == pytest.approx([-0.981, 0.0, -0.981])


def test_a_copy_does_not_depend_on_the_others() -> None:
    many, one = Physics(FALL, 4, substeps=7), Physics(FALL, 1, substeps=7)
    control = np.array([[1.0], [2.0], [3.0], [4.0]])
    for _ in range(5):
        many.advance(np.ones(4, dtype=bool), control)
        one.advance(np.ones(1, dtype=bool), control[2:3])
    assert np.array_equal(many.positions[2], one.positions[0])


def test_a_reset_concerns_the_chosen_copies() -> None:
    physics = Physics(FALL, 2, substeps=10)
    physics.advance(np.ones(2, dtype=bool), np.ones((2, 1)))
    moved = physics.positions.copy()
    physics.reset(np.array([False, True]))
    assert np.array_equal(physics.positions[0], moved[0])
    assert physics.positions[1, 0] == physics.velocities[1, 0] == 0
    physics.advance(np.zeros(2, dtype=bool), np.ones((2, 1)))
    assert np.array_equal(physics.positions[0], moved[0])


def test_yaws_are_those_of_scipy() -> None:
    angles = np.linspace(-3.1, 3.1, 15)
    assert yaw(upright(angles)) == pytest.approx(angles)
    assert np.roll(upright(angles), -1, axis=1) == pytest.approx(Rotation.from_euler("z", angles[:, None]).as_quat())
    leaning = Rotation.random(20, random_state=0)
    assert yaw(np.roll(leaning.as_quat(), 1, axis=1)) == pytest.approx(leaning.as_euler("ZYX")[:, 0])


@pytest.mark.parametrize("version", ["4.0.0", "3.12.0", "3.2.7"])
def test_a_release_that_does_not_work_is_named_and_what_does(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mujoco, "__version__", version)
    with pytest.raises(TaskError, match=rf"MuJoCo {version} is installed; .* 3\.3 to 3\.11: pip install 'vdd_ros\[phy"):
        Physics(FALL, 1, 1)


def test_without_mujoco_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "mujoco", None)
    assert main(["demos", "pushing", "--episodes", "1", "--out", str(tmp_path)]) == 2
    assert "MuJoCo is not installed; the extra 'physics' brings it" in capsys.readouterr().err


TASKS = ("aligning", "block_push", "pushing", "stacking")


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("far", [20.0, 1e12, 1e300])
def test_a_set_point_out_of_reach_ends_its_episode_as_a_failure(name: str, far: float) -> None:
    """It keeps its last state, and the other episode goes on."""
    task = get_task(name)
    sim, contexts = task.make_sim(2), task.draw_contexts(2, 0)
    sim.reset(contexts)
    action = np.zeros((2, len(task.spec.action)))
    last = sim.step(action).observation
    for _ in range(3):  # a workspace may limit a single step
        action[0, 0] = far
        result = sim.step(action)
    if name == "block_push":
        assert not result.terminated.any(), "its workspace limits the target"
        return
    assert (result.terminated.tolist(), result.success.tolist()) == ([True, False], [False, False])
    assert np.isfinite(result.observation[1]).all()
    seen = slice(len(task.spec.action), None)
    assert result.observation[0, seen] == pytest.approx(last[0, seen], abs=0.05)
    assert not sim.step(np.zeros_like(action)).terminated[1]


def test_an_unstable_copy_keeps_its_state() -> None:
    physics = Physics(FALL, 2, substeps=10)
    physics.velocities[0, 0] = 1e300
    before = physics.positions.copy()
    failed = physics.advance(np.ones(2, dtype=bool), np.zeros((2, 1)))
    assert failed.tolist() == [True, False]
    assert np.array_equal(physics.positions[0], before[0])
    assert physics.positions[1, 3] < before[1, 3]
