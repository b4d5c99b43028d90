"""`vdd train`, `vdd distil` and `vdd export`: what they write and print, what they refuse, how they are interrupted."""

import argparse
import dataclasses
import json
import shutil
import signal
from pathlib import Path
from typing import Any, Literal

import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from matplotlib.image import imread
from terminal import OnTerminal
from toy_targets import small_demonstrations

from vdd_ros.cli.main import main
from vdd_ros.cli.options import add_config_options, config_from_options, given_options
from vdd_ros.data.demonstrations import FILE_NAME, DemonstrationSet
from vdd_ros.features import Feature
from vdd_ros.learning.field_docs import field_docs
from vdd_ros.learning.fit.checkpoint import MODEL_FILE, load_model, model_sha256
from vdd_ros.learning.fit.data_link import load_linked
from vdd_ros.learning.fit.figure import read_curves
from vdd_ros.learning.kinds import DIFFUSION, MIXTURE
from vdd_ros.learning.methods.configs import (
    CDConfig,
    CTMConfig,
    DistilConfig,
    EMConfig,
    ExportConfig,
    IMCConfig,
    TrainConfig,
)
from vdd_ros.learning.methods.preset_choice import choose_preset
from vdd_ros.learning.methods.presets import TRAIN_PRESETS
from vdd_ros.learning.methods.registry import Method, all_methods, teacher_method
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.tasks import get_task

TINY = ["--backbone", "mlp", "--batch", "8", "--width", "8", "--layers", "1", "--octaves", "1"]
Capture = pytest.CaptureFixture[str]


def train(demos: Path, out: Path, *options: str) -> list[str]:
    return ["train", "--task", "avoiding", "--demos", str(demos), "--out", str(out), *TINY, *options]


def distil(teacher: Path, out: Path, *options: str) -> list[str]:
    small = [*TINY, "--experts", "3", "--pool-copies", "1", "--pool-samples", "2"]
    return ["distil", "--teacher", str(teacher), "--out", str(out), *small, *options]


def export(checkpoint: Path, out: Path, *options: str) -> list[str]:
    return ["export", str(checkpoint), "--out", str(out), *options]


def refusal(capsys: Capture, *argv: str) -> str:
    """Return the message of a command that refuses."""
    capsys.readouterr()
    assert main(argv) == 2
    return capsys.readouterr().err


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demos")
    get_task("avoiding").demonstrate(3, 0, lambda: None).save(folder)
    return folder


