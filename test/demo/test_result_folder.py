"""Demo and soak replace their own earlier result, and only once they have another."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vdd_ros.cli.main import main
from vdd_ros.demo import demo as demo_command
from vdd_ros.demo import soak as soak_command
from vdd_ros.demo.demo import Demo
from vdd_ros.errors import ProcessError

RESULT = {"report.json": '{"made_by": "vdd demo", "status": "passed"}', "latency.png": "a figure", "bag": "a bag"}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "demo_out"
    folder.mkdir()
    for name, text in RESULT.items():
        (folder / name).write_text(text)
    (folder / "notes.txt").write_text("mine")
    return folder


def everything(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()}


def arguments(tmp_path: Path, out: Path) -> list[str]:
    (tmp_path / "policy.onnx").write_text("")
    return ["demo", "--out", str(out), *(f"--{name}={tmp_path / 'policy.onnx'}" for name in ("student", "teacher"))]


@pytest.mark.parametrize("failure", [ProcessError("no node started"), KeyboardInterrupt(), MemoryError()])
def test_a_demo_that_ends_badly_keeps_the_result_before_it(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], failure: Any
) -> None:
    def fail(run: Any) -> None:
        (run.logs / "student.log").write_text("why")
        raise failure

    monkeypatch.setattr(demo_command, "execute", fail)
    for _ in range(2):  # the second does not replace it with what the first left
        with contextlib.suppress(MemoryError):
            assert main(arguments(tmp_path, out)) != 0
        assert RESULT.items() <= everything(out / ".vdd_ros.previous").items()
        assert f"the result before this one is in {out}" in capsys.readouterr().err
        assert (out / "log" / "student.log").read_text() == "why"
        assert (out / "notes.txt").read_text() == "mine"


def test_a_demo_that_ends_well_replaces_the_result_before_it(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where an attempt in between failed; what is not the demo's stays."""
    monkeypatch.setattr(demo_command, "_report", lambda *_: True)
    for failing in (True, False, False):

        def execute(_run: Any, failing: bool = failing) -> None:
            if failing:
                raise ProcessError("no node started")

        monkeypatch.setattr(demo_command, "execute", execute)
        assert main(arguments(tmp_path, out)) == (2 if failing else 0)
    found = everything(out)
    assert sorted(found) == ["notes.txt", "report.json"]
    assert json.loads(found["report.json"])["status"] == "passed"


def test_a_soak_that_does_not_start_keeps_the_result_before_it(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (out / "report.json").write_text('{"made_by": "vdd soak"}')

    def fail(*_: Any) -> None:
        raise ProcessError("no ROS domain can be taken")

    monkeypatch.setattr(soak_command, "execute", fail)
    with pytest.raises(ProcessError):
        soak_command.soak(Demo(out, {"student": tmp_path}, 1, 0, 1.0, 0), seconds=60)
    assert (out / ".vdd_ros.previous" / "latency.png").read_text() == "a figure"


@pytest.mark.parametrize(
    "report", ["", "{", "[]", "5", '{"made_by": "vdd soak"}', '{"made_by": ["vdd demo"]}', "[" * 9999]
)
def test_the_folder_of_another_is_left_alone(
    out: Path, tmp_path: Path, report: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (out / "report.json").write_text(report)
    before = everything(out)
    assert main(arguments(tmp_path, out)) == 2
    assert "was not made by `vdd demo`" in capsys.readouterr().err
    assert everything(out) == before


def test_an_empty_folder_and_a_link_to_one_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_command, "_report", lambda *_: True)
    monkeypatch.setattr(demo_command, "execute", lambda _run: None)
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    for _ in range(2):
        assert main(arguments(tmp_path, tmp_path / "link")) == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "report.json").exists()


HOLDING = """
import sys
from pathlib import Path
from vdd_ros.demo.result_folder import result_folder

with result_folder(Path(sys.argv[1]), "vdd demo"):
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_two_demos_in_one_folder(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-c", HOLDING, str(out)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "ready\n"
        assert main(arguments(tmp_path, out)) == 2
        assert f"is in use by process {first.pid}" in capsys.readouterr().err
        assert (out / "report.json").exists()
        first.kill()
    assert RESULT.items() <= everything(out / ".vdd_ros.previous").items()
