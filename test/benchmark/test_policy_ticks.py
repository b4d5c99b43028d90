"""Ticks of policies of several tasks, from measurements that are made up here."""

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from policy_files import write_mixture
from tick_records import PERIOD_S, at, measured

from vdd_ros.benchmark.realtime import policies
from vdd_ros.cli.main import main
from vdd_ros.errors import ConfigurationError
from vdd_ros.tasks import Task

SHIPPED = [Path(__file__).parents[2] / "models" / f"{task}_student.onnx" for task in ("avoiding", "pushing")]


class MadeUp:
    """Ticks of a third of a period, in Pushing of two thirds, over a baseline of a quarter; the first round misses."""

    rounds: ClassVar[list[str]] = []

    def __init__(self, policy: Path, task: Task, folder: Path) -> None:
        assert (policy, folder.is_dir()) == (SHIPPED[task.spec.name == "pushing"].resolve(), True)
        self.task = task.spec.name

    def node(self, rate_hz: float, seconds: float) -> dict[str, NDArray[Any]]:
        self.rounds.append(self.task)
        longer = {10: 2.5 * PERIOD_S} if len(self.rounds) == 1 else {}
        return measured(total_s=at(longer, (2 if self.task == "pushing" else 1) * PERIOD_S / 3))

    def parts(self, rate_hz: float, seconds: float) -> NDArray[np.float64]:
        return np.full(100, PERIOD_S / 4)


def test_ticks_of_policies_are_measured_by_turns_with_their_own_robots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(policies, "Measurements", MadeUp)
    monkeypatch.setattr(MadeUp, "rounds", [])
    page, copy = tmp_path / "page.md", tmp_path / "copy.json"
    page.write_text(f"# Page\n\n{policies.BEGIN}\n{policies.END}\n")
    given = ["--policies", *map(str, SHIPPED), "--rounds", "3", "--docs", str(page), "--json", str(copy)]
    assert main(["benchmark", "realtime", *given]) == 0
    assert MadeUp.rounds == ["avoiding", "pushing"] * 3
    one, two = json.loads(copy.read_text())["policies"]
    assert (one["task"], one["observation"], one["horizon"], two["horizon"], two["action"]) == ("avoiding", 4, 1, 4, 2)
    assert one["over_parts"] == pytest.approx([4 / 3] * 3)
    assert two["over_parts"] == pytest.approx([8 / 3] * 3)
    assert (one["missed_by_a_period"], two["missed_by_a_period"]) == (1, 0)
    assert (one["tick_s"]["count"], one["tick_s"]["max"]) == (300, pytest.approx(2.5 * PERIOD_S))
    row = "| pushing, vdd | 10 | 4 × 2 | 3333 | 1250 | 2.67 | 1.00 | 0 of 300 |"
    assert row in page.read_text()
    assert row in capsys.readouterr().out


def test_a_policy_without_a_task_has_no_robot_to_tick(tmp_path: Path) -> None:
    file = write_mixture(tmp_path / "p.onnx", task=None)
    with pytest.raises(ConfigurationError, match=r"p\.onnx names no task, so there is no robot"):
        policies.measure_policies([file], 1)
