"""A method and a kind of teacher of another package, one file each: from training to the score."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from toy_targets import small_demonstrations
from trainings import distil, train_teacher

from vdd_ros.cli.main import main
from vdd_ros.errors import CheckpointError, ConformanceError, PluginError
from vdd_ros.learning.diffusion.teachers import TEACHERS, ForeignTeacher
from vdd_ros.learning.export.export import export
from vdd_ros.learning.kinds import DIFFUSION
from vdd_ros.learning.methods.configs import CDConfig, DistilConfig, ExportConfig, TrainConfig
from vdd_ros.learning.methods.registry import METHODS, Method, teacher_method
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.tasks import get_task
from vdd_ros.testing.methods import check_method, check_teacher

CLONING = '''"""Likelihood of actions that the teacher draws at the demonstrated states."""

from dataclasses import dataclass

import torch

from vdd_ros.learning.configs import FitConfig, MixtureConfig, shaped
from vdd_ros.learning.fit.fit import TrainingJob
from vdd_ros.learning.kinds import MIXTURE
from vdd_ros.learning.methods.registry import Method
from vdd_ros.learning.students.mixture import StudentConfig


@dataclass(frozen=True, kw_only=True)
class CloningConfig(FitConfig, MixtureConfig):
    """Settings.

    Attributes:
        teacher_draws: Actions that the teacher draws at each state.
    """

    steps: int = 500
    batch: int = 64
    learning_rate: float = 1e-3
    teacher_draws: int = 4

    def __post_init__(self):
        self.check_fit()
        self.check_mixture()


def job(source, config):
    shape = shaped(StudentConfig, config, source.dimensions())
    windows, teacher = source.windows, source.teacher
    student = MIXTURE.new(shape).to(windows.action.device)

    def loss(generator, step):
        index = torch.randint(len(windows), (config.batch,), generator=generator, device=generator.device)
        states = windows.observation[index], windows.draw_goals(index, generator)
        noise = torch.randn((config.batch, config.teacher_draws, 4, teacher.size), generator=generator)
        with torch.no_grad():
            actions = teacher.sample(teacher.encode(*states), noise)
        value = -student(*states).log_prob(actions).mean()
        return value, {"loss": value.detach()}

    return TrainingJob(student, loss, shape)


METHOD = Method(
    name="cloning",
    label="Cloning",
    summary="likelihood of the teacher's draws",
    structure="mixture",
    trains_from="teacher",
    config=CloningConfig,
    make=job,
    presets={"tiny": {"steps": 2, "batch": 8, "backbone": "mlp", "width": 8, "layers": 1, "experts": 2}},
)
'''

ROOT = '''"""A teacher whose network estimates sqrt(1 + sigma^2) times the clean action, on a range of levels."""

import torch
from torch import nn

from vdd_ros.learning.diffusion.levels import level_range
from vdd_ros.learning.diffusion.preconditioning import Preconditioning
from vdd_ros.learning.diffusion.teachers import TeacherKind


class Root(Preconditioning):
    def scalings(self, sigma):
        root = (1 + sigma.square()).rsqrt()
        return torch.zeros_like(sigma), root, root


class Network(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.state = nn.Linear((shape.history + shape.goal_length) * shape.obs_dim, shape.width)
        self.action = nn.Linear(shape.size + 1, shape.width)
        self.read = nn.Linear(shape.width, shape.size)

    def encode(self, observation, goal):
        states = observation if goal is None else torch.cat([goal, observation], dim=1)
        return self.state(states.flatten(1))

    def forward(self, context, action, condition):
        condition = condition.expand(*action.shape[:2], 1)
        return self.read(torch.tanh(context[:, None] + self.action(torch.cat([action, condition], dim=-1))))


TEACHER = TeacherKind(
    name="root",
    label="Root",
    summary="estimates the clean action, stretched",
    preconditioning=lambda config: Root(),
    levels=level_range,
    network=Network,
)
'''


def install(folder: Path, name: str, group: str, point: str, module: str) -> None:
    """Write what pip leaves of a package: its metadata with one entry point, and one module."""
    metadata = folder / f"{name}-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{point}\n")
    (folder / f"{name}.py").write_text(module)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Two more packages, each with one file."""
    folder = tmp_path_factory.mktemp("site")
    install(folder, "cloning_method", "vdd_ros.methods", "cloning = cloning_method:METHOD", CLONING)
    install(folder, "root_teacher", "vdd_ros.teachers", "root = root_teacher:TEACHER", ROOT)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        for registry, name in ((METHODS, "cloning"), (TEACHERS, "root")):
            registry.forget()
            assert name in registry.names()
        yield
    for name in ("cloning_method", "root_teacher"):
        sys.modules.pop(name, None)
    METHODS.forget()
    TEACHERS.forget()


