"""Opening a policy file in ONNX Runtime: the session, and the check against the metadata."""

from contextlib import redirect_stdout, suppress
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import onnxruntime

from vdd_ros.errors import ConfigurationError, PolicyFileError, ProviderError
from vdd_ros.policy.cuda_recording import ignore_recordings_elsewhere
from vdd_ros.policy.graph import Tensor, graph_inputs, graph_outputs
from vdd_ros.policy.providers import EngineCache, Options, ProviderSettings, provider_options
from vdd_ros.policy.spec import METADATA_KEY, PolicySpec

_ERROR_LOGS_ONLY = 3


class Opened(NamedTuple):
    """A policy file, open: its session, its metadata, and TensorRT's engines (None with other providers)."""

    session: onnxruntime.InferenceSession
    spec: PolicySpec
    engines: EngineCache | None


def open_session(
    path: str | Path, *, provider: ProviderSettings, intra_op_threads: int, inter_op_threads: int
) -> Opened:
    """Open a policy file and check that its graph is what its metadata say.

    Threads do not spin while they wait, operators run one after the other, and denormal numbers count as zero (ONNX
    Runtime sets that for the thread that opens the first session, numpy included). Where a GPU is asked for, the file
    is checked on the CPU first: TensorRT builds for minutes, and needs to be told the shapes.

    Raises:
        PolicyFileError: The file is missing, is not ONNX, or its metadata is missing, wrong or contradicts the graph.
        ProviderError: The provider was not granted; there is no fall-back.
        ConfigurationError: A number of threads is not allowed, or the engines cannot be kept where they should.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _checked_threads("intra_op_threads", intra_op_threads)
    options.inter_op_num_threads = _checked_threads("inter_op_threads", inter_op_threads)
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERROR_LOGS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    file = Path(path)
    if not file.is_file():
        raise PolicyFileError(f"{path} is not a file. Give the path of an .onnx file made by vdd export.")
    available = onnxruntime.get_available_providers()
    if missing := [name for name in provider.asked if name not in available]:
        raise _refused_provider(provider, f"this ONNX Runtime has only {', '.join(available)}, not {missing[0]}")
    session = _read(file, options)
    spec = _checked_spec(session, file)
    if provider.name == "cpu":
        return Opened(session, spec, None)
    engines = EngineCache(provider, file) if provider.name == "tensorrt" else None
    shapes = {name: tensor.shape for name, tensor in graph_inputs(spec).items()}
    asked = provider_options(provider, shapes, engines)
    return Opened(_create_on_gpu(file, options, provider, asked), spec, engines)


def _checked_threads(name: str, threads: int) -> int:
    if threads < 1:
        raise ConfigurationError(f"{name} is {threads}; it must be 1 or more (1 is best for small networks).")
    return threads


def _read(file: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    """Open a file on the CPU."""
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common base
        raise PolicyFileError(
            f"{file} cannot be read as ONNX ({error}). It is another kind of file, or it was cut off: "
            "copy it or export it again."
        ) from error


def _checked_spec(session: onnxruntime.InferenceSession, file: Path) -> PolicySpec:
    try:
        text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if text is None:
            raise PolicyFileError(
                f"ONNX without the metadata {METADATA_KEY!r} is not a policy file. Make policy files with vdd export."
            )
        spec = PolicySpec.from_json(text)
        _check_tensors("input", session.get_inputs(), graph_inputs(spec))
        _check_tensors("output", session.get_outputs(), graph_outputs(spec))
    except PolicyFileError as error:
        raise PolicyFileError(f"{file}: {error}") from error
    except UnicodeDecodeError as error:
        raise PolicyFileError(f"{file} holds damaged text ({error}). Copy it or export it again.") from error
    return spec


def _create_on_gpu(
    file: Path,
    options: onnxruntime.SessionOptions,
    provider: ProviderSettings,
    asked: list[tuple[str, Options]],
) -> onnxruntime.InferenceSession:
    try:
        _load_libraries(provider)
        ignore_recordings_elsewhere()
        session = onnxruntime.InferenceSession(str(file), options, providers=asked, enable_fallback=0)
    except Exception as error:  # ONNX Runtime's errors have no common base; the file itself was read before
        raise _refused_provider(provider, str(error)) from error
    granted = session.get_providers()
    if missing := [name for name in provider.asked if name not in granted]:
        raise _refused_provider(provider, f"the session was given {', '.join(granted)}, not {missing[0]}")
    return session


def _load_libraries(provider: ProviderSettings) -> None:
    """Load the libraries that pip installs, which ONNX Runtime does not find by itself."""
    if hasattr(onnxruntime, "preload_dlls"):
        with redirect_stdout(StringIO()):  # it prints what it does not find
            onnxruntime.preload_dlls()
    if provider.name == "tensorrt":
        with suppress(ImportError):
            import_module("tensorrt")


def _refused_provider(provider: ProviderSettings, reason: str) -> ProviderError:
    return ProviderError(
        f"The provider {provider.name!r} was not granted: {reason}. Install its libraries (for cuda and tensorrt see "
        "ONNX Runtime's requirements), or ask for 'cpu'."
    )


def _check_tensors(what: str, found: list[Any], expected: dict[str, Tensor]) -> None:
    if {node.name for node in found} != set(expected):
        raise PolicyFileError(
            f"the graph's {what}s are {', '.join(node.name for node in found)}, but its metadata call for "
            f"{', '.join(expected)}. Export the policy again."
        )
    for node in found:
        tensor = expected[node.name]
        if node.type != tensor.type:
            raise PolicyFileError(f"{what} {node.name} is a {node.type}; it must be a {tensor.type}. Export it so.")
        if not node.shape or isinstance(node.shape[0], int) or tuple(node.shape[1:]) != tensor.shape:
            raise PolicyFileError(
                f"{what} {node.name} has the shape {node.shape}, but its metadata call for "
                f"[{', '.join(['B', *map(str, tensor.shape)])}] with a free batch B. Export it with those dimensions."
            )
