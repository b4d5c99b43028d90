"""Error messages and exit codes of `vdd`."""

import os
import signal
import sys
import traceback
from pathlib import Path

from vdd_ros.console import silence, tell
from vdd_ros.errors import Terminated

# The extra of setup.py that installs each optional package.
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
    "mujoco": "physics",
    "av": "video",
    "ray": "cluster",
    "PIL": "formats",
    "h5py": "formats",
    "numcodecs": "formats",
    "pyarrow": "formats",
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

# Mandatory dependencies: import name, and the package that provides it.
ALWAYS = {"numpy": "numpy", "onnxruntime": "onnxruntime", "yaml": "pyyaml"}

EXIT_ERROR = 2
EXIT_FAULT = 70
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
TRACEBACK = "VDD_TRACEBACK"


def expected(name: str, error: BaseException) -> int:
    """Print the problem as far as it is known; return the exit code."""
    _show_traceback(error)
    if isinstance(error, Terminated):
        tell(f"{name}: ended by {signal.Signals(error.number).name}")
        return 128 + error.number
    if isinstance(error, KeyboardInterrupt):
        tell(f"{name}: interrupted")
        return EXIT_INTERRUPTED
    if isinstance(error, BrokenPipeError) and error.filename is None:
        silence(sys.stdout, 1)
        return EXIT_BROKEN_PIPE
    if isinstance(error, ImportError):
        package = (error.name or "").partition(".")[0]
        if not isinstance(error, ModuleNotFoundError) or package not in EXTRAS | ALWAYS:
            return fault(name, error)
        return _fail(name, _missing(package))
    if isinstance(error, OSError) and error.filename is None:  # such as a full disk behind standard output
        silence(sys.stdout, 1)
    return _fail(name, _system_text(error) if isinstance(error, OSError) else str(error))


def fault(name: str, error: Exception) -> int:
    """Report an unforeseen error: its location, and how to see more."""
    if isinstance(error.__cause__, KeyboardInterrupt):  # a signal while native code was imported
        return expected(name, error.__cause__)
    _show_traceback(error)
    if _is_out_of_memory(error):
        return _fail(name, f"not enough memory: {_first_line(error)}; process less at a time, or end other programs")
    place, file = _scene(error)
    mend = f" If {file} is damaged or of another kind, name another one; otherwise" if file else ""
    tell(
        f"{name}: unforeseen error: {type(error).__name__}: {error} (in {place}).{mend} please report it with the "
        f"traceback; {TRACEBACK}=1 before the command shows it."
    )
    return EXIT_FAULT


def _is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory ran out: for numpy and Python, for torch on a GPU, or for torch on the CPU."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _show_traceback(error: BaseException) -> None:
    if os.environ.get(TRACEBACK, "") not in ("", "0"):
        tell("".join(traceback.format_exception(error)).rstrip())


def _scene(error: BaseException) -> tuple[str, str | None]:
    """Return the place in this package that raised an error, and the file or folder it was working on, if any."""
    place, file = "before the command began", None
    for frame, line in traceback.walk_tb(error.__traceback__):
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] != "vdd_ros":
            continue
        place = f"{module}, line {line}"
        if module in ("vdd_ros.cli.main", __name__):
            continue
        paths = [value for value in frame.f_locals.values() if isinstance(value, Path)]
        if found := [path for path in paths if os.path.lexists(path)]:
            file = str(found[-1])
    return place, file


def _system_text(error: OSError) -> str:
    """Return the file that the system refused, if it names one, and the reason."""
    if error.strerror is None:
        return str(error)
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    return f"{' -> '.join(names)}: {error.strerror}" if names else error.strerror


def _fail(name: str, message: str) -> int:
    tell(f"{name}: error: {message}")
    return EXIT_ERROR


def _missing(package: str) -> str:
    if package in ALWAYS:
        return f"{package} is missing, and vdd_ros always needs it: pip install {ALWAYS[package]} (docs/install.md)"
    extra = EXTRAS[package]
    hint = f"{package} is not installed; the extra '{extra}' brings it: pip install 'vdd_ros[{extra}]'"
    if extra == "ros":
        hint += ", or source your ROS 2 installation"
    return f"{hint} (docs/install.md)"
