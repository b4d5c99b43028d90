"""Wraps a foreign ONNX graph into a policy file, and verifies that both are the same function."""

import os
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto

from vdd_ros import __version__
from vdd_ros.errors import ConfigurationError, PolicyFileError
from vdd_ros.files import replacing
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.spec import Parity, PolicySpec, Statistics
from vdd_ros.policy.spec_settings import DETERMINISTIC, UNKNOWN_STATISTICS
from vdd_ros.policy.spec_versions import SCHEMA_VERSION
from vdd_ros.policy.structure import ONE_STEP
from vdd_ros.text import printable
from vdd_ros.wrapping.description import ForeignDescription, read_description
from vdd_ros.wrapping.foreign_model import FLOATS, ForeignModel, read_foreign
from vdd_ros.wrapping.graph import with_metadata, wrapped

SAMPLES = 512
TOLERANCE = 1e-5
"""Largest difference of an action from the foreign graph's, in standard deviations of the action."""
HALF_TOLERANCE = 5e-3
"""The same for a graph in half precision: ONNX Runtime may compute parts of it in single precision."""
RUN_S = 60.0
"""Longest time of one run of a graph, in seconds: a loop in it may never end."""
_FATAL_LOGS_ONLY = 4
"""Errors are raised anyway, and printed escaped: names in a graph are foreign text."""

Floats32 = NDArray[np.float32]


@dataclass(frozen=True)
class Wrapped:
    """A written policy file.

    Attributes:
        file: Its path.
        sha256: Its hash.
        foreign: Path of the foreign file.
        foreign_sha256: Its hash.
        producer: Program that wrote the foreign file.
        observation, action: Number of numbers in one observation and in one action.
        history, horizon: Observations in, actions out.
        max_error: Largest difference of an action from the foreign graph's, in standard deviations of the action.
        warnings: Warnings in the file.
        dropped: Omitted outputs of the foreign graph.
    """

    file: str
    sha256: str
    foreign: str
    foreign_sha256: str
    producer: str
    observation: int
    action: int
    history: int
    horizon: int
    max_error: float
    warnings: tuple[str, ...]
    dropped: tuple[str, ...]


def wrap(foreign: Path, description: Path, out: Path, *, force: bool = False) -> Wrapped:
    """Write a policy file around a foreign graph.

    Args:
        foreign: The foreign ONNX file.
        description: YAML file with the meaning of its numbers.
        out: The policy file to write.
        force: Whether an existing file is replaced.

    Raises:
        ConfigurationError: The description is wrong, or `out` exists or is the foreign file.
        PolicyFileError: The graph cannot be wrapped, or the wrapped graph is not the same function.
    """
    if out.exists() and os.path.samefile(foreign, out):
        raise ConfigurationError(f"{printable(out)} is the foreign file itself; name another file")
    if os.path.lexists(out) and not force:
        raise ConfigurationError(f"{printable(out)} exists already; name another file, or replace it with --force")
    described = read_description(description)
    model = read_foreign(foreign, [each.name for each in described.inputs], described.output)
    graph = wrapped(model, described)
    spec = _spec(model, described)
    parity = _parity(model, graph, described, spec)
    content = with_metadata(graph, replace(spec, parity=parity))
    with replacing(out) as aside:
        aside.write_bytes(content)
        loaded = OnnxPolicy.load(aside)
    return Wrapped(
        file=str(out),
        sha256=loaded.sha256,
        foreign=str(foreign),
        foreign_sha256=model.sha256,
        producer=model.producer,
        observation=spec.obs_dim,
        action=spec.act_dim,
        history=spec.history,
        horizon=spec.horizon,
        max_error=parity.max_error,
        warnings=spec.warnings,
        dropped=model.dropped,
    )


def _spec(model: ForeignModel, described: ForeignDescription) -> PolicySpec:
    observed, acted = described.observation, described.action
    settings: dict[str, Any] = {
        DETERMINISTIC: True,
        UNKNOWN_STATISTICS: described.unknown,
        "foreign": {
            "producer": model.producer,
            "sha256": model.sha256,
            "input": ", ".join(each.name for each in model.inputs),
            "output": model.output.name,
        },
    }
    return PolicySpec(
        schema_version=SCHEMA_VERSION,
        structure=ONE_STEP,
        method=described.method,
        task=described.task,
        observation=tuple(number.feature for number in observed),
        action=tuple(number.feature for number in acted),
        rate_hz=described.rate_hz,
        history=described.history,
        horizon=described.horizon,
        goal_length=0,
        experts=None,
        covariance=None,
        sampling_steps=None,
        statistics=Statistics(
            tuple(number.mean for number in observed),
            tuple(number.std for number in observed),
            tuple(number.mean for number in acted),
            tuple(number.std for number in acted),
        ),
        teacher_sha256=None,
        data_sha256=None,
        warnings=_warnings(model, described),
        seeds={},
        versions={"vdd_ros": __version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__},
        fidelity={},
        settings=settings,
        parity=Parity(0.0, 0, SAMPLES),
        novelty=None,
    )


def _warnings(model: ForeignModel, described: ForeignDescription) -> tuple[str, ...]:
    found = [f"wrapped around a graph of {model.producer}; its training is unknown"]
    if described.unknown:
        names = printable(", ".join(described.unknown), 400)
        found.append(f"mean and deviation in training of {names} are unknown, stored as 0 and 1")
    return tuple(found)


