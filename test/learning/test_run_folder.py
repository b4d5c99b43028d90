"""A folder that holds a result: nothing replaces it unasked, one process trains in it, a new run has to end well."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from safetensors.torch import load_file
from toy_targets import small_demonstrations
from trainings import distil, fit_mixture, train_teacher

from vdd_ros.cli.main import main
from vdd_ros.data.demonstrations import FILE_NAME, DemonstrationSet
from vdd_ros.errors import CheckpointError, DemonstrationError, VddError
from vdd_ros.learning.fit.checkpoint import MODEL_FILE, STATE_FILE
from vdd_ros.learning.fit.data_link import LINK_FILE
from vdd_ros.learning.kinds import DIFFUSION
from vdd_ros.learning.methods.configs import DistilConfig, EMConfig, TrainConfig

TINY: dict[str, Any] = {"backbone": "mlp", "width": 4, "layers": 1, "octaves": 1, "batch": 4, "steps": 2}
WORDS = [word for name, value in TINY.items() for word in (f"--{name}", str(value))]


def train(folder: Path, seed: int = 0, **options: Any) -> None:
    train_teacher(small_demonstrations(), folder, TrainConfig(**TINY, seed=seed), **options)


def content(folder: Path) -> dict[str, bytes]:
    """Return the files of a result by name."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """A finished teacher whose state was removed, as one does to save space or to hand it on."""
    train(tmp_path / "T")
    (tmp_path / "T" / STATE_FILE).unlink()
    return tmp_path / "T"


def test_a_model_without_a_state_is_not_overwritten(teacher: Path) -> None:
    before = content(teacher)
    with pytest.raises(CheckpointError, match="already holds a trained model; replace it with --force or choose"):
        train(teacher, seed=1)
    with pytest.raises(CheckpointError, match="already holds a trained model"):
        fit_mixture(small_demonstrations(), teacher, EMConfig(**TINY, experts=2))
    assert content(teacher) == before


def test_a_student_never_replaces_its_own_teacher(teacher: Path, tmp_path: Path) -> None:
    """Whatever the folder is called."""
    before = content(teacher)
    config = DistilConfig(**TINY, experts=2, pool_copies=1, pool_samples=1)
    link = tmp_path / "link"
    link.symlink_to(teacher)
    for folder in (teacher, link):
        for force in ({}, {"force": True}):
            with pytest.raises(CheckpointError, match="is the teacher's own folder"):
                distil(teacher, small_demonstrations(), folder, config, **force)
    assert content(teacher) == before


def test_other_demonstrations_in_the_folder_stay(tmp_path: Path) -> None:
    mine = small_demonstrations(seed=5)
    file = mine.save(tmp_path / "T")
    before = file.read_bytes()
    with pytest.raises(DemonstrationError, match="holds other demonstrations than those given"):
        train(tmp_path / "T")
    assert content(tmp_path / "T") == {FILE_NAME: before}
    train_teacher(mine, tmp_path / "T", TrainConfig(**TINY))
    assert file.read_bytes() == before, "the same ones are kept, and not written again"


def test_force_replaces_the_result_once_the_new_run_has_ended_well(teacher: Path) -> None:
    before = content(teacher)
    train_teacher(small_demonstrations(seed=5), teacher, TrainConfig(**TINY, seed=1), force=True)
    after = content(teacher)
    assert after[MODEL_FILE] != before[MODEL_FILE]
    assert DemonstrationSet.load(teacher).sha256 == small_demonstrations(seed=5).sha256
    assert names(teacher) == sorted(
        [FILE_NAME, LINK_FILE, MODEL_FILE, "model.json", STATE_FILE, "settings.json", "tensorboard"]
    ), "and nothing else remains"


def test_a_failed_run_restores_the_previous_content(teacher: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(teacher)

    def diverge(*_: object) -> None:
        raise VddError("training diverged")

    monkeypatch.setattr("vdd_ros.learning.fit.training_loop.TrainingLoop._advance", diverge)
    for _ in range(2):  # also where that run is replaced in its turn
        with pytest.raises(VddError, match="diverged"):
            train(teacher, seed=1, force=True)
        assert content(teacher / ".vdd_ros.previous") == {
            name: value for name, value in before.items() if name != FILE_NAME
        }
    monkeypatch.undo()
    train(teacher, seed=2, force=True)
    assert not (teacher / ".vdd_ros.previous").exists()
    assert DIFFUSION.load(teacher)[1].settings["seed"] == 2


def test_a_run_that_cannot_begin_moves_nothing(teacher: Path, tmp_path: Path) -> None:
    before = content(teacher)
    with pytest.raises(DemonstrationError, match="shorter horizon"):
        train_teacher(small_demonstrations(), teacher, TrainConfig(**TINY, horizon=5000), force=True)
    assert content(teacher) == before
    assert not (teacher / ".vdd_ros.previous").exists()
    with pytest.raises(DemonstrationError, match="shorter horizon"):
        train_teacher(small_demonstrations(), tmp_path / "new", TrainConfig(**TINY, horizon=5000))
    assert not (tmp_path / "new").exists()


def test_a_move_that_was_cut_off_is_finished(tmp_path: Path) -> None:
    from vdd_ros.earlier import PREVIOUS, set_aside

    (tmp_path / ".vdd_ros.moving").mkdir()
    (tmp_path / ".vdd_ros.moving" / "one").write_text("1")
    (tmp_path / "two").write_text("2")
    (tmp_path / "mine").write_text("mine")
    set_aside(tmp_path, ("one", "two"))
    assert names(tmp_path) == [PREVIOUS, "mine"]
    assert names(tmp_path / PREVIOUS) == ["one", "two"]


def test_the_command_takes_force_but_not_with_resume(teacher: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["train", "--task", "avoiding", "--demos", str(teacher), "--out", str(teacher), *WORDS]
    assert main([*argv, "--seed", "3"]) == 2
    assert "replace it with --force" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*argv, "--force", "--resume"])
    assert main([*argv, "--seed", "3", "--force"]) == 0
    assert DIFFUSION.load(teacher)[1].settings["seed"] == 3


HOLDING = """
import sys
from pathlib import Path

