"""Opens a policy file in ONNX Runtime and checks it against its metadata."""

import re
from contextlib import redirect_stdout, suppress
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import onnxruntime

from vdd_ros.errors import ConfigurationError, PolicyFileError, ProviderError
from vdd_ros.policy.cuda_recording import ignore_recordings_elsewhere
from vdd_ros.policy.denormals import SETTING
from vdd_ros.policy.foreign import no_onnx, no_policy
from vdd_ros.policy.onnx_outline import Outline, OutlineError, external_tensor, read_outline
from vdd_ros.policy.opsets import FIRST_RUNTIME, PLAIN_OPSET
from vdd_ros.policy.policy_file import PolicyFile, opened
from vdd_ros.policy.providers import EngineCache, Options, ProviderSettings, provider_options
from vdd_ros.policy.signature import Tensor, graph_inputs, graph_outputs
from vdd_ros.policy.spec import METADATA_KEY, PolicySpec
from vdd_ros.policy.spec_checks import MAX_METADATA_BYTES
from vdd_ros.text import printable

_ERROR_LOGS_ONLY = 3
_TOO_NEW = re.compile(r"max supported IR version: \d+|official support for domain \S+ is till opset \d+")


class OnnxModel(NamedTuple):
    """An open policy file.

    Attributes:
        session: ONNX Runtime session of the file's bytes.
        spec: Its metadata.
        engines: TensorRT's engine cache; None with other providers.
        sha256: Hash of the file.
        size: Size of the file in bytes.
        path: Path of the file.
    """

    session: onnxruntime.InferenceSession
    spec: PolicySpec
    engines: EngineCache | None
    sha256: str
    size: int
    path: Path


def open_session(
    file: str | Path | PolicyFile, *, provider: ProviderSettings, intra_op_threads: int, inter_op_threads: int
) -> OnnxModel:
    """Open a policy file and check that its graph matches its metadata.

    The file is read once; hash, metadata and sessions refer to the same bytes. Weights in a second file are refused
    because the hash would not cover them.

    Threads do not spin while they wait, operators run one after the other, and denormal numbers count as zero (in the
    thread that opens the first session; see `flush_denormals`). With a GPU provider the file is checked on the CPU
    first: TensorRT builds for minutes, and needs the shapes.

    Raises:
        PolicyFileError: The file is missing, is not ONNX, or its metadata is missing, wrong or contradicts the graph.
        ProviderError: The provider is unavailable; there is no fall-back.
        ConfigurationError: A number of threads is not allowed, or the engine folder cannot be used.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _checked_threads("intra_op_threads", intra_op_threads)
    options.inter_op_num_threads = _checked_threads("inter_op_threads", inter_op_threads)
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERROR_LOGS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.add_session_config_entry(SETTING, "1")
    available = onnxruntime.get_available_providers()
    if missing := [name for name in provider.asked if name not in available]:
        raise _refused_provider(provider, f"this ONNX Runtime has only {', '.join(available)}, not {missing[0]}")
    policy = opened(file)
    spec = read_spec(policy)
    session = _create(policy, options)
    _check_graph(session, spec, policy)
    engines = EngineCache(provider, policy.sha256) if provider.name == "tensorrt" else None
    if provider.name != "cpu":
        shapes = {name: tensor.shape for name, tensor in graph_inputs(spec).items()}
        session = _create_on_gpu(policy, options, provider, provider_options(provider, shapes, engines))
    return OnnxModel(session, spec, engines, policy.sha256, len(policy.content), policy.path)


def read_spec(file: PolicyFile) -> PolicySpec:
    """Read the metadata of a policy file and check its integrity, without opening a session.

    Raises:
        PolicyFileError: It is not ONNX, keeps weights in another file, or its metadata is missing, too large or wrong.
    """
    try:
        outline = read_outline(file.content)
        text = _metadata(outline)
        external = external_tensor(file.content)
    except OutlineError as error:
        raise PolicyFileError(f"{printable(file.path)} {no_onnx(file.path, file.content, error)}") from error
    except PolicyFileError as error:
        raise PolicyFileError(f"{printable(file.path)}: {error}") from error
    if external is not None:
        raise PolicyFileError(
            f"{printable(file.path)} keeps weights in a second file (those of {printable(external)!r}), which can "
            "change while this one stays the same. Export it again with vdd export, or make it one file with "
            "onnx.save(onnx.load(path), path)."
        )
    try:
        return PolicySpec.from_json(text)
    except PolicyFileError as error:
        raise PolicyFileError(f"{printable(file.path)}: {error}") from error


def _metadata(outline: Outline) -> str:
    """Return the policy's metadata as text; the total size is checked before decoding."""
    size = sum(len(key) + len(text) for key, text in outline.metadata)
    if size > MAX_METADATA_BYTES:
        raise PolicyFileError(
            f"its metadata has {size:,} bytes; at most {MAX_METADATA_BYTES:,} are read. Export the policy again, with "
            "smaller settings or figures."
        )
    found = [text for key, text in outline.metadata if key == METADATA_KEY.encode()]
    if not found:
        raise PolicyFileError(no_policy(outline, METADATA_KEY))
    if len(found) > 1:
        raise PolicyFileError(f"it has the metadata {METADATA_KEY!r} {len(found)} times. Export the policy again.")
    try:
        return str(found[0], "utf-8")
    except UnicodeDecodeError as error:
        raise PolicyFileError(f"it holds damaged text ({error}). Copy the file or export it again.") from error


