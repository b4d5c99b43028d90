"""The folder of a training run: its files, settings and versions."""

import json
import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from vdd_ros import __version__
from vdd_ros.data.demonstrations import FILE_NAME, DemonstrationSet
from vdd_ros.documents import read_json
from vdd_ros.earlier import drop_earlier, set_aside
from vdd_ros.errors import CheckpointError, ConfigurationError, DemonstrationError
from vdd_ros.files import replacing
from vdd_ros.learning.fit.checkpoint import METADATA_FILE, MODEL_FILE, SETTINGS_FILE, STATE_FILE, Model, check_tensors
from vdd_ros.learning.fit.data_link import LINK_FILE, write_link
from vdd_ros.learning.fit.distributed import is_first, refuse_several, wait_for_all
from vdd_ros.learning.fit.shapes import shapes_only
from vdd_ros.learning.fit.training_loop import has_state
from vdd_ros.locks import holding
from vdd_ros.text import printable

Config = TypeVar("Config")
Module = TypeVar("Module", bound=nn.Module)

FIGURE_FILE = "training.png"
RUN_FILES = (MODEL_FILE, METADATA_FILE, STATE_FILE, SETTINGS_FILE, LINK_FILE, FIGURE_FILE, "tensorboard")
"""Files that a run writes into its folder, beside the demonstrations."""


@contextmanager
def run_folder(
    folder: Path,
    settings: dict[str, Any],
    demonstrations: DemonstrationSet,
    *,
    resume: bool,
    force: bool = False,
    teacher_folder: Path | None = None,
) -> Iterator[Callable[[], None]]:
    """Hold a run's folder while the block trains in it; its previous content is kept until the block succeeds.

    In distributed training the first process does so, and the others wait for it.

    Args:
        folder: Made if it is missing.
        settings: Settings of the run.
        demonstrations: Linked from the folder, or saved in it where they are in no file yet.
        resume: Continue the run in the folder.
        force: Replace what the folder holds.
        teacher_folder: Folder of the run's teacher, which is refused as `folder`.

    Yields:
        A function to call once everything is ready to train; nothing is written before.

    Raises:
        CheckpointError: As `prepare_folder`, or the folder is the teacher's.
        DemonstrationError: The folder holds other demonstrations.
        HeldError: Another process trains in it.
        ConfigurationError: torchrun started several processes, which this training cannot use.
    """
    refuse_several()
    if not is_first():
        yield wait_for_all
        return
    if teacher_folder is not None and folder.resolve() == teacher_folder.resolve():
        raise CheckpointError(
            f"'{printable(folder)}' is the teacher's own folder, where the student would replace it; choose another "
            "folder"
        )
    check_folder(folder, settings, resume, force)
    with holding(folder):
        check_folder(folder, settings, resume, force)  # another process may have ended in it since
        linked = demonstrations.file is not None and demonstrations.file.exists()
        kept = linked or _keeps(folder, demonstrations, replace=force and not resume)

        def begin() -> None:
            prepare_folder(folder, settings, resume, force, () if kept else (FILE_NAME,))
            if not kept:
                demonstrations.save(folder)
            write_link(folder, demonstrations)
            wait_for_all()

        yield begin
        drop_earlier(folder)


def prepare_folder(
    folder: Path, settings: dict[str, Any], resume: bool, force: bool = False, others: Iterable[str] = ()
) -> None:
    """Make a run's folder and record its settings, or check that a run to resume had the same.

    Args:
        folder: Made if it is missing.
        settings: Settings of the run.
        resume: Continue the run in the folder.
        force: Move aside what the folder holds: see earlier.py.
        others: Names of other files to move aside.

    Raises:
        CheckpointError: As `check_folder`.
    """
    check_folder(folder, settings, resume, force)
    if resume:
        return
    if force:
        set_aside(folder, (*RUN_FILES, *others))
    with replacing(folder / SETTINGS_FILE) as aside:
        aside.write_text(json.dumps(settings, indent=2) + "\n")


def check_folder(folder: Path, settings: dict[str, Any], resume: bool, force: bool) -> None:
    """Refuse a folder in which a run can neither start nor resume; the arguments are those of `prepare_folder`.

    Raises:
        CheckpointError: `folder` is a file; or holds a model or a run, and neither `resume` nor `force` is set; or
            there is nothing to resume; or its settings differ.
    """
    file = folder / SETTINGS_FILE
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"'{printable(folder)}' is not a folder; choose another name for the checkpoint's folder")
    if resume:
        if not has_state(folder) or not file.is_file():
            raise CheckpointError(f"'{printable(folder)}' holds no run to resume; start one without --resume")
        _require_same(_read_settings(file), settings, folder)
    elif has_state(folder) and not force:
        raise CheckpointError(
            f"'{printable(folder)}' already holds a run; continue it with --resume, replace it with --force or choose "
            "another folder"
        )
    elif (folder / MODEL_FILE).exists() and not force:
        raise CheckpointError(
            f"'{printable(folder)}' already holds a trained model; replace it with --force or choose another folder"
        )


def _keeps(folder: Path, demonstrations: DemonstrationSet, replace: bool) -> bool:
    """Return whether a folder holds these demonstrations; raise DemonstrationError if it must keep others."""
    if not (folder / FILE_NAME).exists():
        return False
    try:
        if DemonstrationSet.load(folder).sha256 == demonstrations.sha256:
            return True
        problem = "holds other demonstrations than those given"
    except DemonstrationError as error:
        problem = f"holds demonstrations that cannot be read ({error})"
    if replace:
        return False
    raise DemonstrationError(
        f"'{printable(folder)}' {problem}; choose another folder, or replace them with --force (without --resume)"
    )


def _read_settings(file: Path) -> dict[str, Any]:
    settings = read_json(file, CheckpointError, max_bytes=1 << 20)
    if not isinstance(settings, dict):
        raise CheckpointError(f"'{printable(file)}' is damaged (no JSON object), so the run cannot be resumed")
    return settings


def _require_same(begun: dict[str, Any], settings: dict[str, Any], folder: Path) -> None:
    """Raise CheckpointError if a run was started with other settings."""
    given = json.loads(json.dumps(settings))
    changed = [key for key in sorted(begun.keys() | given.keys()) if begun.get(key) != given.get(key)]
    if changed:
        pairs = ", ".join(
            f"{printable(key)} {printable(begun.get(key, 'not given'))} -> {given.get(key, 'not given')}"
            for key in changed
        )
        raise CheckpointError(
            f"the run in '{printable(folder)}' was started with other settings ({pairs}); give the same"
        )


def build(make: Callable[[Config], Module], shape: Config, model: Model, folder: Path) -> Module:
    """Build a module and load a checkpoint's weights, after checking them against its shape.

    Args:
        make: Makes the module.
        shape: Shape of the module, from `read_shape`.
        model: The checkpoint.
        folder: Where it is, for errors.

    Raises:
        CheckpointError: The weights are not those of the model in the metadata, or not finite.
    """
    try:
        with shapes_only():  # shapes without memory: sizes beyond the file's cost nothing
            empty = make(shape)
        check_tensors(empty, model.tensors, "the weights")
        module = make(shape)
        module.load_state_dict(model.tensors)
    except (CheckpointError, ConfigurationError, RuntimeError) as error:
        raise CheckpointError(
            f"the weights in '{printable(folder)}' do not fit their own metadata ({printable(error)}); make it again"
        ) from error
    return module


def versions() -> dict[str, str]:
    """Return the package versions that results depend on."""
    return {
        "vdd_ros": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
    }
