"""`vdd fidelity`: table, record, figure, and the figures in the student's file."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import onnx
import pytest
from policy_files import replace_metadata, write_diffusion, write_mixture

from vdd_ros.cli.main import main
from vdd_ros.errors import PolicyFileError
from vdd_ros.evaluation.fidelity.stamp import STAMP, stamp
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.tasks import get_task

SMALL = ["--states", "8", "--samples", "64"]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_diffusion(tmp_path_factory.mktemp("teacher") / "teacher.onnx", steps=3, data_sha256=64 * "0")


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demos")
    get_task("avoiding").demonstrate(2, 7, lambda: None).save(folder)
    return folder


@pytest.fixture
def student(tmp_path: Path) -> Path:
    return write_mixture(tmp_path / "student.onnx", fidelity={"note": 1}, data_sha256=64 * "1")


def fidelity(teacher: Path, student: Path, *options: str) -> int:
    return main(["fidelity", str(teacher), str(student), *SMALL, *options])


def test_table_and_record(
    teacher: Path, student: Path, demos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, results = tmp_path / "out.json", tmp_path / "results.json"
    options = ["--demos", str(demos), "--json", str(file), "--append", str(results), "--label", "a"]
    assert fidelity(teacher, student, *options) == 0
    record = json.loads(file.read_text())
    assert json.loads(results.read_text()) == {"a": record}
    assert record["student"]["sha256"] == sha256(student.read_bytes()).hexdigest()
    assert record["teacher"]["sampling_steps"] == 3
    assert record["demonstrations"]["held_out"] is True
    assert record["settings"] == {"states": 8, "samples": 64, "directions": 64, "seed": 0}
    low, high = record["measures"]["wasserstein"]["student"]["interval"]
    assert 0 < low <= record["measures"]["wasserstein"]["student"]["mean"] <= high
    assert len(record["demonstrations_calibration"]["coverage"]) == 19
    assert record["machine"]["cores"] >= 1

    printed = capsys.readouterr().out
    assert "student.onnx (vdd) against teacher.onnx (ddpm): 8 states of held-out demonstrations, 64 actions" in printed
    for row in ("Wasserstein", "energy distance", "mode recall, unweighted", "mode precision", "calibration error"):
        assert row in printed
    assert "\n  Wasserstein (deviations)" in printed


def test_the_training_demonstrations_are_called_by_their_name(
    teacher: Path, demos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = get_task("avoiding").demonstrate(2, 7, lambda: None).sha256
    student = write_mixture(tmp_path / "student.onnx", data_sha256=digest)
    assert fidelity(teacher, student, "--demos", str(demos)) == 0
    assert "8 states of the TRAINING demonstrations" in capsys.readouterr().out


def test_what_a_policy_learned_from_may_be_unknown(
    teacher: Path, demos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student, file = write_mixture(tmp_path / "student.onnx", data_sha256=None), tmp_path / "out.json"
    assert fidelity(teacher, student, "--demos", str(demos), "--json", str(file)) == 0
    assert "8 states of demonstrations that may be those of the training" in capsys.readouterr().out
    assert json.loads(file.read_text())["demonstrations"]["held_out"] is None


def test_by_default_the_task_s_demonstrator_makes_new_demonstrations(
    teacher: Path, student: Path, tmp_path: Path
) -> None:
    file = tmp_path / "out.json"
    assert fidelity(teacher, student, "--json", str(file)) == 0
    record = json.loads(file.read_text())["demonstrations"]
    assert record["held_out"] is True
    assert record["seed"] not in range(1000)


@pytest.mark.parametrize("kind", ["mixture", "diffusion", "one action"])
def test_the_figure_is_drawn(teacher: Path, demos: Path, tmp_path: Path, kind: str) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    student = write_mixture(tmp_path / "student.onnx")
    if kind == "diffusion":
        student = write_diffusion(tmp_path / "student.onnx", steps=1, seed=1)
    if kind == "one action":
        found = get_task("avoiding").demonstrate(2, 7, lambda: None)
        header = found.header
        entry = replace(header.action[0], low=-0.01, high=0.01)
        demos = tmp_path / "demos"
        one = type(found)(
            type(header)(header.task, header.observation, header.action[:1], header.rate_hz, header.source),
            *(found.observation, found.action[:, :1], found.lengths, found.modes),
        )
        one.save(demos)
        student = write_mixture(tmp_path / "student.onnx", action=(entry,))
        teacher = write_diffusion(tmp_path / "teacher.onnx", action=(entry,))
    figure = tmp_path / "new" / "figure.png"
    assert fidelity(teacher, student, "--demos", str(demos), "--figure", str(figure)) == 0
    assert imread(figure).ndim == 3


def test_the_stamp_adds_figures_and_leaves_the_graph_alone(
    teacher: Path, student: Path, demos: Path, tmp_path: Path
) -> None:
    before, spec = onnx.load(student), OnnxPolicy.load(student).spec
    file = tmp_path / "out.json"
    assert fidelity(teacher, student, "--demos", str(demos), "--stamp", "--json", str(file)) == 0
    after, stamped = onnx.load(student), OnnxPolicy.load(student).spec
    assert after.graph.SerializeToString(deterministic=True) == before.graph.SerializeToString(deterministic=True)
    assert stamped.fidelity["note"] == 1
    figures, record = stamped.fidelity[STAMP], json.loads(file.read_text())
    assert figures["teacher_file_sha256"] == record["teacher"]["sha256"] == sha256(teacher.read_bytes()).hexdigest()
    assert figures["wasserstein"] == record["measures"]["wasserstein"]["student"]["mean"]
    assert figures["wasserstein_floor"] == record["measures"]["wasserstein"]["floor"]["mean"]
    assert figures["calibration_error_teacher"] == record["teacher_calibration"]["error"]
    assert record["student"]["sha256"] == sha256(student.read_bytes()).hexdigest()
    assert {**stamped.__dict__, "fidelity": None} == {**spec.__dict__, "fidelity": None}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json", "student.onnx"]


def test_a_second_stamp_replaces_the_first(student: Path) -> None:
    for value in (1.0, 2.0):
        stamp(student, {"wasserstein": value})
    assert OnnxPolicy.load(student).spec.fidelity == {"note": 1, STAMP: {"wasserstein": 2.0}}


@pytest.mark.parametrize("content", ["not ONNX", "no metadata", "not finite"])
def test_a_stamp_that_cannot_be_written_leaves_the_file_alone(student: Path, content: str) -> None:
    if content == "not ONNX":
        student.write_text("x")
    if content == "no metadata":
        replace_metadata(student, None)
    before = student.read_bytes()
    with pytest.raises(PolicyFileError):
        stamp(student, {"wasserstein": float("nan") if content == "not finite" else 1.0})
    assert student.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--states", "1"], "states is 1"),
        (["--samples", "10"], "samples is 10"),
        (["--seed", "-1"], "seed is -1"),
        (["--label", "a"], "belong together"),
        (["--demos", "nowhere"], "no demonstrations at"),
    ],
)
def test_wrong_arguments_are_refused(
    teacher: Path, student: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert fidelity(teacher, student, *options) == 2
    assert message in capsys.readouterr().err


def test_a_pair_that_does_not_fit_is_refused(
    teacher: Path, demos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student = write_mixture(tmp_path / "student.onnx", horizon=2)
    assert fidelity(teacher, student, "--demos", str(demos)) == 2
    assert "horizon is 1, but the student's is 2" in capsys.readouterr().err


def test_without_a_task_it_asks_for_demonstrations(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student = write_mixture(tmp_path / "student.onnx", task=None)
    assert fidelity(teacher, student) == 2
    assert "--demos PATH" in capsys.readouterr().err
