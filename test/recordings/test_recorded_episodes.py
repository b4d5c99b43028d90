"""What an episode is: a bag, or what lies between marks or pauses; waits are cut off, others are left out by name."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vdd_ros.data.demonstrations import DemonstrationSet

pytest.importorskip("rosbags")

from recorded_arm import EPOCH_NS, MS, Sent, command, convert, drive, joints, marker, write_recording

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


def test_short_episodes_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seconds in (("long", 2.0), ("short", 0.5)):
        write_recording(tmp_path / "bags" / name, drive(seconds))
    assert convert(tmp_path, tmp_path / "bags", demonstrations={"shortest_s": 1.0}) == 0
    assert len(DemonstrationSet.load(tmp_path / "D").lengths) == 1
    assert "short: it has 10 pairs (0.50 s), and shortest_s is 1" in capsys.readouterr().err
