"""Checkpoints that cannot be imported: each has its reason, nothing of them runs and nothing is written."""

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from lerobot_policies import ACTION, ENVIRONMENT, STATE, Policy
from safetensors.numpy import load_file, save_file
from traps import Trap

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.errors import CheckpointError, ConfigurationError, VddError
from vdd_ros.features import Feature
from vdd_ros.learning.importing.folder import import_teacher
from vdd_ros.learning.importing.registry import IMPORTERS, ImportRequest

PRE, POST = "policy_preprocessor.json", "policy_postprocessor.json"
STATES = "policy_preprocessor_step_3_normalizer_processor.safetensors"


def refused(folder: Path, reason: str, kind: type[VddError] = CheckpointError, **request: Any) -> None:
    """Import a folder; assert that it is refused for a reason, and that nothing is written."""
    out = folder.parent / "out"
    wanted = ImportRequest(checkpoint=folder, **({"rate_hz": 10.0} | request))
    with pytest.raises(kind, match=reason):
        import_teacher(IMPORTERS.get("lerobot"), wanted, out)
    assert not out.exists()


def edit(file: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return Policy.drawn().write(tmp_path / "c")


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("type", "act", "is of a policy of the type 'act'; only LeRobot's DiffusionPolicy"),
        ("type", None, "names no type"),
        ("use_peft", True, "use_peft is 'True'; supported: false; merge the adapter"),
        ("n_obs_steps", 0, "n_obs_steps is '0'; supported: a whole number from 1"),
        ("n_obs_steps", 2.5, "n_obs_steps is '2.5'"),
        ("n_obs_steps", 9, "n_obs_steps is '9'; supported: at most the horizon, 8"),
        ("n_action_steps", 8, "n_action_steps is '8'; supported: a whole number from 1 to 7"),
        ("horizon", True, "horizon is 'True'"),
        ("horizon", 9, "network that is not supported: horizon is 9; .* a multiple of 2"),
        ("horizon", 10**9, "horizon is '1000000000'"),
        ("num_train_timesteps", 1, "num_train_timesteps is '1'"),
        ("num_inference_steps", 101, "num_inference_steps is '101'; supported: a whole number from 1 to 100"),
        ("clip_sample", "yes", "clip_sample is 'yes'; supported: true or false"),
        ("clip_sample_range", 0, "clip_sample_range is '0'"),
        ("clip_sample_range", 1e300, r"clip_sample_range is '1e\+300'; supported: a number above 0, at most 1e\+30"),
        ("prediction_type", "v_prediction", "prediction_type is 'v_prediction'; supported: epsilon, sample"),
        ("noise_scheduler_type", "PNDM", "noise_scheduler_type is 'PNDM'; supported: DDPM, DDIM"),
        ("beta_schedule", "sigmoid", "beta_schedule is 'sigmoid'; supported: squaredcos_cap_v2, linear, scaled_linear"),
        ("beta_schedule", ["linear"], "beta_schedule is"),
        ("beta_start", -1, "beta_start is '-1'"),
        ("beta_end", 1e-9, "network that is not supported: beta_start is 0.0001 and beta_end 1e-09"),
        ("down_dims", "8,16", "down_dims is '8,16'; supported: a list"),
        ("down_dims", [8], "network that is not supported: channels has 1 levels"),
        ("down_dims", [8, 10], "channels has 10; all must be multiples"),
        ("kernel_size", 4, "kernel is 4"),
        ("use_film_scale_modulation", 1, "use_film_scale_modulation is '1'"),
        ("input_features", {}, f"input_features is ''; supported: {STATE}"),
        ("input_features", [], "input_features is"),
        (
            "output_features",
            {"actions": {"type": "ACTION", "shape": [2]}},
            "output_features is 'actions'; supported: action",
        ),
    ],
)
def test_values_of_the_configuration(checkpoint: Path, field: str, value: object, reason: str) -> None:
    edit(checkpoint / "config.json", lambda content: content.update({field: value}))
    refused(checkpoint, reason)


@pytest.mark.parametrize("ends", [(1e-30, 1e-29), (0.99, 0.9999)])
def test_noise_levels_that_are_none(checkpoint: Path, ends: tuple[float, float]) -> None:
    """With the first betas nothing becomes noisy, with the others no signal remains, not even in double precision."""
    edit(
        checkpoint / "config.json",
        lambda content: content.update(beta_schedule="linear", beta_start=ends[0], beta_end=ends[1]),
    )
    refused(checkpoint, "network that is not supported: betas is linear, .* do not ascend, or have no end")


