"""`vdd import PROGRAM`: imports a teacher of a program."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vdd_ros.cli.numbers import POSITIVE
from vdd_ros.console import show, tell
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.documents import write_json
from vdd_ros.learning.importing.registry import IMPORTERS, Importer, ImportRequest
from vdd_ros.places import OutputFile, OutputFolder

if TYPE_CHECKING:
    from vdd_ros.learning.fit.metadata import CheckpointMetadata

HELP = "import a teacher of this program; its files run no code, and the program need not be installed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd import PROGRAM`."""
    parser.add_argument("checkpoint", type=Path, help="checkpoint of the program")
    parser.add_argument("--out", type=OutputFolder, required=True, metavar="DIR", help="checkpoint folder to write")
    parser.add_argument(
        "--demos",
        type=Path,
        metavar="PATH",
        help="demonstrations that the policy learned from: names, units and rate, and statistics that it lacks",
    )
    parser.add_argument(
        "--statistics", type=Path, metavar="FILE", help="statistics that it lacks; of LeRobot, meta/stats.json"
    )
    parser.add_argument("--rate-hz", type=POSITIVE, metavar="HZ", help="control rate, without --demos")
    parser.add_argument("--task", default="", help="name of the task, without --demos (default: the checkpoint's)")
    parser.add_argument("--force", action="store_true", help="replace a checkpoint in the folder")
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the numbers as JSON")


def run(args: argparse.Namespace) -> int:
    """Import, print the table."""
    from vdd_ros.learning.importing.folder import import_teacher

    importer = IMPORTERS.get(args.importer)
    demonstrations = None if args.demos is None else DemonstrationSet.load(args.demos)
    request = ImportRequest(
        checkpoint=args.checkpoint,
        demonstrations=demonstrations,
        statistics=args.statistics,
        rate_hz=args.rate_hz,
        task=args.task,
    )
    metadata = import_teacher(importer, request, args.out, force=args.force)
    show(_format(metadata, importer, args.out))
    for warning in metadata.warnings:
        tell(f"warning: {warning}.")
    if args.json is not None:
        write_json(args.json, {"folder": str(args.out), **_facts(metadata)})
    return 0


def _facts(metadata: "CheckpointMetadata") -> dict[str, object]:
    names = ("method", "task", "rate_hz", "model", "settings", "data_sha256", "warnings")
    return {name: getattr(metadata, name) for name in names}


def _format(metadata: "CheckpointMetadata", importer: Importer, folder: Path) -> str:
    model, settings = metadata.model, metadata.settings
    rows = {
        "task": f"{metadata.task}, {metadata.rate_hz:g} Hz",
        "window": f"{model['history']} observations in, {model['horizon'] - model['past']} actions out",
        **{name.replace("_", " ", 1): f"{value}" for name, value in settings.items()},
        "data": metadata.data_sha256 or "unknown",
    }
    width = 2 + max(map(len, rows))
    title = f"{folder}: a teacher of {importer.label}"
    return "\n".join([title, *(f"  {name:<{width}}{text}" for name, text in rows.items())])
