"""What an episode is: a bag, or what lies between marks or pauses; waits are cut off, others are left out by name."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vdd_ros.data.demonstrations import DemonstrationSet

pytest.importorskip("rosbags")

from recorded_arm import EPOCH_NS, MS, Sent, command, convert, document, drive, joints, marker, write_recording

S = 1_000_000_000


def record(folder: Path, sent: list[Sent], **rules: Any) -> tuple[DemonstrationSet, dict[str, Any]]:
    """Convert one recording by some rules; return the set and the record."""
    write_recording(folder / "bag", sorted(sent, key=lambda one: one.at_ns))
    given = {"demonstrations": rules} if rules else {}
    assert convert(folder, folder / "bag", options=("--json", str(folder / "numbers.json")), **given) == 0
    return DemonstrationSet.load(folder / "D"), json.loads((folder / "numbers.json").read_text())


def names(numbers: dict[str, Any]) -> list[str]:
    return [episode["name"] for bag in numbers["bags"] for episode in bag["episodes"]]


@pytest.mark.parametrize(
    ("kind", "data", "labels"),
    [
        ("Bool", (True, False, True, False), ["1", "2"]),
        ("Int64", (7, -1, 8, -1), ["7", "8"]),
        ("String", ("pick", "", "place", ""), ["pick", "place"]),
    ],
)
def test_a_topic_marks_episodes(tmp_path: Path, kind: str, data: tuple[Any, ...], labels: list[str]) -> None:
    marks = [marker(EPOCH_NS + at * 100 * MS, kind, value) for at, value in zip((5, 15, 25, 30), data, strict=True)]
    marks.insert(1, marks[0]._replace(at_ns=marks[0].at_ns + 50 * MS))  # repeated, which marks nothing
    found, numbers = record(tmp_path, drive(4.0) + marks, episodes={"topic": "/episode"})
    assert names(numbers) == [f"bag#{label}" for label in labels]
    starts = [found.observation[one.start, 0] for one in found.episodes()]
    ends = [found.observation[one.stop - 1, 0] for one in found.episodes()]
    assert starts == pytest.approx([0.5, 2.5], abs=0.051)
    assert ends == pytest.approx([1.45, 2.95], abs=0.051)


@pytest.mark.parametrize(("kind", "value"), [("Bool", False), ("Int64", -1), ("String", "")])
def test_a_bag_in_which_no_mark_begins_an_episode_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, value: Any
) -> None:
    for name, data in (("marked", {"Bool": True, "Int64": 1, "String": "pick"}[kind]), ("unmarked", value)):
        write_recording(tmp_path / "bags" / name, sorted([*drive(2.0), marker(EPOCH_NS + 5 * MS, kind, data)]))
    assert convert(tmp_path, tmp_path / "bags", demonstrations={"episodes": {"topic": "/episode"}}) == 0
    told = capsys.readouterr()
    assert "episodes  1, 1 left out" in told.out
    assert "unmarked: no message on /episode begins an episode: all are false, negative or empty" in told.err


def test_each_empty_message_begins_an_episode(tmp_path: Path) -> None:
    marks = [marker(EPOCH_NS + at * S, "Empty", None) for at in (1, 2)]
    found, numbers = record(tmp_path, drive(3.0) + marks, episodes={"topic": "/episode"})
    assert names(numbers) == ["bag#1", "bag#2"]
    assert found.lengths.tolist() == [19, 19]  # the tick at the mark has no message of the episode yet


def event(at_ns: int, service: str, kind: int, number: int) -> Sent:
    """Return a service event as introspection publishes it: kind, time, client, number of the call, no content."""
    content = b"\0\1\0\0" + struct.pack("<B3xiI16s4xqII", kind, 1, 2, b"c" * 16, number, 0, 0)
    return Sent(at_ns, f"{service}/_service_event", "std_srvs/srv/Trigger_Event", content)


def test_calls_of_services_mark_episodes(tmp_path: Path) -> None:
    """Each call has several events, of which the first counts."""
    calls = [("/start", 500, 1), ("/stop", 1000, 1), ("/start", 2000, 2), ("/stop", 2500, 2)]
    events = [
        event(EPOCH_NS + (at + 30 * kind) * MS, service, kind, number)
        for service, at, number in calls
        for kind in range(4)
    ]
    found, numbers = record(tmp_path, drive(3.0) + events, episodes={"start": "/start", "stop": "/stop"})
    assert names(numbers) == ["bag#1", "bag#2"]
    assert [found.observation[one.start, 0] for one in found.episodes()] == pytest.approx([0.55, 2.05], abs=1e-6)
    assert found.lengths.tolist() == [9, 9]


def test_pauses_of_the_commands_separate_episodes(tmp_path: Path) -> None:
    sent = [one for one in drive(6.0) if one.topic != "/commands" or not 2 * S < one.at_ns - EPOCH_NS < 4 * S]
    found, numbers = record(tmp_path, sent, episodes={"gap_s": 1.0})
    assert names(numbers) == ["bag#1", "bag#2"]
    starts = [found.observation[one.start, 0] for one in found.episodes()]
    assert starts == pytest.approx([0.0, 3.8], abs=0.011)  # up to five periods before the first command
    assert found.action[found.episodes()[1].start, 0] == pytest.approx(1 + 4.03, abs=1e-6)
    assert numbers["bags"][0]["left_out"] == []


def test_without_pauses_an_episode_in_which_the_operator_paused_is_left_out(tmp_path: Path) -> None:
    sent = [one for one in drive(4.0) if one.topic != "/commands" or not 2 * S < one.at_ns - EPOCH_NS < 3 * S]
    write_recording(tmp_path / "bags" / "paused", sent)
    write_recording(tmp_path / "bags" / "good", drive(1.0))
    numbers = tmp_path / "numbers.json"
    assert convert(tmp_path, tmp_path / "bags", options=("--json", str(numbers))) == 0
    bags = json.loads(numbers.read_text())["bags"]
    assert [len(bag["episodes"]) for bag in bags] == [1, 0]
    assert bags[1]["left_out"][0]["name"] == "paused"
    assert "no command within 0.25 s of an observation 2.00 s after its start" in bags[1]["left_out"][0]["reason"]


def test_waits_are_cut_off(tmp_path: Path) -> None:
    """The operator waits 1 s at the beginning, moves for 1 s, and waits 2 s at the end."""
    sent = [joints(EPOCH_NS + k * 10 * MS, (0.01 * k, 0.0)) for k in range(400)]
    places = [min(max(0.05 * k - 1.0, 0.0), 1.0) for k in range(80)]
    sent += [command(EPOCH_NS + (50 * k + 30) * MS, (place, 0.0)) for k, place in enumerate(places)]
    found, numbers = record(tmp_path, sent, trim={"until": "first_motion", "after_s": 0.5})
    assert found.action[0, 0] == pytest.approx(0.05)
    assert found.action[-1, 0] == 1.0
    moving = int(np.count_nonzero((found.action[:, 0] > 0) & (found.action[:, 0] < 1)))
    assert (moving, len(found.action)) == (19, 19 + 1 + 10)
    assert numbers["bags"][0]["episodes"][0]["cut_s"] == pytest.approx([1.05, 1.4], abs=0.051)


def test_waiting_for_the_first_command_is_cut_off(tmp_path: Path) -> None:
    sent = [one for one in drive(3.0) if one.topic != "/commands" or one.at_ns - EPOCH_NS > S]
    found, _ = record(tmp_path, sent)
    assert found.observation[0, 0] == pytest.approx(0.8, abs=0.011)


def test_a_command_that_is_sent_only_where_it_changes_stays_in_force(tmp_path: Path) -> None:
    sent = [one for one in drive(2.0) if one.topic != "/commands"]
    sent += [command(EPOCH_NS + at * MS, (value, 0.0)) for at, value in ((20, 0.0), (1020, 1.0), (1520, 0.5))]
    found, _ = record(tmp_path, sent, commands={"command": {"when_silent": "keep"}})
    assert found.action[:, 0].tolist() == [0.0] * 20 + [1.0] * 10 + [0.5] * 10


def paused(*pauses_s: tuple[float, float], topic: str = "/joint_states", seconds: float = 5.0) -> list[Sent]:
    """Return a drive in which a topic is silent during some intervals, in seconds."""
    silent = [(EPOCH_NS + round(begin * S), EPOCH_NS + round(end * S)) for begin, end in pauses_s]
    sent = drive(seconds)
    return [one for one in sent if one.topic != topic or not any(a < one.at_ns < b for a, b in silent)]


def test_an_interrupted_episode_is_divided_where_the_robot_file_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Parts that are long enough are kept; each of their ticks is a pair, and messages are counted once."""
    sent = paused((2.0, 2.6), (3.0, 3.5))
    found, numbers = record(tmp_path, sent, when_interrupted="divide")
    bag = numbers["bags"][0]
    assert names(numbers) == ["bag:1", "bag:3"]
    starts = [found.observation[one.start, 0] for one in found.episodes()]
    ends = [found.observation[one.stop - 1, 0] for one in found.episodes()]
    assert starts == pytest.approx([0.0, 3.5], abs=0.011)
    assert ends == pytest.approx([2.0, 4.95], abs=0.011)
    assert bag["left_out"][0]["name"] == "bag:2"
    told = bag["left_out"][0]["reason"]
    assert told.startswith(
        "it has 12 pairs (0.60 s); at least shortest_s, 1 s, is needed; before it: joints (max_age_s"
    )
    assert "2.20 s after its start, 0.40 s in all" in told
    first, last = bag["episodes"]
    assert (first["interrupted"], first["cut_s"][1], last["cut_s"][0]) == ("", 0.0, 0.0)
    assert last["interrupted"].startswith("joints (max_age_s 0.2) had no new value 3.20 s after its start, 0.30 s in")
    assert last["begin_s"] == pytest.approx(EPOCH_NS * 1e-9 + 3.5, abs=0.051)
    total = numbers["alignment"]["inputs"]["joints"]["messages"]
    assert total == sum(one.topic == "/joint_states" for one in sent)
    assert "bag:3: joints (max_age_s 0.2) had no new value" in capsys.readouterr().err


