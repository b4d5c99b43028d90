"""A minimal example of each kind of file that users give to the wrong command."""

import json
from pathlib import Path

import yaml
from foreign_graphs import write_description, write_network
from recorded_arm import document, drive, write_recording

from vdd_ros import resources

LEROBOT = {"codebase_version": "v3.0", "fps": 30, "features": {"action": {"dtype": "float32", "shape": [1]}}}
CONTROLLERS = """
controller_manager: {ros__parameters: {update_rate: 100}}
arm_controller: {ros__parameters: {joints: [shoulder, elbow], command_interfaces: [position]}}
"""
WEIGHTS = b'{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'


def write_things(folder: Path) -> dict[str, Path]:
    """Write the things into a folder; return their paths by kind."""
    lerobot, zarr, minari, weights = (folder / name for name in ("lerobot", "push.zarr", "minari", "weights"))
    for place in (lerobot / "meta", zarr / "meta/episode_ends", minari / "data", weights):
        place.mkdir(parents=True)
    (lerobot / "meta/info.json").write_text(json.dumps(LEROBOT))
    (zarr / "meta/episode_ends/.zarray").write_text("{}")
    (minari / "data/metadata.json").write_text(json.dumps({"data_format": "arrow"}))
    (weights / "config.json").write_text(json.dumps({"type": "diffusion", "input_features": {}}))
    (weights / "model.safetensors").write_bytes(len(WEIGHTS).to_bytes(8, "little") + WEIGHTS + bytes(4))
    files = {
        "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "pickle": b"\x80\x04" + bytes(100),
        "controllers": CONTROLLERS.encode(),
        "description": b"data: lerobot\nrate_hz: 10\n",
        "robot": yaml.safe_dump(document(), sort_keys=False).encode(),
    }
    endings = {"hdf5": ".hdf5", "pickle": ".pkl"}
    for name, content in files.items():
        (folder / f"{name}{endings.get(name, '.yaml')}").write_bytes(content)
    things = {name: folder / f"{name}{endings.get(name, '.yaml')}" for name in files}
    return things | {
        "lerobot": lerobot,
        "zarr": zarr,
        "minari": minari,
        "weights": weights,
        "safetensors": weights / "model.safetensors",
        "bag": write_recording(folder / "bag", drive(1.0)),
        "graph": write_network(folder / "graph.onnx"),
        "spec": write_description(folder / "spec.yaml"),
        "policy": Path(resources.path("models/avoiding_student.onnx")),
    }
