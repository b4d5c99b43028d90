"""`vdd import`: from another program's checkpoint to a policy file and a student, by commands alone."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

import diffusion_policies
from lerobot_policies import Policy, demonstrations
from plugins import installed

from vdd_ros.cli.main import main
from vdd_ros.learning.importing.registry import IMPORTERS

pytestmark = pytest.mark.train


@pytest.fixture
def demos(tmp_path: Path) -> Path:
    return demonstrations(Policy.drawn()).save(tmp_path / "D").parent


def test_a_checkpoint_becomes_a_teacher_and_a_student(
    demos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = str(Policy.drawn(num_inference_steps=10).write(tmp_path / "c"))
    teacher, student = str(tmp_path / "T"), str(tmp_path / "S")
    record = tmp_path / "T.json"
    words = ["import", "lerobot", checkpoint, "--demos", str(demos), "--out", teacher]
    assert main([*words, "--json", str(record)]) == 0
    shown = capsys.readouterr()
    assert "a teacher of LeRobot" in shown.out
    assert "2 observations in, 7 actions out" in shown.out
    assert "warning: mean of observation.state is not that of the demonstrations" in shown.err
    assert json.loads(record.read_text())["settings"]["action_steps"] == 4
    assert main(["export", teacher, "--steps", "10", "--out", str(tmp_path / "teacher.onnx")]) == 0
    assert "by LeRobot" in capsys.readouterr().out
    small = ["--steps", "2", "--batch", "8", "--backbone", "mlp", "--width", "8", "--layers", "1", "--experts", "2"]
    assert main(["distil", "--teacher", teacher, "--demos", str(demos), "--out", student, *small]) == 0
    assert main(["export", student, "--out", str(tmp_path / "student.onnx")]) == 0
    files = [str(tmp_path / name) for name in ("teacher.onnx", "student.onnx")]
    assert main(["fidelity", *files, "--demos", str(demos), "--states", "4", "--samples", "32"]) == 0
    assert main(words) == 2
    assert "already holds a trained model; replace it with --force" in capsys.readouterr().err


def test_a_checkpoint_of_diffusion_policy_becomes_a_teacher_and_a_student(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = diffusion_policies.Policy.drawn(ddim=True, num_inference_steps=8)
    demos = str(diffusion_policies.demonstrations(policy).save(tmp_path / "D").parent)
    checkpoint, teacher, student = str(policy.write(tmp_path / "latest.ckpt")), str(tmp_path / "T"), str(tmp_path / "S")
    assert main(["import", "diffusion-policy", checkpoint, "--demos", demos, "--out", teacher]) == 0
    shown = capsys.readouterr()
    assert "a teacher of diffusion_policy" in shown.out
    assert "2 observations in, 7 actions out" in shown.out
    assert "averaged (EMA)" in shown.out
    assert shown.err == ""
    assert main(["export", teacher, "--steps", "8", "--out", str(tmp_path / "teacher.onnx")]) == 0
    assert "by diffusion_policy" in capsys.readouterr().out
    small = ["--steps", "2", "--batch", "8", "--backbone", "mlp", "--width", "8", "--layers", "1", "--experts", "2"]
    assert main(["distil", "--teacher", teacher, "--demos", demos, "--out", student, *small]) == 0
    assert main(["export", checkpoint, "--out", str(tmp_path / "x.onnx")]) == 2
    assert "`vdd import diffusion-policy` takes a checkpoint" in capsys.readouterr().err


def test_the_help_says_what_each_program_s_import_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["import", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "a DiffusionPolicy of LeRobot 0.3 to 0.6, without images" in shown
    assert "a checkpoint of diffusion_policy (real-stanford), without images" in shown


def test_what_is_missing_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = str(Policy.drawn().write(tmp_path / "c"))
    assert main(["import", "lerobot", checkpoint, "--out", str(tmp_path / "T")]) == 2
    assert "--rate-hz, its frames per second" in capsys.readouterr().err
    assert (
        main(["import", "lerobot", checkpoint, "--rate-hz", "10", "--task", "sorting", "--out", str(tmp_path / "T")])
        == 0
    )
    assert "sorting, 10 Hz" in capsys.readouterr().out


def test_other_commands_name_the_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = str(Policy.drawn().write(tmp_path / "c"))
    assert main(["export", checkpoint, "--out", str(tmp_path / "x.onnx")]) == 2
    assert "`vdd import lerobot` makes a teacher of a DiffusionPolicy" in capsys.readouterr().err


def test_teachers_that_are_only_imported_are_not_offered_for_training(
    demos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--demos", str(demos), "--teacher", "lerobot", "--out", str(tmp_path / "T")])
    assert "invalid choice: 'lerobot'" in capsys.readouterr().err


SOURCE = '''"""Refuses everything."""
from vdd_ros.errors import CheckpointError
from vdd_ros.learning.importing.registry import Importer


def read(request):
    raise CheckpointError(f"{request.checkpoint.name} is not wanted; give another")


IMPORTER = Importer(name="nothing", label="Nothing", summary="refuses", read=read)
'''


def test_other_packages_add_importers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with installed(IMPORTERS, tmp_path / "site", "nothing", SOURCE, "IMPORTER"):
        assert main(["import", "nothing", str(tmp_path / "x"), "--out", str(tmp_path / "T")]) == 2
    IMPORTERS.forget()
    assert "x is not wanted; give another" in capsys.readouterr().err
    assert not (tmp_path / "T").exists()
