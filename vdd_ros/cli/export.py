"""`vdd export`: writes a checkpoint as one policy file."""

import argparse
import json
from pathlib import Path
from typing import Any

from vdd_ros.cli.options import add_config_options, config_from_options, given_options
from vdd_ros.cli.threads import add_thread_option, settle_threads, thread_facts
from vdd_ros.console import show, tell
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.documents import read_json, write_json
from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.methods.configs import ExportConfig
from vdd_ros.places import OutputFile
from vdd_ros.policy.spec_checks import MAX_DEPTH, MAX_METADATA_BYTES
from vdd_ros.policy.structure import DIFFUSION
from vdd_ros.text import printable

HELP = "write a trained model as one policy file (ONNX)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd export`."""
    parser.add_argument("checkpoint", type=Path, help="checkpoint folder of a teacher or a student")
    parser.add_argument("--out", type=OutputFile, required=True, metavar="FILE", help="policy file to write (.onnx)")
    parser.add_argument(
        "--demos",
        type=Path,
        metavar="PATH",
        help="training demonstrations, for the novelty density (default: the linked set)",
    )
    parser.add_argument(
        "--fidelity", type=Path, metavar="FILE", help="JSON object with measured figures to store in the file"
    )
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the numbers as JSON")
    parser.add_argument("--force", action="store_true", help="replace a file of another model")
    add_thread_option(parser)
    add_config_options(parser, ExportConfig)


def run(args: argparse.Namespace) -> int:
    """Export, print the table."""
    from vdd_ros.learning.export.export import export
    from vdd_ros.learning.export.place import check_policy_place
    from vdd_ros.learning.export.summary import export_table, export_warnings
    from vdd_ros.learning.kinds import load_any

    _refuse_sampling_of_students(args)
    if not args.force:
        check_policy_place(args.out, load_any(args.checkpoint)[1])
    fidelity = None if args.fidelity is None else _read_fidelity(args.fidelity)
    demonstrations = None if args.demos is None else DemonstrationSet.load(args.demos)
    chosen = settle_threads(args)
    spec = export(args.checkpoint, args.out, config_from_options(ExportConfig, args), fidelity, demonstrations)
    show(export_table(spec, args.out, f"{chosen.threads}, {chosen.reason}"))
    warnings = export_warnings(spec, args.checkpoint)
    for warning in warnings:
        tell(f"warning: {warning}")
    if args.json is not None:
        size, policy = args.out.stat().st_size, json.loads(spec.to_json())
        facts = {"file": args.out.name, "bytes": size, "warnings": warnings, "policy": policy, **thread_facts(chosen)}
        write_json(args.json, facts)
    return 0


def _refuse_sampling_of_students(args: argparse.Namespace) -> None:
    from vdd_ros.learning.kinds import load_any

    given = [f"--{name}" for name in ("steps", "sampler", "schedule") if name in given_options(ExportConfig, args)]
    if given and (metadata := load_any(args.checkpoint)[1]).structure != DIFFUSION:
        raise ConfigurationError(
            f"{' and '.join(given)}: only diffusion policies take sampling steps, but '{args.checkpoint}' holds a "
            f"{metadata.structure} policy; omit the option"
        )


def _read_fidelity(file: Path) -> dict[str, Any]:
    """Read a JSON object; raises ConfigurationError if the file holds anything else."""
    try:
        figures = read_json(file, ConfigurationError, max_bytes=MAX_METADATA_BYTES, max_depth=MAX_DEPTH)
    except ConfigurationError as error:
        raise ConfigurationError(f"--fidelity: {error} Name another file.") from error
    if not isinstance(figures, dict):
        raise ConfigurationError(
            f"--fidelity {printable(file)} holds a {type(figures).__name__}; it must hold a JSON object"
        )
    return figures
