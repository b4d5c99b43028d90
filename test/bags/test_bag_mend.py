"""`vdd bag mend`: remains of a killed recorder become a whole bag, and unrepairable parts are reported."""

import json
from pathlib import Path

import pytest
from bag_files import text_message
from rosbags.rosbag2 import Reader
from sequence_bags import LATCHED, sequences_of, write_sequence

from vdd_ros.bags.repair import mend
from vdd_ros.bags.writer import BagWriter
from vdd_ros.cli.main import main


def killed(tmp_path: Path, numbers: list[int], tail: bytes = b"\x06half a record") -> Path:
    """Return the folder that a writer leaves which is killed after a flush."""
    writer = BagWriter(tmp_path / "bag")
    writer.add_topic("/student/policy_info", "std_msgs/msg/String", [LATCHED])
    writer.write("/student/policy_info", 7, text_message("hello"))
    write_sequence(writer, numbers)
    writer.flush()
    writer._storage.bio.close()
    with writer._storage.path.open("ab") as file:
        file.write(tail)
    return tmp_path / "bag.partial"


@pytest.mark.parametrize("name", ["bag.partial", "bag", "bag.partial/bag/bag.mcap"])
def test_remains_become_a_whole_bag(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Named as the folder that was left, as the bag that was wanted, or as the file itself."""
    partial = killed(tmp_path, list(range(30)))
    assert main(["bag", "mend", str(tmp_path / name)]) == 0
    output = tmp_path / ("bag" if not name.endswith(".mcap") else "bag.partial/bag/bag.mended")
    assert capsys.readouterr().out.startswith(f"{output}: 31 messages")
    assert sequences_of(output) == list(range(30))
    with Reader(output) as reader:
        profiles = {c.topic: c.ext.offered_qos_profiles for c in reader.connections}  # type: ignore[union-attr]
    assert profiles["/student/policy_info"] == [LATCHED]
    assert partial.exists()
    assert not list(tmp_path.rglob("*.mending"))


def test_gaps_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    killed(tmp_path, [0, 1, 4])
    numbers = tmp_path / "numbers.json"
    options = ["--out", str(tmp_path / "other"), "--json", str(numbers)]
    assert main(["bag", "mend", str(tmp_path / "bag.partial"), *options]) == 1
    assert json.loads(numbers.read_text())["output"] == str(tmp_path / "other")
    assert "2 of 5 records missing" in capsys.readouterr().err
    assert sequences_of(tmp_path / "other") == [0, 1, 4]


def test_a_bag_that_is_being_written_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writer = BagWriter(tmp_path / "bag")
    write_sequence(writer, [0, 1])
    writer.flush()
    assert main(["bag", "mend", str(tmp_path / "bag.partial")]) == 2
    assert "is being written" in capsys.readouterr().err
    writer.close()
    assert sequences_of(tmp_path / "bag") == [0, 1]


def test_unmendable_bags_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A whole bag, a folder without a file, a bag that is there already, garbage."""
    writer = BagWriter(tmp_path / "whole")
    writer.close()
    (tmp_path / "empty").mkdir()
    (tmp_path / "garbage.mcap").write_bytes(b"garbage")
    partial = killed(tmp_path, [0])
    for path, options, message in (
        (tmp_path / "whole", [], "nothing to mend"),
        (tmp_path / "empty", [], "holds no file of a bag"),
        (tmp_path / "absent", [], "does not exist"),
        (tmp_path / "garbage.mcap", [], "neither an MCAP file nor a rosbag2 database"),
        (partial, ["--out", str(tmp_path / "whole")], "exists already"),
    ):
        assert main(["bag", "mend", str(path), *options]) == 2
        assert message in capsys.readouterr().err


def test_a_disk_too_full_for_the_whole_bag_leaves_the_source_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    partial = killed(tmp_path, [0, 1, 2])
    before = (partial / "bag" / "bag.mcap").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rosbags.rosbag2.Writer.write", full)
    assert main(["bag", "mend", str(partial)]) == 2
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert "is unchanged" in said
    assert (partial / "bag" / "bag.mcap").read_bytes() == before
    assert not (tmp_path / "bag.mending").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, MemoryError])
def test_a_try_that_is_interrupted_leaves_nothing_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    partial = killed(tmp_path, [0, 1, 2])

    def interrupted(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("rosbags.rosbag2.Writer.write", interrupted)
        with pytest.raises(error):
            mend(partial)
    assert not (tmp_path / "bag.mending").exists()
    assert mend(partial).replaced is None
    assert sequences_of(tmp_path / "bag") == [0, 1, 2]


def test_remains_of_a_killed_attempt_are_replaced_with_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    partial = killed(tmp_path, [0, 1, 2])
    writer = BagWriter(tmp_path / "bag", tmp_path / "bag.mending")
    write_sequence(writer, [0])
    assert main(["bag", "mend", str(partial)]) == 2
    assert f"another process is repairing into {tmp_path / 'bag.mending'}" in capsys.readouterr().err
    writer._storage.bio.close()  # as its end would
    assert main(["bag", "mend", str(partial)]) == 0
    assert "bag.mending, left by an earlier attempt, was replaced" in capsys.readouterr().err
    assert sequences_of(tmp_path / "bag") == [0, 1, 2]
    assert not (tmp_path / "bag.mending").exists()
