"""What is kept of a comparison: everything as JSON, and the main figures for the policy file."""

from dataclasses import asdict
from typing import Any

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.evaluation.fidelity.report import FidelityConfig, FidelityReport
from vdd_ros.host.facts import machine_facts, runtime_versions
from vdd_ros.policy.policy_file import PolicyFile
from vdd_ros.policy.spec import PolicySpec


def main_figures(
    teacher: PolicyFile, config: FidelityConfig, demonstrations: DemonstrationSet, report: FidelityReport
) -> dict[str, Any]:
    """Return the figures that go into the policy file."""
    figures: dict[str, Any] = {
        "teacher_file_sha256": teacher.sha256,
        "demonstrations_sha256": demonstrations.sha256,
        "states": config.states,
        "samples": config.samples,
        "seed": config.seed,
        "teacher_mode_entropy": report.entropies.teacher_modes.mean,
        "student_mode_entropy": report.entropies.student_modes.mean,
    }
    for name, found in report.measures.items():
        figures |= {name: found.student.mean, f"{name}_floor": found.floor.mean}
    if report.entropies.gating is not None:
        figures["gating_entropy"] = report.entropies.gating.mean
    for name, calibration in (
        ("demonstrations", report.demonstrations_calibration),
        ("teacher", report.teacher_calibration),
    ):
        if calibration is not None:
            figures[f"log_likelihood_{name}"] = calibration.log_likelihood.mean
            figures[f"calibration_error_{name}"] = calibration.error
    return figures


def fidelity_record(
    policies: tuple[tuple[PolicyFile, PolicySpec], tuple[PolicyFile, PolicySpec]],
    config: FidelityConfig,
    demonstrations: DemonstrationSet,
    report: FidelityReport,
    threads: dict[str, Any],
) -> dict[str, Any]:
    """Return all that the JSON file holds; `threads` goes to the facts of the machine."""
    teacher, student = policies
    return {
        "task": student[1].task,
        "teacher": _facts(*teacher),
        "student": _facts(*student),
        "demonstrations": {
            "source": demonstrations.header.source,
            "seed": demonstrations.header.seed,
            "sha256": demonstrations.sha256,
            "held_out": held_out(demonstrations, (teacher[1], student[1])),
        },
        "settings": asdict(config),
        **asdict(report),
        "machine": machine_facts() | threads,
        "versions": runtime_versions(),
    }


def _facts(file: PolicyFile, policy: PolicySpec) -> dict[str, Any]:
    return {
        "file": file.path.name,
        "sha256": file.sha256,
        "structure": policy.structure,
        "method": policy.method,
        "experts": policy.experts,
        "sampling_steps": policy.sampling_steps,
        "history": policy.history,
        "horizon": policy.horizon,
        "teacher_sha256": policy.teacher_sha256,
        "data_sha256": policy.data_sha256,
    }


def held_out(demonstrations: DemonstrationSet, policies: tuple[PolicySpec, PolicySpec]) -> bool | None:
    """Return whether neither policy learned from the demonstrations; None where one does not say what it did."""
    learned = {policy.data_sha256 for policy in policies}
    if demonstrations.sha256 in learned:
        return False
    return None if None in learned else True
