"""A LeRobot DiffusionPolicy as a teacher: its network, its sampling and its normalisation. LeRobot is not needed.

Normalised numbers are LeRobot's own, so the teacher computes what LeRobot computes, up to rounding. Two things differ
on purpose. An entry that never changed in the training is normalised with a deviation of 1 (an action's with a
thousandth of its unit), where LeRobot divides by 1e-8, so that the slightest deviation would count 100,000. And actions
keep limits: those that LeRobot clips to or, if it does not clip, the trained range widened by a tenth.
"""

from pathlib import Path

import torch

from vdd_ros.errors import CheckpointError, ConfigurationError
from vdd_ros.learning.diffusion.teachers import ForeignTeacher
from vdd_ros.learning.importing.assembly import assembled
from vdd_ros.learning.importing.headers import header_of
from vdd_ros.learning.importing.lerobot_config import LeRobotConfig, mode_of, read_config
from vdd_ros.learning.importing.lerobot_scales import Scales
from vdd_ros.learning.importing.lerobot_statistics import (
    is_statistic,
    read_normalisation,
    read_statistics_file,
)
from vdd_ros.learning.importing.lerobot_tensors import MODEL, load_unet, read_tensors
from vdd_ros.learning.importing.registry import ImportRequest
from vdd_ros.learning.importing.set_statistics import Values, statistics_of_set
from vdd_ros.text import printable


def read_lerobot(request: ImportRequest) -> ForeignTeacher:
    """Read a DiffusionPolicy.

    Raises:
        CheckpointError: The checkpoint is incomplete, damaged, of another kind of policy, or has values that are not
            supported.
        ConfigurationError: The rate or statistics are missing, or the demonstrations do not fit.
    """
    folder = request.checkpoint
    if not folder.is_dir():
        raise CheckpointError(f"'{printable(folder)}' {_mend(folder)}")
    config = read_config(folder)
    try:
        config.shape.check()
    except ConfigurationError as error:
        raise CheckpointError(f"'{printable(folder)}' has a network that is not supported: {error}") from error
    observed = {key.removeprefix("observation."): config.sizes[key] for key in config.observed}
    header = header_of(request, "LeRobot", observed, config.shape.act_dim, folder.resolve().name)
    tensors, sha256 = read_tensors(folder / MODEL)
    normalisation = read_normalisation(folder, config, tensors)
    scales = Scales(config, normalisation, header, *_added(request, config), folder)
    statistics, (same, warnings) = scales.statistics(), scales.compared()
    network = {name: tensor for name, tensor in tensors.items() if not is_statistic(name)}
    teacher = load_unet(config.shape, network, folder)
    if config.clip is not None:
        limit = torch.full((config.shape.act_dim,), config.clip)
        teacher.limit_actions(-limit, limit)
    settings = {
        "imported_from": "LeRobot",
        "imported_sha256": sha256,
        "inference_steps": config.steps,
        "action_steps": config.action_steps,
        **{f"normalisation.{key}": mode_of(key, normalisation.modes) for key in config.sizes},
    }
    data = request.demonstrations if same else None
    doubts = (*_unknown(config), *scales.warnings(), *warnings)
    return assembled(teacher, header, statistics, settings, sha256, data, doubts)


def _mend(path: Path) -> str:
    """Return why a path is no folder of a checkpoint, and what to do."""
    if not path.exists():
        hub = (
            "; a policy of the Hub must be downloaded first" if len(path.parts) == 2 and not path.is_absolute() else ""
        )
        return f"does not exist; name the folder of the checkpoint{hub}"
    if path.suffix == ".ckpt":
        return "is a file; `vdd import diffusion-policy` takes a checkpoint of diffusion_policy"
    return "is a file; name the folder of the checkpoint"


def _added(
    request: ImportRequest, config: LeRobotConfig
) -> tuple[dict[str, dict[str, Values]], dict[str, dict[str, Values]]]:
    """Return the statistics of the statistics file and of the demonstrations, as far as they are given."""
    file = {} if request.statistics is None else read_statistics_file(request.statistics, config)
    demonstrations = request.demonstrations
    return file, {} if demonstrations is None else statistics_of_set(demonstrations, config.sizes)


def _unknown(config: LeRobotConfig) -> tuple[str, ...]:
    if not config.unknown:
        return ()
    names = printable(", ".join(config.unknown), 600)
    return (f"config.json has fields that this version does not know ({names}); they were ignored",)
