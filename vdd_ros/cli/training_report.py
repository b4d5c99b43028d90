"""The record and the table of `vdd train` and `vdd distil`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from vdd_ros.cli.threads import ThreadFacts, thread_facts
from vdd_ros.host.facts import MachineFacts, machine_facts
from vdd_ros.host.threads import ThreadCount
from vdd_ros.learning.fit.figure import Curves
from vdd_ros.text import counted

if TYPE_CHECKING:
    from vdd_ros.learning.fit.checkpoint import CheckpointMetadata


class _Machine(MachineFacts, ThreadFacts):
    """The machine of a training, and its threads."""


class TrainingReport(TypedDict):
    """The record of a training run: fields of the checkpoint's metadata, duration in s, last value of each curve."""

    structure: str
    method: str
    task: str
    steps: int
    seconds: float
    resumed: bool
    last: dict[str, float]
    settings: dict[str, Any]
    data_sha256: str | None
    teacher_sha256: str | None
    warnings: Sequence[str]
    machine: _Machine
    versions: dict[str, str]


def training_report(
    metadata: "CheckpointMetadata", curves: Curves, seconds: float, chosen: ThreadCount, resumed: bool
) -> TrainingReport:
    """Return the record of a training run.

    Args:
        metadata: Metadata of the checkpoint.
        curves: Scalars of the training.
        seconds: Duration of the run.
        chosen: Its threads.
        resumed: Whether the run continued an earlier one.
    """
    return {
        "structure": metadata.structure,
        "method": metadata.method,
        "task": metadata.task,
        "steps": metadata.steps,
        "seconds": seconds,
        "resumed": resumed,
        "last": {name: curve.values[-1] for name, curve in curves.items()},
        "settings": metadata.settings,
        "data_sha256": metadata.data_sha256,
        "teacher_sha256": metadata.teacher_sha256,
        "warnings": metadata.warnings,
        "machine": {**machine_facts(), **thread_facts(chosen)},
        "versions": metadata.versions,
    }


def training_table(report: TrainingReport, folder: Path) -> str:
    """Return the table that a training run prints."""
    from vdd_ros.learning.fit.checkpoint import MODEL_FILE
    from vdd_ros.learning.fit.run_folder import FIGURE_FILE

    machine = report["machine"]
    since = ", since it was resumed" if report["resumed"] else ""
    rows = {
        "steps": f"{report['steps']}",
        "time": f"{report['seconds']:.1f} s{since}, on {counted(machine['cores'], 'core')} of {machine['cpu']}",
        "threads": f"{machine['threads']}, {machine['threads_reason']}",
        **{name.replace("_", " "): f"{value:.4g}" for name, value in report["last"].items()},
        "weights": f"{folder / MODEL_FILE}",
        "figure": f"{folder / FIGURE_FILE}",
    }
    title = f"{report['method']} on {report['task']}, seed {report['settings']['seed']}"
    return "\n".join([title, *(f"  {name:<16}{text}" for name, text in rows.items())])
