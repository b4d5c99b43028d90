"""`vdd distil`: a policy from a teacher (VDD, CD, CTM and others) or from demonstrations (EM, IMC)."""

import argparse
from pathlib import Path

from vdd_ros.cli.options import add_method_options, refuse_foreign_options
from vdd_ros.cli.training_run import add_run_options, given_config, run_and_report, tell_small_deviations
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.methods.offer import offered_methods
from vdd_ros.learning.methods.registry import METHODS, Method
from vdd_ros.text import printable

HELP = "distil a policy that acts in one network pass: VDD and its baselines"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd distil`."""
    methods, broken = offered_methods()
    parser.usage = "%(prog)s [-h] [--method METHOD] [--teacher DIR] [--demos PATH] --out DIR [settings]"
    parser.add_argument(
        "--method",
        choices=[*(one.name for one in methods), *broken],
        default="vdd",
        help=f"of a teacher: {_list(methods, 'teacher')}; of demonstrations: {_list(methods, 'data')}"
        f"{''.join(f'; broken: {printable(name)}' for name in broken)} (default: vdd)".replace("%", "%%"),
    )
    parser.add_argument("--teacher", type=Path, metavar="DIR", help="checkpoint folder of the teacher")
    parser.add_argument("--demos", type=Path, metavar="PATH", help="demonstrations (default: those of the teacher)")
    presets = "; ".join(f"{one.name}: {', '.join(one.presets)}" for one in methods if one.presets)
    add_run_options(parser, presets)
    add_method_options(parser, methods)


def _list(methods: list[Method], source: str) -> str:
    return ", ".join(
        f"{printable(one.name)} ({printable(one.summary)})" for one in methods if one.trains_from == source
    )


def run(args: argparse.Namespace) -> int:
    """Train the policy, then report."""
    methods, broken = offered_methods()
    if args.method in broken:
        raise broken[args.method]
    method = METHODS.get(args.method)
    refuse_foreign_options(method, methods, args)
    demonstrations = _demonstrations(args, method)
    config = given_config(method, args, demonstrations.header.task)
    if method.trains_from == "data":
        tell_small_deviations(demonstrations, config.least_deviation)
    from vdd_ros.learning.methods.trainer import Trainer

    where = {"teacher": args.teacher, "resume": args.resume, "force": args.force}
    trainer = Trainer(method, config)
    return run_and_report(args, lambda trial: trainer.run(demonstrations, args.out, trial=trial, **where))


def _demonstrations(args: argparse.Namespace, method: Method) -> DemonstrationSet:
    if method.trains_from == "data":
        if args.teacher is not None:
            raise ConfigurationError(f"--teacher: '{args.method}' learns from demonstrations; give only --demos")
        if args.demos is None:
            raise ConfigurationError(f"'{args.method}' learns from demonstrations: name them with --demos PATH")
        return DemonstrationSet.load(args.demos)
    if args.teacher is None:
        raise ConfigurationError(f"'{args.method}' distils a teacher: name its checkpoint folder with --teacher DIR")
    if args.demos is not None:
        return DemonstrationSet.load(args.demos)
    from vdd_ros.learning.fit.data_link import load_linked
    from vdd_ros.learning.kinds import DIFFUSION

    DIFFUSION.load(args.teacher)  # that there is no teacher would be the better message
    return load_linked(args.teacher)
