"""Tables and figures from made-up trials, the file of results, and the page that quotes it."""

import json
import math
import re
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from benchmark_records import record
from checkout import CHECKOUT
from matplotlib.image import imread

from vdd_ros.benchmark.methods.matrix import ABLATIONS, METHODS, UPDATES, VARIANTS
from vdd_ros.benchmark.methods.report import BEGIN, END, render, update_page, write_report
from vdd_ros.benchmark.methods.results import merge_results, read_results
from vdd_ros.benchmark.methods.summary import Group, group, paper_success
from vdd_ros.benchmark.methods.tables import (
    ablations_table,
    methods_table,
    mixtures_table,
    steps_table,
    updates_table,
)
from vdd_ros.benchmark.methods.updates import update_rows
from vdd_ros.errors import ConfigurationError
from vdd_ros.tasks.metrics import wilson_interval


def rows(table: str) -> list[dict[str, str]]:
    """Read a Markdown table."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def test_a_mean_over_seeds_has_the_spread_of_the_seeds_and_the_interval_of_all_rollouts() -> None:
    found = Group(tuple(record("vdd-beso", seed, success=rate) for seed, rate in enumerate((0.9, 0.95, 1.0))))
    assert found.success.mean == pytest.approx(0.95)
    assert found.success.spread == pytest.approx(0.05)
    assert found.success.interval == wilson_interval(432 + 456 + 480, 3 * 480)


def test_the_interval_of_a_mean_entropy_shrinks_with_the_root_of_the_seeds() -> None:
    found = Group(tuple(record("vdd-beso", seed) for seed in range(4)))
    assert found.entropy.interval == pytest.approx((0.9 - 0.02 / math.sqrt(4), 0.9 + 0.02 / math.sqrt(4)))


def test_a_single_seed_has_its_own_interval_and_no_spread() -> None:
    found = Group((record("vdd-beso"),))
    assert str(found.success) == "0.950 [{:.3f}, {:.3f}]".format(*wilson_interval(456, 480))
    assert str(found.entropy) == "0.900 [0.880, 0.920]"


def test_the_methods_stand_beside_the_published_figures() -> None:
    trials = [record("beso"), *(record("em", seed) for seed in range(3)), record("beso-4")]
    found = {row["method"]: row for row in rows(methods_table(group(trials, "avoiding", "gpt")))}
    assert found["BESO teacher, 8 steps"]["published"] == "0.96"
    assert found["EM"]["published"] == "0.65 ± 0.18"
    assert found["EM"]["seeds"] == "3"
    assert found["BESO, Euler 4"]["published"] == "–"
    assert paper_success("no such task", "em") == "–"


def test_inference_times_stand_against_steps() -> None:
    trials = [record(name, inference_s_p50=1e-4 * (METHODS[name].steps or 1)) for name in METHODS]
    found = rows(steps_table(group(trials, "avoiding", "gpt")))
    times = {(row["policy"], row["steps"]): row["inference, ms"] for row in found}
    for teacher in ("DDPM", "BESO"):
        assert [times[teacher, str(n)] for n in (1, 2, 4, 8, 16)] == ["0.100", "0.200", "0.400", "0.800", "1.600"]
    assert times["CTM", "1"] == "0.100"


def test_a_time_that_was_not_measured_is_a_dash() -> None:
    trials = [record("beso", inference_s_p50=None)]
    assert rows(steps_table(group(trials, "avoiding", "gpt")))[0]["inference, ms"] == "–"


def test_the_ways_to_train_a_mixture_are_compared_once_there_are_two() -> None:
    trials = [record("em"), record("vdd-beso", experts=24)]
    found = rows(mixtures_table(group(trials, "avoiding", "gpt")))
    assert [(row["mixture"], row["learns from"], row["experts"]) for row in found] == [
        ("EM", "demonstrations", "8"),
        ("VDD from BESO", "BESO", "24"),
    ]
    assert mixtures_table(group(trials[:1], "avoiding", "gpt")) == ""


def test_the_ablations_stand_below_what_they_vary() -> None:
    trials = [record("vdd-beso"), *(record("vdd-beso", variant=name, success=0.5) for name in ABLATIONS)]
    found = rows(ablations_table(group(trials, "avoiding", "gpt")))
    assert [row["variant"] for row in found] == ["VDD from BESO", *ABLATIONS]
    assert found[0]["success"].startswith("0.950")
    assert found[1]["success"].startswith("0.500")
    assert ablations_table(group(trials[:1], "avoiding", "gpt")) == ""


def test_updates_are_compared_on_the_tasks_on_which_all_were_measured() -> None:
    trials = [record("beso", success=0.9, entropy=0.8), record("vdd-beso", backbone="mlp")]
    for place, name in enumerate(UPDATES):
        trials += [record("vdd-beso", variant=name, seed=seed, success=0.1 * place, entropy=0.5) for seed in (0, 1)]
        trials += [record("vdd-beso", variant=name, backbone="mlp", success=0.5, entropy=0.1 * place)]
    trials += [record("vdd-beso", task="pushing", variant=name) for name in list(UPDATES)[1:]]
    found = rows(updates_table(update_rows(trials)))
    assert len(found) == len(UPDATES)  # of the MLP no teacher was measured, so there is no row of teachers
    assert set(found[0]) == {
        *("update", "gating learns from", "uniform weight", "mean", "seeds"),
        *("Avoiding, GPT", "Avoiding, MLP"),
    }
    assert [row["Avoiding, GPT"] for row in found[2:4]] == ["0.200 / 0.500", "0.300 / 0.500"]
    assert [row["mean"] for row in found[2:4]] == ["0.350 / 0.350", "0.400 / 0.400"]
    assert found[5] | {"update": "paper", "gating learns from": "teacher", "uniform weight": "0.5"} == found[5]
    alone = [one for one in trials if one["backbone"] == "gpt"]
    assert rows(updates_table(update_rows(alone)))[-1]["mean"] == "0.900 / 0.800"
    assert update_rows(trials[:1]) == []


def test_ablations_do_not_mix_with_the_method_that_they_vary() -> None:
    trials = [record("vdd-beso"), record("vdd-beso", variant="experts-1", success=0.0)]
    (row,) = rows(methods_table(group(trials, "avoiding", "gpt")))
    assert row["success"].startswith("0.950")


def test_the_report_has_a_section_for_each_backbone_and_the_figures_that_it_names(tmp_path: Path) -> None:
    trials = [record(name, backbone=backbone) for name in METHODS for backbone in ("gpt", "mlp")]
    trials += [record("vdd-beso", backbone="mlp", variant=name) for name in VARIANTS]
    text = write_report(trials, tmp_path)
    assert (tmp_path / "benchmark.md").read_text() == text + "\n"
    headings = ["The paper's rows", "Updates of VDD", "Avoiding, GPT backbone", "Avoiding, MLP backbone"]
    assert re.findall("^## (.*)$", text, re.MULTILINE) == headings
    named = re.findall(r"!\[.*\]\((.*)\)", text)
    assert set(named) == {file.name for file in tmp_path.glob("*.png")}
    assert len(named) == 1 + 1 + 2 + 4
    assert all(imread(tmp_path / name).std() > 0 for name in named)


def test_no_cells_make_a_report_that_says_so(tmp_path: Path) -> None:
    assert write_report([], tmp_path) == "Nothing has been measured yet."


def test_cells_that_were_measured_differently_are_announced(tmp_path: Path) -> None:
    text = render([record("beso"), record("em", inference_at="later", rollouts=8)], tmp_path, Path())
    assert "2 different rollouts" in text
    assert "2 different runs of the inference times" in text


def test_only_the_marked_block_of_a_page_changes(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    for _ in range(2):
        update_page(page, [record("beso"), record("em")], tmp_path / "results")
        text = page.read_text()
        assert text.startswith(f"before\n\n{BEGIN}\n\n2 trials")
        assert text.endswith(f"\n\n{END}\n\nafter\n")
        assert "(../results/benchmark_avoiding_gpt_methods.png)" in text
        assert "old" not in text


def test_a_page_without_marks_is_refused_and_kept(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("text")
    with pytest.raises(ConfigurationError, match="lacks the lines"):
        update_page(page, [], tmp_path)
    assert page.read_text() == "text"


def test_a_newer_cell_takes_the_place_of_the_older_one(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    merge_results(file, [record("em", 0), record("em", 1), record("em", 0, backbone="mlp")])
    merge_results(file, [record("em", 0, success=0.5), record("vdd-beso", 0, variant="experts-2")])
    found = {(r["method"], r["backbone"], r["variant"], r["seed"]): r["success"] for r in read_results(file)}
    assert found == {
        ("em", "gpt", None, 0): 0.5,
        ("em", "gpt", None, 1): 0.95,
        ("em", "mlp", None, 0): 0.95,
        ("vdd-beso", "gpt", "experts-2", 0): 0.95,
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 10_000, "nested too deep"),
        (json.dumps([{**record("em"), "seed": "x"}]), "the seed 'x', which cannot be"),
        (json.dumps([{**record("em"), "seed": -1}]), "the seed '-1', which cannot be"),
        (json.dumps([{**record("em"), "task": 3}]), "the task '3', which cannot be"),
        (json.dumps([{**record("em"), "key": "../../home"}]), r"the key '\.\./\.\./home', which cannot be"),
        (json.dumps([{**record("em"), "success": "all"}]), "the success 'all', which cannot be"),
        (json.dumps([{**record("em"), "success": float("nan")}]), "the success 'nan', which cannot be"),
        (json.dumps([{**record("em"), "entropy_interval": [0.5]}]), "the entropy_interval .* which cannot be"),
        (json.dumps([{**record("em"), "style": "../human"}]), "the style .* which cannot be"),
        (json.dumps([{**record("em"), "by_context": [[3, 2]]}]), "the by_context .* which cannot be"),
        (
            json.dumps([{**record("em"), "milestones": {"box": {"success": 1}}}]),
            "the milestones .* which cannot be",
        ),
        (json.dumps([{**record("em"), "machine": []}]), "the machine .* which cannot be"),
        (json.dumps([{**record("em"), "method": ["em"]}]), "the method .* which is unknown"),
        ("{}", "not a list of objects"),
        ("[1]", "not a list of objects"),
        ('[{"task": "avoiding"}]', "trial 0 of .* lacks backbone"),
        (json.dumps([{**record("em"), "method": "magic"}]), "'magic'"),
        (json.dumps([{**record("em"), "variant": "odd"}]), "'odd'"),
    ],
)
def test_a_file_that_is_no_file_of_results_is_refused(content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=message):
        merge_results(file, [record("em")])
    assert file.read_text() == content


def test_the_page_quotes_the_results() -> None:
    page = (CHECKOUT / "docs" / "results.md").read_text(encoding="utf-8")
    quoted = page.partition(BEGIN)[2].partition(END)[0].strip()
    results = CHECKOUT / "results"
    tables = render(read_results(results / "benchmark.json"), results, Path("../results"))
    assert quoted == tables, "make it again: vdd benchmark methods --report-only --docs docs/results.md"
