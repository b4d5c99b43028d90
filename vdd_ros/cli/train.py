"""`vdd train`: trains a diffusion teacher on demonstrations."""

import argparse
from pathlib import Path

from vdd_ros.cli.options import add_config_options
from vdd_ros.cli.training_run import add_run_options, given_config, run_and_report, tell_small_deviations
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.evaluation.compatibility import check_demonstrations
from vdd_ros.learning.methods.configs import TrainConfig
from vdd_ros.learning.methods.presets import TRAIN_PRESETS
from vdd_ros.learning.methods.registry import teacher_method
from vdd_ros.tasks import get_task, task_names

HELP = "train a diffusion teacher on demonstrations"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd train`."""
    parser.add_argument(
        "--task",
        help=f"task of the demonstrations: {', '.join(task_names())} (default: the one they name)",
    )
    parser.add_argument("--demos", type=Path, required=True, metavar="PATH", help="demonstrations: a folder or a file")
    add_run_options(parser, ", ".join(TRAIN_PRESETS))
    add_config_options(parser, TrainConfig)


def run(args: argparse.Namespace) -> int:
    """Train, then report; the checkpoint folder links to the demonstrations, so that `vdd distil` needs only it."""
    from vdd_ros.learning.fit.distributed import training_group
    from vdd_ros.learning.methods.trainer import Trainer

    demonstrations = DemonstrationSet.load(args.demos)
    task = args.task or demonstrations.header.task
    if args.task or task in task_names():  # otherwise a robot's own task, without a simulation
        check_demonstrations(demonstrations.header, get_task(task).spec)
    config = given_config(teacher_method(TrainConfig.teacher), args, task)  # the settings are those of every kind
    trainer = Trainer(teacher_method(config.teacher), config)
    tell_small_deviations(demonstrations, config.least_deviation)
    with training_group(config.batch, cuda=config.pick_device().type == "cuda"):
        where = {"resume": args.resume, "force": args.force}
        return run_and_report(args, lambda trial: trainer.run(demonstrations, args.out, trial=trial, **where))