def _checked_threads(name: str, threads: int) -> int:
    if threads < 1:
        raise ConfigurationError(f"{name} is {threads}; it must be 1 or more (1 is best for small networks).")
    return threads


def _create(file: PolicyFile, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    """Open a file on the CPU."""
    try:
        return onnxruntime.InferenceSession(file.content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common base
        raise PolicyFileError(f"{printable(file.path)} {_why_not(file, error)}") from error


def _why_not(file: PolicyFile, error: Exception) -> str:
    """Describe why ONNX Runtime does not open a file; ends a sentence about it."""
    said = " ".join(str(error).split())
    limit = _TOO_NEW.search(said)
    if limit is None:
        return f"cannot be read as ONNX ({printable(said, 600)}). Copy it or export it again."
    outline = read_outline(file.content)
    opsets = ", ".join(f"{printable(name) or 'ai.onnx'} {version}" for name, version in outline.opsets.items())
    oldest = FIRST_RUNTIME.get(outline.opsets.get("", 0))
    newer = f"onnxruntime {oldest} or newer" if oldest else "a newer onnxruntime"
    return (
        f"is too new for this ONNX Runtime, {onnxruntime.__version__}: the file has IR version {outline.ir_version} "
        f"and operator sets {opsets or '(none)'}. ONNX Runtime says: {printable(limit[0])}. Install {newer}, or export "
        f"the file again with 'vdd export --opset {PLAIN_OPSET}'."
    )


def _check_graph(session: onnxruntime.InferenceSession, spec: PolicySpec, file: PolicyFile) -> None:
    try:
        _check_tensors("input", session.get_inputs(), graph_inputs(spec))
        _check_tensors("output", session.get_outputs(), graph_outputs(spec))
    except PolicyFileError as error:
        raise PolicyFileError(f"{printable(file.path)}: {error}") from error
    except UnicodeDecodeError as error:
        raise PolicyFileError(
            f"{printable(file.path)} holds damaged text ({error}). Copy it or export it again."
        ) from error


def _create_on_gpu(
    file: PolicyFile,
    options: onnxruntime.SessionOptions,
    provider: ProviderSettings,
    asked: list[tuple[str, Options]],
) -> onnxruntime.InferenceSession:
    try:
        _load_libraries(provider)
        ignore_recordings_elsewhere()
        session = onnxruntime.InferenceSession(file.content, options, providers=asked, enable_fallback=0)
    except Exception as error:  # ONNX Runtime's errors share no base class; the file itself was read before
        raise _refused_provider(provider, str(error)) from error
    granted = session.get_providers()
    if missing := [name for name in provider.asked if name not in granted]:
        raise _refused_provider(provider, f"the session was given {', '.join(granted)}, not {missing[0]}")
    return session


def _load_libraries(provider: ProviderSettings) -> None:
    """Load pip-installed libraries, which ONNX Runtime does not find by itself."""
    if hasattr(onnxruntime, "preload_dlls"):
        with redirect_stdout(StringIO()):  # it prints the libraries it does not find
            onnxruntime.preload_dlls()
    if provider.name == "tensorrt":
        with suppress(ImportError):
            import_module("tensorrt")


def _refused_provider(provider: ProviderSettings, reason: str) -> ProviderError:
    return ProviderError(
        f"The provider {provider.name!r} was not granted: {reason}. Install its libraries (for cuda and tensorrt see "
        "ONNX Runtime's requirements), or use 'cpu'."
    )


def _check_tensors(what: str, found: list[Any], expected: dict[str, Tensor]) -> None:
    if {node.name for node in found} != set(expected):
        names = ", ".join(printable(node.name, 40) for node in found)
        raise PolicyFileError(
            f"the graph's {what}s are {names}, but its metadata calls for {', '.join(expected)}. Export the "
            "policy again."
        )
    for node in found:
        tensor = expected[node.name]
        if node.type != tensor.type:
            raise PolicyFileError(
                f"{what} {node.name} is a {node.type}; it must be a {tensor.type}. Export it as such."
            )
        if not node.shape or isinstance(node.shape[0], int) or tuple(node.shape[1:]) != tensor.shape:
            raise PolicyFileError(
                f"{what} {node.name} has the shape {node.shape}, but its metadata calls for "
                f"[{', '.join(['B', *map(str, tensor.shape)])}] with a free batch B. Export it with those dimensions."
            )
