"""Conformance test of other packages' importers. Torch is imported only for a check."""

from pathlib import Path
from tempfile import TemporaryDirectory

from vdd_ros.errors import ConformanceError, VddError
from vdd_ros.learning.importing.registry import IMPORTERS, Importer, ImportRequest
from vdd_ros.testing.names import check_name
from vdd_ros.text import printable


def check_importer(importer: Importer, request: ImportRequest) -> None:
    """Check an importer: its name, one import, the checkpoint that it gives, and its refusal of an empty folder.

    Args:
        importer: The object of the entry point; it must be installed.
        request: A checkpoint that it can read.

    Raises:
        ConformanceError: The first violation.
    """
    if not isinstance(importer, Importer):
        raise ConformanceError(f"{printable(repr(importer), 100)} is a {type(importer).__name__}, not an Importer")
    check_name(IMPORTERS, importer.name, importer)
    if importer.name not in IMPORTERS.names() or IMPORTERS.get(importer.name) is not importer:
        raise ConformanceError(
            f"no installed package registers '{printable(importer.name)}' as this Importer; name it in the entry "
            f"points {IMPORTERS.group} of the package, under that name, and install it"
        )
    with TemporaryDirectory() as folder:
        _check_import(importer, request, Path(folder, "teacher"))
        Path(folder, "empty").mkdir()
        try:
            importer.read(ImportRequest(checkpoint=Path(folder, "empty"), rate_hz=10.0))
        except VddError:
            return
        except Exception as error:
            raise ConformanceError(f"an empty folder raises {type(error).__name__}, not an error of vdd_ros") from error
    raise ConformanceError("an empty folder is read as a teacher")


def _check_import(importer: Importer, request: ImportRequest, folder: Path) -> None:
    from vdd_ros.learning.importing.folder import import_teacher

    try:
        metadata = import_teacher(importer, request, folder)
        _check_actions(folder)
    except ConformanceError:
        raise
    except Exception as error:
        raise ConformanceError(f"the import fails: {type(error).__name__}: {printable(error)}") from error
    if metadata.structure != "diffusion":
        raise ConformanceError(f"the structure is '{printable(metadata.structure)}'; a teacher's is diffusion")


def _check_actions(folder: Path) -> None:
    """Check that the checkpoint reads as a teacher, and that its samples are finite and within its limits."""
    import torch

    from vdd_ros.learning.kinds import DIFFUSION

    teacher, _ = DIFFUSION.load(folder)
    config = teacher.config
    generator = torch.Generator().manual_seed(0)
    observation = torch.randn((2, config.history, config.obs_dim), generator=generator)
    goal = torch.randn((2, config.goal_length, config.obs_dim), generator=generator) if config.goal_length else None
    with torch.no_grad():
        drawn = teacher.sample(
            teacher.encode(observation, goal), torch.randn((2, 3, 2, teacher.size), generator=generator)
        )
    if not bool(drawn.isfinite().all()):
        raise ConformanceError("actions of the imported teacher are not finite")
    if not bool(((drawn >= teacher.action_low) & (drawn <= teacher.action_high)).all()):
        raise ConformanceError("actions of the imported teacher pass its limits")
