"""Times to open and to run a policy file with an execution provider."""

from pathlib import Path
from time import perf_counter
from typing import TypedDict

from vdd_ros.host.facts import MachineFacts, RuntimeVersions, machine_facts, runtime_versions
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.providers import ENGINES, ProviderSettings


class Opening(TypedDict):
    """Content of the JSON file of `vdd prebuild`.

    Attributes:
        policy: Name of the policy file.
        provider, cuda_graph, fp16: As in `ProviderSettings`.
        open_s: Time to open the file, TensorRT's builds included, seconds.
        first_s, median_s, fastest_s, p99_s: As in `WarmUp`, seconds.
        runs: Number of runs.
        binding: Binding of tensors in ONNX Runtime.
        binding_run_s: Median run with each binding that was tried, seconds.
        engine_folder: Folder of TensorRT's engines; None with other providers.
        engines: Engine file to its size in bytes.
        built: Engines built in this run.
        machine, versions: Machine and software of the measurement.
    """

    policy: str
    provider: str
    cuda_graph: bool
    fp16: bool
    open_s: float
    first_s: float
    median_s: float
    fastest_s: float
    p99_s: float
    runs: int
    binding: str
    binding_run_s: dict[str, float]
    engine_folder: str | None
    engines: dict[str, int]
    built: list[str]
    machine: MachineFacts
    versions: RuntimeVersions


def measure_opening(policy_file: Path, settings: ProviderSettings, runs: int) -> Opening:
    """Open a policy file, run it `runs` times, and return the times and TensorRT's engines.

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
        "first_s": warm_up.first_s,
        "median_s": warm_up.median_s,
        "fastest_s": warm_up.fastest_s,
        "p99_s": warm_up.p99_s,
        "runs": runs,
        "binding": policy.binding,
        "binding_run_s": policy.binding_run_s,
        "engine_folder": str(folder) if folder else None,
        "engines": {engine.name: engine.stat().st_size for engine in engines},
        "built": policy.engines_built,
        "machine": machine_facts(),
        "versions": runtime_versions(),
    }
