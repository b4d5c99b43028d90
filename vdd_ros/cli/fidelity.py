"""`vdd fidelity`: how close are a student's actions to its teacher's, policy file against policy file?"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vdd_ros.cli.results import add_result_options, check_result_options, keep_result
from vdd_ros.cli.threads import add_thread_option, settle_numpy_threads, thread_facts
from vdd_ros.console import show
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError
from vdd_ros.host.facts import machine_facts, runtime_versions
from vdd_ros.host.threads import ThreadCount
from vdd_ros.places import OutputFile
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.policy_file import PolicyFile
from vdd_ros.policy.spec import PolicySpec
from vdd_ros.progress import progress
from vdd_ros.tasks import get_task

if TYPE_CHECKING:
    from vdd_ros.evaluation.fidelity.calibration import Calibration
    from vdd_ros.evaluation.fidelity.report import FidelityConfig, FidelityReport
    from vdd_ros.evaluation.fidelity.statistics import AgainstFloor, Estimate

HELP = "compare a student's actions with its teacher's at the same states"

DEMONSTRATOR_SEED = 1_000_003
TITLES = {
    "wasserstein": "Wasserstein (deviations)",
    "energy": "energy distance (deviations)",
    "mode_recall": "mode recall",
    "mode_recall_unweighted": "mode recall, unweighted",
    "mode_precision": "mode precision",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd fidelity`."""
    parser.add_argument("teacher", type=Path, help="policy file of the teacher (.onnx), of any kind")
    parser.add_argument("student", type=Path, help="policy file of the student (.onnx), of any kind")
    parser.add_argument(
        "--demos",
        type=Path,
        metavar="DIR",
        help="demonstrations that neither was trained on (default: new ones by the task's demonstrator)",
    )
    parser.add_argument("--states", type=int, default=200, help="states of the demonstrations (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=256, help="actions of each at a state (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random draws (default: %(default)s)")
    parser.add_argument("--figure", type=OutputFile, metavar="PNG", help="draw what was found")
    parser.add_argument("--stamp", action="store_true", help="write the main figures into the student's policy file")
    add_result_options(parser)
    add_thread_option(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print the table, write what was asked for."""
    from vdd_ros.evaluation.fidelity.report import PHASES, FidelityConfig, measure

    check_result_options(args)
    chosen = settle_numpy_threads(args)
    config = FidelityConfig(states=args.states, samples=args.samples, seed=args.seed)
    teacher_file, student_file = PolicyFile.read(args.teacher), PolicyFile.read(args.student)
    teacher, student = (OnnxPolicy.load(file).spec for file in (teacher_file, student_file))
    demonstrations = _demonstrations(args.demos, student)
    with progress(PHASES * config.states, "states", "state") as bar:
        report, evidence = measure(teacher_file, student_file, demonstrations, config, bar.update)
    show(_format(args, (teacher, student), demonstrations, report))
    show(f"  threads: {chosen.threads}, {chosen.reason}")
    if args.stamp:
        from vdd_ros.evaluation.fidelity.stamp import stamp

        student_file = stamp(student_file, _headline(teacher_file, config, demonstrations, report))
    policies = ((teacher_file, teacher), (student_file, student))
    keep_result(args, _record(policies, config, demonstrations, report, chosen))
    if args.figure is not None:
        from vdd_ros.evaluation.fidelity.figure import save_figure

        title = f"{args.student.name} ({student.method}) against {args.teacher.name} ({teacher.method})"
        save_figure(args.figure, report, evidence, student, title)
    return 0


def _demonstrations(folder: Path | None, student: PolicySpec) -> DemonstrationSet:
    if folder is not None:
        return DemonstrationSet.load(folder)
    if student.task is None:
        raise ConfigurationError(
            "the student does not say which task it was made for; give demonstrations: --demos DIR"
        )
    task = get_task(student.task)
    with progress(task.default_demonstrations, "demonstrations", "episode") as bar:
        return task.demonstrate(task.default_demonstrations, DEMONSTRATOR_SEED, bar.update)


def _headline(
    teacher: PolicyFile, config: "FidelityConfig", demonstrations: DemonstrationSet, report: "FidelityReport"
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


def _record(
    policies: tuple[tuple[PolicyFile, PolicySpec], tuple[PolicyFile, PolicySpec]],
    config: "FidelityConfig",
    demonstrations: DemonstrationSet,
    report: "FidelityReport",
    chosen: ThreadCount,
) -> dict[str, Any]:
    """Return all that the JSON file holds."""
    teacher, student = policies
    return {
        "task": student[1].task,
        "teacher": _facts(*teacher),
        "student": _facts(*student),
        "demonstrations": {
            "source": demonstrations.header.source,
            "seed": demonstrations.header.seed,
            "sha256": demonstrations.sha256,
            "held_out": _held_out(demonstrations, (teacher[1], student[1])),
        },
        "settings": asdict(config),
        **asdict(report),
        "machine": machine_facts() | thread_facts(chosen),
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


def _held_out(demonstrations: DemonstrationSet, policies: tuple[PolicySpec, PolicySpec]) -> bool | None:
    """Return whether neither policy learned from the demonstrations; None where one does not say what it did."""
    learned = {policy.data_sha256 for policy in policies}
    if demonstrations.sha256 in learned:
        return False
    return None if None in learned else True


_STATES = {
    True: "held-out demonstrations",
    False: "the TRAINING demonstrations",
    None: "demonstrations that may be those of the training",
}


_ROW = "  {:<29}{:>8}  {:<18}{:>8}{:>12}  {:<18}"


def _format(
    args: argparse.Namespace,
    policies: tuple[PolicySpec, PolicySpec],
    demonstrations: DemonstrationSet,
    report: "FidelityReport",
) -> str:
    teacher, student = policies
    rows = [
        f"{args.student.name} ({student.method}) against {args.teacher.name} ({teacher.method}): {args.states} states "
        f"of {_STATES[_held_out(demonstrations, policies)]}, {args.samples} actions each",
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


def _format_measure(title: str, found: "AgainstFloor") -> str:
    student, difference = found.student, found.difference
    return _ROW.format(
        title,
        f"{student.mean:.4f}",
        _interval(student),
        f"{found.floor.mean:.4f}",
        f"{difference.mean:+.4f}",
        _interval(difference),
    ).rstrip()


def _format_entropies(report: "FidelityReport") -> list[str]:
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


def _format_calibration(what: str, found: "Calibration") -> str:
    return (
        f"  density at {what}: {found.log_likelihood.mean:.3f} {_interval(found.log_likelihood)} nats, calibration "
        f"error {found.error:.3f} (floor {found.error_floor:.3f}, bias {found.bias:+.3f})"
    )


def _interval(estimate: "Estimate") -> str:
    low, high = estimate.interval
    return f"[{low:.4f}, {high:.4f}]"
