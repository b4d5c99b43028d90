"""`vdd demos`: its files and output, and the files that it refuses to replace."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vdd_ros.cli.main import main
from vdd_ros.data.demonstrations import FILE_NAME, DemonstrationSet
from vdd_ros.evaluation import demonstrations
from vdd_ros.tasks import get_task

pytest.importorskip("matplotlib")

from matplotlib.image import imread


def make(folder: Path, *options: str) -> int:
    return main(["demos", "avoiding", "--out", str(folder), "--episodes", "5", *options])


def test_it_writes_the_set_the_figure_and_the_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "new" / "report.json"
    assert make(tmp_path / "D", "--seed", "4", "--json", str(report)) == 0
    demonstrations = DemonstrationSet.load(tmp_path / "D")
    assert demonstrations.sha256 == get_task("avoiding").demonstrate(5, 4, lambda: None).sha256
    assert imread(tmp_path / "D" / "demonstrations.png").ndim == 3
    assert sorted(path.name for path in (tmp_path / "D").iterdir()) == ["demonstrations.npz", "demonstrations.png"]

    numbers = json.loads(report.read_text())
    lengths = demonstrations.lengths
    assert numbers["episodes"] == numbers["replay_successes"] == 5
    assert numbers["pairs"] == len(demonstrations.action)
    assert numbers["length"] == {"min": lengths.min(), "median": np.median(lengths), "max": lengths.max()}
    assert numbers["modes"] == {str(mode): 1 for mode in range(5)}
    assert (numbers["seed"], numbers["sha256"]) == (4, demonstrations.sha256)
    printed = capsys.readouterr().out
    assert "5, 5 successful in the replay" in printed
    assert "5 of 24, 1 each" in printed
    assert str(len(demonstrations.action)) in printed


def test_the_usual_number_is_the_tasks(tmp_path: Path) -> None:
    assert main(["demos", "avoiding", "--out", str(tmp_path)]) == 0
    assert len(DemonstrationSet.load(tmp_path).lengths) == 96


def test_workers_make_the_same_set(tmp_path: Path) -> None:
    argv = ["demos", "avoiding", "--episodes", "9", "--out"]
    assert main([*argv, str(tmp_path / "A"), "--json", str(tmp_path / "A.json")]) == 0
    assert main([*argv, str(tmp_path / "B"), "--json", str(tmp_path / "B.json"), "--jobs", "2"]) == 0
    assert (tmp_path / "A.json").read_text() == (tmp_path / "B.json").read_text()
    for name in (FILE_NAME, "demonstrations.png"):
        assert (tmp_path / "A" / name).read_bytes() == (tmp_path / "B" / name).read_bytes()


def test_the_same_set_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make(tmp_path) == 0
    before = (tmp_path / FILE_NAME).stat()
    (tmp_path / "demonstrations.png").unlink()
    assert make(tmp_path) == 0
    assert "already holds these demonstrations" in capsys.readouterr().out
    after = (tmp_path / FILE_NAME).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert (tmp_path / "demonstrations.png").exists()


def test_another_set_is_replaced_only_by_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make(tmp_path) == 0
    content = (tmp_path / FILE_NAME).read_bytes()
    assert make(tmp_path, "--seed", "1") == 2
    assert "5 episodes of 'avoiding', seed 0; replace them with --force" in capsys.readouterr().err
    assert (tmp_path / FILE_NAME).read_bytes() == content
    assert make(tmp_path, "--seed", "1", "--force") == 0
    assert DemonstrationSet.load(tmp_path).header.seed == 1


def test_a_damaged_set_is_replaced_only_by_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"damaged")
    assert make(tmp_path) == 2
    assert "--force replaces it" in capsys.readouterr().err
    assert (tmp_path / FILE_NAME).read_bytes() == b"damaged"
    assert make(tmp_path, "--force") == 0
    assert len(DemonstrationSet.load(tmp_path).lengths) == 5


def test_demonstrations_that_fail_when_replayed_are_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def twist(*arguments: object) -> DemonstrationSet:
        good = get_task("avoiding").demonstrate(5, 0, lambda: None)
        action = good.action.copy()
        action[: good.lengths[0]] = 0.0
        return DemonstrationSet(good.header, good.observation, action, good.lengths, good.modes)

    monkeypatch.setattr(demonstrations, "_demonstrate", twist)
    assert make(tmp_path / "D") == 2
    assert "1 of 5 demonstrations fail or take another mode in the replay, first number 0" in (capsys.readouterr().err)
    assert not (tmp_path / "D").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["avoiding", "--episodes", "0"], "--episodes is 0"),
        (["avoiding", "--seed", "-1"], "--seed is -1"),
        (["avoiding", "--jobs", "0"], "--jobs is 0"),
    ],
)
def test_wrong_arguments_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["demos", *arguments, "--out", str(tmp_path / "D")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "D").exists()


def test_the_task_that_may_be_meant_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["demos", "avoding", "--out", "D"])
    assert "invalid choice: 'avoding', did you mean 'avoiding'?" in capsys.readouterr().err


def test_an_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demonstrations, "_demonstrate", interrupted)
    assert make(tmp_path / "D") == 130
    assert not (tmp_path / "D").exists()


HOLDING = """
import sys
from vdd_ros.evaluation import demonstrations
from vdd_ros.cli.main import main

def wait(*_):
    print("ready", flush=True)
    sys.stdin.read()

demonstrations._demonstrate = wait
main(["demos", "avoiding", "--out", sys.argv[1]])
"""


def test_two_in_one_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second is refused at once, with the process that holds the lock."""
    folder = tmp_path / "D"
    command = [sys.executable, "-c", HOLDING, str(folder)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "ready\n"
        assert make(folder) == 2
        assert f"is in use by process {first.pid}" in capsys.readouterr().err
        first.kill()
    assert make(folder) == 0
