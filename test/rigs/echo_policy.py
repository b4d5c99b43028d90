"""A policy file that gives back the actions that it is told, and then an action that says whether it was told any."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper, parser
from policy_files import mixture_spec

from vdd_ros.policy.spec import METADATA_KEY

Action = tuple[float, ...]


def write_echo(path: Path, horizon: int, *, told: Action = (0.0,), untold: Action = (0.0,), **spec: Any) -> Path:
    """Write a file whose chunk has the known actions, then `told` if there are any, otherwise `untold`.

    The density of an answer is the number of known actions.
    """
    metadata = mixture_spec(horizon=horizon, experts=1, settings={"prefix": {"tempering": 0.5}}, **spec)
    obs_dim, act_dim = metadata.obs_dim, metadata.act_dim
    graph = parser.parse_graph(f"""
    echo (float[B, 1, {obs_dim}] observation, float[B, {horizon}, {act_dim}] noise, float[B] expert_uniform,
          float[B, {horizon}, {act_dim}] prefix, int64[B] prefix_steps)
      => (float[B, {horizon}, {act_dim}] action, int64[B] expert, float[B, 1] gating, float[B] log_prob)
    {{
        steps = Unsqueeze(prefix_steps, last)
        known = Less(times, steps)
        any = Less(none, steps)
        rest = Where(any, told, untold)
        chosen = Where(known, prefix, rest)
        silence = Mul(noise, zero)
        action = Add(chosen, silence)
        gone = Mul(expert_uniform, zero)
        expert = Cast <to = 7> (gone)
        watched = ReduceSum <keepdims = 0> (observation, entries)
        nothing = Mul(watched, zero)
        ones = Add(nothing, one)
        gating = Identity(ones)
        log_prob = Cast <to = 1> (prefix_steps)
    }}""")
    constants: dict[str, Any] = {
        "times": np.arange(horizon)[None, :, None],
        "last": np.array([1, 2]),
        "entries": np.array([2]),
        "none": np.int64(0),
        "told": np.array(told, np.float32),
        "untold": np.array(untold, np.float32),
        "zero": np.float32(0),
        "one": np.float32(1),
    }
    for name, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    model.metadata_props.add(key=METADATA_KEY, value=metadata.to_json())
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path
