"""On what machine something was measured."""

import os
import platform
from pathlib import Path
from typing import Any


def machine_facts() -> dict[str, Any]:
    """Return the processor's name and the number of cores that this process may use."""
    return {"cpu": cpu_model(), "cores": len(os.sched_getaffinity(0))}


def cpu_model() -> str:
    """Return the processor's name, or its architecture where Linux does not tell the name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