from toy_targets import small_demonstrations
from trainings import train_teacher

from vdd_ros.learning.fit.training_loop import TrainingLoop
from vdd_ros.learning.methods.configs import TrainConfig

def wait(self, *_):
    print("ready", flush=True)
    sys.stdin.read()
    raise SystemExit(3)

TrainingLoop._advance = wait
train_teacher(small_demonstrations(), Path(sys.argv[1]), TrainConfig(backbone="mlp", width=4, layers=1, octaves=1))
"""


@pytest.mark.parametrize("options", [{}, {"force": True}])
def test_two_trainings_in_one_folder(tmp_path: Path, options: dict[str, bool]) -> None:
    """The second is refused at once, with the process that holds the lock."""
    folder = tmp_path / "T"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-c", HOLDING, str(folder), "the first"]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "ready\n"
        before = content(folder)
        with pytest.raises(VddError, match=rf"is in use by process {first.pid} \(.*the first\); wait"):
            train(folder, **options)
        assert content(folder) == before
        first.kill()
    train(folder, **options)
    assert DIFFUSION.load(folder)[1].steps == 2


def test_the_digest_of_a_teacher_is_of_what_was_read(teacher: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights and metadata, from the same bytes: another training may end just after they were read."""
    from vdd_ros.learning.methods import sources

    known = sources.TeacherSource.load(teacher, small_demonstrations(), torch.device("cpu")).sha256
    file = teacher / MODEL_FILE
    read = Path.read_bytes
    count = 0

    def changing(self: Path) -> bytes:
        nonlocal count
        found = read(self)
        count += self == file
        if self == file:
            file.write_bytes(found + b" ")
        return found

    monkeypatch.setattr(Path, "read_bytes", changing)
    assert sources.TeacherSource.load(teacher, small_demonstrations(), torch.device("cpu")).sha256 == known
    assert count == 1


def test_the_digest_covers_the_metadata(teacher: Path) -> None:
    from vdd_ros.learning.fit.checkpoint import load_model, model_sha256, save_model

    before = model_sha256(teacher)
    metadata, tensors = load_model(teacher)
    save_model(teacher, tensors, replace(metadata, rate_hz=metadata.rate_hz + 1))
    assert model_sha256(teacher) != before
    assert load_file(teacher / MODEL_FILE).keys() == tensors.keys()
    assert json.loads((teacher / "model.json").read_text())["rate_hz"] == metadata.rate_hz + 1