@pytest.fixture(scope="module")
def teacher(demos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    assert main(train(demos, folder, "--steps", "120", "--json", str(folder / "report.json"))) == 0
    return folder


@pytest.fixture(scope="module")
def student(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("student")
    assert main(distil(teacher, folder, "--steps", "60", "--json", str(folder / "report.json"))) == 0
    return folder


def test_a_teacher_is_trained_and_links_to_its_demonstrations(teacher: Path, demos: Path) -> None:
    metadata = DIFFUSION.load(teacher)[1]
    sha256 = DemonstrationSet.load(demos).sha256
    assert load_linked(teacher).sha256 == metadata.data_sha256 == sha256
    assert not (teacher / FILE_NAME).exists()
    report = json.loads((teacher / "report.json").read_text())
    assert (report["method"], report["task"], report["steps"]) == ("ddpm", "avoiding", 120)
    assert report["seconds"] > 0
    assert report["resumed"] is False
    config = TrainConfig(backbone="mlp", steps=120, batch=8, width=8, layers=1, octaves=1)
    assert report["settings"] == dataclasses.asdict(config)
    assert (report["data_sha256"], report["teacher_sha256"]) == (sha256, None)
    curves = read_curves(teacher)
    assert curves["loss"].steps == [50, 100, 120]
    assert report["last"] == {"loss": curves["loss"].values[-1]}
    assert imread(teacher / "training.png").ndim == 3


def test_a_student_is_distilled_from_the_teachers_folder_alone(student: Path, teacher: Path) -> None:
    metadata = MIXTURE.load(student)[1]
    report = json.loads((student / "report.json").read_text())
    assert (report["method"], report["steps"], report["settings"]["experts"]) == ("vdd", 60, 3)
    assert report["seconds"] > 0
    assert report["teacher_sha256"] == metadata.teacher_sha256 == model_sha256(teacher)
    assert set(read_curves(student)) == set(report["last"]) == {"disagreement", "gating_entropy", "experts_used"}
    assert imread(student / "training.png").ndim == 3


def test_demonstrations_can_be_named(tmp_path: Path, teacher: Path, demos: Path, student: Path) -> None:
    bare = tmp_path / "T"
    bare.mkdir()
    shutil.copy(teacher / MODEL_FILE, bare)
    assert main(distil(bare, tmp_path / "S", "--steps", "60", "--demos", str(demos))) == 0
    assert (tmp_path / "S" / MODEL_FILE).read_bytes() == (student / MODEL_FILE).read_bytes()


def test_a_teacher_of_other_demonstrations_is_distilled_with_a_warning(
    tmp_path: Path, teacher: Path, capsys: Capture
) -> None:
    get_task("avoiding").demonstrate(3, 9, lambda: None).save(tmp_path / "D")
    out = ["--json", str(tmp_path / "s.json")]
    assert main(distil(teacher, tmp_path / "S", "--steps", "1", "--demos", str(tmp_path / "D"), *out)) == 0
    learned = "the teacher learned from other demonstrations (sha256 "
    assert f"warning: {learned}" in capsys.readouterr().err
    assert json.loads((tmp_path / "s.json").read_text())["warnings"][0].startswith(learned)
    assert main(export(tmp_path / "S", tmp_path / "s.onnx", "--json", str(tmp_path / "e.json"))) == 0
    assert f"warning: {learned}" in capsys.readouterr().err
    assert json.loads((tmp_path / "e.json").read_text())["policy"]["warnings"][0].startswith(learned)


def test_the_table_names_the_time_the_last_values_and_the_files(tmp_path: Path, teacher: Path, capsys: Capture) -> None:
    assert main(distil(teacher, tmp_path, "--steps", "1")) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("vdd on avoiding, seed 0\n")
    assert all(word in printed for word in (" s, on ", "disagreement", "gating entropy", "experts used"))
    assert all(str(tmp_path / name) in printed for name in (MODEL_FILE, "training.png"))


def test_both_are_exported_as_policies(tmp_path: Path, teacher: Path, student: Path, capsys: Capture) -> None:
    fidelity = tmp_path / "fidelity.json"
    fidelity.write_text('{"success": 0.97}')
    options = ["--fidelity", str(fidelity), "--json", str(tmp_path / "new" / "student.json")]
    assert main(export(student, tmp_path / "student.onnx", *options)) == 0
    printed = capsys.readouterr().out
    assert "vdd, 3 experts, diagonal covariance" in printed
    assert "over 2048 samples" in printed
    policy = OnnxPolicy.load(tmp_path / "student.onnx")
    assert policy.spec.fidelity == {"success": 0.97}
    low, high = policy.spec.action[0].low, policy.spec.action[0].high
    assert f"{low:.4g} to {high:.4g} m" in printed
    numbers = json.loads((tmp_path / "new" / "student.json").read_text())
    assert numbers["bytes"] == (tmp_path / "student.onnx").stat().st_size
    assert numbers["policy"]["parity"]["expert_mismatches"] == 0

    assert main(export(teacher, tmp_path / "teacher.onnx", "--steps", "5", "--sampler", "ddim")) == 0
    assert "ddpm, 5 sampling steps" in capsys.readouterr().out
    spec = OnnxPolicy.load(tmp_path / "teacher.onnx").spec
    assert (spec.sampling_steps, spec.settings["sampler"]) == (5, "ddim")


@pytest.mark.parametrize("method", ["vdd", "cd", "ctm", "em", "imc", "diff-instruct", "em-distil", "shortcut", "srpo"])
def test_every_method_makes_a_policy_of_its_kind(tmp_path: Path, teacher: Path, demos: Path, method: str) -> None:
    source = ["--demos", str(demos)] if method in ("em", "imc") else ["--teacher", str(teacher)]
    size = TINY if method in ("vdd", "em", "imc", "srpo") else []  # a one-step policy has the shape of its teacher
    argv = ["distil", "--method", method, *source, "--out", str(tmp_path / "S"), *size, "--steps", "2"]
    assert main(argv) == 0
    assert load_model(tmp_path / "S")[0].method == method


def test_a_beso_teacher_is_distilled_from_its_folder_alone(tmp_path: Path, demos: Path) -> None:
    assert main(train(demos, tmp_path / "T", "--steps", "2", "--teacher", "beso")) == 0
    assert main(distil(tmp_path / "T", tmp_path / "S", "--steps", "2")) == 0
    assert MIXTURE.load(tmp_path / "S")[1].teacher_sha256 == model_sha256(tmp_path / "T")


def test_a_preset_that_neither_method_nor_task_has_is_refused(tmp_path: Path, demos: Path, capsys: Capture) -> None:
    known = "there is no preset 'best' here; there are: paper-avoiding-ddpm, paper-avoiding-beso, mlp"
    assert known in refusal(capsys, *train(demos, tmp_path / "T", "--preset", "best"))
    distil = ["distil", "--method", "em", "--demos", str(demos), "--out", str(tmp_path / "S"), "--preset", "best"]
    assert "there is no preset 'best' here; there are: mlp" in refusal(capsys, *distil)
    assert not (tmp_path / "T").exists()


def test_options_change_a_preset(tmp_path: Path, demos: Path) -> None:
    argv = ["train", "--task", "avoiding", "--demos", str(demos), "--out", str(tmp_path), "--preset", "mlp"]
    assert main([*argv, "--steps", "1", "--batch", "4"]) == 0
    settings = DIFFUSION.load(tmp_path)[1].settings
    assert settings == dataclasses.asdict(TrainConfig(**{**TRAIN_PRESETS["mlp"], "steps": 1, "batch": 4}))


@pytest.mark.parametrize(
    ("method", "name"),
    [(method, name) for method in (teacher_method("ddpm"), *all_methods()) for name in method.presets],
    ids=lambda value: getattr(value, "name", value),
)
def test_every_preset_can_be_meant(method: Method, name: str) -> None:
    method.config(**choose_preset(method, name).settings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--method", "vdd", "--eta", "2"],
            "the method 'vdd' does not have these options: --eta belongs to imc; omit them",
        ),
        (
            ["--method", "cd", "--experts", "2", "--to-clean", "1"],
            "'cd' does not have these options: --experts belongs to vdd, em, imc; --to-clean belongs to ctm; omit them",
        ),
        (["--method", "em"], "'em' learns from demonstrations: name them with --demos PATH"),
        (["--method", "imc", "--teacher", "T"], "--teacher: 'imc' learns from demonstrations; give only --demos"),
        (["--method", "vdd"], "'vdd' distils a teacher: name its checkpoint folder with --teacher DIR"),
    ],
)
def test_options_that_do_not_belong_to_a_method_are_refused(
    tmp_path: Path, capsys: Capture, options: list[str], message: str
) -> None:
    assert message in refusal(capsys, "distil", "--out", str(tmp_path / "S"), *options)
    assert not (tmp_path / "S").exists()


