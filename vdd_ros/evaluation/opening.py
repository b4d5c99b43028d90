"""How long a policy file takes to open and to run with a provider."""

from pathlib import Path
from time import perf_counter
from typing import Any

from vdd_ros.host.facts import machine_facts, runtime_versions
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.providers import ENGINES, ProviderSettings


def measure_opening(policy_file: Path, settings: ProviderSettings, runs: int) -> dict[str, Any]:
    """Open a policy file, run it, and return the times in seconds and TensorRT's engines with their sizes in bytes.

    Raises:
        VddError: As `OnnxPolicy.load` and `OnnxPolicy.warm_up`.
    """
    start = perf_counter()
    policy = OnnxPolicy.load(policy_file, provider=settings)
    open_s = perf_counter() - start
    warm_up = policy.warm_up(runs)
    folder = policy.engine_folder
    engines = sorted(folder.glob(ENGINES)) if folder else []
    return {
        "policy": policy_file.name,
        "provider": settings.name,
        "cuda_graph": settings.cuda_graph,
        "fp16": settings.fp16,
        "open_s": open_s,
        **warm_up._asdict(),
        "runs": runs,
        "binding": policy.binding,
        "binding_run_s": policy.binding_run_s,
        "engine_folder": str(folder) if folder else None,
        "engines": {engine.name: engine.stat().st_size for engine in engines},
        "built": policy.engines_built,
        "machine": machine_facts(),
        "versions": runtime_versions(),
    }
