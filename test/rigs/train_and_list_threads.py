"""Run `vdd` with the given arguments, then write the names of gloo's threads that are still there to stdout."""

import sys
from pathlib import Path

from vdd_ros.cli.main import main

code = main(sys.argv[1:])
names = [task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")]
print("threads of gloo:", [name for name in names if "gloo" in name])
sys.exit(code)
