"""Every figure that the pages quote is the one in results/, and the shipped policies are those that were measured."""

import shlex
from hashlib import sha256

import pytest
from checkout import CHECKOUT
from readme_tables import TABLES, load_groups, load_results, load_tutorial, tutorial_ways
from run_tutorial import tutorial

from vdd_ros.benchmark.methods.results import read_results
from vdd_ros.policy.onnx_policy import OnnxPolicy

QUOTING = ("README.md", "docs/install.md", "docs/latency.md", "docs/method.md", "docs/your_robot.md")
PAGES = "\n".join((CHECKOUT / page).read_text(encoding="utf-8") for page in QUOTING)
SHIPPED = ("student", "teacher")
FILES = sorted(file.name for file in (CHECKOUT / "models").glob("*.onnx"))


@pytest.mark.parametrize("name", TABLES)
def test_the_pages_quote_the_results(name: str) -> None:
    text = TABLES[name]()
    assert text in PAGES, (
        f"the pages lack this text of {name}; print it with python test/rigs/readme_tables.py:\n{text}"
    )


def test_student_and_teacher_ship_for_two_tasks() -> None:
    assert [f"{task}_{policy}.onnx" for task in ("avoiding", "pushing") for policy in SHIPPED] == FILES


@pytest.mark.parametrize("policy", SHIPPED)
def test_the_shipped_policy_is_the_measured_one(policy: str) -> None:
    file = CHECKOUT / "models" / f"avoiding_{policy}.onnx"
    assert sha256(file.read_bytes()).hexdigest() == load_results()[policy]["policy"]["sha256"]


@pytest.mark.parametrize(("policy", "method"), [("student", "vdd-beso"), ("teacher", "beso")])
def test_the_shipped_policy_of_pushing_is_the_measured_one(policy: str, method: str) -> None:
    file = CHECKOUT / "models" / f"pushing_{policy}.onnx"
    trials = [one for one in read_results(CHECKOUT / "results/benchmark.json") if one["task"] == "pushing"]
    first = [one for one in trials if (one["method"], one["variant"], one["seed"]) == (method, None, 0)]
    assert [one["policy_sha256"] for one in first] == [sha256(file.read_bytes()).hexdigest()]


@pytest.mark.parametrize("file", FILES)
def test_the_shipped_policy_is_a_small_policy_file_with_parity(file: str) -> None:
    assert (CHECKOUT / "models" / file).stat().st_size < 2_000_000
    spec = OnnxPolicy.load(CHECKOUT / "models" / file).spec
    assert spec.task == file.partition("_")[0]
    assert spec.parity.max_error <= 1e-5
    assert spec.parity.expert_mismatches == 0


@pytest.mark.parametrize("task", ["avoiding", "pushing"])
def test_the_shipped_student_was_distilled_from_the_measured_data(task: str) -> None:
    student, teacher = (OnnxPolicy.load(CHECKOUT / "models" / f"{task}_{name}.onnx").spec for name in SHIPPED)
    assert student.data_sha256 == teacher.data_sha256
    assert student.teacher_sha256 is not None


def test_the_shipped_student_has_the_fidelity_to_the_shipped_teacher() -> None:
    student = OnnxPolicy.load(CHECKOUT / "models" / "avoiding_student.onnx").spec
    teacher = sha256((CHECKOUT / "models" / "avoiding_teacher.onnx").read_bytes()).hexdigest()
    assert student.fidelity["against_teacher"]["teacher_file_sha256"] == teacher


@pytest.mark.parametrize("name", ["ddpm", "beso"])
def test_the_figures_hold(name: str) -> None:
    groups = load_groups()
    teacher, student = groups[name, None], groups[f"vdd-{name}", None]
    assert all(trial["rollouts"] >= 480 for trial in (*teacher.trials, *student.trials))
    assert len(student.trials) >= 3
    assert teacher.success.mean >= 0.95
    assert teacher.entropy.mean >= 0.85
    assert student.success.mean >= teacher.success.mean - 0.02
    assert student.entropy.mean >= 0.95 * teacher.entropy.mean
    assert all(trial["train_s"] <= 20 * 60 for trial in teacher.trials)
    assert all(trial["distil_s"] is not None and trial["distil_s"] <= 10 * 60 for trial in student.trials)


def test_the_latency_of_the_demo_holds() -> None:
    results = load_results()
    found = results["latency"]["comparison"]
    assert found["ratio"] >= 0.6 * found["steps"]
    assert all(node["missing"] == 0 for node in results["latency"]["nodes"])


def test_the_arm_of_the_tutorial_takes_both_demonstrated_ways() -> None:
    results, ways = load_tutorial(), tutorial_ways()
    shares = {name: up / (up + down) for name, (up, down) in ways.items()}
    assert shares["demonstrations"] == pytest.approx(0.5)
    assert max(abs(share - 0.5) for share in shares.values()) <= 0.1, shares
    for name in ("teacher", "student"):
        assert results[name]["pooled"]["rollouts"] >= 480
        assert results[name]["pooled"]["success_rate"] >= 0.95
    assert results["run"]["rollouts"] >= 100
    assert results["run"]["successes"] >= 0.95 * results["run"]["rollouts"]
    assert sum(one["seconds"] for one in results["commands"]["taken"]) <= 20 * 60


def test_the_results_of_the_tutorial_are_of_the_commands_that_it_shows() -> None:
    shown = [shlex.join(command.words) for command in tutorial()]
    assert [one["command"] for one in load_tutorial()["commands"]["taken"]] == shown
