"""LeRobot's DiffusionPolicy as a teacher: the actions of a computation in numpy, from the checkpoint to the file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

import torch
from lerobot_policies import ACTION, ENVIRONMENT, STATE, Array, Policy, demonstrations
from safetensors.numpy import load_file, save_file
from trainings import distil, distil_consistency

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import CheckpointError, ConfigurationError
from vdd_ros.learning.export.export import export
from vdd_ros.learning.export.graphs import DiffusionGraph
from vdd_ros.learning.fit.metadata import CheckpointMetadata
from vdd_ros.learning.fit.windows import Statistics
from vdd_ros.learning.importing.folder import import_teacher
from vdd_ros.learning.importing.registry import IMPORTERS, ImportRequest
from vdd_ros.learning.kinds import DIFFUSION
from vdd_ros.learning.methods.configs import CDConfig, DistilConfig, ExportConfig
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.testing.importers import check_importer

CASES: dict[str, tuple[dict[str, Any], str, int]] = {
    "DDPM": ({}, "0.6", 100),
    "DDPM, 8 of 100": ({}, "0.6", 8),
    "DDIM": ({"noise_scheduler_type": "DDIM"}, "0.6", 10),
    "0.3": ({"noise_scheduler_type": "DDIM"}, "0.3", 10),
    "sample": (
        {"noise_scheduler_type": "DDIM", "prediction_type": "sample", "n_obs_steps": 3, "beta_schedule": "linear"},
        "0.6",
        16,
    ),
    "DDPM, sample": ({"prediction_type": "sample", "beta_schedule": "scaled_linear"}, "0.3", 7),
    "mean-std": ({"normalization_mapping": {"STATE": "MEAN_STD", "ACTION": "MEAN_STD"}}, "0.6", 5),
    "0.3, mean-std": ({"normalization_mapping": {"STATE": "MEAN_STD", "ACTION": "MEAN_STD"}}, "0.3", 5),
    "identity": ({"normalization_mapping": {"STATE": "IDENTITY", "ACTION": "IDENTITY"}}, "0.3", 5),
    "environment": (
        {"normalization_mapping": {"STATE": "MIN_MAX", "ENV": "MIN_MAX", "ACTION": "MIN_MAX"}, "n_obs_steps": 1},
        "0.6",
        5,
    ),
    "range": ({"clip_sample_range": 0.3, "noise_scheduler_type": "DDIM"}, "0.6", 5),
}


def load(policy: Policy, folder: Path, version: str = "0.6", **request: Any) -> CheckpointMetadata:
    """Write a checkpoint in `folder`/c and import it as `folder`/T."""
    wanted = ImportRequest(checkpoint=policy.write(folder / "c", version), **({"rate_hz": 10.0} | request))
    return import_teacher(IMPORTERS.get("lerobot"), wanted, folder / "T")


def drawn_inputs(policy: Policy, steps: int, count: int = 3) -> tuple[Array, Array]:
    """Return windows within the range of the statistics, and noise in the order of time; rounded to float32."""
    random = np.random.default_rng(7)
    ends = [np.concatenate([policy.statistics[key][name] for key in policy.observed]) for name in ("min", "max")]
    windows = random.uniform(ends[0], ends[1], (count, policy.config["n_obs_steps"], len(ends[0])))
    noise = random.standard_normal((count, steps, policy.config["horizon"], policy.sizes[ACTION]))
    return windows.astype(np.float32).astype(float), noise.astype(np.float32).astype(float)


def expected(policy: Policy, windows: Array, noise: Array) -> Array:
    """Return the actions from the newest observation on."""
    chunks = [policy.sample(window, draws) for window, draws in zip(windows, noise, strict=True)]
    return np.stack(chunks)[:, policy.config["n_obs_steps"] - 1 :]


def our_noise(policy: Policy, noise: Array) -> Array:
    """Return noise with the rows of past actions last."""
    return np.roll(noise, 1 - policy.config["n_obs_steps"], axis=2).astype(np.float32)


def agreeing(policy: Policy) -> Policy:
    """Take mean and deviation from the demonstrations of `demonstrations`."""
    made = demonstrations(policy)
    first = 0
    for key in policy.observed:
        values = made.observation[:, first : first + policy.sizes[key]]
        first += policy.sizes[key]
        policy.statistics[key] |= {"mean": values.mean(0), "std": values.std(0)}
    policy.statistics[ACTION] |= {"mean": made.action.mean(0), "std": made.action.std(0)}
    return policy


@pytest.mark.parametrize("case", CASES)
def test_actions_are_lerobot_s_from_the_same_noise(case: str, tmp_path: Path) -> None:
    settings, version, steps = CASES[case]
    policy = Policy.drawn(**settings)
    load(policy, tmp_path, version)
    teacher, metadata = DIFFUSION.load(tmp_path / "T")
    graph = DiffusionGraph(teacher, Statistics.from_lists(metadata.statistics), steps, "usual", "usual")
    windows, noise = drawn_inputs(policy, steps)
    with torch.no_grad():
        found = graph(torch.tensor(windows, dtype=torch.float32), torch.from_numpy(our_noise(policy, noise)))
    np.testing.assert_allclose(found.numpy(), expected(policy, windows, noise), rtol=0, atol=5e-5)


def test_without_a_clip_actions_keep_to_the_trained_range_widened_by_a_tenth(tmp_path: Path) -> None:
    policy = Policy.drawn(clip_sample=False, noise_scheduler_type="DDIM")
    metadata = load(policy, tmp_path)
    low, high = policy.statistics[ACTION]["min"], policy.statistics[ACTION]["max"]
    np.testing.assert_allclose(metadata.statistics["action_low"], low - 0.05 * (high - low), rtol=1e-6)
    np.testing.assert_allclose(metadata.statistics["action_high"], high + 0.05 * (high - low), rtol=1e-6)
    teacher, _ = DIFFUSION.load(tmp_path / "T")
    graph = DiffusionGraph(teacher, Statistics.from_lists(metadata.statistics), 5, "usual", "usual")
    windows, noise = drawn_inputs(policy, 5)
    with torch.no_grad():
        found = graph(torch.tensor(windows, dtype=torch.float32), torch.from_numpy(our_noise(policy, noise)))
    limits = metadata.statistics["action_low"], metadata.statistics["action_high"]
    np.testing.assert_allclose(found.numpy(), expected(policy, windows, noise).clip(*limits), rtol=0, atol=5e-5)


def test_a_folder_may_lack_what_the_network_does_not_need(tmp_path: Path) -> None:
    policy = Policy.drawn(noise_scheduler_type="DDIM", num_inference_steps=10)
    metadata = load(policy, tmp_path)
    assert (metadata.method, metadata.structure, metadata.task, metadata.rate_hz) == ("lerobot", "diffusion", "c", 10.0)
    names = ["state_0", "state_1", "environment_state", "action_0", "action_1"]
    assert [one.name for one in (*metadata.observation, *metadata.action)] == names
    assert {one.unit for one in (*metadata.observation, *metadata.action)} == {"unknown"}
    settings = metadata.settings
    assert (settings["inference_steps"], settings["action_steps"], settings["imported_from"]) == (10, 4, "LeRobot")
    assert settings["normalisation.observation.environment_state"] == "IDENTITY"
    assert metadata.data_sha256 is None
    assert metadata.warnings == ()


def test_demonstrations_supply_names_units_and_rate_and_prove_their_statistics(tmp_path: Path) -> None:
    policy = agreeing(Policy.drawn())
    made = demonstrations(policy)
    made.save(tmp_path / "D")
    made = DemonstrationSet.load(tmp_path / "D")
    metadata = load(policy, tmp_path, demonstrations=made, rate_hz=None)
    assert not metadata.signature.differences(made.header.signature)
    assert (metadata.task, metadata.data_sha256, metadata.warnings) == ("sorting", made.sha256, ())
    assert json.loads((tmp_path / "T" / "demonstrations.json").read_text())["sha256"] == made.sha256


@pytest.mark.parametrize("swap", [False, True])
def test_demonstrations_with_other_statistics_are_not_its_training_data(swap: bool, tmp_path: Path) -> None:
    policy = Policy.drawn()
    other = policy if swap else Policy.drawn(seed=5)
    metadata = load(policy, tmp_path, demonstrations=demonstrations(other, swap=swap), rate_hz=None)
    assert metadata.data_sha256 is None
    assert "min of observation.state is not that of the demonstrations" in metadata.warnings[0]
    assert "another order than observation.state, observation.environment_state" in metadata.warnings[0]


@pytest.mark.parametrize("given", ["file", "demonstrations"])
@pytest.mark.parametrize("lost", ["infinite", "absent"])
def test_lost_statistics_are_asked_for(given: str, lost: str, tmp_path: Path) -> None:
    """LeRobot 0.3 stores infinite statistics where a policy was made without a data set."""
    policy = Policy.drawn()
    folder = policy.write(tmp_path / "c", "0.3")
    tensors = load_file(folder / "model.safetensors")
    for name in [name for name in tensors if name.startswith(("normalize", "unnormalize"))]:
        if lost == "infinite":
            tensors[name] = np.full_like(tensors[name], np.inf)
        else:
            del tensors[name]
    save_file(tensors, folder / "model.safetensors")
    importer, out = IMPORTERS.get("lerobot"), tmp_path / "T"
    with pytest.raises(
        ConfigurationError, match=r"lacks min and max of observation.state; give --statistics FILE.*--demos"
    ):
        import_teacher(importer, ImportRequest(checkpoint=folder, rate_hz=10.0), out)
    assert not out.exists()
    if given == "file":
        stats = {
            key: {name: values.tolist() for name, values in mine.items()} for key, mine in policy.statistics.items()
        }
        (tmp_path / "stats.json").write_text(json.dumps({**stats, "timestamp": {"min": [0.0], "max": [1.0]}}))
        request = ImportRequest(checkpoint=folder, rate_hz=10.0, statistics=tmp_path / "stats.json")
    else:
        request = ImportRequest(checkpoint=folder, demonstrations=demonstrations(policy))
    found = import_teacher(importer, request, out)
    low, high = policy.statistics[ACTION]["min"], policy.statistics[ACTION]["max"]
    np.testing.assert_allclose(found.statistics["action_mean"], (low + high) / 2, rtol=1e-6)
    np.testing.assert_allclose(found.statistics["action_std"], (high - low) / 2, rtol=1e-6)


def test_the_rate_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"lack the control rate; give --demos PATH.*or --rate-hz"):
        load(Policy.drawn(), tmp_path, rate_hz=None)
    with pytest.raises(ConfigurationError, match="demonstrations state rate and task"):
        load(Policy.drawn(), tmp_path, demonstrations=demonstrations(Policy.drawn()))
    assert not (tmp_path / "T").exists()


@pytest.mark.parametrize("how", ["normalize_observation_keys", "features"])
def test_the_normalising_step_may_leave_features_out(how: str, tmp_path: Path) -> None:
    """It then passes them as they are, although their type has a mode, as a policy of LeRobot without that mode."""
    modes = {"STATE": "MIN_MAX", "ENV": "MIN_MAX", "ACTION": "MIN_MAX"}
    policy = Policy.drawn(normalization_mapping=modes)
    file = policy.write(tmp_path / "c") / "policy_preprocessor.json"
    content = json.loads(file.read_text())
    config = content["steps"][3]["config"]
    if how == "features":
        del config["features"][ENVIRONMENT]
    else:
        config[how] = [STATE]
    file.write_text(json.dumps(content))
    found = import_teacher(
        IMPORTERS.get("lerobot"), ImportRequest(checkpoint=tmp_path / "c", rate_hz=10.0), tmp_path / "T"
    )
    low, high = policy.statistics[STATE]["min"], policy.statistics[STATE]["max"]
    np.testing.assert_allclose(found.statistics["observation_mean"], [*(low + high) / 2, 0.0], rtol=1e-6)
    np.testing.assert_allclose(found.statistics["observation_std"], [*(high - low) / 2, 1.0], rtol=1e-6)
    assert found.settings[f"normalisation.{ENVIRONMENT}"] == "IDENTITY"


@pytest.mark.parametrize("mode", ["MIN_MAX", "MEAN_STD"])
def test_entries_that_never_changed_do_not_make_small_deviations_huge(mode: str, tmp_path: Path) -> None:
    """LeRobot's network saw -1 (min-max) or 0 (mean-std) of them; a millimetre beside it counted 2e5."""
    policy = Policy.drawn(normalization_mapping={"STATE": mode, "ACTION": mode})
    for key in (STATE, ACTION):
        one = policy.statistics[key]
        one["max"][0] = one["mean"][0] = one["min"][0]
        one["std"][0] = 0.0
    metadata = load(policy, tmp_path)
    assert [text.split(" never")[0] for text in metadata.warnings] == [
        "the observation entry state_0",
        "the action entry action_0",
    ]
    value = np.float32(policy.statistics[STATE]["min"][0])
    mean, deviation = (np.float32(metadata.statistics[f"observation_{name}"][0]) for name in ("mean", "std"))
    assert (value - mean) / deviation == pytest.approx(-1.0 if mode == "MIN_MAX" else 0.0, abs=1e-6)
    assert (value + np.float32(0.001) - mean) / deviation == pytest.approx((value - mean) / deviation, abs=2e-3)
    teacher, _ = DIFFUSION.load(tmp_path / "T")
    graph = DiffusionGraph(teacher, Statistics.from_lists(metadata.statistics), 5, "usual", "usual")
    windows, noise = drawn_inputs(policy, 5)
    windows[:, :, 0] = value
    with torch.no_grad():
        found = graph(torch.tensor(windows, dtype=torch.float32), torch.from_numpy(our_noise(policy, noise))).numpy()
    wanted = expected(policy, windows, noise)
    np.testing.assert_allclose(found[..., 1], wanted[..., 1], rtol=0, atol=5e-5)
    np.testing.assert_allclose(found[..., 0], wanted[..., 0], rtol=0, atol=2.1e-3)


