"""The link from a checkpoint to its demonstrations: relative, and verified only by hash."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from toy_targets import small_demonstrations
from trainings import distil, train_teacher

from vdd_ros.cli.main import main
from vdd_ros.data.demonstrations import FILE_NAME, DemonstrationSet
from vdd_ros.data.formats import npz
from vdd_ros.errors import DemonstrationError
from vdd_ros.learning.fit.checkpoint import MODEL_FILE
from vdd_ros.learning.fit.data_link import LINK_FILE, load_linked
from vdd_ros.learning.kinds import DIFFUSION
from vdd_ros.learning.methods.configs import DistilConfig, TrainConfig

TINY: dict[str, Any] = {"backbone": "mlp", "width": 4, "layers": 1, "octaves": 1, "batch": 4, "steps": 2}


@pytest.fixture
def demonstrations(tmp_path: Path) -> DemonstrationSet:
    return DemonstrationSet.load(small_demonstrations().save(tmp_path / "work" / "D"))


@pytest.fixture
def teacher(tmp_path: Path, demonstrations: DemonstrationSet) -> Path:
    train_teacher(demonstrations, tmp_path / "work" / "T", TrainConfig(**TINY))
    return tmp_path / "work" / "T"


def test_a_checkpoint_links_to_its_demonstrations(teacher: Path, demonstrations: DemonstrationSet) -> None:
    assert not (teacher / FILE_NAME).exists()
    link = json.loads((teacher / LINK_FILE).read_text())
    assert link == {"sha256": demonstrations.sha256, "path": f"../D/{FILE_NAME}"}
    assert load_linked(teacher).sha256 == demonstrations.sha256


def test_the_link_holds_where_everything_moves(teacher: Path, tmp_path: Path) -> None:
    sha256 = DIFFUSION.load(teacher)[1].data_sha256
    shutil.move(tmp_path / "work", tmp_path / "elsewhere")
    assert load_linked(tmp_path / "elsewhere" / "T").sha256 == sha256


def test_missing_demonstrations_are_named_with_their_hash(teacher: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(teacher.parent / "D")
    sha256 = str(DIFFUSION.load(teacher)[1].data_sha256)
    assert main(["distil", "--teacher", str(teacher), "--out", str(teacher.parent / "S")]) == 2
    message = capsys.readouterr().err
    assert f"(sha256 {sha256[:12]}) are not at" in message
    assert "give them: --demos PATH" in message


def test_other_demonstrations_in_their_place_are_refused(teacher: Path) -> None:
    sha256 = str(DIFFUSION.load(teacher)[1].data_sha256)
    small_demonstrations(seed=5).save(teacher.parent / "D")
    with pytest.raises(DemonstrationError, match=rf"holds other demonstrations .*{sha256[:12]}.*--demos"):
        load_linked(teacher)


def test_demonstrations_in_memory_are_kept_in_the_folder(tmp_path: Path) -> None:
    made = small_demonstrations()
    train_teacher(made, tmp_path, TrainConfig(**TINY))
    assert made.file == tmp_path / FILE_NAME
    assert json.loads((tmp_path / LINK_FILE).read_text()) == {"sha256": made.sha256, "path": FILE_NAME}
    assert load_linked(tmp_path).sha256 == made.sha256


def test_a_student_links_to_what_it_was_distilled_with(teacher: Path, tmp_path: Path) -> None:
    """Which need not be what its teacher learned from."""
    others = DemonstrationSet.load(small_demonstrations(seed=5).save(tmp_path / "other"))
    distil(teacher, others, tmp_path / "S", DistilConfig(**TINY, experts=2, pool_copies=1, pool_samples=1))
    assert load_linked(tmp_path / "S").sha256 == others.sha256


def test_a_folder_without_link_that_keeps_a_copy_is_read(tmp_path: Path) -> None:
    made = small_demonstrations()
    made.save(tmp_path)
    assert load_linked(tmp_path).sha256 == made.sha256


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"path": 3}', '{"path": ""}', '{"path": "a\\u0000b"}', '{"path": "x", "sha256": "1"}']
)
def test_a_damaged_link_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / LINK_FILE).write_text(text)
    with pytest.raises(DemonstrationError, match=LINK_FILE):
        load_linked(tmp_path)


def test_without_link_and_demonstrations_the_error_says_how_to_give_them(tmp_path: Path) -> None:
    with pytest.raises(DemonstrationError, match="has neither demonstrations nor a link to them"):
        load_linked(tmp_path)


def test_a_mapped_set_teaches_the_same_as_one_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights to the bit, although windows are read from the file as they are drawn."""
    train_teacher(small_demonstrations(), tmp_path / "memory", TrainConfig(**TINY))
    monkeypatch.setattr(npz, "COMPRESSED_BELOW", 1)
    monkeypatch.setattr(npz, "MAPPED_FROM", 1)
    mapped = DemonstrationSet.load(small_demonstrations().save(tmp_path / "D"))
    assert mapped.is_mapped
    train_teacher(mapped, tmp_path / "mapped", TrainConfig(**TINY))
    assert (tmp_path / "mapped" / MODEL_FILE).read_bytes() == (tmp_path / "memory" / MODEL_FILE).read_bytes()


def test_a_set_whose_file_is_gone_is_kept_in_the_folder(tmp_path: Path, demonstrations: DemonstrationSet) -> None:
    shutil.rmtree(tmp_path / "work" / "D")
    train_teacher(demonstrations, tmp_path / "T", TrainConfig(**TINY))
    assert load_linked(tmp_path / "T").sha256 == demonstrations.sha256
