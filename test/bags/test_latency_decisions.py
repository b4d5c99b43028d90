"""Decisions in a bag: exact round trip; missing records are gaps, except those that no recorder can avoid."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_files import LABELS, write_bag

from vdd_ros.bags.decisions import expert_switch_rate, missing_decisions
from vdd_ros.bags.latency import NodeLatency, read_latency_bag
from vdd_ros.cli.main import main
from vdd_ros.errors import RecordingError

DECISION = ("seq", "stamp_s", "log_prob", "expert", "observation[0].x", "action.u")


def records(count: int, each: int = 1) -> np.ndarray:
    """Ticks 35 ms apart; every `each`-th ran the policy."""
    values = np.zeros((count, len(LABELS)))
    numbers = np.arange(count)
    values[:, LABELS.index("seq")] = numbers
    values[:, LABELS.index("stamp_s")] = 100 + 0.035 * numbers
    values[:, LABELS.index("inference_s")] = np.where(numbers % each == 0, 1e-4, np.nan)
    values[:, LABELS.index("total_s")] = 2e-4
    return values


def decisions(count: int, each: int = 1) -> np.ndarray:
    numbers = np.arange(0, count, each)
    values = np.random.default_rng(0).normal(size=(len(numbers), len(DECISION)))
    values[:, 0], values[:, 1] = numbers, 100 + 0.035 * numbers
    return values


def read(path: Path, taken: np.ndarray, count: int = 60, each: int = 1) -> NodeLatency:
    parts = {"/student": [(DECISION, taken)]}
    (node,) = read_latency_bag(write_bag(path, {"/student": records(count, each)}, decisions=parts))
    return node


def test_decisions_come_back_as_they_were_written(tmp_path: Path) -> None:
    node = read(tmp_path / "bag", decisions(60))
    assert node.decisions is not None
    assert node.decisions.labels == DECISION
    np.testing.assert_array_equal(node.decisions.values, decisions(60))
    np.testing.assert_array_equal(node.decisions.columns(["action.u", "seq"]), decisions(60)[:, [5, 0]])
    with pytest.raises(RecordingError, match=r"lack the label action\.v; they have seq"):
        node.decisions.columns(["action.v"])
    assert node.describe_gaps() == ""


def test_ticks_within_a_chunk_need_no_decision(tmp_path: Path) -> None:
    assert read(tmp_path / "bag", decisions(60, 3), each=3).describe_gaps() == ""


def test_a_decision_that_is_missing_is_a_gap_and_an_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = read(tmp_path / "bag", np.delete(decisions(60), [30, 31], axis=0))
    assert node.describe_gaps() == "2 of 60 decisions missing (sequence numbers 30, 31)"
    assert main(["latency", str(tmp_path / "bag")]) == 1
    assert "gap in the record: /student: 2 of 60 decisions missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (range(5, 20), ""),  # the topic was heard of later
        (range(19), ""),  # stopped between the two messages of the last tick
        (range(18), "1 of 19 decisions missing (sequence numbers 18)"),
        ([], ""),  # nothing says that the topic was recorded at all
        ([0, 19], "18 of 20 decisions missing (sequence numbers 1, 2, 3, 4, 5 and others)"),
    ],
)
def test_unavoidable_losses_of_a_recorder_are_no_gaps(found: range, text: str) -> None:
    expected = np.stack([np.arange(20.0), np.arange(20.0)], axis=1)
    assert missing_decisions(expected, expected[list(found)]) == text


def test_decisions_that_repeat_are_reported_with_an_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two nodes of one name, or a topic that was recorded twice."""
    node = read(tmp_path / "bag", np.repeat(decisions(60), [2 if k in (7, 9) else 1 for k in range(60)], axis=0))
    assert node.describe_gaps() == "2 decisions occur more than once (sequence numbers 7, 9)"
    assert main(["latency", str(tmp_path / "bag")]) == 1
    assert "2 decisions occur more than once" in capsys.readouterr().err


def test_a_number_that_repeats_after_a_restart_is_reported_by_its_time() -> None:
    keys = np.array([[0, 1.0], [1, 2.0], [0, 3.0], [1, 4.0]])
    assert missing_decisions(keys, keys) == ""
    assert missing_decisions(keys, keys[[0, 1, 3]]) == "1 of 4 decisions missing (sequence numbers 0)"