def test_a_part_of_an_interrupted_episode_may_be_as_short_as_the_robot_file_says(tmp_path: Path) -> None:
    sent = paused((2.0, 2.6), (3.0, 3.5))
    _, numbers = record(tmp_path, sent, when_interrupted="divide", shortest_s=0.3)
    assert names(numbers) == ["bag:1", "bag:2", "bag:3"]


def test_an_interruption_at_the_end_is_told(tmp_path: Path) -> None:
    _, numbers = record(tmp_path, paused((4.0, 6.0)), when_interrupted="divide")
    assert names(numbers) == ["bag:1"]
    (rest,) = numbers["bags"][0]["left_out"]
    assert rest["name"] == "bag:2"
    assert rest["reason"].startswith(
        "the rest of the episode has no pair: joints (max_age_s 0.2) had no new value 4.20"
    )


def test_an_interruption_at_the_first_motion_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sent = [one for one in paused((0.2, 1.2)) if one.topic != "/commands"]
    sent += [command(EPOCH_NS + k * 50 * MS + 30 * MS, (max(0.0, k - 14.0) / 40, 0.0)) for k in range(99)]
    rules: dict[str, Any] = {"when_interrupted": "divide", "trim": {"until": "first_motion"}}
    _, numbers = record(tmp_path, sent, **rules)
    (found,) = numbers["bags"][0]["episodes"]
    assert (found["name"], found["interrupted"][:38]) == ("bag:1", "joints (max_age_s 0.2) had no new valu")
    assert "divided; interrupted before\n  bag:1: joints" in capsys.readouterr().err


