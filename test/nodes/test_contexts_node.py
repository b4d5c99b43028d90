"""A task whose episodes start from contexts, simulated as a process and commanded by a policy node."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import two_doors
import yaml
from node_rig import started
from plugins import installed
from policy_files import write_mixture
from ros_helpers import Bench, node_process

pytest.importorskip("rclpy")

from geometry_msgs.msg import PointStamped
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Float64MultiArray, String

from vdd_ros.features import Feature
from vdd_ros.nodes.policy_node import PolicyNode
from vdd_ros.tasks import get_task
from vdd_ros.tasks.registry import TASKS

EPISODES, SEED = 3, 5
STEP_M = 0.2
RESULTS = QoSProfile(depth=EPISODES + 1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def robot_document() -> dict[str, Any]:
    """Return the robot file of the cart: one point tells where it is, and one number where it is to go."""
    fields = {"x": "point.x", "height": "point.z"}
    cart = {
        "topic": "cart",
        "type": "geometry_msgs/msg/PointStamped",
        "max_age_s": 5.0,
        "entries": {name: {"field": field, "unit": "m"} for name, field in fields.items()},
    }
    entry = {"name": "x", "action": "dx", "relative_to": "x", "unit": "m", "low": -2.0, "high": 2.0, "max_step": 1.0}
    command = {"topic": "cart/commands", "type": "std_msgs/msg/Float64MultiArray", "on_loss": "hold"}
    return {"inputs": {"cart": cart}, "command": command | {"entries": [entry]}}


def test_a_policy_commands_a_robot_from_the_start_of_each_episode(
    tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each episode starts where the task draws it by seed and number, is seen there, and leaves by the right door."""
    site, robot_file = tmp_path / "site", tmp_path / "robot.yaml"
    robot_file.write_text(yaml.safe_dump(robot_document()))
    policy = write_mixture(
        tmp_path / "p.onnx",
        task=two_doors.SPEC.name,
        rate_hz=two_doors.SPEC.rate_hz,
        observation=two_doors.SPEC.observation,
        action=(Feature("dx", "m", STEP_M - 1e-4, STEP_M),),
    )
    source = Path(two_doors.__file__).read_text()
    with installed(TASKS, site, "two-doors", source, "TASK"):
        task = get_task("two-doors")
        starts = [float(task.draw_contexts(1, SEED + episode)[0, 0]) for episode in range(EPISODES)]
    assert len(set(starts)) == EPISODES
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])]))

    seen: list[PointStamped] = bench.collect(PointStamped, "/cart")
    results: list[String] = bench.collect(String, "/sim_robot/result", RESULTS)
    decisions: list[Any] = bench.collect(Float64MultiArray, "/policy/decision")
    parameters = {"policy_path": str(policy), "robot_file": str(robot_file), "episode_topic": "episode"}
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    started(bench.add(PolicyNode("policy", parameter_overrides=overrides)))
    simulated = {"task": "two-doors", "robot_file": robot_file, "episodes": EPISODES, "seed": SEED, "listeners": 2}
    with node_process("vdd_ros.nodes.sim_robot_node", tmp_path / "sim.log", **simulated) as sim:
        bench.wait(lambda: len(results) > EPISODES or sim.process.poll() is not None, "the results", 180.0)
        assert len(results) > EPISODES, sim.output
        assert sim.wait() == 0, sim.output

    told = [json.loads(message.data) for message in results]
    assert told[-1] == {"summary": {"episodes": EPISODES, "successes": EPISODES}}
    for episode, (result, start) in enumerate(zip(told, starts, strict=False)):
        assert (result["episode"], result["success"], result["mode"]) == (episode, True, 1)
        assert result["steps"] >= math.floor((two_doors.DOOR - start) / STEP_M)
    assert set(starts) <= {message.point.x for message in seen}
    assert {message.point.z for message in seen} == {two_doors.HEIGHT}
    labels = [dim.label for dim in decisions[0].layout.dim]
    observed = {decision.data[labels.index("observation[0].x")] for decision in decisions}
    assert {float(np.float32(start)) for start in starts} <= observed
