"""config.json of a LeRobot DiffusionPolicy: what the network is, and how LeRobot samples from it."""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from vdd_ros.documents import JsonObject, read_json
from vdd_ros.errors import CheckpointError
from vdd_ros.learning.configs import Sampler
from vdd_ros.learning.diffusion.discrete import BetaSchedule, Prediction, UNetTeacherConfig
from vdd_ros.learning.importing.fields import MOST_LEVELS, MOST_NUMBERS, Fields
from vdd_ros.learning.importing.set_statistics import ACTION
from vdd_ros.text import printable

CONFIG = "config.json"
STATE, ENVIRONMENT = "observation.state", "observation.environment_state"
MODES = ("MIN_MAX", "MEAN_STD", "IDENTITY")
SAMPLERS: dict[str, Sampler] = {"DDPM": "ancestral", "DDIM": "ddim"}
MAX_BYTES = 1 << 20
TYPES = {STATE: "STATE", ENVIRONMENT: "ENV", ACTION: "ACTION"}
_OTHERS = {
    *("type", "device", "use_amp", "use_peft", "push_to_hub", "repo_id", "private", "tags", "license"),
    *("pretrained_path", "pretrained_revision", "drop_n_last_frames", "vision_backbone", "resize_shape", "crop_ratio"),
    *("crop_shape", "crop_is_random", "pretrained_backbone_weights", "use_group_norm", "spatial_softmax_num_keypoints"),
    *("use_separate_rgb_encoder_per_camera", "gradient_checkpointing", "compile_model", "compile_mode"),
    *("do_mask_loss_for_padding", "optimizer_lr", "optimizer_betas", "optimizer_eps", "optimizer_weight_decay"),
    *("scheduler_name", "scheduler_warmup_steps"),
}
"""Fields without effect on what a policy without images computes."""


@dataclass(frozen=True)
class LeRobotConfig:
    """Content of config.json.

    Attributes:
        shape: Of the teacher; names only, no statistics.
        sizes: Key of each feature that the network sees, in its order, to its number of entries; the action last.
        modes: Normalisation by the type of a feature: `STATE`, `ENV`, `ACTION`.
        clip: Range to which clean normalised actions are clipped; None: they are not.
        steps: Sampling steps.
        action_steps: Actions of a chunk that LeRobot executes.
        unknown: Fields that this version does not know.
    """

    shape: UNetTeacherConfig
    sizes: dict[str, int]
    modes: dict[str, str]
    clip: float | None
    steps: int
    action_steps: int
    unknown: tuple[str, ...]

    @property
    def observed(self) -> list[str]:
        """Keys of the observation, in the order of the network."""
        return [key for key in self.sizes if key != ACTION]


def read_config(folder: Path) -> LeRobotConfig:
    """Read config.json.

    Raises:
        CheckpointError: It is missing, damaged, of another kind of policy, or has a value that is not supported; the
            message names the field.
    """
    file = folder / CONFIG
    if not file.is_file():
        inside = sorted(path.parent.name for path in folder.glob(f"*/{CONFIG}"))
        raise CheckpointError(
            f"'{printable(folder)}' has no {CONFIG}; name the folder that LeRobot's save_pretrained wrote, "
            + (f"perhaps '{printable(inside[0])}' in it" if inside else "usually pretrained_model")
        )
    fields = read_json(file, CheckpointError, max_bytes=MAX_BYTES)
    if not isinstance(fields, dict):
        raise CheckpointError(f"'{printable(file)}' is not a JSON object; copy the checkpoint again")
    return _Fields(fields, file).read()


