"""`vdd distil`: Variational Diffusion Distillation of a teacher into a mixture of experts."""

import argparse
from pathlib import Path

from vdd_ros.cli.options import config_from_options
from vdd_ros.cli.training_run import add_run_options, run_and_report
from vdd_ros.data.demonstrations import FILE_NAME, DemonstrationSet
from vdd_ros.errors import DemonstrationError
from vdd_ros.training.checkpoint import load_model
from vdd_ros.training.distil import DistilConfig, distil

HELP = "distil a teacher into a mixture-of-experts student"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd distil`."""
    parser.add_argument("--teacher", type=Path, required=True, metavar="DIR", help="checkpoint folder of the teacher")
    parser.add_argument(
        "--demos", type=Path, metavar="DIR", help="what the teacher learned from (default: its own folder has them)"
    )
    add_run_options(parser, DistilConfig)


def run(args: argparse.Namespace) -> int:
    """Distil, then report."""
    config = config_from_options(DistilConfig, args)
    demonstrations = _demonstrations(args)
    return run_and_report(args, lambda: distil(args.teacher, demonstrations, args.out, config, args.resume))


def _demonstrations(args: argparse.Namespace) -> DemonstrationSet:
    if args.demos is not None:
        return DemonstrationSet.load(args.demos)
    load_model(args.teacher, "ddpm")  # that there is no teacher would be the better message
    if not (args.teacher / FILE_NAME).is_file():
        raise DemonstrationError(
            f"the teacher's folder '{args.teacher}' has no {FILE_NAME}; name what it learned from: --demos DIR"
        )
    return DemonstrationSet.load(args.teacher)
