"""Registry of importers: readers of teachers that other programs trained. Torch is imported only when one reads.

A package adds an importer with an `Importer` and one line in its metadata:

    [project.entry-points."vdd_ros.importers"]
    robomimic = "my_package.robomimic:IMPORTER"
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.diffusion.teachers import ForeignTeacher
from vdd_ros.registry import Registry, imported


@dataclass(frozen=True, kw_only=True)
class ImportRequest:
    """What to import, and what its files may lack.

    Attributes:
        checkpoint: Folder or file of the other program.
        demonstrations: The training data: they supply names, units, rate and task, and statistics that the checkpoint
            lacks.
        statistics: File with statistics that the checkpoint lacks, in the other program's format.
        rate_hz: Control rate, without demonstrations.
        task: Name of the task, without demonstrations; empty for the importer's choice.
    """

    checkpoint: Path
    demonstrations: DemonstrationSet | None = None
    statistics: Path | None = None
    rate_hz: float | None = None
    task: str = ""


@dataclass(frozen=True, kw_only=True)
class Importer:
    """A reader of another program's teachers.

    Attributes:
        name: On the command line.
        label: For tables.
        summary: A few words for help.
        read: Reads a teacher whole. It runs no code from the files, and raises CheckpointError for files that it cannot
            read, ConfigurationError for a request that lacks something.
    """

    name: str
    label: str
    summary: str
    read: Callable[[ImportRequest], ForeignTeacher]


IMPORTERS: Registry[Importer] = Registry(
    "vdd_ros.importers",
    "importer",
    Importer,
    ConfigurationError,
    {"lerobot": f"{__name__}:LEROBOT", "diffusion-policy": f"{__name__}:DIFFUSION_POLICY"},
    own_name=lambda importer: importer.name,
)
LEROBOT = Importer(
    name="lerobot",
    label="LeRobot",
    summary="a DiffusionPolicy of LeRobot 0.3 to 0.6, without images",
    read=imported("vdd_ros.learning.importing.lerobot:read_lerobot"),
)
DIFFUSION_POLICY = Importer(
    name="diffusion-policy",
    label="diffusion_policy",
    summary="a checkpoint of diffusion_policy (real-stanford), without images",
    read=imported("vdd_ros.learning.importing.diffusion_policy:read_diffusion_policy"),
)
SUMMARIES = {one.name: one.summary for one in (LEROBOT, DIFFUSION_POLICY)}
"""Of the shipped importers, by name."""