def test_unknown_fields_of_a_later_version_are_named(tmp_path: Path) -> None:
    metadata = load(Policy.drawn(flow_matching=True), tmp_path)
    assert metadata.warnings == (
        "config.json has fields that this version does not know (flow_matching); they were ignored",
    )


def test_half_precision_weights_are_read(tmp_path: Path) -> None:
    policy = Policy.drawn()
    policy.tensors = {name: values.astype(np.float16) for name, values in policy.tensors.items()}
    load(policy, tmp_path)
    teacher, metadata = DIFFUSION.load(tmp_path / "T")
    graph = DiffusionGraph(teacher, Statistics.from_lists(metadata.statistics), 5, "usual", "usual")
    windows, noise = drawn_inputs(policy, 5)
    with torch.no_grad():
        found = graph(torch.tensor(windows, dtype=torch.float32), torch.from_numpy(our_noise(policy, noise)))
    np.testing.assert_allclose(found.numpy(), expected(policy, windows, noise), rtol=0, atol=5e-5)


def test_the_checkpoint_itself_is_never_replaced(tmp_path: Path) -> None:
    folders = [Policy.drawn(seed=seed).write(tmp_path / str(seed)) for seed in range(2)]
    before = [(folder / "model.safetensors").read_bytes() for folder in folders]
    for out in folders:
        wanted = ImportRequest(checkpoint=folders[0], rate_hz=10.0)
        with pytest.raises(CheckpointError, match=r"holds a model of another program \(config.json\); choose another"):
            import_teacher(IMPORTERS.get("lerobot"), wanted, out, force=True)
    assert [(folder / "model.safetensors").read_bytes() for folder in folders] == before


