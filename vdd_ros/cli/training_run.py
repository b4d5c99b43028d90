"""What `vdd train` and `vdd distil` share: their options, their clock, their figure and their report."""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from vdd_ros.cli.options import config_from_options
from vdd_ros.cli.results import add_result_options, check_result_options, keep_result
from vdd_ros.cli.threads import ThreadFacts, add_thread_option, settle_threads, thread_facts
from vdd_ros.console import show, tell
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.earlier import earlier
from vdd_ros.host.facts import MachineFacts, machine_facts
from vdd_ros.host.threads import ThreadCount
from vdd_ros.learning.fit.figure import Curves, read_curves, save_figure
from vdd_ros.learning.methods.preset_choice import choose_preset
from vdd_ros.learning.methods.registry import Method
from vdd_ros.places import OutputFolder
from vdd_ros.tasks import get_task, task_names

if TYPE_CHECKING:
    from vdd_ros.learning.fit.checkpoint import CheckpointMetadata
    from vdd_ros.learning.fit.thread_trial import ThreadTrial


def add_run_options(parser: argparse.ArgumentParser, presets: str) -> None:
    """Add the options of every training run; `presets` says which there are."""
    parser.add_argument("--out", type=OutputFolder, required=True, metavar="DIR", help="checkpoint folder to write")
    before = parser.add_mutually_exclusive_group()
    before.add_argument("--resume", action="store_true", help="continue the run in that folder; give the same settings")
    before.add_argument(
        "--force", action="store_true", help="replace the folder's contents once the new run has succeeded"
    )
    add_result_options(parser)
    add_thread_option(parser)
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help=f"named settings, which other options override: {presets}, those of the task, or none (default: the "
        "default preset of the task, if it has one)",
    )


def given_config(method: Method, args: argparse.Namespace, task: str) -> Any:
    """Return the settings of a run: those of the preset, named or the task's default, and of the options.

    Raises:
        ConfigurationError: There is no preset of that name, or the configuration refuses a value.
    """
    preset = choose_preset(method, args.preset, get_task(task) if task in task_names() else None)
    if preset.note:
        tell(preset.note)
    return config_from_options(method.config, args, **preset.settings)


def tell_small_deviations(demonstrations: DemonstrationSet, least_deviation: float) -> None:
    """Warn of entries that never or hardly change."""
    from vdd_ros.data.blocks import moments
    from vdd_ros.learning.fit.windows import is_constant, small_deviations, unchanging_actions

    found = moments(demonstrations.observation)
    deviations = np.where(is_constant(found), 0.0, found.deviation).tolist()
    problems = small_deviations(demonstrations.header.observation, deviations, least_deviation)
    for problem in [*problems, *unchanging_actions(demonstrations)]:
        tell(f"warning: {problem}")


def run_and_report(args: argparse.Namespace, train: Callable[["ThreadTrial"], "CheckpointMetadata"]) -> int:
    """Train, draw the figure of the scalars, print the table, write the JSON file.

    Args:
        args: The parsed options.
        train: Trains, with the trial of thread counts.
    """
    from vdd_ros.learning.fit.distributed import is_first
    from vdd_ros.learning.fit.run_folder import FIGURE_FILE
    from vdd_ros.learning.fit.thread_trial import ThreadTrial

    check_result_options(args)
    threads = ThreadTrial(settle_threads(args))
    start = time.perf_counter()
    try:
        card = train(threads)
    finally:
        if is_first() and (place := earlier(args.out)) is not None:
            tell(f"what {args.out} held before this run is in {place}")
    if not is_first():  # of several processes that train together, the first one reports
        return 0
    seconds = time.perf_counter() - start
    curves = read_curves(args.out)
    report = _report(card, curves, seconds, threads.chosen, resumed=args.resume)
    show(_format(report, args.out))
    for warning in card.warnings:
        tell(f"warning: {warning}. A policy file of this model says so too.")
    save_figure(args.out / FIGURE_FILE, curves, f"{card.method} on {card.task}, seed {card.settings['seed']}")
    keep_result(args, report)
    return 0


class _Machine(MachineFacts, ThreadFacts):
    """The machine of a training, and its threads."""


class _Report(TypedDict):
    """The record of a training run: fields of the checkpoint's card, time in seconds, and last value of each curve."""

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


def _report(card: "CheckpointMetadata", curves: Curves, seconds: float, chosen: ThreadCount, resumed: bool) -> _Report:
    return {
        "structure": card.structure,
        "method": card.method,
        "task": card.task,
        "steps": card.steps,
        "seconds": seconds,
        "resumed": resumed,
        "last": {name: curve.values[-1] for name, curve in curves.items()},
        "settings": card.settings,
        "data_sha256": card.data_sha256,
        "teacher_sha256": card.teacher_sha256,
        "warnings": card.warnings,
        "machine": {**machine_facts(), **thread_facts(chosen)},
        "versions": card.versions,
    }


def _format(report: _Report, folder: Path) -> str:
    from vdd_ros.learning.fit.checkpoint import MODEL_FILE
    from vdd_ros.learning.fit.run_folder import FIGURE_FILE

    machine = report["machine"]
    since = ", since it was resumed" if report["resumed"] else ""
    rows = {
        "steps": f"{report['steps']}",
        "time": f"{report['seconds']:.1f} s{since}, on {machine['cores']} cores of {machine['cpu']}",
        "threads": f"{machine['threads']}, {machine['threads_reason']}",
        **{name.replace("_", " "): f"{value:.4g}" for name, value in report["last"].items()},
        "weights": f"{folder / MODEL_FILE}",
        "figure": f"{folder / FIGURE_FILE}",
    }
    title = f"{report['method']} on {report['task']}, seed {report['settings']['seed']}"
    return "\n".join([title, *(f"  {name:<16}{text}" for name, text in rows.items())])
