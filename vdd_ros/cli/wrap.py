"""`vdd wrap`: makes a policy file around another tool's deterministic ONNX graph."""

import argparse
from pathlib import Path

from vdd_ros.console import show, tell
from vdd_ros.documents import json_object, write_json
from vdd_ros.places import OutputFile
from vdd_ros.text import counted

HELP = "make a policy file from another tool's deterministic ONNX graph: metadata, units, statistics, limits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd wrap`."""
    parser.add_argument("foreign", type=Path, help="ONNX file of another tool")
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument(
        "--spec", type=Path, metavar="FILE", help="YAML file that defines the meaning of its numbers; with --out"
    )
    task.add_argument(
        "--new-spec", type=OutputFile, metavar="FILE", help="draft such a YAML file from the graph, with open questions"
    )
    parser.add_argument("--out", type=OutputFile, metavar="FILE", help="policy file to write (.onnx)")
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the printed numbers as JSON")


def run(args: argparse.Namespace) -> int:
    """Wrap the graph, or draft a description; print the result."""
    if args.new_spec is not None:
        return _draft(args)
    from vdd_ros.errors import ConfigurationError
    from vdd_ros.wrapping.wrap import wrap

    if args.out is None:
        raise ConfigurationError("--spec needs --out FILE, the policy file to write")
    made = wrap(args.foreign, args.spec, args.out, force=args.force)
    show(
        f"{made.file}: {counted(made.observation, 'number')} observed, {counted(made.history, 'time')}; "
        f"{made.action} commanded, "
        f"{made.horizon} actions; around {made.foreign} of {made.producer}",
        f"largest difference from the foreign graph: {made.max_error:.2g} standard deviations",
    )
    if made.dropped:
        tell(f"left out: the outputs {', '.join(made.dropped)}")
    for warning in made.warnings:
        tell(f"warning: {warning}")
    if args.json is not None:
        write_json(args.json, json_object(made))
    return 0


def _draft(args: argparse.Namespace) -> int:
    from vdd_ros.errors import ConfigurationError
    from vdd_ros.wrapping.draft import write_spec

    if args.out is not None:
        raise ConfigurationError("--new-spec writes no policy file; answer its questions, then use --spec with --out")
    draft = write_spec(args.foreign, args.new_spec, force=args.force)
    show(
        f"{draft.file}, from a graph of {draft.producer}: inputs {', '.join(draft.inputs)}; "
        f"outputs {', '.join(draft.outputs)}",
        f'{counted(draft.questions, "open question")}, marked "???": the file is refused until all are answered',
        f"then: vdd wrap {args.foreign} --spec {draft.file} --out policy.onnx",
    )
    if args.json is not None:
        write_json(args.json, json_object(draft))
    return 0