@pytest.mark.parametrize(
    ("key", "feature", "reason"),
    [
        (
            "observation.images.top",
            {"type": "VISUAL", "shape": [3, 96, 96]},
            "observes the images observation.images.top",
        ),
        ("observation.image", {"type": "STATE", "shape": [3]}, "observes the images observation.image; only"),
        ("observation.effort", {"type": "STATE", "shape": [3]}, "input_features is 'observation.effort'"),
        (STATE, {"type": "STATE", "shape": [2, 2]}, r"observation.state.shape is '\[2, 2\]'"),
        (STATE, {"type": "ENV", "shape": [2]}, "observation.state.type is 'ENV'; supported: STATE"),
        (ENVIRONMENT, {"shape": [1]}, "observation.environment_state.type is 'None'; supported: ENV"),
    ],
)
def test_features_that_the_network_does_not_take(checkpoint: Path, key: str, feature: object, reason: str) -> None:
    edit(checkpoint / "config.json", lambda content: content["input_features"].update({key: feature}))
    refused(checkpoint, reason)


@pytest.mark.parametrize("field", ["horizon", "prediction_type", "normalization_mapping", "input_features"])
def test_missing_fields(checkpoint: Path, field: str) -> None:
    edit(checkpoint / "config.json", lambda content: content.pop(field))
    refused(checkpoint, f"config.json' lacks the field {field}; copy the checkpoint again")


@pytest.mark.parametrize("text", ["[]", "{", '{"type": "diffusion", "type": "act"}', ""])
def test_damaged_configurations(checkpoint: Path, text: str) -> None:
    (checkpoint / "config.json").write_text(text)
    refused(checkpoint, "config.json")


def test_folders_that_are_none(tmp_path: Path, checkpoint: Path) -> None:
    refused(tmp_path / "absent", "'.*absent' does not exist; name the folder of the checkpoint")
    refused(checkpoint / "config.json", "config.json' is a file; name the folder")
    refused(tmp_path, f"has no config.json; .* perhaps '{checkpoint.name}' in it")
    refused(Path("lerobot/diffusion_pusht"), "does not exist; .*; a policy of the Hub must be downloaded first")
    (tmp_path / "latest.ckpt").write_bytes(b"PK")
    refused(tmp_path / "latest.ckpt", "is a file; `vdd import diffusion-policy` takes")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "has no config.json; name the folder that LeRobot's save_pretrained wrote")


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("name", ["model.safetensors", STATES])
def test_pickles_in_place_of_safetensors_do_not_run(checkpoint: Path, tmp_path: Path, name: str, protocol: int) -> None:
    (checkpoint / name).write_bytes(pickle.dumps({"w": Trap(tmp_path / "ran")}, protocol))
    refused(checkpoint, f"{name}' is (not safetensors but a pickle|truncated or not a safetensors file)")
    assert not (tmp_path / "ran").exists()


def test_a_file_of_torch_does_not_run(checkpoint: Path, tmp_path: Path) -> None:
    import torch

    torch.save({"w": Trap(tmp_path / "ran")}, checkpoint / "model.safetensors")
    refused(checkpoint, "not safetensors but a pickle, as torch.save writes it, which is never opened")
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    refused(checkpoint, r"model.safetensors' is missing \('pytorch_model.bin' may be a pickle, which is never opened\)")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kept", [0, 4, 100, 0.5, -1])
def test_files_that_are_cut_off(checkpoint: Path, kept: float) -> None:
    file = checkpoint / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[: round(kept * len(content)) if isinstance(kept, float) else kept])
    refused(checkpoint, "model.safetensors' is truncated or not a safetensors file .*copy the checkpoint again")


def test_a_header_longer_than_the_file(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
    refused(checkpoint, "is truncated or not a safetensors file")


def change_tensors(checkpoint: Path, change: Callable[[dict[str, Any]], None]) -> None:
    tensors: dict[str, Any] = load_file(checkpoint / "model.safetensors")
    change(tensors)
    save_file(tensors, checkpoint / "model.safetensors")


BIAS = "diffusion.unet.down_modules.0.0.cond_encoder.1.bias"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.pop(BIAS), f"it lacks {BIAS}"),
        (
            lambda t: t.update({"diffusion.rgb_encoder.w": np.zeros(2)}),
            "has diffusion.rgb_encoder.w, which is not part",
        ),
        (lambda t: t.update({BIAS: np.zeros(3, np.float32)}), rf"{BIAS} has the shape \[3\], not \[16\]"),
        (lambda t: t.update({BIAS: np.zeros(16, np.int64)}), f"{BIAS} is not of floating-point numbers"),
        (lambda t: t.update({BIAS: np.full(16, np.nan, np.float32)}), f"{BIAS} is not finite"),
    ],
)
def test_tensors_of_another_network(checkpoint: Path, change: Callable[[dict[str, Any]], None], reason: str) -> None:
    change_tensors(checkpoint, change)
    refused(checkpoint, f"does not fit its config.json: .*{reason}")


