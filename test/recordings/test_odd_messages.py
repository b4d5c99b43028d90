"""Messages that are damaged, dated by their receipt, or far apart; and sampling message by message."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vdd_ros.data.demonstrations import DemonstrationSet

pytest.importorskip("rosbags")

from recorded_arm import EPOCH_NS, MS, PERIOD_NS, Sent, command, convert, document, drive, joints, write_recording

from vdd_ros.bags import blocks as bag_blocks
from vdd_ros.recordings import column_sampler
from vdd_ros.recordings.record import RECORD_NAME, ConversionRecord, read_record
from vdd_ros.recordings.tick_columns import Seen

HOUR_NS = 3600 * 1_000_000_000


def converted(folder: Path, sent: list[Sent], **more: Any) -> ConversionRecord:
    write_recording(folder / "bag", sorted(sent, key=lambda one: one.at_ns))
    assert convert(folder, folder / "bag", **more) == 0
    return read_record(folder / "D" / RECORD_NAME)


@pytest.mark.parametrize("topic", ["/joint_states", "/commands"])
def test_a_damaged_message_is_refused_and_counted_even_if_it_is_the_first(tmp_path: Path, topic: str) -> None:
    sent = drive(1.0)
    place = next(place for place, one in enumerate(sent) if one.topic == topic)
    sent[place] = sent[place]._replace(content=sent[place].content[:11])
    alignment = converted(tmp_path, sent).alignment
    found = alignment.inputs["joints"] if topic == "/joint_states" else alignment.commands["command"]
    assert found.refused == 1
    assert "ends after 11 bytes" in found.refusals


def test_a_message_that_is_stamped_at_its_receipt_has_a_stamp(tmp_path: Path) -> None:
    sent = [one for one in drive(1.0) if one.topic == "/commands"]
    sent += [joints(EPOCH_NS + k * 10 * MS, (0.01 * k, 0.0), EPOCH_NS + k * 10 * MS) for k in range(100)]
    assert converted(tmp_path, sent).alignment.inputs["joints"].unstamped == 0


@pytest.mark.parametrize("again", [0, 1])
def test_messages_without_a_stamp_are_counted(tmp_path: Path, again: int) -> None:
    """Also those that arrive at the same time as another one."""
    sent = [one for one in drive(1.0) if one.topic == "/commands"]
    states = [joints(EPOCH_NS + k * 10 * MS, (0.01 * k, 0.0), 0) for k in range(100)]
    assert converted(tmp_path, sent + states * (1 + again)).alignment.inputs["joints"].unstamped == 100 * (1 + again)


def test_a_recorder_whose_clock_was_set_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Otherwise it would have millions of ticks."""
    write_recording(tmp_path / "bags" / "jump", [joints(1, (0.0, 0.0)), *drive(1.0)])
    write_recording(tmp_path / "bags" / "whole", drive(1.0))
    assert convert(tmp_path, tmp_path / "bags") == 0
    assert "jump: 472,222 hours lie between two messages" in capsys.readouterr().err


def test_a_pause_of_some_hours_is_no_jump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ticks are not all kept at once."""
    monkeypatch.setattr(column_sampler, "_TICKS", 100)
    kept, joined = [0], Seen.joined

    def counted(parts: Sequence[Seen]) -> Seen:
        kept.append(sum(map(len, parts)))
        return joined(parts)

    monkeypatch.setattr(Seen, "joined", counted)
    sent = drive(1.0) + drive(1.0, EPOCH_NS + HOUR_NS // 4)
    assert len(converted(tmp_path, sent, demonstrations={"episodes": {"gap_s": 1.0}}).episodes) == 2
    assert max(kept) <= 300  # of 18,000


def test_a_jump_leaves_out_the_whole_bag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also episodes that ended before it, in whatever block."""
    monkeypatch.setattr(bag_blocks, "MESSAGES", 40)
    sent = drive(1.0) + drive(1.0, EPOCH_NS + HOUR_NS // 10) + [joints(EPOCH_NS + 30 * HOUR_NS, (0.0, 0.0))]
    write_recording(tmp_path / "bags" / "jump", sent, "sqlite3")
    write_recording(tmp_path / "bags" / "whole", drive(1.0))
    assert convert(tmp_path, tmp_path / "bags", demonstrations={"episodes": {"gap_s": 1.0}}) == 0
    record = read_record(tmp_path / "D" / RECORD_NAME)
    assert [episode.name for episode in record.episodes] == ["whole#1"]
    assert [(one.name, "hours lie" in one.reason) for one in record.left_out] == [("jump", True)]
    assert len(DemonstrationSet.load(tmp_path / "D").lengths) == 1


def test_arrays_are_sampled_message_by_message_which_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = document()["inputs"]
    array = {"joints": ["elbow", "shoulder"], "interface": "position", "unit": "rad"}
    given["both"] = given["joints"] | {"entries": {"both": array}}
    sent = drive(1.0)
    converted(tmp_path, sent, inputs=given)
    assert "message by message: 1, since the input both is an array" in capsys.readouterr().err
    found = DemonstrationSet.load(tmp_path / "D")
    np.testing.assert_array_equal(found.arrays["both"], found.observation[:, ::-1].astype(np.float32))


def test_a_pause_without_a_pair_before_it_divides_nothing(tmp_path: Path) -> None:
    """Commands come before the first joint state, and pause; the part before is no episode."""
    early = [command(EPOCH_NS - 3 * PERIOD_NS * 20 + k * PERIOD_NS, (0.0, 0.0)) for k in range(5)]
    record = converted(tmp_path, early + drive(1.0), demonstrations={"episodes": {"gap_s": 1.0}})
    assert [episode.name for episode in record.episodes] == ["bag#1"]
    assert record.left_out == []
