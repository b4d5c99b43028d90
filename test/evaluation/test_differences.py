"""Differences of two policies: published intervals, coverage, pairing, and `vdd evaluate --against`."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import two_doors
from plugins import installed
from policy_files import write_diffusion, write_mixture

from vdd_ros.cli.main import main
from vdd_ros.errors import ConfigurationError
from vdd_ros.evaluation.differences import ScoreDifference, entropy_difference, success_difference
from vdd_ros.tasks import Task, get_task
from vdd_ros.tasks.base import Ints
from vdd_ros.tasks.metrics import Score, wilson_interval
from vdd_ros.tasks.registry import TASKS


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [((56, 70), (48, 80), 0.0524, 0.3339), ((9, 10), (3, 10), 0.1705, 0.8090), ((5, 56), (0, 29), -0.0381, 0.1926)],
)
def test_independent_rates_have_the_intervals_of_newcombes_table(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    """Newcombe 1998, Statistics in Medicine 17, 873-890, table II, method 10."""
    found = success_difference([first], [second])
    assert found.interval == pytest.approx((low, high), abs=5e-5)
    assert found.value == pytest.approx(first[0] / first[1] - second[0] / second[1])
    assert found.contexts == 0


def test_two_perfect_policies_differ_by_no_more_than_their_own_intervals_allow() -> None:
    low, high = success_difference([(8, 8)] * 60, [(8, 8)] * 60).interval
    assert high == -low == pytest.approx(1 - wilson_interval(480, 480)[0])


def draw(random: np.random.Generator, contexts: int = 60, rollouts: int = 8) -> tuple[Ints, Ints]:
    """Draw the counts of two policies for which some contexts are awkward; the true difference is 0.05."""
    easy = random.beta(2.0, 0.7, contexts)
    rates = (0.05 + 0.9 * easy, 0.9 * easy)
    first, second = (np.stack([random.binomial(rollouts, rate), np.full(contexts, rollouts)], axis=1) for rate in rates)
    return first, second


def test_the_paired_interval_covers_the_difference_as_often_as_it_says_and_is_shorter() -> None:
    random, inside, widths = np.random.default_rng(0), [], []
    for _ in range(2000):
        first, second = draw(random)
        low, high = success_difference(first, second).interval
        inside.append(low <= 0.05 <= high)
        shuffled = random.permutation(second)
        apart = success_difference(first, shuffled).interval
        widths.append((high - low, apart[1] - apart[0]))
    assert 0.935 < np.mean(inside) < 0.98
    paired, unpaired = np.mean(widths, axis=0)
    assert paired < 0.8 * unpaired


def test_near_certain_success_is_covered_too() -> None:
    random, inside = np.random.default_rng(1), []
    for _ in range(2000):
        first, second = (np.stack([random.binomial(8, rate, 60), np.full(60, 8)], axis=1) for rate in (0.995, 0.985))
        low, high = success_difference(first, second).interval
        inside.append(low <= 0.01 <= high)
    assert np.mean(inside) > 0.94


def score(random: np.random.Generator, shares: np.ndarray, rate: float = 1.0) -> Score:
    """Score 8 rollouts from each of some contexts, whose modes have the shares (C, K)."""
    modes = np.concatenate([random.choice(shares.shape[1], 8, p=row) for row in shares])
    starts = np.repeat(np.arange(len(shares)), 8)
    return Score.of(random.random(len(modes)) < rate, modes, shares.shape[1], contexts=starts)


def test_entropies_are_paired_by_contexts() -> None:
    random = np.random.default_rng(2)
    shares = random.dirichlet(np.full(4, 0.3), 60)  # in some contexts there is hardly a choice
    found = ScoreDifference.of(score(random, shares), score(random, shares)).entropy
    assert found.contexts == 60
    assert found.interval[0] < found.value < found.interval[1]
    one, two = score(random, shares), score(random, shares)
    alone = [high - low for low, high in (one.entropy_interval, two.entropy_interval)]
    low, high = ScoreDifference.of(one, two).entropy.interval
    assert high - low < 0.8 * math.hypot(*alone)


def test_entropies_without_contexts_have_the_intervals_of_both() -> None:
    random = np.random.default_rng(3)
    one, two = (score(random, np.full((1, 4), 0.25)) for _ in range(2))
    found = entropy_difference(
        (one.entropy, one.entropy_interval, np.array(one.entropy_by_context)),
        (two.entropy, two.entropy_interval, np.array(two.entropy_by_context)),
    )
    assert found.value == one.entropy - two.entropy
    down = math.hypot(one.entropy - one.entropy_interval[0], two.entropy_interval[1] - two.entropy)
    assert found.value - found.interval[0] == pytest.approx(down)
    assert found.contexts == 0


@pytest.mark.parametrize("second", [[(1, 8)], [(1, 8), (2, 8), (3, 8)], [(1, 8), (-1, 8)], []])
def test_other_contexts_are_refused(second: list[tuple[int, int]]) -> None:
    with pytest.raises(ConfigurationError, match="same contexts"):
        success_difference([(1, 8), (2, 8)], second)


def test_a_context_without_rollouts_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="without rollouts"):
        success_difference([(1, 8), (0, 0)], [(1, 8), (2, 8)])


def test_contexts_are_counted_in_the_order_in_which_they_occur() -> None:
    success, starts = np.array([True, False, True, True]), np.array([7, 3, 7, 5])
    found = Score.of(success, np.array([0, 1, 1, 0]), 2, contexts=starts)
    assert found.by_context == ((2, 2), (0, 1), (1, 1))
    assert found.entropy_by_context == (1.0, 0.0, 0.0)
    assert found.entropy == pytest.approx(1 / 3)


@pytest.fixture
def task(tmp_path: Path) -> Iterator[Task]:
    source = Path(two_doors.__file__).read_text()
    with installed(TASKS, tmp_path / "site", "two-doors", source, "TASK"):
        yield get_task("two-doors")


def test_two_policies_are_evaluated_from_the_same_contexts(
    task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    action = tuple(replace(entry, low=-1.0, high=1.0) for entry in task.spec.action)
    signature: dict[str, Any] = {"task": "two-doors", "observation": task.spec.observation, "action": action}
    signature["rate_hz"] = task.spec.rate_hz
    student = write_mixture(tmp_path / "student.onnx", **signature)
    teacher = write_diffusion(tmp_path / "teacher.onnx", steps=2, **signature)
    alone, both = tmp_path / "alone.json", tmp_path / "both.json"
    options = ["--rollouts", "32", "--seeds", "0", "1", "--json"]
    assert main(["evaluate", str(teacher), *options, str(alone)]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(student), "--against", str(teacher), *options, str(both)]) == 0
    printed = capsys.readouterr().out
    assert "student.onnx in two-doors" in printed and "teacher.onnx in two-doors" in printed
    assert "student.onnx − teacher.onnx" in printed and "paired by 4 contexts" in printed
    record = json.loads(both.read_text())
    assert record["against"] == json.loads(alone.read_text())
    mine, other = record["pooled"], record["against"]["pooled"]
    assert record["difference"]["success"]["value"] == pytest.approx(mine["success_rate"] - other["success_rate"])
    assert record["difference"]["entropy"]["contexts"] == 4
    assert [count for _, count in mine["by_context"]] == [16] * 4


def test_without_contexts_the_difference_is_of_independent_rollouts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = (write_mixture(tmp_path / name) for name in ("one.onnx", "two.onnx"))
    assert main(["evaluate", str(one), "--against", str(two), "--rollouts", "4"]) == 0
    assert "of independent rollouts" in capsys.readouterr().out


def test_a_second_policy_that_does_not_fit_is_refused_before_any_rollout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = write_mixture(tmp_path / "one.onnx"), write_mixture(tmp_path / "two.onnx", rate_hz=10.0)
    assert main(["evaluate", str(one), "--against", str(two), "--rollouts", "4"]) == 2
    captured = capsys.readouterr()
    assert "the rate is 10 Hz" in captured.err
    assert "one.onnx in avoiding" not in captured.out


def test_only_policies_with_goals_get_them(tmp_path: Path) -> None:
    demos, record = tmp_path / "demos", tmp_path / "record.json"
    get_task("avoiding").demonstrate(2, 0, lambda: None).save(demos)
    one, two = write_mixture(tmp_path / "one.onnx", goal_length=2), write_mixture(tmp_path / "two.onnx")
    options = ["--goals", str(demos), "--rollouts", "4", "--json", str(record)]
    assert main(["evaluate", str(one), "--against", str(two), *options]) == 0
    found = json.loads(record.read_text())
    assert found["settings"]["goals_sha256"] is not None
    assert found["against"]["settings"]["goals_sha256"] is None
