"""The structures of policies: model, checkpoint reader, exported graph and metadata of each.

A structure is a policy file's interface to the robot. It is independent of the training method.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from torch import nn

from vdd_ros.errors import CheckpointError
from vdd_ros.learning.configs import Structure
from vdd_ros.learning.diffusion.samplers import passes
from vdd_ros.learning.diffusion.teacher import Teacher, TeacherConfig
from vdd_ros.learning.diffusion.teachers import TEACHERS
from vdd_ros.learning.export.graphs import DiffusionGraph, MixtureGraph, OneStepGraph
from vdd_ros.learning.fit.checkpoint import load_model, read_model
from vdd_ros.learning.fit.metadata import CheckpointMetadata, check_sizes, read_shape
from vdd_ros.learning.fit.run_folder import build
from vdd_ros.learning.fit.windows import Statistics
from vdd_ros.learning.networks.backbones import NetworkConfig
from vdd_ros.learning.students.marginal import without_past
from vdd_ros.learning.students.mixture import MixtureStudent, StudentConfig
from vdd_ros.learning.students.one_step import OneStepConfig, OneStepModel
from vdd_ros.policy.spec_settings import PREFIX
from vdd_ros.text import printable

if TYPE_CHECKING:
    from vdd_ros.learning.methods.configs import ExportConfig

M = TypeVar("M", bound=nn.Module)
C = TypeVar("C", bound=NetworkConfig)


@dataclass(frozen=True)
class Kind(Generic[M, C]):
    """One structure.

    Attributes:
        name: Of the structure.
        config: Shape of its models.
        model: Builds an untrained one.
        graph: The graph of its policy files.
        describe: Fields of the metadata that only this structure has: `experts`, `covariance`, `sampling_steps`.
        sampling: Settings of the export that go into the metadata's `settings`.
        foreign: Reads a model of another program, as `read` does; None if the path holds none that is known.
        shape: Returns the class of a checkpoint's shape, `config` or derived from it.
        draws_noise: Whether a deterministic file keeps one draw of the noise; else it acts with zeros.
    """

    name: Structure
    config: type[C]
    model: Callable[[C], M]
    graph: Callable[[M, Statistics, "ExportConfig"], DiffusionGraph | MixtureGraph | OneStepGraph]
    describe: Callable[[CheckpointMetadata, "ExportConfig"], dict[str, Any]] = lambda metadata, config: {}
    sampling: Callable[["ExportConfig"], dict[str, Any]] = lambda config: {}
    draws_noise: bool = True
    foreign: Callable[[Path], tuple[M, CheckpointMetadata, str] | None] = lambda path: None
    shape: Callable[[CheckpointMetadata], type[C]] | None = None

    def new(self, shape: C) -> M:
        """Build an untrained model.

        Raises:
            ConfigurationError: It would be larger than a checkpoint may be.
        """
        check_sizes(shape)
        return self.model(shape)

    def load(self, folder: Path) -> tuple[M, CheckpointMetadata]:
        """Read a trained model, frozen.

        Raises:
            CheckpointError: There is none, it is damaged, or it is of another structure.
        """
        module, metadata, _ = self.read(folder)
        return module, metadata

    def read(self, folder: Path) -> tuple[M, CheckpointMetadata, str]:
        """Read a trained model, frozen, its metadata and the digest of the bytes of both; raises as `load` does."""
        try:
            model = read_model(folder)
        except CheckpointError:
            if (found := self.foreign(folder)) is None:
                raise
            return found
        if model.metadata.structure != self.name:
            has = f"a {model.metadata.structure} policy made by '{printable(model.metadata.method)}'"
            raise CheckpointError(f"'{printable(folder)}' holds {has}, but a {self.name} policy is needed here")
        config = self.config if self.shape is None else self.shape(model.metadata)
        module = build(self.model, read_shape(config, model.metadata, folder), model, folder)
        return module.requires_grad_(False).eval(), model.metadata, model.sha256


def _foreign_teacher(path: Path) -> tuple[Teacher, CheckpointMetadata, str] | None:
    """Try each kind of teacher that reads models of other programs."""
    for load in filter(None, (TEACHERS.get(name).load for name in TEACHERS.names())):
        if (found := load(path)) is not None:
            return found.teacher.requires_grad_(False).eval(), found.metadata, found.sha256
    return None


def _teacher_shape(metadata: CheckpointMetadata) -> type[TeacherConfig]:
    """Return the class of the shape that a checkpoint's kind of teacher has; `TeacherConfig` for an unknown kind."""
    name = metadata.model.get("kind")
    shape = TEACHERS.get(name).shape if isinstance(name, str) and name in TEACHERS.names() else None
    return TeacherConfig if shape is None else shape()


DIFFUSION: Kind[Teacher, TeacherConfig] = Kind(
    "diffusion",
    TeacherConfig,
    Teacher,
    lambda teacher, statistics, config: DiffusionGraph(
        teacher, statistics, config.steps, config.sampler, config.schedule
    ),
    lambda metadata, config: {"sampling_steps": config.steps},
    lambda config: {
        "sampler": config.sampler,
        "schedule": config.schedule,
        "passes": passes(config.sampler, config.steps),
    },
    foreign=_foreign_teacher,
    shape=_teacher_shape,
)
MIXTURE: Kind[MixtureStudent, StudentConfig] = Kind(
    "mixture",
    StudentConfig,
    MixtureStudent,
    lambda student, statistics, config: MixtureGraph(
        without_past(student), statistics, config.prefix_tempering if config.prefix else None
    ),
    lambda metadata, config: {"experts": metadata.model["experts"], "covariance": metadata.model["covariance"]},
    lambda config: {PREFIX: {"tempering": config.prefix_tempering}} if config.prefix else {},
    draws_noise=False,
)
ONE_STEP: Kind[OneStepModel, OneStepConfig] = Kind(
    "one_step",
    OneStepConfig,
    OneStepModel,
    lambda model, statistics, config: OneStepGraph(model, statistics),
)
KINDS: dict[str, Kind[Any, Any]] = {kind.name: kind for kind in (DIFFUSION, MIXTURE, ONE_STEP)}
"""By the name of the structure."""


def load_any(folder: Path) -> tuple[nn.Module, CheckpointMetadata]:
    """Read a trained model of any structure, frozen.

    Raises:
        CheckpointError: There is none, or it is damaged.
    """
    try:
        structure = load_model(folder)[0].structure
    except CheckpointError:
        if (found := _foreign_teacher(folder)) is None:
            raise
        return found[:2]
    loaded: tuple[nn.Module, CheckpointMetadata] = KINDS[structure].load(folder)
    return loaded
