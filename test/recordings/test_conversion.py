"""A conversion is complete or leaves nothing; an interrupted one can be resumed."""

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vdd_ros.data.demonstrations import DemonstrationSet

pytest.importorskip("rosbags")

from recorded_arm import convert, drive, write_recording

from vdd_ros.data import joining
from vdd_ros.documents import write_json
from vdd_ros.errors import ConfigurationError
from vdd_ros.recordings import bag_conversion, conversion
from vdd_ros.recordings.bag_list import NamedBag
from vdd_ros.recordings.record import RECORD_NAME


@pytest.fixture
def bags(tmp_path: Path) -> Path:
    """Three recordings."""
    for number in range(3):
        write_recording(tmp_path / "bags" / f"ep_{number}", drive(1.0 + number, shift=0.1 * number))
    return tmp_path / "bags"


class Counting:
    """Converts bags, and counts them; fails at one of them.

    Args:
        fails_at: Number of the bag, from 0; None for none.
        error: What it raises there.
    """

    def __init__(self, fails_at: int | None = None, error: BaseException | None = None) -> None:
        self.names: list[str] = []
        self._fails_at, self._error = fails_at, error

    def __call__(self, bag: NamedBag, *others: Any) -> Any:
        if len(self.names) == self._fails_at and self._error is not None:
            raise self._error
        self.names.append(bag.name)
        return bag_conversion.convert_bag(bag, *others)


def test_an_interrupted_conversion_goes_on(
    tmp_path: Path, bags: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(tmp_path, bags) == 0
    whole = DemonstrationSet.load(tmp_path / "D").sha256
    (tmp_path / "D").rename(tmp_path / "whole")
    monkeypatch.setattr(conversion, "convert_bag", Counting(2, KeyboardInterrupt()))
    assert convert(tmp_path, bags) == 130
    assert "2 of 3 bags are finished; --resume continues after them" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "D").iterdir()] == [conversion.PARTS]
    counting = Counting()
    monkeypatch.setattr(conversion, "convert_bag", counting)
    assert convert(tmp_path, bags, options=("--resume",)) == 0
    assert counting.names == ["ep_2"]
    assert DemonstrationSet.load(tmp_path / "D").sha256 == whole
    assert sorted(path.name for path in (tmp_path / "D").iterdir()) == ["demonstrations.npz", "recordings.json"]