class _Fields(Fields):
    """The fields before validation."""

    def __init__(self, fields: JsonObject, file: Path) -> None:
        super().__init__(fields, f"'{printable(file)}'")
        self._file = file

    def read(self) -> LeRobotConfig:
        self._check_type()
        sizes, action = self._inputs(), self._output()
        history, horizon = self.whole("n_obs_steps", 1, 4_096), self.whole("horizon", 1, 4_096)
        if history > horizon:
            self.refuse("n_obs_steps", history, f"at most the horizon, {horizon}")
        executed = self.whole("n_action_steps", 1, horizon - history + 1)
        levels = self.whole("num_train_timesteps", 2, MOST_LEVELS)
        is_default = self.get("num_inference_steps", None) is None
        steps = levels if is_default else self.whole("num_inference_steps", 1, levels)
        clips = self.flag("clip_sample")
        clip = self.number("clip_sample_range") if clips else None
        modes = self._modes()
        shape = UNetTeacherConfig(
            kind="lerobot",
            backbone="mlp",  # without effect, as the other fields of a backbone
            history=history,
            horizon=horizon,
            past=history - 1,
            obs_dim=sum(sizes.values()),
            act_dim=action,
            levels=levels,
            channels=self.channels("down_dims"),
            kernel=self.whole("kernel_size", 1, 1_001),
            groups=self.whole("n_groups", 1, MOST_NUMBERS),
            step_features=self.whole("diffusion_step_embed_dim", 4, MOST_NUMBERS),
            scales=self.flag("use_film_scale_modulation"),
            prediction=self.choice("prediction_type", get_args(Prediction)),
            betas=self.choice("beta_schedule", get_args(BetaSchedule)),
            beta_start=self.number("beta_start"),
            beta_end=self.number("beta_end"),
            usual_sampler=SAMPLERS[self.choice("noise_scheduler_type", tuple(SAMPLERS))],
        )
        self.get("clip_sample_range", None)
        unknown = self.unused(_OTHERS)
        return LeRobotConfig(shape, {**sizes, ACTION: action}, modes, clip, steps, executed, unknown)

    def _check_type(self) -> None:
        kind = self.get("type", None)
        if kind != "diffusion":
            has = "names no type" if kind is None else f"is of a policy of the type '{printable(kind)}'"
            raise CheckpointError(
                f"'{printable(self._file)}' {has}; only LeRobot's DiffusionPolicy, type 'diffusion', can be imported. "
                "Export another policy as ONNX and wrap it with 'vdd wrap'"
            )
        if self.get("use_peft", False):
            self.refuse("use_peft", True, "false; merge the adapter into the model and save that")

    def _modes(self) -> dict[str, str]:
        return checked_modes(self.get("normalization_mapping"), self._file)

    def _inputs(self) -> dict[str, int]:
        """Return the observed keys, the state first, as the network concatenates them."""
        features = self._features("input_features")
        images = [key for key, one in features.items() if one.get("type") == "VISUAL" or "image" in key]
        if images:
            raise CheckpointError(
                f"'{printable(self._file)}' observes the images {printable(', '.join(images))}; only policies that "
                f"observe numbers ({STATE}, {ENVIRONMENT}) can be imported. Export this one as ONNX and wrap it with "
                "'vdd wrap'"
            )
        for key in features:
            if key not in (STATE, ENVIRONMENT):
                self.refuse("input_features", key, f"{STATE} and {ENVIRONMENT}")
        if STATE not in features:
            self.refuse("input_features", ", ".join(features), f"{STATE}, which every DiffusionPolicy observes")
        return {
            key: self._size("input_features", key, features[key]) for key in (STATE, ENVIRONMENT) if key in features
        }

    def _output(self) -> int:
        features = self._features("output_features")
        if list(features) != [ACTION]:
            self.refuse("output_features", ", ".join(features), ACTION)
        return self._size("output_features", ACTION, features[ACTION])

    def _features(self, name: str) -> dict[str, JsonObject]:
        value = self.get(name)
        if not isinstance(value, dict) or not all(isinstance(one, dict) for one in value.values()):
            self.refuse(name, value, "an object of features, each with type and shape")
        return value

    def _size(self, name: str, key: str, feature: JsonObject) -> int:
        kind, shape = feature.get("type"), feature.get("shape")
        if kind != TYPES[key]:
            self.refuse(f"{name}.{key}.type", kind, TYPES[key])
        if not isinstance(shape, list) or len(shape) != 1 or type(shape[0]) is not int or not 0 < shape[0] <= 4_096:
            self.refuse(f"{name}.{key}.shape", shape, "one whole number from 1 to 4,096")
        return int(shape[0])


def checked_modes(value: object, file: Path) -> dict[str, str]:
    """Return the normalisation by type of feature; raises CheckpointError for a mode that is not supported."""
    if not isinstance(value, dict):
        raise CheckpointError(f"'{printable(file)}' has no object as its normalisation of types; copy it again")
    for kind in TYPES.values():
        if (mode := value.get(kind, "IDENTITY")) not in MODES:
            raise CheckpointError(
                f"'{printable(file)}' normalises {kind} by {printable(mode)!r}; supported: {', '.join(MODES)}"
            )
    return {kind: str(value.get(kind, "IDENTITY")) for kind in TYPES.values()}


def mode_of(key: str, modes: dict[str, str]) -> str:
    """Return the normalisation of a feature."""
    return modes[TYPES[key]]
