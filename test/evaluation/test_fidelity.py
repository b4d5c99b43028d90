"""The whole comparison on policies whose difference is known beforehand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import policy_files
import pytest
from array_policies import write_camera_policy
from policy_files import MixtureParameters, mixture_parameters, mixture_spec, write_diffusion, write_mixture

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.errors import ConfigurationError, DemonstrationError, PolicyFileError
from vdd_ros.evaluation.fidelity.modes import INSIDE
from vdd_ros.evaluation.fidelity.report import MEASURES, FidelityConfig, FidelityReport, measure
from vdd_ros.evaluation.fidelity.states import check_pair, choose_states, seen_by
from vdd_ros.features import Feature
from vdd_ros.policy.spec import PolicySpec

SPEC = mixture_spec()
SMALL = FidelityConfig(states=12, samples=256)
CENTRES = (-1.0, 0.0, 1.0)
DEVIATION = 0.05


@pytest.fixture(scope="module")
def demonstrations() -> DemonstrationSet:
    """Episodes of 30, 1 and 20 pairs with Avoiding's entries; the first entry counts the pairs."""
    rng = np.random.default_rng(0)
    observation, lengths = rng.normal(0.3, 0.3, (51, 4)), np.array([30, 1, 20])
    observation[:, 0] = np.arange(51) / 100
    action = rng.normal(0, 0.002, (51, 2))
    return DemonstrationSet(
        Header("avoiding", SPEC.observation, SPEC.action, SPEC.rate_hz, "test"),
        observation,
        action,
        lengths,
        -1 + 0 * lengths,
    )


def write_three_ways(
    path: Path, monkeypatch: pytest.MonkeyPatch, weights: tuple[float, ...], *, shift: float = 0.0, scale: float = 1.0
) -> Path:
    """Write a mixture that is the same at every state: sharp experts at `CENTRES` along the first action entry."""

    def constant(spec: PolicySpec, *, seed: int = 0) -> MixtureParameters:
        usual = mixture_parameters(spec, seed=seed)
        return replace(
            usual,
            gating_weight=0 * usual.gating_weight,
            gating_bias=np.log(np.array(weights) + 1e-12),
            mean_weight=0 * usual.mean_weight,
            mean_bias=np.stack([np.array(CENTRES) + shift, np.zeros(3)], axis=1),
            cholesky=np.tile(scale * DEVIATION * np.eye(2), (3, 1, 1)),
        )

    with monkeypatch.context() as patch:
        patch.setattr(policy_files, "mixture_parameters", constant)
        return write_mixture(path, experts=3)


def compare(teacher: Path, student: Path, demonstrations: DemonstrationSet) -> FidelityReport:
    return measure(teacher, student, demonstrations, SMALL)[0]


def test_a_policy_against_itself_is_at_the_floor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demonstrations: DemonstrationSet
) -> None:
    policy = write_three_ways(tmp_path / "policy.onnx", monkeypatch, (0.5, 0.3, 0.2))
    report = compare(policy, policy, demonstrations)
    for name in MEASURES:
        low, high = report.measures[name].difference.interval
        assert low - 0.01 <= 0 <= high + 0.01, name
    assert report.measures["wasserstein"].student.mean > 0
    assert report.teacher_modes.mean == 3
    expected = -(np.array([0.5, 0.3, 0.2]) * np.log([0.5, 0.3, 0.2])).sum()
    entropies = report.entropies
    assert entropies.gating is not None
    assert entropies.gating.mean == pytest.approx(expected, abs=1e-4)
    assert entropies.teacher_modes.mean == pytest.approx(expected, abs=0.05)
    assert entropies.student_modes.mean == pytest.approx(expected, abs=0.05)
    assert report.teacher_calibration is not None
    assert report.teacher_calibration.error < 0.02


def test_a_missing_mode_costs_recall_but_not_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demonstrations: DemonstrationSet
) -> None:
    teacher = write_three_ways(tmp_path / "teacher.onnx", monkeypatch, (0.5, 0.3, 0.2))
    student = write_three_ways(tmp_path / "student.onnx", monkeypatch, (0.7, 0.3, 0.0))
    measures = compare(teacher, student, demonstrations).measures
    assert measures["mode_recall"].student.mean == pytest.approx(0.8, abs=0.03)
    assert measures["mode_recall_unweighted"].student.mean == pytest.approx(2 / 3)
    assert measures["mode_recall"].floor.mean == 1
    assert measures["mode_precision"].difference.mean == pytest.approx(0, abs=0.03)
    back = compare(student, teacher, demonstrations).measures
    assert back["mode_recall"].student.mean == 1
    assert back["mode_precision"].student.mean == pytest.approx(0.8 * INSIDE, abs=0.04)


def test_a_shift_costs_its_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demonstrations: DemonstrationSet
) -> None:
    teacher = write_three_ways(tmp_path / "teacher.onnx", monkeypatch, (0.5, 0.3, 0.2))
    student = write_three_ways(tmp_path / "student.onnx", monkeypatch, (0.5, 0.3, 0.2), shift=1.0)
    found = compare(teacher, student, demonstrations).measures["wasserstein"]
    assert found.student.mean == pytest.approx(2 / np.pi, abs=0.1)  # the mean projection of a unit vector in the plane


@pytest.mark.parametrize(("scale", "sign"), [(0.5, -1), (2.0, 1)])
def test_a_density_too_narrow_or_too_wide_shows_in_the_calibration_on_the_teacher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demonstrations: DemonstrationSet, scale: float, sign: int
) -> None:
    teacher = write_three_ways(tmp_path / "teacher.onnx", monkeypatch, (0.5, 0.3, 0.2))
    student = write_three_ways(tmp_path / "student.onnx", monkeypatch, (0.5, 0.3, 0.2), scale=scale)
    found = compare(teacher, student, demonstrations).teacher_calibration
    assert found is not None
    assert sign * found.bias > 0.1
    assert found.error > 5 * found.error_floor


