"""Checkpoints of diffusion_policy as teachers: the actions of a separate computation in torch, from the same noise."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

import torch
from diffusion_policies import Array, Policy, demonstrations

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.export.export import export
from vdd_ros.learning.export.graphs import DiffusionGraph
from vdd_ros.learning.fit.metadata import CheckpointMetadata
from vdd_ros.learning.fit.windows import Statistics
from vdd_ros.learning.importing.folder import import_teacher
from vdd_ros.learning.importing.registry import IMPORTERS, ImportRequest
from vdd_ros.learning.kinds import DIFFUSION
from vdd_ros.learning.methods.configs import ExportConfig
from vdd_ros.testing.importers import check_importer

CASES: dict[str, tuple[dict[str, Any], int]] = {
    "DDPM": ({}, 100),
    "DDPM, 8 of 100": ({"num_inference_steps": 8}, 8),
    "DDPM, sample": ({"scheduler__prediction_type": "sample", "scheduler__beta_schedule": "linear"}, 100),
    "DDIM": ({"ddim": True, "num_inference_steps": 8}, 8),
    "DDIM, sample": ({"ddim": True, "scheduler__prediction_type": "sample", "n_obs_steps": 3}, 5),
    "range": ({"ddim": True, "scheduler__clip_sample_range": 0.3, "scheduler__beta_schedule": "scaled_linear"}, 5),
    "shifts only": ({"ddim": True, "model__cond_predict_scale": False, "model__down_dims": [8, 8, 16]}, 5),
    "transformer": ({"transformer": True}, 100),
    "transformer, DDIM": ({"transformer": True, "ddim": True, "n_obs_steps": 3, "model__n_head": 4}, 5),
    "transformer, layers of the state": (
        {"transformer": True, "ddim": True, "model__n_cond_layers": 2, "scheduler__prediction_type": "sample"},
        5,
    ),
    "transformer, not causal": (
        {"transformer": True, "ddim": True, "model__causal_attn": False, "n_obs_steps": 1, "horizon": 5},
        5,
    ),
    "executed actions only": ({"ddim": True, "pred_action_steps_only": True}, 5),
}


def load(policy: Policy, folder: Path, **request: Any) -> CheckpointMetadata:
    """Write a checkpoint as `folder`/latest.ckpt and import it as `folder`/T."""
    wanted = ImportRequest(checkpoint=policy.write(folder / "latest.ckpt"), **({"rate_hz": 10.0} | request))
    return import_teacher(IMPORTERS.get("diffusion-policy"), wanted, folder / "T")


def ours_and_theirs(policy: Policy, folder: Path, steps: int) -> tuple[Array, Array]:
    """Return the actions of the imported teacher and of the policy, for the same windows and noise."""
    metadata = load(policy, folder)
    teacher, _ = DIFFUSION.load(folder / "T")
    graph = DiffusionGraph(teacher, Statistics.from_lists(metadata.statistics), steps, "usual", "usual")
    random = np.random.default_rng(7)
    shape = metadata.model
    windows = random.uniform(policy.low["obs"], policy.high["obs"], (3, shape["history"], shape["obs_dim"]))
    noise = random.standard_normal((3, steps, shape["horizon"], shape["act_dim"])).astype(np.float32)
    windows = windows.astype(np.float32)
    rolled = np.roll(noise, -shape["past"], axis=2)  # ours has the past actions last
    with torch.no_grad():
        found = graph(torch.from_numpy(windows), torch.from_numpy(rolled)).numpy()
    return found, policy.sample(windows.astype(float), noise.astype(float))[:, shape["past"] :]


@pytest.mark.parametrize("case", CASES)
def test_actions_are_diffusion_policy_s_from_the_same_noise(case: str, tmp_path: Path) -> None:
    settings, steps = CASES[case]
    found, expected = ours_and_theirs(Policy.drawn(**settings), tmp_path, steps)
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-5)


@pytest.mark.parametrize("kind", ["deviation", "identity"])
def test_normalisers_of_other_kinds(kind: str, tmp_path: Path) -> None:
    policy = Policy.drawn(ddim=True)
    if kind == "deviation":
        policy.fit("obs", np.array([0.5, 2.0, 3.0]), np.array([0.1, 0.0, -4.0]))
        policy.fit("action", np.array([0.5, 2.0]), np.array([0.1, -0.3]))
    else:
        policy.normalizer["action"] = {"scale": torch.ones(1), "offset": torch.zeros(1)}
    found, expected = ours_and_theirs(policy, tmp_path, 5)
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-5)


def test_without_a_clip_actions_keep_to_the_trained_range_widened_by_a_tenth(tmp_path: Path) -> None:
    policy = Policy.drawn(ddim=True, scheduler__clip_sample=False)
    found, expected = ours_and_theirs(policy, tmp_path, 5)
    margin = 0.05 * (policy.high["action"] - policy.low["action"])
    limits = policy.low["action"] - margin, policy.high["action"] + margin
    np.testing.assert_allclose(found, expected.clip(*limits), rtol=0, atol=5e-5)


def test_a_range_that_the_checkpoint_lacks_is_that_of_the_demonstrations(tmp_path: Path) -> None:
    policy = Policy.drawn(ddim=True, scheduler__clip_sample=False)
    for name in ("min", "max"):
        del policy.normalizer["action"][f"input_stats.{name}"]
    with pytest.raises(ConfigurationError, match="neither clips actions nor has their minimum and maximum; give --dem"):
        load(policy, tmp_path)
    assert not (tmp_path / "T").exists()
    metadata = load(policy, tmp_path, demonstrations=demonstrations(policy), rate_hz=None)
    margin = 0.05 * (policy.high["action"] - policy.low["action"])
    np.testing.assert_allclose(metadata.statistics["action_high"], policy.high["action"] + margin, rtol=1e-6)


def test_what_the_import_says(tmp_path: Path) -> None:
    metadata = load(Policy.drawn(), tmp_path)
    assert (metadata.method, metadata.structure, metadata.task) == ("diffusion-policy", "diffusion", "pusht_lowdim")
    names = [one.name for one in (*metadata.observation, *metadata.action)]
    assert names == ["obs_0", "obs_1", "obs_2", "action_0", "action_1"]
    settings = metadata.settings
    assert (settings["inference_steps"], settings["action_steps"], settings["imported_from"]) == (
        100,
        4,
        "diffusion_policy",
    )
    assert settings["weights"] == "averaged (EMA)"
    assert (metadata.data_sha256, metadata.warnings) == (None, ())
    assert sorted(path.name for path in (tmp_path / "T").iterdir()) == ["model.json", "model.safetensors"]


@pytest.mark.parametrize("name", ["x\n" * 300, 7, ""])
def test_a_task_without_a_usable_name_has_that_of_the_file(name: object, tmp_path: Path) -> None:
    policy = Policy.drawn()
    policy.config["task"]["name"] = name
    assert load(policy, tmp_path).task == "latest"


def test_weights_of_the_last_step_where_the_training_does_not_average(tmp_path: Path) -> None:
    policy = Policy.drawn()
    policy.config["training"]["use_ema"] = False
    metadata = load(policy, tmp_path)
    teacher, _ = DIFFUSION.load(tmp_path / "T")
    bias = teacher.network.state_dict()["read.bias"]  # type: ignore[attr-defined]
    torch.testing.assert_close(bias, policy.network.state_dict()["final_conv.1.bias"].float() + 1)
    assert metadata.settings["weights"] == "those of the last step"


def test_references_within_the_configuration_are_followed(tmp_path: Path) -> None:
    policy = Policy.drawn()
    policy.config |= {"horizon": 8, "policy_horizon": "${horizon}"}
    policy.config["policy"]["horizon"] = "${policy_horizon}"
    assert load(policy, tmp_path).model["horizon"] == 8


@pytest.mark.parametrize(
    ("settings", "doubt"),
    [
        ({"num_inference_steps": 50}, "samples 50 of 100 steps of DDPM, which diffusers 0.11.1"),
        (
            {"ddim": True, "num_inference_steps": 8, "scheduler__prediction_type": "sample"},
            "samples with DDIM a network",
        ),
    ],
)
def test_doubts_about_versions_of_diffusers(settings: dict[str, Any], doubt: str, tmp_path: Path) -> None:
    (warning,) = load(Policy.drawn(**settings), tmp_path).warnings
    assert doubt in warning


def test_entries_that_never_changed(tmp_path: Path) -> None:
    """diffusion_policy gives them the scale 1, and an offset that makes them 0."""
    policy = Policy.drawn(ddim=True)
    for key in ("obs", "action"):
        policy.high[key][0] = policy.low[key][0]
        scale = np.where(
            policy.high[key] == policy.low[key], 1.0, 2 / np.maximum(policy.high[key] - policy.low[key], 1)
        )
        policy.fit(key, scale, np.where(scale == 1.0, -policy.low[key], -1 - scale * policy.low[key]))
    metadata = load(policy, tmp_path)
    assert [text.split(" never")[0] for text in metadata.warnings] == [
        "the observation entry obs_0",
        "the action entry action_0",
    ]
    assert metadata.statistics["observation_std"][0] == 1.0


def test_demonstrations_supply_names_units_and_rate_and_prove_their_statistics(tmp_path: Path) -> None:
    policy = Policy.drawn()
    demonstrations(policy).save(tmp_path / "D")
    made = DemonstrationSet.load(tmp_path / "D")
    metadata = load(policy, tmp_path, demonstrations=made, rate_hz=None)
    assert (metadata.task, metadata.data_sha256, metadata.warnings) == ("pushing T", made.sha256, ())
    assert json.loads((tmp_path / "T" / "demonstrations.json").read_text())["sha256"] == made.sha256


def test_demonstrations_with_other_statistics_are_not_its_training_data(tmp_path: Path) -> None:
    metadata = load(Policy.drawn(), tmp_path, demonstrations=demonstrations(Policy.drawn(seed=5)), rate_hz=None)
    assert metadata.data_sha256 is None
    assert "min of obs is not that of the demonstrations given at the import" in metadata.warnings[0]


@pytest.mark.parametrize("settings", [{}, {"model__n_cond_layers": 1, "model__causal_attn": False}])
def test_the_policy_file_of_a_transformer_acts_as_it(settings: dict[str, Any], tmp_path: Path) -> None:
    policy = Policy.drawn(ddim=True, transformer=True, **settings)
    load(policy, tmp_path)
    file = tmp_path / "teacher.onnx"
    spec = export(tmp_path / "T", file, ExportConfig(steps=4, novelty=False))
    assert (spec.method, spec.horizon, spec.noise_shape) == ("diffusion-policy-transformer", 7, (4, 8, 2))
    windows = np.random.default_rng(7).uniform(policy.low["obs"], policy.high["obs"], (3, 2, 3)).astype(np.float32)
    noise = np.random.default_rng(8).standard_normal((3, 4, 8, 2)).astype(np.float32)
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    (found, *_) = session.run(None, dict(zip(names, (windows, np.roll(noise, -1, axis=2)), strict=True)))
    expected = policy.sample(windows.astype(float), noise.astype(float))[:, 1:]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("state_layers", [0, 1])
def test_many_actions_and_levels_at_once_are_as_one_by_one(state_layers: int, tmp_path: Path) -> None:
    load(Policy.drawn(transformer=True, model__n_cond_layers=state_layers), tmp_path)
    teacher, _ = DIFFUSION.load(tmp_path / "T")
    generator = torch.Generator().manual_seed(0)
    observation, action = (torch.randn(size, generator=generator) for size in ((2, 2, 3), (2, 4, 16)))
    sigma = 0.1 + torch.rand((2, 4), generator=generator)
    with torch.no_grad():
        whole = teacher.denoise(teacher.encode(observation), action, sigma)
        same = teacher.denoise(teacher.encode(observation), action, sigma[:1, :1])
        for row in range(2):
            context = teacher.encode(observation[row : row + 1])
            for column in range(4):
                one = action[row : row + 1, column : column + 1]
                found = teacher.denoise(context, one, sigma[row : row + 1, column : column + 1])
                torch.testing.assert_close(found[0, 0], whole[row, column])
                torch.testing.assert_close(teacher.denoise(context, one, sigma[:1, :1])[0, 0], same[row, column])


@pytest.mark.parametrize("transformer", [False, True])
def test_the_shipped_importer_conforms(transformer: bool, tmp_path: Path) -> None:
    file = Policy.drawn(ddim=True, transformer=transformer).write(tmp_path / "latest.ckpt")
    check_importer(IMPORTERS.get("diffusion-policy"), ImportRequest(checkpoint=file, rate_hz=10.0))
