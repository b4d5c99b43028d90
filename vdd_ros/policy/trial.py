"""Opening a policy file in another process first, for versions of ONNX Runtime that hold Python while they open it.

Such a version keeps Python's global interpreter lock: until the file is open no tick runs, no watchdog, no time limit
and no signal handler. A file can make that last for minutes. A separate process can be awaited and ended.
"""

import ctypes
import os
import pickle
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict

import onnxruntime

from vdd_ros.errors import ConfigurationError, PolicyFileError, VddError
from vdd_ros.policy.onnx_session import open_session
from vdd_ros.policy.policy_file import PolicyFile
from vdd_ros.policy.providers import EngineCache, ProviderSettings
from vdd_ros.text import printable

LETS_PYTHON_RUN = (1, 31)
"""The first ONNX Runtime that opens files without Python's lock; docs/install.md has the versions tried."""

ADVICE = f"install onnxruntime {'.'.join(map(str, LETS_PYTHON_RUN))} or newer, which needs Python 3.11"
STOPS_TICKS = f"ONNX Runtime {onnxruntime.__version__} stops all ticks while it opens a file"
_PROGRAM = "import sys; sys.path[:] = {path!r}; from vdd_ros.policy.trial import main; main({parent})"
_PR_SET_PDEATHSIG = 1


def opening_stops_python() -> bool:
    """Return whether this ONNX Runtime stops Python threads while it opens a file; True if its version is unknown."""
    version = re.match(r"(\d+)\.(\d+)", onnxruntime.__version__)
    return version is None or tuple(map(int, version.groups())) < LETS_PYTHON_RUN


def try_to_open(
    file: PolicyFile,
    provider: ProviderSettings,
    timeout_s: float,
    *,
    intra_op_threads: int = 1,
    inter_op_threads: int = 1,
) -> list[str]:
    """Open a file in another process, to verify that opening terminates.

    A file refused there would be refused here just as soon, so it counts as tried. The other process ends with the
    thread that waits for it.

    Args:
        file: The policy file.
        provider: With its settings; TensorRT's engines are built there and kept.
        timeout_s: Time limit in seconds, including the start of the process (about half a second).
        intra_op_threads: As in `open_session`.
        inter_op_threads: As in `open_session`.

    Returns:
        Names of the TensorRT engines that were built.

    Raises:
        ConfigurationError: The time limit was exceeded, or the engine folder cannot be used.
        PolicyFileError: The process died.
    """
    engines = EngineCache(provider, file.sha256) if provider.name == "tensorrt" else None
    program = _PROGRAM.format(path=sys.path, parent=os.getpid())
    given = (asdict(provider), intra_op_threads, inter_op_threads, str(file.path), file.content, file.sha256)
    try:
        ended = subprocess.run(
            [sys.executable, "-c", program],
            input=pickle.dumps(given),
            capture_output=True,
            timeout=timeout_s,
            check=False,
            start_new_session=True,  # Ctrl-C in a terminal concerns only this process
        )
    except subprocess.TimeoutExpired:
        raise ConfigurationError(
            f"{printable(file.path)} was not open after {timeout_s:g} s and was aborted; allow more time, or export a "
            "smaller policy"
        ) from None
    if ended.returncode != 0:
        said = ended.stderr.decode(errors="replace").strip()
        raise PolicyFileError(
            f"{printable(file.path)} was opened in another process first, since ONNX Runtime {onnxruntime.__version__} "
            f"stops this one meanwhile. That process ended with {ended.returncode}: {printable(said[-600:], 600)}. "
            f"Export the policy again, or {ADVICE}."
        )
    return [] if engines is None else engines.built


def main(parent: int) -> None:
    """Open the file that stdin describes; the process that does so ends with its parent."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    provider, intra_op_threads, inter_op_threads, path, content, sha256 = pickle.load(sys.stdin.buffer)
    with suppress(VddError):
        open_session(
            PolicyFile(path, content, sha256),
            provider=ProviderSettings(**provider),
            intra_op_threads=intra_op_threads,
            inter_op_threads=inter_op_threads,
        )
