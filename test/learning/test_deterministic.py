"""Policy files with the observation as their only input: usable by other runners, and by the node."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

pytest.importorskip("torch")

from loop_rig import AVOIDING, Rig
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from policy_files import replace_metadata
from toy_targets import restless, small_demonstrations
from trainings import distil, distil_consistency, train_teacher

from vdd_ros.cli.main import main
from vdd_ros.errors import ConfigurationError, PolicyFileError
from vdd_ros.learning.methods.configs import CDConfig, DistilConfig, TrainConfig
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile

SMALL: dict[str, Any] = {"width": 16, "layers": 1, "octaves": 2}
SEED = 4
KINDS = ["vdd", "vdd with goal", "ddpm", "cd"]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint of each kind with random weights."""
    folder, demonstrations = tmp_path_factory.mktemp("checkpoints"), small_demonstrations()
    found = {kind: folder / kind.replace(" ", "_") for kind in KINDS}
    train_teacher(demonstrations, found["ddpm"], TrainConfig(backbone="mlp", steps=2, batch=4, history=1, **SMALL))
    with_goal = TrainConfig(backbone="mlp", steps=2, batch=4, history=2, horizon=3, goal_length=2, **SMALL)
    train_teacher(demonstrations, folder / "teacher", with_goal)
    small = DistilConfig(steps=2, batch=4, experts=5, pool_samples=2, backbone="mlp", **SMALL)
    distil(found["ddpm"], demonstrations, found["vdd"], small)
    distil(folder / "teacher", demonstrations, found["vdd with goal"], small)
    distil_consistency(found["ddpm"], demonstrations, found["cd"], CDConfig(steps=2, batch=4, levels_per_state=1))
    for kind, scale in zip(KINDS, (0.2, 0.2, 0.05, 0.05), strict=True):
        restless(found[kind], scale)
    return found