def test_labels_that_change_leave_the_numbers_and_times(tmp_path: Path) -> None:
    """Another policy took over: the record is whole, but there is no one table of it."""
    wide = np.concatenate([decisions(60)[30:], np.zeros((30, 1))], axis=1)
    parts = {"/student": [(DECISION, decisions(60)[:30]), ((*DECISION, "action.v"), wide)]}
    (node,) = read_latency_bag(write_bag(tmp_path / "bag", {"/student": records(60)}, decisions=parts))
    assert node.decisions is not None
    assert (node.decisions.labels, len(node.decisions.keys)) == ((), 60)
    assert node.describe_gaps() == ""


@pytest.mark.parametrize("labels", [DECISION[:-1], (*DECISION[1:], "x"), ("seq",), (*DECISION[:-1], "seq")])
def test_decisions_without_their_labels_are_refused(tmp_path: Path, labels: tuple[str, ...]) -> None:
    parts = {"/student": [(labels, decisions(3))]}
    with pytest.raises(RecordingError, match="each value needs its own label"):
        read_latency_bag(write_bag(tmp_path / "bag", {"/student": records(3)}, decisions=parts))


def test_a_time_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    values = decisions(3)
    values[1, 1] = np.inf
    with pytest.raises(RecordingError, match="non-finite"):
        read(tmp_path / "bag", values, count=3)


def test_policies_are_reported_in_the_order_of_acting(tmp_path: Path) -> None:
    info = {"kind": "vdd", "policy_sha256": "a" * 64}
    (node,) = read_latency_bag(write_bag(tmp_path / "bag", {"/student": records(3)}, {"/student": info}))
    assert node.policies == ("a" * 64,)


@pytest.mark.parametrize(
    ("experts", "episodes", "expected"),
    [
        ([3, 3, 3, 5, 5], [], 0.25),
        ([1, 2, 1], [], 1.0),
        ([1, 2, 2, 1, 2], [-0.5, 2.5], 2 / 4),  # the third change is another episode's first decision
        ([4, 4], [], 0.0),
        ([4], [], 0.0),
        ([], [], None),
        ([math.nan, math.nan], [], None),
    ],
)
def test_switches_of_the_expert_a_decision(experts: list[float], episodes: list[float], expected: float | None) -> None:
    received = 1_000_000_000_000_000_000 + np.arange(len(experts)) * 35_000_000
    began = 1_000_000_000_000_000_000 + (35_000_000 * np.array(episodes)).astype(np.int64)
    assert expert_switch_rate(np.array(experts), received, began) == expected


def with_experts(path: Path, experts: list[int], **decided: Any) -> Path:
    published = [(float(tick), expert) for tick, expert in enumerate(experts)]
    # a number that comes again begins nothing
    episodes = [(-0.5, 0), (9.5, 0), (19.5, 1)]
    numbers: dict[str, list[tuple[float, int]]] = {"/student/expert": published, "/episode": episodes}
    return write_bag(path, {"/student": records(len(experts))}, numbers=numbers, **decided)


EXPERTS = [0] * 10 + [1] * 10 + [2] * 21
"""Of two changes the second comes with an episode."""


@pytest.mark.parametrize("decided", [False, True])
def test_the_report_tells_how_often_the_expert_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], decided: bool
) -> None:
    """From the decisions, or where a node publishes none from the experts."""
    values = decisions(41)
    values[:, DECISION.index("expert")] = EXPERTS
    parts = {"decisions": {"/student": [(DECISION, values)]}} if decided else {}
    bag, numbers = with_experts(tmp_path / "bag", EXPERTS, **parts), tmp_path / "numbers.json"
    assert main(["latency", str(bag), "--json", str(numbers)]) == 0
    assert json.loads(numbers.read_text())["nodes"][0]["switch_rate"] == 1 / 40
    assert "41 ticks, the expert changed 2.5 times in 100 decisions, " in capsys.readouterr().out


def test_the_switch_rate_uses_experts_if_decision_labels_changed(tmp_path: Path) -> None:
    wide = np.concatenate([decisions(41)[20:], np.zeros((21, 1))], axis=1)
    parts = {"/student": [(DECISION, decisions(41)[:20]), ((*DECISION, "action.v"), wide)]}
    (node,) = read_latency_bag(with_experts(tmp_path / "bag", EXPERTS, decisions=parts))
    assert node.switch_rate == 1 / 40
