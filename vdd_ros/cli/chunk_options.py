"""Options of `vdd evaluate` for policies with chunks: how much of each is executed, and how late answers arrive."""

import argparse
from collections.abc import Sequence

from vdd_ros.cli.numbers import Whole
from vdd_ros.errors import ConfigurationError
from vdd_ros.evaluation.continuing import PREFIXES
from vdd_ros.places import OutputFile


def add_chunk_options(parser: argparse.ArgumentParser) -> None:
    """Add --action-steps, --delay, --prefix and --delay-figure."""
    parser.add_argument(
        "--action-steps",
        type=Whole(most=None),
        default=1,
        metavar="N",
        help="actions of a chunk to execute before the next inference (default: %(default)s)",
    )
    parser.add_argument(
        "--delay",
        type=Whole(0, None),
        nargs="+",
        metavar="N",
        help="control steps from a question to its answer, a run each; meanwhile the old chunk is executed. "
        "Reports the seams between chunks too (default: 0, without them)",
    )
    parser.add_argument(
        "--prefix",
        choices=PREFIXES,
        help="how answers continue what is executed until they arrive. condition: the policy is given it; none: it is "
        "not; average: the mean of all chunks that cover a step; blend: a linear passage from the old chunk to the new "
        "(default: condition if the file takes a prefix, otherwise none)",
    )
    parser.add_argument(
        "--delay-figure", type=OutputFile, metavar="PNG", help="draw success, task entropy and seams over --delay"
    )


def delays_of(args: argparse.Namespace) -> Sequence[int] | None:
    """Return the delays to run, or None if nothing was asked about delays.

    Raises:
        ConfigurationError: A delay is given twice.
    """
    if args.delay is None:
        return None if args.prefix is None and args.delay_figure is None else [0]
    if len(set(args.delay)) < len(args.delay):
        raise ConfigurationError(f"--delay is {args.delay}; it must be different numbers")
    return list(args.delay)
