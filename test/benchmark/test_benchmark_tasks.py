"""`vdd benchmark methods` on several tasks and styles: records of milestones, returns, goals and contexts."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from vdd_ros.benchmark.methods.results import read_results
from vdd_ros.cli.main import main
from vdd_ros.tasks import get_task
from vdd_ros.tasks.registry import TASKS

TINY = ["--seeds", "1", "--backbone", "mlp", "--rollouts", "2", "--device", "cpu", "--steps", "3", "--methods", "em"]


def test_a_style_is_another_row_with_demonstrations_and_folders_of_its_own(tmp_path: Path) -> None:
    work, task = tmp_path / "work", get_task("avoiding")
    task.demonstrate(2, 0, lambda: None).save(work / "demos" / "avoiding")
    task.styles["human"](range(2), 0, lambda: None).save(work / "demos" / "avoiding.human")
    names = ["--tasks", "avoiding", "avoiding:human", "avoiding"]
    assert main(["benchmark", "methods", *names, *TINY, "--work", str(work)]) == 0
    usual, human = read_results(work / "benchmark.json")
    assert [(one["task"], one["style"]) for one in (usual, human)] == [("avoiding", None), ("avoiding", "human")]
    assert usual["data_sha256"] != human["data_sha256"]
    folders = [folder.name.rpartition("-")[0] for folder in (work / "models").iterdir()]
    assert sorted(folders) == ["avoiding-em-mlp-0", "avoiding.human-em-mlp-0"]
    assert (work / "trials" / human["key"] / "policy.onnx").exists()
    report = (work / "benchmark.md").read_text()
    assert "## Avoiding, MLP backbone" in report and "## Avoiding (human), MLP backbone" in report


def test_milestones_returns_and_contexts_are_recorded(tmp_path: Path) -> None:
    pytest.importorskip("mujoco")
    for task in ("stacking", "block_push"):
        get_task(task).demonstrate(2, 0, lambda: None).save(tmp_path / "demos" / task)
    names = ["--tasks", "stacking", "block_push"]
    assert main(["benchmark", "methods", *names, *TINY, "--work", str(tmp_path)]) == 0
    push, stack = read_results(tmp_path / "benchmark.json")
    assert push["returns"] is not None and stack["returns"] is None
    assert list(stack["milestones"]) == ["1 box", "2 boxes"]
    assert [len(one["by_context"]) for one in (push, stack, *stack["milestones"].values())] == [2] * 4
    assert push["contexts"] == 2 and push["contexts_sha256"] != stack["contexts_sha256"]
    assert "| ↳ 1 box |" in (tmp_path / "benchmark.md").read_text()


def test_the_share_of_their_goals_is_recorded_for_policies_with_goals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mujoco")
    task = get_task("block_push")
    task.demonstrate(2, 0, lambda: None).save(tmp_path / "demos" / "block_push")
    command = ["benchmark", "methods", "--tasks", "block_push", *TINY, "--work", str(tmp_path)]
    assert main(command) == 0
    presets = {"mlp": {"em": {**task.presets["mlp"]["em"], "goal_length": 1}}}
    monkeypatch.setitem(TASKS._loaded, "block_push", replace(task, presets=presets))
    assert read_results(tmp_path / "benchmark.json")[0]["goal_share"] is None
    assert main(command) == 0
    (found,) = read_results(tmp_path / "benchmark.json")
    low, high = found["goal_share_interval"] or (1.0, 0.0)
    assert 0 <= low <= (found["goal_share"] or 0.0) <= high <= 1
    assert "share of goals" in (tmp_path / "benchmark.md").read_text()
