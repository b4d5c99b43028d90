"""Mistakes in writing a robot file: accepted if unambiguous, otherwise refused with the right spelling."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from robot_writing import TEXT, refused

from vdd_ros.errors import RobotFileError
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.robot.yaml_section import EXAMPLES


@pytest.fixture
def load(tmp_path: Path) -> Any:
    """Load the text of a robot file in which something was replaced."""

    def made(old: str = "", new: str = "", text: str = TEXT) -> RobotFile:
        assert old in text
        path = tmp_path / "robot.yaml"
        path.write_text(text.replace(old, new, 1))
        return RobotFile.load(path)

    return made


@pytest.fixture
def refusal(load: Any) -> Any:
    """Return why such a text is refused."""
    return lambda *replaced, text=TEXT: refused(lambda: load(*replaced, text=text))


@pytest.mark.parametrize(
    ("written", "meant"),
    [("5e-2", 0.05), ("1E3", 1000.0), ('"0.1"', 0.1), ("'2'", 2.0), (".5", 0.5), ("5.", 5.0), ("+1e-1", 0.1)],
)
def test_text_that_is_a_number_is_one(load: Any, written: str, meant: float) -> None:
    """YAML 1.1 takes a number with an exponent and no point for text."""
    assert load("max_step: 0.05", f"max_step: {written}").commands[0].entries[0].max_step == meant


@pytest.mark.parametrize("written", [".inf", "inf", "Infinity", "'.inf'", "+.Inf"])
def test_infinity_is_written_in_one_of_its_ways(load: Any, refusal: Any, written: str) -> None:
    assert load("max_step: 0.05", f"max_step: {written}").commands[0].entries[0].max_step == math.inf
    assert "max_age_s: must be finite" in refusal("max_age_s: 0.2", f"max_age_s: {written}")


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("0.2 s", "give the number alone, with a point and without a unit (0.2)"),
        ("0,2", "with a point and without a unit (0.2)"),
        ("200ms", "without a unit (200)"),
        ("off", "false, as which YAML reads on, off, yes and no"),
        ("yes", "true, as which YAML reads"),
        ("", "nothing: the line is empty"),
        ("~", "nothing: the line is empty"),
        ("soon", "not 'soon'"),
        ("nan", "not 'nan'"),
        (".nan", "not nan"),
        ("[0.2]", "not [0.2]"),
        ("2024-01-01", "not datetime.date"),
    ],
)
def test_a_non_number_gets_an_example_number(refusal: Any, written: str, hint: str) -> None:
    text = refusal("max_age_s: 0.2", f"max_age_s: {written}")
    assert "inputs.arm.max_age_s: must be a number, not " in text
    assert hint in text
    assert text.endswith("write it as in `max_age_s: 0.2`")


@pytest.mark.parametrize(("written", "base"), [("0100", 8), ("1:30", 60), ("-010", 8), ("1:30.5", 60)])
def test_a_number_that_yaml_reads_in_another_base_is_refused(refusal: Any, written: str, base: int) -> None:
    """`010` would be 8, `1:30` 90."""
    text = refusal("high: 1.0", f"high: {written}")
    assert f"has {written!r} in line 15, which YAML reads in base {base}; write the number without" in text


@pytest.mark.parametrize("key", ["name", "action", "joint"])
@pytest.mark.parametrize(
    ("written", "quoted"),
    [("on", '"on"'), ("off", '"off"'), ("no", '"off"'), ("1", '"1"'), ("1.5", '"1.5"'), ("2024-01-01", '"2024-01-01"')],
)
def test_a_name_that_yaml_reads_as_something_else_is_quoted(refusal: Any, key: str, written: str, quoted: str) -> None:
    old = next(word for word in re.findall(rf"{key}: [a-z_]+", TEXT))
    text = refusal(old, f"{key}: {written}")
    assert f"{key}: is " in text
    assert f"put quotes around it, as in `{key}: {quoted}`" in text


@pytest.mark.parametrize("written", ["on", "1", "null", "2024-01-01"])
def test_a_key_that_yaml_reads_as_something_else_is_quoted(refusal: Any, written: str) -> None:
    text = refusal("      elbow: {", f"      {written}: {{")
    assert "names must be text (quote it), as in `" in text


def test_a_joint_may_be_named_like_anything_in_quotes(load: Any) -> None:
    robot = load("joint: elbow_joint", 'joint: "010"')
    assert robot.inputs[0].entries[0].joint == "010"
    assert load("joint: elbow_joint", "joint: 'on'").inputs[0].entries[0].joint == "on"


def test_the_unit_of_what_has_none_may_be_the_number(load: Any) -> None:
    entries = "{joint: elbow_joint, interface: position, unit: rad}"
    text = TEXT.replace("measured: elbow, ", "").replace("first_step: 0.1", "").replace("JointState", "Temperature")
    text = text.replace(entries, "{field: variance, unit: 1}").replace("max_step: 0.05, }", "max_step: 0.05}")
    assert load(text=text).inputs[0].entries[0].unit == "1"


@pytest.mark.parametrize(
    "written",
    [
        "sensor_msgs/JointState",
        "sensor_msgs.msg.JointState",
        "sensor_msgs::msg::JointState",
        "sensor_msgs/msg/JointState",
    ],
)
def test_a_message_type_may_be_written_as_ros_1_python_and_cpp_do(load: Any, written: str) -> None:
    assert load("sensor_msgs/msg/JointState", written).inputs[0].type == "sensor_msgs/msg/JointState"
    command = "std_msgs/msg/Float64MultiArray"
    given = written.replace("sensor_msgs", "std_msgs").replace("JointState", "Float64MultiArray")
    assert load(command, given).commands[0].type == command


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("JointState", "did you mean sensor_msgs/msg/JointState?"),
        ("jointstate", "did you mean sensor_msgs/msg/JointState?"),
        ("sensor_msgs/msg/joint_states", "did you mean sensor_msgs/msg/JointState?"),
        ("PoseStamped", "did you mean geometry_msgs/msg/PoseStamped?"),
        ("std_srvs/srv/Trigger", "which is a service; it must be a message type"),
        ("control_msgs/action/FollowJointTrajectory", "which is an action"),
        ("!!!", "a message type is written package/msg/Name"),
    ],
)
def test_a_wrong_message_type_is_answered_with_the_right_one(refusal: Any, written: str, hint: str) -> None:
    text = refusal("sensor_msgs/msg/JointState", f'"{written}"')
    assert f"inputs.arm.type: is {written!r}" in text
    assert hint in text
    assert text.endswith("write it as in `type: sensor_msgs/msg/JointState`")


@pytest.mark.parametrize("topic", ["/joint_states", "joint_states", "~/joint_states", "/a1/_b/C", "/joint_states/"])
def test_names_of_topics_that_ros_allows(load: Any, topic: str) -> None:
    assert load("topic: /joint_states", f"topic: {topic}").inputs[0].topic == topic.rstrip("/")


@pytest.mark.parametrize(
    ("topic", "hint"),
    [
        ("/my-robot/joint_states", "with '-'; names of topics"),
        ("/my-robot/joint_states", "perhaps /my_robot/joint_states"),
        ("~joint_states", "perhaps ~/joint_states"),
        ("/arm//state", "perhaps /arm/state"),
        ("/2f_gripper/state", "no part between two '/' begins with a digit"),
        ("/arm state", "perhaps /arm_state"),
        ("/", "consist of letters, digits and '_'"),
        ("{ns}/state", "with '{' and '}'"),
        ("/übung", "with 'ü'"),
    ],
)
def test_a_topic_that_ros_does_not_allow_is_answered_with_why(refusal: Any, topic: str, hint: str) -> None:
    text = refusal("topic: /joint_states", f'topic: "{topic}"')
    assert f"inputs.arm.topic: is {topic!r}" in text
    assert hint in text
    assert text.endswith("write it as in `topic: /joint_states`")
    service = refusal("on_loss: hold", f'on_loss: call\n  loss_service: "{topic}"')
    assert hint in service
    assert service.endswith("write it as in `loss_service: /controller/stop`")


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        ("position[a[0]]", "elements are written name[3], name[2:5] or name[label]"),
        ("pose..x", "lower-case names, joined by points"),
        ("Pose.Position", "lower-case names, joined by points"),
        ("/pose/x", "lower-case names, joined by points"),
    ],
)
def test_a_field_that_is_no_path_is_answered_with_one(refusal: Any, field: str, hint: str) -> None:
    text = TEXT.replace("{joint: elbow_joint, interface: position, unit: rad}", "{field: x, unit: rad}")
    text = refusal("{field: x,", f'{{field: "{field}",', text=text)
    assert f"inputs.arm.entries.elbow.field: is {field!r}" in text
    assert hint in text
    assert text.endswith("write it as in `field: pose.position.x`")


LINES = [
    *("topic: /joint_states", "type: sensor_msgs/msg/JointState", "max_age_s: 0.2", "on_loss: hold"),
    *("joint: elbow_joint", "interface: position", "unit: rad", "name: elbow", "action: elbow_go", "low: -1.0"),
]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("value", ["", "[]", "{}", "''"])
def test_every_refused_value_shows_the_line(refusal: Any, line: str, value: str) -> None:
    """A key without a value, or with an empty one."""
    key = line.partition(":")[0]
    text = refusal(line, f"{key}: {value}")
    assert f"{key}: " in text
    assert EXAMPLES[key] in text


@pytest.mark.parametrize("line", [line for line in LINES if not line.startswith("action")])
def test_every_missing_value_shows_the_line(refusal: Any, line: str) -> None:
    key = line.partition(":")[0]
    text = refusal(line, "unknown: 1")
    assert f"{key}: " in text
    assert EXAMPLES[key] in text


def test_an_action_is_named_as_its_number_unless_it_is_given(load: Any) -> None:
    assert load("action: elbow_go, ", "").commands[0].entries[0].action == "elbow"


@pytest.mark.parametrize("key", EXAMPLES)
def test_the_lines_that_errors_show_are_right(key: str) -> None:
    """Each is YAML with that key alone; simple ones are read back as what the key takes."""
    document = yaml.safe_load(EXAMPLES[key])
    assert list(document) == [key]


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("on_loss: hold", "on_loss: off", "command.on_loss: is False: YAML reads off, no and false without quotes"),
        ("on_loss: hold", "on_loss: Hold", "did you mean 'hold'?"),
        (
            "qos: sensor_data",
            "qos: best_effort",
            "inputs.arm.qos: is 'best_effort'; allowed are sensor_data, reliable, match",
        ),
        ("command:", "commands:", "commands: is a command without a name; write `command:`"),
        ("max_age_s:", "max_age:", "max_age_s: is missing, but 'max_age' is there"),
        ("interface: position", "interface: pos", "did you mean 'position'?"),
    ],
)
def test_a_near_word_is_named(refusal: Any, old: str, new: str, hint: str) -> None:
    assert hint in refusal(old, new)


@pytest.mark.parametrize("where", ["inputs", "  arm", "    entries", "      elbow", "command", "    - {name"])
def test_an_unknown_key_is_refused_wherever_it_stands(refusal: Any, where: str) -> None:
    if where.startswith("      elbow") or "{" in where:
        text = refusal("unit: rad", "unit: rad, extra: 1")
    elif where == "    entries":
        text = refusal("      elbow:", "      extra: 1\n      elbow:")
    else:
        indent = re.match(" *", where)[0]  # type: ignore[index]
        text = refusal(f"\n{where}:", f"\n{indent}extra: 1\n{where}:")
    assert "extra: " in text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (TEXT.replace("    max_age_s: 0.2", "    max_age_s: 0.2\n    max_age_s: 20.0"), "names 'max_age_s' twice"),
        (TEXT.replace("low: -1.0,", "low: -1.0, low: -9.0,"), "names 'low' twice"),
        (TEXT + "\ncommand: {}\n", "names 'command' twice, in lines 10 and 17"),
        (TEXT + "---\n" + TEXT, "is not YAML that can be read"),
        (TEXT + "#" * 2_000_000, "has more than 1,048,576 bytes"),
        ("", "the document: is empty; it must be a mapping"),
        ("- a\n- b\n", "the document: must be a mapping with at least one key, not ['a', 'b']"),
    ],
)
def test_nothing_of_a_file_is_skipped(refusal: Any, text: str, hint: str) -> None:
    """Of a key that stands twice YAML readers keep the last one; what follows `---` they do not read."""
    assert hint in refusal(text=text)


def test_a_home_folder_is_looked_up(load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert RobotFile.load("~/robot.yaml").commands[0].topic == "/arm/commands"
    with pytest.raises(RobotFileError, match=r"~nobody_here/robot\.yaml does not exist"):
        RobotFile.load("~nobody_here/robot.yaml")


def test_text_of_others_is_shown_on_one_line(refusal: Any) -> None:
    text = refusal("on_loss: hold", 'on_loss: "\\e[31mred\\n' + "x" * 500 + '"')
    assert "\x1b" not in text
    assert len(text) < 500


@pytest.mark.parametrize(
    ("old", "new", "hints"),
    [
        ("measured: elbow", "mesured: elbow", ("did you mean 'measured'?", "max_error, max_step, measured, name")),
        ("qos: sensor_data", "q: sensor_data", ("max_age_s, qos, stamp, topic, transform, type",)),
        ("on_loss: hold", "on_loss:", ("command.on_loss: is empty",)),
        ("on_loss: hold", "on_loss: call", ("write it as in `loss_service: /controller/stop`",)),
    ],
)
def test_optional_keys_are_among_what_is_allowed(refusal: Any, old: str, new: str, hints: tuple[str, ...]) -> None:
    text = refusal(old, new)
    for hint in hints:
        assert hint in text


@pytest.mark.parametrize("value", ["control_msgs/action/FollowJointTrajectory", "sensor_msgs/msg/Imu", "7", ""])
def test_the_line_that_is_shown_for_the_command_is_allowed_there(refusal: Any, load: Any, value: str) -> None:
    """Not the line of an input, which would be refused in its turn."""
    text = refusal("type: std_msgs/msg/Float64MultiArray", f"type: {value}")
    line = text.rpartition("as in `")[2].rstrip("`")
    if value != "7":
        assert load("type: std_msgs/msg/Float64MultiArray", line).commands[0].type == line.removeprefix("type: ")


def test_yaml_that_cannot_be_read_names_the_line_and_no_string(refusal: Any) -> None:
    text = refusal("    max_age_s: 0.2", "\tmax_age_s: 0.2")
    assert "line 6" in text
    assert "indent with spaces" in text
    assert "<unicode string>" not in text
