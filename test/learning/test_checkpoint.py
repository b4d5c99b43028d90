"""Checkpoints: whole or not at all, and every way to be wrong is refused."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from safetensors.torch import save_file
from toy_targets import small_demonstrations
from trainings import train_teacher

from vdd_ros.errors import CheckpointError, ConfigurationError
from vdd_ros.features import Feature
from vdd_ros.learning.fit.checkpoint import (
    METADATA_FILE,
    MODEL_FILE,
    STATE_FILE,
    CheckpointMetadata,
    load_model,
    load_tensors,
    model_sha256,
    save_model,
    save_tensors,
)
from vdd_ros.learning.fit.run_folder import prepare_folder
from vdd_ros.learning.kinds import DIFFUSION, MIXTURE
from vdd_ros.learning.methods.configs import TrainConfig
from vdd_ros.learning.students.mixture import StudentConfig

TENSORS = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.tensor([1.5])}
METADATA = CheckpointMetadata(
    structure="diffusion",
    method="ddpm",
    task="avoiding",
    observation=(Feature("x", "m"), Feature("y", "m")),
    action=(Feature("u", "m/s"),),
    rate_hz=20.0,
    statistics={
        **{"observation_mean": [0.5, 0.25], "observation_std": [1.0, 2.0], "action_mean": [0.25], "action_std": [0.5]},
        **{"action_low": [-1.0], "action_high": [1.0]},
    },
    model={"width": 8},
    settings={"seed": 3},
    steps=7,
    data_sha256="0" * 64,
    teacher_sha256=None,
    versions={"torch": "2"},
)


def write(folder: Path, text: str) -> None:
    save_tensors(folder / MODEL_FILE, TENSORS, text)


def test_a_saved_model_reads_back(tmp_path: Path) -> None:
    save_model(tmp_path / "new", TENSORS, METADATA)
    metadata, tensors = load_model(tmp_path / "new")
    assert metadata == METADATA
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], value) for name, value in TENSORS.items())
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [METADATA_FILE, MODEL_FILE]
    assert CheckpointMetadata.from_json((tmp_path / "new" / METADATA_FILE).read_text(), tmp_path) == METADATA


def test_the_digest_is_of_the_weights(tmp_path: Path) -> None:
    save_model(tmp_path, TENSORS, METADATA)
    before = model_sha256(tmp_path)
    save_model(tmp_path, TENSORS, METADATA)
    assert model_sha256(tmp_path) == before
    save_model(tmp_path, {**TENSORS, "bias": torch.tensor([1.6])}, METADATA)
    assert model_sha256(tmp_path) != before


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path, TENSORS, METADATA)
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
    with pytest.raises(CheckpointError, match="not a vdd_ros checkpoint: its header lacks the metadata"):
        load_model(tmp_path)


def test_models_of_other_programs_are_named(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / MODEL_FILE)
    (tmp_path / "config.json").write_text('{"type": "diffusion"}')
    with pytest.raises(CheckpointError, match=r"is a model of another program, as LeRobot keeps it \(config\.json"):
        load_model(tmp_path)
    (tmp_path / "policy.ckpt").write_bytes(b"\x80\x02.")
    with pytest.raises(CheckpointError, match="is a pickle, which is never opened"):
        load_model(tmp_path / "policy.ckpt")
    (tmp_path / "D").mkdir()
    (tmp_path / "D" / "env.pkl").write_bytes(b"\x80\x02.")
    with pytest.raises(CheckpointError, match="is a folder of pickles"):
        load_model(tmp_path / "D")


def without(field: str) -> Callable[[dict[str, Any]], Any]:
    return lambda fields: {name: value for name, value in fields.items() if name != field}


@pytest.mark.parametrize(
    ("kind", "structure", "model"),
    [
        ("ddpm", "diffusion", {"kind": "ddpm"}),
        ("imc", "mixture", {"experts": 3}),
        ("cd", "one_step", {"conditions": 1}),
        ("ctm", "one_step", {"conditions": 2}),
    ],
)
def test_metadata_of_version_1_are_read(tmp_path: Path, kind: str, structure: str, model: dict[str, Any]) -> None:
    """Its kind implied the structure, and for one-step policies the number of noise levels."""
    new = ("structure", "method", "warnings")
    old = {name: value for name, value in json.loads(METADATA.to_json()).items() if name not in new}
    own = {"kind": kind} if structure == "one_step" else model
    write(tmp_path, json.dumps({**old, "format_version": 1, "kind": kind, "model": {"width": 8, **own}}))
    expected = replace(METADATA, structure=structure, method=kind, model={"width": 8, **model})
    assert load_model(tmp_path)[0] == expected
    write(tmp_path, json.dumps({**old, "format_version": 1, "kind": "gan"}))
    with pytest.raises(CheckpointError, match="has the structure '' and the method 'gan'"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda fields: {**fields, "format_version": 3},
            "checkpoint version 3; this version of vdd_ros reads 1 and 2",
        ),
        (without("format_version"), "has checkpoint version None"),
        (without("structure"), "has metadata that lacks structure"),
        (without("observation"), "has metadata that lacks observation"),
        (lambda fields: {**fields, "action": [["u"]]}, r"has a wrong action: it holds .*, not a pair of name and unit"),
        (lambda fields: {**fields, "surprise": 1}, "has the unknown field surprise"),
        (lambda fields: 5, "has damaged metadata"),
    ],
)
def test_wrong_metadata_are_refused(tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    write(tmp_path, json.dumps(change(json.loads(METADATA.to_json()))))
    with pytest.raises(CheckpointError, match=message):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("method", 5, "has the method '5'; it must be a text"),
        ("method", "", "has the method ''"),
        ("structure", "vdd", "has the structure 'vdd' and the method 'ddpm'; the structure must be one of mixture"),
        ("structure", [], "has the structure '[]'"),
        ("warnings", "none", "has no list of at most 100 texts as its warnings"),
        ("warnings", [5], "has the warning '5'"),
        ("task", ["avoiding"], "has the task"),
        ("task", "x" * 300, "has the task"),
        ("observation", {}, "has a wrong observation: it is not a list of 1 to"),
        ("observation", [], "has a wrong observation: it is not a list of"),
        ("observation", ["xm", "ym"], "not a pair of name and unit"),
        ("observation", [["x", "m"], ["x", "m"]], "has a wrong observation: it has the entry 'x' twice"),
        ("action", [["u", 3]], "not a pair of name and unit"),
        ("rate_hz", 0, "has the rate_hz 0; it must be a number above 0"),
        ("rate_hz", "20", "has the rate_hz 20"),
        ("rate_hz", True, "has the rate_hz True"),
        ("rate_hz", float("nan"), "has the rate_hz nan"),
        ("rate_hz", 10**400, "has the rate_hz 1000"),
        ("steps", -1, "has -1 steps"),
        ("steps", 1.5, "has 1.5 steps"),
        ("steps", None, "has None steps"),
        ("statistics", [], "has other statistics than observation_mean"),
        ("statistics", {}, "has other statistics than observation_mean"),
        ("model", 3, "has no object as its model"),
        ("model", {"width": [8]}, "has a model.width that is neither text nor a finite number"),
        ("settings", {"seed": float("inf")}, "has a settings.seed that is neither"),
        ("versions", [], "has no object as its versions"),
        ("data_sha256", "0" * 63, "has the data_sha256"),
        ("data_sha256", 5, "has the data_sha256 '5'; it must be null or have 64"),
        ("teacher_sha256", 5, "has the teacher_sha256"),
    ],
)
def test_a_field_that_cannot_be_is_refused(tmp_path: Path, field: str, value: object, message: str) -> None:
    write(tmp_path, json.dumps({**json.loads(METADATA.to_json()), field: value}))
    with pytest.raises(CheckpointError, match=re.escape(message)):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("observation_mean", [0.0], "observation_mean that is not a list of 2 finite numbers"),
        ("observation_std", [1.0, 0.0], "observation_std of 0.0; deviations are above 0"),
        ("observation_std", [1.0, float("nan")], "observation_std that is not a list of 2 finite numbers"),
        ("action_std", 1.0, "action_std that is not a list of 1 finite numbers"),
        ("action_low", [2.0], "action_low above its action_high"),
        ("action_high", ["1"], "action_high that is not a list of 1 finite numbers"),
    ],
)
def test_statistics_that_cannot_be_are_refused(tmp_path: Path, name: str, value: object, message: str) -> None:
    metadata = json.loads(METADATA.to_json())
    write(tmp_path, json.dumps({**metadata, "statistics": {**metadata["statistics"], name: value}}))
    with pytest.raises(CheckpointError, match=re.escape(message)):
        load_model(tmp_path)


def test_an_entry_that_comes_twice_among_many_is_found_at_once(tmp_path: Path) -> None:
    """Comparing each with each would take hours for what fits into the metadata."""
    entries = [[f"x{k}", "m"] for k in range(100_000)]
    write(tmp_path, json.dumps({**json.loads(METADATA.to_json()), "observation": [*entries, entries[-1]]}))
    with pytest.raises(CheckpointError, match="has a wrong observation: it has the entry 'x99999' twice"):
        load_model(tmp_path)


def test_metadata_that_are_not_json_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "{")
    with pytest.raises(CheckpointError, match=r"the metadata of .*is not JSON"):
        load_model(tmp_path)


def test_another_kind_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path, TENSORS, METADATA)
    with pytest.raises(
        CheckpointError, match="holds a diffusion policy made by 'ddpm', but a mixture policy is needed"
    ):
        MIXTURE.load(tmp_path)


def test_unknown_digests_and_warnings_are_kept(tmp_path: Path) -> None:
    metadata = replace(METADATA, data_sha256=None, warnings=("the teacher learned from unknown demonstrations",))
    save_model(tmp_path, TENSORS, metadata)
    assert load_model(tmp_path)[0] == metadata


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    train_teacher(small_demonstrations(), folder, TrainConfig(steps=1, batch=2, backbone="mlp", width=4, layers=1))
    return folder


def test_a_model_that_could_not_be_read_again_is_not_trained(tmp_path: Path) -> None:
    config = TrainConfig(steps=1, batch=2, backbone="mlp", width=4, layers=1, levels=100_001)
    with pytest.raises(ConfigurationError, match="levels is 100001; it must be at most 100,000"):
        train_teacher(small_demonstrations(), tmp_path / "T", config)
    with pytest.raises(CheckpointError, match="has the rate_hz nan"):
        save_model(tmp_path / "S", TENSORS, replace(METADATA, rate_hz=float("nan")))
    assert not (tmp_path / "S").exists()


def test_weights_or_metadata_of_another_model_are_refused(tmp_path: Path, teacher: Path) -> None:
    metadata, tensors = load_model(teacher)
    save_model(tmp_path, tensors, replace(metadata, model={**metadata.model, "width": 6}))
    with pytest.raises(CheckpointError, match="do not fit their own metadata"):
        DIFFUSION.load(tmp_path)
    save_model(tmp_path, tensors, replace(metadata, model={**metadata.model, "blocks": 6}))
    with pytest.raises(CheckpointError, match=r"describes another model .*blocks"):
        DIFFUSION.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 10**9}, "width is 1000000000; it must be from 0 to 1,048,576"),
        ({"width": 2**20}, "do not fit their own metadata .*has the shape"),
        ({"width": "4"}, "width is '4'"),
        ({"width": 4.5}, "width is '4.5'"),
        ({"width": True}, "width is 'True'"),
        ({"width": 1}, "width is 1"),
        ({"layers": 10**6}, "layers is 1000000; it must be from 0 to 1,000"),
        ({"layers": 900}, "do not fit their own metadata .*lack"),
        ({"levels": 10**9}, "levels is 1000000000"),
        ({"levels": 1}, "levels is 1; it must be from 2"),
        ({"octaves": 1000}, "octaves is 1000"),
        ({"history": 10**6}, "history is 1000000"),
        ({"horizon": 0}, "horizon is 0"),
        ({"backbone": "cnn"}, "backbone is 'cnn'"),
        ({"backbone": "gpt", "heads": 0}, "heads is 0"),
        ({"kind": 3}, "kind is '3'"),
        ({"kind": "dppm"}, "unknown teacher 'dppm'; known: .*; did you mean 'ddpm'"),
        ({"sigma_min": 0.0}, "sigma_min is 0.0; it must be above 0"),
        ({"obs_dim": 7}, "obs_dim is 7, but the metadata has 4 entries"),
        ({"act_dim": 1}, "act_dim is 1, but the metadata has 2 entries"),
        ({"dropout": -1.0}, "dropout is -1.0"),
    ],
)
def test_a_model_that_cannot_be_is_refused_before_it_is_built(
    tmp_path: Path, teacher: Path, change: dict[str, Any], message: str
) -> None:
    """Within the memory that this process may have: a layer of a width of 2^20 has 4 TiB."""
    metadata, tensors = load_model(teacher)
    save_model(tmp_path, tensors, replace(metadata, model={**metadata.model, **change}))
    with pytest.raises(CheckpointError, match=message):
        DIFFUSION.load(tmp_path)


def test_a_least_deviation_that_no_student_has_is_refused(tmp_path: Path) -> None:
    shape = StudentConfig(history=1, obs_dim=2, horizon=1, act_dim=1, floor=1.5)
    save_model(tmp_path, TENSORS, replace(METADATA, structure="mixture", method="vdd", model=asdict(shape)))
    with pytest.raises(CheckpointError, match=r"floor is 1\.5; it must be below 1"):
        MIXTURE.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: value.double(), "is float64, not float32"),
        (lambda value: value.bfloat16(), "is bfloat16, not float32"),
        (lambda value: value.T.contiguous(), "has the shape"),
        (lambda value: torch.full_like(value, torch.nan), "is not finite"),
        (lambda value: torch.full_like(value, torch.inf), "is not finite"),
    ],
)
def test_weights_of_another_type_or_that_are_not_finite_are_refused(
    tmp_path: Path, teacher: Path, change: Callable[[torch.Tensor], torch.Tensor], message: str
) -> None:
    metadata, tensors = load_model(teacher)
    name = next(name for name, value in tensors.items() if value.ndim == 2 and value.shape[0] != value.shape[1])
    save_model(tmp_path, {**tensors, name: change(tensors[name])}, metadata)
    with pytest.raises(CheckpointError, match=message):
        DIFFUSION.load(tmp_path)


def test_a_header_that_claims_more_than_there_is_is_refused(tmp_path: Path) -> None:
    header = {"weight": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}}
    header["__metadata__"] = {"vdd_ros": METADATA.to_json()}
    text = json.dumps(header).encode()
    (tmp_path / MODEL_FILE).write_bytes(len(text).to_bytes(8, "little") + text + bytes(100))
    with pytest.raises(CheckpointError, match="truncated"):
        load_model(tmp_path)


def test_a_loaded_teacher_is_frozen(teacher: Path) -> None:
    network, metadata = DIFFUSION.load(teacher)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert metadata.method == "ddpm"


@pytest.mark.parametrize("crash_at", [1, 2])
def test_a_crash_between_writes_leaves_a_readable_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash_at: int
) -> None:
    save_model(tmp_path, TENSORS, METADATA)
    renames = 0

    def crash(source: Path, target: Path) -> None:
        nonlocal renames
        renames += 1
        if renames == crash_at:
            raise OSError("no space left on device")
        source.rename(target)

    monkeypatch.setattr(os, "replace", crash)
    newer = replace(METADATA, steps=8)
    with pytest.raises(OSError, match="no space left"):
        save_model(tmp_path, {**TENSORS, "bias": torch.tensor([9.0])}, newer)
    metadata, tensors = load_model(tmp_path)
    assert (metadata.steps, float(tensors["bias"])) == ((7, 1.5) if crash_at == 1 else (8, 9.0)), (
        "metadata and weights agree"
    )


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
    with pytest.raises(CheckpointError, match=r"settings\.json is not JSON"):
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


def test_tensors_come_in_order(tmp_path: Path) -> None:
    """Whoever draws a number for each gets the same ones every time."""
    many = {f"layer.{number:02}": torch.full((2,), float(number)) for number in range(40)}
    save_tensors(tmp_path / "file", many, "text")
    assert [list(load_tensors(tmp_path / "file")[0]) for _ in range(3)] == [sorted(many)] * 3