def test_another_policy_is_replaced_only_by_force(tmp_path: Path, demos: Path, teacher: Path, capsys: Capture) -> None:
    """The same training may be exported again, also with other sampling."""
    file = tmp_path / "policy.onnx"
    assert main(export(teacher, file)) == 0
    assert main(export(teacher, file, "--steps", "4")) == 0
    assert main(train(demos, tmp_path / "T", "--steps", "1", "--seed", "9")) == 0
    before = file.read_bytes()
    assert "holds another policy: ddpm of avoiding, seed 0" in refusal(capsys, *export(tmp_path / "T", file))
    (tmp_path / "thesis.tex").write_text("years of work")
    assert "is not a policy file" in refusal(capsys, *export(teacher, tmp_path / "thesis.tex"))
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    assert file.read_bytes() == before
    assert main(export(tmp_path / "T", file, "--force")) == 0
    assert OnnxPolicy.load(file).spec.settings["seed"] == 9


@pytest.mark.parametrize("seed", ["-1", str(2**32), str(10**30)])
def test_a_seed_that_cannot_be_is_refused(
    demos: Path, teacher: Path, tmp_path: Path, capsys: Capture, seed: str
) -> None:
    for command in (
        train(demos, tmp_path / "T", "--steps", "1", f"--seed={seed}"),
        distil(teacher, tmp_path / "S", "--steps", "1", f"--seed={seed}"),
        export(teacher, tmp_path / "p.onnx", f"--seed={seed}"),
    ):
        assert f"seed is {seed}; it must be from 0 to 4,294,967,295" in refusal(capsys, *command)
    assert not list(tmp_path.iterdir())


