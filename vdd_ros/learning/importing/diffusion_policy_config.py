"""The configuration in a checkpoint of diffusion_policy: what the network is, and how it is sampled.

What a checkpoint does not state is taken only where diffusion_policy and diffusers never changed what it means then.
Read from diffusion_policy at 5ba07ac and from diffusers 0.11.1, which it asks for, and 0.42.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from vdd_ros.errors import CheckpointError
from vdd_ros.learning.configs import Sampler
from vdd_ros.learning.diffusion.discrete import BetaSchedule, NumberedTeacherConfig, Prediction
from vdd_ros.learning.fit.metadata import MAX_TEXT
from vdd_ros.learning.importing.diffusion_policy_networks import (
    TARGET,
    class_of,
    read_transformer,
    read_unet,
    refuse_unknown,
)
from vdd_ros.learning.importing.fields import MOST_LEVELS, Fields
from vdd_ros.learning.importing.set_statistics import ACTION
from vdd_ros.text import printable

OBSERVATION = "obs"
UNET_POLICY, TRANSFORMER_POLICY = "DiffusionUnetLowdimPolicy", "DiffusionTransformerLowdimPolicy"
DDPM, DDIM = "DDPMScheduler", "DDIMScheduler"
SAMPLERS: dict[str, Sampler] = {DDPM: "ancestral", DDIM: "ddim"}
_ALWAYS: dict[str, tuple[object, ...]] = {
    "trained_betas": (None,),
    "variance_type": ("fixed_small",),
    "timestep_spacing": ("leading",),
    "steps_offset": (0,),
    "set_alpha_to_one": (True,),
    "thresholding": (False,),
    "rescale_betas_zero_snr": (False,),
}
"""Fields of a scheduler that may be missing, with the values that they then have."""
_WITHOUT_EFFECT = ("dynamic_thresholding_ratio", "sample_max_value")


@dataclass(frozen=True)
class DiffusionPolicyConfig:
    """Content of the configuration.

    Attributes:
        shape: Of the teacher.
        clip: Range to which clean normalised actions are clipped; None: they are not.
        steps: Sampling steps.
        action_steps: Actions of a chunk that diffusion_policy executes.
        averaged: Whether the policy has averaged weights (EMA).
        task: Name of its task; may be empty.
        warnings: Doubts about the sampling, a sentence each.
    """

    shape: NumberedTeacherConfig
    clip: float | None
    steps: int
    action_steps: int
    averaged: bool
    task: str
    warnings: tuple[str, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """Entries of observation and action by their keys."""
        return {OBSERVATION: self.shape.obs_dim, ACTION: self.shape.act_dim}


@dataclass(frozen=True)
class _Sampling:
    """What the scheduler states: fields of the teacher's shape, and the range of clean actions."""

    fields: dict[str, Any]
    scheduler: str
    clip: float | None


def read_configuration(whole: Mapping[str, Any], source: str) -> DiffusionPolicyConfig:
    """Read the configuration.

    Args:
        whole: The configuration, as plain dictionaries.
        source: File, in quotes, for errors.

    Raises:
        CheckpointError: A field is missing or has a value that is not supported; the message names it.
    """
    fields = Fields(whole, source)
    policy = fields.section("policy")
    is_unet = _is_unet(policy, source)
    if (latency := fields.get("n_latency_steps", 0)) != 0:
        fields.refuse("n_latency_steps", latency, "0")
    averaged = fields.section("training").flag("use_ema")
    sampling = _scheduler(policy.section("noise_scheduler"))
    levels = sampling.fields["levels"]
    is_default = policy.get("num_inference_steps", None) is None
    steps = levels if is_default else policy.whole("num_inference_steps", 1, levels)
    window, action_steps = _window(policy, is_unet)
    read = read_unet if is_unet else read_transformer
    shape = read(policy.section("model"), {**window, **sampling.fields})
    if unknown := policy.unused():
        policy.refuse(unknown[0], policy.values[unknown[0]], "none: it would go to the scheduler's step")
    doubts = _doubts(sampling, steps)
    return DiffusionPolicyConfig(shape, sampling.clip, steps, action_steps, averaged, _task(fields), doubts)


