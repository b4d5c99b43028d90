"""Kitchen: the public environment's physics, observation, completions and returns; modes; skills and demonstrations."""

import builtins
import importlib.machinery
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import DemonstrationError, TaskError
from vdd_ros.evaluation.rollouts import score_seeds
from vdd_ros.evaluation.score_table import score_table
from vdd_ros.tasks import get_task
from vdd_ros.tasks.kitchen import model
from vdd_ros.tasks.kitchen.demonstrator import mode_of
from vdd_ros.tasks.kitchen.kinematics import Kinematics
from vdd_ros.tasks.kitchen.sim import ELEMENTS, GOALS, SEQUENCES, START, KitchenSim, goal_share, name_of, sequence_of
from vdd_ros.tasks.rollout import replay, roll_out

pytest.importorskip("mujoco")
pytest.importorskip("gymnasium_robotics", reason="gymnasium-robotics is not installed (extra `kitchen`)")

TASK = get_task("kitchen")
STILL = np.zeros((1, 9))


def started(last: int = len(ELEMENTS), count: int = 1) -> KitchenSim:
    sim = KitchenSim(count, last)
    sim.reset()
    return sim


def moved(sim: KitchenSim, *elements: int) -> KitchenSim:
    """Put elements of the first episode to their goals."""
    for element in elements:
        entries, goal = GOALS[element]
        sim._physics.positions[0, entries] = goal
    return sim


@pytest.fixture(scope="module")
def public() -> Any:
    """The environment of gymnasium-robotics, without noise."""
    from gymnasium_robotics.envs.franka_kitchen.kitchen_env import KitchenEnv

    return KitchenEnv(robot_noise_ratio=0.0, object_noise_ratio=0.0)


@pytest.fixture(scope="module")
def demonstrations() -> DemonstrationSet:
    return TASK.demonstrate(2, 0, lambda: None)


def test_a_goal_asks_for_the_elements_that_are_at_their_places_there() -> None:
    run = roll_out(started(count=2), lambda _: (np.zeros((2, 1, 9)), None), history=1)
    seen, goals = run.observations.copy(), np.tile(START, (2, 2, 1))
    for element in (3, 5):  # slide cabinet, microwave
        entries, goal = GOALS[element]
        goals[0, -1, entries] = seen[0, -1, entries] = goal
    code = SEQUENCES.index((0, 1, 2, 4))
    kept = replace(run, observations=seen, goals=goals, modes=np.array([code, code]))
    assert goal_share(kept).tolist() == [1.0, 1.0]  # the other goal asks for nothing
    goals[:, -1, GOALS[6][0]] = GOALS[6][1]  # the kettle, which nobody moved
    assert goal_share(kept) == pytest.approx([2 / 3, 0.0])
    goals[:, -1, GOALS[2][0]] = GOALS[2][1]  # the light, which was switched on in between
    assert goal_share(kept) == pytest.approx([3 / 4, 1 / 2])


def public_path(public: Any, actions: np.ndarray) -> tuple[np.ndarray, list[list[str]]]:
    """Return the observations (T + 1, 30) of the public environment, and what it has completed after each action."""
    seen, completed = [public.reset(seed=0)[0]["observation"]], []
    for action in actions:
        observation, _, _, _, info = public.step(action)
        seen.append(observation["observation"])
        completed.append(list(info["episode_task_completions"]))
    return np.array(seen)[:, [*range(9), *range(18, 39)]], completed


def test_a_step_is_that_of_the_public_environment(public: Any, demonstrations: DemonstrationSet) -> None:
    """From each state of a demonstration, to 1e-6 in rad and m: only the solver's warm start differs."""
    sim, robot = KitchenSim(1), public.robot_env
    public.reset(seed=0)
    seen = sim.reset()[0]
    for action in demonstrations.action[demonstrations.episodes()[0]]:
        robot.set_state(seen.copy(), sim._physics.velocities[0].copy())
        robot._last_robot_qpos = seen[:9].copy()
        public.step(action)
        seen = sim.step(action[None]).observation[0]
        assert abs(seen - robot.data.qpos).max() < 1e-6