@pytest.fixture(scope="module")
def files(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """The ordinary and the deterministic policy file of each kind."""
    folder = tmp_path_factory.mktemp("files")
    found = {}
    for kind, checkpoint in checkpoints.items():
        steps = ["--steps", "3"] if kind == "ddpm" else []
        pair = (folder / f"{checkpoint.name}.onnx", folder / f"{checkpoint.name}_deterministic.onnx")
        for file, options in zip(pair, ([], ["--deterministic"]), strict=True):
            argv = ["export", str(checkpoint), "--out", str(file), "--seed", str(SEED), *steps, *options]
            assert main(argv) == 0
        found[kind] = pair
    return found


def run(file: Path, inputs: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
    """Run a file with ONNX Runtime alone, with all inputs that it takes and no others."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    taken = {node.name: inputs[node.name] for node in session.get_inputs()}
    return dict(zip(names, session.run(names, taken), strict=True))


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_the_observation_alone_gives_what_the_ordinary_file_gives_without_chance(
    files: dict[str, tuple[Path, Path]], kind: str, rows: int
) -> None:
    """Of a mixture the likeliest expert and its mean; of the others one draw, the seed's."""
    ordinary, deterministic = files[kind]
    spec, rng = OnnxPolicy.load(ordinary).spec, np.random.default_rng(0)
    mean, std = (np.array(getattr(spec.statistics, f"observation_{moment}")) for moment in ("mean", "std"))

    def drawn(length: int) -> NDArray[np.float32]:
        return (mean + std * rng.standard_normal((rows, length, spec.obs_dim))).astype(np.float32)

    states = {"observation": drawn(spec.history)} | ({"goal": drawn(spec.goal_length)} if spec.goal_length else {})
    noise = np.random.default_rng(SEED).standard_normal(spec.noise_shape) * (not spec.is_mixture)
    draws = {
        "noise": np.tile(noise, (rows, *(1 for _ in noise.shape))).astype(np.float32),
        "expert_uniform": np.full(rows, -1, np.float32),
    }
    expected, found = run(ordinary, states | draws), run(deterministic, states)
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert_allclose(found[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    session = onnxruntime.InferenceSession(str(deterministic), providers=["CPUExecutionProvider"])
    assert [node.name for node in session.get_inputs()] == list(states)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_a_policy_file_that_draws_nothing(files: dict[str, tuple[Path, Path]], kind: str) -> None:
    ordinary, deterministic = files[kind]
    policies = [
        OnnxPolicy.load(deterministic, expert=expert, noise=noise, seed=seed)
        for expert, noise, seed in (("sample", "full", 0), ("greedy", "mean", 1), ("sticky", "full", 2))
    ]
    spec = policies[0].spec
    assert spec.is_deterministic
    assert not OnnxPolicy.load(ordinary).spec.is_deterministic
    observation = np.tile(spec.statistics.observation_mean, (spec.history, 1))
    goal = np.tile(observation[0], (spec.goal_length, 1)) if spec.goal_length else None
    policies[0].warm_up(2)
    policies[0].dry_run(observation, goal)
    actions = [policy.act(observation, goal).action.copy() for policy in policies for _ in range(2)]
    batch = policies[0].act_batch(observation[None], None if goal is None else goal[None])
    for action in [*actions, batch.action[0]]:
        assert_allclose(action, actions[0], rtol=1e-6, atol=1e-9)
    if spec.is_mixture:
        greedy = OnnxPolicy.load(ordinary, expert="greedy").act(observation, goal)
        assert_allclose(actions[0], greedy.action, rtol=1e-5, atol=1e-8)
        with pytest.raises(ConfigurationError, match=r"one action of its mixture.*without --deterministic"):
            policies[0].mixture(observation, goal)


@pytest.mark.parametrize("kind", ["vdd", "ddpm", "cd"])
def test_a_loop_commands_with_it(files: dict[str, tuple[Path, Path]], kind: str) -> None:
    policy = OnnxPolicy.load(files[kind][1])
    rig = Rig(policy, RobotFile.load(AVOIDING))
    for tick in range(4):
        now_s = 1.0 + 0.035 * tick
        rig.see((0.5, 0.1), (0.5, 0.1), now_s)
        rig.loop.tick(now_s, 0.0)
    assert len(rig.out.commands) == 4
    assert_array_equal(rig.out.commands[0], rig.out.commands[1])


@pytest.mark.parametrize(("claimed", "named"), [(True, "noise, expert_uniform, but"), (False, "calls for .*noise")])
def test_a_file_that_says_otherwise_than_its_graph_is_refused(
    files: dict[str, tuple[Path, Path]], tmp_path: Path, claimed: bool, named: str
) -> None:
    source = files["vdd"][0 if claimed else 1]
    document = json.loads(OnnxPolicy.load(source).spec.to_json())
    document["settings"]["deterministic"] = claimed
    path = tmp_path / "p.onnx"
    path.write_bytes(source.read_bytes())
    replace_metadata(path, json.dumps(document))
    with pytest.raises(PolicyFileError, match=named):
        OnnxPolicy.load(path)


def test_uses_of_the_distribution_refuse_a_deterministic_file(
    files: dict[str, tuple[Path, Path]], checkpoints: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["fidelity", str(files["ddpm"][0]), str(files["vdd"][1])]
    assert main([*argv, "--demos", str(checkpoints["ddpm"]), "--states", "2"]) == 2
    assert "is deterministic, but fidelity compares random actions" in capsys.readouterr().err


def test_an_evaluation_says_that_nothing_was_drawn(
    files: dict[str, tuple[Path, Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.json"
    argv = ["evaluate", str(files["vdd"][1]), "--rollouts", "1", "--seeds", "0", "--json", str(file)]
    assert main(argv) == 0
    assert "5 experts, deterministic: the mean of the likeliest" in capsys.readouterr().out
    settings = json.loads(file.read_text())["settings"]
    assert (settings["deterministic"], settings["expert"], settings["noise"]) == (True, None, None)
