"""The state of a run that is resumed: all of it is checked before any of it is used, and good models stay."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from toy_targets import small_demonstrations
from trainings import train_teacher

from vdd_ros.errors import CheckpointError, ConfigurationError
from vdd_ros.learning.fit.checkpoint import MODEL_FILE, STATE_FILE
from vdd_ros.learning.fit.training_loop import LoopConfig, TrainingLoop
from vdd_ros.learning.methods.configs import TrainConfig

Tensors = dict[str, Tensor]
STEPS = 10
WEIGHT = "weight"


def make_loop(folder: Path) -> TrainingLoop:
    torch.manual_seed(0)
    return TrainingLoop(folder, nn.Linear(3, 2), LoopConfig(STEPS, 0.05), 0)


def run(loop: TrainingLoop) -> None:
    def loss(generator: torch.Generator, _step: int) -> tuple[Tensor, Tensors]:
        value = loop.module(torch.randn((4, 3), generator=generator)).square().mean()
        return value, {"loss": value.detach()}

    loop.run(loss, lambda: None, "test")


def change(file: Path, tensors: Callable[[Tensors], object] = len, header: Callable[[Any], Any] = dict) -> None:
    """Rewrite a file of tensors by hand."""
    with safe_open(file, framework="pt") as archive:
        found = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
        text = archive.metadata()["vdd_ros"]
    tensors(found)
    save_file(found, file, metadata={"vdd_ros": json.dumps(header(json.loads(text)))})


def setting(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[Tensors], None]:
    def apply(tensors: Tensors) -> None:
        tensors[name] = change(tensors[name]).contiguous()

    return apply


def filled(value: float) -> Callable[[Tensor], Tensor]:
    return lambda tensor: torch.full_like(tensor, value)


def without(name: str) -> Callable[[Tensors], None]:
    def apply(tensors: Tensors) -> None:
        del tensors[name]

    return apply


@pytest.mark.parametrize(
    ("apply", "message"),
    [
        (
            setting("module.weight", lambda value: value[:1]),
            r"its weights: weight has the shape \[1, 3\], not \[2, 3\]",
        ),
        (setting("module.weight", lambda value: value.flatten()), "its weights: weight has the shape"),
        (setting("module.weight", lambda value: value.double()), "its weights: weight is float64, not float32"),
        (setting("module.bias", lambda value: value.half()), "its weights: bias is float16, not float32"),
        (setting("module.weight", filled(math.nan)), "its weights: weight is not finite"),
        (without("module.bias"), "its weights lack bias"),
        (setting("averaged.weight", filled(math.inf)), "its averages: weight is not finite"),
        (setting("averaged.weight", lambda value: value.bfloat16()), "its averages: weight is bfloat16"),
        (without("averaged.weight"), "its averages lack weight"),
        (setting("exp_avg.weight", lambda value: value[:1]), r"exp_avg\.weight has the shape"),
        (setting("exp_avg.weight", lambda value: value.double()), r"exp_avg\.weight is float64"),
        (setting("exp_avg_sq.weight", lambda value: value.repeat(2, 1)), r"exp_avg_sq\.weight has the shape"),
        (setting("exp_avg.weight", filled(math.nan)), "the optimiser's state of weight is not finite"),
        (setting("exp_avg_sq.weight", filled(-1.0)), "a square is below 0"),
        (setting("step.weight", filled(-3.0)), r"step\.weight is -3\.0; it must be a whole number from 1 to 10"),
        (setting("step.weight", filled(11.0)), r"step\.weight is 11\.0"),
        (setting("step.weight", filled(1.5)), r"step\.weight is 1\.5"),
        (setting("step.weight", filled(math.nan)), r"step\.weight is nan"),
        (setting("step.weight", lambda value: value.repeat(3)), r"step\.weight has the shape \[3\]"),
        (without("exp_avg_sq.bias"), "lacks a part of the optimiser's state of bias"),
        (without("generator"), "lacks the random state 'generator'"),
        (setting("generator", lambda value: value[:16]), "the random state 'generator' has the shape"),
        (setting("generator", lambda value: value.float()), "the random state 'generator' is float32, not uint8"),
        (setting("dropout", lambda value: value[:0]), "the random state 'dropout' has the shape"),
        (lambda tensors: tensors.update(surprise=torch.zeros(1)), "it holds surprise, which this model does not have"),
    ],
)
def test_a_state_that_cannot_be_is_refused_before_it_is_used(
    tmp_path: Path, apply: Callable[[Tensors], None], message: str
) -> None:
    run(make_loop(tmp_path))
    change(tmp_path / STATE_FILE, apply)
    again = make_loop(tmp_path)
    before = {name: value.clone() for name, value in again.module.state_dict().items()}
    random = torch.get_rng_state()
    with pytest.raises(CheckpointError, match=rf"does not belong to this run \(.*{message}.*--force"):
        again.resume()
    assert all(torch.equal(value, before[name]) for name, value in again.module.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert again.step == 0


@pytest.mark.parametrize("step", [-1, STEPS + 1, 10**30, 2.5, True, None, "3", [3], math.nan])
def test_a_number_of_steps_that_cannot_be_is_refused(tmp_path: Path, step: object) -> None:
    run(make_loop(tmp_path))
    change(tmp_path / STATE_FILE, header=lambda header: {**header, "step": step})
    with pytest.raises(CheckpointError, match=r"it was written after .* steps; this run has from 0 to 10"):
        make_loop(tmp_path).resume()


@pytest.mark.parametrize("header", ["5", "[]", "{}", '"text"', "{", '{"step": 1, "step": 2}', "[" * 100_000])
def test_a_header_that_is_none_is_refused(tmp_path: Path, header: str) -> None:
    run(make_loop(tmp_path))
    with safe_open(tmp_path / STATE_FILE, framework="pt") as archive:
        found = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
    save_file(found, tmp_path / STATE_FILE, metadata={"vdd_ros": header})
    with pytest.raises(CheckpointError):
        make_loop(tmp_path).resume()


def test_a_state_that_was_cut_off_is_reported(tmp_path: Path) -> None:
    run(make_loop(tmp_path))
    file = tmp_path / STATE_FILE
    whole = file.read_bytes()
    for length in (0, 7, 20, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"truncated or not .*the run cannot be resumed: .*--force"):
            make_loop(tmp_path).resume()


SMALL: dict[str, Any] = {"backbone": "mlp", "width": 4, "layers": 1, "octaves": 1, "batch": 4, "steps": 3}


@pytest.mark.parametrize("what", ["averaged", "module"])
def test_averages_that_are_not_finite_never_replace_a_good_model(tmp_path: Path, what: str) -> None:
    config = TrainConfig(**SMALL)
    train_teacher(small_demonstrations(), tmp_path, config)
    before = (tmp_path / MODEL_FILE).read_bytes()

    def spoil(tensors: Tensors) -> None:
        name = next(name for name in tensors if name.startswith(f"{what}.network") and tensors[name].ndim == 2)
        tensors[name][0, 0] = math.nan

    change(tmp_path / STATE_FILE, spoil)
    with pytest.raises(CheckpointError, match="is not finite"):
        train_teacher(small_demonstrations(), tmp_path, config, resume=True)
    assert (tmp_path / MODEL_FILE).read_bytes() == before


def test_averages_that_become_infinite_are_divergence(tmp_path: Path) -> None:
    loop = make_loop(tmp_path)
    saved: list[int] = []

    def loss(generator: torch.Generator, step: int) -> tuple[Tensor, Tensors]:
        if step == 4:
            with torch.no_grad():
                loop.averaged.bias.fill_(math.inf)  # type: ignore[operator]
        value = loop.module(torch.randn((4, 3), generator=generator)).square().mean()
        return value, {"loss": value.detach()}

    with pytest.raises(ConfigurationError, match="diverged"):
        loop.run(loss, lambda: saved.append(loop.step), "test")
    assert not saved
    assert not (tmp_path / STATE_FILE).exists()


def test_settings_that_were_changed_since_are_noticed(tmp_path: Path) -> None:
    config = TrainConfig(**SMALL)
    train_teacher(small_demonstrations(), tmp_path, config)
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"learning_rate": 0.5}))
    with pytest.raises(CheckpointError, match=r"settings\.json beside it changed after the state was written"):
        train_teacher(small_demonstrations(), tmp_path, TrainConfig(**SMALL, learning_rate=0.5), resume=True)
