"""`vdd demos convert`: into LeRobot and back, and refusals."""

from pathlib import Path

import pytest
from image_sets import made

from vdd_ros.cli.main import main
from vdd_ros.data.demonstrations import DemonstrationSet

pytest.importorskip("pyarrow")


def convert(*words: object) -> int:
    return main(["demos", "convert", *map(str, words)])


def test_a_set_goes_to_lerobot_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made().save(tmp_path / "D")
    assert convert(tmp_path / "D", "--to", "lerobot", "--out", tmp_path / "L") == 0
    out = capsys.readouterr().out
    assert "2 numbers, 1 arrays" in out
    assert "float32" in out
    assert convert(tmp_path / "L", "--to", "npz", "--out", tmp_path / "N") == 0
    assert DemonstrationSet.load(tmp_path / "N").sha256 == made().sha256


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["D", "--to", "robomimic", "--out", "L"], "is read-only; writable formats: lerobot, npz"),
        (["D", "--to", "lerobots", "--out", "L"], "unknown demonstration format 'lerobots'"),
        (["D", "--to", "lerobot", "--out", "D"], "is not empty; name another folder, or replace it: --force"),
        (["D", "--to", "lerobot", "--out", "D", "--force"], "holds the source demonstrations"),
        (["D", "--to", "lerobot", "--out", "X", "--force"], "holds anything other than a data set that vdd_ros wrote"),
        (["nowhere", "--to", "lerobot", "--out", "L"], "no demonstrations at"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    made().save(Path("D"))
    Path("X").mkdir()
    Path("X/mine").write_text("mine")
    assert convert(*words) == 2
    assert message in capsys.readouterr().err
    assert Path("X/mine").read_text() == "mine"
    assert not Path("L").exists()


def test_what_was_written_before_is_replaced_with_force(tmp_path: Path) -> None:
    made().save(tmp_path / "D")
    convert(tmp_path / "D", "--to", "lerobot", "--out", tmp_path / "L")
    made(30.0).save(tmp_path / "E")
    assert convert(tmp_path / "E", "--to", "lerobot", "--out", tmp_path / "L") == 2
    assert convert(tmp_path / "E", "--to", "lerobot", "--out", tmp_path / "L", "--force") == 0
    assert DemonstrationSet.load(tmp_path / "L").header.rate_hz == 30
