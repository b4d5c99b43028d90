"""Several tasks, styles and milestones in one benchmark: names, records, differences to teachers, the paper's rows."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from benchmark_records import record
from checkout import CHECKOUT
from matplotlib.image import imread

from vdd_ros.benchmark.methods.data_names import expand_names, place, title
from vdd_ros.benchmark.methods.matrix import expand
from vdd_ros.benchmark.methods.paper_rows import footnotes, paper_rows, sections, summary_table
from vdd_ros.benchmark.methods.report import render, write_report
from vdd_ros.benchmark.methods.results import Record, merge_results, outcome, read_results
from vdd_ros.benchmark.methods.summary import Group, group, settings_apart, teacher_gap
from vdd_ros.benchmark.methods.tables import methods_table
from vdd_ros.errors import ConfigurationError, TaskError
from vdd_ros.evaluation.differences import success_difference
from vdd_ros.tasks import get_task
from vdd_ros.tasks.metrics import Score
from vdd_ros.tasks.registry import PAPER_TASKS, TASKS
from vdd_ros.tasks.task import Published

STARTS = "a" * 64


def score(rate: float, seed: int, base: int = 4) -> Score:
    """Score 8 rollouts from each of 60 contexts, which differ alike for every policy."""
    easy, random = np.random.default_rng(0).random(60), np.random.default_rng([1, seed])
    starts = np.repeat(np.arange(60), 8)
    success = random.random(480) < np.clip(rate + 0.4 * (easy - 0.5), 0, 1)[starts]
    return Score.of(success, random.integers(0, base, 480), base, contexts=starts)


def cell(method: str, seed: int = 0, task: str = "stacking", rate: float = 0.7, **changes: Any) -> Record:
    """Return a trial of a task with contexts and, for Stacking, milestones."""
    names = {"1 box": 0.2, "2 boxes": 0.1} if task == "stacking" else {}
    number = 7 * seed + len(method)
    more = {name: outcome(score(rate + easier, number)) for name, easier in names.items()}
    found: dict[str, Any] = {
        **outcome(score(rate, number)),
        "contexts_sha256": STARTS,
        "contexts": 60,
        "milestones": more,
    }
    return record(method, seed, task=task, **(found | changes))


def rows(table: str) -> list[dict[str, str]]:
    """Read a Markdown table."""
    lines = [[part.strip() for part in line.strip("|").split("|")] for line in table.splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def test_state_stands_for_the_papers_tasks_in_its_order() -> None:
    expected = [name for name in PAPER_TASKS if name in TASKS.names()]
    assert expand_names(["state"]) == expected
    assert expected[-5:] == ["block_push", "avoiding", "aligning", "pushing", "stacking"]
    assert expand_names(["example_arm", "avoiding", "state"]) == ["example_arm", "avoiding"] + [
        name for name in expected if name != "avoiding"
    ]


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (["avoiding:no"], ConfigurationError, "--tasks avoiding:no: 'no' is no style of 'avoiding'; it has human"),
        (["avoiding:"], ConfigurationError, "'' is no style"),
        (["pushing:human"], ConfigurationError, "it has none: give --tasks pushing"),
        (["juggling:human"], TaskError, "unknown task 'juggling'"),
    ],
)
def test_a_style_or_a_task_that_is_not_there_is_refused(names: list[str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        expand_names(names)


@pytest.mark.parametrize("names", [["avoiding:human"], ["state"], ["avoiding", "pushing"]])
def test_given_demonstrations_are_of_one_task_without_a_style(names: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="--demos holds the demonstrations of one task"):
        expand_names(names, Path("D"))


def test_a_style_has_models_and_trials_of_its_own() -> None:
    usual, human = (expand([name], ["vdd-beso"], 1, "mlp")[0] for name in ("avoiding", "avoiding:human"))
    assert (usual.label, human.label) == ("avoiding-vdd-beso-mlp-0", "avoiding.human-vdd-beso-mlp-0")
    assert (human.model.task, human.model.style, human.model.data) == ("avoiding", "human", "avoiding:human")
    assert human.model.teacher is not None and human.model.teacher.label == "avoiding.human-beso-mlp-0"


def test_records_of_a_style_stand_beside_the_usual_ones(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    usual, human = record("em"), record("em", style="human", success=0.5)
    merge_results(file, [usual, human])
    merge_results(file, [record("em", style=None, success=0.9)])
    assert [(one.get("style"), one["success"]) for one in read_results(file)] == [(None, 0.9), ("human", 0.5)]
    found = read_results(file)
    assert sections(found) == [("avoiding", None, "gpt"), ("avoiding", "human", "gpt")]
    assert group(found, "avoiding", "gpt")["em", None].success.mean == 0.9
    assert group(found, "avoiding", "gpt", "human")["em", None].success.mean == 0.5


def test_the_record_of_a_trial_can_be_read_again(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    merge_results(file, [cell("vdd-beso"), cell("beso")])
    assert json.loads(json.dumps(cell("beso"))) == read_results(file)[0]


def test_several_seeds_share_their_contexts() -> None:
    trials = [cell("vdd-beso", seed) for seed in range(3)]
    measure = Group(tuple(trials)).measure()
    assert measure.counts.tolist() == np.sum([one["by_context"] for one in trials], axis=0).tolist()
    alone = Group((trials[0],)).measure()
    assert alone.success.interval == pytest.approx(trials[0]["success_interval"])
    assert alone.entropy.interval == pytest.approx(trials[0]["entropy_interval"])
    assert measure.entropy.mean == pytest.approx(np.mean([one["entropy"] for one in trials]))
    assert measure.entropy.interval[0] < measure.entropy.mean < measure.entropy.interval[1]


def test_a_student_is_compared_with_its_teacher_by_contexts() -> None:
    trials = [cell("beso"), *(cell("vdd-beso", seed, rate=0.75) for seed in range(2)), cell("em"), cell("beso-1")]
    groups = group(trials, "stacking", "gpt")
    gap = teacher_gap(groups["vdd-beso", None], groups)
    assert gap is not None and gap.contexts == 60
    pooled = np.sum([trials[1]["by_context"], trials[2]["by_context"]], axis=0)
    assert gap == success_difference(pooled, trials[0]["by_context"])
    part = teacher_gap(groups["vdd-beso", None], groups, "1 box")
    assert part is not None and part != gap
    for method in ("beso", "beso-1", "em"):
        assert teacher_gap(groups[method, None], groups) is None
    found = {row["method"]: row["success − teacher"] for row in rows(methods_table(groups))}
    assert (found["VDD from BESO"], found["EM"]) == (str(gap), "–")


def test_from_other_contexts_there_is_no_difference() -> None:
    groups = group([cell("beso"), cell("vdd-beso", contexts_sha256="b" * 64)], "stacking", "gpt")
    assert teacher_gap(groups["vdd-beso", None], groups) is None


def test_without_contexts_the_difference_is_that_of_independent_rates() -> None:
    groups = group([record("beso", success=0.9), record("vdd-beso")], "avoiding", "gpt")
    assert teacher_gap(groups["vdd-beso", None], groups) == success_difference([(456, 480)], [(432, 480)])


def test_milestones_stand_below_their_method() -> None:
    found = rows(methods_table(group([cell("beso"), cell("em")], "stacking", "gpt")))
    names = [name for method in ("BESO teacher, 8 steps", "EM") for name in (method, "↳ 1 box", "↳ 2 boxes")]
    assert [row["method"] for row in found] == names
    assert [row["published"] for row in found] == ["–", "0.91", "0.70", "–", "0.58", "0.34"]


def test_returns_have_a_column_where_there_are_any() -> None:
    found = rows(methods_table(group([cell("em", task="block_push", returns=0.8)], "block_push", "gpt")))
    assert found[0]["return"] == "0.800"
    assert "return" not in rows(methods_table(group([cell("em")], "stacking", "gpt")))[0]


def test_shares_of_goals_have_a_column_where_there_are_any() -> None:
    trials = [cell("em", task="block_push", returns=0.8, goal_share=0.7), cell("beso", task="block_push", returns=0.9)]
    found = rows(methods_table(group(trials, "block_push", "gpt")))
    assert [(row["method"][:4], row["return"], row["share of goals"]) for row in found] == [
        ("BESO", "0.900", "–"),
        ("EM", "0.800", "0.700"),
    ]
    assert "share of goals" not in rows(methods_table(group([cell("em")], "stacking", "gpt")))[0]


def several() -> list[Record]:
    """Return trials of three tasks, one of them also of another style and backbone."""
    return [
        *(cell(method, task=task) for task in ("stacking", "block_push") for method in ("beso", "vdd-beso", "beso-2")),
        *(record(method, style=style) for method in ("beso", "em") for style in (None, "human")),
        record("em", backbone="mlp"),
    ]


def test_the_papers_rows_are_in_its_order_with_the_published_figures_below() -> None:
    heads, *found = summary_table(paper_rows(several()))
    assert heads == ["row", "backbone", "BESO teacher, 8 steps", "EM", "VDD from BESO", "training, h"]
    assert [row[:2] for row in found] == [
        ["Block Push", "GPT"],
        ["*published*¹", ""],
        ["Avoiding", "GPT"],
        ["Avoiding", "MLP"],
        ["Avoiding (human)", "GPT"],
        ["*published*", ""],
        ["Stacking", "GPT"],
        ["Stacking-1", "GPT"],
        ["*published*", ""],
        ["Stacking-2", "GPT"],
        ["*published*", ""],
    ]
    assert found[2][2:5] == ["0.950 / 0.900", "0.950 / 0.900", "–"]
    assert found[5][2:] == ["0.96", "0.65 ± 0.18", "0.95 ± 0.01", ""]
    assert found[7][5] == ""


def test_methods_without_published_figures_stand_only_in_the_tables_of_their_task() -> None:
    trials = [record(name) for name in ("beso", "cd", "diff-instruct", "em-distil", "shortcut", "srpo", "vdd-beso")]
    heads = ["row", "backbone", "BESO teacher, 8 steps", "CD", "VDD from BESO", "training, h"]
    assert summary_table(paper_rows(trials))[0] == heads
    own = [row["method"] for row in rows(methods_table(group(trials, "avoiding", "gpt")))]
    assert own[1:6] == ["CD", "Diff-Instruct", "EM distillation", "Shortcut", "SRPO"]


def test_each_model_of_a_row_is_trained_once(tmp_path: Path) -> None:
    """A teacher of half an hour, however it is sampled, two students of .2 h each, EM of .1 h, and one more teacher."""
    trials = [
        *(record(method, train_s=1800.0, distil_s=None, teacher="beso") for method in ("beso", "beso-2")),
        *(record("vdd-beso", seed, train_s=1800.0, distil_s=720.0, teacher="beso") for seed in (0, 1)),
        record("em", train_s=360.0, distil_s=None, teacher=None),
        record("ddpm", backbone="mlp", train_s=3600.0, distil_s=None, teacher="ddpm"),
    ]
    one, other = paper_rows(trials)
    assert (one.trained_s, other.trained_s) == (3600.0, 3600.0)
    assert [row[-1] for row in summary_table([one, other])] == ["training, h", "1.0", "1.0", ""]
    assert "that of all rows 2.0 hours." in render(trials, tmp_path, Path())
    untimed = paper_rows([record("vdd-beso", train_s=1.0, distil_s=None, teacher="beso")])
    assert (untimed[0].trained_s, summary_table(untimed)[1][-1]) == (None, "–")


def test_the_note_of_a_task_is_a_footnote(tmp_path: Path) -> None:
    note = get_task("block_push").published_note
    text = render(several(), tmp_path, Path())
    assert "| *published*¹ |  | 0.96 |" in text
    assert f"\n\n¹ Block Push: {note}.\n\n" in text
    assert footnotes(paper_rows(several())) == {"block_push": ("¹", f"Block Push: {note}.")}
    assert footnotes(paper_rows([record("em")])) == {}


def test_without_published_figures_every_method_has_a_column() -> None:
    heads, *found = summary_table(paper_rows([record("em", task="elsewhere"), record("beso-2", task="elsewhere")]))
    assert heads == ["row", "backbone", "BESO, Euler 2", "EM", "training, h"]
    assert [row[:-1] for row in found] == [["Elsewhere", "GPT", "0.950 / 0.900", "0.950 / 0.900"]]


def test_where_returns_are_published_ours_stand_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    task = replace(get_task("block_push"), published={"em": Published(3.62, measure="return")})
    monkeypatch.setitem(TASKS._loaded, "block_push", task)
    trials = [cell("em", task="block_push", returns=2.5)]
    assert rows(methods_table(group(trials, "block_push", "gpt")))[0]["published"] == "3.62 (return)"
    _, ours, published = summary_table(paper_rows(trials))
    assert ours[2].startswith("2.500 / ")
    assert published == ["*published, return*¹", "", "3.62", ""]


def test_only_trials_that_are_compared_must_be_measured_alike(tmp_path: Path) -> None:
    apart = [record("beso"), record("em"), *(cell(name, rollouts=240, inference_at="later") for name in ("beso", "em"))]
    assert "alike" not in render(apart, tmp_path, Path())
    assert settings_apart([record("em", data_sha256="1"), record("beso", data_sha256="2"), record("cd")]) == [
        "2 different sets of demonstrations"
    ]
    mixed = render([*apart, cell("vdd-beso", rollouts=60, inference_at="later")], tmp_path, Path())
    assert "Stacking, GPT backbone: not all trials were measured alike: 2 different rollouts." in mixed
    assert "5 trials, 60 or 240 or 480 rollouts each" in mixed


def test_the_figures_of_all_sections_and_of_the_summary_are_drawn(tmp_path: Path) -> None:
    text = write_report(several(), tmp_path)
    assert text.index("benchmark_summary.png") < text.index("## Block Push, GPT backbone")
    names = {file.name for file in tmp_path.glob("*.png")}
    assert {"benchmark_summary.png", "benchmark_avoiding.human_gpt_methods.png"} <= names
    assert all(imread(tmp_path / name).std() > 0 for name in names)
    assert all(name in text for name in names)


NEW = (
    "style",
    "milestones",
    "returns",
    "returns_interval",
    "goal_share",
    "goal_share_interval",
    "contexts",
    "contexts_sha256",
)
NEW_OF_OUTCOMES = ("entropy_estimate", "by_context", "entropy_by_context")


def test_records_of_before_are_read_and_reported(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    whole = json.loads((CHECKOUT / "results" / "benchmark.json").read_text())
    dropped = (*NEW, *NEW_OF_OUTCOMES)
    usual = [one for one in whole if one.get("style") is None]
    old = [{key: value for key, value in one.items() if key not in dropped} for one in usual]
    file.write_text(json.dumps(old))
    records = [one for one in read_results(file) if one["task"] == "avoiding"]
    text = write_report(records, tmp_path)
    groups = group(records, "avoiding", "gpt")
    gap = teacher_gap(groups["vdd-beso", None], groups)
    assert gap is not None and gap.contexts == 0 and str(gap) in text


def test_names_for_people() -> None:
    assert [title("block_push"), title("avoiding", "human")] == ["Block Push", "Avoiding (human)"]
    assert sorted(["zebra", "stacking", "arm", "kitchen"], key=place) == ["kitchen", "stacking", "arm", "zebra"]
