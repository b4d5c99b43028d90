"""Constants, differences, hidden entries, and inputs that may be old: exactly, on an observer that is fed by hand."""

import math
from typing import Any

import numpy as np
import pytest
from input_channels import COMMAND, JOINTS, POSE, channel, numbers, oriented, read
from policy_files import mixture_spec
from robot_messages import joint_state

from vdd_ros.control.before_commands import BeforeCommands
from vdd_ros.control.counters import Counters
from vdd_ros.control.observer import Observer
from vdd_ros.errors import RobotFileError
from vdd_ros.features import Feature
from vdd_ros.robot.channels import InputChannel
from vdd_ros.robot.robot_file import RobotFile

PERIOD_S = 0.1


def file_of(inputs: dict[str, Any], **command: Any) -> RobotFile:
    """Return a robot file whose inputs are stale after 0.5 s."""
    base = {"type": POSE, "max_age_s": 0.5}
    document = {name: base | {"topic": name} | source for name, source in inputs.items()}
    entries = [COMMAND["entries"][0] | command]
    return RobotFile.from_dict({"inputs": document, "command": COMMAND | {"entries": entries}})


def observer_of(robot: RobotFile, history: int = 1, units: dict[str, str] | None = None) -> Observer:
    """Return the observer of a policy that takes the file's entries, in `units` or those of the file."""
    observation = tuple(
        Feature(feature.name, (units or {}).get(feature.name, feature.unit)) for feature in robot.signature.observation
    )
    action = (Feature("go", "rad", -1.0, 1.0),)
    robot.check(observation, action)
    spec = mixture_spec(observation=observation, action=action, history=history, rate_hz=1 / PERIOD_S)
    return Observer(spec, robot, Counters(), PERIOD_S)


def see(observer: Observer, name: str, now_s: float, x: float = 0.0, yaw: float = 0.0) -> None:
    """Give an input a pose of this time."""
    message = oriented(0, 0, math.sin(yaw / 2), math.cos(yaw / 2), position=(x, 0.0, 0.0))
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(round(now_s * 1e9), 1_000_000_000)
    observer.receive(name, message, now_s)


TOOL = {"entries": {"tool": {"field": "pose.position.x", "unit": "m"}}}
AHEAD = {"entries": {"ahead": {"field": "pose.position.x", "unit": "m", "minus": "tool"}}}


def test_a_constant_is_in_every_observation() -> None:
    entries = {"height": {"constant": 720, "unit": "mm"}, **TOOL["entries"], "on": {"constant": -1.5, "unit": 1}}
    observer = observer_of(file_of({"tool": {"entries": entries}}), history=2, units={"height": "m"})
    see(observer, "tool", 10.0, 0.25)
    np.testing.assert_allclose(observer.sample(10.0), [[0.72, 0.25, -1.5]] * 2, rtol=1e-6)
    assert observer.columns == {"tool": [1]}


def test_a_constant_is_not_written() -> None:
    tested = channel(
        entries={"height": {"constant": 1, "unit": "m"}, "tool": {"field": "pose.position.x", "unit": "m"}}
    )
    message = oriented(0, 0, 0, 1)
    tested.write(np.array([5.0, 0.5]), message)
    assert (message.pose.position.x, message.pose.position.y) == (0.5, 0.0)
    assert read(tested, message) == [1.0, 0.5]


def test_a_difference_is_taken_at_the_time_of_each_row() -> None:
    """Each row subtracts what the other input had at that row's time, in the unit of the difference."""
    robot = file_of({"tool": TOOL, "target": AHEAD})
    observer = observer_of(robot, history=3, units={"ahead": "mm", "tool": "cm"})
    for now_s, tool, target in ((1.0, 0.1, 0.5), (1.1, 0.2, 0.5), (1.15, 0.25, 0.5), (1.2, 0.3, 0.6)):
        see(observer, "tool", now_s, tool)
        see(observer, "target", now_s, target)
    for _ in range(2):  # not subtracted twice
        np.testing.assert_allclose(observer.sample(1.2), [[10, 400], [20, 300], [30, 300]], rtol=1e-5)
    assert observer.columns == {"tool": [0], "target": []}


def test_a_hidden_entry_is_read_but_not_observed() -> None:
    hidden = {"entries": {"tool": TOOL["entries"]["tool"] | {"hidden": True}}}
    robot = file_of({"tool": hidden, "target": AHEAD})
    assert [feature.name for feature in robot.signature.observation] == ["ahead"]
    observer = observer_of(robot, history=2)
    see(observer, "target", 1.0, 0.5)
    assert observer.missing() == ("tool",)
    see(observer, "tool", 1.0, 0.125)
    window = observer.sample(1.0)
    np.testing.assert_array_equal(window, [[0.375], [0.375]])
    assert window.flags.c_contiguous
    assert observer.columns == {"tool": [], "target": []}


