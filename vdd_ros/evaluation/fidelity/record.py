"""The record of a comparison: everything for JSON, and the main figures for the policy file."""

from typing import TypedDict

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.documents import Json, JsonObject, json_object, to_json
from vdd_ros.evaluation.fidelity.report import FidelityConfig, FidelityReport
from vdd_ros.evaluation.policy_facts import PolicyFacts, policy_facts
from vdd_ros.host.facts import RuntimeVersions, machine_facts, runtime_versions
from vdd_ros.host.threads import ThreadCount
from vdd_ros.policy.policy_file import PolicyFile
from vdd_ros.policy.spec import PolicySpec


class ComparedAt(TypedDict):
    """The demonstrations at whose states policies were compared.

    Attributes:
        source, seed: As in the header of the set.
        sha256: Hash of the set.
        held_out: As `held_out` returns it.
    """

    source: str
    seed: int | None
    sha256: str
    held_out: bool | None


class ComparingMachine(TypedDict):
    """The machine of a comparison: `MachineFacts`, the number of threads, and the reason for that number."""

    cpu: str
    cores: int
    threads: int
    threads_reason: str


class FidelityRecord(TypedDict):
    """Content of the JSON file of `vdd fidelity`.

    Attributes:
        task: Name of the task, or None.
        teacher, student: The policy files.
        demonstrations: The demonstrations of the comparison.
        settings: The attributes of `FidelityConfig`.
        measures, teacher_modes, entropies, demonstrations_calibration, teacher_calibration: As in `FidelityReport`.
        machine, versions: Machine and software of the measurement.
    """

    task: str | None
    teacher: PolicyFacts
    student: PolicyFacts
    demonstrations: ComparedAt
    settings: JsonObject
    measures: Json
    teacher_modes: JsonObject
    entropies: JsonObject
    demonstrations_calibration: Json
    teacher_calibration: Json
    machine: ComparingMachine
    versions: RuntimeVersions


def main_figures(
    teacher: PolicyFile, config: FidelityConfig, demonstrations: DemonstrationSet, report: FidelityReport
) -> dict[str, str | float]:
    """Return the figures for the policy file.

    Returns:
        The hashes of the teacher's file and of the demonstrations; `states`, `samples` and `seed` of the settings; and
        means over the states: each of `MEASURES` with its `_floor`, the entropies in nats, and with a density
        `log_likelihood_` (nats) and `calibration_error_` of `demonstrations` and `teacher`.
    """
    figures: dict[str, str | float] = {
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
    threads: ThreadCount,
) -> FidelityRecord:
    """Return the record of a comparison.

    Args:
        policies: Teacher and student, each its file and its metadata.
        config: Settings of the comparison.
        demonstrations: The demonstrations of the comparison.
        report: Results of the comparison.
        threads: Number of threads that computed it.
    """
    teacher, student = policies
    machine = machine_facts()
    return {
        "task": student[1].task,
        "teacher": policy_facts(*teacher),
        "student": policy_facts(*student),
        "demonstrations": {
            "source": demonstrations.header.source,
            "seed": demonstrations.header.seed,
            "sha256": demonstrations.sha256,
            "held_out": held_out(demonstrations, (teacher[1], student[1])),
        },
        "settings": json_object(config),
        "measures": to_json(report.measures),
        "teacher_modes": json_object(report.teacher_modes),
        "entropies": json_object(report.entropies),
        "demonstrations_calibration": to_json(report.demonstrations_calibration),
        "teacher_calibration": to_json(report.teacher_calibration),
        "machine": {**machine, "threads": threads.threads, "threads_reason": threads.reason},
        "versions": runtime_versions(),
    }


def held_out(demonstrations: DemonstrationSet, policies: tuple[PolicySpec, PolicySpec]) -> bool | None:
    """Return whether no policy was trained on the demonstrations; None if the training data of one are unknown."""
    learned = {policy.data_sha256 for policy in policies}
    if demonstrations.sha256 in learned:
        return False
    return None if None in learned else True