def test_ctrl_c_leaves_a_usable_checkpoint_that_resume_finishes(tmp_path: Path, demos: Path) -> None:
    out = tmp_path / "T"
    argv = train(demos, out, "--steps", "1500")
    command_line = OnTerminal(argv, {})
    try:
        command_line.read_until("loss")  # the first scalars, at step 50
        command_line.process.send_signal(signal.SIGINT)
        assert command_line.read_to_the_end() == 130
    finally:
        command_line.kill()
    assert "vdd train: interrupted" in command_line.said
    stopped_at = DIFFUSION.load(out)[1].steps
    assert 50 <= stopped_at < 1500
    assert main(distil(out, tmp_path / "S", "--steps", "1")) == 0, "what there is can be distilled"

    report = tmp_path / "report.json"
    assert main([*argv, "--resume", "--json", str(report)]) == 0
    assert DIFFUSION.load(out)[1].steps == 1500
    assert json.loads(report.read_text())["resumed"] is True
    assert read_curves(out)["loss"].steps == list(range(50, 1501, 50))


def test_an_existing_run_stays_as_it_is(teacher: Path, demos: Path, capsys: Capture) -> None:
    before = (teacher / MODEL_FILE).read_bytes()
    assert "already holds a run; continue it with --resume" in refusal(capsys, *train(demos, teacher, "--steps", "120"))
    other = refusal(capsys, *train(demos, teacher, "--steps", "130", "--resume"))
    assert "started with other settings (steps 120 -> 130)" in other
    assert (teacher / MODEL_FILE).read_bytes() == before


def test_a_run_that_does_not_exist_cannot_be_resumed(
    tmp_path: Path, demos: Path, teacher: Path, capsys: Capture
) -> None:
    for argv in (train(demos, tmp_path / "out", "--resume"), distil(teacher, tmp_path / "out", "--resume")):
        assert "holds no run to resume; start one without --resume" in refusal(capsys, *argv)
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--task", "avoding"], "did you mean 'avoiding'"),
        (["--demos", "nowhere"], "no demonstrations at 'nowhere'"),
        (["--steps", "0"], "steps is 0; it must be finite and at least 1"),
        (["--steps", "many"], "--steps is 'many'; it must be a whole number"),
        (["--batch", "0"], "batch is 0"),
        (["--learning-rate", "nan"], "--learning-rate is nan; it must be finite"),
        (["--levels", "1"], "levels is 1; it must be finite and at least 2"),
        (["--observation-noise", "-1"], "observation_noise is -1.0"),
        (["--horizon", "5000"], "choose a shorter horizon"),
    ],
)
def test_wrong_trainings_are_refused(
    tmp_path: Path, demos: Path, capsys: Capture, options: list[str], message: str
) -> None:
    assert message in refusal(capsys, *train(demos, tmp_path / "T", *options))
    assert not (tmp_path / "T" / MODEL_FILE).exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "pushing"}, "are of the task 'pushing', not of 'avoiding'"),
        ({"rate_hz": 10.0}, "the rate is 10 Hz instead of 28.5714 Hz"),
        ({"action": (Feature("delta_desired_x", "m"), Feature("delta_desired_y", "mm"))}, "delta_desired_y"),
        ({"observation": tuple(Feature(name, "m") for name in ("tcp_x", "tcp_y", "a", "b"))}, "desired_x"),
    ],
)
def test_demonstrations_of_something_else_are_refused(
    tmp_path: Path, capsys: Capture, change: dict[str, Any], message: str
) -> None:
    demonstrations = small_demonstrations()
    header = dataclasses.replace(demonstrations.header, **change)
    dataclasses.replace(demonstrations, header=header).save(tmp_path / "D")
    assert message in refusal(capsys, *train(tmp_path / "D", tmp_path / "T"))
    assert not (tmp_path / "T").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--experts", "0"], "experts is 0"),
        (["--min-noise", "2"], "noise range is 2.0 to 1.0"),
        (["--min-noise", "1e-4", "--max-noise", "1e-3"], "cannot be evaluated at noise levels from 0.0001 to 0.001"),
        (["--teacher-steps", "64"], "64 sampling steps of the karras schedule would visit a noise level twice"),
        (["--demos", "nowhere"], "no demonstrations at 'nowhere'"),
    ],
)
def test_wrong_distillations_are_refused(
    tmp_path: Path, teacher: Path, capsys: Capture, options: list[str], message: str
) -> None:
    assert message in refusal(capsys, *distil(teacher, tmp_path / "S", *options))
    assert not (tmp_path / "S" / MODEL_FILE).exists()