def test_a_difference_of_angles_is_the_shorter_way_round() -> None:
    yaw = {"field": "pose.orientation", "rotation": "yaw"}
    robot = file_of({"tool": {"entries": {"tool": yaw}}, "target": {"entries": {"turn": yaw | {"minus": "tool"}}}})
    for unit, turn in (("rad", 2 * math.pi), ("deg", 360.0)):
        observer = observer_of(robot, units={"turn": unit})
        see(observer, "tool", 1.0, yaw=-3.0)
        see(observer, "target", 1.0, yaw=3.0)
        assert observer.sample(1.0)[0, 1] == pytest.approx((6.0 - 2 * math.pi) / (2 * math.pi) * turn, rel=1e-5)


def test_a_robot_writes_what_gives_the_difference() -> None:
    robot = file_of({"tool": TOOL, "target": AHEAD})
    tested = InputChannel(robot.inputs[1], [Feature("ahead", "mm"), Feature("tool", "m")])
    message = oriented(0, 0, 0, 1)
    tested.write(np.array([250.0, 0.5]), message)
    assert message.pose.position.x == 0.75
    hidden = file_of({"tool": {"entries": {"tool": TOOL["entries"]["tool"] | {"hidden": True}}}, "target": AHEAD})
    observation = [Feature("ahead", "m")]
    for source in hidden.inputs:
        InputChannel(source, observation).write(np.array([0.25]), message)
        assert message.pose.position.x == {"tool": 0.0, "target": 0.25}[source.name]


KEPT = {"entries": {"target": {"field": "pose.position.x", "unit": "m"}}, "when_stale": "keep"}


def test_an_input_that_may_be_old_keeps_its_last_value() -> None:
    """Its history does not start anew after the gap either; the other input still goes stale."""
    observer = observer_of(file_of({"tool": TOOL, "target": KEPT}), history=2)
    see(observer, "tool", 1.0)
    see(observer, "target", 1.0, 0.5)
    assert observer.stale(1.0) == []
    observer.sample(1.0)
    for tick in range(100):
        now_s = 1.0 + PERIOD_S * tick
        see(observer, "tool", now_s, x=now_s)
        assert observer.stale(now_s) == []
        assert observer.sample(now_s)[-1, 1] == 0.5
        assert abs(observer.alignment.oldest_s(observer.alignment.ages_s(now_s))) < 1e-9
        assert observer.newest_s() == pytest.approx(now_s)
    see(observer, "target", 11.0, 0.75)
    see(observer, "tool", 11.0)
    np.testing.assert_array_equal(observer.sample(11.0)[:, 1], [0.5, 0.75])
    assert observer.stale(11.6) == ["tool"]


def test_an_episode_does_not_begin_with_an_old_value() -> None:
    observer = observer_of(file_of({"tool": TOOL, "target": KEPT}))
    for episode in range(2):
        begin_s = 100.0 * episode + 1.0
        observer.reset(begin_s)
        see(observer, "tool", begin_s)
        assert observer.missing() == ("target",)
        see(observer, "target", begin_s)
        see(observer, "tool", begin_s + 0.6)
        observer.sample(begin_s + 0.6, begins=False)  # a dry run begins nothing
        assert observer.stale(begin_s + 0.6) == ["target"]
        see(observer, "target", begin_s + 0.7)
        assert observer.stale(begin_s + 0.7) == []
        observer.sample(begin_s + 0.7)
        see(observer, "tool", begin_s + 5.0)
        assert observer.stale(begin_s + 5.0) == []


def refusal(inputs: dict[str, Any], **command: Any) -> str:
    with pytest.raises(RobotFileError) as error:
        file_of(inputs, **command)
    return str(error.value)


def entry_refusal(**entry: Any) -> str:
    return refusal({"tool": TOOL, "target": {"entries": {"it": {"field": "pose.position.x", "unit": "m"} | entry}}})


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (
            {"minus": "tol"},
            "inputs.target.entries.it.minus: is 'tol', which is not an entry of any input; the entries are tool, it",
        ),
        ({"minus": 1}, "inputs.target.entries.it.minus: is 1, which YAML reads as a number"),
        ({"minus": "it"}, "inputs.target.entries.it.minus: is 'it', which is an array, an encoded number or a differ"),
        ({"minus": "tool", "unit": "rad", "scale": 2.0}, "it.minus: 'm' cannot be converted to 'rad'"),
        (
            {"minus": "tool", "encode": "sin_cos", "unit": "rad", "scale": 2},
            "it.minus: is for entries of a single number",
        ),
        ({"hidden": True}, "inputs.target.entries.it.hidden: is true, but no entry subtracts this one (`minus`)"),
        ({"hidden": "yes"}, "inputs.target.entries.it.hidden: must be true or false, not 'yes'"),
        ({"constant": 1.0}, "inputs.target.entries.it.field: is for numbers of a message, not for `constant`"),
    ],
)
def test_a_wrong_difference_is_named(entry: dict[str, Any], problem: str) -> None:
    assert problem in entry_refusal(**entry)


