"""`vdd benchmark --speed`: what it writes."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from toy_targets import small_demonstrations

from vdd_ros.cli.benchmark import race as racing
from vdd_ros.cli.main import main

CURVES = {
    "product": {"seconds": [1.0, 2.0], "distance": [0.5, 0.1]},
    "reference": {"seconds": [4.0, 8.0], "distance": [0.6, 0.3]},
}
RECORD = {
    "samples_per_s": {"product": 3000.0, "reference": 1000.0},
    "seconds": {"product": 2.0, "reference": 8.0},
    "speedup": 3.0,
    "speedup_interval": [2.5, 3.5],
    "time_speedup": 4.0,
    "curves": CURVES,
}


def test_the_table_of_a_race() -> None:
    text = racing.table(RECORD)
    assert "| vdd_ros | 3000 | 2 | 0.1000 |" in text
    assert "| straightforward loop | 1000 | 8 | 0.3000 |" in text
    assert "3.0 times as many expert samples a second (2.5 to 3.5)" in text
    assert "was reached 4.0 times sooner" in text
    assert "was not reached" in racing.table({**RECORD, "time_speedup": None})


def test_the_command_races(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_demonstrations().save(tmp_path / "D")
    work = str(tmp_path / "work")
    options = ["--methods", "none", "--backbone", "mlp", "--steps", "2", "--speed", "--speed-steps", "60"]
    assert main(["benchmark", *options, "--demos", str(tmp_path / "D"), "--work", work]) == 0
    record = json.loads((tmp_path / "work" / "benchmark_speed.json").read_text())
    assert racing.table(record) in capsys.readouterr().out
    assert len(record["curves"]["product"]["seconds"]) == 30
    assert (tmp_path / "work" / "benchmark_speed.png").stat().st_size > 1000
