"""Whether a loaded policy can do its work here: fast enough for its ticks, and with memory to spare."""

import os
from collections.abc import Callable
from pathlib import Path

from vdd_ros.errors import ConfigurationError
from vdd_ros.nodes.policy.parameters import PolicyParameters
from vdd_ros.policy.act import WarmUp
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.text import printable

AGAIN = 3
RUNS_AGAIN = 6
_MIB = 1 << 20


def judge_speed(
    path: str,
    warm_up: WarmUp,
    parameters: PolicyParameters,
    period_s: float,
    again: Callable[[int], WarmUp],
) -> None:
    """Refuse a policy of which even the fastest run takes too long: it would be loaded and command nothing.

    The fastest run, because a busy machine makes runs longer and none shorter. Where even that is too long, the policy
    gets further chances, so that one moment of a busy machine refuses no good file.

    Args:
        path: Of the policy, for the message.
        warm_up: How long its runs took.
        parameters: Of the node.
        period_s: Time between ticks.
        again: Warms up once more with the given number of runs.

    Raises:
        ConfigurationError: It is too slow.
    """
    ahead_s = parameters.prefetch_ticks * period_s
    limit_s = ahead_s or parameters.inference_limit_s or period_s
    for _ in range(AGAIN):
        if warm_up.fastest_s <= limit_s:
            return
        better = again(RUNS_AGAIN)
        warm_up = better if better.fastest_s < warm_up.fastest_s else warm_up
    if warm_up.fastest_s <= limit_s:
        return
    if ahead_s:
        limit = f"{parameters.prefetch_ticks} ticks of {_ms(period_s)} (prefetch_ticks) are {_ms(ahead_s)}"
    elif parameters.inference_limit_s:
        limit = f"inference_limit_s allows {_ms(limit_s)}"
    else:
        limit = f"a tick has {_ms(limit_s)}"
    raise ConfigurationError(
        f"{printable(path)} is too slow here: its fastest run took {_ms(warm_up.fastest_s)}, the median "
        f"{_ms(warm_up.median_s)} and the p99 {_ms(warm_up.p99_s)}, but {limit}; it would command nothing. Use a "
        "faster policy or provider, a lower rate_hz, or prefetch (action_steps, prefetch_ticks) if it returns chunks"
    )


class MemoryCheck:
    """Measures by how much a policy's runs make the process grow, from when this is made to `judge`.

    Args:
        parameters: Of the node.
    """

    def __init__(self, parameters: PolicyParameters) -> None:
        # A GPU's libraries take hundreds of MB of the host at their first run, whatever the policy.
        self._limit_mb = parameters.memory_limit_mb if parameters.provider == "cpu" else 0.0
        self._before = _resident_bytes()

    def judge(self, path: str, policy: OnnxPolicy) -> None:
        """Refuse a policy whose runs took more than `memory_limit_mb`; raises ConfigurationError."""
        grown_mb = (_resident_bytes() - self._before) / _MIB
        if self._limit_mb and grown_mb > self._limit_mb:
            raise ConfigurationError(
                f"{printable(path)} ({policy.spec.method}) needs {grown_mb:.0f} MB to run, but memory_limit_mb allows "
                f"{self._limit_mb:g} MB; use a smaller policy, or set memory_limit_mb if this host can spare that"
            )


def _resident_bytes() -> int:
    """Return the memory that the process holds; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms"
