"""How the answer of a policy continues what is executed until it arrives."""

from vdd_ros.errors import ConfigurationError
from vdd_ros.policy.spec import PolicySpec
from vdd_ros.tasks.chunk_plan import AVERAGE, BLEND, REPLACE

CONDITION, NONE = "condition", "none"
PREFIXES = (CONDITION, NONE, AVERAGE, BLEND)
"""`condition`: the policy is given what is executed until then, as the prefix of its chunk; `none`: it is not;
`average`, `blend`: it is not, but its answer is joined to the old chunk in this way
(`vdd_ros.tasks.chunk_plan.JOINTS`)."""

JOINT_OF = {CONDITION: REPLACE, NONE: REPLACE, AVERAGE: AVERAGE, BLEND: BLEND}
"""How answers are joined, by the prefix."""


def prefix_for(policy: PolicySpec, wanted: str | None, *, must: bool) -> str:
    """Return how the answers of a policy continue: as wanted, or `none` where it takes no prefix.

    Args:
        policy: The policy.
        wanted: One of `PREFIXES`; None: `condition`, if the policy takes a prefix.
        must: Whether a policy that cannot do what is wanted is refused.

    Raises:
        ConfigurationError: The policy takes no prefix, but must.
    """
    if wanted is None or (wanted == CONDITION and not must):
        return CONDITION if policy.takes_prefix else NONE
    if wanted == CONDITION and not policy.takes_prefix:
        raise ConfigurationError(
            "--prefix condition: the policy takes no prefix; export a mixture with 'vdd export --prefix', or choose "
            f"one of {', '.join(PREFIXES[1:])}"
        )
    return wanted


def check_continuation(policy: PolicySpec, action_steps: int, delay: int, prefix: str) -> None:
    """Refuse a delay that a policy's chunks are too short for.

    Args:
        policy: The policy.
        action_steps: Actions that are executed from each chunk.
        delay: Steps until an answer arrives.
        prefix: One of `PREFIXES`.

    Raises:
        ConfigurationError: The delay is not between 0 and `action_steps`; chunks are shorter than both together; or
            `prefix` is unknown, or `condition` although the policy takes no prefix.
    """
    if prefix not in PREFIXES:
        raise ConfigurationError(f"prefix is {prefix!r}; use one of {', '.join(PREFIXES)}")
    if not 0 <= delay <= action_steps:
        raise ConfigurationError(
            f"--delay is {delay}; it must be from 0 to {action_steps}, the actions that are executed from a chunk "
            "(--action-steps), since an answer must have arrived before the next question"
        )
    if delay + action_steps > policy.horizon:
        raise ConfigurationError(
            f"with --delay {delay} and --action-steps {action_steps}, {delay + action_steps} actions of a chunk are "
            f"needed, but the policy returns {policy.horizon}; choose a sum of at most {policy.horizon}"
        )
    prefix_for(policy, prefix, must=True)
