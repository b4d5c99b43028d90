"""An imported teacher with its metadata."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.learning.diffusion.teacher import Teacher, TeacherConfig
from vdd_ros.learning.diffusion.teachers import ForeignTeacher
from vdd_ros.learning.fit.metadata import CheckpointMetadata
from vdd_ros.learning.fit.run_folder import versions
from vdd_ros.learning.fit.windows import Statistics


def assembled(
    teacher: Teacher,
    header: Header,
    statistics: Statistics,
    settings: Mapping[str, object],
    sha256: str,
    data: DemonstrationSet | None,
    warnings: Sequence[str],
) -> ForeignTeacher:
    """Return a teacher, ready to be saved.

    Args:
        teacher: With its weights and limits.
        header: Names, units, rate and task.
        statistics: Of observation and action.
        settings: What the import prints; begins with the program, `imported_from`.
        sha256: Hex digest of the bytes that it was read from.
        data: Demonstrations that it learned from; None if unknown.
        warnings: Doubts, a sentence each.
    """
    config: TeacherConfig = teacher.config
    metadata = CheckpointMetadata(
        structure="diffusion",
        method=config.kind,
        task=header.task,
        observation=header.observation,
        action=header.action,
        rate_hz=header.rate_hz,
        statistics=statistics.to_lists(),
        model=asdict(config),
        settings=dict(settings),
        steps=0,
        data_sha256=None if data is None else data.sha256,
        teacher_sha256=None,
        versions=versions(),
        warnings=tuple(warnings),
    )
    return ForeignTeacher(teacher.requires_grad_(False).eval(), metadata, sha256)
