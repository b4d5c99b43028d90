"""ONNX graphs as other tools write them, and the descriptions that `vdd wrap` takes."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from numpy.typing import NDArray
from onnx import numpy_helper, parser

WIDTH, HIDDEN, ACTIONS = 6, 8, 2


def weights(seed: int = 0, width: int = WIDTH, outputs: int = ACTIONS) -> dict[str, NDArray[np.float32]]:
    """Return the weights of a network with one hidden layer."""
    rng = np.random.default_rng(seed)
    shapes = {"w1": (width, HIDDEN), "b1": (HIDDEN,), "w2": (HIDDEN, outputs), "b2": (outputs,)}
    return {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def network(values: NDArray[Any], seed: int = 0, outputs: int = ACTIONS) -> NDArray[np.float64]:
    """Return the outputs, (n, outputs), of the network for inputs (n, width), in double precision."""
    w = {name: each.astype(np.float64) for name, each in weights(seed, values.shape[1], outputs).items()}
    hidden = values @ w["w1"] + w["b1"]
    return np.asarray(np.where(hidden > 0, hidden, np.expm1(np.minimum(hidden, 0))) @ w["w2"] + w["b2"])


def write_network(path: Path, *, batch: str = "1", width: int = WIDTH, outputs: int = ACTIONS) -> Path:
    """Write the network as rsl_rl exports it: `obs` [1, width], `actions` [1, outputs], a batch that is fixed."""
    text = f"""
    policy (float[{batch}, {width}] obs) => (float[{batch}, {outputs}] actions)
    {{
        hidden = Gemm(obs, w1, b1)
        active = Elu(hidden)
        actions = Gemm(active, w2, b2)
    }}"""
    return write_graph(path, text, weights(width=width, outputs=outputs))


def write_graph(
    path: Path, text: str, constants: dict[str, Any] | None = None, *, opset: int = 17, ir_version: int = 8
) -> Path:
    """Write a graph in ONNX's text form with constants."""
    graph = parser.parse_graph(text)
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(each), name) for name, each in (constants or {}).items()
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=ir_version)
    model.producer_name, model.producer_version = "another_tool", "2.1"
    path.write_bytes(model.SerializeToString())
    return path


def description(**changes: Any) -> dict[str, Any]:
    """Return a description of the network's numbers; None leaves a key out."""
    names = [f"q{index}" for index in range(WIDTH)]
    values: dict[str, Any] = {
        "method": "ppo",
        "rate_hz": 50,
        "observation": [{"names": names, "unit": "rad", "mean": 0.1, "std": 0.5}],
        "action": [{"names": ["a0", "a1"], "unit": "rad", "low": -1, "high": 1}],
    }
    return {key: value for key, value in (values | changes).items() if value is not None}


def write_description(path: Path, **changes: Any) -> Path:
    """Write a description as YAML."""
    path.write_text(yaml.safe_dump(description(**changes)))
    return path
