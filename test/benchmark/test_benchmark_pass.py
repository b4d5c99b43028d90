"""Alternate passes of policy files: comparisons and refusals; no duration is asserted."""

import json
from pathlib import Path

import pytest
from array_policies import write_linear
from policy_files import write_diffusion, write_mixture

from vdd_ros.benchmark.pass_times import compare_passes
from vdd_ros.cli.main import main
from vdd_ros.errors import ConfigurationError
from vdd_ros.features import Feature


def test_a_file_is_compared_with_its_counterpart(tmp_path: Path) -> None:
    one, other = write_mixture(tmp_path / "one.onnx"), write_mixture(tmp_path / "other.onnx", seed=1)
    teacher = write_diffusion(tmp_path / "teacher.onnx")
    json_file = tmp_path / "found.json"
    command = ["benchmark", "pass", *map(str, (one, one, one)), "--against", *map(str, (one, other, teacher))]
    assert main([*command, "--rounds", "2", "--json", str(json_file), "--figure", str(tmp_path / "found.png")]) == 0
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads(json_file.read_text())
    same, different, longer = found["comparisons"]
    assert same["difference"] == 0.0
    assert different["difference"] > 1e-2
    assert longer["difference"] is None, "a sampler takes other noise"
    assert longer["against"]["file"] == "teacher.onnx"
    assert longer["policy"]["operators"] > 10
    for compared in found["comparisons"]:
        low, high = compared["ratio_interval"]
        assert 0 < low <= compared["ratio"] <= high
    assert "onnxruntime" in found["versions"]


def test_arrays_of_another_type_are_other_inputs(tmp_path: Path) -> None:
    one, other = (
        write_linear(tmp_path / f"{dtype}.onnx", (Feature("seen", shape=(3,), dtype=dtype),)).path
        for dtype in ("uint8", "float32")
    )
    found = compare_passes([one, one], [one, other], rounds=1)
    assert [compared.difference for compared in found["comparisons"]] == [0.0, None]


def test_files_without_a_counterpart_are_refused(tmp_path: Path) -> None:
    file = write_mixture(tmp_path / "one.onnx")
    with pytest.raises(ConfigurationError, match="2 policies against 1 in 5 rounds"):
        compare_passes([file, file], [file], rounds=5)
    with pytest.raises(ConfigurationError, match="1 policies against 1 in 0 rounds"):
        compare_passes([file], [file], rounds=0)
