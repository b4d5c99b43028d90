"""The `vdd` command: finds the subcommand, imports only that one, turns errors into messages and exit codes."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

from vdd_ros import __version__
from vdd_ros.errors import VddError

# Each command is the module vdd_ros.cli.<name> with HELP, add_arguments(parser) and run(args) -> exit code.
COMMANDS = {
    "demos": "make scripted demonstrations of a task",
    "train": "train a diffusion teacher on demonstrations",
    "distil": "make a policy that acts in one pass: VDD and its rivals",
    "export": "write a trained model as one policy file (ONNX)",
    "evaluate": "run a policy file in its task: success and diversity",
    "fidelity": "compare a student's actions with its teacher's, policy file with policy file",
    "novelty": "how often a policy file's novelty raises a false alarm, and how often it notices what is new",
    "benchmark": "run every method on the same tasks; tables and figures of success, diversity and speed",
    "latency": "show where the time of each tick went, from a latency bag",
    "bag": "mend a latency bag whose recorder was killed",
    "prebuild": "open a policy file with a provider and time it; with tensorrt, build its engines",
    "doctor": "what this host does for a control loop: clocks, limits, versions, jitter",
    "demo": "run student and teacher beside a simulated robot over ROS 2",
    "soak": "run the demo for minutes or hours and judge memory, records and deadlines",
}

# Which extra of setup.py brings the optional packages.
EXTRAS = {
    "gymnasium": "sim",
    "matplotlib": "sim",
    "tqdm": "sim",
    "onnx": "train",
    "safetensors": "train",
    "scipy": "train",
    "sklearn": "train",
    "tensorboard": "train",
    "torch": "train",
    "diagnostic_msgs": "ros",
    "geometry_msgs": "ros",
    "lifecycle_msgs": "ros",
    "rclpy": "ros",
    "rosbags": "ros",
    "sensor_msgs": "ros",
    "std_msgs": "ros",
    "std_srvs": "ros",
    "trajectory_msgs": "ros",
}

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run `vdd` with the given arguments, by default those of the process.

    Returns:
        The command's own exit code; 2 after an error that the message explains; 130 after Ctrl-C.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    command = argv[0] if argv and argv[0] in COMMANDS else None
    try:
        module = importlib.import_module(f"vdd_ros.cli.{command}") if command else None
        arguments = _parser(command, module).parse_args(argv)
        code: int = arguments.run(arguments)
        return code
    except (VddError, OSError) as error:
        return _fail(command, str(error))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        return _fail(command, _missing(package))
    except KeyboardInterrupt:
        print(f"vdd {command}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _parser(command: str | None, module: ModuleType | None) -> argparse.ArgumentParser:
    """Build the parser: every command by name, the arguments only of the one that was imported."""
    parser = argparse.ArgumentParser(
        prog="vdd", description="Distil diffusion policies into mixtures of experts and run them on robots with ROS 2."
    )
    parser.add_argument("--version", action="version", version=f"vdd_ros {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        if module is None or name != command:
            subparsers.add_parser(name, help=summary)
            continue
        subparser = subparsers.add_parser(name, help=summary, description=module.HELP)
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    return parser


def _fail(command: str | None, message: str) -> int:
    print(f"vdd {command}: error: {message}", file=sys.stderr)
    return EXIT_ERROR


def _missing(package: str) -> str:
    extra = EXTRAS[package]
    hint = f"{package} is not installed; the extra '{extra}' brings it: pip install 'vdd_ros[{extra}]'"
    if extra == "ros":
        hint += ", or source your ROS 2 installation"
    return f"{hint} (docs/install.md)"


if __name__ == "__main__":
    sys.exit(main())
