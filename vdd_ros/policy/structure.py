"""The structure of a policy's graph: what a robot must know of it, however it was trained."""

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
"""Structures of the methods that older policy files, checkpoints and bags name as their `kind`, and nothing else."""
