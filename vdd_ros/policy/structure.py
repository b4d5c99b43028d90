"""The structure of a policy's graph, independent of the training method."""

from collections.abc import Mapping
from types import MappingProxyType

MIXTURE = "mixture"
"""A gating chooses one of several Gaussian experts, which acts in one pass."""
DIFFUSION = "diffusion"
"""A chain of sampling steps inside the graph turns noise into an action."""
ONE_STEP = "one_step"
"""One pass turns noise into an action."""
STRUCTURES = (MIXTURE, DIFFUSION, ONE_STEP)

OLD_KINDS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("vdd", "em", "imc"), MIXTURE),
        **dict.fromkeys(("ddpm", "beso"), DIFFUSION),
        **dict.fromkeys(("cd", "ctm"), ONE_STEP),
    }
)
"""Structure by method, for older policy files, checkpoints and bags that name only a `kind`."""
