"""The settings of every method and of the export, and their defaults. Imports no torch, for a fast `--help`."""

import math
from dataclasses import dataclass, field
from typing import Literal

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.checks import require_choice, require_least, require_positive, require_seed
from vdd_ros.learning.configs import (
    BackboneConfig,
    FitConfig,
    MixtureConfig,
    NoiseConfig,
    NoiseScheme,
    Optimizer,
    SamplerChoice,
    ScheduleChoice,
    Solver,
    WindowConfig,
    shaped,
)
from vdd_ros.learning.diffusion.teachers import TEACHERS, trained_teachers
from vdd_ros.policy.spec_checks import MAX_COUNT

Update = Literal["multi-noise", "paper"]
GatingOn = Literal["teacher", "data"]
Metric = Literal["huber", "l2"]
TeacherPrecision = Literal["float32", "bfloat16"]
Opset = Literal[18, 23]


@dataclass(frozen=True, kw_only=True)
class TrainConfig(FitConfig, WindowConfig, BackboneConfig, NoiseConfig):
    """How to train a teacher.

    Attributes:
        teacher: Kind of teacher.
        levels_per_state: Noise levels per state of a batch; each state is encoded once for all of them.
        sigma_max: Highest noise level of a teacher with a range of levels; 0: from the data, twice the norm of the
            farthest chunks of actions, at least 3.
    """

    teacher: str = field(default="ddpm", metadata={"choices": trained_teachers})
    steps: int = 2_500
    batch: int = 256
    learning_rate: float = 2e-3
    optimizer: Optimizer = "muon"
    levels_per_state: int = 4
    sigma_max: float = 0.0

    def __post_init__(self) -> None:
        """Refuse invalid values.

        Raises:
            ConfigurationError: With the field, its value and the allowed values.
        """
        self.check_fit()
        self.check_backbone()
        if not TEACHERS.get(self.teacher).trained:
            raise ConfigurationError(
                f"teacher is '{self.teacher}', which is imported from another program, not trained; choose one of "
                f"{', '.join(trained_teachers())}"
            )
        self.check_windows()
        require_least(1, self, "levels_per_state")
        shaped(NoiseConfig, self, {"sigma_max": self.sigma_max or NoiseConfig.sigma_max}).check_noise()


