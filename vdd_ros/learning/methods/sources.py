"""Training data of methods: windows of demonstrations, with or without a teacher."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import CheckpointError
from vdd_ros.learning.configs import Dimensions, WindowConfig
from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.fit.metadata import CheckpointMetadata, TrainedModel, origin_warning
from vdd_ros.learning.fit.normalisation import statistics_of
from vdd_ros.learning.fit.windows import Statistics, Windows
from vdd_ros.learning.kinds import DIFFUSION
from vdd_ros.text import printable


@dataclass(frozen=True)
class DataSource:
    """Demonstrations, cut and standardised.

    Attributes:
        demonstrations: The set.
        statistics: Of the set.
        windows: Its training pairs, on the training device.
        shape: Of the windows.
    """

    demonstrations: DemonstrationSet
    statistics: Statistics
    windows: Windows
    shape: WindowConfig

    @classmethod
    def of(cls, demonstrations: DemonstrationSet, config: WindowConfig, device: torch.device) -> "DataSource":
        """Standardise a demonstration set and cut its windows.

        Raises:
            ConfigurationError: The normalisation names an unknown entry.
            DemonstrationError: The set cannot be standardised, or no episode is long enough for a window.
        """
        statistics = statistics_of(demonstrations, config)
        shape = config.history, config.horizon, config.goal_length
        return cls(demonstrations, statistics, Windows.of(demonstrations, statistics, *shape, device), config)

    @property
    def identity(self) -> dict[str, str]:
        """Digests of a run's inputs other than its settings, by name."""
        return {"data_sha256": self.demonstrations.sha256}

    def dimensions(self) -> Dimensions:
        """Return the input and output sizes of a policy for these data."""
        return self.shape.dimensions(self.demonstrations.header)

    def metadata(self, structure: str, method: str, trained: TrainedModel) -> CheckpointMetadata:
        """Return the metadata of a policy that learned from these data."""
        header = self.demonstrations.header
        return CheckpointMetadata(
            structure=structure,
            method=method,
            task=header.task,
            observation=header.observation,
            action=header.action,
            rate_hz=header.rate_hz,
            statistics=self.statistics.to_lists(),
            data_sha256=self.demonstrations.sha256,
            teacher_sha256=None,
            **trained,
        )


@dataclass(frozen=True)
class TeacherSource:
    """A teacher, and demonstrations at whose states it is evaluated.

    Attributes:
        teacher: Frozen.
        teacher_metadata: Metadata of the teacher.
        sha256: Digest of its file, weights and metadata.
        windows: Training pairs of the demonstrations, standardised as the teacher's were.
        data_sha256: Of the demonstrations.
        warnings: Why it may not have learned from them.
    """

    teacher: Teacher
    teacher_metadata: CheckpointMetadata
    sha256: str
    windows: Windows
    data_sha256: str
    warnings: tuple[str, ...]

    @classmethod
    def load(cls, folder: Path, demonstrations: DemonstrationSet, device: torch.device) -> "TeacherSource":
        """Read a teacher.

        Raises:
            CheckpointError: There is none, or its signature is not that of the demonstrations.
        """
        teacher, metadata, sha256 = DIFFUSION.read(folder)
        demonstrations.header.signature.check(
            metadata.signature,
            "the demonstrations",
            f"the teacher in '{printable(folder)}'",
            "give those that it was trained on (--demos), or others of the same robot and rate",
            CheckpointError,
        )
        shape, statistics = teacher.config, Statistics.from_lists(metadata.statistics)
        lengths = shape.history, shape.horizon, shape.goal_length
        windows = Windows.of(demonstrations, statistics, *lengths, device, past=shape.past)
        given = demonstrations.sha256
        warnings = origin_warning(metadata, given, "the teacher", "it was distilled at the states of")
        return cls(teacher.to(device), metadata, sha256, windows, given, warnings)

    @property
    def identity(self) -> dict[str, str]:
        """Digests of a run's inputs other than its settings, by name."""
        return {"teacher_sha256": self.sha256, "data_sha256": self.data_sha256}

    def dimensions(self) -> Dimensions:
        """Return the input and output sizes of a student of this teacher."""
        shape = self.teacher.config
        return {
            "history": shape.history,
            "obs_dim": shape.obs_dim,
            "horizon": shape.horizon,
            "act_dim": shape.act_dim,
            "goal_length": shape.goal_length,
            "past": shape.past,
        }

    def metadata(self, structure: str, method: str, trained: TrainedModel) -> CheckpointMetadata:
        """Return the metadata of a student of this teacher."""
        return replace(
            self.teacher_metadata,
            structure=structure,
            method=method,
            teacher_sha256=self.sha256,
            data_sha256=self.data_sha256,
            warnings=(*self.teacher_metadata.warnings, *self.warnings),
            **trained,
        )


def with_noise(observation: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """Add noise to observations."""
    noise = torch.randn(observation.shape, generator=generator, device=generator.device)
    return observation + deviation * noise