def test_they_go_from_training_to_the_score(installed: None, tmp_path: Path) -> None:
    get_task("avoiding").demonstrate(3, 0, lambda: None).save(tmp_path / "D")
    small = ["--width", "8", "--batch", "8", "--steps", "2"]
    train = ["train", "--task", "avoiding", "--demos", str(tmp_path / "D"), "--out", str(tmp_path / "T"), *small]
    assert main([*train, "--teacher", "root"]) == 0
    distilled = ["distil", "--method", "cloning", "--teacher", str(tmp_path / "T"), "--out", str(tmp_path / "S")]
    assert main([*distilled, "--preset", "tiny", "--teacher-draws", "2"]) == 0
    for checkpoint, structure, method in (("T", "diffusion", "root"), ("S", "mixture", "cloning")):
        file = tmp_path / f"{checkpoint}.onnx"
        assert main(["export", str(tmp_path / checkpoint), "--out", str(file), "--no-novelty"]) == 0
        spec = OnnxPolicy.load(file).spec
        assert (spec.structure, spec.method) == (structure, method)
        assert main(["evaluate", str(file), "--rollouts", "2"]) == 0


def test_their_options_are_distinguished_from_those_of_others(
    installed: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["distil", "--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert "settings of cloning: --teacher-draws INT actions that the teacher draws at each state (default: 4)" in words
    assert "settings of vdd, em, imc, srpo, cloning: --backbone" in words
    assert main(["distil", "--out", str(tmp_path / "S"), "--teacher", "T", "--teacher-draws", "3"]) == 2
    assert "'vdd' does not have these options: --teacher-draws belongs to cloning; omit them" in capsys.readouterr().err


def test_a_broken_method_of_another_package_leaves_the_others_usable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path, "broken_method", "vdd_ros.methods", "broken = broken_method:METHOD", "import nowhere")
    monkeypatch.syspath_prepend(str(tmp_path))
    METHODS.forget()
    try:
        with pytest.raises(SystemExit, match="0"):
            main(["distil", "--help"])
        assert "; broken: broken (default: vdd)" in " ".join(capsys.readouterr().out.split())
        assert main(["distil", "--out", str(tmp_path / "S"), "--method", "broken", "--teacher", "T"]) == 2
        assert "method 'broken' of broken_method 1.2 cannot be imported" in capsys.readouterr().err
        assert main(["distil", "--out", str(tmp_path / "S"), "--teacher", str(tmp_path / "T")]) == 2
        assert "method 'broken'" not in capsys.readouterr().err
    finally:
        METHODS.forget()


def test_a_setting_that_another_method_reads_differently_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """`vdd distil` could not offer both as one option."""

    @dataclass(frozen=True, kw_only=True)
    class Config(DistilConfig):
        """Settings.

        Attributes:
            to_clean: Of CTM, there a share.
        """

        to_clean: int = 1

    method = registered(replace(METHODS.get("vdd"), name="cd", config=Config, presets={}), monkeypatch)
    with pytest.raises(ConformanceError, match=r"'to_clean' of 'cd' is .*int.*, but .*float.* in 'ctm'; give it"):
        check_method(method)


def test_a_student_cannot_start_from_a_network_of_another_make(
    installed: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    get_task("avoiding").demonstrate(3, 0, lambda: None).save(tmp_path / "D")
    train = ["train", "--task", "avoiding", "--demos", str(tmp_path / "D"), "--out", str(tmp_path / "T")]
    assert main([*train, "--width", "8", "--batch", "8", "--steps", "1", "--teacher", "root"]) == 0
    student = ["distil", "--method", "cd", "--teacher", str(tmp_path / "T"), "--out", str(tmp_path / "S")]
    assert main([*student, "--steps", "1", "--batch", "4"]) == 2
    assert "no student can start from it; give --no-start-from-teacher" in capsys.readouterr().err
    assert main([*student, "--steps", "1", "--batch", "4", "--no-start-from-teacher"]) == 0


def test_they_conform(installed: None) -> None:
    check_method(METHODS.get("cloning"), teacher_draws=2)
    check_teacher(TEACHERS.get("root"))


@pytest.mark.parametrize("name", ["vdd", "cd", "ctm", "em", "imc", "diff-instruct", "em-distil", "shortcut", "srpo"])
def test_the_methods_that_ship_conform(name: str) -> None:
    check_method(METHODS.get(name))


@pytest.mark.parametrize("name", ["ddpm", "ddpm-v", "ddpm-sample", "beso"])
def test_the_teachers_that_ship_conform(name: str) -> None:
    check_teacher(TEACHERS.get(name))


def registered(method: Method, monkeypatch: pytest.MonkeyPatch) -> Method:
    """Put a method in the place of one that is installed."""
    monkeypatch.setitem(METHODS._loaded, method.name, method)
    return method


def test_violations_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    cd = METHODS.get("cd")
    with pytest.raises(ConformanceError, match=r"is a str, not a Method"):
        check_method("cd")  # type: ignore[arg-type]
    with pytest.raises(ConformanceError, match="no installed package registers 'other' as this Method"):
        check_method(replace(cd, name="other"))
    with pytest.raises(ConformanceError, match="method 'cd' ships with vdd_ros, so no other package can register it"):
        check_method(replace(cd))
    with pytest.raises(ConformanceError, match="teacher 'beso' ships with vdd_ros, so no other package can register"):
        check_teacher(replace(TEACHERS.get("beso")))
    wrong = registered(replace(cd, presets={"fast": {"steps": 0}}), monkeypatch)
    with pytest.raises(ConformanceError, match="the preset 'fast' failed: steps is 0"):
        check_method(wrong)
    broken = registered(replace(cd, make=lambda source, config: 1 / 0), monkeypatch)
    with pytest.raises(ConformanceError, match="a training failed: ZeroDivisionError"):
        check_method(broken)
    draws = iter(range(10))
    unseeded = registered(
        replace(cd, make=lambda source, config: cd.make(source, replace(config, target_decay=0.1 * next(draws)))),
        monkeypatch,
    )
    with pytest.raises(ConformanceError, match="two trainings with one seed differ"):
        check_method(unseeded)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"structure": "tree"}, "has the structure 'tree'; allowed: mixture, diffusion, one_step"),
        ({"trains_from": "air"}, "has the trains_from 'air'; allowed: teacher, data"),
        ({"config": dict}, "has a config that is not a dataclass derived from vdd_ros.learning.configs.FitConfig"),
        (
            {"trains_from": "data", "config": CDConfig},
            "trains from data, so its config must derive from .*WindowConfig",
        ),
    ],
)
def test_a_method_that_cannot_be_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(PluginError, match=message):
        replace(METHODS.get("vdd"), **change)  # type: ignore[arg-type]


