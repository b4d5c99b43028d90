"""Mixtures over chunks of actions, given the first numbers of a chunk: what a robot executes before the answer arrives.

With Sigma = L L^T of an expert, L lower triangular, p known numbers a_p, and x = L_pp^-1 (a_p - mu_p):

    log N(a_p) = -|x|^2 / 2 - sum log diag L_pp + constant,
    a_r | a_p ~ N(mu_r + L_rp x, L_rr L_rr^T).

These are the usual conditional Gaussians (Bishop 2006, section 2.3.1) without inverses. The known numbers weigh the
experts by Bayes' rule.
"""

import math

import torch
from torch import Tensor

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.students.gaussian_mixture import GaussianMixture


def condition(mixture: GaussianMixture, prefix: Tensor, tempering: float = 1.0) -> GaussianMixture:
    """Return the mixtures over the rest of the vectors, given their first numbers.

    Args:
        mixture: (B) mixtures over D numbers.
        prefix: (B, P) the first numbers, P from 0 to D - 1.
        tempering: Power of the prefix's likelihood in the experts' weights: 1 for Bayes' rule, 0 leaves the weights as
            they are. Between, experts that are narrower than what the robot does are not excluded by it.

    Returns:
        (B) mixtures over D - P numbers; diagonal if those of `mixture` are, else with Cholesky factors. The same
        mixtures for P = 0.

    Raises:
        ConfigurationError: The prefix is not shorter than the vectors, or the tempering is not between 0 and 1.
    """
    size, known = mixture.mean.shape[-1], prefix.shape[-1]
    if not known < size:
        raise ConfigurationError(f"the prefix has {known} numbers; it must have at most {size - 1} of {size}")
    check_tempering(tempering)
    if not known:
        return mixture
    offset = prefix[:, None] - mixture.mean[..., :known]  # (B, Z, P)
    rest = mixture.mean[..., known:]
    if mixture.diagonal and mixture.basis is None:
        scale = mixture.factor[..., :known]
        white, factor = offset / scale, mixture.factor[..., known:]
    else:
        lower = mixture.lower_factors()
        scale = lower.diagonal(dim1=-2, dim2=-1)[..., :known]
        with torch.autocast(prefix.device.type, enabled=False):
            column = torch.linalg.solve_triangular(lower[..., :known, :known], offset[..., None], upper=False)
            rest = rest + (lower[..., known:, :known] @ column).squeeze(-1)
        white, factor = column.squeeze(-1), lower[..., known:, known:]
    log_prob = -0.5 * white.square().sum(-1) - scale.log().sum(-1) - 0.5 * known * math.log(2 * math.pi)
    return GaussianMixture(torch.log_softmax(mixture.log_gating + tempering * log_prob, dim=-1), rest, factor)


def check_tempering(tempering: float) -> None:
    """Refuse a tempering that is not between 0 and 1; raises ConfigurationError."""
    if not 0.0 <= tempering <= 1.0:
        raise ConfigurationError(
            f"the tempering of the prefix is {tempering}; it must be between 0 (the prefix does not weigh the experts) "
            "and 1 (Bayes' rule)"
        )
