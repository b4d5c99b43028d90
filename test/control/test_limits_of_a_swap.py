"""`limits: from_demonstrations` and a hot swap: the limits are those of the policy that acts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arm_rig import JOINTS, Arm, arm_document
from loop_rig import PERIOD_S
from policy_files import write_mixture

from vdd_ros.control.active_policy import ActivePolicy
from vdd_ros.errors import ConfigurationError
from vdd_ros.features import Feature
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile

STEP = 0.1


def demonstrated(**entry: Any) -> dict[str, Any]:
    """Return the robot file of the arm, whose limits come from the demonstrations unless an entry gives them."""
    return arm_document(**({"low": None, "high": None, "max_step": None, "limits": "from_demonstrations"} | entry))


def policy(folder: Path, high: float, step: float = STEP, *, wants: float = 1.0) -> OnnxPolicy:
    """Return a policy that was shown positions up to `high` and steps up to `step`, and wants something else."""
    folder.mkdir(exist_ok=True)
    action = tuple(Feature(f"{joint}_target", "rad", -high, high) for joint in JOINTS)
    steps = {"demonstrated_steps": {"quantile": 0.999, "steps": [step, step]}}
    path = write_mixture(folder / "p.onnx", observation=tuple(Feature(j, "rad") for j in JOINTS), action=action,
                         settings=steps)  # fmt: skip
    made = OnnxPolicy.load(path, expert="greedy")
    act = made.act

    def wanted(*given: Any) -> Any:
        return act(*given)._replace(action=np.full((1, 2), wants, np.float32))

    made.act = wanted  # type: ignore[method-assign, assignment]
    return made


def active(made: OnnxPolicy, document: dict[str, Any]) -> ActivePolicy:
    return ActivePolicy.of(made, RobotFile.from_dict(document), period_s=PERIOD_S)


def swapped(folder: Path, document: dict[str, Any], first: OnnxPolicy, second: OnnxPolicy) -> tuple[float, float]:
    """Let one policy act until it stands, then the other; return where each stood."""
    arm = Arm(folder, arm_document())
    loop = arm.rig.loop
    places = []
    for made in (first, second):
        loop.take_over(active(made, document))
        for _ in range(30):
            arm.tick()
            arm.places = arm.commands[-1] if len(arm.commands) else arm.places
        places.append(float(arm.places[0]))
    return places[0], places[1]


def test_the_range_and_the_step_are_those_of_the_policy_that_acts(tmp_path: Path) -> None:
    first, second = policy(tmp_path / "a", 0.5), policy(tmp_path / "b", 0.42)
    assert swapped(tmp_path, demonstrated(), first, second) == pytest.approx((0.5, 0.42))
    slower = policy(tmp_path / "c", 0.5, 0.02, wants=-1.0)
    assert swapped(tmp_path, demonstrated(), first, slower) == pytest.approx((0.5, 0.5 - 30 * 0.02))


def test_a_robot_outside_of_the_new_range_by_more_than_a_step_stands(tmp_path: Path) -> None:
    arm = Arm(tmp_path, arm_document())
    loop = arm.rig.loop
    loop.take_over(active(policy(tmp_path / "a", 0.5), demonstrated()))
    for _ in range(30):
        arm.tick()
        arm.places = arm.commands[-1]
    loop.take_over(active(policy(tmp_path / "b", 0.3, 0.02), demonstrated()))
    before = len(arm.commands)
    arm.tick()
    assert (len(arm.commands), loop.commander.limits.unreachable) == (before, 1)


def test_limits_of_the_file_stay(tmp_path: Path) -> None:
    document = demonstrated(low=-0.4, high=0.4, max_step=0.05)
    first, second = policy(tmp_path / "a", 0.5), policy(tmp_path / "b", 0.8, 1.0)
    assert swapped(tmp_path, document, first, second) == pytest.approx((0.4, 0.4))


@pytest.mark.parametrize(
    ("high", "step", "words"),
    [
        (0.5, 0.1, ""),
        (0.4, 0.05, ""),
        (0.6, 0.1, "low of shoulder is -0.6, not -0.5, high of shoulder is 0.6, not 0.5, low of elbow"),
        (0.5, 0.2, "max_step of shoulder is 0.2, not 0.1, max_step of elbow is 0.2, not 0.1"),
    ],
)
def test_a_policy_with_wider_limits_is_refused(tmp_path: Path, high: float, step: float, words: str) -> None:
    first, other = active(policy(tmp_path / "a", 0.5), demonstrated()), policy(tmp_path / "b", high, step)
    successor = active(other, demonstrated())
    assert successor.channel.wider_than(first.channel).startswith(words)
    pytest.importorskip("rclpy")
    from vdd_ros.nodes.policy.robot_side import refuse_wider

    if not words:
        refuse_wider(successor, first.channel)
        return
    with pytest.raises(ConfigurationError, match="limits of its commands would be wider than those at configuration"):
        refuse_wider(successor, first.channel)
