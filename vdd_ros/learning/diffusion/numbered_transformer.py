"""Teachers with numbered diffusion steps whose network is a transformer: Diffusion Policy's."""

from dataclasses import dataclass

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.checks import require_least
from vdd_ros.learning.diffusion.discrete import NumberedTeacherConfig
from vdd_ros.learning.networks.decoder import DecoderShape, TransformerDenoiser


@dataclass(frozen=True, kw_only=True)
class TransformerTeacherConfig(NumberedTeacherConfig):
    """Shape of a teacher with a transformer and numbered steps; `width`, `layers` and `heads` are the transformer's.

    Attributes:
        state_layers: Layers of the state's tokens; 0: an MLP of each token.
        causal: Whether an action's token only sees earlier ones, and observations that are not later.
    """

    state_layers: int = 0
    causal: bool = True

    def check(self) -> None:
        """Refuse invalid configurations.

        Raises:
            ConfigurationError: With the field, its value and the allowed values.
        """
        super().check()
        require_least(4, self, "width")
        require_least(0, self, "state_layers")
        if self.width % self.heads or self.width % 2:
            raise ConfigurationError(
                f"width is {self.width} and heads {self.heads}; the width must be even and a multiple of the heads"
            )

    @property
    def decoder(self) -> DecoderShape:
        """Shape of the network."""
        return DecoderShape(
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            state_layers=self.state_layers,
            causal=self.causal,
        )


def transformer(config: TransformerTeacherConfig) -> TransformerDenoiser:
    """Build the untrained network."""
    state, chunk = (config.history, config.obs_dim), (config.horizon, config.act_dim)
    return TransformerDenoiser(config.decoder, state, chunk, config.past)


def transformer_teacher_config() -> type[TransformerTeacherConfig]:
    """Return the class of the shape of such teachers."""
    return TransformerTeacherConfig
