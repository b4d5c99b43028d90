"""One-step policies against teachers whose probability-flow ODE is solved in closed form.

In one dimension the ODE moves every quantile of the density at one noise level to the same quantile at another.
"""

import dataclasses
import math
import signal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from exact_lines import GAUSSIAN, MIXTURE, SIGMA_MAX, ExactModel, Line, exact_teacher, shape, windows
from toy_targets import small_demonstrations
from trainings import distil_consistency, train_teacher

from vdd_ros.errors import CheckpointError, ConfigurationError
from vdd_ros.learning.configs import Backbone, Solver
from vdd_ros.learning.diffusion.levels import LevelGrid
from vdd_ros.learning.diffusion.probability_flow import integrate, path_down, trajectory_levels
from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.fit.checkpoint import model_sha256
from vdd_ros.learning.fit.training_loop import LossFunction
from vdd_ros.learning.fit.windows import Statistics
from vdd_ros.learning.kinds import ONE_STEP
from vdd_ros.learning.methods.configs import CDConfig, ConsistencyConfig, CTMConfig, TrainConfig
from vdd_ros.learning.methods.consistency import (
    StudentWithTarget,
    cd_loss,
    consistency_loss,
    ctm_loss,
    distance,
    ends_anywhere,
    start_student,
)
from vdd_ros.learning.methods.distiller_configs import ShortcutConfig
from vdd_ros.learning.methods.shortcut import shortcut_ends, shortcut_loss
from vdd_ros.learning.students.one_step import OneStepConfig, OneStepModel

SHORT: dict[str, Any] = {"steps": 3, "batch": 4, "levels_per_state": 2, "discretisation": 5}
TINY: dict[str, ConsistencyConfig] = {
    "cd": CDConfig(**SHORT),
    "ctm": CTMConfig(**SHORT),
    "shortcut": ShortcutConfig(**SHORT),
}
METHODS = tuple(TINY)
CONDITIONS = {"cd": 1, "ctm": 2, "shortcut": 2}


def untrained(kind: str, backbone: Backbone) -> OneStepModel:
    """Return a random policy, also where networks start at zero."""
    torch.manual_seed(0)
    config = OneStepConfig(
        conditions=CONDITIONS[kind],
        backbone=backbone,
        sigma_min=0.02,
        sigma_max=3.0,
        sigma_data=0.5,
        history=3,
        obs_dim=4,
        horizon=2,
        act_dim=2,
        width=16,
        layers=2,
        heads=2,
    )
    model = OneStepModel(config).requires_grad_(False)
    for value in model.network.parameters():  # type: ignore[attr-defined]
        value.add_(0.1 * torch.randn(value.shape))
    return model


# Settings


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("solver", "rk45", "solver is 'rk45'; allowed: euler, heun"),
        ("metric", "l1", "metric is 'l1'; allowed: huber, l2"),
        ("steps", 0, "steps is 0; it must be finite and at least 1"),
        ("levels_per_state", 0, "levels_per_state is 0"),
        ("teacher_steps", 0, "teacher_steps is 0"),
        ("discretisation", 1, "discretisation is 1; it must be finite and at least 2"),
        ("dsm_weight", -1.0, "dsm_weight is -1.0"),
        ("dsm_weight", math.nan, "dsm_weight is nan"),
        ("huber_width", 0.0, "huber_width is 0.0; it must be finite and above 0"),
        ("to_clean", 1.5, "to_clean is 1.5; it must be between 0 and 1"),
        ("target_decay", 1.0, "target_decay is 1.0; it must be at least 0 and below 1"),
        ("bootstrap", 1.0, "bootstrap is 1.0; it must be above 0 and below 1"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        dataclasses.replace(TINY["shortcut" if field == "bootstrap" else "ctm"], **{field: value})  # type: ignore[arg-type]


# Levels and the teacher's ODE


def test_the_levels_run_from_0_over_the_teachers_range() -> None:
    levels = trajectory_levels(Teacher(shape()), 18)
    assert levels[0] == 0
    strides = levels[1:].pow(1 / 7).diff()
    assert strides.tolist() == pytest.approx([(SIGMA_MAX ** (1 / 7) - 0.02 ** (1 / 7)) / 17] * 17, rel=1e-4)
    assert levels[[1, -1]].tolist() == pytest.approx([0.02, SIGMA_MAX])


def test_a_ddpms_levels_are_its_own_and_none_comes_twice() -> None:
    teacher = Teacher(shape("ddpm"))
    levels, known = trajectory_levels(teacher, 200), teacher.levels
    assert isinstance(known, LevelGrid)
    assert torch.isin(levels[1:], known.grid).all()
    assert (levels.diff() > 0).all()
    assert float(levels[-1]) == pytest.approx(teacher.sigma_range[1])


@pytest.mark.parametrize(
    ("start", "end", "steps", "path"),
    [(8, 0, 4, [8, 7, 6, 5, 4]), (3, 1, 2, [3, 2, 1]), (3, 2, 3, [3, 3, 3, 2]), (1, 0, 2, [1, 1, 0])],
)
def test_paths_go_down_by_levels_and_only_their_last_can_be_0(
    start: int, end: int, steps: int, path: list[int]
) -> None:
    assert path_down(torch.tensor(start), torch.tensor(end), steps).tolist() == path


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
@pytest.mark.parametrize("line", [GAUSSIAN, MIXTURE])
def test_solvers_converge_to_the_exact_trajectory_at_their_order(line: Line, solver: Solver, order: int) -> None:
    teacher = exact_teacher(line)
    action = 2.0 * torch.linspace(-2, 2, 21)[None, :, None]
    errors = []
    for steps in (32, 64):
        path = torch.linspace(2.0 ** (1 / 3), 0.1 ** (1 / 3), steps + 1).pow(3).expand(1, 21, -1)
        reached = integrate(teacher, torch.zeros(1, 1), action, path, solver)
        exact = line.moved(action[..., 0], path[..., 0], path[..., -1])
        errors.append(float((reached[..., 0] - exact).abs().max()))
    assert errors[1] < 0.03
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.35)


