"""`vdd robot new`: drafts a robot file from bags."""

import argparse
from pathlib import Path

from vdd_ros.cli.numbers import POSITIVE
from vdd_ros.console import show
from vdd_ros.documents import json_object, write_json
from vdd_ros.places import OutputFile
from vdd_ros.text import counted

HELP = "draft a robot file from bags, with open questions for a person to answer"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd robot new`."""
    parser.add_argument(
        "--bag", type=Path, nargs="+", required=True, metavar="BAG", help="bags of demonstrations, or folders of bags"
    )
    parser.add_argument("--out", type=OutputFile, required=True, metavar="FILE", help="robot file to write (.yaml)")
    parser.add_argument(
        "--rate", type=POSITIVE, metavar="HZ", help="rate of the policy (default: that of the recorded commands)"
    )
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write what was found as JSON")


def run(args: argparse.Namespace) -> int:
    """Write the file; print its content and the open questions."""
    from vdd_ros.evaluation.robot_draft.draft import write_draft

    draft = write_draft(args.bag, args.out, rate_hz=args.rate, force=args.force)
    show(
        f"{draft.file}, from {counted(draft.bags, 'bag')}: {draft.entries} entries from {', '.join(draft.inputs)}",
        f"commands: {counted(draft.numbers, 'number')} on {', '.join(draft.commands) or 'no topic of the bag'}",
    )
    if draft.questions:
        show(f'{counted(draft.questions, "open question")}, marked "???": the file is refused until all are answered')
    else:
        show("the file is valid; check the questions in its comments")
    show(f"then: vdd robot check {draft.file} --bag {draft.bag}")
    if args.json is not None:
        write_json(args.json, json_object(draft))
    return 0
