"""Every parametrisation of one denoiser: the same clean action, score and samples, whatever the network estimates."""

from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor
from toy_targets import ExactNetwork, Target, exact_teacher, observations

from vdd_ros.learning.configs import NoiseConfig
from vdd_ros.learning.diffusion.preconditioning import CleanSample, Edm, Epsilon, Preconditioning, Velocity
from vdd_ros.learning.diffusion.probability_flow import integrate
from vdd_ros.learning.diffusion.teacher import Teacher, TeacherConfig
from vdd_ros.learning.diffusion.teachers import trained_teachers

MEAN, DEVIATION = torch.tensor([0.3, -0.8], dtype=torch.float64), 0.6
GAUSSIAN = Target(torch.ones(1, dtype=torch.float64), MEAN[None], torch.tensor([DEVIATION], dtype=torch.float64))
SIZES: dict[str, Any] = {"history": 1, "obs_dim": 1, "horizon": 1, "act_dim": 1}
SIGMAS = torch.tensor([1e-3, 0.05, 0.3, 1.0, 4.0, 50.0], dtype=torch.float64)
KINDS = pytest.mark.parametrize("kind", trained_teachers())
SHIPPED = {"epsilon": Epsilon(), "v": Velocity(), "clean sample": CleanSample(), "EDM": Edm(0.5)}
ALL = pytest.mark.parametrize("preconditioning", SHIPPED.values(), ids=list(SHIPPED))