@pytest.mark.parametrize("solver", ["euler", "heun"])
def test_a_step_to_0_gives_the_denoised_action_within_its_limits(solver: Solver) -> None:
    teacher = exact_teacher(GAUSSIAN)
    action, path = torch.tensor([[[0.1], [5.0]]]), torch.tensor([0.5, 0.0]).expand(1, 2, 2)
    denoised = GAUSSIAN.denoised(action, torch.tensor(0.5))
    assert torch.allclose(integrate(teacher, torch.zeros(1, 1), action, path, solver), denoised)
    teacher.limit_actions(torch.tensor([-1.0]), torch.tensor([1.0]))
    assert torch.allclose(integrate(teacher, torch.zeros(1, 1), action, path, solver), denoised.clamp(-1, 1))


@pytest.mark.parametrize("solver", ["euler", "heun"])
def test_steps_of_nothing_change_nothing(solver: Solver) -> None:
    action, path = torch.randn(1, 3, 1), torch.full((1, 3, 4), 0.7)
    assert torch.allclose(integrate(exact_teacher(MIXTURE), torch.zeros(1, 1), action, path, solver), action)


# The model


@pytest.mark.parametrize("backbone", ["gpt", "mlp"])
def test_the_boundary_conditions_hold_exactly(backbone: Backbone) -> None:
    action, sigma = torch.randn(5, 7, 4), 3 * torch.rand(5, 7)
    nothing = torch.zeros(5, 7)
    for kind in METHODS:
        model = untrained(kind, backbone)
        context = model.encode(torch.randn(5, 3, 4))
        assert torch.equal(model.jump(context, action, nothing, nothing), action)
        assert not torch.allclose(model.jump(context, action, sigma, nothing), action, atol=0.1)
    assert torch.equal(model.jump(context, action, sigma, sigma), action)


def test_ctm_near_its_start_moves_along_the_ode_of_its_own_denoiser() -> None:
    """As s goes to t, the slope of the jump is (a - g(a, t, t)) / t."""
    model = untrained("ctm", "mlp").double()
    context = model.encode(torch.randn(5, 3, 4, dtype=torch.float64))
    action, sigma = torch.randn(5, 7, 4, dtype=torch.float64), 0.5 + torch.rand(5, 7, dtype=torch.float64)
    step = 1e-6
    slope = (action - model.jump(context, action, sigma, sigma - step)) / step
    denoised = model.predict_clean(context, action, sigma, sigma)
    assert torch.allclose(slope, (action - denoised) / sigma[..., None], atol=1e-4)


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("backbone", ["gpt", "mlp"])
def test_a_sample_is_one_jump_from_noise_within_the_limits(kind: str, backbone: Backbone) -> None:
    model = untrained(kind, backbone)
    context, noise = model.encode(torch.randn(5, 3, 4)), torch.randn(5, 7, 4)
    highest, nothing = torch.full((5, 7), 3.0), torch.zeros(5, 7)
    jump = model.jump(context, 3.0 * noise, highest, nothing)
    assert torch.allclose(model.sample(context, noise), jump, atol=1e-6)
    low, high = torch.tensor([-0.2, -0.1]), torch.tensor([0.1, 0.3])
    model.limit_actions(low, high)
    assert torch.allclose(model.sample(context, noise), jump.clamp(low.repeat(2), high.repeat(2)), atol=1e-6)


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("backbone", ["gpt", "mlp"])
def test_a_student_starts_as_the_denoiser_of_a_beso_teacher(kind: str, backbone: Backbone) -> None:
    teacher = Teacher(shape(backbone=backbone)).requires_grad_(False)
    for value in teacher.network.parameters():  # type: ignore[attr-defined]
        value.add_(0.1 * torch.randn(value.shape))
    student = start_student(teacher, TINY[kind], CONDITIONS[kind])
    observation, action, sigma = torch.randn(5, 1, 1), torch.randn(5, 7, 1), 0.02 + 2 * torch.rand(5, 7)
    expected = teacher.denoise(teacher.encode(observation), action, sigma)
    for below in (0 * sigma, sigma / 2, sigma):
        assert torch.allclose(
            student.predict_clean(student.encode(observation), action, sigma, below), expected, atol=1e-5
        )


