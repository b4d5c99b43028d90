"""Whether a loaded policy fits this host: fast enough for its ticks, within the memory limit."""

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
    """Refuse a policy whose fastest run is too slow: it would command nothing.

    The fastest run counts, because load only lengthens runs. If it is too long, the policy gets further chances, so a
    brief load peak does not refuse a good file.

    Args:
        path: Policy file, for the message.
        warm_up: Durations of its warm-up runs.
        parameters: Parameters of the node.
        period_s: Time between ticks.
        again: Repeats the warm-up with the given number of runs.

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
    """Measures how much memory a policy's runs add to the process, from construction to `judge`.

    Args:
        parameters: Parameters of the node.
    """

    def __init__(self, parameters: PolicyParameters) -> None:
        # GPU libraries take hundreds of MB of host memory at their first run, regardless of the policy.
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
    """Return the resident memory of the process in bytes; 0 if the system does not report it."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms"
