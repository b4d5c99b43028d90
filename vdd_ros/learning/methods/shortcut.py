"""Shortcut models (Frans et al. 2024) of a teacher: long jumps that equal two of half their length.

A jump over one level is a step of the teacher's solver, where the paper, which trains from data, takes the empirical
velocity. A jump over 2 d levels is two jumps over d by the target network. Lengths are powers of
two of the trajectory's levels; jumps that would pass level 0 end there.
"""

import torch
from torch import Tensor

from vdd_ros.learning.diffusion.probability_flow import integrate, path_down
from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.fit.fit import TrainingJob
from vdd_ros.learning.methods.consistency import (
    Ends,
    NoisedBatch,
    StudentWithTarget,
    consistency_job,
    consistency_loss,
    distance,
    start_student,
)
from vdd_ros.learning.methods.distiller_configs import ShortcutConfig
from vdd_ros.learning.methods.sources import TeacherSource


def shortcut_job(source: TeacherSource, config: ShortcutConfig) -> TrainingJob:
    """Return a one-step policy conditioned on both ends of a jump, and its loss."""
    both = StudentWithTarget(start_student(source.teacher, config, conditions=2))
    ends = shortcut_ends(config.bootstrap)
    loss = consistency_loss(both, source.teacher, source.windows, config, shortcut_loss, ends)
    return consistency_job(both, source, config, loss)


def shortcut_ends(bootstrap: float) -> Ends:
    """Return what draws jumps: a share `bootstrap` over 2, 4, 8, … levels, evenly; the others over one."""

    def draw(levels: int, shape: tuple[int, int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        last = levels - 1
        choice, length, place = torch.rand((3, *shape), generator=generator, device=generator.device)
        exponent = 1 + (length * (last - 1).bit_length()).long()
        span = torch.where(choice < bootstrap, 2**exponent, 1)
        lowest = span // 2 + 1  # jumps from lower levels are no longer than half of this one
        start = lowest + (place * (last + 1 - lowest)).long()
        return start, (start - span).clamp_min(0)

    return draw


def middle(start: Tensor, end: Tensor, levels: int) -> Tensor:
    """Return where jumps rest: half their span below the start, the span being the least power of two that fits."""
    half = torch.ones_like(start)
    for power in range(1, levels.bit_length()):
        half = torch.where(start - end > 2**power, 2**power, half)
    return start - half


def shortcut_loss(
    both: StudentWithTarget, teacher: Teacher, levels: Tensor, noised: NoisedBatch, config: ShortcutConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compare where the student's jumps head with where the teacher's step, or two shorter jumps, do.

    The velocity of a jump from the level t to s is (a - g) / t, with g the clean action that it heads for.

    Args:
        both: Student and target.
        teacher: Takes one step.
        levels: From `trajectory_levels`.
        noised: The batch, with ends from `shortcut_ends`.
        config: Settings.
    """
    half = middle(noised.start, noised.end, len(levels))
    sigma, between, below = levels[noised.start], levels[half], levels[noised.end]
    one = torch.maximum(noised.end, noised.start - 1)
    path = levels[path_down(noised.start, one, 1)]
    stepped = integrate(teacher, noised.teacher, noised.noisy, path, config.solver)
    with torch.no_grad():
        rested = both.target.jump(noised.target, noised.noisy, sigma, between)
        jumped = both.target.jump(noised.target, rested, between, below)
        reached = torch.where((noised.start - noised.end > 1)[..., None], jumped, stepped)
        keep = (below / sigma)[..., None]
        aim = (reached - keep * noised.noisy) / (1 - keep)
    value = distance(both.student.predict_clean(noised.student, noised.noisy, sigma, below), aim, config)
    return value, {"loss": value.detach()}
