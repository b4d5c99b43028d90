"""The speed of tasks: what is counted, in which order, what is left out; no duration is judged."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vdd_ros.benchmark import task_speed
from vdd_ros.benchmark.task_speed import BEGIN, END, GOAL, Batch, TaskSpeed, TaskSpeeds, measure_tasks, render, table
from vdd_ros.cli.main import main
from vdd_ros.errors import ConfigurationError, TaskError
from vdd_ros.tasks import get_task

FAST = ("avoiding", "example_arm")


def record(*speeds: tuple[str, list[float], float], left_out: dict[str, str] | None = None) -> TaskSpeeds:
    tasks = [
        TaskSpeed(name, 100, rounds, float(np.median(rounds)), min(rounds), max(rounds), goal)
        for name, rounds, goal in speeds
    ]
    return {
        "episodes": 16,
        "tasks": tasks,
        "left_out": left_out or {},
        "machine": {"cpu": "a processor", "cores": 2},
        "versions": {"vdd_ros": "1", "python": "3", "numpy": "2.0", "onnxruntime": "1"},
        "mujoco": None,
    }


def test_a_batch_replays_demonstrations_in_turn_and_counts_steps_of_running_episodes() -> None:
    task = get_task("avoiding")
    made = task.demonstrate(2, 0, lambda: None)
    batch = Batch(task, made, 5)
    long, short = made.lengths.tolist()
    for _ in range(2):
        steps, seconds = batch.run()
        assert steps == pytest.approx(3 * long + 2 * short, abs=5), "an episode may end a step early or late"
        assert seconds > 0


def test_rounds_are_taken_by_turns_over_the_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    class Noted:
        def __init__(self, task: Any, demonstrations: Any, episodes: int) -> None:
            self.name = task.spec.name

        def run(self) -> tuple[int, float]:
            ran.append(self.name)
            return 100 * (1 + (self.name == "avoiding")), 0.1 * len(ran)

    monkeypatch.setattr(task_speed, "Batch", Noted)
    found = measure_tasks(FAST, episodes=1, rounds=3)
    assert ran == [*FAST] * 4, "once to warm up"
    first, second = found["tasks"]
    assert first.rounds == pytest.approx([200 / 0.3, 200 / 0.5, 200 / 0.7])
    assert second.rounds == pytest.approx([100 / 0.4, 100 / 0.6, 100 / 0.8])
    assert (first.lowest, first.median, first.highest) == pytest.approx((200 / 0.7, 200 / 0.5, 200 / 0.3))
    assert (first.control_steps, first.goal) == (200, GOAL)


def test_what_cannot_be_simulated_here_is_left_out_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def known(name: str) -> Any:
        if name == "avoiding":
            return get_task(name)
        raise TaskError(f"the extra of {name} is missing")

    monkeypatch.setattr(task_speed, "task_names", lambda: ["avoiding", "kitchen"])
    monkeypatch.setattr(task_speed, "get_task", known)
    found = measure_tasks(episodes=1, rounds=1)
    assert [one.task for one in found["tasks"]] == ["avoiding"]
    assert found["left_out"] == {"kitchen": "the extra of kitchen is missing"}
    assert "kitchen: left out, the extra of kitchen is missing" in table(found)
    with pytest.raises(TaskError, match="the extra of kitchen"):
        measure_tasks(["avoiding", "kitchen"])
    monkeypatch.setattr(task_speed, "task_names", lambda: ["kitchen"])
    with pytest.raises(TaskError, match="no task can be simulated here"):
        measure_tasks()


def test_a_task_named_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="--tasks avoiding avoiding names a task twice"):
        measure_tasks(["avoiding", "avoiding"])


def test_the_page_says_which_goals_are_missed() -> None:
    found = record(("slow", [2000.0, 2200.0, 2100.0], GOAL), ("fast", [5e4], 900.0), left_out={"other": "why"})
    text = render(found)
    assert "| slow | 2,100 | 2,000 to 2,200 | 3,000, missed |" in text
    assert "| fast | 50,000 | 50,000 to 50,000 | 900 |" in text
    assert "One core of a processor, numpy 2.0; 3 rounds of 16 episodes." in text
    assert text.endswith("Left out: other.")


def test_the_command_writes_numbers_figure_and_page(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    import matplotlib.image

    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\n{END}\nafter\n")
    files = {"--json": tmp_path / "found.json", "--figure": tmp_path / "found.png", "--docs": page}
    options = [word for option, file in files.items() for word in (option, str(file))]
    command = ["benchmark", "tasks", "--tasks", *FAST, "--episodes", "2", "--rounds", "1"]
    assert main([*command, *options]) == 0
    found = json.loads(files["--json"].read_text())
    assert [one["task"] for one in found["tasks"]] == list(FAST)
    assert all(one["median"] == one["lowest"] == one["highest"] == one["rounds"][0] > 0 for one in found["tasks"])
    assert (found["episodes"], found["left_out"]) == (2, {})
    assert "| example_arm |" in page.read_text()
    height, width, _ = matplotlib.image.imread(files["--figure"]).shape
    assert (height, width) == (round(150 * (1.3 + 0.4 * 2)), 150 * 7)


def test_a_page_without_marks_is_refused_before_the_measurement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("no marks\n")
    assert main(["benchmark", "tasks", "--docs", str(page)]) == 2
    assert f"lacks the lines '{BEGIN}'" in capsys.readouterr().err
