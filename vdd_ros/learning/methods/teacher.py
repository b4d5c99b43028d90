"""Training of diffusion teachers from demonstrations."""

import torch
from torch import Tensor

from vdd_ros.learning.configs import NoiseConfig, shaped
from vdd_ros.learning.diffusion.teacher import TeacherConfig
from vdd_ros.learning.fit.fit import TrainingJob
from vdd_ros.learning.fit.windows import Windows
from vdd_ros.learning.kinds import DIFFUSION
from vdd_ros.learning.methods.configs import TrainConfig
from vdd_ros.learning.methods.sources import DataSource, with_noise

COVERED = 0.999
"""Share of the chunks of actions that the highest noise level covers; the others may be outliers."""
LOOKED_AT = 1 << 16


def covering_level(windows: Windows) -> float:
    """Return a noise level at which all chunks of actions look alike, so that samples can start from noise alone.

    It is twice the norm of the farthest chunks and so at least the largest distance of two, as by Song and Ermon
    (Improved Techniques for Training Score-Based Generative Models, 2020, technique 1). From a lower level a sampler
    starts nearer to the frequent chunks than the noisy data are and takes the rare ones too seldom: half as often as it
    should at 0.6 times their distance (docs/method.md).

    Args:
        windows: Training data, of which up to 65,536 evenly spaced windows are looked at.

    Returns:
        The level, at least the default of `NoiseConfig`.
    """
    last, count = len(windows) - 1, min(len(windows), LOOKED_AT)
    index = torch.linspace(0, last, count, dtype=torch.float64, device=windows.now.device).long()
    farthest = windows.action[index].norm(dim=-1).quantile(COVERED)
    return max(NoiseConfig.sigma_max, 2 * float(farthest))


def teacher_job(source: DataSource, config: TrainConfig) -> TrainingJob:
    """Return an untrained teacher and its loss."""
    windows, device = source.windows, source.windows.observation.device
    highest = config.sigma_max or covering_level(windows)
    shape = shaped(TeacherConfig, config, {**source.dimensions(), "sigma_max": highest}, kind=config.teacher)
    teacher = DIFFUSION.new(shape)
    teacher.limit_actions(*source.statistics.standard_limits())
    teacher.to(device)

    def loss(generator: torch.Generator, _step: int) -> tuple[Tensor, dict[str, Tensor]]:
        index = torch.randint(len(windows), (config.batch,), generator=generator, device=device)
        observation = with_noise(windows.observation[index], config.observation_noise, generator)
        goal = windows.draw_goals(index, generator)
        value = teacher.loss(observation, goal, windows.action[index], config.levels_per_state, generator)
        return value, {"loss": value.detach()}

    return TrainingJob(teacher, loss, shape, (teacher.network,))  # type: ignore[arg-type]
