"""A shared topic of joint states: other robots' joints are accepted, wrong values of our joints are refused."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import pytest
from loop_rig import Rig
from policy_files import write_mixture
from robot_messages import joint_state

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticStatus

from vdd_ros.features import Feature
from vdd_ros.nodes.policy.diagnostics import Health
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile

JOINTS = ("shoulder", "elbow")


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Rig]:
    """Make rigs of an arm whose joints come in one input, or each in one of its own."""

    def made(*, apart: bool = False) -> Rig:
        source = {"topic": "joint_states", "type": "sensor_msgs/msg/JointState", "max_age_s": 0.1}
        entries = {name: {"joint": f"{name}_joint", "interface": "position", "unit": "rad"} for name in JOINTS}
        inputs = {name: source | {"entries": {name: entries[name]}} for name in JOINTS}
        command = [
            {"name": name, "action": f"{name}_go", "unit": "rad", "low": -3, "high": 3, "max_step": 0.5}
            for name in JOINTS
        ]
        target = {"topic": "go", "type": "std_msgs/msg/Float64MultiArray", "on_loss": "hold", "entries": command}
        document = {"inputs": inputs if apart else {"arm": source | {"entries": entries}}, "command": target}
        path = write_mixture(
            tmp_path / "arm.onnx",
            observation=tuple(Feature(name, "rad") for name in JOINTS),
            action=tuple(Feature(f"{name}_go", "rad", -1.0, 1.0) for name in JOINTS),
        )
        return Rig(OnnxPolicy.load(path, expert="greedy"), RobotFile.from_dict(document))

    return made


def see(rig: Rig, time_s: float, **positions: float) -> None:
    for name in rig.loop.observer.inputs:
        rig.receive(
            name, joint_state(time_s, **{f"{joint}_joint": value for joint, value in positions.items()}), time_s
        )


def test_messages_of_other_joints_are_not_refused(make: Callable[..., Rig]) -> None:
    """A gripper and a head on the topic of the arm, each at its own rate: "running", and nothing is reported."""
    rig = make()
    health = Health(rig.loop)
    for number in range(200):
        time_s = 10.0 + 0.005 * number
        see(rig, time_s, left_finger=0.01, right_finger=0.01)
        see(rig, time_s, pan=1.0)
        if number % 4 == 0:
            see(rig, time_s, shoulder=0.1, elbow=0.2)
            rig.loop.tick(time_s, 0.0)
    counters = rig.loop.counters
    assert counters.refused_messages == 0
    assert not rig.loop.observer.last_refusal
    assert counters.other_joints == 400
    assert counters.commands == 50
    assert health.judge(11.0) == (DiagnosticStatus.OK, "running")


def test_an_input_with_only_messages_of_other_joints_is_reported(make: Callable[..., Rig]) -> None:
    """With names of some of their joints, when nothing was seen yet and when the own ones have ceased."""
    rig = make()
    health = Health(rig.loop)
    assert health.judge(10.0) == (DiagnosticStatus.WARN, "waiting for arm")
    see(rig, 10.0, left_finger=0.01, right_finger=0.01)
    level, text = health.judge(10.1)
    assert level == DiagnosticStatus.WARN
    assert text == (
        "waiting for arm; arm gets only messages of other joints, ['left_finger_joint', 'right_finger_joint']"
    )
    assert health.judge(10.2) == (DiagnosticStatus.WARN, "waiting for arm")
    see(rig, 10.2, shoulder=0.1, elbow=0.2)
    see(rig, 11.0, left_finger=0.01)
    level, text = health.judge(11.0)
    assert level == DiagnosticStatus.STALE
    assert text == ("stale: arm; nothing is commanded; arm gets only messages of other joints, ['left_finger_joint']")


def test_an_unusable_message_explains_its_own_input_only(make: Callable[..., Rig]) -> None:
    """Another input that is stale at the same time is silent."""
    rig = make(apart=True)
    told: list[tuple[list[str], set[str]]] = []

    def explain(inputs: Sequence[str], comes: Collection[str]) -> str:
        told.append((sorted(inputs), set(comes)))
        return ""

    health = Health(rig.loop, explain=explain)
    see(rig, 10.0, shoulder=0.1, elbow=0.2)
    rig.receive("elbow", joint_state(10.5, elbow_joint=float("nan")), 10.5)
    health.judge(11.0)
    rig.loop.counters.refused_messages += 1  # undecoded: of whichever input
    health.judge(11.1)
    health.judge(11.2)
    both = ["elbow", "shoulder"]
    assert told == [(both, {"elbow"}), (both, set(both)), (both, set())]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda message: message.name.pop(), "lacks the joints ['elbow_joint']"),
        (lambda message: message.position.pop(), "2 names but 1 value of position"),
        (lambda message: message.name.clear(), "lacks the joints ['shoulder_joint', 'elbow_joint']; it has []"),
        (lambda message: message.name.append("elbow_joint"), "names the joints ['elbow_joint'] more than once"),
    ],
    ids=["some joints", "lengths", "no names", "twice"],
)
def test_an_invalid_message_of_own_joints_is_refused_with_the_reason(
    make: Callable[..., Rig], spoil: Callable[[Any], Any], reason: str
) -> None:
    rig = make()
    for number in range(3):
        message = joint_state(10.0 + number, shoulder_joint=0.1, elbow_joint=0.2)
        spoil(message)
        rig.receive("arm", message, 10.0 + number)
        assert reason in rig.loop.observer.last_refusal
    assert rig.loop.counters.refused_messages == 3
    assert rig.loop.counters.other_joints == 0
    assert rig.loop.observer.missing() == ("arm",)


def test_joints_that_come_in_parts_are_inputs_of_their_own(make: Callable[..., Rig]) -> None:
    """Two drivers that each send one joint: refused as one input, which says so, and taken as two on one topic."""
    together, apart = make(), make(apart=True)
    for rig in (together, apart):
        for number in range(4):
            see(rig, 10.0 + 0.01 * number, shoulder=0.1)
            see(rig, 10.0 + 0.01 * number, elbow=0.2)
        rig.loop.tick(10.05, 0.0)
    assert "make each part a separate input on the same topic" in together.loop.observer.last_refusal
    assert (together.loop.counters.refused_messages, together.loop.counters.commands) == (8, 0)
    assert (apart.loop.counters.refused_messages, apart.loop.counters.commands) == (0, 1)
    assert apart.loop.counters.other_joints == 8


def test_names_of_others_neither_fill_the_memory_nor_the_text(make: Callable[..., Rig]) -> None:
    rig = make()
    layout: Any = vars(rig.loop.observer.inputs["arm"])["_layout"]
    for number in range(300):
        rig.receive("arm", joint_state(10.0, **{f"\x1b[31m{number}_{'x' * 100_000}": 0.0}), 10.0)
    many = joint_state(10.0, **{f"joint_{number}": 0.0 for number in range(5000)})
    rig.receive("arm", many, 10.0)
    assert rig.loop.counters.other_joints == 301
    assert len(layout._order) <= 100
    assert not any(len(names) > 1000 for names in layout._order)
    shown = rig.loop.observer.other_joints["arm"]
    assert len(shown) < 300
    rig.receive("arm", joint_state(10.0, **{"\x1b[31m" + "x" * 100_000: 0.0}), 10.0)
    shown = rig.loop.observer.other_joints["arm"]
    assert "\x1b" not in shown
    assert len(shown) < 300


def test_an_error_that_is_raised_again_does_not_grow(make: Callable[..., Rig]) -> None:
    """It is kept with the names of the joints, so that a message of others costs next to nothing."""
    rig = make()
    lengths = []
    for number in range(50):
        see(rig, 10.0 + number, pan=0.0)
        layout: Any = vars(rig.loop.observer.inputs["arm"])["_layout"]
        error = layout._order["pan_joint",]
        trace, length = error.__traceback__, 0
        while trace is not None:
            trace, length = trace.tb_next, length + 1
        lengths.append(length)
    assert len(set(lengths)) == 1
