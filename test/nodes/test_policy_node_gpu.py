"""The policy node with its policy on a GPU, over real DDS: it acts, reports it, and swaps without a lost tick."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gpu_rig import ON_GPU, load_on_gpu
from node_rig import MakeNode, Robot, call, started
from policy_files import write_mixture
from ros_helpers import Bench

pytest.importorskip("rclpy")

from std_msgs.msg import Float64MultiArray, String

from vdd_ros.control.timing import LATENCY_LABELS
from vdd_ros.nodes.ros.messages import LATCHED
from vdd_ros.policy.providers import ProviderSettings


@ON_GPU
def test_a_node_acts_and_swaps_on_a_gpu(
    make_node: MakeNode, robot: Robot, bench: Bench, tmp_path: Path, settings: ProviderSettings
) -> None:
    paths = [write_mixture(tmp_path / f"{seed}.onnx", seed=seed) for seed in range(4)]
    settings = replace(settings, engine_cache=str(tmp_path / "engines"))
    load_on_gpu(paths[0], settings)
    records = bench.collect(Float64MultiArray, "/policy/latency")
    infos = bench.collect(String, "/policy/policy_info", LATCHED)
    parameters = {"provider": settings.name, "cuda_graph": settings.cuda_graph, "engine_cache": settings.engine_cache}
    node = started(make_node(policy_path=str(paths[0]), swap_timeout_s=30.0, **parameters))
    robot.run_until(lambda: len(robot.commands) > 20, "commands")
    machine = json.loads(infos[-1].data)["machine"]
    assert machine["provider"] == settings.name
    assert machine["binding"] in {"host", "device"}
    for path in paths[1:]:
        answer = call(node, robot, path)
        assert (answer.success, answer.message) == (True, "")
        commands = len(robot.commands)
        robot.run_until(lambda: len(robot.commands) > commands + 20, "commands of the new policy")  # noqa: B023
    seq = np.array([record.data[LATENCY_LABELS.index("seq")] for record in records])
    assert (np.diff(seq) == 1).all()
