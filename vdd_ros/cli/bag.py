"""`vdd bag`: repaired bags, and example recordings."""

import argparse
from dataclasses import asdict
from pathlib import Path

from vdd_ros.cli.actions import run_action
from vdd_ros.cli.numbers import SEED, Whole
from vdd_ros.cli.results import add_result_options, check_result_options, keep_result
from vdd_ros.console import show, tell
from vdd_ros.documents import write_json
from vdd_ros.places import OutputFile, OutputFolder
from vdd_ros.text import counted

HELP = "repair a bag, or make example recordings"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd bag`."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    about = (
        "copy every readable message of a bag into a new, complete one; the original is not changed. The exit code is "
        "1 if messages are missing, 2 if there are none"
    )
    action = actions.add_parser(
        "mend", help="copy the readable messages of a damaged bag into a new one", description=about
    )
    action.add_argument("bag", type=Path, help="a folder BAG.partial, another bag, or one of its files")
    action.add_argument(
        "--out", type=OutputFolder, metavar="DIR", help="bag to make (default: BAG of BAG.partial, else NAME.mended)"
    )
    action.add_argument("--force", action="store_true", help="replace DIR if it is a bag")
    action.add_argument("--json", type=OutputFile, metavar="FILE", help="write the printed numbers as JSON")
    action.set_defaults(run_action=_mend)
    example = "make bags of a simulated arm that an operator moves to a target, and its robot file, to try out vdd"
    action = actions.add_parser("example", help="make example recordings of an arm", description=example)
    action.add_argument("--out", type=OutputFolder, required=True, metavar="DIR", help="folder of the bags")
    action.add_argument("--episodes", type=Whole(), default=40, help="number of bags (default: %(default)s)")
    action.add_argument("--seed", type=SEED, default=0, help="seed of targets and noise (default: %(default)s)")
    add_result_options(action)
    action.set_defaults(run_action=_example)


run = run_action


def _example(args: argparse.Namespace) -> int:
    """Make recordings and print their paths."""
    from vdd_ros.recordings.example_arm import record_examples

    check_result_options(args)
    made = record_examples(args.out, args.episodes, args.seed)
    show(f"{args.out}: {counted(len(made.bags), 'bag')}, {made.elbow_up} with the elbow up; robot file {made.robot}")
    numbers = {"bags": len(made.bags), "elbow_up": made.elbow_up, "robot": str(made.robot), "seed": args.seed}
    keep_result(args, numbers)
    return 0


def _mend(args: argparse.Namespace) -> int:
    """Repair a bag and print the result; return 1 if messages are, or may be, missing."""
    from vdd_ros.bags.repair import mend

    mended = mend(args.bag, args.out, force=args.force)
    if mended.replaced is not None:
        tell(f"{mended.replaced}, left by an earlier attempt, was replaced")
    show(f"{mended.output}: {counted(mended.messages, 'message')}; {mended.source} is unchanged")
    for text in filter(None, [*mended.unreadable, *mended.notes, mended.gaps]):
        tell(text)
    if args.json is not None:
        found = asdict(mended).items()
        write_json(args.json, {name: str(value) if isinstance(value, Path) else value for name, value in found})
    return 1 if mended.gaps or mended.lost else 0
