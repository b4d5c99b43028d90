"""Score regularised policy optimisation (Chen et al. 2024) without a critic: a deterministic policy by a score.

The policy m(s), a density without width, is compared with the teacher's after the same noise. With weight sigma^2 the
gradient of sigma^2 KL(N(m, sigma^2) || p_sigma) is E (m - D(m + sigma e, sigma)) . dm, with D the teacher's denoised
action; that is their w(t) (noise estimate - noise), with the noise as baseline. Such a policy has one action for
each state, whatever the number of modes.
"""

import torch
from torch import Tensor

from vdd_ros.learning.configs import shaped
from vdd_ros.learning.diffusion.noise_levels import draw_sigmas
from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.fit.fit import TrainingJob
from vdd_ros.learning.fit.training_loop import LossFunction
from vdd_ros.learning.fit.windows import Windows
from vdd_ros.learning.kinds import MIXTURE
from vdd_ros.learning.methods.distiller_configs import SRPOConfig
from vdd_ros.learning.methods.sources import TeacherSource, with_noise
from vdd_ros.learning.students.mixture import MixtureStudent, StudentConfig

NARROW = -30.0
"""Makes the softplus of a deviation nothing beside the floor."""


def srpo_job(source: TeacherSource, config: SRPOConfig) -> TrainingJob:
    """Return a policy of one expert and its loss.

    Raises:
        ConfigurationError: The teacher was not trained at the noise levels.
    """
    shape = shaped(StudentConfig, config, source.dimensions(), experts=1, gating="uniform")
    student = one_action(shape).to(source.windows.action.device)
    loss = srpo_loss(student, source.teacher, source.windows, config)
    return TrainingJob(student, loss, shape, (student.trunk, source.teacher.network))  # type: ignore[arg-type]


def one_action(shape: StudentConfig) -> MixtureStudent:
    """Build a student whose one expert starts at the mean of all actions, with the deviation `floor` for good."""
    student = MIXTURE.new(shape)
    student.spread_experts(torch.zeros(1, student.size))
    with torch.no_grad():
        student.scale.last.weight.zero_()
        student.scale.last.bias.fill_(NARROW)
    return student


def srpo_loss(student: MixtureStudent, teacher: Teacher, windows: Windows, config: SRPOConfig) -> LossFunction:
    """Return the loss of one step, whose gradient is the estimate; `disagreement` is the value to watch.

    Raises:
        ConfigurationError: The teacher was not trained at the noise levels.
    """
    noise_range = config.min_noise, config.max_noise
    teacher.check_range(*noise_range)
    shape = config.batch, config.levels_per_state

    def loss(generator: torch.Generator, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        device = generator.device
        index = torch.randint(len(windows), (config.batch,), generator=generator, device=device)
        observation = with_noise(windows.observation[index], config.observation_noise, generator)
        goal = windows.draw_goals(index, generator)
        count, progress = shape[0] * shape[1], step / config.steps
        sigma = draw_sigmas(config.noise_scheme, count, *noise_range, progress, generator)
        sigma = teacher.nearest_level(sigma, *noise_range).view(shape)
        noise = torch.randn((*shape, teacher.size), generator=generator, device=device)
        action = student(observation, goal).mean  # (B, 1, D)
        with torch.no_grad():
            noisy = action + sigma[..., None] * noise
            push = action - teacher.denoise(teacher.encode(observation, goal), noisy, sigma)
            disagreement = (push / sigma[..., None]).square().sum(-1).mean()
        return (push * action).sum(-1).mean(), {"disagreement": disagreement}

    return loss