def test_a_teacher_that_is_none_is_refused(tmp_path: Path, teacher: Path, student: Path, capsys: Capture) -> None:
    assert "no checkpoint at" in refusal(capsys, *distil(tmp_path / "nowhere", tmp_path / "S"))
    assert "holds a mixture policy made by 'vdd', but a diffusion policy is needed" in refusal(
        capsys, *distil(student, tmp_path / "S")
    )
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / MODEL_FILE).write_bytes((teacher / MODEL_FILE).read_bytes()[:-100])
    assert "is truncated" in refusal(capsys, *distil(cut, tmp_path / "S"))
    assert "is truncated" in refusal(capsys, *export(cut, tmp_path / "file.onnx"))
    shutil.copy(teacher / MODEL_FILE, cut)
    assert "name its training data: --demos PATH" in refusal(capsys, *distil(cut, tmp_path / "S"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut"]


@pytest.mark.parametrize("content", ["{", "[1]", None])
def test_figures_that_are_no_json_object_are_refused(
    tmp_path: Path, student: Path, capsys: Capture, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "figures.json").write_text(content)
    argv = export(student, tmp_path / "student.onnx", "--fidelity", str(tmp_path / "figures.json"))
    assert "figures.json" in refusal(capsys, *argv)
    assert not (tmp_path / "student.onnx").exists()


def test_sampling_options_are_not_ignored_for_a_student(tmp_path: Path, student: Path, capsys: Capture) -> None:
    argv = export(student, tmp_path / "student.onnx", "--steps", "8", "--sampler", "ddim")
    assert "--steps and --sampler: only diffusion policies take sampling steps" in refusal(capsys, *argv)
    assert not (tmp_path / "student.onnx").exists()


@pytest.mark.parametrize(
    "argv",
    [
        ["train", "--task", "avoiding", "--demos", "D", "--out", "T", "--teacher", "oracle"],
        ["train", "--task", "avoiding", "--demos", "D", "--out", "T", "--backbone", "cnn"],
        ["train", "--task", "avoiding", "--out", "T"],
        ["distil", "--teacher", "T", "--out", "S", "--update", "magic"],
        ["distil", "--teacher", "T", "--out", "S", "--method", "magic"],
        ["export", "S", "--out", "f.onnx", "--sampler", "magic"],
    ],
)
def test_a_wrong_command_line_is_refused(argv: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize("config", [TrainConfig, DistilConfig, CDConfig, CTMConfig, EMConfig, IMCConfig, ExportConfig])
def test_every_setting_is_explained(config: type) -> None:
    docs = field_docs(config)
    assert set(docs) == {field.name for field in dataclasses.fields(config)}
    assert all(docs.values())


@dataclasses.dataclass(frozen=True)
class Example:
    """An example.

    Attributes:
        count: How many, 100 % of them
            in the end.
        some_rate, share: In units.
        way: How.

    Note:
        count: not this.
    """

    count: int = 3
    some_rate: float = 0.5
    share: float = 0.25
    way: Literal["up", "down"] = "up"


def test_options_come_from_the_dataclass(capsys: Capture) -> None:
    parser = argparse.ArgumentParser()
    add_config_options(parser, Example)
    args = parser.parse_args(["--some-rate", "2", "--way", "down"])
    assert config_from_options(Example, args) == Example(some_rate=2.0, way="down")
    assert given_options(Example, args) == {"some_rate": 2.0, "way": "down"}
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert "--count INT how many, 100 % of them in the end (default: 3)" in words
    assert "--some-rate FLOAT in units (default: 0.5)" in words
    assert "--share FLOAT in units (default: 0.25)" in words
    assert "--way {up,down} how (default: up)" in words
