"""The `vdd` command: finds the subcommand, imports only that one, turns errors into messages and exit codes."""

import argparse
import difflib
import importlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import Any, NoReturn

from vdd_ros import __version__
from vdd_ros.cli.failures import expected, fault
from vdd_ros.cli.numbers import Real, Whole, count_or_file
from vdd_ros.console import safe
from vdd_ros.errors import ConfigurationError, Terminated, VddError
from vdd_ros.host.threads import sleep_at_barriers
from vdd_ros.places import check_places

# In the order of the work; each is the module vdd_ros.cli.<name> with HELP, add_arguments(parser), run(args) -> code.
COMMANDS = {
    "robot": "make a robot file from a bag, or check one against a bag or the running robot",
    "demos": "make demonstrations",
    "train": "train a diffusion teacher on demonstrations",
    "import": "import a diffusion policy that another program trained, as a teacher",
    "distil": "distil a policy that acts in one network pass: VDD and its baselines",
    "export": "write a trained model as one policy file (ONNX)",
    "wrap": "make a policy file from another tool's deterministic ONNX graph",
    "evaluate": "run a policy file in its task: success and diversity",
    "fidelity": "compare a student's actions with its teacher's, policy file against policy file",
    "novelty": "measure out-of-distribution detection: false alarms, and detections of faults",
    "prebuild": "open a policy file with a provider and time it; with tensorrt, build its engines",
    "run": "run a policy on a robot, with shadow policies and a recorder, until Ctrl-C",
    "demo": "run student and teacher beside a simulated robot over ROS 2",
    "soak": "run the demo for minutes or hours and check memory, records and deadlines",
    "latency": "report latency bags: the time of each tick, and agreement of the policies",
    "bag": "repair a bag, or make example recordings",
    "doctor": "examine this host for real-time control: clocks, limits, versions, jitter",
    "benchmark": "benchmark methods, the policy node, the speed of learning, or policy files",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `vdd` with the given arguments, by default those of the process.

    Returns:
        The command's own exit code; 2 after an error that the message explains; 70 after an unforeseen one (the
        environment variable VDD_TRACEBACK=1 shows the traceback); 130 after Ctrl-C, 128 plus its number after
        another signal (143: SIGTERM, 129: SIGHUP); 141 if the reader of the output has gone.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    command = argv[0] if argv and argv[0] in COMMANDS else None
    name = f"vdd {command}" if command else "vdd"
    sleep_at_barriers()
    with ending_in_order():
        try:
            try:
                return _run(command, argv)
            finally:
                if sys.stdout is not None:
                    sys.stdout.flush()  # an error here has a message; at the interpreter's exit it would have none
        except (VddError, OSError, ImportError, KeyboardInterrupt) as error:
            return expected(name, error)
        except Exception as error:
            return fault(name, error)


def _run(command: str | None, argv: list[str]) -> int:
    """Import the command, check its arguments and output paths, run it."""
    if sys.stdout is not None and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # print the table even if one letter cannot be encoded
    module = importlib.import_module(f"vdd_ros.cli.{command}") if command else None
    arguments = _parser(command, module).parse_args(argv)
    check_places(arguments)
    code: int = arguments.run(arguments)
    return code


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise `Terminated`, so that temporary files are removed; a second signal kills.

    Signals that are already ignored or handled stay so. Outside the main thread nothing changes.
    """
    before: dict[int, Any] = {}

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        signal.signal(number, signal.SIG_DFL)
        raise Terminated(number)

    if threading.current_thread() is threading.main_thread():
        wanted = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) == signal.SIG_DFL]
        before = {number: signal.signal(number, end) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors cannot steer a terminal: a shell's * may put foreign file names into its arguments."""

    def error(self, message: str) -> NoReturn:
        super().error(safe(message))

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """Refuse a number in one line, as commands refuse other settings."""
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError as error:
            if isinstance(action.type, Whole | Real) or action.type is count_or_file:
                raise ConfigurationError(f"{action.option_strings[-1]} {error.message}") from None
            raise

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Suggest an existing choice for one that does not exist."""
        choices = [] if action.choices is None else list(map(str, action.choices))
        close = difflib.get_close_matches(str(value), choices, n=1)
        if close and value not in (action.choices or ()):
            raise argparse.ArgumentError(
                action, f"invalid choice: {value!r}, did you mean {close[0]!r}? (choose from {', '.join(choices)})"
            )
        super()._check_value(action, value)


def _parser(command: str | None, module: ModuleType | None) -> argparse.ArgumentParser:
    """Build the parser: every command by name, but arguments only for the imported one."""
    parser = _Parser(
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


if __name__ == "__main__":
    sys.exit(main())