def test_a_teacher_is_replaced_only_by_force(tmp_path: Path) -> None:
    load(Policy.drawn(), tmp_path)
    before = (tmp_path / "T" / "model.safetensors").read_bytes()
    with pytest.raises(CheckpointError, match="already holds a trained model; replace it with --force"):
        load(Policy.drawn(seed=1), tmp_path)
    assert (tmp_path / "T" / "model.safetensors").read_bytes() == before
    wanted = ImportRequest(checkpoint=tmp_path / "c", rate_hz=10.0)
    import_teacher(IMPORTERS.get("lerobot"), wanted, tmp_path / "T", force=True)
    assert (tmp_path / "T" / "model.safetensors").read_bytes() != before
    assert sorted(path.name for path in (tmp_path / "T").iterdir()) == ["model.json", "model.safetensors"]


@pytest.mark.parametrize("scheduler", ["DDPM", "DDIM"])
def test_the_policy_file_acts_as_lerobot(scheduler: str, tmp_path: Path) -> None:
    policy = Policy.drawn(noise_scheduler_type=scheduler)
    load(policy, tmp_path)
    file = tmp_path / "teacher.onnx"
    spec = export(tmp_path / "T", file, ExportConfig(steps=4, novelty=False))
    assert spec.settings["sampler"] == {"DDPM": "ancestral", "DDIM": "ddim"}[scheduler]
    assert (spec.settings["schedule"], spec.settings["past_actions"]) == ("leading", 1)
    assert (spec.horizon, spec.noise_shape) == (7, (4, 8, 2))
    opened = OnnxPolicy.load(file, seed=0)
    assert opened.spec == spec
    windows, noise = drawn_inputs(policy, 4)
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    given = {"observation": windows.astype(np.float32), "noise": our_noise(policy, noise)}
    (found,) = session.run(["action"], given)
    np.testing.assert_allclose(found, expected(policy, windows, noise), rtol=0, atol=5e-5)
    assert opened.act(windows[0]).action.shape == (7, 2)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_students_act_from_the_newest_observation_on(covariance: Any, tmp_path: Path) -> None:
    policy = agreeing(Policy.drawn(noise_scheduler_type="DDIM"))
    made = demonstrations(policy)
    load(policy, tmp_path, demonstrations=made, rate_hz=None)
    small: dict[str, Any] = {"backbone": "mlp", "width": 8, "layers": 1, "octaves": 1, "experts": 3, "head_width": 8}
    config = DistilConfig(steps=3, batch=8, pool_copies=1, pool_samples=2, covariance=covariance, **small)
    metadata = distil(tmp_path / "T", made, tmp_path / "S", config)
    assert (metadata.model["horizon"], metadata.model["past"], metadata.warnings) == (8, 1, ())
    spec = export(tmp_path / "S", tmp_path / "student.onnx", ExportConfig(), demonstrations=made)
    assert (spec.horizon, spec.noise_shape, "past_actions" in spec.settings) == (7, (7, 2), False)
    consistency = CDConfig(steps=2, batch=8, start_from_teacher=False)
    distil_consistency(tmp_path / "T", made, tmp_path / "C", consistency)
    spec = export(tmp_path / "C", tmp_path / "cd.onnx", ExportConfig(novelty=False))
    assert (spec.horizon, spec.noise_shape, spec.settings["past_actions"]) == (7, (8, 2), 1)


def test_one_step_students_cannot_start_from_a_u_net(tmp_path: Path) -> None:
    policy = Policy.drawn()
    made = demonstrations(policy)
    load(policy, tmp_path, demonstrations=made, rate_hz=None)
    with pytest.raises(ConfigurationError, match="no student can start from it; give --no-start-from-teacher"):
        distil_consistency(tmp_path / "T", made, tmp_path / "C", CDConfig(steps=2, batch=8))


def test_state_alone_suffices(tmp_path: Path) -> None:
    policy = Policy.drawn(sizes={STATE: 3, ACTION: 2})
    assert len(load(policy, tmp_path).observation) == 3
    assert ENVIRONMENT not in policy.sizes


def test_the_shipped_importer_conforms(tmp_path: Path) -> None:
    checkpoint = Policy.drawn(noise_scheduler_type="DDIM").write(tmp_path / "c")
    check_importer(IMPORTERS.get("lerobot"), ImportRequest(checkpoint=checkpoint, rate_hz=10.0))
