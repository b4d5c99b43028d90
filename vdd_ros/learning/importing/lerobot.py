"""A LeRobot DiffusionPolicy as a teacher: its network, its sampling and its normalisation. LeRobot is not needed.

Normalised numbers are LeRobot's own, so the teacher computes what LeRobot computes, up to rounding. Two things differ
on purpose. An entry that never changed in the training is normalised with a deviation of 1 (an action's with a
thousandth of its unit), where LeRobot divides by 1e-8, so that the slightest deviation would count 100,000. And actions
keep limits: those that LeRobot clips to or, if it does not clip, the trained range widened by a tenth.
"""

from dataclasses import asdict

import torch

from vdd_ros.data.demonstrations import Header
from vdd_ros.data.formats.source import UNKNOWN
from vdd_ros.errors import CheckpointError, ConfigurationError, DemonstrationError
from vdd_ros.features import Feature
from vdd_ros.learning.diffusion.teachers import ForeignTeacher
from vdd_ros.learning.fit.metadata import CheckpointMetadata
from vdd_ros.learning.fit.run_folder import versions
from vdd_ros.learning.fit.windows import check_header
from vdd_ros.learning.importing.lerobot_config import ACTION, LeRobotConfig, mode_of, read_config
from vdd_ros.learning.importing.lerobot_scales import Scales
from vdd_ros.learning.importing.lerobot_statistics import (
    Values,
    is_statistic,
    read_normalisation,
    read_statistics_file,
    statistics_of_set,
)
from vdd_ros.learning.importing.lerobot_tensors import MODEL, load_network, read_tensors
from vdd_ros.learning.importing.registry import ImportRequest
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
        what = "is a file" if folder.exists() else "does not exist"
        raise CheckpointError(f"'{printable(folder)}' {what}; name the folder of the checkpoint")
    config = read_config(folder)
    try:
        config.shape.check()
    except ConfigurationError as error:
        raise CheckpointError(f"'{printable(folder)}' has a network that is not supported: {error}") from error
    header = _header(request, config)
    tensors, sha256 = read_tensors(folder / MODEL)
    normalisation = read_normalisation(folder, config, tensors)
    scales = Scales(config, normalisation, header, *_added(request, config), folder)
    statistics, (same, warnings) = scales.statistics(), scales.compared()
    network = {name: tensor for name, tensor in tensors.items() if not is_statistic(name)}
    teacher = load_network(config.shape, network, folder)
    if config.clip is not None:
        limit = torch.full((config.shape.act_dim,), config.clip)
        teacher.limit_actions(-limit, limit)
    metadata = CheckpointMetadata(
        structure="diffusion",
        method="lerobot",
        task=header.task,
        observation=header.observation,
        action=header.action,
        rate_hz=header.rate_hz,
        statistics=statistics.to_lists(),
        model=asdict(config.shape),
        settings={
            "imported_from": "LeRobot",
            "imported_sha256": sha256,
            "inference_steps": config.steps,
            "action_steps": config.action_steps,
            **{f"normalisation.{key}": mode_of(key, normalisation.modes) for key in config.sizes},
        },
        steps=0,
        data_sha256=request.demonstrations.sha256 if same and request.demonstrations is not None else None,
        teacher_sha256=None,
        versions=versions(),
        warnings=(*_unknown(config), *scales.warnings(), *warnings),
    )
    return ForeignTeacher(teacher.requires_grad_(False).eval(), metadata, sha256)


def _added(
    request: ImportRequest, config: LeRobotConfig
) -> tuple[dict[str, dict[str, Values]], dict[str, dict[str, Values]]]:
    """Return the statistics of the statistics file and of the demonstrations, as far as they are given."""
    file = {} if request.statistics is None else read_statistics_file(request.statistics, config)
    demonstrations = request.demonstrations
    return file, {} if demonstrations is None else statistics_of_set(demonstrations, config)


def _header(request: ImportRequest, config: LeRobotConfig) -> Header:
    """Return names, units, rate and task.

    Raises:
        ConfigurationError: There is neither a rate nor demonstrations, or both; or policy files cannot represent them.
    """
    if request.demonstrations is not None:
        if request.rate_hz is not None or request.task:
            raise ConfigurationError("the demonstrations state rate and task; give --rate-hz and --task only without")
        header = request.demonstrations.header
    elif request.rate_hz is None:
        raise ConfigurationError(
            "LeRobot's checkpoints lack the control rate; give --demos PATH, the set that the policy learned from, "
            "which also has the names and units, or --rate-hz, its frames per second"
        )
    else:
        observed = [feature for key in config.observed for feature in _features(key, config.sizes[key])]
        action = _features(ACTION, config.sizes[ACTION])
        task = request.task or request.checkpoint.resolve().name
        header = Header(task, tuple(observed), tuple(action), request.rate_hz, "LeRobot")
    try:
        check_header(header)
    except DemonstrationError as error:
        raise ConfigurationError(str(error)) from error
    return header


def _features(key: str, size: int) -> list[Feature]:
    """Return unnamed entries, under the names that they get from a data set of LeRobot."""
    base = key.removeprefix("observation.")
    return [Feature(base if size == 1 else f"{base}_{index}", UNKNOWN) for index in range(size)]


def _unknown(config: LeRobotConfig) -> tuple[str, ...]:
    if not config.unknown:
        return ()
    names = printable(", ".join(config.unknown), 600)
    return (f"config.json has fields that this version does not know ({names}); they were ignored",)
