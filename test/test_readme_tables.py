"""Every figure that the pages quote is the one in results/, and the shipped policies are those that were measured."""

from hashlib import sha256

import pytest
from checkout import CHECKOUT
from readme_tables import TABLES, load_results

from vdd_ros.policy.onnx_policy import OnnxPolicy

PAGES = "\n".join((CHECKOUT / page).read_text(encoding="utf-8") for page in ("README.md", "docs/latency.md"))
SHIPPED = {"student": "student_multi_noise_0", "teacher": "teacher"}


@pytest.mark.parametrize("name", TABLES)
def test_the_pages_quote_the_results(name: str) -> None:
    text = TABLES[name](load_results())
    assert text in PAGES, f"the pages lack this text of {name}; print it with python test/readme_tables.py:\n{text}"


@pytest.mark.parametrize(("policy", "label"), SHIPPED.items())
def test_the_shipped_policy_is_the_measured_one(policy: str, label: str) -> None:
    file = CHECKOUT / "models" / f"avoiding_{policy}.onnx"
    assert sha256(file.read_bytes()).hexdigest() == load_results()[label]["policy"]["sha256"]
    assert file.stat().st_size < 2_000_000


@pytest.mark.parametrize("policy", SHIPPED)
def test_the_shipped_policy_is_a_policy_file_with_parity(policy: str) -> None:
    spec = OnnxPolicy.load(CHECKOUT / "models" / f"avoiding_{policy}.onnx").spec
    assert spec.task == "avoiding"
    assert spec.parity.max_error <= 1e-5
    assert spec.parity.expert_mismatches == 0


def test_the_shipped_student_was_distilled_from_the_measured_data() -> None:
    student, teacher = (OnnxPolicy.load(CHECKOUT / "models" / f"avoiding_{name}.onnx").spec for name in SHIPPED)
    assert student.data_sha256 == teacher.data_sha256
    assert student.teacher_sha256 is not None


def test_the_figures_hold() -> None:
    results = load_results()
    teacher = results["teacher"]["pooled"]
    assert teacher["success_rate"] >= 0.95
    assert teacher["entropy"] >= 0.85
    for seed in range(3):
        student = results[f"student_multi_noise_{seed}"]["pooled"]
        assert student["rollouts"] >= 480
        assert student["success_rate"] >= teacher["success_rate"] - 0.05
        assert student["entropy"] >= 0.9 * teacher["entropy"]
        assert results[f"distil_multi_noise_{seed}"]["seconds"] <= 600
    found = results["latency"]["comparison"]
    assert found["ratio"] >= 0.6 * found["steps"]
    assert all(node["missing"] == 0 for node in results["latency"]["nodes"])
