"""Writes an imported teacher as a checkpoint, which then is like any other."""

from pathlib import Path

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.earlier import drop_earlier, set_aside
from vdd_ros.errors import CheckpointError
from vdd_ros.learning.fit.checkpoint import save_model
from vdd_ros.learning.fit.data_link import write_link
from vdd_ros.learning.fit.metadata import CheckpointMetadata
from vdd_ros.learning.fit.run_folder import RUN_FILES, check_folder
from vdd_ros.learning.importing.registry import Importer, ImportRequest
from vdd_ros.locks import holding
from vdd_ros.text import printable

FOREIGN_MARK = "config.json"
"""A file beside the model of other programs."""


def import_teacher(
    importer: Importer, request: ImportRequest, folder: Path, *, force: bool = False
) -> CheckpointMetadata:
    """Read a teacher of another program and save it as a checkpoint. Nothing is written before it is read and checked.

    Args:
        importer: Of the other program.
        request: What to import.
        folder: Checkpoint folder to write; linked to the demonstrations, if they are given as a file.
        force: Replace the checkpoint that the folder holds.

    Returns:
        The metadata of the checkpoint.

    Raises:
        CheckpointError: The checkpoint cannot be imported; or the folder holds one of another program, or one of
            vdd_ros and `force` is not set.
        ConfigurationError: The request lacks something.
        HeldError: Another process trains in the folder.
    """
    _check_place(folder, force)
    found = importer.read(request)
    with holding(folder):
        _check_place(folder, force)
        if force:
            set_aside(folder, RUN_FILES)
        save_model(folder, found.teacher.state_dict(), found.metadata)
        if (demonstrations := _kept(request)) is not None:
            write_link(folder, demonstrations)
        drop_earlier(folder)
    return found.metadata


def _check_place(folder: Path, force: bool) -> None:
    if (folder / FOREIGN_MARK).exists():
        raise CheckpointError(
            f"'{printable(folder)}' holds a model of another program ({FOREIGN_MARK}); choose another folder"
        )
    check_folder(folder, {}, resume=False, force=force)


def _kept(request: ImportRequest) -> DemonstrationSet | None:
    demonstrations = request.demonstrations
    is_filed = demonstrations is not None and demonstrations.file is not None and demonstrations.file.exists()
    return demonstrations if is_filed else None