def right_output(name: str, clean: Tensor, noisy: Tensor, sigma: Tensor) -> Tensor:
    """Return what a perfect network of each parametrisation gives, by the definitions of the papers; (S, D)."""
    keep = 1 / (1 + sigma.square())  # alpha_bar
    noise = (noisy - clean) / sigma
    if name == "epsilon":
        return noise
    if name == "v":
        return keep.sqrt() * noise - (1 - keep).sqrt() * clean
    if name == "clean sample":
        return clean
    total = sigma.square() + 0.5**2  # Karras et al. 2022, eq. 8
    return (clean - 0.5**2 / total * noisy) * total.sqrt() / (sigma * 0.5)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_right_output_gives_the_posterior_mean_and_the_score_of_a_gaussian(name: str) -> None:
    """Of a Gaussian both are known in closed form."""
    noisy = 2 * torch.randn((1, len(SIGMAS), 2), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    variance = SIGMAS[:, None].square() + DEVIATION**2
    mean = MEAN + DEVIATION**2 / variance * (noisy - MEAN)
    score = (MEAN - noisy) / variance
    asked: list[tuple[Tensor, Tensor]] = []

    def network(context: object, action: Tensor, condition: Tensor) -> Tensor:
        asked.append((action, condition))
        return right_output(name, mean, noisy, SIGMAS[:, None])

    found = SHIPPED[name].denoise(network, None, noisy, SIGMAS[None])
    torch.testing.assert_close(found, mean, rtol=0, atol=1e-6)
    torch.testing.assert_close((found - noisy) / SIGMAS[:, None].square(), score, rtol=1e-6, atol=1e-6)
    data = 0.5 if name == "EDM" else 1.0
    torch.testing.assert_close(asked[0][0], noisy / (SIGMAS[:, None].square() + data**2).sqrt())
    torch.testing.assert_close(asked[0][1], SIGMAS.log()[None, :, None] / 4)


def test_v_is_edm_of_deviation_1_with_the_other_sign() -> None:
    skip, out, scale_in = Velocity().scalings(SIGMAS)
    expected = Edm(1.0).scalings(SIGMAS)
    for found, wanted in zip((skip, -out, scale_in), expected, strict=True):
        torch.testing.assert_close(found, wanted)


@ALL
def test_the_loss_is_0_for_the_right_output_and_counts_the_error_of_others(preconditioning: Preconditioning) -> None:
    clean, noisy = torch.randn((2, 5, 1, 3), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    sigma = torch.full((5, 1), 0.7, dtype=torch.float64)
    skip, out, _ = preconditioning.scalings(sigma[..., None])
    target = (clean - skip * noisy) / out
    assert float(preconditioning.loss(lambda *_: target, None, noisy, clean, sigma)) == pytest.approx(0, abs=1e-24)
    assert float(preconditioning.loss(lambda *_: target + 2, None, noisy, clean, sigma)) == pytest.approx(4)


@KINDS
def test_samplers_and_the_probability_flow_know_nothing_of_the_parametrisation(kind: str) -> None:
    """All teachers that know one target walk from one action to the same one; levels are asked as they are."""
    teacher, reference = exact_teacher(GAUSSIAN, kind), exact_teacher(GAUSSIAN, "beso")
    path = torch.tensor([1.0, 0.5, 0.1, 0.0]).expand(3, 4, 4)
    action = torch.randn((3, 4, 2), generator=torch.Generator().manual_seed(2))
    ends = [integrate(one, one.encode(observations(3)), action, path, "heun") for one in (teacher, reference)]
    torch.testing.assert_close(*ends, rtol=0, atol=1e-4)
    step = [one.step(one.encode(observations(3)), action, 1.0, 0.5, "ddim", None) for one in (teacher, reference)]
    torch.testing.assert_close(*step, rtol=0, atol=1e-5)


@KINDS
def test_the_papers_score_is_that_of_the_coordinates_of_training(kind: str) -> None:
    """Where a network was trained on sqrt(alpha_bar) a + noise, the score belongs to that density."""
    teacher = exact_teacher(GAUSSIAN, kind)
    action, sigma = torch.randn((3, 1, 2), generator=torch.Generator().manual_seed(3)), torch.full((3, 1), 0.4)
    factor = (1 + 0.4**2) ** 0.5 if kind.startswith("ddpm") else 1.0
    at = action.double() * factor
    expected = factor * (GAUSSIAN.denoised(at, sigma) - at) / 0.4**2
    found = teacher.score_unnoised(teacher.encode(observations(3)), action, sigma)
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-3)


@KINDS
def test_each_learns_a_gaussian_about_as_well_as_the_others(kind: str) -> None:
    """What is left of the error of the clean action, at one level, is near the posterior variance."""
    torch.manual_seed(0)
    shape = {"backbone": "mlp", "width": 32, "layers": 2, "octaves": 0}
    teacher = Teacher(TeacherConfig(kind=kind, history=1, obs_dim=1, horizon=1, act_dim=2, **shape))  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(teacher.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(300):
        optimizer.zero_grad()
        teacher.loss(observations(128), None, GAUSSIAN.draw(128, generator), 2, generator).backward()
        optimizer.step()
    clean = GAUSSIAN.draw(4096, generator)[:, None]
    sigma = teacher.nearest_level(torch.full((4096, 1), 0.6), *teacher.sigma_range)
    noisy = clean + sigma[..., None] * torch.randn(clean.shape, generator=generator)
    with torch.no_grad():
        error = (teacher.denoise(teacher.encode(observations(4096)), noisy, sigma) - clean).square().mean()
    level = float(sigma[0, 0])
    least = DEVIATION**2 * level**2 / (DEVIATION**2 + level**2)
    assert least * 0.9 < float(error) < 1.25 * least


def test_the_exact_network_stands_for_every_parametrisation() -> None:
    """The rig itself: it inverts whatever scalings it is given."""
    teacher = exact_teacher(GAUSSIAN, "ddpm-v")
    assert isinstance(teacher.network, ExactNetwork)
    assert isinstance(teacher.preconditioning, Velocity)
    assert isinstance(Teacher(TeacherConfig(kind="ddpm-sample", **SIZES)).preconditioning, CleanSample)
    assert NoiseConfig().sigma_data == Teacher(TeacherConfig(kind="beso", **SIZES)).preconditioning.edm_deviation
