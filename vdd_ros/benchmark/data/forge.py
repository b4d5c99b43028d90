"""The conversion of a bag by forge-robotics, in its own environment."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from vdd_ros.errors import ProcessError
from vdd_ros.text import printable

_PROGRAM = """
import json, sys
from importlib.metadata import version
from time import perf_counter
bag, output, numbers, rate = sys.argv[1:]
began = perf_counter()
from forge.cli import app
app(["convert", bag, output, "--format", "lerobot-v3", "--fps", rate, "--fail-on-error"], standalone_mode=False)
seconds = perf_counter() - began
lines = open("/proc/self/status").read().splitlines()
peak = next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))
frames = json.load(open(output + "/meta/info.json"))["total_frames"]
found = {"seconds": seconds, "peak_bytes": peak, "frames": frames, "version": version("forge-robotics")}
json.dump(found, open(numbers, "w"))
"""


@dataclass(frozen=True)
class ForgeRun:
    """A conversion.

    Attributes:
        version: Version of forge-robotics.
        seconds: Duration, s.
        peak_bytes: Greatest memory of the process.
        frames: Number of written frames.
    """

    version: str
    seconds: float
    peak_bytes: int
    frames: int


def convert_by_forge(python: Path, bag: Path, rate_hz: float) -> ForgeRun:
    """Convert a bag to LeRobot 3.0, in a new process.

    Args:
        python: Interpreter of an environment with forge-robotics, mcap, mcap-ros2-support and pyarrow.
        bag: The bag, of one MCAP file; forge takes the file, not the folder.
        rate_hz: Rate given to it.

    Raises:
        ProcessError: It failed.
    """
    (file,) = bag.glob("*.mcap")
    with TemporaryDirectory(dir=bag.parent) as folder:
        numbers = Path(folder) / "numbers.json"
        arguments = [str(file), str(Path(folder) / "out"), str(numbers), f"{rate_hz:g}"]
        try:
            done = subprocess.run(
                [str(python), "-c", _PROGRAM, *arguments], capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise ProcessError(f"--against-forge: {printable(python)} cannot be run: {printable(error)}") from error
        if done.returncode != 0 or not numbers.exists():
            reason = (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2]
            raise ProcessError(f"forge-robotics did not convert the bag: {printable(reason)}")
        return ForgeRun(**json.loads(numbers.read_text(encoding="utf-8")))
