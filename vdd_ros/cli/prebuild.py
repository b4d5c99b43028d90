"""`vdd prebuild`: opens a policy file with a provider, so that TensorRT's engines exist before the robot needs them."""

import argparse
from pathlib import Path

from vdd_ros.cli.numbers import Whole
from vdd_ros.console import show
from vdd_ros.documents import write_json
from vdd_ros.evaluation.opening import measure_opening
from vdd_ros.places import OutputFile
from vdd_ros.policy.providers import PROVIDERS, ProviderSettings

HELP = "open a policy file with a provider and time it; with tensorrt, build its engines"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd prebuild`."""
    parser.add_argument("policy", type=Path, help="policy file (.onnx)")
    parser.add_argument(
        "--provider", choices=PROVIDERS, default="cpu", help="execution provider (default: %(default)s)"
    )
    parser.add_argument(
        "--cache", default="", metavar="DIR", help="folder of TensorRT's engines, like the parameter engine_cache"
    )
    parser.add_argument("--device-id", type=Whole(0), default=0, help="index of the GPU (default: %(default)s)")
    parser.add_argument("--fp16", action="store_true", help="with tensorrt: half precision if that is faster")
    parser.add_argument("--cuda-graph", action="store_true", help="with cuda: replay all kernel launches as one")
    parser.add_argument("--runs", type=Whole(2), default=100, help="runs to time (default: %(default)s)")
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the numbers as JSON")


def run(args: argparse.Namespace) -> int:
    """Open, run, and print the times and the cached engines."""
    settings = ProviderSettings(args.provider, args.device_id, args.cache, args.fp16, args.cuda_graph)
    found = measure_opening(args.policy, settings, args.runs)
    show(f"{args.policy} with {args.provider}")
    show(f"  opened in   {found['open_s']:.2f} s")
    show(f"  first run   {1e3 * found['first_s']:.3f} ms")
    show(f"  median run  {1e6 * found['median_s']:.1f} us, {args.runs} runs in a loop; on a robot see vdd latency")
    ways = ", ".join(f"{1e6 * run_s:.1f} us by {name}" for name, run_s in found["binding_run_s"].items())
    show(f"  binding     {found['binding']}" + (f" ({ways})" if ways else ""))
    for engine, size in found["engines"].items():
        show(f"  {'built' if engine in found['built'] else 'found'}       {engine}, {size / 1e6:.2f} MB")
    if found["engine_folder"]:
        show(f"  in          {found['engine_folder']}")
    if args.json is not None:
        write_json(args.json, found)
    return 0
