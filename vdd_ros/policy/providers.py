"""ONNX Runtime's execution providers: selection, options and engine cache."""

import os
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from vdd_ros.errors import ConfigurationError

PROVIDERS = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider",),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider"),
}
ENGINES = "*.engine"

Options = dict[str, str]


@dataclass(frozen=True)
class ProviderSettings:
    """Settings for ONNX Runtime; all but the name concern GPUs only.

    Attributes:
        name: `cpu`, `cuda` or `tensorrt`.
        device_id: Number of the GPU.
        engine_cache: Folder of TensorRT's engines; empty: `vdd_ros/engines` in the user's cache directory.
        fp16: Let TensorRT compute in half precision where that is faster.
        cuda_graph: Let CUDA replay the launches of all kernels as one.

    Raises:
        ConfigurationError: A value is not allowed, or applies to another provider only.
    """

    name: str = "cpu"
    device_id: int = 0
    engine_cache: str = ""
    fp16: bool = False
    cuda_graph: bool = False

    def __post_init__(self) -> None:
        if self.name not in PROVIDERS:
            raise ConfigurationError(f"Provider {self.name!r} is unknown; use one of {', '.join(PROVIDERS)}.")
        if self.device_id < 0:
            raise ConfigurationError(f"device_id is {self.device_id}; it must be 0 or more.")
        for option, provider in (("fp16", "tensorrt"), ("cuda_graph", "cuda")):
            if getattr(self, option) and self.name != provider:
                raise ConfigurationError(
                    f"{option} is for the provider {provider!r}, but the provider is {self.name!r}; leave it out, or "
                    f"ask for {provider!r}."
                )

    @property
    def asked(self) -> tuple[str, ...]:
        """ONNX Runtime's names of the providers, the preferred one first."""
        return PROVIDERS[self.name]


class EngineCache:
    """The engine folder of one policy file, created if missing.

    TensorRT names engines by a graph's structure, not by its weights. Files that differ only in weights therefore need
    separate folders, as do ONNX Runtime versions, which change the TensorRT version.

    Attributes:
        folder: Folder of the engines.
        timing: Folder of the timing cache that speeds up builds, shared by all policy files.
    """

    def __init__(self, settings: ProviderSettings, policy_sha256: str) -> None:
        """Select the folder of a policy file by its hash; raises ConfigurationError if it cannot be created."""
        base = Path(settings.engine_cache).expanduser() if settings.engine_cache else default_cache()
        self.folder = base / policy_sha256 / f"onnxruntime-{onnxruntime.__version__}"
        self.timing = base / "timing"
        try:
            for folder in (self.folder, self.timing):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"engine_cache {base} cannot be used ({error}); name a folder that can be written."
            ) from error
        self._before = set(self._engines())

    @property
    def built(self) -> list[str]:
        """Names of the engines built since this object was created."""
        return [engine.name for engine in self._engines() if engine not in self._before]

    def _engines(self) -> list[Path]:
        return sorted(self.folder.glob(ENGINES))


def default_cache() -> Path:
    """Return the default engine folder."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "vdd_ros" / "engines"


def provider_options(
    settings: ProviderSettings, shapes: dict[str, tuple[int, ...]], engines: EngineCache | None
) -> list[tuple[str, Options]]:
    """Return a session's providers with options, in ONNX Runtime's form.

    Args:
        settings: Requested settings.
        shapes: The graph's inputs without the batch.
        engines: TensorRT's engine cache; None for other providers.
    """
    if settings.name == "cpu":
        return [("CPUExecutionProvider", {})]
    cuda = {
        "device_id": str(settings.device_id),
        # The default (TF32) rounds matrix factors to 10 bits; a policy file promises more.
        "use_tf32": "0",
        "enable_cuda_graph": _flag(settings.cuda_graph),
    }
    if engines is None:
        return [("CUDAExecutionProvider", cuda)]
    one = ",".join(f"{name}:{'x'.join(map(str, (1, *shape)))}" for name, shape in shapes.items())
    tensorrt = {
        "device_id": str(settings.device_id),
        "trt_fp16_enable": _flag(settings.fp16),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(engines.folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(engines.timing),
        # With all shapes given, the engine is built when the session opens, not in the first run.
        "trt_profile_min_shapes": one,
        "trt_profile_opt_shapes": one,
        "trt_profile_max_shapes": one,
    }
    return [("TensorrtExecutionProvider", tensorrt), ("CUDAExecutionProvider", cuda)]


def _flag(value: bool) -> str:
    return str(int(value))
