"""Preparation before the import of rclpy: the right middleware, and signals that end the process cleanly."""

import os
import signal
import sys
from pathlib import Path

from vdd_ros import middleware
from vdd_ros.errors import ConfigurationError
from vdd_ros.nodes.ros.leaving import leaving_signals

EXECUTABLES = ("policy_node", "sim_robot_node", "bag_recorder")


def prepare() -> None:
    """Prepare the process if it is an executable of this package; otherwise do nothing.

    Until the node has handlers of its own, a signal ends the process with 0: nothing was commanded yet.

    Raises:
        SystemExit: The middleware requested by the environment is missing; exit code 1, reason on stderr.
    """
    if not _is_executable():
        return
    for number in leaving_signals():
        signal.signal(number, lambda *_: os._exit(0))
    try:
        middleware.check()
    except ConfigurationError as error:
        raise SystemExit(f"ConfigurationError: {error}") from None


def _is_executable() -> bool:
    """Return whether the process was started as one, as a script or with `python -m`."""
    if sys.argv and sys.argv[0] == "-m":  # Python's placeholder while it looks for the module
        words = sys.orig_argv
        module = words[words.index("-m") + 1] if "-m" in words[:-1] else ""
        return module.rpartition(".")[0] == "vdd_ros.nodes" and module.rpartition(".")[2] in EXECUTABLES
    return bool(sys.argv) and Path(sys.argv[0]).name in EXECUTABLES
