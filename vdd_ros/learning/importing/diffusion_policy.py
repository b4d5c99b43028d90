"""A low-dimensional checkpoint of diffusion_policy (Chi et al. 2023) as a teacher, without running any code in it.

Normalised numbers are diffusion_policy's own, so the teacher computes what it computes, up to rounding. Actions keep
limits: those to which the policy clips or, if it does not clip, the trained range widened by a tenth.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vdd_ros.errors import CheckpointError, ConfigurationError
from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.diffusion.teachers import ForeignTeacher
from vdd_ros.learning.importing.assembly import assembled
from vdd_ros.learning.importing.diffusion_policy_config import DiffusionPolicyConfig, read_configuration
from vdd_ros.learning.importing.diffusion_policy_networks import network_tensors, renaming
from vdd_ros.learning.importing.diffusion_policy_scales import read_normaliser
from vdd_ros.learning.importing.headers import header_of
from vdd_ros.learning.importing.omega_conf import configuration
from vdd_ros.learning.importing.registry import ImportRequest
from vdd_ros.learning.importing.set_statistics import compared, statistics_of_set
from vdd_ros.learning.importing.torch_archive import StoredTensor, TorchArchive, opened
from vdd_ros.learning.importing.unet_tensors import load_network
from vdd_ros.text import printable

PROGRAM = "diffusion_policy"


def read_diffusion_policy(request: ImportRequest) -> ForeignTeacher:
    """Read a checkpoint.

    Raises:
        CheckpointError: It is damaged, of another kind of policy, or has values that are not supported.
        ConfigurationError: The rate is missing, or the demonstrations do not fit.
    """
    file = request.checkpoint
    if not file.is_file():
        raise CheckpointError(f"'{printable(file)}' {_mend(file)}")
    if request.statistics is not None:
        raise ConfigurationError(
            "checkpoints of diffusion_policy hold their own statistics; leave --statistics out, or give --demos"
        )
    with opened(file) as archive:
        content = archive.content
        whole = content if isinstance(content, dict) else {}
        config = read_configuration(configuration(whole.get("cfg"), f"'{printable(file)}'"), f"'{printable(file)}'")
        _check(config, file)
        header = header_of(
            request, PROGRAM, {"obs": config.shape.obs_dim}, config.shape.act_dim, config.task or file.stem
        )
        tensors = _tensors(archive, whole, config, file)
    normaliser = read_normaliser(tensors, config.sizes, file)
    demonstrations = request.demonstrations
    given = {} if demonstrations is None else statistics_of_set(demonstrations, config.sizes)
    statistics = normaliser.converted(header, config.clip, given)
    same, doubts = compared(normaliser.statistics, given, "that of the checkpoint")
    teacher = _load(config, tensors, file)
    if config.clip is not None:
        limit = torch.full((config.shape.act_dim,), config.clip)
        teacher.limit_actions(-limit, limit)
    settings = {
        "imported_from": PROGRAM,
        "imported_sha256": archive.sha256,
        "inference_steps": config.steps,
        "action_steps": config.action_steps,
        "weights": "averaged (EMA)" if config.averaged else "those of the last step",
    }
    data = demonstrations if same else None
    warnings = (*config.warnings, *normaliser.warnings(header), *doubts)
    return assembled(teacher, header, statistics, settings, archive.sha256, data, warnings)


def _mend(path: Path) -> str:
    """Return why a path is no checkpoint, and what to do."""
    if not path.exists():
        return "does not exist; name the file of the checkpoint"
    if not path.is_dir():
        return "is no ordinary file; name the file of the checkpoint"
    if (path / "config.json").exists():
        return "is a folder with config.json, as LeRobot keeps policies; `vdd import lerobot` takes it"
    found = (
        sorted(path.glob("**/*.ckpt"))[:1] if path.name == "checkpoints" else sorted(path.glob("checkpoints/*.ckpt"))
    )
    name = found[0].relative_to(path) if found else "checkpoints/latest.ckpt"
    return f"is a folder; name the file of a checkpoint, such as {printable(name)}"


def _check(config: DiffusionPolicyConfig, file: Path) -> None:
    try:
        config.shape.check()
    except ConfigurationError as error:
        raise CheckpointError(f"'{printable(file)}' has a network that is not supported: {error}") from error


def _tensors(
    archive: TorchArchive, whole: Mapping[Any, Any], config: DiffusionPolicyConfig, file: Path
) -> dict[str, Tensor]:
    """Read the tensors of the policy; those of the optimizer stay unread."""
    name = "ema_model" if config.averaged else "model"
    dicts = whole.get("state_dicts")
    found = dicts.get(name) if isinstance(dicts, dict) else None
    if not isinstance(found, dict) or not all(isinstance(one, StoredTensor) for one in found.values()):
        raise CheckpointError(
            f"'{printable(file)}' has no tensors in state_dicts.{name}, as training.use_ema is "
            f"{str(config.averaged).lower()}; copy the checkpoint again"
        )
    return archive.tensors({str(key): one for key, one in found.items()})


def _load(config: DiffusionPolicyConfig, tensors: Mapping[str, Tensor], file: Path) -> Teacher:
    def contradicting(problem: str) -> CheckpointError:
        return CheckpointError(
            f"'{printable(file)}' has a network that does not fit its configuration: {problem}; copy it again"
        )

    return load_network(config.shape, network_tensors(config.shape, tensors), *renaming(config.shape), contradicting)
