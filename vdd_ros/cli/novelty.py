"""`vdd novelty`: how often a policy file's novelty raises a false alarm, and how often it detects new observations."""

import argparse
from pathlib import Path

from vdd_ros.cli.numbers import SEED, Whole
from vdd_ros.cli.results import add_result_options, check_result_options, keep_result
from vdd_ros.console import show
from vdd_ros.control.guards import GuardSettings
from vdd_ros.evaluation.novelty.measure import NoveltyReport, NoveltySettings, measure_novelty
from vdd_ros.places import OutputFile

HELP = "measure out-of-distribution detection: false alarms, and detections of faults"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd novelty`."""
    parser.add_argument("policy", type=Path, help="policy file (.onnx) with a novelty density")
    parser.add_argument("--demos", type=Path, required=True, metavar="PATH", help="held-out demonstrations")
    parser.add_argument("--robot", type=Path, metavar="FILE", help="robot file (default: the shipped one of the task)")
    parser.add_argument(
        "--rollouts", type=Whole(0), default=96, help="the policy's own episodes; 0: none (default: %(default)s)"
    )
    parser.add_argument(
        "--ticks",
        type=Whole(),
        default=GuardSettings.novelty_ticks,
        help="consecutive observations beyond the bound that raise an alarm (default: %(default)s)",
    )
    parser.add_argument("--seed", type=SEED, default=0, help="seed of every random draw (default: %(default)s)")
    parser.add_argument(
        "--figure", type=OutputFile, metavar="PNG", help="draw the distributions and the rates of detection"
    )
    add_result_options(parser)


def run(args: argparse.Namespace) -> int:
    """Make the probes, query the policy, print the table."""
    settings = NoveltySettings(args.rollouts, args.ticks, args.seed)
    check_result_options(args)
    report = measure_novelty(args.policy, args.demos, args.robot, settings)
    show(_table(args.policy.name, settings, report))
    keep_result(args, report.record)
    if args.figure is not None:
        from vdd_ros.evaluation.novelty.figure import save_figure

        save_figure(args.figure, report.found, report.novelties, report.bound, args.policy.name)
    return 0


def _table(name: str, settings: NoveltySettings, report: NoveltyReport) -> str:
    row = "  {:<40}{:>14}{:>11}{:>14}{:>11}"
    lines = [
        f"{name}: outside is beyond {report.bound:.3g} nats; an alarm is {settings.ticks} observations in a row",
        row.format("", "observations", "outside", "median, nats", "alarms"),
    ]
    for one in report.found:
        alarms = "" if one.alarmed is None else f"{round(one.alarmed * (one.episodes or 0))} of {one.episodes}"
        share = f"{100 * one.beyond:.2f} %"
        lines.append(row.format(one.name, one.observations, share, f"{one.p50:.3g}", alarms))
    return "\n".join(lines)
