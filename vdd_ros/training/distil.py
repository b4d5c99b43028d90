"""Variational Diffusion Distillation of a teacher into a mixture of experts."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor
from tqdm import tqdm

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import CheckpointError, ConfigurationError
from vdd_ros.training.checkpoint import Card, load_model, model_sha256, save_model
from vdd_ros.training.dataset import Statistics, Windows
from vdd_ros.training.loop import LoopConfig, TrainingLoop
from vdd_ros.training.mixture import Covariance, GaussianMixture, MixtureStudent, StudentConfig
from vdd_ros.training.objective import ExpertUpdate, gating_loss, multi_noise_update, paper_update
from vdd_ros.training.runs import load_weights, prepare_folder, read_shape, require_least, require_positive, versions
from vdd_ros.training.teacher import DDPMTeacher
from vdd_ros.training.train import load_teacher

Update = Literal["multi-noise", "paper"]
GatingOn = Literal["teacher", "data"]
UPDATES: dict[str, Callable[..., ExpertUpdate]] = {"multi-noise": multi_noise_update, "paper": paper_update}
POOL_CHUNK = 16_384


@dataclass(frozen=True)
class DistilConfig:
    """How to distil a teacher.

    Attributes:
        steps: Optimiser steps.
        batch: States a step.
        learning_rate: Of AdamW, at the start.
        update: Of the experts: `multi-noise` or the `paper`'s.
        gating_on: Whether the gating learns from actions of the `teacher` or of the `data`.
        experts, covariance: Of the mixture.
        samples: Actions drawn from each expert at each state.
        min_noise, max_noise: Range of sigma = sqrt((1 - alpha_bar) / alpha_bar), in standardised units.
        uniform_weight: Uniform share of the experts' weights, so that abandoned experts keep learning.
        forward_kl: Share of the likelihood of the gating's actions that the experts learn from as well.
        observation_noise: Deviation of the noise added to the demonstrated states, in standardised units.
        pool_copies, pool_samples: Noisy copies of each demonstrated state, and teacher actions drawn at each.
        teacher_steps: Sampling steps of those actions.
        width, blocks, octaves, floor: Size of the student and the floor on its deviations.
        seed: Of weights, batches and noise.
    """

    steps: int = 4_000
    batch: int = 256
    learning_rate: float = 2e-3
    update: Update = "multi-noise"
    gating_on: GatingOn = "teacher"
    experts: int = 24
    covariance: Covariance = "diagonal"
    samples: int = 1
    min_noise: float = 0.03
    max_noise: float = 1.0
    uniform_weight: float = 0.5
    forward_kl: float = 0.1
    observation_noise: float = 0.03
    pool_copies: int = 3
    pool_samples: int = 8
    teacher_steps: int = 8
    width: int = 160
    blocks: int = 3
    octaves: int = 4
    floor: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant.

        Raises:
            ConfigurationError: With the field, its value and what is allowed.
        """
        for name, choices in (("update", Update), ("gating_on", GatingOn), ("covariance", Covariance)):
            if getattr(self, name) not in get_args(choices):
                raise ConfigurationError(f"{name} is '{getattr(self, name)}'; allowed: {', '.join(get_args(choices))}")
        require_least(1, self, "steps", "batch", "experts", "samples", "pool_copies", "pool_samples", "teacher_steps")
        require_least(1, self, "width", "blocks", "octaves")
        require_least(0, self, "forward_kl", "observation_noise")
        require_positive(self, "learning_rate", "floor")
        if not 0.0 < self.min_noise < self.max_noise:
            raise ConfigurationError(
                f"the noise range is {self.min_noise} to {self.max_noise}; it must be positive and ascend"
            )
        if not 0.0 <= self.uniform_weight <= 1.0:
            raise ConfigurationError(f"uniform_weight is {self.uniform_weight}; it must be between 0 and 1")


@dataclass(frozen=True)
class Pool:
    """States to distil at, with actions to teach the gating.

    Attributes:
        observation: (K, history, obs_dim) standardised.
        action: (K, S, horizon * act_dim) standardised.
    """

    observation: Tensor
    action: Tensor


def draw_pool(teacher: DDPMTeacher, windows: Windows, config: DistilConfig) -> Pool:
    """Draw the states of a distillation and the actions that the gating learns from, seeded."""
    if config.gating_on == "data":
        return Pool(windows.observation, windows.action[:, None])
    generator = torch.Generator().manual_seed(config.seed)
    observation = windows.observation.repeat(config.pool_copies, 1, 1)
    observation = observation + config.observation_noise * torch.randn(observation.shape, generator=generator)
    actions = []
    repeated = observation.repeat_interleave(config.pool_samples, dim=0)
    for chunk in tqdm(repeated.split(POOL_CHUNK), desc="teacher actions", unit="chunk", dynamic_ncols=True):
        noise = torch.randn((len(chunk), config.teacher_steps, teacher.size), generator=generator)
        with torch.no_grad():
            actions.append(teacher.sample(chunk, noise))
    return Pool(observation, torch.cat(actions).unflatten(0, (len(observation), config.pool_samples)))


