"""`vdd latency`: known times give known numbers, and incomplete records are an error."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_files import LABELS, write_bag
from matplotlib.image import imread
from numpy.typing import NDArray

from vdd_ros.cli.main import main
from vdd_ros.control.timing import latency_labels
from vdd_ros.evaluation.latency.summary import NodeReport, median_interval
from vdd_ros.evaluation.latency.tables import describe_node

STUDENT = {"kind": "vdd", "sampling_steps": None, "machine": {"cpu": "Abacus", "cores": 2}}
TEACHER = {"kind": "ddpm", "sampling_steps": 8, "machine": {"cpu": "Abacus", "cores": 2}}


def records(count: int, inference_s: float) -> NDArray[np.float64]:
    """Ticks whose inference runs evenly from half to one and a half of `inference_s`; 30 µs go elsewhere."""
    values = np.zeros((count, len(LABELS)))
    inference = np.linspace(0.5, 1.5, count) * inference_s
    columns: dict[str, Any] = {
        "seq": np.arange(count),
        "assemble_s": 10e-6,
        "inference_s": inference,
        "publish_s": 15e-6,
        "total_s": inference + 25e-6,
        "bookkeeping_s": 5e-6,
    }
    for label, column in columns.items():
        values[:, LABELS.index(label)] = column
    return values


def student_and_teacher(tmp_path: Path) -> Path:
    student, teacher = records(1001, 50e-6), records(801, 400e-6)
    student[900, LABELS.index("deadline_missed")] = 1
    return write_bag(
        tmp_path / "bag", {"/student": student, "/teacher": teacher}, {"/student": STUDENT, "/teacher": TEACHER}
    )


def test_the_numbers_of_a_bag_of_known_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag, numbers = student_and_teacher(tmp_path), tmp_path / "numbers.json"
    assert main(["latency", str(bag), "--json", str(numbers), "--warmup", "0"]) == 0
    found = json.loads(numbers.read_text())
    student, teacher = found["nodes"]
    assert (student["node"], student["ticks"], student["deadline_misses"]) == ("/student", 1001, 1)
    inference = student["stages"]["inference"]
    assert inference["p50"] == pytest.approx(50e-6)
    assert inference["p95"] == pytest.approx(72.5e-6)
    assert inference["p99"] == pytest.approx(74.5e-6)
    assert inference["p50_interval"][0] < 50e-6 < inference["p50_interval"][1]
    assert student["stages"]["not inference"]["p50"] == pytest.approx(30e-6)
    assert teacher["stages"]["inference"]["count"] == 801
    assert found["comparison"]["steps"] == 8
    assert found["comparison"]["ratio"] == pytest.approx(8.0)
    low, high = found["comparison"]["interval"]
    assert low < 8.0 < high
    table = capsys.readouterr().out
    assert "the inference of /teacher takes 8.0 times" in table
    assert "all that is not inference in a tick of /student: median 30.0 µs" in table
    assert "vdd, 1 pass; 1001 ticks, deadlines missed: 1, no gap; Abacus, 2 cores" in table


def test_the_warm_up_is_left_out(tmp_path: Path) -> None:
    values = records(100, 50e-6)
    values[:20, LABELS.index("inference_s")] = 1.0
    bag = write_bag(tmp_path / "bag", {"/student": values})
    assert main(["latency", str(bag), "--json", str(tmp_path / "numbers.json")]) == 0
    stages = json.loads((tmp_path / "numbers.json").read_text())["nodes"][0]["stages"]
    assert stages["inference"]["count"] == 80
    assert stages["inference"]["p99"] < 80e-6


def test_missing_records_are_an_error_with_their_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = write_bag(tmp_path / "bag", {"/student": np.delete(records(100, 1e-5), [30, 31], axis=0)})
    assert main(["latency", str(bag)]) == 1
    assert "/student: 2 of 100 records missing (sequence numbers 30 to 31)" in capsys.readouterr().err


def test_what_was_not_measured_is_null_and_not_counted(tmp_path: Path) -> None:
    values = records(60, 1e-5)
    values[:, LABELS.index("publish_s")] = np.nan
    values[40:, LABELS.index("lateness_s")] = np.nan
    bag = write_bag(tmp_path / "bag", {"/student": values})
    assert main(["latency", str(bag), "--json", str(tmp_path / "numbers.json"), "--warmup", "0"]) == 0
    stages = json.loads((tmp_path / "numbers.json").read_text())["nodes"][0]["stages"]
    assert (stages["publish"]["count"], stages["publish"]["p50"]) == (0, None)
    assert stages["lateness"]["count"] == 40


def test_two_policies_of_one_pass_are_not_compared(tmp_path: Path) -> None:
    bag = write_bag(
        tmp_path / "bag", {"/a": records(60, 1e-5), "/b": records(60, 1e-5)}, {"/a": STUDENT, "/b": STUDENT}
    )
    assert main(["latency", str(bag), "--json", str(tmp_path / "numbers.json")]) == 0
    assert json.loads((tmp_path / "numbers.json").read_text())["comparison"] is None


def test_each_student_is_compared_with_each_teacher(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = {"/a": records(60, 1e-5), "/b": records(60, 2e-5), "/c": records(60, 8e-5)}
    bag = write_bag(tmp_path / "bag", nodes, {"/a": STUDENT, "/b": STUDENT, "/c": TEACHER})
    assert main(["latency", str(bag), "--json", str(tmp_path / "numbers.json")]) == 0
    found = json.loads((tmp_path / "numbers.json").read_text())
    assert [(one["student"], one["teacher"]) for one in found["comparisons"]] == [("/a", "/c"), ("/b", "/c")]
    assert [one["ratio"] for one in found["comparisons"]] == pytest.approx([8.0, 4.0])
    assert found["comparison"] is None
    assert "takes 4.0 times" in capsys.readouterr().out


def test_a_node_that_says_strange_things_about_itself_is_reported_all_the_same(tmp_path: Path) -> None:
    strange = {"kind": 7, "sampling_steps": "many", "rate_hz": "fast", "machine": {}, "policy_sha256": [1]}
    strange |= {"jitter_floor": 3, "noise": None, "expert": {}}
    bag = write_bag(tmp_path / "bag", {"/a": records(60, 1e-5), "/b": records(60, 1e-5)}, {"/a": strange, "/b": {}})
    more = ["--html", str(tmp_path / "r.html"), "--figure", str(tmp_path / "latency.png")]
    assert main(["latency", str(bag), *more]) == 0


def test_the_figure_is_a_picture(tmp_path: Path) -> None:
    bag = student_and_teacher(tmp_path)
    assert main(["latency", str(bag), "--figure", str(tmp_path / "latency.png")]) == 0
    picture = imread(tmp_path / "latency.png")
    assert min(picture.shape[:2]) > 300
    assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 3


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--warmup", "-1"], "--warmup is -1"), (["--warmup", "60"], "has 60 ticks, of which the first 60 count as")],
)
def test_a_warm_up_that_leaves_nothing_is_refused(
    tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = write_bag(tmp_path / "bag", {"/student": records(60, 1e-5)})
    assert main(["latency", str(bag), *options]) == 2
    assert message in capsys.readouterr().err


def test_a_missing_bag_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["latency", str(tmp_path / "none")]) == 2
    assert "not a readable bag" in capsys.readouterr().err


@pytest.mark.parametrize("count", [10, 31, 200])
def test_the_interval_of_the_median_holds_it_95_times_in_100(count: int) -> None:
    rng = np.random.default_rng(0)
    samples = np.sort(rng.exponential(size=(4000, count)), axis=1)
    intervals = np.array([median_interval(sample) for sample in samples])
    covered = np.mean((intervals[:, 0] <= np.log(2)) & (np.log(2) <= intervals[:, 1]))
    assert 0.94 < covered < 0.985


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ({"structure": "diffusion", "method": "mine", "sampling_steps": 8}, "mine, 8 passes; "),
        ({"structure": "mixture", "method": "vdd", "sampling_steps": None}, "vdd, 1 pass; "),
        ({"kind": "ddpm", "sampling_steps": 8}, "ddpm, 8 passes; "),
        ({}, "policy not recorded; "),
    ],
)
def test_a_node_is_described_by_its_method_in_newer_and_older_bags(info: dict[str, Any], said: str) -> None:
    node = NodeReport("/policy", info, 5, 0, 5, "", 0, {})
    assert describe_node(node).startswith(said)


def test_a_long_name_of_an_input_keeps_the_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "camera_object_pose_of_the_left_arm"
    values = np.hstack([records(101, 50e-6), np.zeros((101, 1))])
    bag = write_bag(tmp_path / "bag", {"/student": values}, {"/student": STUDENT}, latency_labels((name,)), named=True)
    assert main(["latency", str(bag), "--warmup", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (title,) = [line for line in lines if line.startswith("  stage (µs)")]
    (row,) = [line for line in lines if line.startswith(f"  age of {name} ")]
    assert row.index(" 101 ") + len(" 101") == title.index(" n ") + len(" n")
    assert len(row) == len(title)


def test_skew_and_age_of_each_input_are_told_where_the_records_have_them(tmp_path: Path) -> None:
    """Beside a bag of an earlier version, which has neither: what both have is compared."""
    labels = latency_labels(("arm", "camera"))
    values = np.hstack([records(101, 50e-6), np.zeros((101, 2))])
    values[:, labels.index("skew_s")] = np.linspace(0.0, 0.02, 101)
    values[:, labels.index("age_s.camera")] = 0.03
    assert labels[-2:] == ("age_s.arm", "age_s.camera")
    newer = write_bag(tmp_path / "newer", {"/student": values}, {"/student": STUDENT}, labels, named=True)
    old = records(101, 50e-6)[:, : LABELS.index("skew_s")]
    older = write_bag(tmp_path / "older", {"/student": old}, {"/student": STUDENT}, LABELS[: old.shape[1]])
    numbers = tmp_path / "numbers.json"
    assert main(["latency", str(newer), "--json", str(numbers), "--warmup", "0"]) == 0
    stages = json.loads(numbers.read_text())["nodes"][0]["stages"]
    assert stages["skew of inputs"]["p50"] == pytest.approx(0.01)
    assert stages["skew of inputs"]["p95"] == pytest.approx(0.019)
    assert (stages["age of arm"]["p99"], stages["age of camera"]["p50"]) == pytest.approx((0.0, 0.03))
    assert main(["latency", str(older), str(newer), "--json", str(numbers), "--warmup", "0"]) == 0
    report = json.loads(numbers.read_text())
    assert "skew of inputs" not in report["repeats"][0]["stages"]
    assert report["repeats"][0]["stages"]["inference"]["p50"]["median"] == pytest.approx(50e-6)
