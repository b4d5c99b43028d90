"""Diff-Instruct (Luo et al. 2023): the integral of KL divergences of noised densities, by a learned score.

With q the generator's density, p the teacher's, and the index sigma for noise of that deviation, it minimises

    E_sigma w KL(q_sigma || p_sigma),    w = sigma^2,

whose gradient runs along the generator's actions: E (w (score of q_sigma - score of p_sigma)) . da, which is the
difference of the denoised actions. Variational score distillation (Wang et al. 2023) is the same update.
"""

import torch
from torch import Tensor

from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.fit.fit import TrainingJob
from vdd_ros.learning.methods.distiller_configs import DiffInstructConfig
from vdd_ros.learning.methods.generator import Generated, GeneratorWithScore, generator_job
from vdd_ros.learning.methods.sources import TeacherSource


def diff_instruct_job(source: TeacherSource, config: DiffInstructConfig) -> TrainingJob:
    """Return a generator and its loss; raises as `generator_job`."""
    return generator_job(source, config, diff_instruct_update)


def diff_instruct_update(
    both: GeneratorWithScore,
    teacher: Teacher,
    drawn: Generated,
    config: DiffInstructConfig,
    generator: torch.Generator,
) -> Tensor:
    """Return the surrogate of algorithm 1's update of the generator: pull . action, averaged over the batch."""
    return -(drawn.pull * drawn.action).sum(-1).mean()
