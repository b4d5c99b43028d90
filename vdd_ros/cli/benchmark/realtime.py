"""`vdd benchmark realtime`: times of the policy node at control rate, relative to those of its parts.

There is no option --threads: nodes and networks infer in one thread, the node's default.
"""

import argparse
from pathlib import Path

from vdd_ros.benchmark.realtime import PARTS
from vdd_ros.cli.numbers import Whole
from vdd_ros.console import show
from vdd_ros.documents import write_json
from vdd_ros.errors import ConfigurationError
from vdd_ros.places import OutputFile

ROUNDS = 6
HELP = "measure the policy node at control rate: ticks, answers, hot swaps, missed deadlines"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd benchmark realtime`."""
    parser.add_argument("--quick", action="store_true", help="rough figures in less than a minute")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=PARTS,
        metavar="PART",
        help=f"measure only some of {', '.join(PARTS)} again, and keep the rest of --results",
    )
    parser.add_argument(
        "--results",
        type=OutputFile,
        metavar="FILE",
        help="JSON record of the latest figures (default: results/realtime.json; with --quick, runs/realtime.json)",
    )
    parser.add_argument(
        "--docs", type=OutputFile, metavar="FILE", help="Markdown page whose marked block becomes the tables"
    )
    parser.add_argument("--figure", type=OutputFile, metavar="PNG", help="draw the figures")
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the numbers as JSON")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="DIR",
        help="only compare ticks with those of another checkout, in alternation; goes with --rounds and --json",
    )
    parser.add_argument(
        "--policies",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="only measure ticks with these policy files, each with its task's robot file; goes with --rounds, --docs "
        "and --json",
    )
    parser.add_argument("--rounds", type=Whole(), metavar="N", help="rounds of --against or --policies (default: 6)")


def run(args: argparse.Namespace) -> int:
    """Measure, print the table, write the requested files; always return 0."""
    if args.policies is not None:
        return _measure_policies(args)
    if args.against is not None or args.rounds is not None:
        return _compare(args)
    from vdd_ros.benchmark.markdown_block import check_block
    from vdd_ros.benchmark.realtime import judge
    from vdd_ros.benchmark.realtime.suite import measure_into
    from vdd_ros.places import check_file

    results = args.results or Path("runs/realtime.json" if args.quick else "results/realtime.json")
    check_file("--results", results)
    if args.docs is not None:
        check_block(args.docs, judge.BEGIN, judge.END)
    record = measure_into(results, quick=args.quick, only=args.only, shown=lambda found: show(judge.table(found)))
    if args.json is not None:
        write_json(args.json, record)
    if args.docs is not None:
        judge.update_page(args.docs, record)
    if args.figure is not None:
        judge.draw(args.figure, record)
    return 0


def _measure_policies(args: argparse.Namespace) -> int:
    """Measure ticks with given policy files."""
    from vdd_ros.benchmark.markdown_block import check_block
    from vdd_ros.benchmark.realtime import policies
    from vdd_ros.progress import progress

    if args.against is not None or args.quick or args.only or args.results or args.figure:
        raise ConfigurationError("--policies FILE goes with --rounds, --docs and --json alone")
    if args.docs is not None:
        check_block(args.docs, policies.BEGIN, policies.END)
    rounds = args.rounds or ROUNDS
    with progress(rounds * len(args.policies), "ticks", "measurement") as bar:
        record = policies.measure_policies(args.policies, rounds, bar.update)
    show(policies.render(record))
    if args.json is not None:
        write_json(args.json, record)
    if args.docs is not None:
        policies.update_page(args.docs, record)
    return 0


def _compare(args: argparse.Namespace) -> int:
    """Compare ticks with another checkout's."""
    from vdd_ros.benchmark.realtime.against import compare_ticks, table
    from vdd_ros.progress import progress

    if args.against is None or args.quick or args.only or args.results or args.docs or args.figure:
        raise ConfigurationError(
            "--against DIR goes with --rounds and --json alone, and --rounds with --against or --policies"
        )
    rounds = args.rounds or ROUNDS
    with progress(2 * rounds, "ticks", "round") as bar:
        record = compare_ticks(args.against, rounds, bar.update)
    show(table(record))
    if args.json is not None:
        write_json(args.json, record)
    return 0
