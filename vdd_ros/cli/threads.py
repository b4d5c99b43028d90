"""The option --threads of compute-intensive commands."""

import argparse
from typing import TypedDict

from vdd_ros.cli.numbers import Whole
from vdd_ros.console import tell
from vdd_ros.host.threads import MOST_THREADS, TOO_MANY_THREADS, ThreadCount, choose_threads


def add_thread_option(parser: argparse.ArgumentParser) -> None:
    """Add --threads."""
    parser.add_argument(
        "--threads",
        type=Whole(most=TOO_MANY_THREADS),
        metavar="N",
        help="number of threads (default: OMP_NUM_THREADS, else the number of free cores, at most "
        f"{MOST_THREADS}; a training keeps one unless more are faster)",
    )


def settle_threads(args: argparse.Namespace) -> ThreadCount:
    """Choose the number of torch's threads, and set it.

    Raises:
        ConfigurationError: The requested number is below 1.
    """
    chosen = choose_threads(args.threads)
    import torch

    torch.set_num_threads(chosen.threads)
    return chosen


def settle_worker_threads(args: argparse.Namespace) -> None:
    """Settle the threads of a command that takes --jobs and --ray; raises as `settle_threads`.

    Workers get the requested number, or share the cores of their machine. Without workers, this process computes, and
    prints its number of threads.
    """
    if args.jobs == 1 and args.ray is None:
        chosen = settle_threads(args)
        tell(f"threads: {chosen.threads}, {chosen.reason}")
    elif args.threads is not None:
        choose_threads(args.threads)


def settle_numpy_threads(args: argparse.Namespace) -> ThreadCount:
    """Choose the number of threads of numpy, SciPy and scikit-learn, and set it; raises as `settle_threads`."""
    chosen = choose_threads(args.threads)
    import sklearn  # type: ignore[import-untyped]  # noqa: F401  # loads the libraries that are limited
    import threadpoolctl  # type: ignore[import-not-found, import-untyped, unused-ignore]

    threadpoolctl.threadpool_limits(chosen.threads)
    return chosen


class ThreadFacts(TypedDict):
    """The threads of a record: their number, and the reason for it."""

    threads: int
    threads_reason: str


def thread_facts(chosen: ThreadCount) -> ThreadFacts:
    """Return the threads as a record keeps them."""
    return {"threads": chosen.threads, "threads_reason": chosen.reason}
