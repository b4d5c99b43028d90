"""A task of another package, with contexts and an entry that never changes, through the whole line."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

import two_doors
from plugins import installed

from vdd_ros.cli.main import main
from vdd_ros.learning.kinds import DIFFUSION, MIXTURE
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.tasks.registry import TASKS


def test_a_task_of_one_file_goes_through_demos_train_distil_export_and_evaluate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demos, teacher, student = (str(tmp_path / name) for name in ("D", "T", "S"))
    file, scores = str(tmp_path / "student.onnx"), tmp_path / "scores.json"
    steps = ["--steps", "60"]
    source = Path(two_doors.__file__).read_text()
    with installed(TASKS, tmp_path / "site", "two-doors", source, "TASK"):
        assert main(["demos", "two-doors", "--out", demos]) == 0
        assert main(["demos", "two-doors", "--out", demos, "--jobs", "2"]) == 0
        assert "already holds these demonstrations" in capsys.readouterr().out
        assert main(["train", "--task", "two-doors", "--demos", demos, "--out", teacher, *steps]) == 0
        said = capsys.readouterr().err
        assert "preset small, the default of the task 'two-doors'" in said
        assert "the observation entry height never changed in the demonstrations" in said
        assert main(["distil", "--teacher", teacher, "--out", student, *steps]) == 0
        settings = MIXTURE.load(Path(student))[1].settings
        assert (settings["width"], settings["experts"], settings["steps"]) == (16, 2, 60)
        assert main(["export", student, "--out", file]) == 0
        evaluate = ["evaluate", file, "--rollouts", "8", "--json", str(scores)]
        assert main([*evaluate, "--contexts", "2"]) == 0
        assert json.loads(scores.read_text())["pooled"]["contexts"] == 2
        assert main(evaluate) == 0
    pooled = json.loads(scores.read_text())["pooled"]
    assert (pooled["rollouts"], pooled["contexts"]) == (8, 4)
    assert pooled["returns"] <= 0 <= pooled["partial_success"] <= 1
    assert "mean of 4 contexts" in capsys.readouterr().out
    assert OnnxPolicy.load(file).spec.statistics.observation_std[1] == 1


def test_demonstrations_of_a_robot_without_a_simulation_are_trained_on(tmp_path: Path) -> None:
    two_doors.demonstrate(8, 0).save(tmp_path / "D")
    argv = ["train", "--demos", str(tmp_path / "D"), "--out", str(tmp_path / "T"), "--steps", "2", "--preset", "mlp"]
    assert main([*argv, "--width", "8", "--batch", "8"]) == 0
    assert DIFFUSION.load(tmp_path / "T")[1].task == "two-doors"
