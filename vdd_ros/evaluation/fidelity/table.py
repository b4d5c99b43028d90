"""The table of a comparison of two policies."""

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.evaluation.fidelity.calibration import Calibration
from vdd_ros.evaluation.fidelity.record import held_out
from vdd_ros.evaluation.fidelity.report import FidelityConfig, FidelityReport
from vdd_ros.evaluation.fidelity.statistics import AgainstFloor, Estimate
from vdd_ros.policy.spec import PolicySpec

TITLES = {
    "wasserstein": "Wasserstein (deviations)",
    "energy": "energy distance (deviations)",
    "mode_recall": "mode recall",
    "mode_recall_unweighted": "mode recall, unweighted",
    "mode_precision": "mode precision",
}


_STATES = {
    True: "held-out demonstrations",
    False: "the TRAINING demonstrations",
    None: "demonstrations that may be those of the training",
}
_ROW = "  {:<29}{:>8}  {:<18}{:>8}{:>12}  {:<18}"


def fidelity_table(
    names: tuple[str, str],
    config: FidelityConfig,
    policies: tuple[PolicySpec, PolicySpec],
    demonstrations: DemonstrationSet,
    report: FidelityReport,
) -> str:
    """Return the table of a comparison.

    Args:
        names: File names of teacher and student.
        config: Settings.
        policies: The teacher and the student.
        demonstrations: Source of the states.
        report: Result.
    """
    teacher, student = policies
    rows = [
        f"{names[1]} ({student.method}) against {names[0]} ({teacher.method}): {config.states} states "
        f"of {_STATES[held_out(demonstrations, policies)]}, {config.samples} actions each",
        _ROW.format("", "student", "", "floor", "difference", "").rstrip(),
        *(_format_measure(TITLES[name], found) for name, found in report.measures.items()),
        "  floor: the teacher against itself; in brackets the 95 % interval of the mean over states",
        "",
        *_format_entropies(report),
    ]
    for what, calibration in (
        ("demonstrated actions", report.demonstrations_calibration),
        ("the teacher's", report.teacher_calibration),
    ):
        if calibration is not None:
            rows.append(_format_calibration(what, calibration))
    return "\n".join(rows)


def _format_measure(title: str, found: AgainstFloor) -> str:
    student, difference = found.student, found.difference
    return _ROW.format(
        title,
        f"{student.mean:.4f}",
        _interval(student),
        f"{found.floor.mean:.4f}",
        f"{difference.mean:+.4f}",
        _interval(difference),
    ).rstrip()


def _format_entropies(report: FidelityReport) -> list[str]:
    found = report.entropies
    rows = [
        f"  modes of the teacher at a state: {report.teacher_modes.mean:.2f} {_interval(report.teacher_modes)}",
        f"  entropy over them (nats): teacher {found.teacher_modes.mean:.3f} {_interval(found.teacher_modes)}, "
        f"student {found.student_modes.mean:.3f} {_interval(found.student_modes)}",
    ]
    if found.gating is not None:
        same = found.gating_correlation
        agree = "" if same is None else f", correlation with the teacher's {same:.2f}"
        rows.append(f"  entropy of the gating (nats): {found.gating.mean:.3f} {_interval(found.gating)}{agree}")
    return rows


def _format_calibration(what: str, found: Calibration) -> str:
    return (
        f"  density at {what}: {found.log_likelihood.mean:.3f} {_interval(found.log_likelihood)} nats, calibration "
        f"error {found.error:.3f} (floor {found.error_floor:.3f}, bias {found.bias:+.3f})"
    )


def _interval(estimate: Estimate) -> str:
    low, high = estimate.interval
    return f"[{low:.4f}, {high:.4f}]"
