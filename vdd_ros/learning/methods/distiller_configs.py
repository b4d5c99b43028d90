"""The settings of further distillers of the literature. Imports no torch, for a fast `--help`."""

from dataclasses import dataclass

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.checks import require_choice, require_least, require_positive
from vdd_ros.learning.configs import BackboneConfig, FitConfig, NoiseScheme, Optimizer
from vdd_ros.learning.methods.configs import ConsistencyConfig


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig(FitConfig):
    """How to distil a teacher into a one-step generator beside which a network learns the score of its actions.

    The backbones of both are the teacher's.

    Attributes:
        levels_per_state: Actions for each state of a batch, each at a noise level of its own; the state is encoded once
            for all of them.
        start_level: Deviation of the noise that the generator turns into actions, in standardised units; at most the
            teacher's highest level.
        min_noise: Lower end of the range of noise levels, in standardised units; 0: the teacher's.
        max_noise: Upper end of the range; 0: the teacher's.
        generator_every: Steps of the score network per step of the generator.
        start_from_teacher: Start the generator from the teacher's weights; the score network always does.
    """

    steps: int = 2_500
    batch: int = 256
    learning_rate: float = 1e-3
    levels_per_state: int = 4
    start_level: float = 2.0
    min_noise: float = 0.0
    max_noise: float = 0.0
    generator_every: int = 2
    start_from_teacher: bool = True

    def __post_init__(self) -> None:
        """Refuse invalid values.

        Raises:
            ConfigurationError: With the field, its value and the allowed values.
        """
        self.check_fit()
        require_least(1, self, "levels_per_state", "generator_every")
        require_least(0, self, "min_noise", "max_noise")
        require_positive(self, "start_level")
        if 0.0 < self.max_noise < self.min_noise:
            raise ConfigurationError(f"the noise range is {self.min_noise} to {self.max_noise}; it must not descend")


@dataclass(frozen=True, kw_only=True)
class DiffInstructConfig(GeneratorConfig):
    """Diff-Instruct (Luo et al. 2023)."""


@dataclass(frozen=True, kw_only=True)
class EMDistilConfig(GeneratorConfig):
    """EM distillation (Xie et al. 2024).

    Attributes:
        langevin_steps: Langevin steps that correct each pair of action and latent noise, the E-step.
        action_step: Size of a Langevin step in the action's noise.
        latent_step: Size of a Langevin step in the generator's noise, where the noise level is high; in proportion to
            its variance where it is low.
        cancel_noise: Leave the Langevin steps' own noise out of the corrected actions.
    """

    langevin_steps: int = 4
    action_step: float = 0.1
    latent_step: float = 0.01
    cancel_noise: bool = True

    def __post_init__(self) -> None:
        """Refuse invalid values; as `GeneratorConfig`."""
        super().__post_init__()
        require_least(1, self, "langevin_steps")
        require_positive(self, "action_step")
        require_least(0, self, "latent_step")
        for name in ("action_step", "latent_step"):
            if (value := getattr(self, name)) > 1.0:
                raise ConfigurationError(f"{name} is {value}; it must be at most 1, where the steps forget all before")


@dataclass(frozen=True, kw_only=True)
class ShortcutConfig(ConsistencyConfig):
    """A shortcut model (Frans et al. 2024) of a teacher.

    Attributes:
        bootstrap: Share of jumps over several levels, each learned from two jumps over half of them; the others learn
            from the teacher's steps over one level.
    """

    discretisation: int = 16
    bootstrap: float = 0.25

    def __post_init__(self) -> None:
        """Refuse invalid values; as `ConsistencyConfig`."""
        super().__post_init__()
        if not 0.0 < self.bootstrap < 1.0:
            raise ConfigurationError(f"bootstrap is {self.bootstrap}; it must be above 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class SRPOConfig(FitConfig, BackboneConfig):
    """Score regularised policy optimisation (Chen et al. 2024) without a critic: one action for each state.

    Attributes:
        noise_scheme: Noise levels for the teacher: `log-uniform` or `uniform` in the range, `fixed` at its lower end,
            or falling from its upper to its lower end (`anneal`).
        min_noise: Lower end of the range of noise levels, in standardised units.
        max_noise: Upper end of the range.
        levels_per_state: Noise levels for each state of a batch.
        head_width: Features per layer of the heads for means and deviations.
        head_layers: Hidden layers of these heads; 0: linear.
        floor: Standard deviation of the policy file's density, in standardised units; the policy itself has none.
    """

    steps: int = 1_500
    batch: int = 256
    learning_rate: float = 2e-3
    optimizer: Optimizer = "muon"
    noise_scheme: NoiseScheme = "log-uniform"
    min_noise: float = 0.03
    max_noise: float = 1.0
    levels_per_state: int = 4
    head_width: int = 256
    head_layers: int = 0
    floor: float = 0.02

    def __post_init__(self) -> None:
        """Refuse invalid values.

        Raises:
            ConfigurationError: With the field, its value and the allowed values.
        """
        self.check_fit()
        self.check_backbone()
        require_choice(self, "noise_scheme", NoiseScheme)
        require_least(1, self, "levels_per_state", "head_width")
        require_least(0, self, "head_layers")
        require_positive(self, "floor")
        if self.floor >= 1.0:
            raise ConfigurationError(f"floor is {self.floor}; it must be below 1")
        if not 0.0 < self.min_noise <= self.max_noise:
            raise ConfigurationError(
                f"the noise range is {self.min_noise} to {self.max_noise}; it must be positive and must not descend"
            )