def test_every_teacher_is_a_method_too() -> None:
    method = teacher_method("beso")
    assert (method.name, method.structure, method.trains_from) == ("beso", "diffusion", "data")
    assert np.isin(["mlp", "paper-avoiding-beso"], list(method.presets)).all()


def test_a_teacher_of_another_program_is_read_by_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be distilled and exported; that its demonstrations are unknown is a warning."""
    ours, theirs, demonstrations = tmp_path / "ours", tmp_path / "theirs", small_demonstrations()
    tiny = {"steps": 2, "batch": 4, "backbone": "mlp", "width": 8, "layers": 1}
    train_teacher(demonstrations, ours, TrainConfig(**tiny))  # type: ignore[arg-type]
    theirs.mkdir()
    (theirs / "weights.txt").write_text("of another program")

    def load(path: Path) -> ForeignTeacher | None:
        if not (path / "weights.txt").exists():
            return None
        teacher, metadata, _ = DIFFUSION.read(ours)
        return ForeignTeacher(teacher, replace(metadata, data_sha256=None), "5" * 64)

    monkeypatch.setitem(TEACHERS._loaded, "ddpm", replace(TEACHERS.get("ddpm"), load=load))
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        DIFFUSION.load(tmp_path)
    metadata = distil(theirs, demonstrations, tmp_path / "S", DistilConfig(**tiny, experts=2, pool_copies=1))  # type: ignore[arg-type]
    assert (metadata.teacher_sha256, len(metadata.warnings)) == ("5" * 64, 1)
    assert export(theirs, tmp_path / "t.onnx", ExportConfig(steps=2, novelty=False)).structure == "diffusion"
