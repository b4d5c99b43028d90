"""`vdd latency`: where the time of each tick went, and how well the policies agree."""

import argparse
from pathlib import Path

from vdd_ros.cli.numbers import Whole
from vdd_ros.cli.results import add_result_options, check_result_options, keep_result
from vdd_ros.console import show, tell
from vdd_ros.evaluation.latency.agreement import STATES
from vdd_ros.evaluation.latency.report import make_report
from vdd_ros.evaluation.latency.summary import WARMUP_TICKS
from vdd_ros.evaluation.latency.tables import format_report
from vdd_ros.places import OutputFile, OutputFolder

HELP = "report latency bags: the time of each tick, and agreement of the policies"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd latency`."""
    parser.add_argument(
        "bag",
        type=Path,
        nargs="+",
        help="rosbag2 directory with the topics of one or more policy nodes; several bags are repeats, alone (bags "
        "with one node) or together",
    )
    add_result_options(parser)
    parser.add_argument("--html", type=OutputFile, metavar="FILE", help="write everything to one page")
    parser.add_argument("--figures", type=OutputFolder, metavar="DIR", help="write every figure as a PNG to a folder")
    parser.add_argument("--figure", type=OutputFile, metavar="PNG", help="draw the distributions of the first bag")
    parser.add_argument(
        "--policy",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a policy file that a node of the bags ran, for densities; may be repeated (shipped files are known)",
    )
    parser.add_argument(
        "--states",
        type=Whole(most=None),
        default=STATES,
        help="number of observations for densities, spread evenly over the record (default: %(default)s)",
    )
    parser.add_argument(
        "--warmup",
        type=Whole(0, None),
        default=WARMUP_TICKS,
        help="first ticks of each node to exclude (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Print the tables; return 1 if anything is missing in a record."""
    check_result_options(args)
    report = make_report(args.bag, warmup=args.warmup, policies=args.policy, states=args.states)
    show(format_report(report))
    for gap in report.gaps:
        tell(f"gap in the record: {gap}")
    keep_result(args, report.to_dict())
    if args.figure is not None:
        from vdd_ros.evaluation.latency.stage_figure import save_figure

        save_figure(args.figure, report.bags[0].nodes, report.bags[0].latency)
    if args.figures is not None or args.html is not None:
        from vdd_ros.evaluation.latency.figures import draw_figures, save_figures
        from vdd_ros.evaluation.latency.page import write_page

        figures = draw_figures(report)
        if args.figures is not None:
            save_figures(args.figures, figures)
        if args.html is not None:
            write_page(args.html, report, figures)
    return 1 if report.gaps else 0
