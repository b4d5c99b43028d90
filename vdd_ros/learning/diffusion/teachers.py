"""Registry of diffusion teachers; torch is imported only when a teacher is built.

A package adds a kind with a `TeacherKind` and one line in its metadata:

    [project.entry-points."vdd_ros.teachers"]
    flow = "my_package.flow:TEACHER"
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vdd_ros.errors import ConfigurationError
from vdd_ros.registry import Registry, imported

if TYPE_CHECKING:
    from vdd_ros.learning.diffusion.levels import Levels
    from vdd_ros.learning.diffusion.preconditioning import Preconditioning
    from vdd_ros.learning.diffusion.teacher import Teacher
    from vdd_ros.learning.fit.metadata import CheckpointMetadata

_NETWORK = imported("vdd_ros.learning.networks.backbones:make_denoiser")


@dataclass(frozen=True)
class ForeignTeacher:
    """A teacher that another program trained.

    Attributes:
        teacher: With its weights.
        metadata: Its metadata.
        sha256: Hex digest of the bytes that it was read from.
    """

    teacher: "Teacher"
    metadata: "CheckpointMetadata"
    sha256: str


@dataclass(frozen=True, kw_only=True)
class TeacherKind:
    """A kind of diffusion teacher.

    Attributes:
        name: On the command line, in checkpoints and in policy files.
        label: For tables.
        summary: A few words for help.
        preconditioning: `TeacherConfig` -> its `Preconditioning`.
        levels: `TeacherConfig` -> its noise levels, `Levels`.
        network: `TeacherConfig` -> an untrained `learning.networks.backbones.Denoiser`.
        load: Reads a teacher of another program; returns None if the path holds none of this kind. None: this
            kind has only checkpoints of vdd_ros.
        shape: Returns the class of its shape, derived from `TeacherConfig`; None: `TeacherConfig` itself.
        trained: Whether `vdd train` trains it; otherwise its teachers are only imported.
    """

    name: str
    label: str
    summary: str
    preconditioning: Callable[[Any], "Preconditioning"]
    levels: Callable[[Any], "Levels"]
    network: Callable[[Any], Any] = _NETWORK
    load: Callable[[Path], ForeignTeacher | None] | None = None
    shape: Callable[[], Any] | None = None
    trained: bool = True


TEACHERS: Registry[TeacherKind] = Registry(
    "vdd_ros.teachers",
    "teacher",
    TeacherKind,
    ConfigurationError,
    {
        "ddpm": f"{__name__}:DDPM",
        "ddpm-v": f"{__name__}:DDPM_V",
        "ddpm-sample": f"{__name__}:DDPM_SAMPLE",
        "beso": f"{__name__}:BESO",
        "lerobot": f"{__name__}:LEROBOT",
        "diffusion-policy": f"{__name__}:DIFFUSION_POLICY",
        "diffusion-policy-transformer": f"{__name__}:DIFFUSION_POLICY_TRANSFORMER",
    },
    own_name=lambda kind: kind.name,
)


IMPORTED = ("lerobot", "diffusion-policy", "diffusion-policy-transformer")
"""Shipped kinds that are not trained."""


def trained_teachers() -> list[str]:
    """Return the names of the kinds that `vdd train` offers, without importing any."""
    return [name for name in TEACHERS.names() if name not in IMPORTED]


def _discrete(estimate: str, name: str, label: str, summary: str) -> TeacherKind:
    return TeacherKind(
        name=name,
        label=label,
        summary=summary,
        preconditioning=imported(f"vdd_ros.learning.diffusion.preconditioning:{estimate}"),
        levels=imported("vdd_ros.learning.diffusion.levels:cosine_levels"),
    )


DDPM = _discrete("epsilon", "ddpm", "DDPM", "estimates the noise, on a grid of levels")
DDPM_V = _discrete("velocity", "ddpm-v", "DDPM (v)", "estimates v, on the same grid")
DDPM_SAMPLE = _discrete("clean_sample", "ddpm-sample", "DDPM (sample)", "estimates the clean action, on the same grid")
BESO = TeacherKind(
    name="beso",
    label="BESO",
    summary="EDM, on a range of levels",
    preconditioning=imported("vdd_ros.learning.diffusion.preconditioning:edm"),
    levels=imported("vdd_ros.learning.diffusion.levels:level_range"),
)
_STEPS = "vdd_ros.learning.diffusion.discrete"


def _numbered(name: str, label: str, network: str, shape: str) -> TeacherKind:
    return TeacherKind(
        name=name,
        label=label,
        summary="numbered steps, imported",
        preconditioning=imported(f"{_STEPS}:numbered_steps"),
        levels=imported(f"{_STEPS}:numbered_levels"),
        network=imported(network),
        shape=imported(shape),
        trained=False,
    )


_UNET = f"{_STEPS}:unet", f"{_STEPS}:unet_teacher_config"
LEROBOT = _numbered("lerobot", "LeRobot's DiffusionPolicy", *_UNET)
DIFFUSION_POLICY = _numbered("diffusion-policy", "Diffusion Policy's U-Net", *_UNET)
_TRANSFORMER = "vdd_ros.learning.diffusion.numbered_transformer"
DIFFUSION_POLICY_TRANSFORMER = _numbered(
    "diffusion-policy-transformer",
    "Diffusion Policy's transformer",
    f"{_TRANSFORMER}:transformer",
    f"{_TRANSFORMER}:transformer_teacher_config",
)
