"""EM distillation (Xie et al. 2024): maximum likelihood of the teacher's noisy actions under the generator.

The generator with latent noise z is a latent variable model of noisy actions a = g(z) + sigma e. With p_sigma the
teacher's density and q_sigma the generator's, the joint density of the teacher's actions and their latents is, in the
coordinates (e, z), the paper's reparametrised sampling,

    p_sigma(a) / q_sigma(a) N(e) N(z).

- E-step: Langevin steps from draws of N(e) N(z); the ratio's gradient is the difference of teacher and score network.
- M-step: g moves towards the corrected actions at the corrected latents; with weight sigma^2 the gradient is that of
  |a - g(z)|^2 / 2. Its expectation at the stationary density is the gradient of sigma^2 KL(p_sigma || q_sigma).

The part of e that is only noise (its start and the Langevin steps' own) is left out of the corrected actions, the
paper's noise cancellation: it varies much and says little. Few steps from the generator's own draws leave a bias
towards them; with one step, and latents that stay, the update is Diff-Instruct's.

In contrast to the paper, the steps of z shrink with sigma^2 / (1 + sigma^2), since the gradient in z grows with
1 / sigma^2.
"""

import math

import torch
from torch import Tensor

from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.fit.fit import TrainingJob
from vdd_ros.learning.methods.distiller_configs import EMDistilConfig
from vdd_ros.learning.methods.generator import Generated, GeneratorWithScore, detach, generator_job
from vdd_ros.learning.methods.sources import TeacherSource


def em_distil_job(source: TeacherSource, config: EMDistilConfig) -> TrainingJob:
    """Return a generator and its loss; raises as `generator_job`."""
    return generator_job(source, config, em_distil_update)


def em_distil_update(
    both: GeneratorWithScore, teacher: Teacher, drawn: Generated, config: EMDistilConfig, generator: torch.Generator
) -> Tensor:
    """Return the surrogate of the M-step's gradient, averaged over the batch."""
    latent, noise = corrected(both, teacher, drawn, config, generator)
    action = both.student.generate(drawn.student, latent)
    return -(drawn.sigma[..., None] * noise * action).sum(-1).mean()


def corrected(
    both: GeneratorWithScore, teacher: Teacher, drawn: Generated, config: EMDistilConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Take the E-step's Langevin steps.

    Args:
        both: Generator and score network.
        teacher: Frozen.
        drawn: Where the steps start; its latents need gradients.
        config: Number and size of the steps, and whether their noise is cancelled.
        generator: Source of noise.

    Returns:
        The corrected latents z, and what is kept of the noise e: both (B, S, D), without gradients.
    """
    sigma = drawn.sigma[..., None]
    context = detach(drawn.student)
    step = config.action_step
    latent_step = config.latent_step * sigma.square() / (1 + sigma.square())
    latent, action, pull = drawn.latent, drawn.action, drawn.pull
    noise = only_noise = drawn.noise
    for number in range(config.langevin_steps):
        if number:
            latent.requires_grad_()
            action = both.student.generate(context, latent)
            pull = _pull(both, teacher, drawn, action.detach() + sigma * noise)
        (slope,) = torch.autograd.grad(action, latent, pull / sigma.square(), retain_graph=number == 0)
        first, second = torch.randn((2, *noise.shape), generator=generator, device=noise.device)
        latent = latent.detach() + latent_step * (slope - latent.detach()) + (2 * latent_step).sqrt() * second
        noise = (1 - step) * noise + step * pull / sigma + math.sqrt(2 * step) * first
        only_noise = (1 - step) * only_noise + math.sqrt(2 * step) * first
    return latent, noise - only_noise if config.cancel_noise else noise


@torch.no_grad()
def _pull(both: GeneratorWithScore, teacher: Teacher, drawn: Generated, noisy: Tensor) -> Tensor:
    """Return `Generated.pull` at other noisy actions."""
    return teacher.denoise(drawn.teacher, noisy, drawn.sigma) - both.score.denoise(drawn.score, noisy, drawn.sigma)
