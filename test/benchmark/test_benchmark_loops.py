"""`vdd benchmark speed`: its output files."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from toy_targets import small_demonstrations

from vdd_ros.benchmark.methods.training import make_config
from vdd_ros.benchmark.speed import command as speed
from vdd_ros.benchmark.speed.figures import SpeedRecord
from vdd_ros.cli.main import main
from vdd_ros.learning.configs import FitConfig
from vdd_ros.learning.methods.configs import DistilConfig

RECORD: SpeedRecord = {
    "task": "avoiding",
    "backbone": "gpt",
    "steps": 120,
    "batch": 256,
    "machine": {"cpu": "a processor", "cores": 2},
    "product": {"samples_per_s": 3000.0, "seconds": [1.0, 2.0], "distance": [0.5, 0.1]},
    "references": [
        {
            "learning_rate": 1e-4,
            "samples_per_s": 1000.0,
            "seconds": [4.0, 8.0],
            "distance": [0.6, 0.3],
            "speedup": 3.0,
            "speedup_interval": [2.5, 3.5],
            "product_reached_s": 2.0,
            "time_speedup": 4.0,
        }
    ],
}


def test_the_table_of_a_comparison() -> None:
    text = speed.table(RECORD)
    assert "| vdd_ros | 3000 | 2 | 0.1000 | – | – |" in text
    assert "| straightforward, learning rate 1.0e-04 | 1000 | 8 | 0.3000 | 3.0 [2.5, 3.5] | 4.0 times sooner |" in text
    behind = RECORD["references"][0] | {"time_speedup": None}
    assert "| not reached |" in speed.table(RECORD | {"references": [behind]})


def test_a_report_quotes_the_comparison(tmp_path: Path) -> None:
    assert speed.section(tmp_path, Path()) == []
    (tmp_path / "benchmark_speed.json").write_text(json.dumps(RECORD))
    title, text, table, figure = speed.section(tmp_path, Path("../results"))
    assert title == "## Speed of distillation"
    assert "120 expert steps of 256 states each" in text
    assert table == speed.table(RECORD)
    assert "(../results/benchmark_speed.png)" in figure
    speed.draw_comparison(tmp_path)
    assert (tmp_path / "benchmark_speed.png").stat().st_size > 1000


def test_the_command_compares_the_loops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def small_config(*arguments: Any) -> FitConfig:
        config = make_config(*arguments)
        small = {"width": 16, "layers": 1, "experts": 4, "batch": 32}
        return replace(config, **small) if isinstance(config, DistilConfig) else config  # type: ignore[arg-type]

    monkeypatch.setattr("vdd_ros.benchmark.methods.training.make_config", small_config)
    monkeypatch.setattr("vdd_ros.benchmark.speed.loops.JUDGED_STATES", 8)
    small_demonstrations().save(tmp_path / "D")
    work = tmp_path / "work"
    options = ["--backbone", "mlp", "--teacher-steps", "2", "--steps", "60", "--rates", "1e-4", "2e-3"]
    paths = ["--demos", str(tmp_path / "D"), "--work", str(work), "--json", str(tmp_path / "speed.json")]
    assert main(["benchmark", "speed", *options, *paths]) == 0
    record = json.loads((work / "benchmark_speed.json").read_text())
    assert json.loads((tmp_path / "speed.json").read_text()) == record
    assert [found["learning_rate"] for found in record["references"]] == [1e-4, 2e-3]
    assert speed.table(record) in capsys.readouterr().out
    assert len(record["product"]["seconds"]) == 30
    assert (work / "benchmark_speed.png").stat().st_size > 1000