class NoiseLevels:
    """Draws sigma log-uniformly between the lowest and the highest level in a range; gives the nearest levels."""

    def __init__(self, alpha_bars: Tensor, lowest: float, highest: float) -> None:
        """Keep the levels within the range.

        Raises:
            ConfigurationError: The teacher has no level there.
        """
        sigma = ((1 - alpha_bars) / alpha_bars).sqrt()
        inside = (sigma >= lowest) & (sigma <= highest)
        if not inside.any():
            raise ConfigurationError(
                f"no noise level of the teacher lies between {lowest} and {highest}; "
                f"its levels run from {float(sigma[1]):.3g} to {float(sigma[-1]):.3g}"
            )
        self._levels = inside.nonzero().squeeze(1)
        self._log_sigma = sigma[inside].log()

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw (count,) levels."""
        low, high = self._log_sigma[0], self._log_sigma[-1]
        wanted = low + (high - low) * torch.rand(count, generator=generator)
        return self._levels[torch.bucketize(wanted, (self._log_sigma[1:] + self._log_sigma[:-1]) / 2)]


def distil(
    teacher_folder: Path, demonstrations: DemonstrationSet, folder: Path, config: DistilConfig, resume: bool = False
) -> Card:
    """Distil the teacher in `teacher_folder` into a student kept in `folder`.

    Args:
        teacher_folder: Checkpoint of the teacher.
        demonstrations: What the teacher was trained on: it gives the states.
        folder: Checkpoint folder of the student.
        config: Settings.
        resume: Continue the run in `folder`.

    Returns:
        The card of the finished student.

    Raises:
        CheckpointError: The teacher is missing or was trained on other data, or `folder` holds another run.
        ConfigurationError: The teacher has no noise levels in the range, or fewer than `teacher_steps`.
        KeyboardInterrupt: The run was interrupted; a checkpoint is written.
    """
    teacher, teacher_card = load_teacher(teacher_folder)
    if teacher_card.data_sha256 != demonstrations.sha256:
        raise CheckpointError(
            f"the teacher in '{teacher_folder}' was trained on other demonstrations (sha256 "
            f"{teacher_card.data_sha256[:12]}) than those given ({demonstrations.sha256[:12]}); give the same"
        )
    levels = NoiseLevels(teacher.alpha_bars, config.min_noise, config.max_noise)
    settings = dataclasses.asdict(config)
    teacher_sha256 = model_sha256(teacher_folder)
    prepare_folder(folder, {**settings, "teacher_sha256": teacher_sha256}, resume)
    shape = StudentConfig(
        history=teacher.config.history,
        obs_dim=teacher.config.obs_dim,
        horizon=teacher.config.horizon,
        act_dim=teacher.config.act_dim,
        **{name: settings[name] for name in ("experts", "covariance", "width", "blocks", "octaves", "floor")},
    )
    statistics = Statistics.from_lists(teacher_card.statistics)
    windows = Windows.of(demonstrations, statistics, shape.history, shape.horizon)
    pool = draw_pool(teacher, windows, config)
    torch.manual_seed(config.seed)
    student = MixtureStudent(shape)
    candidates = pool.action.flatten(0, 1)
    student.spread_experts(candidates[torch.randint(len(candidates), (config.experts,))])
    loop = TrainingLoop(folder, student, LoopConfig(config.steps, config.learning_rate), config.seed)
    if resume:
        loop.resume()

    def card() -> Card:
        return dataclasses.replace(
            teacher_card,
            kind="vdd",
            model=dataclasses.asdict(shape),
            settings=settings,
            steps=loop.step,
            teacher_sha256=teacher_sha256,
            versions=versions(),
        )

    save = lambda: save_model(folder, loop.averaged.state_dict(), card())  # noqa: E731
    loop.run(vdd_loss(student, teacher, pool, levels, config), save, "distil")
    return card()


def vdd_loss(
    student: MixtureStudent, teacher: DDPMTeacher, pool: Pool, levels: NoiseLevels, config: DistilConfig
) -> Callable[[torch.Generator], tuple[Tensor, dict[str, Tensor]]]:
    """Return the loss of one distillation step: experts against the teacher's score, gating against its actions."""
    update = UPDATES[config.update]

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        index = torch.randint(len(pool.observation), (config.batch,), generator=generator)
        observation = pool.observation[index]
        mixture = student(observation)
        with torch.no_grad():
            features = teacher.denoiser.encode(observation)
        level = levels.draw(config.batch, generator)
        noise = torch.randn((config.batch, config.samples, config.experts, student.size), generator=generator)
        experts = update(mixture, teacher, features, level, noise, config.uniform_weight)
        gating = gating_loss(mixture, pool.action[index], config.forward_kl)
        return experts.loss + gating, {"disagreement": experts.disagreement, **gating_scalars(mixture)}

    return loss


@torch.no_grad()
def gating_scalars(mixture: GaussianMixture) -> dict[str, Tensor]:
    """Return the mean gating entropy in nats, and the number of experts that hold over 1 % of the batch."""
    gating = mixture.log_gating.exp()
    return {
        "gating_entropy": -(gating * mixture.log_gating).sum(-1).mean(),
        "experts_used": (gating.mean(0) > 0.01).sum(),
    }


def load_student(folder: Path) -> tuple[MixtureStudent, Card]:
    """Read a distilled student, frozen.

    Raises:
        CheckpointError: There is none, or it is of another kind.
    """
    card, tensors = load_model(folder, "vdd")
    student = MixtureStudent(read_shape(StudentConfig, card, folder))
    load_weights(student, tensors, folder)
    return student.requires_grad_(False).eval(), card
