"""Settings that no memory can hold are refused before anything is allocated; those that fit never are."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from toy_targets import small_demonstrations

from vdd_ros.cli.main import main
from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.configs import FitConfig
from vdd_ros.learning.fit import memory_need
from vdd_ros.learning.fit.memory_need import FLOAT, STATES, check_memory, free_bytes, least_bytes, size_text
from vdd_ros.learning.methods.configs import DistilConfig, EMConfig, TrainConfig
from vdd_ros.learning.methods.registry import METHODS, teacher_method
from vdd_ros.learning.methods.sources import DataSource

CPU = torch.device("cpu")
GIGA = 10**9


@pytest.mark.parametrize("backbone", ["gpt", "mlp"])
@pytest.mark.parametrize("sizes", [{}, {"layers": 1}, {"width": 16, "octaves": 0}, {"history": 9, "horizon": 3}])
@pytest.mark.parametrize("kind", [TrainConfig, EMConfig])
def test_networks_have_at_least_the_weights_that_are_expected(
    kind: type[FitConfig], sizes: dict[str, int], backbone: str
) -> None:
    config = kind(backbone=backbone, device="cpu", **sizes)  # type: ignore[call-arg, arg-type]
    demonstrations = small_demonstrations()
    method = teacher_method("ddpm") if kind is TrainConfig else METHODS.get("em")
    job = method.make(DataSource.of(demonstrations, config, CPU), config)  # type: ignore[arg-type]
    numbers = sum(value.numel() for value in job.module.state_dict().values())
    assert 0 < least_bytes(config, demonstrations)["the weights"] <= FLOAT * STATES * numbers


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (TrainConfig(batch=100 * GIGA), r"a batch .* at least .* TiB .* free; lower one of --batch \(100000000000\)"),
        (TrainConfig(width=4_000_000), r"the weights .*--width \(4000000\)"),
        (TrainConfig(layers=100 * GIGA), r"--layers \(100000000000\)"),
        (TrainConfig(octaves=100 * GIGA), r"--octaves \(100000000000\)"),
        (TrainConfig(history=100 * GIGA), r"--history \(100000000000\)"),
        (EMConfig(experts=100 * GIGA), r"--experts \(100000000000\)"),
        (EMConfig(horizon=100_000, covariance="full"), r"--horizon \(100000\)"),
        (DistilConfig(pool_samples=100 * GIGA), r"the pool of states .*--pool-samples \(100000000000\)"),
    ],
)
def test_settings_beyond_the_memory_are_refused(config: FitConfig, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_memory(config, small_demonstrations(), CPU)


def test_the_usual_settings_fit_into_a_gigabyte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_need, "free_bytes", lambda _: GIGA)
    for config in (TrainConfig(), DistilConfig(), EMConfig()):
        check_memory(config, small_demonstrations(), CPU)


def test_the_free_memory_is_that_of_the_machine_or_of_its_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_need, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory_need, "GROUP", tmp_path)
    assert free_bytes(CPU) is None
    (tmp_path / "meminfo").write_text("MemTotal:       32 kB\nMemAvailable:   16 kB\n")
    assert free_bytes(CPU) == 16 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert free_bytes(CPU) == 16 * 1024
    (tmp_path / "memory.max").write_text("3000\n")
    assert free_bytes(CPU) == 2000
    (tmp_path / "meminfo").write_text("nonsense")
    assert free_bytes(CPU) is None


def test_sizes_in_words() -> None:
    sizes = {0: "0 B", 1023: "1.02e+03 B", 1024: "1 KiB", 3 << 29: "1.5 GiB", 10**12: "931 GiB"}
    assert {number: size_text(number) for number in sizes} == sizes
    assert size_text(1 << 200).endswith("YiB")


def test_the_command_says_it_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demos", "avoiding", "--episodes", "1", "--out", str(tmp_path / "D")]) == 0
    argv = ["train", "--task", "avoiding", "--demos", str(tmp_path / "D"), "--out", str(tmp_path / "T")]
    for batch in (10**11, 10**30):
        assert main([*argv, "--device", "cpu", "--batch", str(batch)]) == 2
        assert f"--batch ({batch})" in capsys.readouterr().err
    assert not (tmp_path / "T").exists()
