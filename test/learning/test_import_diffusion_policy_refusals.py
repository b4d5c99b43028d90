"""Checkpoints of diffusion_policy that cannot be imported: each has its reason, and nothing is written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from diffusion_policies import Policy, omega
from traps import Trap

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.errors import CheckpointError, ConfigurationError, VddError
from vdd_ros.features import Feature
from vdd_ros.learning.importing.folder import import_teacher
from vdd_ros.learning.importing.registry import IMPORTERS, ImportRequest


def refused(file: Path, reason: str, kind: type[VddError] = CheckpointError, **request: Any) -> None:
    """Import a file; assert that it is refused for a reason, and that nothing is written."""
    out = file.parent / "out"
    wanted = ImportRequest(checkpoint=file, **({"rate_hz": 10.0} | request))
    with pytest.raises(kind, match=reason):
        import_teacher(IMPORTERS.get("diffusion-policy"), wanted, out)
    assert not out.exists()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "latest.ckpt"


MODEL, SCHEDULER = "model__", "scheduler__"
CLASS = "_target_"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({CLASS: "a.DiffusionUnetImagePolicy"}, "class DiffusionUnetImagePolicy; .* Policies with images cannot"),
        ({CLASS: "a.BETLowdimPolicy"}, "class BETLowdimPolicy; only .* can be imported. Export another policy as ONNX"),
        ({"obs_as_global_cond": False}, r"obs_as_global_cond is 'False'; .* part of the trajectory \(inpainting\)"),
        ({"obs_as_local_cond": True}, "policy.obs_as_local_cond is 'True'; supported: false"),
        (
            {"obs_as_local_cond": True, "obs_as_global_cond": False},
            "obs_as_global_cond is 'False'; supported: true; this policy takes the observation as local condition",
        ),
        ({"obs_as_global_cond": "yes"}, "policy.obs_as_global_cond is 'yes'; supported: true or false"),
        ({"oa_step_convention": False}, "policy.oa_step_convention is 'False'; supported: true"),
        ({"horizon": 9}, "a network that is not supported: horizon is 9; .* a multiple of 2"),
        ({"horizon": "${eval:'${a}+1'}"}, "policy.horizon is .*Expressions are never evaluated"),
        ({"n_obs_steps": 9}, "policy.n_obs_steps is '9'; supported: at most the horizon, 8"),
        ({"n_action_steps": 8}, "policy.n_action_steps is '8'; supported: a whole number from 1 to 7"),
        ({"num_inference_steps": 101}, "policy.num_inference_steps is '101'"),
        ({"obs_dim": 0}, "policy.obs_dim is '0'"),
        ({"eta": 0.5}, "policy.eta is '0.5'; supported: none: it would go to the scheduler's step"),
        ({f"{MODEL}input_dim": 5}, "policy.model.input_dim is '5'; supported: 2, that is action_dim"),
        (
            {f"{MODEL}global_cond_dim": None},
            "policy.model.global_cond_dim is 'None'; supported: 6, that is obs_dim times",
        ),
        ({f"{MODEL}local_cond_dim": 3}, "policy.model.local_cond_dim is '3'; supported: none"),
        ({f"{MODEL}down_dims": [8, 10]}, "channels has 10; all must be multiples"),
        ({f"{MODEL}{CLASS}": "a.Other"}, "policy.model._target_ is 'Other'; supported: ConditionalUnet1D"),
        ({f"{MODEL}attention": True}, "policy.model.attention is 'True'; supported: no such field"),
        (
            {f"{SCHEDULER}{CLASS}": "diffusers.PNDMScheduler"},
            "_target_ is 'PNDMScheduler'; supported: DDPMScheduler, DDI",
        ),
        ({f"{SCHEDULER}beta_schedule": "sigmoid"}, "beta_schedule is 'sigmoid'; supported: squaredcos_cap_v2, linear"),
        (
            {f"{SCHEDULER}prediction_type": "v_prediction"},
            "prediction_type is 'v_prediction'; supported: epsilon, sample",
        ),
        ({f"{SCHEDULER}variance_type": "fixed_large"}, "variance_type is 'fixed_large'; supported: fixed_small"),
        ({f"{SCHEDULER}trained_betas": [0.1]}, "trained_betas is .* supported: None"),
        ({f"{SCHEDULER}set_alpha_to_one": False}, "set_alpha_to_one is 'False'; supported: True"),
        ({f"{SCHEDULER}steps_offset": 1}, "steps_offset is '1'; supported: 0"),
        ({f"{SCHEDULER}timestep_spacing": "trailing"}, "timestep_spacing is 'trailing'; supported: leading"),
        ({f"{SCHEDULER}sigma_data": 0.5}, "noise_scheduler.sigma_data is '0.5'; supported: no such field"),
        ({f"{SCHEDULER}clip_sample": None}, "clip_sample is 'None'; supported: true or false"),
        ({f"{SCHEDULER}beta_end": -1}, "beta_end is '-1'"),
    ],
)
def test_values_of_the_configuration(file: Path, settings: dict[str, Any], reason: str) -> None:
    policy = Policy.drawn()
    for name, value in settings.items():
        part, found, key = name.partition("__")
        whole = policy.config["policy"]
        (whole[{"model": "model", "scheduler": "noise_scheduler"}[part]] if found else whole)[key or name] = value
    refused(policy.write(file), reason)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"obs_as_cond": False}, r"policy.obs_as_cond is 'False'; .* part of the trajectory \(inpainting\)"),
        ({f"{MODEL}time_as_cond": False}, "policy.model.time_as_cond is 'False'; supported: true"),
        ({f"{MODEL}cond_dim": 0}, "policy.model.cond_dim is '0'; supported: 3, that is obs_dim"),
        ({f"{MODEL}horizon": 10}, "policy.model.horizon is '10'; supported: 8, that is the length of the chunk"),
        ({f"{MODEL}n_head": 3}, "width is 8 and heads is 3; the width must be a multiple of the heads"),
        ({f"{MODEL}n_emb": 9, f"{MODEL}n_head": 3}, "width is 9 and heads 3; the width must be even"),
        ({f"{MODEL}n_layer": 3}, "does not fit its configuration: it lacks model.decoder.layers.2."),
        ({f"{MODEL}n_cond_layers": 1}, "does not fit its configuration: it lacks model.encoder.layers.0."),
        ({f"{MODEL}causal_attn": False}, "it has model.mask, which is not part of that network"),
        ({f"{MODEL}rotary": True}, "policy.model.rotary is 'True'; supported: no such field"),
    ],
)
def test_transformers(file: Path, settings: dict[str, Any], reason: str) -> None:
    policy = Policy.drawn(transformer=True)
    for name, value in settings.items():
        key = name.removeprefix(MODEL)
        part = policy.config["policy"]
        (part if key == name else part["model"])[key] = value
    refused(policy.write(file), reason)


@pytest.mark.parametrize(
    "path",
    [
        "policy",
        "policy.horizon",
        "policy.model",
        "policy.model.kernel_size",
        "policy.noise_scheduler.clip_sample",
        "policy.noise_scheduler.prediction_type",
        "training.use_ema",
    ],
)
def test_missing_fields(file: Path, path: str) -> None:
    policy = Policy.drawn()
    *sections, name = path.split(".")
    part = policy.config
    for section in sections:
        part = part[section]
    del part[name]
    refused(policy.write(file), f"latest.ckpt' lacks the field {path}; copy the checkpoint again")


def test_policies_trained_for_latency(file: Path) -> None:
    policy = Policy.drawn()
    policy.config["n_latency_steps"] = 2
    refused(policy.write(file), "n_latency_steps is '2'; supported: 0")


def change(file: Path, edit: Callable[[dict[str, Any]], None], **settings: Any) -> Path:
    policy = Policy.drawn(**settings)
    payload = policy.payload()
    edit(payload)
    return policy.write(file, payload)


BIAS = "model.down_modules.0.0.cond_encoder.1.bias"
SCALE, OFFSET = (f"normalizer.params_dict.obs.{name}" for name in ("scale", "offset"))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        (BIAS, None, f"does not fit its configuration: it lacks {BIAS}"),
        ("model.local_cond_encoder.w", torch.zeros(2), "has model.local_cond_encoder.w, which is not part"),
        (BIAS, torch.zeros(3), rf"{BIAS} has the shape \[3\], not \[16\]"),
        (BIAS, torch.zeros(16, dtype=torch.int64), f"{BIAS} is not of floating-point numbers"),
        (BIAS, torch.full((16,), torch.nan), f"{BIAS} is not finite"),
        (SCALE, None, f"lacks {SCALE}; save the policy after its set_normalizer"),
        (SCALE, torch.ones(2), f"has 2 numbers in {SCALE}, not 3"),
        (SCALE, torch.tensor([1.0, 0.0, 1.0]), "a normaliser of obs that is not finite, or whose scale is not above 0"),
        (SCALE, torch.tensor([1.0, torch.nan, 1.0]), "a normaliser of obs that is not finite"),
        (
            OFFSET,
            torch.full((3,), 1e300, dtype=torch.float64),
            "a normalisation that single precision cannot represent .observation",
        ),
    ],
)
def test_tensors_that_do_not_fit(file: Path, name: str, value: torch.Tensor | None, reason: str) -> None:
    def edit(payload: dict[str, Any]) -> None:
        tensors = payload["state_dicts"]["ema_model"]
        if value is None:
            del tensors[name]
        else:
            tensors[name] = value

    refused(change(file, edit), reason)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda p: p.pop("cfg"), "has no configuration cfg; name a checkpoint of diffusion_policy"),
        (lambda p: p.update(cfg=[1]), "has no configuration cfg"),
        (lambda p: p.pop("state_dicts"), "has no tensors in state_dicts.ema_model, as training.use_ema is true"),
        (lambda p: p["state_dicts"].pop("ema_model"), "has no tensors in state_dicts.ema_model"),
        (lambda p: p["state_dicts"].update(ema_model={"w": 1}), "has no tensors in state_dicts.ema_model"),
    ],
)
def test_parts_that_are_missing(file: Path, edit: Callable[[dict[str, Any]], None], reason: str) -> None:
    refused(change(file, edit), reason)


def test_nothing_in_it_runs(file: Path, tmp_path: Path) -> None:
    traps = {name: Trap(tmp_path / name) for name in ("a", "b", "c")}

    def edit(payload: dict[str, Any]) -> None:
        payload["pickles"]["epoch"] = traps["a"]
        payload["cfg"]._content["policy"]._content["horizon"] = traps["b"]
        payload["state_dicts"]["optimizer"] = traps["c"]

    refused(change(file, edit), "policy.horizon is 'None'; supported: a whole number")
    assert not any((tmp_path / name).exists() for name in traps)


def test_configurations_without_end(file: Path) -> None:
    def nested(payload: dict[str, Any]) -> None:
        value: Any = {}
        for _ in range(25):
            value = {"a": value, "b": value}
        payload["cfg"] = omega({})
        payload["cfg"]._content = value

    refused(change(file, nested), "a configuration with too many values or levels")

    def circular(payload: dict[str, Any]) -> None:
        content = payload["cfg"]._content
        content["policy"] = payload["cfg"]

    refused(change(file, circular), "a configuration with too many values or levels")
    policy = Policy.drawn()
    policy.config |= {"a": "${b}", "b": "${a}"}
    refused(policy.write(file), "a configuration with too many values or levels")


def test_a_network_of_absurd_size_takes_no_memory(file: Path) -> None:
    policy = Policy.drawn()
    policy.config["policy"]["model"].update(down_dims=[65_536] * 8, n_groups=8)
    policy.config["policy"].update(horizon=4096)
    refused(policy.write(file), "does not fit its configuration: it lacks model.")


def test_paths_that_are_none(tmp_path: Path) -> None:
    refused(tmp_path / "absent.ckpt", "absent.ckpt' does not exist; name the file of the checkpoint")
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    refused(tmp_path / "run", "is a folder; name the file of a checkpoint, such as checkpoints/latest.ckpt")
    (tmp_path / "run" / "checkpoints" / "epoch=0550.ckpt").touch()
    refused(tmp_path / "run", "such as checkpoints/epoch=0550.ckpt")
    refused(tmp_path / "run" / "checkpoints", "such as epoch=0550.ckpt")
    (tmp_path / "l").mkdir()
    (tmp_path / "l" / "config.json").touch()
    refused(tmp_path / "l", "with config.json, as LeRobot keeps policies; `vdd import lerobot` takes it")


def test_what_the_request_lacks_or_has_too_much(file: Path) -> None:
    Policy.drawn().write(file)
    refused(
        file, "diffusion_policy's checkpoints lack the control rate; give --demos", ConfigurationError, rate_hz=None
    )
    refused(file, "hold their own statistics; leave --statistics out", ConfigurationError, statistics=file)
    header = Header("t", (Feature("x"), Feature("y")), (Feature("u"), Feature("v")), 10.0, "made up", 0)
    made = DemonstrationSet(header, np.zeros((4, 2)), np.zeros((4, 2)), np.array([4]), np.array([-1]))
    reason = r"demonstrations have 2 numbers in the observation, but the policy has 3 \(3 of obs\)"
    refused(file, reason, ConfigurationError, demonstrations=made, rate_hz=None)