def test_an_interrupted_replacement_goes_on(
    tmp_path: Path, bags: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(tmp_path, bags / "ep_0") == 0
    monkeypatch.setattr(conversion, "convert_bag", Counting(2, KeyboardInterrupt()))
    assert convert(tmp_path, bags, options=("--force",)) == 130
    assert "--resume continues after them" in capsys.readouterr().err
    assert len(DemonstrationSet.load(tmp_path / "D").lengths) == 1
    counting = Counting()
    monkeypatch.setattr(conversion, "convert_bag", counting)
    assert convert(tmp_path, bags, options=("--resume",)) == 0
    assert counting.names == ["ep_2"]
    assert len(DemonstrationSet.load(tmp_path / "D").lengths) == 3
    assert convert(tmp_path, bags, options=("--resume",)) == 2


def test_a_bag_that_was_interrupted_in_its_middle_is_converted_anew(
    tmp_path: Path, bags: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(bag: NamedBag, form: Any, robot: Any, keep: Any, names: Any) -> Any:
        def once(episode: Any) -> None:
            keep(episode)
            raise KeyboardInterrupt

        return bag_conversion.convert_bag(bag, form, robot, keep if bag.name == "ep_0" else once, names)

    monkeypatch.setattr(conversion, "convert_bag", stop)
    assert convert(tmp_path, bags) == 130
    monkeypatch.undo()
    assert convert(tmp_path, bags, options=("--resume",)) == 0
    assert DemonstrationSet.load(tmp_path / "D").lengths.tolist() == [20, 40, 60]


def test_a_bag_that_changed_since_is_converted_anew(
    tmp_path: Path, bags: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "convert_bag", Counting(2, KeyboardInterrupt()))
    assert convert(tmp_path, bags) == 130
    for file in (bags / "ep_0").iterdir():
        file.unlink()
    (bags / "ep_0").rmdir()
    write_recording(bags / "ep_0", drive(2.5))
    counting = Counting()
    monkeypatch.setattr(conversion, "convert_bag", counting)
    assert convert(tmp_path, bags, options=("--resume",)) == 0
    assert counting.names == ["ep_0", "ep_2"]
    assert DemonstrationSet.load(tmp_path / "D").lengths.tolist() == [50, 40, 60]


def test_a_conversion_with_another_robot_file_does_not_go_on(
    tmp_path: Path, bags: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(conversion, "convert_bag", Counting(1, KeyboardInterrupt()))
    assert convert(tmp_path, bags) == 130
    assert convert(tmp_path, bags, options=("--resume",), demonstrations={"shortest_s": 0.5}) == 2
    assert "another robot file, rate or version" in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_nothing(
    tmp_path: Path, bags: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    full = OSError(number, "No space left on device")
    monkeypatch.setattr(conversion, "convert_bag", Counting(2, full))
    assert convert(tmp_path, bags) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert not (tmp_path / "D").exists()


def test_a_disk_without_room_for_the_record_has_no_set_either(
    tmp_path: Path, bags: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(path: Path, value: object) -> None:
        if path.name == RECORD_NAME:
            full = OSError(errno.EFBIG, "File too large")
            raise ConfigurationError(f"{path} could not be written: {full.strerror}") from full
        write_json(path, value)

    monkeypatch.setattr(conversion, "write_json", write)
    assert convert(tmp_path, bags) == 2
    assert "File too large" in capsys.readouterr().err
    assert not list((tmp_path / "D").glob("*"))


def test_a_damaged_bag_is_an_error_that_names_it(
    tmp_path: Path, bags: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = next((bags / "ep_1").glob("*.mcap"))
    file.write_bytes(file.read_bytes()[:-2000])
    assert convert(tmp_path, bags) == 2
    message = capsys.readouterr().err
    assert "ep_1 is not a whole bag" in message
    assert "vdd bag mend" in message
    assert not (tmp_path / "D" / "demonstrations.npz").exists()


def test_fewer_messages_than_the_bag_counts_are_an_error(
    tmp_path: Path, bags: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = bags / "ep_1" / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("message_count: 40", "message_count: 41"))
    assert convert(tmp_path, bags) == 2
    assert "of 41 messages that are counted on /commands 40 are found" in capsys.readouterr().err


def test_other_demonstrations_are_replaced_only_by_force(
    tmp_path: Path, bags: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(tmp_path, bags / "ep_0") == 0
    assert convert(tmp_path, bags) == 2
    assert "exists already; replace it with --force" in capsys.readouterr().err
    assert convert(tmp_path, bags, options=("--force",)) == 0
    assert len(DemonstrationSet.load(tmp_path / "D").lengths) == 3


def test_large_sets_are_joined_in_files(tmp_path: Path, bags: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert convert(tmp_path, bags) == 0
    before = DemonstrationSet.load(tmp_path / "D")
    monkeypatch.setattr(joining, "IN_MEMORY", 100)
    assert convert(tmp_path, bags, options=("--force",)) == 0
    after = DemonstrationSet.load(tmp_path / "D")
    assert after.sha256 == before.sha256
    assert np.array_equal(after.lengths, before.lengths)


def test_a_conversion_that_was_killed_before_it_began_goes_on(tmp_path: Path, bags: Path) -> None:
    (tmp_path / "D" / conversion.PARTS).mkdir(parents=True)
    assert convert(tmp_path, bags, options=("--resume",)) == 0
    assert DemonstrationSet.load(tmp_path / "D").lengths.tolist() == [20, 40, 60]


def test_a_disk_without_room_for_the_first_file_keeps_nothing(
    tmp_path: Path, bags: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(path: Path, value: object) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        raise ConfigurationError(f"{path} could not be written: No space left on device")

    monkeypatch.setattr(conversion, "write_json", write)
    assert convert(tmp_path, bags) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert not (tmp_path / "D").exists()