def test_any_kinds_and_histories_can_be_compared(tmp_path: Path, demonstrations: DemonstrationSet) -> None:
    teacher = write_diffusion(tmp_path / "teacher.onnx", steps=3, history=2, horizon=2, goal_length=1)
    student = write_mixture(tmp_path / "student.onnx", history=4, horizon=2, goal_length=3)
    longer = episodes(demonstrations, 30, 21)
    report, evidence = measure(teacher, student, longer, SMALL)
    assert report.demonstrations_calibration is not None
    assert evidence.teacher.shape == evidence.student.shape == (12, 256, 4)
    report, _ = measure(student, teacher, longer, SMALL)
    assert (report.demonstrations_calibration, report.teacher_calibration, report.entropies.gating) == (
        None,
        None,
        None,
    )


def test_the_seed_decides(tmp_path: Path, demonstrations: DemonstrationSet) -> None:
    teacher, student = write_diffusion(tmp_path / "teacher.onnx"), write_mixture(tmp_path / "student.onnx")
    first, again, other = (
        measure(teacher, student, demonstrations, replace(SMALL, seed=seed))[0] for seed in (3, 3, 4)
    )
    assert first.measures == again.measures != other.measures


def episodes(demonstrations: DemonstrationSet, *lengths: int) -> DemonstrationSet:
    """Cut the pairs into other episodes."""
    return replace(demonstrations, lengths=np.array(lengths), modes=np.zeros(len(lengths), np.int64))


def test_both_see_the_same_instants(demonstrations: DemonstrationSet) -> None:
    rng = np.random.default_rng(0)
    states = choose_states(mixture_spec(history=1), mixture_spec(history=3), demonstrations, 40, rng)
    assert states.student["observation"].shape == (40, 3, 4)
    assert np.array_equal(states.teacher["observation"][:, -1], states.student["observation"][:, -1])
    counted = np.rint(100 * states.teacher["observation"][:, 0, 0]).astype(int)
    assert len(set(counted.tolist())) == 40
    assert states.action == pytest.approx(demonstrations.action[counted], abs=1e-8)


def test_a_goal_is_the_end_of_the_own_episode(demonstrations: DemonstrationSet) -> None:
    seen, action = seen_by(mixture_spec(horizon=2, goal_length=2), episodes(demonstrations, 30, 21))
    assert len(action) == 29 + 20
    ends = 100 * seen["goal"][:, :, 0]
    assert ends[:29] == pytest.approx(np.tile([28, 29], (29, 1)), abs=1e-3)
    assert ends[29:] == pytest.approx(np.tile([49, 50], (20, 1)), abs=1e-3)
    with pytest.raises(DemonstrationError, match="1 observations, but a goal of the policy has 2"):
        seen_by(mixture_spec(goal_length=2), demonstrations)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"horizon": 4}, "the teacher's horizon is 1, but the student's is 4"),
        ({"rate_hz": 10.0}, "the rate is 28.5714 Hz instead of 10 Hz"),
        ({"goal_length": 2}, "sees 0 observations of a goal and the student 2"),
        ({"observation": (Feature("q", "rad"),)}, r"observation lacks q \(rad\)"),
        ({"action": (Feature("delta_desired_x", "mm", -9.0, 9.0),)}, "has delta_desired_x in m instead of mm"),
    ],
)
def test_policies_that_do_not_fit_are_refused(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_pair(SPEC, mixture_spec(**overrides))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"observation": tuple(Feature(f"q{k}", "rad") for k in range(4))}, r"observation has q0 \(rad\)"),
        ({"action": (Feature("dx", "m"), Feature("dy", "m"))}, r"action has dx \(m\)"),
        ({"rate_hz": 10.0}, "the rate is 10 Hz instead"),
    ],
)
def test_demonstrations_that_do_not_fit_are_refused(
    tmp_path: Path, demonstrations: DemonstrationSet, header: dict[str, Any], message: str
) -> None:
    policy = write_mixture(tmp_path / "policy.onnx")
    other = replace(demonstrations, header=replace(demonstrations.header, **header))
    with pytest.raises(ConfigurationError, match=message):
        measure(policy, policy, other, SMALL)


def test_too_few_states_are_refused(tmp_path: Path, demonstrations: DemonstrationSet) -> None:
    policy = write_mixture(tmp_path / "policy.onnx")
    with pytest.raises(DemonstrationError, match="51 states, fewer than the requested 52"):
        measure(policy, policy, demonstrations, FidelityConfig(states=52))


def test_actions_that_are_not_finite_are_refused(tmp_path: Path, demonstrations: DemonstrationSet) -> None:
    policy = write_mixture(tmp_path / "policy.onnx", nan_above=-1.0)
    with pytest.raises(PolicyFileError, match="non-finite actions"):
        measure(policy, policy, demonstrations, SMALL)


@pytest.mark.parametrize("setting", [{"states": 1}, {"samples": 31}, {"directions": 0}, {"seed": -1}])
def test_settings_that_give_no_figures_are_refused(setting: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(setting))} is"):
        FidelityConfig(**setting)


def test_a_policy_that_observes_an_image_is_refused(tmp_path: Path, demonstrations: DemonstrationSet) -> None:
    policy = write_camera_policy(tmp_path / "policy.onnx")
    with pytest.raises(ConfigurationError, match=r"observes camera .* provides only single numbers"):
        compare(policy, policy, demonstrations)
