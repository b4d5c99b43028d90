"""Fidelity of a student to its teacher, measured on their policy files at the same states."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError, PolicyFileError
from vdd_ros.evaluation.compatibility import check_vector_only
from vdd_ros.evaluation.fidelity.calibration import Calibration
from vdd_ros.evaluation.fidelity.density import MixtureFile
from vdd_ros.evaluation.fidelity.modes import Modes
from vdd_ros.evaluation.fidelity.states import (
    Seen,
    States,
    at,
    check_demonstrations,
    check_pair,
    choose_states,
    repeated,
    seen_by,
)
from vdd_ros.evaluation.fidelity.statistics import (
    AgainstFloor,
    Estimate,
    correlation,
    directions,
    energy_distance,
    entropy,
    sliced_wasserstein,
)
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.policy_file import PolicyFile

Floats = NDArray[np.float64]

LEAST_SAMPLES = 32
ROWS_A_RUN = 4096
MAP_STATES = 4000
PHASES = 3
MEASURES = ("wasserstein", "energy", "mode_recall", "mode_recall_unweighted", "mode_precision")

Progress = Callable[[int], object]


def _no_progress(states: int) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class FidelityConfig:
    """Settings of a comparison.

    Attributes:
        states: Number of states of the demonstrations.
        samples: Number of actions of each policy at each state, drawn twice.
        directions: Number of projections of the sliced Wasserstein distance.
        seed: Seed of all random draws.
    """

    states: int = 200
    samples: int = 256
    directions: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that yield no figures.

        Raises:
            ConfigurationError: A value is too small.
        """
        for name, least in (("states", 2), ("samples", LEAST_SAMPLES), ("directions", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigurationError(f"{name} is {getattr(self, name)}; it must be {least} or more")


@dataclass(frozen=True)
class Entropies:
    """Entropies of both policies over the states, in nats.

    Attributes:
        teacher_modes: Entropy of the shares of the teacher's modes among its samples.
        student_modes: Entropy of the shares of the same modes among the student's samples.
        gating: Entropy of the student's gating; None unless it is a mixture. Several experts may share a mode.
        gating_correlation: Pearson's correlation of gating and teacher_modes; None also if one of them is constant.
    """

    teacher_modes: Estimate
    student_modes: Estimate
    gating: Estimate | None
    gating_correlation: float | None


@dataclass(frozen=True)
class FidelityReport:
    """Result of a comparison; docs/fidelity.md defines the measures.

    Attributes:
        measures: Each of `MEASURES`.
        teacher_modes: Number of the teacher's modes at a state.
        entropies: Entropies of both policies.
        demonstrations_calibration: Of the student's density on the demonstrated actions; None without a density.
        teacher_calibration: The same on the teacher's samples.
    """

    measures: dict[str, AgainstFloor]
    teacher_modes: Estimate
    entropies: Entropies
    demonstrations_calibration: Calibration | None
    teacher_calibration: Calibration | None


class Samples(NamedTuple):
    """Actions at S states: the first N of each are compared, the second N make the floor.

    Attributes:
        actions: (S, 2 N, D), physical units.
        log_prob: (S, 2 N), nats in physical units; None where the policy is not a mixture, as for the next one.
        gating: (S, K).
    """

    actions: Floats
    log_prob: Floats | None
    gating: Floats | None


@dataclass(frozen=True)
class Evidence:
    """Data of the figure besides the report.

    Attributes:
        states: The states.
        teacher, student: Standardised actions, (S, N, D).
        mode_entropy: (S,) mode entropy of the teacher at each state, nats.
        map_positions: (P, 2) the first two entries of the newest observation, at the points of the map.
        map_entropy: (P,) gating entropy there; the teacher's mode entropy if the student is not a mixture.
    """

    states: States
    teacher: Floats
    student: Floats
    mode_entropy: Floats
    map_positions: Floats
    map_entropy: Floats


def measure(
    teacher_file: Path | PolicyFile,
    student_file: Path | PolicyFile,
    demonstrations: DemonstrationSet,
    config: FidelityConfig,
    progress: Progress = _no_progress,
) -> tuple[FidelityReport, Evidence]:
    """Compare two policy files at states of demonstrations that neither should have been trained on.

    Args:
        teacher_file: Any policy.
        student_file: Any policy of the same task and horizon.
        demonstrations: Source of the states.
        config: Extent of the measurement.
        progress: Called with the number of states done since the last call, in each of `PHASES` phases: sampling
            the teacher, sampling the student, comparing.

    Raises:
        ConfigurationError: The policies or the demonstrations do not fit together.
        PolicyFileError: A file is not a policy file, or returns non-finite actions.
        DemonstrationError: There are too few states.
    """
    teacher, student = (OnnxPolicy.load(file, noise="full") for file in (teacher_file, student_file))
    for policy in (teacher, student):
        if policy.spec.is_deterministic:
            raise ConfigurationError(
                f"the {policy.spec.method} policy file is deterministic, but fidelity compares random actions; export "
                "it without --deterministic"
            )
    check_vector_only(teacher.spec, student.spec)
    check_pair(teacher.spec, student.spec)
    check_demonstrations(demonstrations, student.spec)
    rng = np.random.default_rng(config.seed)
    states = choose_states(teacher.spec, student.spec, demonstrations, config.states, rng)
    of_teacher = draw(teacher, states.teacher, 2 * config.samples, rng, progress)
    of_student = draw(student, states.student, 2 * config.samples, rng, progress)
    scale = np.tile(teacher.spec.statistics.action_std, teacher.spec.horizon)
    theirs, ours = of_teacher.actions / scale, of_student.actions[:, : config.samples] / scale
    measured, entropies, modes = _compare_states(theirs, ours, config, rng, progress)
    on_demonstrations, on_teacher = _calibrations(student_file, states, of_teacher, of_student)
    report = FidelityReport(
        measures=measured,
        teacher_modes=Estimate.of(modes),
        entropies=_entropies(entropies, of_student.gating),
        demonstrations_calibration=on_demonstrations,
        teacher_calibration=on_teacher,
    )
    positions, map_entropy = _entropy_map(student, states, demonstrations, entropies[:, 0])
    evidence = Evidence(states, theirs[:, : config.samples], ours, entropies[:, 0], positions, map_entropy)
    return report, evidence


def draw(
    policy: OnnxPolicy, seen: Seen, samples: int, rng: np.random.Generator, progress: Progress = _no_progress
) -> Samples:
    """Draw `samples` actions of a policy at each of S states, a few thousand rows a run.

    Raises:
        PolicyFileError: An action is not finite.
    """
    policy.seed(int(rng.integers(2**31)))
    at_once = max(ROWS_A_RUN // samples, 1)
    parts = []
    for start in range(0, len(seen["observation"]), at_once):
        rows = repeated(at(seen, slice(start, start + at_once)), samples)
        parts.append(policy.act_batch(rows["observation"], rows.get("goal")))
        progress(len(rows["observation"]) // samples)
    actions = np.concatenate([part.action for part in parts]).astype(np.float64)
    if not np.isfinite(actions).all():
        raise PolicyFileError(
            f"the {policy.spec.method} policy returns non-finite actions at states of the demonstrations; train it or "
            "export it again"
        )
    shape = (-1, samples)
    log_prob = [part.log_prob for part in parts if part.log_prob is not None]
    gating = [part.gating[::samples] for part in parts if part.gating is not None]
    return Samples(
        actions.reshape(*shape, policy.spec.horizon * policy.spec.act_dim),
        np.concatenate(log_prob).reshape(shape).astype(np.float64) if log_prob else None,
        np.concatenate(gating).astype(np.float64) if gating else None,
    )


def _compare_states(
    theirs: Floats, ours: Floats, config: FidelityConfig, rng: np.random.Generator, progress: Progress
) -> tuple[dict[str, AgainstFloor], Floats, Floats]:
    """Return the measures, the mode entropies of both, (S, 2), and the number of modes, (S,)."""
    onto = directions(theirs.shape[2], config.directions, rng)
    values, entropies, modes = [], [], []
    for both, student in zip(theirs, ours, strict=True):
        teacher, again = both[: config.samples], both[config.samples :]
        found = Modes.of(teacher, config.seed)
        values.append([_measures(teacher, other, onto, found) for other in (student, again)])
        entropies.append([entropy(found.shares), entropy(found.shares_of(student))])
        modes.append(len(found.shares))
        progress(1)
    table = np.array(values)  # (S, 2, measures)
    measured = {name: AgainstFloor.of(table[:, 0, k], table[:, 1, k]) for k, name in enumerate(MEASURES)}
    return measured, np.array(entropies), np.array(modes, np.float64)


def _measures(teacher: Floats, other: Floats, onto: Floats, modes: Modes) -> tuple[float, ...]:
    """Return the value of each of `MEASURES`."""
    shares = modes.shares_of(other)
    return (
        sliced_wasserstein(teacher, other, onto),
        energy_distance(teacher, other),
        modes.recall(shares),
        modes.recall(shares, weighted=False),
        float(shares.sum()),
    )


def _entropies(modes: Floats, gating: Floats | None) -> Entropies:
    of_gating = None if gating is None else _gating_entropy(gating)
    return Entropies(
        teacher_modes=Estimate.of(modes[:, 0]),
        student_modes=Estimate.of(modes[:, 1]),
        gating=None if of_gating is None else Estimate.of(of_gating),
        gating_correlation=None if of_gating is None else correlation(of_gating, modes[:, 0]),
    )


def _gating_entropy(gating: Floats) -> Floats:
    return np.array([entropy(row) for row in gating])


def _calibrations(
    student_file: Path | PolicyFile, states: States, of_teacher: Samples, of_student: Samples
) -> tuple[Calibration | None, Calibration | None]:
    """Judge the student's density by the demonstrated actions and by the teacher's."""
    if of_student.log_prob is None:
        return None, None
    samples = of_student.log_prob.shape[1] // 2
    own, more = of_student.log_prob[:, :samples], of_student.log_prob[:, samples:]
    given = np.concatenate([states.action[:, None], of_teacher.actions[:, :samples]], axis=1)
    log_prob = MixtureFile(student_file).log_prob(states.student, given)
    return Calibration.of(own, more, log_prob[:, :1]), Calibration.of(own, more, log_prob[:, 1:])


def _entropy_map(
    student: OnnxPolicy, states: States, demonstrations: DemonstrationSet, mode_entropy: Floats
) -> tuple[Floats, Floats]:
    """Return positions and their entropies: the gating's along all demonstrations, or the teacher's at the states."""
    seen, entropies = states.student, mode_entropy
    if student.spec.is_mixture:
        everywhere, _ = seen_by(student.spec, demonstrations)
        count = len(everywhere["observation"])
        seen = at(everywhere, np.unique(np.linspace(0, count - 1, MAP_STATES).astype(np.int64)))
        gating = draw(student, seen, 1, np.random.default_rng(0)).gating
        entropies = mode_entropy if gating is None else _gating_entropy(gating)
    return seen["observation"][:, -1, :2].astype(np.float64), entropies
