"""The machine and the software of a measurement."""

import os
import platform
from pathlib import Path
from typing import TypedDict

import numpy as np
import onnxruntime

from vdd_ros import __version__


class MachineFacts(TypedDict):
    """A machine.

    Attributes:
        cpu: Name of the processor, or its architecture.
        cores: Cores that this process may use.
    """

    cpu: str
    cores: int


class RuntimeVersions(TypedDict):
    """Version of each package that runs a policy file."""

    vdd_ros: str
    python: str
    numpy: str
    onnxruntime: str


def machine_facts() -> MachineFacts:
    """Return the processor's name and the number of cores that this process may use."""
    return {"cpu": cpu_model(), "cores": len(os.sched_getaffinity(0))}


def runtime_versions() -> RuntimeVersions:
    """Return the versions of the packages that run a policy file."""
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
    """Return the processor's name, or its architecture if Linux hides the name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