def _is_unet(policy: Fields, source: str) -> bool:
    """Return whether the network is the U-Net; raise CheckpointError if it is neither that nor the transformer."""
    if (kind := class_of(policy)) not in (UNET_POLICY, TRANSFORMER_POLICY):
        images = " Policies with images cannot be imported." if "Image" in kind or "Hybrid" in kind else ""
        raise CheckpointError(
            f"{source} is of a policy of the class {printable(kind)}; only {UNET_POLICY} and {TRANSFORMER_POLICY} can "
            f"be imported.{images} Export another policy as ONNX and wrap it with 'vdd wrap'"
        )
    return kind == UNET_POLICY


def _window(policy: Fields, is_unet: bool) -> tuple[dict[str, Any], int]:
    """Return the fields of the chunk and its window, and the number of executed actions."""
    condition = "obs_as_global_cond" if is_unet else "obs_as_cond"
    is_local = is_unet and policy.flag("obs_as_local_cond", False)
    if not policy.flag(condition, False):
        how = "local condition" if is_local else "part of the trajectory (inpainting)"
        policy.refuse(condition, False, f"true; this policy takes the observation as {how}")
    if is_local:
        policy.refuse("obs_as_local_cond", True, "false")
    if is_unet and not policy.flag("oa_step_convention", False):
        policy.refuse("oa_step_convention", False, "true: the first executed action is that of the newest observation")
    history, horizon = policy.whole("n_obs_steps", 1, 4_096), policy.whole("horizon", 1, 4_096)
    if history > horizon:
        policy.refuse("n_obs_steps", history, f"at most the horizon, {horizon}")
    executed = policy.whole("n_action_steps", 1, horizon - history + 1)
    past = history - 1
    if policy.flag("pred_action_steps_only", False):  # the chunk is only what is executed
        horizon, past = executed, 0
    sizes = {"obs_dim": policy.whole("obs_dim", 1, 4_096), "act_dim": policy.whole("action_dim", 1, 4_096)}
    return {"history": history, "horizon": horizon, "past": past, **sizes}, executed


def _scheduler(scheduler: Fields) -> _Sampling:
    """Return how the policy is sampled."""
    kind = class_of(scheduler)
    if kind not in SAMPLERS:
        scheduler.refuse(TARGET, kind, ", ".join(SAMPLERS))
    fields = {
        "levels": scheduler.whole("num_train_timesteps", 2, MOST_LEVELS),
        "prediction": scheduler.choice("prediction_type", get_args(Prediction)),
        "betas": scheduler.choice("beta_schedule", get_args(BetaSchedule)),
        "beta_start": scheduler.number("beta_start"),
        "beta_end": scheduler.number("beta_end"),
        "usual_sampler": SAMPLERS[kind],
    }
    clips = scheduler.flag("clip_sample")
    reach = scheduler.number("clip_sample_range", 1.0)
    for name, allowed in _ALWAYS.items():
        value = scheduler.get(name, *allowed)
        if value not in allowed or type(value) not in map(type, allowed):
            scheduler.refuse(name, value, ", ".join(map(str, allowed)))
    refuse_unknown(scheduler, _WITHOUT_EFFECT)
    return _Sampling(fields, kind, reach if clips else None)


def _doubts(sampling: _Sampling, steps: int) -> tuple[str, ...]:
    """Say where diffusers 0.11.1 samples differently than its later versions, which the teacher follows."""
    levels = sampling.fields["levels"]
    if sampling.scheduler == DDPM and steps < levels:
        what = f"samples {steps} of {levels} steps of DDPM"
    elif sampling.scheduler == DDIM and sampling.fields["prediction"] == "sample" and steps > 1:
        what = "samples with DDIM a network that estimates the clean action"
    else:
        return ()
    return (
        f"the checkpoint {what}, which diffusers 0.11.1, the version that diffusion_policy asks for, computes "
        "differently than later versions: this teacher acts as later versions do",
    )


def _task(fields: Fields) -> str:
    task = fields.get("task", None)
    name = task.get("name") if isinstance(task, dict) else fields.get("task_name", None)
    return name if isinstance(name, str) and printable(name, MAX_TEXT) == name.strip() == name else ""
