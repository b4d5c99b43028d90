"""On what machine and with what software something was measured."""

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from vdd_ros import __version__


def machine_facts() -> dict[str, Any]:
    """Return the processor's name and the number of cores that this process may use."""
    return {"cpu": cpu_model(), "cores": len(os.sched_getaffinity(0))}


def runtime_versions() -> dict[str, str]:
    """Return the versions of what runs a policy file."""
    return {
        "vdd_ros": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def available_providers() -> list[str]:
    """Return the execution providers that this ONNX Runtime was built with, by its own names."""
    return list(onnxruntime.get_available_providers())


def cpu_model() -> str:
    """Return the processor's name, or its architecture where Linux does not tell the name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
