"""Training of diffusion teachers from demonstrations."""

import torch
from torch import Tensor

from vdd_ros.learning.configs import shaped
from vdd_ros.learning.diffusion.teacher import TeacherConfig
from vdd_ros.learning.fit.fit import TrainingJob
from vdd_ros.learning.kinds import DIFFUSION
from vdd_ros.learning.methods.configs import TrainConfig
from vdd_ros.learning.methods.sources import DataSource, with_noise


def teacher_job(source: DataSource, config: TrainConfig) -> TrainingJob:
    """Return an untrained teacher and its loss."""
    windows, device = source.windows, source.windows.observation.device
    shape = shaped(TeacherConfig, config, source.dimensions(), kind=config.teacher)
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
