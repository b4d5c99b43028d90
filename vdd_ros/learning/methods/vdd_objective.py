"""The objectives of Variational Diffusion Distillation: two updates of the experts, one of the gating.

Each expert loss is a surrogate: its gradient is the estimate, its value means nothing. The value to watch is in
`ExpertUpdate.disagreement`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.networks.backbones import Context
from vdd_ros.learning.students.gaussian_mixture import GaussianMixture


@dataclass(frozen=True)
class ExpertUpdate:
    """Result of an expert update.

    Attributes:
        loss: Scalar whose gradient updates the experts.
        disagreement: Mean squared difference of the scores of student and teacher, weighted by the noise variance;
            detached.
    """

    loss: Tensor
    disagreement: Tensor


def expert_weights(log_gating: Tensor, uniform: float) -> Tensor:
    """Weigh experts by their gating, (B, Z), mixed with a uniform share so that abandoned experts keep learning."""
    return (1 - uniform) * log_gating.detach().exp() + uniform / log_gating.shape[-1]


def paper_update(
    mixture: GaussianMixture,
    teacher: Teacher,
    context: Context,
    sigma: Tensor,
    noise: Tensor,
    uniform: float,
    experts: Tensor | None = None,
) -> ExpertUpdate:
    """Return the update of the VDD paper (Zhou et al. 2024): the teacher's score at un-noised actions.

    Minimises E_z [ -score . a - log responsibility(z | a) - H(N_z) ] with actions drawn by reparametrisation,
    responsibilities from detached parameters, and the entropy in closed form.

    Args:
        mixture: (B) students' mixtures.
        teacher: Frozen.
        context: The teacher's encoding of the same states.
        sigma: (B,) noise level at which the teacher is evaluated.
        noise: (B, V, Z, D) standard normal.
        uniform: Uniform share of the experts' weights.
        experts: (B, K) experts that draw, as from `draw_experts`; then `noise` is (B, V, K, D), and the sum over
            experts is estimated by those. None for all, as in the paper.
    """
    source = mixture if experts is None else mixture.pick(experts)
    action = source.draw_each(noise)  # (B, V, Z, D)
    with torch.no_grad():
        weight = expert_weights(mixture.log_gating, uniform) if experts is None else source.log_gating.exp()
        at = action.flatten(1, 2)  # (B, V * Z, D)
        gap = mixture.detach().score(at) - teacher.score_unnoised(context, at, sigma[:, None])
        # the gradient of -score . a - log responsibility, whose log is log N_z + log gating_z - log q
        force = gap.unflatten(1, noise.shape[1:3]) - source.detach().own_score(noise)
        disagreement = (_share(weight, noise) * gap.square().sum(-1)).sum(-1) * sigma.square()
    cross = (force * action).sum(-1).mean(1)  # (B, Z)
    loss = (weight * (cross - source.entropies())).sum(-1).mean()
    return ExpertUpdate(loss, disagreement.mean())


def draw_experts(weight: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw experts by their weights, systematically: of each as many as expected, rounded up or down.

    Args:
        weight: (B, Z), each row sums to 1.
        count: Draws per row.
        generator: Source of one uniform number per row.

    Returns:
        (B, count) indices of experts, ascending.
    """
    start = torch.rand((len(weight), 1), generator=generator, device=generator.device)
    wanted = (start + torch.arange(count, device=weight.device)) / count
    return torch.searchsorted(weight.cumsum(-1), wanted).clamp(max=weight.shape[-1] - 1)


def multi_noise_update(
    mixture: GaussianMixture,
    teacher: Teacher,
    context: Context,
    sigma: Tensor,
    noise: Tensor,
    uniform: float,
    experts: Tensor | None = None,
) -> ExpertUpdate:
    """Return the update that compares student and teacher after the same noise, where the teacher was trained.

    Minimises E w KL(q_sigma || p_sigma) with q_sigma the student's mixture after noise of deviation sigma and
    w = sigma^2. The gradient is taken along the drawn actions only, (score of q - score of p) . da, which has the same
    expectation as with the entropy in closed form and vanishes where q = p (Roeder et al. 2017).

    Args:
        mixture: (B) students' mixtures.
        teacher: Frozen.
        context: The teacher's encoding of the same states.
        sigma: (B,) noise level of each state.
        noise: (B, V, Z, D) standard normal.
        uniform: Uniform share of the experts' weights.
        experts: (B, K) experts that draw, as from `draw_experts`; then `noise` is (B, V, K, D). None for all.
    """
    source = mixture if experts is None else mixture.pick(experts)
    action = source.draw_noised(noise, sigma).flatten(1, 2)  # (B, V * Z, D)
    with torch.no_grad():
        at = action.detach()
        gap = mixture.detach().noised(sigma).score(at) - teacher.score(context, at, sigma[:, None])  # (B, V * Z, D)
        weight = expert_weights(mixture.log_gating, uniform) if experts is None else source.log_gating.exp()
        share = _share(weight, noise)
        variance = sigma.square()
        force = (variance[:, None] * share)[..., None] * gap
        disagreement = (share * gap.square().sum(-1)).sum(-1) * variance
    return ExpertUpdate((force * action).sum((1, 2)).mean(), disagreement.mean())


def gating_loss(mixture: GaussianMixture, action: Tensor, forward_kl: float) -> Tensor:
    """Return the negative log likelihood of actions: all of it to the gating, a share `forward_kl` to the experts.

    With respect to the gating this is the M-projection of the paper: its gradient is that of the
    cross-entropy against the responsibilities.

    Args:
        mixture: (B) students' mixtures.
        action: (B, S, D) actions of the teacher or of demonstrations at the same states.
        forward_kl: Share of the gradient that reaches the experts.
    """
    with torch.set_grad_enabled(torch.is_grad_enabled() and forward_kl > 0.0):
        of_experts = mixture.expert_log_prob(action)  # (B, S, Z)
    log_gating = mixture.log_gating[:, None]
    loss = -torch.logsumexp(of_experts.detach() + log_gating, dim=-1).mean()
    if forward_kl > 0.0:
        loss = loss - forward_kl * torch.logsumexp(of_experts + log_gating.detach(), dim=-1).mean()
    return loss


def _share(weight: Tensor, noise: Tensor) -> Tensor:
    """Spread the experts' weights (B, Z) over their V draws, (B, V * Z)."""
    draws = noise.shape[1]
    return weight.repeat(1, draws) / draws
