"""The paper's loop as the baseline of speed: the method is the same, and the comparison is correct."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from exact_targets import ExactTeacher, match_by_quadrature, ring, ring_config
from toy_targets import random_mixture, small_demonstrations
from trainings import train_teacher

from vdd_ros.benchmark.methods.reference_loop import ReferenceLoop, expert_loss
from vdd_ros.benchmark.speed.loops import Clock, measure_speed
from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.configs import shaped
from vdd_ros.learning.fit.memory import keep_freed_memory
from vdd_ros.learning.methods.configs import DistilConfig, TrainConfig
from vdd_ros.learning.methods.mixture_training import start_student
from vdd_ros.learning.methods.vdd_objective import paper_update
from vdd_ros.learning.students.mixture import StudentConfig

STATES = torch.zeros(3, 1, 1)
SMALL = {"backbone": "mlp", "width": 8, "layers": 1, "octaves": 0}


def test_the_reference_has_the_gradient_of_the_paper_update() -> None:
    """By autograd through torch.distributions on repeated states, against the closed form on each state once."""
    teacher = ExactTeacher(ring())
    mixture = random_mixture(3, 4, 2, "diagonal")
    leaves = [part.float().requires_grad_() for part in (mixture.mean, mixture.factor)]
    mixture = type(mixture)(mixture.log_gating.float(), *leaves)
    noise, sigma = torch.randn((3, 2, 4, 2)), torch.rand(3) + 0.1
    theirs = expert_loss(mixture, teacher, STATES, None, noise, sigma.repeat_interleave(8)[:, None])
    ours = paper_update(mixture, teacher, teacher.encode(STATES), sigma, noise, uniform=0.0).loss
    for one, other in zip(torch.autograd.grad(theirs, leaves), torch.autograd.grad(ours, leaves), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_the_reference_matches_the_ring() -> None:
    config = ring_config(gating="learned")
    pool = ring().pool(1024, 16, seed=0)
    torch.manual_seed(0)
    shape = shaped(StudentConfig, config, dict(history=1, obs_dim=1, horizon=1, act_dim=2))
    student = start_student(shape, config, pool, seed=0)
    loop = ReferenceLoop(
        student, ExactTeacher(ring()), pool, batch=32, iterations=200, seed=0, noise_range=(0.02, 0.1),
        learning_rate=3e-3,
    )  # fmt: skip
    for _ in range(200):
        loop.iterate()
    match = match_by_quadrature(student, ring(), torch.zeros(1, 1, 1))
    assert match.modes_found == 8
    assert match.kl < 0.05
    assert loop.samples_done == 200 * 2 * 32 * 2 * 8


def test_a_race_gives_both_their_turns(tmp_path: Path) -> None:
    demonstrations = small_demonstrations()
    train_teacher(demonstrations, tmp_path, TrainConfig(steps=2, batch=8, history=2, teacher="beso", **SMALL))  # type: ignore[arg-type]
    config = DistilConfig(steps=8, batch=8, experts=3, pool_samples=2, teacher_steps=2, **SMALL)  # type: ignore[arg-type]
    result = measure_speed(tmp_path, demonstrations, config, rounds=4, rates=(1e-4, 2e-3))
    references = result["references"]
    for found in (result["product"], *references):
        assert len(found["seconds"]) == len(found["distance"]) == 4
        assert found["samples_per_s"] > 0
    assert [found["learning_rate"] for found in references] == [1e-4, 2e-3]
    assert references[0]["distance"] != references[1]["distance"]
    for found in references:
        low, high = found["speedup_interval"]
        assert 0 < low <= found["speedup"] <= high


@pytest.mark.parametrize(("rounds", "covariance"), [(0, "diagonal"), (3, "diagonal"), (8, "diagonal"), (4, "full")])
def test_a_race_that_cannot_be_run_is_refused(rounds: int, covariance: str, tmp_path: Path) -> None:
    config = DistilConfig(steps=8, covariance=covariance)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=rf"8 steps in {rounds} rounds with {covariance} covariance"):
        measure_speed(tmp_path, small_demonstrations(), config, rounds=rounds)


def test_a_clock_finds_when_a_distance_is_reached_for_good() -> None:
    clock = Clock()
    for seconds, samples, distance in ((2.0, 10, 3.0), (1.0, 20, 1.0), (1.0, 30, 2.0), (4.0, 70, 1.0)):
        clock.note(seconds, samples, distance)
    assert clock.seconds == [2.0, 3.0, 4.0, 8.0]
    assert clock.rates().tolist() == [5.0, 10.0, 10.0, 10.0]
    assert clock.reached(3.0) == 2.0
    assert clock.reached(2.0) == 3.0
    assert clock.reached(1.5) == 8.0
    assert clock.reached(0.5) is None


def test_memory_is_kept_by_glibc_only() -> None:
    assert keep_freed_memory() == hasattr(__import__("ctypes").CDLL(None), "gnu_get_libc_version")
