"""The common part of `vdd train` and `vdd distil`: options, clock and figure."""

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from vdd_ros.cli.options import config_from_options
from vdd_ros.cli.results import add_result_options, check_result_options, keep_result
from vdd_ros.cli.threads import add_thread_option, settle_threads
from vdd_ros.cli.training_report import training_report, training_table
from vdd_ros.console import show, tell
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.earlier import earlier
from vdd_ros.learning.fit.figure import read_curves, save_figure
from vdd_ros.learning.methods.preset_choice import choose_preset
from vdd_ros.learning.methods.registry import Method
from vdd_ros.places import OutputFolder
from vdd_ros.tasks import get_task, task_names

if TYPE_CHECKING:
    from vdd_ros.learning.fit.checkpoint import CheckpointMetadata
    from vdd_ros.learning.fit.thread_trial import ThreadTrial


def add_run_options(parser: argparse.ArgumentParser, presets: str) -> None:
    """Add the options of every training run; `presets` lists the available presets."""
    parser.add_argument("--out", type=OutputFolder, required=True, metavar="DIR", help="checkpoint folder to write")
    before = parser.add_mutually_exclusive_group()
    before.add_argument("--resume", action="store_true", help="continue the run in this folder; give the same settings")
    before.add_argument(
        "--force", action="store_true", help="replace the folder's contents once the new run has succeeded"
    )
    add_result_options(parser)
    add_thread_option(parser)
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help=f"named settings, overridden by other options: {presets}, those of the task, or none (default: the "
        "default preset of the task, if it has one)",
    )


def given_config(method: Method, args: argparse.Namespace, task: str) -> Any:
    """Return the settings of a run: the preset (named, or the task's default), overridden by the options.

    Raises:
        ConfigurationError: The preset does not exist, or the configuration refuses a value.
    """
    preset = choose_preset(method, args.preset, get_task(task) if task in task_names() else None)
    if preset.note:
        tell(preset.note)
    return config_from_options(method.config, args, **preset.settings)


def tell_small_deviations(demonstrations: DemonstrationSet, least_deviation: float) -> None:
    """Warn of constant and nearly constant entries."""
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
        metadata = train(threads)
    finally:
        if is_first() and (place := earlier(args.out)) is not None:
            tell(f"what {args.out} held before this run is in {place}")
    if not is_first():  # of several processes in one training, the first one reports
        return 0
    seconds = time.perf_counter() - start
    curves = read_curves(args.out)
    report = training_report(metadata, curves, seconds, threads.chosen, resumed=args.resume)
    show(training_table(report, args.out))
    for warning in metadata.warnings:
        tell(f"warning: {warning}. Policy files of this model carry this warning too.")
    save_figure(
        args.out / FIGURE_FILE, curves, f"{metadata.method} on {metadata.task}, seed {metadata.settings['seed']}"
    )
    keep_result(args, report)
    return 0
