"""Several bags: grouped by node and by company, with medians and intervals that are known."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_files import LABELS, write_bag

from vdd_ros.cli.main import main

RATE_HZ = 1000 / 35


def records(inference_s: float, count: int = 60) -> np.ndarray:
    """Ticks that all take the same; every period is 0.2 ms too long."""
    values = np.zeros((count, len(LABELS)))
    columns: dict[str, Any] = {
        "seq": np.arange(count),
        "stamp_s": 100 + 0.035 * np.arange(count),
        "period_s": 0.0352,
        "observation_age_s": 0.01,
        "inference_s": inference_s,
        "total_s": inference_s + 1e-4,
    }
    for label, column in columns.items():
        values[:, LABELS.index(label)] = column
    return values


def info(kind: str, digest: str = "a" * 64) -> dict[str, Any]:
    steps = 8 if kind == "ddpm" else None
    return {"kind": kind, "sampling_steps": steps, "policy_sha256": digest, "rate_hz": RATE_HZ}


def alone(path: Path, node: str, inference_s: float, **more: Any) -> str:
    return str(write_bag(path, {node: records(inference_s)}, {node: info("vdd", **more)}))


def together(path: Path, student_s: float, teacher_s: float) -> str:
    nodes = {"/student": records(student_s), "/teacher": records(teacher_s)}
    return str(write_bag(path, nodes, {"/student": info("vdd"), "/teacher": info("ddpm", "b" * 64)}))


def numbers(tmp_path: Path, *bags: str) -> dict[str, Any]:
    assert main(["latency", *bags, "--json", str(tmp_path / "n.json")]) == 0
    found: dict[str, Any] = json.loads((tmp_path / "n.json").read_text())
    return found


def test_bags_are_grouped_by_node_and_company(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bags = []
    for round_, (alone_s, together_s) in enumerate([(1e-4, 2e-4), (3e-4, 3e-4), (2e-4, 6e-4)]):
        bags.append(alone(tmp_path / f"alone{round_}", "/student", alone_s))
        bags.append(together(tmp_path / f"both{round_}", together_s, 1e-3))
    found = numbers(tmp_path, *bags)
    groups = {(group["node"], group["condition"]): group for group in found["repeats"]}
    assert set(groups) == {("/student", "alone"), ("/student", "together"), ("/teacher", "together")}
    student = groups["/student", "alone"]
    assert (student["count"], student["confidence"], student["deadline_misses"]) == (3, 0.75, [0, 0, 0])
    inference = student["stages"]["inference"]["p50"]
    assert inference["median"] == pytest.approx(2e-4)
    assert inference["interval"] == pytest.approx([1e-4, 3e-4])
    (slowdown,) = found["slowdowns"]
    assert (slowdown["node"], slowdown["rounds"]) == ("/student", 3)
    assert slowdown["inference"]["median"] == pytest.approx(2.0)
    assert slowdown["inference"]["interval"] == pytest.approx([1.0, 3.0])
    assert len(found["other_bags"]) == 5
    shown = capsys.readouterr().out
    assert "200.0 [100.0, 300.0]" in shown
    assert "/student takes 2.00 [1.00, 3.00] times as long together as alone for inference" in shown
    assert "75 % of 3 bags" in shown


def test_jitter_and_the_way_from_sensor_to_command_are_known(tmp_path: Path) -> None:
    found = numbers(tmp_path, alone(tmp_path / "bag", "/student", 1e-4))
    stages = found["nodes"][0]["stages"]
    assert stages["jitter"]["p50"] == pytest.approx(0.0002)
    assert stages["sensor to command"]["p95"] == pytest.approx(0.0102)
    assert (found["repeats"], found["slowdowns"], found["other_bags"]) == ([], [], [])


def test_without_a_rate_the_median_period_is_the_nominal_one(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", {"/student": records(1e-4)})
    assert numbers(tmp_path, str(bag))["nodes"][0]["stages"]["jitter"]["p99"] == pytest.approx(0, abs=1e-9)


def test_one_bag_of_a_kind_has_no_interval(tmp_path: Path) -> None:
    found = numbers(tmp_path, alone(tmp_path / "a", "/student", 1e-4), together(tmp_path / "b", 2e-4, 1e-3))
    assert found["repeats"][0]["stages"]["inference"]["p50"]["interval"] is None


def test_unequal_numbers_of_rounds_give_no_ratio(tmp_path: Path) -> None:
    bags = [alone(tmp_path / f"a{number}", "/student", 1e-4) for number in range(2)]
    assert numbers(tmp_path, *bags, together(tmp_path / "b", 2e-4, 1e-3))["slowdowns"] == []


def test_bags_of_other_policies_are_no_repeats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bags = [alone(tmp_path / digest, "/student", 1e-4, digest=64 * digest) for digest in "ab"]
    assert main(["latency", *bags]) == 2
    assert "/student ran other policy files in some of the bags" in capsys.readouterr().err


def test_a_gap_in_any_bag_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = alone(tmp_path / "whole", "/student", 1e-4)
    torn = write_bag(tmp_path / "torn", {"/student": np.delete(records(1e-4), 40, axis=0)}, {"/student": info("vdd")})
    assert main(["latency", whole, str(torn)]) == 1
    assert f"gap in the record: {torn}: /student: 1 of 60 records missing" in capsys.readouterr().err