@dataclass(frozen=True, kw_only=True)
class DistilConfig(FitConfig, MixtureConfig):
    """How to distil a teacher.

    Attributes:
        update: Update of the experts: `multi-noise`, or the `paper`'s.
        gating_on: Actions that train the gating: of the `teacher`, or of the `data`.
        gating_every: Expert steps per gating step.
        draws: Actions drawn per state, from experts drawn by weight; 0: `samples` of every expert, as in the paper.
        samples: Actions per drawn expert.
        noise_scheme: Noise levels for the teacher: `log-uniform` or `uniform` in the range, `fixed` at its lower end,
            or falling from its upper to its lower end (`anneal`).
        min_noise: Lower end of the range of noise levels, in standardised units.
        max_noise: Upper end of the range.
        uniform_weight: Uniform share of the experts' weights, so that abandoned experts keep learning.
        forward_kl: Weight of the likelihood of the gating's actions in the experts' loss.
        pool_copies: Noisy copies of each demonstrated state.
        pool_samples: Teacher actions per copy.
        teacher_steps: Sampling steps of the teacher's actions.
        teacher_precision: Precision of the frozen teacher's matrix products; bfloat16 is faster on CPUs with AMX, and
            changes scores by some tenths of a percent.
    """

    steps: int = 1_500
    batch: int = 256
    learning_rate: float = 2e-3
    optimizer: Optimizer = "muon"
    update: Update = "multi-noise"
    gating_on: GatingOn = "teacher"
    gating_every: int = 1
    draws: int = 8
    samples: int = 1
    noise_scheme: NoiseScheme = "log-uniform"
    min_noise: float = 0.03
    max_noise: float = 1.0
    uniform_weight: float = 0.5
    forward_kl: float = 0.1
    pool_copies: int = 3
    pool_samples: int = 4
    teacher_steps: int = 8
    teacher_precision: TeacherPrecision = "float32"

    def __post_init__(self) -> None:
        """Refuse invalid values.

        Raises:
            ConfigurationError: With the field, its value and the allowed values.
        """
        self.check_fit()
        self.check_mixture()
        require_choice(self, "update", Update)
        require_choice(self, "gating_on", GatingOn)
        require_choice(self, "noise_scheme", NoiseScheme)
        require_choice(self, "teacher_precision", TeacherPrecision)
        require_least(1, self, "gating_every", "samples", "pool_copies", "pool_samples", "teacher_steps")
        require_least(0, self, "forward_kl", "draws")
        if not 0.0 < self.min_noise <= self.max_noise:
            raise ConfigurationError(
                f"the noise range is {self.min_noise} to {self.max_noise}; it must be positive and must not descend"
            )
        if not 0.0 <= self.uniform_weight <= 1.0:
            raise ConfigurationError(f"uniform_weight is {self.uniform_weight}; it must be between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class ConsistencyConfig(FitConfig):
    """How to distil a teacher into a one-step policy, whose backbone is the teacher's.

    Attributes:
        levels_per_state: Noise levels for each state of a batch; the state is encoded once for all of them.
        discretisation: Noise levels above 0 that discretise the teacher's trajectories.
        solver: Solver of the teacher's steps: `euler` or `heun`.
        target_decay: Decay of the target network's weights; 0: the newest weights.
        metric: Distance between a jump and its target: pseudo-`huber` or `l2`.
        huber_width: Transition of pseudo-Huber from quadratic to linear, in standardised units.
        start_from_teacher: Start from the teacher's weights.
    """

    steps: int = 2_500
    batch: int = 256
    learning_rate: float = 1e-3
    levels_per_state: int = 4
    discretisation: int = 18
    solver: Solver = "heun"
    target_decay: float = 0.95
    metric: Metric = "huber"
    huber_width: float = 0.03
    start_from_teacher: bool = True

    def __post_init__(self) -> None:
        """Refuse invalid values.

        Raises:
            ConfigurationError: With the field, its value and the allowed values.
        """
        self.check_fit()
        for name, choices in (("solver", Solver), ("metric", Metric)):
            require_choice(self, name, choices)
        require_least(1, self, "levels_per_state")
        require_least(2, self, "discretisation")
        require_positive(self, "huber_width")
        if not 0.0 <= self.target_decay < 1.0:
            raise ConfigurationError(f"target_decay is {self.target_decay}; it must be at least 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class CDConfig(ConsistencyConfig):
    """Consistency distillation (Song et al. 2023)."""


@dataclass(frozen=True, kw_only=True)
class CTMConfig(ConsistencyConfig):
    """A consistency trajectory model (Kim et al. 2024), without a GAN, as Prasad et al. (2024).

    Attributes:
        teacher_steps: Levels that the teacher descends, at most as far as the jump.
        to_clean: Share of jumps to the clean action; the others end at a random level.
        dsm_weight: Weight of denoising score matching; at 1 its noise dominates short runs.
    """

    teacher_steps: int = 2
    to_clean: float = 0.5
    dsm_weight: float = 0.1

    def __post_init__(self) -> None:
        """Refuse invalid values; as `ConsistencyConfig`."""
        super().__post_init__()
        require_least(1, self, "teacher_steps")
        require_least(0, self, "dsm_weight")
        if not 0.0 <= self.to_clean <= 1.0:
            raise ConfigurationError(f"to_clean is {self.to_clean}; it must be between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class EMConfig(FitConfig, WindowConfig, MixtureConfig):
    """How to train a mixture from demonstrations by expectation maximisation."""

    steps: int = 4_000
    batch: int = 256
    learning_rate: float = 2e-3

    def __post_init__(self) -> None:
        """Refuse invalid values.

        Raises:
            ConfigurationError: With the field, its value and the allowed values.
        """
        self.check_fit()
        self.check_mixture()
        self.check_windows()

    @property
    def temperature(self) -> float:
        """Price per nat of the curriculum's entropy: EM never leaves out a pair."""
        return math.inf


@dataclass(frozen=True, kw_only=True)
class IMCConfig(EMConfig):
    """How to train a mixture by Information Maximizing Curriculum (Blessing et al. 2023).

    Attributes:
        eta: An expert ignores actions much farther from its mean than sqrt(eta), in standardised units.
    """

    eta: float = 1.0

    def __post_init__(self) -> None:
        """Refuse invalid values; as `EMConfig`."""
        super().__post_init__()
        require_positive(self, "eta")

    @property
    def temperature(self) -> float:
        """Price per nat of the curriculum's entropy."""
        return self.eta


@dataclass(frozen=True)
class ExportConfig:
    """How to export.

    Attributes:
        steps: Sampling steps of a diffusion policy, inside the graph; not for students.
        sampler: Sampler of a diffusion policy: `ancestral` and `euler-ancestral` are stochastic, `ddim` and `euler`
            deterministic, `heun` evaluates the network twice per step. `usual`: ancestral; of an imported teacher, its
            author's.
        schedule: Noise levels of the sampler: uniform in the angle of DDPM's `cosine` schedule, `linear`, `exponential`
            or `karras`; every r-th from the lowest, as in diffusers (`leading`). `usual`: karras; of an imported
            teacher, leading.
        seed: Seed of the parity check's inputs, of the novelty fit, and of a deterministic file's noise.
        novelty: Add a density of the demonstrated observations as another output.
        deterministic: Replace random draws by constants, so that the file's only inputs are observation and goal: the
            mean of a mixture's likeliest expert; one noise, drawn from the seed, for other policies.
        prefix: Let a mixture take the first actions of the chunk as given, with two more inputs: those that the robot
            executes before the answer arrives.
        prefix_tempering: Power of the prefix's likelihood in the experts' weights, 0 to 1: 1 is Bayes' rule; lower
            values help if the robot does not execute what experts expect to the last digit.
        opset: Newest ONNX operator set that the file may use: 23 makes a GPT faster and needs ONNX Runtime 1.23, 18 is
            for older ones. A file that gains nothing from 23 uses 18.
    """

    steps: int = 8
    sampler: SamplerChoice = "usual"
    schedule: ScheduleChoice = "usual"
    seed: int = 0
    novelty: bool = True
    deterministic: bool = False
    prefix: bool = False
    prefix_tempering: float = 1.0
    opset: Opset = 23

    def __post_init__(self) -> None:
        """Refuse invalid numbers of steps, seeds, temperings and operator sets.

        Raises:
            ConfigurationError: With its value and the allowed values.
        """
        require_least(1, self, "steps")
        if self.steps > MAX_COUNT:
            raise ConfigurationError(f"steps is {self.steps}; a policy file holds at most {MAX_COUNT:,}")
        require_seed(self.seed)
        if not 0.0 <= self.prefix_tempering <= 1.0:
            raise ConfigurationError(f"prefix_tempering is {self.prefix_tempering}; it must be between 0 and 1")
        require_choice(self, "opset", Opset)
