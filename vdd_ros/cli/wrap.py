"""`vdd wrap`: a policy file around a deterministic ONNX graph of another tool."""

import argparse
from pathlib import Path

from vdd_ros.console import show, tell
from vdd_ros.documents import json_object, write_json
from vdd_ros.places import OutputFile

HELP = "make a policy file of a deterministic ONNX graph of another tool: metadata, units, statistics, limits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd wrap`."""
    parser.add_argument("foreign", type=Path, help="ONNX file of another tool")
    parser.add_argument("--spec", type=Path, required=True, metavar="FILE", help="YAML that says what its numbers mean")
    parser.add_argument("--out", type=OutputFile, required=True, metavar="FILE", help="policy file to write (.onnx)")
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the printed numbers as JSON")


def run(args: argparse.Namespace) -> int:
    """Wrap the graph, say what came of it."""
    from vdd_ros.wrapping.wrap import wrap

    made = wrap(args.foreign, args.spec, args.out, force=args.force)
    show(
        f"{made.file}: {made.observation} numbers observed, {made.history} times; {made.action} commanded, "
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
