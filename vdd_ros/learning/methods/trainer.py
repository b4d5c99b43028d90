"""One training with any method: read the source, hold the folder, build, fit and save the model."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.configs import FitConfig
from vdd_ros.learning.fit.fit import TrainingJob, fit
from vdd_ros.learning.fit.memory_need import check_memory
from vdd_ros.learning.fit.metadata import CheckpointMetadata, TrainedModel
from vdd_ros.learning.fit.run_folder import run_folder
from vdd_ros.learning.fit.thread_trial import ThreadTrial
from vdd_ros.learning.methods.registry import Method
from vdd_ros.learning.methods.sources import DataSource, TeacherSource


@dataclass(frozen=True)
class Trainer:
    """A method with its settings.

    Attributes:
        method: The training method.
        config: Its settings, of the method's own class.
    """

    method: Method
    config: FitConfig

    def run(
        self,
        demonstrations: DemonstrationSet,
        folder: Path,
        *,
        teacher: Path | None = None,
        resume: bool = False,
        force: bool = False,
        trial: ThreadTrial | None = None,
    ) -> CheckpointMetadata:
        """Train a policy and save it in `folder`.

        Args:
            demonstrations: Training data; for a distillation the teacher's, otherwise the metadata carries a warning.
            folder: Checkpoint folder.
            teacher: Checkpoint of the teacher, for a method that trains from one.
            resume: Continue the run in `folder`.
            force: Replace what `folder` holds, once the new run has succeeded.
            trial: Chooses the number of threads, on a CPU; None leaves it unchanged.

        Returns:
            The metadata of the finished policy.

        Raises:
            CheckpointError: `folder` holds another run, or none to resume, or one with other settings or
                demonstrations, or is the teacher's; the teacher is missing or does not fit the demonstrations.
            ConfigurationError: The method refuses its settings, or they take more memory than there is; a teacher is
                missing, or not needed.
            DemonstrationError: The demonstrations cannot be learned from.
            HeldError: Another process trains in `folder`.
            KeyboardInterrupt: The run was interrupted; a checkpoint is written.
        """
        method, config = self.method, self.config
        check_memory(config, demonstrations, config.pick_device())
        source = self._source(demonstrations, teacher)
        settings = {**asdict(config), **source.identity}
        with run_folder(folder, settings, demonstrations, resume=resume, force=force, teacher_folder=teacher) as begin:
            torch.manual_seed(config.seed)
            job: TrainingJob = method.make(source, config)

            def metadata(trained: TrainedModel) -> CheckpointMetadata:
                return source.metadata(method.structure, method.name, trained)

            begin()
            return fit(folder, job, config, metadata, method.name, resume, trial)

    def _source(self, demonstrations: DemonstrationSet, teacher: Path | None) -> DataSource | TeacherSource:
        method, device = self.method, self.config.pick_device()
        if not isinstance(self.config, method.config):
            given, needed = type(self.config).__name__, method.config.__name__
            raise TypeError(f"the config is a {given}; {method.name} takes a {needed}")
        if (teacher is None) != (method.trains_from == "data"):
            needs = "learns from demonstrations; give no teacher" if teacher else "distils a teacher; give its folder"
            raise ConfigurationError(f"the method '{method.name}' {needs}")
        if teacher is not None:
            return TeacherSource.load(teacher, demonstrations, device)
        return DataSource.of(demonstrations, self.config, device)  # type: ignore[arg-type]  # as `Method` has checked
