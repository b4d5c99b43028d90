"""A policy file that observes arrays beside single numbers, or only arrays, with a closed-form answer."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper, parser
from policy_files import diffusion_spec, mixture_spec, replace_metadata, write_mixture
from robot_messages import header

from vdd_ros.features import FLOAT32, Feature
from vdd_ros.policy.spec import METADATA_KEY, PolicySpec

HEIGHT, WIDTH = 4, 6
CAMERA = Feature("wrist_cam", shape=(HEIGHT, WIDTH, 3), dtype="uint8")
FORCES = Feature("forces", "N", shape=(5,))
JOINTS = ("shoulder", "elbow")
WANTED = ("shoulder_target", "elbow_target")
UNUSED = Feature("camera", shape=(4, 6, 3), dtype="uint8")
OBSERVATION = (*(Feature(joint, "rad") for joint in JOINTS), CAMERA, FORCES)


@dataclass(frozen=True)
class LinearPolicy:
    """A policy that wants a weighted sum of all that it observes, each number of it with a weight of its own.

    Attributes:
        path: Of the file.
        spec: Its metadata.
        weights: By input, (numbers of its window, horizon * act_dim).
    """

    path: Path
    spec: PolicySpec
    weights: Mapping[str, NDArray[np.float32]]

    def chunk(self, **windows: NDArray[Any]) -> NDArray[np.float64]:
        """Return what it wants, (horizon, act_dim), of the windows (history, *shape) of its inputs."""
        assert windows.keys() == self.weights.keys()
        sums = [np.ravel(window).astype(np.float64) @ self.weights[name] for name, window in windows.items()]
        return np.sum(sums, axis=0).reshape(self.spec.horizon, self.spec.act_dim)

    def action(self, **windows: NDArray[Any]) -> NDArray[np.float64]:
        """Return the first action of the chunk, (act_dim,)."""
        return np.asarray(self.chunk(**windows)[0])


def write_linear(path: Path, observation: tuple[Feature, ...] = OBSERVATION, **overrides: Any) -> LinearPolicy:
    """Write such a policy file, without draws; `overrides` are fields of the spec."""
    spec = diffusion_spec(
        method="cd",
        sampling_steps=None,
        observation=observation,
        action=tuple(Feature(name, "rad", -100.0, 100.0) for name in WANTED),
        settings={"deterministic": True},
        **overrides,
    )
    shapes: dict[str, tuple[int, ...]] = {"observation": (spec.obs_dim,)} if spec.vector else {}
    shapes |= {feature.name: feature.shape for feature in spec.arrays}
    rng, scales = np.random.default_rng(0), {feature.name: _scale(feature) for feature in spec.arrays}
    rows = {name: spec.history * int(np.prod(shape)) for name, shape in shapes.items()}
    weights = {
        name: (rng.normal(size=(count, spec.horizon * spec.act_dim)) / scales.get(name, 10.0)).astype(np.float32)
        for name, count in rows.items()
    }
    types = {feature.name: feature.dtype.replace(FLOAT32, "float") for feature in spec.arrays}
    inputs = ", ".join(
        f"{types.get(name, 'float')}[B, {', '.join(map(str, (spec.history, *shape)))}] {name}"
        for name, shape in shapes.items()
    )
    parts = "\n".join(
        f"{name}_numbers = Cast <to = 1> ({name})\n{name}_row = Flatten <axis = 1> ({name}_numbers)\n"
        f"{name}_part = MatMul({name}_row, {name}_weights)"
        for name in shapes
    )
    graph = parser.parse_graph(f"""
    linear ({inputs}) => (float[B, {spec.horizon}, {spec.act_dim}] action)
    {{
        {parts}
        total = Sum({", ".join(f"{name}_part" for name in shapes)})
        action = Reshape(total, action_shape)
    }}""")
    graph.initializer.append(numpy_helper.from_array(np.array([-1, spec.horizon, spec.act_dim]), "action_shape"))
    for name, values in weights.items():
        graph.initializer.append(numpy_helper.from_array(values, f"{name}_weights"))
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    model.metadata_props.add(key=METADATA_KEY, value=spec.to_json())
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return LinearPolicy(path, spec, weights)


def write_camera_policy(path: Path, dtype: int = onnx.TensorProto.UINT8, height: int = 4) -> Path:
    """Write a mixture that takes an image too, which its action does not depend on."""
    model = onnx.load(write_mixture(path))
    model.graph.input.append(onnx.helper.make_tensor_value_info("camera", dtype, ["B", 1, height, 6, 3]))
    onnx.save(model, path)
    spec = mixture_spec()
    return replace_metadata(path, replace(spec, observation=(*spec.observation, UNUSED)).to_json())


def _scale(feature: Feature) -> float:
    """Return what makes a weighted sum of all numbers of an array about 1."""
    largest = np.iinfo(feature.dtype).max if feature.dtype not in (FLOAT32, "bool") else 10
    return float(largest * np.sqrt(np.prod(feature.shape)))


def array_document(**camera: Any) -> dict[str, Any]:
    """Return the robot file of that policy: joints, a camera and a force sensor; `camera` goes into its input."""
    entries = [
        {"name": joint, "action": action, "measured": joint, "unit": "rad"}
        | {"low": -100.0, "high": 100.0, "max_step": 100.0, "max_error": float("inf")}
        for joint, action in zip(JOINTS, WANTED, strict=True)
    ]
    return {
        "inputs": {
            "arm": {
                "topic": "joint_states",
                "type": "sensor_msgs/msg/JointState",
                "max_age_s": 0.2,
                "entries": {joint: {"joint": joint, "interface": "position", "unit": "rad"} for joint in JOINTS},
            },
            "camera": {
                "topic": "wrist/image",
                "type": "sensor_msgs/msg/Image",
                "max_age_s": 0.1,
                "entries": {CAMERA.name: {"encoding": "rgb8", "shape": list(CAMERA.shape), "unit": 1}},
            }
            | camera,
            "sensor": {
                "topic": "wrench",
                "type": "std_msgs/msg/Float64MultiArray",
                "max_age_s": 0.2,
                "entries": {FORCES.name: {"field": "data", "shape": list(FORCES.shape), "unit": "N"}},
            },
        },
        "command": {
            "topic": "arm/commands",
            "type": "std_msgs/msg/Float64MultiArray",
            "on_loss": "hold",
            "entries": entries,
        },
    }


def image(
    pixels: NDArray[Any], encoding: str = "rgb8", stamp_s: float = 0.0, *, padding: int = 0, big: bool = False
) -> Any:
    """Return a stand-in for an Image of these pixels, (height, width) or (height, width, channels).

    Args:
        pixels: As the message has them, whatever the encoding says.
        encoding: What it says.
        stamp_s: Its stamp.
        padding: Bytes behind each row.
        big: Whether its numbers begin with the most significant byte.
    """
    ordered = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<"))
    rows = ordered.reshape(len(pixels), -1).view(np.uint8)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=251)
    return SimpleNamespace(
        header=header(stamp_s),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=int(big),
        step=padded.shape[1],
        data=array("B", padded.tobytes()),
    )


def numbers(values: NDArray[np.floating]) -> Any:
    """Return a stand-in for a Float64MultiArray."""
    return SimpleNamespace(layout=None, data=array("d", values.tolist()))