def _parity(model: ForeignModel, graph: onnx.ModelProto, described: ForeignDescription, spec: PolicySpec) -> Parity:
    """Compare the wrapped graph, in batches, with the foreign graph, one observation at a time.

    Raises:
        PolicyFileError: A graph cannot be run or does not end, or they differ.
    """
    rng = np.random.default_rng(0)
    mean, std = (np.array(getattr(spec.statistics, f"observation_{moment}")) for moment in ("mean", "std"))
    windows = (mean + std * rng.normal(size=(SAMPLES, spec.history, spec.obs_dim))).astype(np.float32)
    expected = _by_foreign(model, described, windows)
    session = _session(model.path, graph, "the wrapped graph")
    try:
        found, again = (_ran(model.path, session, "action", {"observation": windows}) for _ in range(2))
    except PolicyFileError:
        raise
    except Exception as error:  # ONNX Runtime's errors share no base class
        raise PolicyFileError(
            f"{printable(model.path)} is built for one observation at a time: several at once fail "
            f"({printable(error, 300)}). Export it with a free batch (dynamic_axes of the input and the output)."
        ) from error
    if found.shape != expected.shape or not np.array_equal(found, again, equal_nan=True):
        raise PolicyFileError(
            f"{printable(model.path)} gives {found.shape} for {SAMPLES} observations at once, one after the other "
            f"{expected.shape}, or other numbers at each run; export it with a free batch and without random draws."
        )
    worst = float(np.max(np.abs(found - expected) / np.array(spec.statistics.action_std)))
    limit = (
        HALF_TOLERANCE
        if TensorProto.FLOAT16 in (*(each.type for each in model.inputs), model.output.type)
        else TOLERANCE
    )
    if not worst <= limit:
        raise PolicyFileError(
            f"{printable(model.path)} returns other actions for a batch of observations than for single ones: "
            f"they differ by {worst:.3g} standard deviations, and at most {limit:g} is rounding. Export it with a "
            "free batch."
        )
    return Parity(worst, 0, SAMPLES)


def _by_foreign(model: ForeignModel, described: ForeignDescription, windows: Floats32) -> Floats32:
    """Return the actions, (n, horizon, act_dim), of the foreign graph alone, scaled and limited by numpy."""
    session = _session(model.path, model.model, "the graph")
    offset, scale = (np.array([getattr(n, k) for n in described.observation], np.float32) for k in ("offset", "scale"))
    flat = ((windows - offset) * scale).reshape(len(windows), -1)
    rows = {
        tensor.name: flat[:, each.order].astype(FLOATS[tensor.type])
        for tensor, each in zip(model.inputs, described.inputs, strict=True)
    }
    try:
        outputs = [
            _ran(model.path, session, model.output.name, {name: each[index : index + 1] for name, each in rows.items()})
            for index in range(len(flat))
        ]
    except PolicyFileError:
        raise
    except Exception as error:
        raise PolicyFileError(f"{printable(model.path)} cannot be run: {printable(error, 300)}.") from error
    shape = len(windows), described.horizon, len(described.action)
    sizes = {int(np.size(output)) for output in outputs}
    if sizes != {shape[1] * shape[2]}:
        wanted = f"{shape[1] * shape[2]}: {shape[2]} of the action times a horizon of {shape[1]}"
        raise PolicyFileError(
            f"{printable(model.path)} gives {sorted(sizes)} numbers, but the description calls for {wanted}."
        )
    numbers = np.stack([np.asarray(output, np.float32).reshape(shape[1:]) for output in outputs])
    scale, offset = (np.array([getattr(n, k) for n in described.action], np.float32) for k in ("scale", "offset"))
    numbers = numbers * scale + offset
    if not np.isfinite(numbers).all():
        raise PolicyFileError(
            f"{printable(model.path)} returns non-finite numbers for observations as in training; check mean, "
            "std, scale and offset in the description, or the graph."
        )
    low, high = (np.array([getattr(n.feature, k) for n in described.action], np.float32) for k in ("low", "high"))
    return np.asarray(np.clip(numbers, low, high), np.float32)


def _ran(
    path: Path, session: onnxruntime.InferenceSession, output: str, inputs: dict[str, NDArray[Any]]
) -> NDArray[Any]:
    """Return an output of a graph.

    Raises:
        PolicyFileError: It ran for longer than `RUN_S`.
        Exception: ONNX Runtime's errors, which share no base class.
    """
    options = onnxruntime.RunOptions()
    options.log_severity_level = _FATAL_LOGS_ONLY
    limit = threading.Timer(RUN_S, setattr, (options, "terminate", True))
    limit.daemon = True
    limit.start()
    try:
        return np.asarray(session.run([output], inputs, options)[0])
    except Exception as error:
        if options.terminate:
            raise PolicyFileError(
                f"{printable(path)} did not end within {RUN_S:g} s and was given up; it may have an endless loop. "
                "Export a policy whose actions take a fixed number of steps."
            ) from error
        raise
    finally:
        limit.cancel()


def _session(path: Path, model: onnx.ModelProto, what: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_LOGS_ONLY
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base class
        raise PolicyFileError(
            f"{printable(path)}: ONNX Runtime {onnxruntime.__version__} cannot open {what}: {printable(error, 400)}. "
            "Export it with standard operators, of an operator set that this version supports."
        ) from error
