"""`vdd evaluate --video`: it writes a video, and refuses before the rollouts what would fail after them."""

import sys
from pathlib import Path

import pytest
from policy_files import write_mixture

from vdd_ros.cli.main import main
from vdd_ros.evaluation import entrant

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return write_mixture(tmp_path / "policy.onnx")


def never(*args: object, **given: object) -> None:
    raise AssertionError("the rollouts ran")


def refusal(policy: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, *options: str) -> str:
    """Return the error of a command that must not run its rollouts."""
    monkeypatch.setattr(entrant, "roll_out_seeds", never)
    assert main(["evaluate", str(policy), "--task", "avoiding", "--rollouts", "2", *options]) == 2
    return capsys.readouterr().err


def test_a_video_of_the_first_seed_is_written(policy: Path, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    file = tmp_path / "rollouts.mp4"
    options = ["--rollouts", "3", "--seeds", "1", "0", "--video", str(file), "--video-speed", "2"]
    assert main(["evaluate", str(policy), "--task", "avoiding", *options]) == 0
    with av.open(str(file)) as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(2 / 0.035, rel=1e-3)


def test_a_missing_encoder_is_noticed_before_the_rollouts(
    policy: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    said = refusal(policy, capsys, monkeypatch, "--video", str(tmp_path / "run.mp4"))
    assert "av is not installed; the extra 'video' brings it: pip install 'vdd_ros[video]'" in said


@pytest.mark.parametrize("name", ["run.avi", "run", "run.mp4.png"])
def test_another_ending_is_refused(
    policy: Path, name: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = refusal(policy, capsys, monkeypatch, "--video", str(tmp_path / name))
    assert f"{name} is to be a video; give a name that ends in .mp4" in said


@pytest.mark.parametrize("other", ["--sheet", "--figure", "--json"])
def test_a_file_is_written_once(
    policy: Path, other: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = str(tmp_path / "run.mp4")
    said = refusal(policy, capsys, monkeypatch, "--video", file, other, file)
    assert "is written by this command too" in said


def test_a_sheet_that_is_the_figure_is_refused(
    policy: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = str(tmp_path / "run.png")
    assert "is written by this command too" in refusal(policy, capsys, monkeypatch, "--sheet", file, "--figure", file)