def test_of_a_ddpm_teacher_all_but_the_last_layer_is_taken_over() -> None:
    teacher = Teacher(shape("ddpm"))
    student = start_student(teacher, TINY["cd"], 1)
    assert (student.config.sigma_min, student.config.sigma_max) == teacher.sigma_range
    theirs, own = teacher.network.state_dict(), student.network.state_dict()  # type: ignore[attr-defined]
    assert all(torch.equal(own[name], value) == (not name.startswith("read.")) for name, value in theirs.items())


# The losses


def cd_at_the_solution(levels: int, offset: float = 0.0) -> tuple[float, float]:
    """Return CD's loss and its gradient for a model that jumps exactly, plus an offset."""
    torch.manual_seed(0)
    student = ExactModel(MIXTURE, offset)
    both = StudentWithTarget(student)  # type: ignore[arg-type]
    config = CDConfig(batch=4_000, discretisation=levels, metric="l2", observation_noise=0.0)
    teacher = exact_teacher(MIXTURE)
    value, _ = consistency_loss(both, teacher, windows(MIXTURE), config, cd_loss, ends_anywhere(1.0))(
        torch.Generator().manual_seed(0), 0
    )
    value.backward()
    return float(value.detach()), float(student.offset.grad)  # type: ignore[arg-type]


def test_cd_is_minimal_at_the_exact_consistency_function() -> None:
    """Its loss and gradient vanish there as levels grow, and only there."""
    coarse, fine = cd_at_the_solution(10), cd_at_the_solution(80)
    assert fine[0] < 1e-5
    assert fine[0] < coarse[0] / 50
    assert abs(fine[1]) < 1e-3
    wrong = cd_at_the_solution(80, offset=0.3)
    assert wrong[0] > 10 * fine[0]
    assert wrong[1] > 0


def test_the_distance_is_a_square_near_and_a_length_far() -> None:
    def measured(metric: str, offset: float) -> float:
        config = dataclasses.replace(TINY["cd"], metric=metric, huber_width=0.1)  # type: ignore[arg-type]
        return float(distance(torch.full((2, 3, 4), offset, dtype=torch.float64), torch.zeros(2, 3, 4), config))

    assert measured("l2", 3.0) == pytest.approx(9.0)
    assert measured("huber", 30.0) == pytest.approx(30.0, abs=0.1)
    assert measured("huber", 1e-3) == pytest.approx(1e-6 / (2 * 0.1), rel=1e-3)