def test_each_reason_of_an_interruption_is_told(tmp_path: Path) -> None:
    """The joints are silent, then the operator."""
    sent = [one for one in paused((2.0, 3.0)) if one.topic != "/commands" or not 3 * S < one.at_ns - EPOCH_NS < 4 * S]
    _, numbers = record(tmp_path, sent, when_interrupted="divide", shortest_s=0.5)
    told = numbers["bags"][0]["episodes"][1]["interrupted"]
    assert told.startswith(
        "joints (max_age_s 0.2) had no new value 2.20 s after its start, 0.80 s in all; then no comm"
    )
    assert "within 0.25 s of an observation 3.00 s after its start, 0.80 s in all" in told


def test_advice_to_divide_is_for_files_that_do_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the first motion on, there is no pair."""
    sent = [one for one in paused((2.0, 6.0)) if one.topic != "/commands"]
    sent += [command(EPOCH_NS + k * 50 * MS + 30 * MS, (max(0.0, k - 50.0) / 40, 0.0)) for k in range(99)]
    write_recording(tmp_path / "bag", sorted(sent, key=lambda one: one.at_ns))
    rules: dict[str, Any] = {"when_interrupted": "divide", "trim": {"until": "first_motion"}}
    assert convert(tmp_path, tmp_path / "bag", demonstrations=rules) != 0
    told = capsys.readouterr().err
    assert "joints (max_age_s 0.2) had no new value 0.00 s after its start" in told
    assert "`when_interrupted: divide`" not in told


def test_by_default_an_interrupted_episode_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_recording(tmp_path / "bag", paused((2.0, 2.6)))
    assert convert(tmp_path, tmp_path / "bag") != 0
    assert "`when_interrupted: divide` keeps the parts before and after" in capsys.readouterr().err


def test_a_pause_of_the_operator_divides_too(tmp_path: Path) -> None:
    _, numbers = record(tmp_path, paused((2.0, 3.0), topic="/commands"), when_interrupted="divide")
    assert names(numbers) == ["bag:1", "bag:2"]
    assert "no command within 0.25 s" in numbers["bags"][0]["episodes"][1]["interrupted"]


def two_sensors(late_s: float) -> tuple[list[Sent], dict[str, Any]]:
    """Return a drive with a second sensor whose stamps lag between 2 and 2.5 s, and the inputs of the robot file."""
    sent = drive(4.0)
    for one in list(sent):
        if one.topic == "/joint_states":
            after_s = (one.at_ns - EPOCH_NS) * 1e-9
            lag_ns = round((late_s if 2.0 <= after_s < 2.5 else 0.005) * S)
            other = joints(one.at_ns, (after_s, 0.0), stamp_ns=one.at_ns - lag_ns, names=("wrist", "elbow"))
            sent.append(other._replace(topic="/wrist"))
    entries = {"wrist": {"joint": "wrist", "interface": "position", "unit": "rad"}}
    given = document()["inputs"]
    return sent, given | {"wrist": given["joints"] | {"topic": "/wrist", "entries": entries, "max_age_s": 0.3}}


@pytest.mark.parametrize("by_columns", [True, False])
def test_the_largest_spread_is_that_of_ticks_that_are_too_far_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, by_columns: bool
) -> None:
    """Neither that of ticks before the first message, nor that of ticks with an old input."""
    if not by_columns:
        monkeypatch.setattr("vdd_ros.recordings.bag_conversion.why_not_by_columns", lambda _: "a test says so")
    sent, inputs = two_sensors(0.15)
    sent.sort(key=lambda one: one.at_ns)
    late = [one for one in sent if one.topic != "/wrist" or one.at_ns - EPOCH_NS > S]
    write_recording(tmp_path / "late", late)
    assert convert(tmp_path, tmp_path / "late", inputs=inputs, max_skew_s=0.001) != 0
    assert "at every tick with a command, at most 0.148 s" in capsys.readouterr().err
    silent = [one for one in sent if one.topic != "/wrist" or not 2.3 * S < one.at_ns - EPOCH_NS < 3 * S]
    write_recording(tmp_path / "silent", silent)
    assert convert(tmp_path, tmp_path / "silent", inputs=inputs, max_skew_s=0.06) != 0
    told = capsys.readouterr().err
    assert "2.05 s after its start, 0.45 s in all, at most 0.298 s; then wrist (max_age_s 0.3) had no new value" in told


@pytest.mark.parametrize("by_columns", [True, False])
def test_inputs_too_far_apart_interrupt_as_in_the_node(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, by_columns: bool
) -> None:
    if not by_columns:
        monkeypatch.setattr("vdd_ros.recordings.bag_conversion.why_not_by_columns", lambda _: "a test says so")
    sent, inputs = two_sensors(0.15)
    write_recording(tmp_path / "bag", sorted(sent, key=lambda one: one.at_ns))
    rules = {"when_interrupted": "divide"}
    assert convert(tmp_path, tmp_path / "bag", inputs=inputs, max_skew_s=0.06) != 0
    told = capsys.readouterr().err
    assert "are further apart than max_skew_s, 0.06 s, 2.05 s after its start, 0.45 s in all, at most 0.148 s" in told
    assert "the stamps of joints and wrist" in told
    numbers = tmp_path / "numbers.json"
    options = ("--json", str(numbers))
    assert (
        convert(tmp_path, tmp_path / "bag", options=options, inputs=inputs, max_skew_s=0.06, demonstrations=rules) == 0
    )
    assert names(json.loads(numbers.read_text())) == ["bag:1", "bag:2"]
    spread = json.loads(numbers.read_text())["alignment"]["spread_s"]["max"]
    assert spread < 0.06


def test_inputs_that_are_always_too_far_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sent, inputs = two_sensors(0.15)
    write_recording(tmp_path / "bag", sorted(sent, key=lambda one: one.at_ns))
    assert convert(tmp_path, tmp_path / "bag", inputs=inputs, max_skew_s=0.001) != 0
    assert (
        "the stamps of joints and wrist are further apart than max_skew_s, 0.001 s, at every tick with a command, "
        "at most 0.148 s"
    ) in capsys.readouterr().err


def test_what_an_episode_waited_for_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sent = [one for one in drive(5.0) if one.topic != "/commands"]
    sent += [command(EPOCH_NS + at * MS, (value, 0.0)) for at, value in ((4000, 0.0), (4500, 1.0))]
    _, numbers = record(tmp_path, sent, commands={"command": {"when_silent": "keep"}})
    assert numbers["bags"][0]["episodes"][0]["awaited"] == "the command"
    told = capsys.readouterr()
    assert "cut off   4.0 s before, 0.0 s behind; waited for the first message of the command (1 episode)" in told.out
    assert "They waited for the first message of the command (1 episode)" in told.err


def test_the_median_of_an_even_number_of_lengths_is_between_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seconds in (("long", 3.0), ("short", 2.0)):
        write_recording(tmp_path / "bags" / name, drive(seconds))
    assert convert(tmp_path, tmp_path / "bags") == 0
    assert "steps     40 to 60, median 50" in capsys.readouterr().out


def test_short_episodes_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seconds in (("long", 2.0), ("short", 0.5)):
        write_recording(tmp_path / "bags" / name, drive(seconds))
    assert convert(tmp_path, tmp_path / "bags", demonstrations={"shortest_s": 1.0}) == 0
    assert len(DemonstrationSet.load(tmp_path / "D").lengths) == 1
    assert "short: it has 10 pairs (0.50 s); at least shortest_s, 1 s, is needed" in capsys.readouterr().err