def test_a_demonstration_has_the_same_completions_in_the_public_environment(
    public: Any, demonstrations: DemonstrationSet
) -> None:
    """Over a whole demonstration the paths stay within 5 mm and 5 mrad; contacts amplify the smallest difference."""
    actions = demonstrations.action[demonstrations.episodes()[0]]
    expected, completed = public_path(public, actions)
    sim = KitchenSim(1)
    seen, returns = [sim.reset()[0]], 0.0
    for number, action in enumerate(actions):
        result = sim.step(action[None])
        assert result.reward is not None
        seen.append(result.observation[0])
        returns += float(result.reward[0])
        assert returns == len(completed[number])
    assert abs(np.array(seen) - expected).max() < 5e-3
    assert [ELEMENTS[element] for element in sequence_of(int(sim.modes()[0]))] == completed[-1]


def test_actions_are_clipped_as_in_the_public_environment(public: Any) -> None:
    actions = np.random.default_rng(0).uniform(-3.0, 3.0, (12, 9))
    sim = KitchenSim(1)
    seen = [sim.reset()[0], *(sim.step(action[None]).observation[0] for action in actions)]
    assert abs(np.array(seen) - public_path(public, actions)[0]).max() < 1e-6


def test_goals_are_those_of_the_public_environment() -> None:
    from gymnasium_robotics.envs.franka_kitchen.kitchen_env import OBS_ELEMENT_GOALS, OBS_ELEMENT_INDICES

    assert tuple(OBS_ELEMENT_GOALS) == ELEMENTS
    for name, (entries, goal) in zip(ELEMENTS, GOALS, strict=True):
        assert np.arange(30)[entries].tolist() == OBS_ELEMENT_INDICES[name].tolist()
        assert goal == tuple(OBS_ELEMENT_GOALS[name])


def test_what_only_a_picture_needs_is_left_out(public: Any) -> None:
    import mujoco

    found = mujoco.MjModel.from_xml_string(model.scene())
    assert found.ngeom < public.model.ngeom
    assert found.nmesh < public.model.nmesh
    for name in ("dof_damping", "actuator_gainprm", "jnt_range", "qpos0"):
        assert np.array_equal(getattr(found, name), getattr(public.model, name)), name
    for name in ("body_mass", "body_inertia", "body_ipos"):
        ours, theirs = (getattr(one, name)[one.body_weldid > 0] for one in (found, public.model))
        assert np.array_equal(ours, theirs), name
    touching = [((one.geom_contype > 0) | (one.geom_conaffinity > 0)).sum() for one in (found, public.model)]
    assert touching[0] == touching[1]


def test_bodies_that_are_not_compared_cannot_touch(public: Any) -> None:
    """In random positions of all joints, a little beyond their ranges as well, which are soft."""
    import mujoco

    path = Path(public.robot_env.fullpath)
    robot = mujoco.MjModel.from_xml_path(str(path))
    of_robot = np.array([robot.body(body).name.startswith("panda0_") for body in robot.geom_bodyid])
    robot.geom_contype[~of_robot] = robot.geom_conaffinity[~of_robot] = 0
    robot.geom_margin[of_robot] = 0.01
    data, random = mujoco.MjData(robot), np.random.default_rng(0)
    low, high = robot.jnt_range[:9].T
    nearest: dict[frozenset[str], float] = {}
    for _ in range(4000):
        data.qpos[:9] = random.uniform(low - 0.02, high + 0.02)
        mujoco.mj_kinematics(robot, data)
        mujoco.mj_comPos(robot, data)
        mujoco.mj_collision(robot, data)
        for shapes, distance in zip(data.contact.geom[: data.ncon], data.contact.dist[: data.ncon], strict=True):
            pair = frozenset(robot.body(robot.geom_bodyid[shape]).name for shape in shapes)
            nearest[pair] = min(distance, nearest.get(pair, 1.0))
    left_out = [frozenset(pair) for pair in model.NEVER_TOUCHING]
    beside = frozenset({"panda0_link0", "panda0_link1"})
    assert nearest[frozenset({"panda0_link5", "panda0_leftfinger"})] < 0  # others do touch
    assert [pair for pair in left_out if pair in nearest] == [beside]
    assert nearest[beside] > 0.0009


def test_four_elements_are_a_success_and_the_episode_goes_on() -> None:
    sim = started()
    for number, element in enumerate((3, 5, 6, 4)):
        result = moved(sim, element).step(STILL)
        assert result.success[0] == (number == 3)
        assert result.reward is not None
        assert result.partial is not None
        assert (result.reward[0], result.partial[0]) == (1.0, (number + 1) / 4)
        assert not result.terminated[0]
    assert sequence_of(int(sim.modes()[0])) == (3, 5, 6, 4)