@pytest.mark.parametrize("key", ["scale", "offset", "rotation", "encode", "minus", "hidden", "max_rate"])
def test_a_constant_takes_no_other_key(key: str) -> None:
    entries = {"tool": TOOL["entries"]["tool"], "it": {"constant": 1.0, "unit": "m", key: 1.0}}
    assert f"inputs.tool.entries.it.{key}: is for numbers of a message" in refusal({"tool": {"entries": entries}})


def test_wrong_constants_are_named() -> None:
    for value, problem in (("x", "must be a number, not 'x'"), (math.inf, "must be finite"), (None, "nothing")):
        text = refusal({"tool": {"entries": {"it": {"constant": value, "unit": "m"}}}})
        assert "inputs.tool.entries.it.constant: " in text
        assert problem in text
    assert "inputs.tool.entries: are only constants" in refusal(
        {"tool": {"entries": {"it": {"constant": 1.0, "unit": "m"}}}}
    )


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ({"entries": {"seen": {"constant": 1.0, "unit": "rad"}, **TOOL["entries"]}}, "a constant"),
        ({"entries": {"seen": {"field": "pose.orientation", "rotation": "yaw", "minus": "yaw"}}}, "a difference"),
        ({"entries": {"seen": {"field": "pose.orientation", "rotation": "yaw"}}, "when_stale": "keep"}, "may be old"),
        ({"entries": {"seen": {"field": "pose.orientation", "rotation": "yaw", "hidden": True}}}, "hidden"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["measured", "relative_to"])
def test_a_command_refers_to_what_a_message_measures(source: dict[str, Any], why: str, key: str) -> None:
    other = {"entries": {"yaw": {"field": "pose.orientation", "rotation": "yaw"}}}
    if why == "hidden":
        other["entries"]["yaw"]["minus"] = "seen"
    text = refusal({"other": other, "seen": source}, **{key: "seen"})
    assert f"command.entries[0].{key}: is 'seen', " in text
    assert why in text


def test_not_every_input_may_be_old() -> None:
    assert "inputs.target.when_stale: is 'keep' in every input" in refusal({"target": KEPT})
    assert "when_stale: is 'go'; allowed are stop, keep" in refusal({"target": KEPT | {"when_stale": "go"}})


def test_inputs_of_arrays_may_be_old_too() -> None:
    forces = {"type": "std_msgs/msg/Float64MultiArray", "when_stale": "keep"}
    robot = file_of({"arm": TOOL, "forces": forces | {"entries": {"f": {"field": "data", "shape": [2], "unit": "N"}}}})
    spec = mixture_spec(
        observation=(Feature("tool", "m"), Feature("f", "N", shape=(2,))),
        action=(Feature("go", "rad", -1.0, 1.0),),
        rate_hz=1 / PERIOD_S,
    )
    observer = Observer(spec, robot, Counters(), PERIOD_S)
    observer.receive("forces", numbers(1.0, 2.0), 1.0)
    see(observer, "arm", 1.0)
    observer.sample(1.0)
    see(observer, "arm", 9.0)
    assert observer.stale(9.0) == []
    observer.sample(9.0)
    assert observer.arrays is not None
    np.testing.assert_array_equal(observer.arrays["f"][-1], [1.0, 2.0])


def test_joints_in_short_form_may_be_subtracted() -> None:
    joints = {"type": JOINTS, "joints": {"names": ["a", "b"], "unit": "rad"}}
    lag = {
        "type": JOINTS,
        "entries": {"lag": {"joint": "a", "interface": "position", "unit": "rad", "minus": "a_position"}},
    }
    observer = observer_of(file_of({"arm": joints, "wanted": lag}))
    observer.receive("arm", joint_state(1.0, a=0.5, b=1.0), 1.0)
    observer.receive("wanted", joint_state(1.0, a=0.75), 1.0)
    np.testing.assert_allclose(observer.sample(1.0), [[0.5, 1.0, 0.25]])


def test_without_a_command_the_last_one_is_zero_without_a_sign() -> None:
    """Whatever an episode before left there; observations of a bag are the same to the bit."""
    entry = {"name": "linear.x", "action": "go", "unit": "m/s", "low": -1, "high": 1, "max_step": 1}
    twist = {"topic": "/go", "type": "geometry_msgs/msg/Twist", "on_loss": "zero", "entries": [entry]}
    inputs: dict[str, Any] = {"tool": {"topic": "/tool", "type": POSE, "max_age_s": 0.5, **TOOL}}
    robot = RobotFile.from_dict(
        {"inputs": inputs | {"last": {"command": "command", "entries": "all"}}, "command": twist}
    )
    before = BeforeCommands(robot, robot.signature.observation)
    window = np.array([[0.5, -0.25]], np.float32)
    before.fill_rows(window, {"last": np.array([True])})
    assert window.tobytes() == np.array([[0.5, 0.0]], np.float32).tobytes()
