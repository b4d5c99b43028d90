"""The speed of distillation against a straightforward implementation of the paper's loop, alternately in one run.

Imports torch: import it lazily.
"""

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from vdd_ros.benchmark.methods.reference_loop import EXPERT_STEPS, LEARNING_RATE, NOISE_RANGE, ReferenceLoop
from vdd_ros.benchmark.speed.figures import LoopFigures, ReferenceFigures, SpeedFigures
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError
from vdd_ros.evaluation.fidelity.statistics import energy_distance
from vdd_ros.evaluation.latency.summary import median_interval
from vdd_ros.host.facts import machine_facts
from vdd_ros.learning.configs import shaped
from vdd_ros.learning.fit.fit import TrainingJob, fit
from vdd_ros.learning.fit.memory import keep_freed_memory
from vdd_ros.learning.methods.configs import DistilConfig
from vdd_ros.learning.methods.mixture_training import start_student
from vdd_ros.learning.methods.sources import TeacherSource
from vdd_ros.learning.methods.state_pool import StatePool, draw_pool
from vdd_ros.learning.methods.vdd import vdd_loss
from vdd_ros.learning.students.mixture import MixtureStudent, StudentConfig

JUDGED_STATES, JUDGED_SAMPLES = 128, 64


@dataclass
class Clock:
    """The progress of one loop.

    Attributes:
        seconds: Time of training after each round, s.
        samples: Number of expert samples drawn after each round.
        distance: Energy distance to the teacher's actions in standardised units, after each round.
    """

    seconds: list[float] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)
    distance: list[float] = field(default_factory=list)

    def note(self, seconds: float, samples: int, distance: float) -> None:
        """Add a round."""
        self.seconds.append(seconds + (self.seconds[-1] if self.seconds else 0.0))
        self.samples.append(samples)
        self.distance.append(distance)

    def rates(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the expert samples a second in each round, (rounds,)."""
        return np.diff([0, *self.samples]) / np.diff([0.0, *self.seconds])

    def reached(self, distance: float) -> float | None:
        """Return the seconds to the end of the first round from which the distance stays within `distance`, or None."""
        above = [number for number, value in enumerate(self.distance) if value > distance]
        first = above[-1] + 1 if above else 0
        return self.seconds[first] if first < len(self.seconds) else None


def measure_speed(
    teacher_folder: Path,
    demonstrations: DemonstrationSet,
    config: DistilConfig,
    rounds: int = 30,
    rates: Sequence[float] = (LEARNING_RATE,),
) -> SpeedFigures:
    """Train equal students alternately, round after round: one by the product's loop, the others by the reference.

    All start from the same weights and take the same number of expert steps of `config.batch` states on the same pool.

    Args:
        teacher_folder: Checkpoint of the teacher.
        demonstrations: The teacher's data.
        config: Settings of the product; `steps` is the number of expert steps of every loop.
        rounds: Number of rounds, each with steps / rounds steps of each loop.
        rates: Learning rates, one run of the reference for each; by default the paper's.

    Raises:
        CheckpointError: The teacher is missing or was trained on other data.
        ConfigurationError: The steps do not fill the rounds, the experts are not diagonal, or noise levels lie outside
            the teacher's range.
    """
    each = config.steps // rounds if rounds > 0 else 0
    if not each or config.steps % rounds or each % EXPERT_STEPS or config.covariance != "diagonal":
        raise ConfigurationError(
            f"{config.steps} steps in {rounds} rounds with {config.covariance} covariance cannot be compared; it takes "
            f"a multiple of {EXPERT_STEPS} steps a round, and diagonal experts"
        )
    keep_freed_memory()
    source = TeacherSource.load(teacher_folder, demonstrations, config.pick_device())
    source.teacher.check_range(config.min_noise, config.max_noise)
    source.teacher.check_range(*NOISE_RANGE)
    pool = draw_pool(
        source.teacher, source.windows, copies=1, samples=config.pool_samples, steps=config.teacher_steps,
        observation_noise=config.observation_noise, seed=config.seed,
    )  # fmt: skip
    shape = shaped(StudentConfig, config, source.dimensions())
    judge = Judge(source, pool, config)
    torch.manual_seed(config.seed)
    student = start_student(shape, config, pool, config.seed)
    references = [
        ReferenceLoop(
            copy.deepcopy(student), source.teacher, pool, batch=config.batch, iterations=config.steps // EXPERT_STEPS,
            seed=config.seed, learning_rate=rate,
        )
        for rate in rates
    ]  # fmt: skip
    product, clocks = _train_by_turns(source, pool, student, references, judge, config, each)
    pairs = zip(rates, clocks, strict=True)
    return {
        "product": _figures(product),
        "references": [_compare(product, clock, rate) for rate, clock in pairs],
        "machine": machine_facts(),
    }


class Judge:
    """Compares students with samples of their teacher."""

    def __init__(self, source: TeacherSource, pool: StatePool, config: DistilConfig) -> None:
        """Draw the teacher's actions at `JUDGED_STATES` states of the pool."""
        generator = torch.Generator(pool.action.device).manual_seed(config.seed + 1)
        device = pool.action.device
        index = torch.randint(len(pool), (JUDGED_STATES,), generator=generator, device=device)
        self._states = pool.states(index)
        noise_shape = (JUDGED_STATES, JUDGED_SAMPLES, config.teacher_steps, source.teacher.size)
        noise = torch.randn(noise_shape, generator=generator, device=device)
        with torch.no_grad():
            self._truth = source.teacher.sample(source.teacher.encode(*self._states), noise).cpu().double().numpy()

    @torch.no_grad()
    def __call__(self, student: MixtureStudent) -> float:
        """Return the energy distance between actions of a student and of the teacher, mean over the states."""
        generator = torch.Generator(self._states[0].device).manual_seed(0)
        drawn = student(*self._states).draw(JUDGED_SAMPLES, generator).cpu().double().numpy()
        pairs = zip(drawn, self._truth, strict=True)
        return float(np.mean([energy_distance(mine, true) for mine, true in pairs]))


def _train_by_turns(
    source: TeacherSource,
    pool: StatePool,
    student: MixtureStudent,
    references: list[ReferenceLoop],
    judge: Judge,
    config: DistilConfig,
    each: int,
) -> tuple[Clock, list[Clock]]:
    """Run the product's loop; after every `each` of its steps, let each reference take as many."""
    product, clocks = Clock(), [Clock() for _ in references]
    per_step = config.batch * config.samples * (config.draws or config.experts)
    began = time.perf_counter()

    def turn(step: int, _generator: torch.Generator, _averaged: nn.Module) -> None:
        nonlocal began
        if step % each:
            return
        product.note(time.perf_counter() - began, step * per_step, judge(student))
        for reference, clock in zip(references, clocks, strict=True):
            began = time.perf_counter()
            for _ in range(each // EXPERT_STEPS):
                reference.iterate()
            spent = time.perf_counter() - began
            clock.note(spent, reference.samples_done, judge(reference.student))
        began = time.perf_counter()

    loss = vdd_loss(student, source.teacher, pool, config)
    job = TrainingJob(student, loss, student.config, after_step=turn)
    with TemporaryDirectory() as folder:
        fit(Path(folder), job, config, lambda made: source.metadata("mixture", "vdd", made), "speed", resume=False)
    return product, clocks


def _figures(clock: Clock) -> LoopFigures:
    return {
        "samples_per_s": float(np.median(clock.rates())),
        "seconds": clock.seconds,
        "distance": clock.distance,
    }


def _compare(product: Clock, reference: Clock, rate: float) -> ReferenceFigures:
    ratios = np.sort(product.rates() / reference.rates())
    reached = product.reached(reference.distance[-1])
    return {
        "learning_rate": rate,
        **_figures(reference),
        "speedup": float(np.median(ratios)),
        "speedup_interval": list(median_interval(ratios)),
        "product_reached_s": reached,
        "time_speedup": None if reached is None else reference.seconds[-1] / reached,
    }