def test_all_seven_end_the_episode_with_a_return_of_seven() -> None:
    sim = moved(started(), *range(7))
    result = sim.step(STILL)
    assert result.reward is not None
    assert (result.reward[0], result.terminated[0], result.success[0]) == (7.0, True, True)
    assert sequence_of(int(sim.modes()[0])) == (0, 1, 2, 3), "those of one step in the order of the elements"
    assert sim.step(STILL).reward == pytest.approx(0.0)


def test_an_element_counts_once() -> None:
    sim = moved(started(), 3)
    sim.step(STILL)
    sim._physics.positions[0, GOALS[3][0]] = 0.0
    sim.step(STILL)
    result = moved(sim, 3).step(STILL)
    assert result.reward is not None
    assert result.reward[0] == 0.0
    assert sequence_of(int(sim.modes()[0])) == (3,)


def test_the_arm_sinks_without_commands() -> None:
    """As in the public environment: the set point follows the arm."""
    sim = started()
    for _ in range(40):
        seen = sim.step(STILL).observation[0]
    assert abs(seen[:7] - START[:7]).max() > 0.1


def test_each_sequence_is_a_mode() -> None:
    assert len(SEQUENCES) == TASK.spec.modes == 840
    assert len({sequence_of(code) for code in range(1100)}) == 1100
    assert sequence_of(1099) == ()
    assert TASK.mode_name(0) == name_of(0) == "bottom burner, top burner, light switch, slide cabinet"
    assert TASK.mode_name(1099) == "none"


def test_elements_and_orders_are_spread_evenly() -> None:
    drawn = np.array([SEQUENCES[mode_of(number)] for number in range(TASK.default_demonstrations)])
    assert len({tuple(row) for row in drawn}) == TASK.default_demonstrations
    assert sorted(map(mode_of, range(840))) == list(range(840))
    for place in range(4):
        counts = np.bincount(drawn[:, place], minlength=7)
        assert counts.max() - counts.min() <= 1, f"place {place}: {counts}"


def test_the_inverse_leads_where_it_should() -> None:
    kinematics, joints = Kinematics(), START[:7]
    _, axes = kinematics.pose(joints)
    place = np.array([-0.3, 0.4, 2.2])
    for _ in range(30):
        joints = kinematics.solve(joints, place, axes, START[:7])
    found, turned = kinematics.pose(joints)
    assert found == pytest.approx(place, abs=1e-3)
    assert turned == pytest.approx(axes, abs=1e-2)


def test_demonstrations_succeed_in_their_modes_when_replayed(demonstrations: DemonstrationSet) -> None:
    replayed = replay(TASK.make_sim(2), demonstrations)
    assert replayed.success.all()
    assert replayed.returns is not None
    assert (replayed.returns >= 4).all()
    assert (replayed.modes == demonstrations.modes).all()
    assert demonstrations.modes.tolist() == [mode_of(0), mode_of(1)]
    assert demonstrations.lengths.max() <= TASK.spec.max_steps
    assert abs(demonstrations.action).max() <= 1.0
    table = score_table(score_seeds(TASK, {0: replayed}), TASK)
    assert TASK.mode_name(int(demonstrations.modes[1])) in table
    assert len(table.splitlines()) < 20, "modes that were not found are not listed"


def test_misuse_is_refused() -> None:
    with pytest.raises(TaskError, match=r"actions of shape \(1, 2\)"):
        started().step(np.zeros((1, 2)))
    with pytest.raises(DemonstrationError, match="0 demonstrations"):
        TASK.demonstrate(0, 0, lambda: None)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "find_spec", lambda name: None)
    with pytest.raises(TaskError, match=r"gymnasium-robotics is not installed.*vdd_ros\[kitchen\]"):
        model.model_file()


def test_a_package_without_the_model_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = importlib.machinery.ModuleSpec("gymnasium_robotics", None, is_package=True)
    found.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(model, "find_spec", lambda name: found)
    with pytest.raises(TaskError, match="has no envs/assets/kitchen_franka"):
        model.model_file()


def test_the_package_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def watched(name: str, *args: Any, **kwargs: Any) -> Any:
        assert not name.startswith("gymnasium_robotics"), name
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", watched)
    model.scene.cache_clear()
    assert "<mujoco" in model.scene()
