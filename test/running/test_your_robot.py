"""The tutorial, docs/your_robot.md, command by command from the bags to the moving arm, over real DDS.

With few bags and short trainings: what the policies then can do is in results/your_robot.json
(test_readme_tables.py).
"""

import json
from pathlib import Path

import pytest
from checkout import CHECKOUT
from doc_commands import commands

pytest.importorskip("rclpy")

from vdd_ros.bags.latency import read_latency_bag
from vdd_ros.bags.reader import read_messages
from vdd_ros.cli.main import main

pytestmark = [pytest.mark.ros, pytest.mark.train]

PAGE = "your_robot.md"
NETWORK = ["--backbone", "mlp", "--width", "16", "--layers", "1", "--steps", "5", "--batch", "64"]
SMALLER = {
    "bag": ["--episodes", "8"],
    "train": NETWORK,
    "distil": [*NETWORK, "--pool-copies", "1", "--pool-samples", "1"],
    "evaluate": ["--rollouts", "8"],
    "run": ["--episodes", "1", "--json", "run.json"],
}


def test_the_tutorial_leads_from_bags_to_a_moving_arm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What runs until Ctrl-C on a robot is left out: test_robot_run.py has one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "ros_log"))
    shown = [command.words for command in commands((CHECKOUT / "docs" / PAGE).read_text(), PAGE)]
    vdd = [words[1:] for words in shown if words[0] == "vdd" and (words[1] != "run" or "--sim" in words)]
    assert [words[0] for words in vdd][-2:] == ["run", "latency"]
    for words in vdd:
        code = main([*words, *SMALLER.get(words[0], [])])
        assert code == 0, (words, capsys.readouterr())
    results = json.loads((tmp_path / "run.json").read_text())
    assert (results["task"], results["rollouts"]) == ("example_arm", 1)
    assert set(results["modes"]) == {"elbow up", "elbow down"}
    (result,) = results["episodes"]
    assert result["success"] or result["steps"] == 120
    bag = tmp_path / "day_1"
    policy, shadow = read_latency_bag(bag)
    assert policy.column("commanded").any()
    assert not shadow.column("commanded").any()
    topic = "/arm_controller/commands"
    commanded = [list(message.message.data) for message in read_messages(bag, (topic,), {})]
    measured = [list(message.message.position) for message in read_messages(bag, ("/joint_states",), {})]
    assert len(commanded) > 1
    assert measured[0] == pytest.approx([1.5707963, 0.0])
    assert measured[-1] != measured[0], "the arm moved"
