"""Common parts of all trainings: refused settings, devices, precision, compilation, checkpoints."""

import dataclasses
import math
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from toy_targets import small_demonstrations
from trainings import distil, train_teacher

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.fit.checkpoint import load_model
from vdd_ros.learning.kinds import DIFFUSION, MIXTURE
from vdd_ros.learning.methods.configs import DistilConfig, TrainConfig

SMALL: dict[str, Any] = {"backbone": "mlp", "width": 8, "layers": 1, "heads": 2, "octaves": 1, "batch": 4, "steps": 3}
TINY = TrainConfig(**SMALL, history=2)
BACKBONES = pytest.mark.parametrize("backbone", ["mlp", "gpt"])


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("decay", "cliff", "decay is 'cliff'; allowed: cosine, linear"),
        ("device", "tpu", "device is 'tpu'; allowed: auto, cpu, cuda"),
        ("precision", "float8", "precision is 'float8'; allowed: float32, bfloat16"),
        ("backbone", "cnn", "backbone is 'cnn'; allowed: gpt, mlp"),
        ("teacher", "oracle", "unknown teacher 'oracle'; known: beso, ddpm"),
        ("steps", 0, "steps is 0; it must be finite and at least 1"),
        ("steps", math.nan, "steps is nan"),
        ("batch", 0, "batch is 0"),
        ("learning_rate", 0.0, "learning_rate is 0.0; it must be finite and above 0"),
        ("learning_rate", math.nan, "learning_rate is nan"),
        ("learning_rate", math.inf, "learning_rate is inf"),
        ("weight_decay", -1e-4, "weight_decay is -0.0001"),
        ("ema_decay", 1.0, "ema_decay is 1.0; it must be at least 0 and below 1"),
        ("ema_decay", -0.1, "ema_decay is -0.1"),
        ("ema_decay", math.nan, "ema_decay is nan"),
        ("observation_noise", math.inf, "observation_noise is inf"),
        ("width", 1, "width is 1; it must be finite and at least 2"),
        ("layers", 0, "layers is 0"),
        ("heads", 0, "heads is 0"),
        ("octaves", -1, "octaves is -1"),
        ("dropout", 1.0, "dropout is 1.0; it must be at least 0 and below 1"),
        ("dropout", math.nan, "dropout is nan"),
        ("history", 0, "history is 0"),
        ("horizon", 0, "horizon is 0"),
        ("goal_length", -1, "goal_length is -1"),
        ("levels_per_state", 0, "levels_per_state is 0"),
        ("levels", 1, "levels is 1; it must be finite and at least 2"),
        ("sigma_min", 0.0, "sigma_min is 0.0; it must be finite and above 0"),
        ("sigma_data", -1.0, "sigma_data is -1.0"),
        ("sigma_min", 3.0, "noise levels run from 3.0 to 3.0; they must ascend"),
        ("sigma_max", math.nan, "sigma_max is nan"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        dataclasses.replace(TINY, **{field: value})  # type: ignore[arg-type]


def test_the_width_of_a_gpt_is_a_multiple_of_its_heads() -> None:
    with pytest.raises(ConfigurationError, match="width is 10 and heads is 4; the width must be a multiple"):
        TrainConfig(backbone="gpt", width=10, heads=4)
    TrainConfig(backbone="mlp", width=10, heads=4)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_cuda_is_not_replaced_by_something_else(tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, device="cuda")
    with pytest.raises(ConfigurationError, match="device is 'cuda', but torch finds no GPU; use --device cpu"):
        train_teacher(small_demonstrations(), tmp_path, config)
    assert dataclasses.replace(TINY, device="auto").pick_device() == torch.device("cpu")


def test_the_cpu_is_taken_where_it_is_asked_for() -> None:
    assert dataclasses.replace(TINY, device="cpu").pick_device() == torch.device("cpu")


def train(folder: Path, **settings: Any) -> dict[str, torch.Tensor]:
    """Train a tiny teacher and return its weights."""
    train_teacher(small_demonstrations(), folder, dataclasses.replace(TINY, **settings))
    return load_model(folder)[1]


@BACKBONES
def test_mixed_precision_trains_nearly_the_same_model(tmp_path: Path, backbone: str) -> None:
    settings = {"backbone": backbone, "steps": 20}
    full = train(tmp_path / "full", **settings)
    mixed = train(tmp_path / "mixed", **settings, precision="bfloat16")
    assert not all(torch.equal(full[name], mixed[name]) for name in full)
    moved = torch.cat([(full[name] - mixed[name]).flatten() for name in full if full[name].isfinite().all()])
    assert moved.abs().max() < 0.02
    assert all(value.dtype == torch.float32 for value in mixed.values())


@pytest.mark.parametrize("change", [{}, {"update": "paper"}, {"covariance": "full"}], ids=str)
def test_mixed_precision_distils(tmp_path: Path, change: dict[str, Any]) -> None:
    train(tmp_path / "T", backbone="gpt")
    config = DistilConfig(**{**SMALL, "backbone": "gpt"}, experts=3, pool_copies=1, precision="bfloat16", **change)
    distil(tmp_path / "T", small_demonstrations(), tmp_path / "S", config)
    student, _ = MIXTURE.load(tmp_path / "S")
    assert all(parameter.isfinite().all() for parameter in student.parameters())


@BACKBONES
def test_a_compiled_network_trains_the_same_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backbone: str
) -> None:
    """Traced as torch.compile does, but run without its C++, which would take a minute to build."""
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend="aot_eager"))
    plain = train(tmp_path / "plain", backbone=backbone)
    compiled = train(tmp_path / "compiled", backbone=backbone, compile=True)
    assert plain.keys() == compiled.keys(), "its names are as if it were not compiled"
    for name, value in plain.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-3, atol=1e-4)


def test_the_averaged_weights_are_kept(tmp_path: Path) -> None:
    """Without averaging what is kept is what was trained last."""
    last, averaged = train(tmp_path / "last", ema_decay=0.0), train(tmp_path / "averaged", ema_decay=0.9)
    assert not all(torch.equal(last[name], averaged[name]) for name in last)
    teacher, metadata = DIFFUSION.load(tmp_path / "last")
    assert metadata.steps == 3
    assert metadata.settings == dataclasses.asdict(dataclasses.replace(TINY, ema_decay=0.0))
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert not teacher.training