def test_a_network_of_absurd_size_takes_no_memory(checkpoint: Path) -> None:
    edit(checkpoint / "config.json", lambda content: content.update(down_dims=[65_536] * 8, horizon=4096, n_groups=8))
    refused(checkpoint, "does not fit its config.json: it lacks diffusion.unet")


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        (PRE, lambda c: c.pop("steps"), "policy_preprocessor.json' has no list of steps"),
        (PRE, lambda c: c["steps"].pop(), "has 0 steps normalizer_processor, not one"),
        (
            PRE,
            lambda c: c["steps"].append({"registry_name": "delta_action_processor", "config": {}}),
            "has the step 'delta_action_processor', which is not supported",
        ),
        (PRE, lambda c: c["steps"].append({"class": "os.system"}), "has the step 'os.system', which is not supported"),
        (
            PRE,
            lambda c: c["steps"][3]["config"]["norm_map"].update(STATE="QUANTILES"),
            "normalises STATE by 'QUANTILES'",
        ),
        (POST, lambda c: c["steps"][0]["config"].update(norm_map=[]), "has no object as its normalisation"),
        (
            PRE,
            lambda c: c["steps"][3].update(state_file="../c/model.safetensors"),
            "state_file .* not the name of a file",
        ),
        (PRE, lambda c: c["steps"][3].update(state_file="other.safetensors"), "other.safetensors' is missing"),
        (PRE, lambda c: c["steps"][3]["config"].update(eps="small"), "has the eps 'small'"),
        (PRE, lambda c: c["steps"][3]["config"].pop("features"), "has no object as the features of the step"),
        (
            PRE,
            lambda c: c["steps"][3]["config"].update(normalize_observation_keys=1),
            "has the normalize_observation_keys '1', not a list of keys",
        ),
    ],
)
def test_processors(checkpoint: Path, name: str, change: Callable[[Any], None], reason: str) -> None:
    edit(checkpoint / name, change)
    refused(checkpoint, reason)


@pytest.mark.parametrize("name", [PRE, POST])
def test_one_processor_without_the_other(checkpoint: Path, name: str) -> None:
    (checkpoint / name).unlink()
    refused(checkpoint, f"lacks {name}; copy the checkpoint again, with all its files")


@pytest.mark.parametrize(
    ("name", "values", "reason", "kind"),
    [
        ("max", [-9.0, -9.0], "minimum of observation.state above its maximum", CheckpointError),
        ("std", [-1.0, 1.0], "deviation of observation.state below 0", CheckpointError),
        ("min", [0.0], "has 1 numbers in observation.state.min, but observation.state has 2", CheckpointError),
        ("min", [np.nan, 0.0], "lacks min and max of observation.state; give --statistics", ConfigurationError),
    ],
)
def test_statistics(checkpoint: Path, name: str, values: list[float], reason: str, kind: type[VddError]) -> None:
    tensors: dict[str, Any] = load_file(checkpoint / STATES)
    tensors[f"{STATE}.{name}"] = np.array(values, np.float32)
    save_file(tensors, checkpoint / STATES)
    refused(checkpoint, reason, kind)


def test_statistics_beyond_single_precision(tmp_path: Path) -> None:
    folder = Policy.drawn(normalization_mapping={"STATE": "MIN_MAX", "ACTION": "MEAN_STD"}).write(tmp_path / "c")
    for file in folder.glob("*processor.safetensors"):
        tensors: dict[str, Any] = load_file(file)
        save_file({**tensors, f"{ACTION}.std": np.array([1.0, 1e300])}, file)
    refused(folder, "a normalisation that single precision cannot represent .action std.; copy the checkpoint again")


def test_a_pipe_in_place_of_the_model_is_not_opened(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").unlink()
    os.mkfifo(checkpoint / "model.safetensors")
    refused(checkpoint, "model.safetensors' is no ordinary file; copy the checkpoint again")


def test_a_normalisation_that_is_not_supported(tmp_path: Path) -> None:
    folder = Policy.drawn(normalization_mapping={"STATE": "QUANTILE10", "ACTION": "IDENTITY"}).write(
        tmp_path / "c", "0.3"
    )
    refused(folder, "normalises STATE by 'QUANTILE10'; supported: MIN_MAX, MEAN_STD, IDENTITY")


def test_limits_of_actions_without_statistics_are_asked_for(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"normalization_mapping": {"ACTION": "IDENTITY"}, "clip_sample": False}
    folder = Policy.drawn(**settings).write(tmp_path / "c", "0.3")
    refused(folder, "lacks min and max of action; give --statistics", ConfigurationError)


@pytest.mark.parametrize("text", ["[]", '{"reward": {"min": [0]}}', "{", json.dumps({ACTION: {"min": [1, 2, 3]}})])
def test_statistics_files(checkpoint: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "stats.json").write_text(text)
    refused(checkpoint, "stats.json", statistics=tmp_path / "stats.json")


def test_demonstrations_of_another_size(checkpoint: Path) -> None:
    header = Header("t", (Feature("x"), Feature("y")), (Feature("u"), Feature("v")), 10.0, "made up", 0)
    made = DemonstrationSet(header, np.zeros((4, 2)), np.zeros((4, 2)), np.array([4]), np.array([-1]))
    reason = r"demonstrations have 2 numbers in the observation, but the policy has 3 \(2 of observation.state and 1 of"
    refused(checkpoint, reason, ConfigurationError, demonstrations=made, rate_hz=None)
