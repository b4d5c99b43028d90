"""`vdd export`: a checkpoint as one policy file."""

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
from vdd_ros.host.threads import ThreadCount
from vdd_ros.learning.methods.configs import ExportConfig
from vdd_ros.places import OutputFile
from vdd_ros.policy.spec import PolicySpec
from vdd_ros.policy.spec_checks import MAX_DEPTH, MAX_METADATA_BYTES
from vdd_ros.policy.structure import DIFFUSION
from vdd_ros.text import printable

HELP = "write a trained model as one policy file (ONNX)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd export`."""
    parser.add_argument("checkpoint", type=Path, help="checkpoint folder of a teacher or a student")
    parser.add_argument("--out", type=OutputFile, required=True, metavar="FILE", help="policy file to write (.onnx)")
    parser.add_argument(
        "--demos", type=Path, metavar="DIR", help="what it learned from, for the novelty (default: what it links to)"
    )
    parser.add_argument("--fidelity", type=Path, metavar="FILE", help="JSON object of measured figures to note in it")
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the numbers as JSON")
    parser.add_argument("--force", action="store_true", help="replace a file that holds anything else than this model")
    add_thread_option(parser)
    add_config_options(parser, ExportConfig)


def run(args: argparse.Namespace) -> int:
    """Export, print the table."""
    from vdd_ros.cli.policy_place import check_policy_place
    from vdd_ros.learning.export.export import export
    from vdd_ros.learning.kinds import load_any

    _refuse_sampling_of_students(args)
    if not args.force:
        check_policy_place(args.out, load_any(args.checkpoint)[1])
    fidelity = None if args.fidelity is None else _read_fidelity(args.fidelity)
    demonstrations = None if args.demos is None else DemonstrationSet.load(args.demos)
    chosen = settle_threads(args)
    spec = export(args.checkpoint, args.out, config_from_options(ExportConfig, args), fidelity, demonstrations)
    show(_format(spec, args.out, chosen))
    warnings = _warnings(spec, args.checkpoint)
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
    if given and (card := load_any(args.checkpoint)[1]).structure != DIFFUSION:
        raise ConfigurationError(
            f"{' and '.join(given)}: only diffusion policies take sampling steps, but '{args.checkpoint}' holds a "
            f"{card.structure} policy; omit the option"
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


def _warnings(spec: PolicySpec, checkpoint: Path) -> list[str]:
    """Return what whoever runs the file should know of its training, a sentence each."""
    from vdd_ros.learning.fit.windows import small_deviations

    found = [f"{warning}." for warning in spec.warnings]
    if _interrupted(spec):
        found.append(
            f"the training of '{checkpoint}' ended after {_steps(spec)}. Finish it with --resume and export it again, "
            "unless that is meant."
        )
    return found + small_deviations(spec.vector, spec.statistics.observation_std)


def _interrupted(spec: PolicySpec) -> bool:
    steps = spec.settings.get("steps")
    return isinstance(steps, int) and spec.settings["steps_done"] < steps


def _steps(spec: PolicySpec) -> str:
    """Say how many steps were done, and of how many where that differs."""
    done = f"{spec.settings['steps_done']:,}"
    return f"{done} of {spec.settings['steps']:,} steps" if _interrupted(spec) else f"{done} steps"


def _format(spec: PolicySpec, file: Path, chosen: ThreadCount) -> str:
    parity = spec.parity
    same = f"at most {parity.max_error:.2g} standard deviations from torch over {parity.samples} samples"
    rows = {
        "method": f"{spec.method}, {_inside(spec)}",
        "training": _steps(spec) + (", interrupted" if _interrupted(spec) else ""),
        "draws": _draws(spec),
        "size": f"{file.stat().st_size / 1e6:.2f} MB",
        "window": f"{spec.history} observations in, {spec.horizon} actions out, {spec.rate_hz:.4g} Hz",
        "parity": same,
        "novelty": _bound(spec),
        "threads": f"{chosen.threads}, {chosen.reason}",
        **{f"limits {entry.name}": f"{entry.low:.4g} to {entry.high:.4g} {entry.unit}" for entry in spec.action},
    }
    width = 2 + max(map(len, rows))
    return "\n".join([f"{file}", *(f"  {name:<{width}}{text}" for name, text in rows.items())])


def _draws(spec: PolicySpec) -> str:
    if not spec.is_deterministic:
        return "inputs of the graph"
    return "none: the likeliest expert, its mean" if spec.is_mixture else "none: one noise, kept in the file"


def _bound(spec: PolicySpec) -> str:
    novelty = spec.novelty
    if novelty is None:
        return "unknown"
    share = f"{100 * (1 - novelty.quantile):.3g} % of the demonstrated observations"
    return f"above {novelty.bound:.3g} nats for {share}, {novelty.components} components"


def _inside(spec: PolicySpec) -> str:
    if spec.is_mixture:
        return f"{spec.experts} experts, {spec.covariance} covariance"
    return f"{spec.sampling_steps} sampling steps" if spec.sampling_steps else "one pass"
