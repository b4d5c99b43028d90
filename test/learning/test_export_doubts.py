"""What an export doubts: entries that hardly changed, and training that did not end."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from toy_targets import restless, small_demonstrations
from trainings import train_teacher

from vdd_ros.cli.main import main
from vdd_ros.learning.fit.checkpoint import load_model, save_model
from vdd_ros.learning.methods.configs import TrainConfig
from vdd_ros.policy.onnx_policy import OnnxPolicy

SMALL: dict[str, Any] = {"backbone": "mlp", "history": 1, "width": 16, "layers": 1, "octaves": 2}
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    train_teacher(small_demonstrations(), folder, TrainConfig(steps=2, batch=4, **SMALL))
    return restless(folder, 0.1)


def changed(teacher: Path, folder: Path, **fields: Any) -> Path:
    """Write a copy of a checkpoint with other metadata."""
    metadata, tensors = load_model(teacher)
    save_model(folder, tensors, dataclasses.replace(metadata, **fields))
    return folder


def with_moments(teacher: Path, folder: Path, mean: float, deviation: float) -> Path:
    """Write a copy whose third entry, tcp_x, had these moments in the demonstrations."""
    lists = {name: list(values) for name, values in load_model(teacher)[0].statistics.items()}
    lists["observation_mean"][2], lists["observation_std"][2] = mean, deviation
    return changed(teacher, folder, statistics=lists)


def export(checkpoint: Path, file: Path, *options: str) -> int:
    return main(["export", str(checkpoint), "--out", str(file), "--steps", "2", "--no-novelty", *options])


@pytest.mark.parametrize("options", [[], ["--deterministic"]])
def test_a_file_whose_action_hangs_on_the_least_digit_is_refused(
    tmp_path: Path, teacher: Path, capsys: Capture, options: list[str]
) -> None:
    """0.5 m in float32 are known to 6e-8 m, which is sixty deviations of 1e-9 m."""
    steep = with_moments(teacher, tmp_path / "T", 0.5, 1e-9)
    assert export(steep, tmp_path / "p.onnx", *options) == 2
    said = capsys.readouterr().err
    assert "least significant digit of an observation moves the action by more than 1 % of its range" in said
    assert "tcp_x (0.5 m, deviation 1e-09 m)" in said
    assert "leave them out" in said
    assert "desired_x" not in said
    assert not (tmp_path / "p.onnx").exists()


def test_a_small_deviation_that_float32_resolves_is_reported_and_written(
    tmp_path: Path, teacher: Path, capsys: Capture
) -> None:
    small = with_moments(teacher, tmp_path / "T", 0.5, 5e-4)
    assert export(small, tmp_path / "p.onnx", "--json", str(tmp_path / "p.json")) == 0
    said = capsys.readouterr().err
    assert "warning: the observation entry tcp_x hardly changed in the demonstrations" in said
    assert "its deviation is 0.0005 m, the floor is 0.001 m" in said
    assert "tcp_x" in json.loads((tmp_path / "p.json").read_text())["warnings"][0]


def test_training_takes_the_least_deviation_and_says_so(tmp_path: Path, capsys: Capture) -> None:
    demonstrations = small_demonstrations()
    observation = demonstrations.observation.copy()
    observation[:, 2] = 0.5 + 1e-9 * np.random.default_rng(0).normal(size=len(observation))
    dataclasses.replace(demonstrations, observation=observation).save(tmp_path / "demos")
    small = ["--backbone", "mlp", "--history", "1", "--width", "8", "--layers", "1", "--steps", "2", "--batch", "4"]
    argv = ["train", "--task", "avoiding", "--demos", str(tmp_path / "demos"), *small]
    assert main([*argv, "--out", str(tmp_path / "T")]) == 0
    said = capsys.readouterr().err
    assert (
        "warning: the observation entry tcp_x hardly changed in the demonstrations: its deviation is 8.8e-10 m" in said
    )
    assert load_model(tmp_path / "T")[0].statistics["observation_std"][2] == pytest.approx(1e-3)
    assert export(tmp_path / "T", tmp_path / "p.onnx") == 0
    assert main([*argv, "--out", str(tmp_path / "U"), "--least-deviation", "0.02"]) == 0
    assert load_model(tmp_path / "U")[0].statistics["observation_std"][2] == pytest.approx(0.02)


def test_an_export_of_an_interrupted_run_says_how_far_it_came(tmp_path: Path, teacher: Path, capsys: Capture) -> None:
    metadata = load_model(teacher)[0]
    cut = changed(teacher, tmp_path / "T", steps=358, settings=metadata.settings | {"steps": 1500})
    assert export(cut, tmp_path / "p.onnx", "--json", str(tmp_path / "p.json")) == 0
    printed = capsys.readouterr()
    assert "358 of 1,500 steps, interrupted" in printed.out
    assert "warning: the training of" in printed.err
    assert "stopped after 358 of 1,500 steps. Finish it with --resume" in printed.err
    report = json.loads((tmp_path / "p.json").read_text())
    assert "358 of 1,500 steps" in report["warnings"][0]
    settings = OnnxPolicy.load(tmp_path / "p.onnx").spec.settings
    assert (settings["steps_done"], settings["steps"]) == (358, 1500)


def test_an_export_of_a_finished_run_warns_of_nothing(tmp_path: Path, teacher: Path, capsys: Capture) -> None:
    assert export(teacher, tmp_path / "p.onnx", "--json", str(tmp_path / "p.json")) == 0
    printed = capsys.readouterr()
    assert "2 steps" in printed.out
    assert "interrupted" not in printed.out
    assert json.loads((tmp_path / "p.json").read_text())["warnings"] == []
