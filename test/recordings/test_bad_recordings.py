"""Recordings that cannot be used, wholly or in part, are refused or counted, with the reason."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from vdd_ros.data.demonstrations import DemonstrationSet

pytest.importorskip("rosbags")

from recorded_arm import (
    EPOCH_NS,
    JOINT_STATE,
    JOINTS,
    MS,
    Sent,
    convert,
    document,
    drive,
    joints,
    marker,
    write_recording,
)

S = 1_000_000_000


def refused(folder: Path, sent: list[Sent], capsys: pytest.CaptureFixture[str], **more: Any) -> str:
    """Return why the only recording cannot be converted."""
    write_recording(folder / "bag", sorted(sent, key=lambda one: one.at_ns))
    assert convert(folder, folder / "bag", **more) == 2
    assert not (folder / "D").exists()
    return capsys.readouterr().err


def without(topic: str) -> list[Sent]:
    return [one for one in drive(1.0) if one.topic != topic]


@pytest.mark.parametrize("topic", ["/joint_states", "/commands"])
def test_a_topic_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str], topic: str) -> None:
    sent = [one._replace(topic=f"/arm{topic}") if one.topic == topic else one for one in drive(1.0)]
    message = refused(tmp_path, sent, capsys)
    assert f"no message on {topic}" in message
    assert f"did you mean /arm{topic}?" in message


def test_a_relative_name_finds_its_topic(tmp_path: Path) -> None:
    sent = [one._replace(topic=f"/arm{one.topic}") for one in drive(1.0)]
    given = document()
    given["inputs"]["joints"]["topic"], given["command"]["topic"] = "joint_states", "commands"
    write_recording(tmp_path / "bag", sent)
    assert convert(tmp_path, tmp_path / "bag", **given) == 0


def test_a_relative_name_that_several_topics_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sent = [one._replace(topic=f"/{side}{one.topic}") for one in drive(1.0) for side in ("left", "right")]
    given = document()
    given["inputs"]["joints"]["topic"], given["command"]["topic"] = "joint_states", "commands"
    assert "/left/joint_states, /right/joint_states all match" in refused(tmp_path, sent, capsys, **given)


def test_a_topic_of_another_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sent = [*without("/commands"), *(marker(EPOCH_NS + k * 50 * MS, "Int64", k, "/commands") for k in range(20))]
    assert "but command.topic needs std_msgs/msg/Float64MultiArray" in refused(tmp_path, sent, capsys)


def test_a_joint_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sent = without("/joint_states")
    sent += [joints(EPOCH_NS + k * 10 * MS, (0.0, 0.0), names=("shoulder", "wrist")) for k in range(100)]
    assert "a JointState lacks the joints ['elbow']" in refused(tmp_path, sent, capsys)


def test_a_type_without_a_definition_is_refused_only_where_it_is_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = [Sent(EPOCH_NS + k * MS, "/strange", "my_robot_msgs/msg/State", b"\0\1\0\0abcd") for k in range(50)]
    write_recording(tmp_path / "bag", sorted([*drive(1.0), *strange]))
    assert convert(tmp_path, tmp_path / "bag") == 0
    given = document()
    given["inputs"]["joints"] |= {"topic": "/strange", "type": "my_robot_msgs/msg/State"}
    assert convert(tmp_path, tmp_path / "bag", options=("--force",), **given) == 2
    assert "topic /strange has the type my_robot_msgs/msg/State, whose definition is neither" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stamp_ns", "reason"),
    [
        (lambda at_ns: at_ns - 3600 * S, "arrived with a stamp 3600.000 s old; are the clocks synchronised?"),
        (lambda at_ns: EPOCH_NS, "stamp not newer than the last one"),
        (lambda at_ns: 2 * EPOCH_NS - at_ns, "stamp not newer than the last one"),
    ],
)
def test_stamps_of_another_clock_or_going_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], stamp_ns: Any, reason: str
) -> None:
    sent = without("/joint_states")
    sent += [joints(at, (0.0, 0.0), stamp_ns(at)) for at in range(EPOCH_NS, EPOCH_NS + S, 10 * MS)]
    given = document()
    message = refused(tmp_path, sent, capsys, **given)
    assert "older than max_age_s" in message or "an input never had a value" in message or "had no new value" in message
    given["inputs"]["joints"]["stamp"] = "arrival"
    assert convert(tmp_path, tmp_path / "bag", **given) == 0


def test_stamps_of_zero_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sent = without("/joint_states")
    sent += [joints(at, (0.0, 0.0), 0) for at in range(EPOCH_NS, EPOCH_NS + S, 10 * MS)]
    write_recording(tmp_path / "bag", sorted(sent))
    assert convert(tmp_path, tmp_path / "bag") == 0
    assert "joints: 100 messages without a stamp, dated by receipt" in capsys.readouterr().out


def test_numbers_that_are_not_finite_are_refused_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = drive(1.0)
    bad = [joints(one.at_ns, (math.nan, 0.0)) if one.topic == "/joint_states" else one for one in sent[::7]]
    sent[::7] = bad
    write_recording(tmp_path / "bag", sent)
    assert convert(tmp_path, tmp_path / "bag") == 0
    count = sum(one.topic == "/joint_states" for one in bad)
    assert f"joints: {count} of 100 messages refused, first: joints: shoulder is nan" in capsys.readouterr().out


def test_commands_that_are_not_finite_are_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from recorded_arm import command

    sent = drive(1.0)
    sent.append(command(EPOCH_NS + 910 * MS, (math.inf, 0.0)))
    write_recording(tmp_path / "bag", sorted(sent))
    assert convert(tmp_path, tmp_path / "bag") == 0
    assert "command: 1 of 21 messages refused, first: a non-finite number" in capsys.readouterr().out


def test_a_rate_that_the_commands_do_not_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(tmp_path, drive(2.0, hz=5.0), capsys)
    assert "messages of the command come at 5 Hz, too seldom for rate_hz 20" in message
    assert "set rate_hz to 5 or less" in message


def test_an_input_that_is_too_slow_for_its_age(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sent = without("/joint_states")
    sent += [joints(EPOCH_NS + k * 400 * MS, (0.0, 0.0)) for k in range(3)]
    assert "joints (max_age_s 0.2) had no new value 0.20 s after its start" in refused(tmp_path, sent, capsys)


def test_an_input_that_stops_for_a_while_leaves_its_episode_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = [one for one in drive(3.0) if one.topic != "/joint_states" or not S < one.at_ns - EPOCH_NS < 2 * S]
    assert "bag: joints (max_age_s 0.2) had no new value 1.20 s after its start, 0.80 s in all" in refused(
        tmp_path, sent, capsys
    )


def test_an_empty_bag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(tmp_path, [joints(EPOCH_NS, (0.0, 0.0)), *without("/joint_states")[:0]], capsys)
    assert "no message on /commands" in message


def test_a_field_that_the_type_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = document()
    given["inputs"]["joints"]["entries"] = {joint: {"field": "pose.x", "unit": "m"} for joint in JOINTS}
    given["inputs"]["joints"]["type"] = JOINT_STATE
    write_recording(tmp_path / "bag", drive(1.0))
    assert convert(tmp_path, tmp_path / "bag", **given) == 2
    assert "field" in capsys.readouterr().err


def test_commands_outside_the_limits_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sent = drive(1.0, shift=1.5)
    write_recording(tmp_path / "bag", sent)
    assert convert(tmp_path, tmp_path / "bag") == 0
    orders = [1.5 + 1 + 1e-9 * (one.at_ns - EPOCH_NS) for one in sent if one.topic == "/commands"]
    count = sum(value > 3.0 for value in orders)
    assert f"shoulder was commanded outside low and high of the robot file {count} times" in capsys.readouterr().err


def test_the_rate_must_be_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recording(tmp_path / "bag", drive(1.0))
    given = document()
    del given["rate_hz"]
    robot = tmp_path / "arm.json"
    robot.write_text(json.dumps(given))
    from vdd_ros.cli.main import main

    argv = ["demos", "from-bags", str(tmp_path / "bag"), "--robot", str(robot), "--out", str(tmp_path / "D")]
    assert main(argv) == 2
    assert "rate_hz is missing" in capsys.readouterr().err
    assert main([*argv, "--rate", "10"]) == 0
    assert DemonstrationSet.load(tmp_path / "D").header.rate_hz == 10.0


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"rate_hz": 1e12}, "rate_hz is 1e+12; bags are sampled at 0.001 to 10,000 Hz"),
        ({"rate_hz": 1e-300}, "rate_hz is 1e-300"),
        ({"demonstrations": {"max_delay_s": 1e300}}, "demonstrations.max_delay_s: is 1e+300 seconds; at most a day"),
        ({"demonstrations": {"episodes": {"gap_s": 1e300}}}, "demonstrations.episodes.gap_s: is 1e+300 seconds"),
        ({"demonstrations": {"trim": {"after_s": 86_401}}}, "demonstrations.trim.after_s: is 86401 seconds"),
    ],
)
def test_rates_and_times_that_no_robot_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: dict[str, Any], why: str
) -> None:
    assert why in refused(tmp_path, drive(1.0), capsys, **more)
