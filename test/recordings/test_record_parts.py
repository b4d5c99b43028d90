"""`vdd demos split` of demonstrations from bags: each half keeps the record of its own episodes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags")

from recorded_arm import EPOCH_NS, convert, drive, marker, write_recording

from vdd_ros.cli.main import main
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.recordings.record import ConversionRecord, read_record
from vdd_ros.recordings.record_parts import record_of

SECOND = 1_000_000_000
RULES: dict[str, Any] = {"demonstrations": {"episodes": {"topic": "/episode"}}}


@pytest.fixture
def converted(tmp_path: Path) -> Path:
    """Return demonstrations of two bags with two episodes each, of 1 s and 0.6 s."""
    for bag in range(2):
        begin = EPOCH_NS + 10 * bag * SECOND
        marks = [marker(begin + t * SECOND // 10, "Bool", t in (0, 12)) for t in (0, 10, 12, 18)]
        sent = sorted([*drive(2.0, begin, shift=0.1 * bag), *marks], key=lambda one: one.at_ns)
        write_recording(tmp_path / "bags" / f"ep_{bag}", sent)
    assert convert(tmp_path, tmp_path / "bags", **RULES) == 0
    return tmp_path / "D"


def split(demos: Path, out: Path, *more: str) -> int:
    return main(["demos", "split", str(demos), "--hold-out", "1", "--out", str(out), *more])


def test_each_half_keeps_the_record_of_its_episodes(
    tmp_path: Path, converted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert split(converted, tmp_path / "S", "--json", str(tmp_path / "split.json")) == 0
    numbers = json.loads((tmp_path / "split.json").read_text())
    whole = read_record(converted / "recordings.json")
    names = [episode.name for episode in whole.episodes]
    assert len(names) == 4
    for half in ("train", "held_out"):
        found = DemonstrationSet.load(tmp_path / "S" / half)
        record, remark = record_of(found)
        assert isinstance(record, ConversionRecord), remark
        assert [episode.name for episode in record.episodes] == [names[number] for number in numbers[half]]
        assert [episode.pairs for episode in record.episodes] == found.lengths.tolist()
        begins = [whole.episodes[number].begin_s for number in numbers[half]]
        assert np.array_equal([episode.begin_s for episode in record.episodes], begins)
        assert (record.robot, record.rate_hz, len(record.bags)) == (whole.robot, whole.rate_hz, 2)
        capsys.readouterr()
        assert main(["demos", "info", str(tmp_path / "S" / half)]) == 0
        assert "joints" in capsys.readouterr().out


def test_a_record_of_other_demonstrations_is_not_kept(
    tmp_path: Path, converted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert split(converted, tmp_path / "S") == 0
    assert (tmp_path / "S/train/recordings.json").exists()
    file = converted / "recordings.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"sha256": "0" * 64}))
    assert split(converted, tmp_path / "S", "--force") == 0
    assert "belongs to other demonstrations" in capsys.readouterr().err
    assert not (tmp_path / "S/train/recordings.json").exists()
    assert not (tmp_path / "S/held_out/recordings.json").exists()