def trained(line: Line, method: str, steps: int = 600, **settings: object) -> OneStepModel:
    """Distil an exact teacher for a short while."""
    torch.manual_seed(0)
    config = type(TINY[method])(batch=32, levels_per_state=8, start_from_teacher=False, **settings)  # type: ignore[arg-type]
    teacher = exact_teacher(line)
    both = StudentWithTarget(start_student(teacher, config, CONDITIONS[method]))
    loss: LossFunction
    if isinstance(config, ShortcutConfig):
        ends = shortcut_ends(config.bootstrap)
        loss = consistency_loss(both, teacher, windows(line), config, shortcut_loss, ends)
    elif isinstance(config, CTMConfig):
        loss = consistency_loss(both, teacher, windows(line), config, ctm_loss, ends_anywhere(config.to_clean))
    else:
        loss = consistency_loss(both, teacher, windows(line), config, cd_loss, ends_anywhere(1.0))
    optimizer = torch.optim.Adam(both.student.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(0)
    for step in range(steps):
        value, _ = loss(generator, step)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
        both.follow_student(config.target_decay)
    return both.student.requires_grad_(False)


@pytest.mark.parametrize("method", METHODS)
def test_one_step_samples_are_the_teachers(method: str) -> None:
    model = trained(MIXTURE, method, steps=1_200 if method == "shortcut" else 600)
    noise = torch.special.ndtri((torch.arange(2_000) + 0.5) / 2_000)
    sample = model.sample(model.encode(torch.zeros(1, 1, 1)), noise[None, :, None])[0, :, 0]
    exact = MIXTURE.moved(SIGMA_MAX * noise, torch.full((2_000,), SIGMA_MAX), torch.zeros(2_000))
    assert float((sample.sort().values - exact.sort().values).abs().mean()) < 0.05  # Wasserstein-1


def test_ctm_jumps_along_the_exact_trajectories_and_denoises() -> None:
    model = trained(GAUSSIAN, "ctm")
    context = model.encode(torch.zeros(1, 1, 1))
    for sigma in (0.3, 1.0, 3.0):
        level = torch.full((1, 41), sigma)
        action = 0.4 + math.hypot(0.6, sigma) * torch.linspace(-2, 2, 41)[None, :, None]
        for below in (0.0, 0.1, sigma / 2):
            end = torch.full((1, 41), below)
            shrunk = math.sqrt((0.6**2 + below**2) / (0.6**2 + sigma**2))
            jumped = model.jump(context, action, level, end)
            assert torch.allclose(jumped, 0.4 + shrunk * (action - 0.4), atol=0.08)
        denoised = GAUSSIAN.denoised(action[..., 0], level)
        assert torch.allclose(model.predict_clean(context, action, level, level)[..., 0], denoised, atol=0.08)


# Whole runs


@pytest.fixture(scope="module", params=["beso", "ddpm"])
def teacher_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    config = TrainConfig(
        teacher=request.param,
        steps=3,
        batch=4,
        width=8,
        layers=1,
        octaves=1,
        history=3,
        horizon=2,
        goal_length=1,
        seed=4,
    )
    train_teacher(small_demonstrations(), folder, config)
    return folder


@pytest.mark.parametrize("method", METHODS)
def test_a_policy_takes_over_what_the_teacher_is(tmp_path: Path, teacher_folder: Path, method: str) -> None:
    config = TINY[method]
    metadata = distil_consistency(teacher_folder, small_demonstrations(), tmp_path, config)
    model, again = ONE_STEP.load(tmp_path)
    assert again == metadata
    assert (metadata.method, metadata.steps, metadata.teacher_sha256) == (method, 3, model_sha256(teacher_folder))
    assert metadata.settings == dataclasses.asdict(config)
    assert (model.config.history, model.config.horizon, model.config.goal_length) == (3, 2, 1)
    sample = model.sample(model.encode(torch.randn(5, 3, 4), torch.randn(5, 1, 4)), 9 * torch.randn(5, 7, 4))
    low, high = Statistics.of(small_demonstrations()).standard_limits()
    assert sample.shape == (5, 7, 4)
    assert ((sample >= low.repeat(2)) & (sample <= high.repeat(2))).all()


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, teacher_folder: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(TINY[method], target_decay=0.5, steps=4)
    distil_consistency(teacher_folder, small_demonstrations(), tmp_path / "whole", config)
    follow_student = StudentWithTarget.follow_student

    def interrupted(both: StudentWithTarget, decay: float) -> None:
        follow_student(both, decay)
        calls.append(decay)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)

    calls: list[float] = []
    monkeypatch.setattr(StudentWithTarget, "follow_student", interrupted)
    with pytest.raises(KeyboardInterrupt):
        distil_consistency(teacher_folder, small_demonstrations(), tmp_path / "parts", config)
    distil_consistency(teacher_folder, small_demonstrations(), tmp_path / "parts", config, resume=True)
    assert model_sha256(tmp_path / "parts") == model_sha256(tmp_path / "whole")


def test_other_demonstrations_than_the_teachers_are_a_warning(tmp_path: Path, teacher_folder: Path) -> None:
    other = small_demonstrations(seed=1)
    metadata = distil_consistency(teacher_folder, other, tmp_path, TINY["cd"])
    assert metadata.data_sha256 == other.sha256
    assert [text.partition(" (")[0] for text in metadata.warnings] == ["the teacher learned from other demonstrations"]


def test_a_teacher_is_not_a_one_step_policy(teacher_folder: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"holds a diffusion policy made by '.*', but a one_step policy is needed"
    ):
        ONE_STEP.load(teacher_folder)
