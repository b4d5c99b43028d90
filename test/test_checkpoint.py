"""Checkpoints: whole or not at all, and every way to be wrong is refused."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from safetensors.torch import save_file
from toy_targets import small_demonstrations

from vdd_ros.errors import CheckpointError
from vdd_ros.training.checkpoint import (
    CARD_FILE,
    MODEL_FILE,
    STATE_FILE,
    Card,
    load_model,
    load_tensors,
    model_sha256,
    save_model,
    save_tensors,
)
from vdd_ros.training.distil import load_student
from vdd_ros.training.runs import prepare_folder
from vdd_ros.training.train import TrainConfig, load_teacher, train_teacher

TENSORS = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.tensor([1.5])}
CARD = Card(
    kind="ddpm",
    task="avoiding",
    observation=(("x", "m"), ("y", "m")),
    action=(("u", "m/s"),),
    rate_hz=20.0,
    statistics={"action_mean": [0.25]},
    model={"width": 8},
    settings={"seed": 3},
    steps=7,
    data_sha256="0" * 64,
    teacher_sha256=None,
    versions={"torch": "2"},
)


def write(folder: Path, text: str) -> None:
    save_tensors(folder / MODEL_FILE, TENSORS, text)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    save_model(tmp_path / "new", TENSORS, CARD)
    card, tensors = load_model(tmp_path / "new")
    assert card == CARD
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], value) for name, value in TENSORS.items())
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [CARD_FILE, MODEL_FILE]
    assert Card.from_json((tmp_path / "new" / CARD_FILE).read_text(), tmp_path) == CARD


def test_the_digest_is_of_the_weights(tmp_path: Path) -> None:
    save_model(tmp_path, TENSORS, CARD)
    before = model_sha256(tmp_path)
    save_model(tmp_path, TENSORS, CARD)
    assert model_sha256(tmp_path) == before
    save_model(tmp_path, {**TENSORS, "bias": torch.tensor([1.6])}, CARD)
    assert model_sha256(tmp_path) != before


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path, TENSORS, CARD)
    file = tmp_path / MODEL_FILE
    content = file.read_bytes()
    for length in [0, 1, 7, 8, 9, *range(10, len(content), 40), len(content) - 1]:
        file.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="is truncated or not a safetensors file"):
            load_model(tmp_path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*'vdd train'"):
        load_model(tmp_path / "nowhere")
    (tmp_path / MODEL_FILE).write_bytes(b"\x80\x04 a pickle, say" * 20)
    with pytest.raises(CheckpointError, match="truncated or not a safetensors file"):
        load_model(tmp_path)
    save_file(TENSORS, tmp_path / MODEL_FILE)
    with pytest.raises(CheckpointError, match="not a vdd_ros checkpoint: its header lacks a card"):
        load_model(tmp_path)


def without(field: str) -> Callable[[dict[str, Any]], Any]:
    return lambda fields: {name: value for name, value in fields.items() if name != field}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda fields: {**fields, "format_version": 2}, "has checkpoint version 2; this version of vdd_ros reads 1"),
        (without("format_version"), "has checkpoint version None"),
        (without("kind"), "has an incomplete card .*kind"),
        (without("observation"), "has an incomplete card .*observation"),
        (lambda fields: {**fields, "action": [["u"]]}, "has an incomplete card"),
        (lambda fields: {**fields, "surprise": 1}, "has an incomplete card .*surprise"),
        (lambda fields: 5, "has a damaged card"),
    ],
)
def test_a_wrong_card_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    write(tmp_path, json.dumps(change(json.loads(CARD.to_json()))))
    with pytest.raises(CheckpointError, match=message):
        load_model(tmp_path)


def test_a_card_that_is_not_json_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "{")
    with pytest.raises(CheckpointError, match="has a damaged card"):
        load_model(tmp_path)


def test_another_kind_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path, TENSORS, CARD)
    with pytest.raises(CheckpointError, match=r"holds a 'ddpm' policy, but a mixture \(vdd, em, imc\) is needed"):
        load_student(tmp_path)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    train_teacher(small_demonstrations(), folder, TrainConfig(steps=1, batch=2, backbone="mlp", width=4, layers=1))
    return folder


def test_weights_or_a_card_of_another_model_are_refused(tmp_path: Path, teacher: Path) -> None:
    card, tensors = load_model(teacher)
    save_model(tmp_path, tensors, replace(card, model={**card.model, "width": 6}))
    with pytest.raises(CheckpointError, match="do not fit their own card"):
        load_teacher(tmp_path)
    save_model(tmp_path, tensors, replace(card, model={**card.model, "blocks": 6}))
    with pytest.raises(CheckpointError, match=r"describes another model .*blocks"):
        load_teacher(tmp_path)


def test_a_loaded_teacher_is_frozen(teacher: Path) -> None:
    network, card = load_teacher(teacher)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert card.kind == "ddpm"


@pytest.mark.parametrize("crash_at", [1, 2])
def test_a_crash_between_writes_leaves_a_readable_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash_at: int
) -> None:
    save_model(tmp_path, TENSORS, CARD)
    renames = 0

    def crash(source: Path, target: Path) -> None:
        nonlocal renames
        renames += 1
        if renames == crash_at:
            raise OSError("no space left on device")
        source.rename(target)

    monkeypatch.setattr(os, "replace", crash)
    newer = replace(CARD, steps=8)
    with pytest.raises(OSError, match="no space left"):
        save_model(tmp_path, {**TENSORS, "bias": torch.tensor([9.0])}, newer)
    card, tensors = load_model(tmp_path)
    assert (card.steps, float(tensors["bias"])) == ((7, 1.5) if crash_at == 1 else (8, 9.0)), "card and weights agree"


def test_a_run_is_not_overwritten_nor_resumed_with_other_settings(tmp_path: Path) -> None:
    prepare_folder(tmp_path / "run", {"steps": 5}, resume=False)
    prepare_folder(tmp_path / "run", {"steps": 6}, resume=False)  # nothing was trained yet
    with pytest.raises(CheckpointError, match="holds no run to resume"):
        prepare_folder(tmp_path / "run", {"steps": 6}, resume=True)
    save_tensors(tmp_path / "run" / STATE_FILE, TENSORS, "")
    with pytest.raises(CheckpointError, match="already holds a run; continue it with --resume"):
        prepare_folder(tmp_path / "run", {"steps": 6}, resume=False)
    prepare_folder(tmp_path / "run", {"steps": 6}, resume=True)
    with pytest.raises(CheckpointError, match=r"other settings \(steps 6 -> 7\)"):
        prepare_folder(tmp_path / "run", {"steps": 7}, resume=True)
    (tmp_path / "run" / "settings.json").write_text("{")
    with pytest.raises(CheckpointError, match="is damaged"):
        prepare_folder(tmp_path / "run", {"steps": 6}, resume=True)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="is not a folder"):
        prepare_folder(tmp_path / "file", {}, resume=False)


def test_a_transposed_tensor_is_written_as_it_looks(tmp_path: Path) -> None:
    base = torch.arange(6.0).reshape(2, 3)
    save_tensors(tmp_path / "file", {"turned": base.T}, "text")
    tensors, text = load_tensors(tmp_path / "file")
    assert torch.equal(tensors["turned"], base.T)
    assert text == "text"
