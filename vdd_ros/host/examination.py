"""The host examined for a control loop, with advice."""

import os
import resource

from vdd_ros import middleware
from vdd_ros.host.facts import RuntimeVersions, available_providers, runtime_versions
from vdd_ros.host.realtime import HostFacts, Jitter, host_facts, measure_jitter
from vdd_ros.host.software import RosFacts, ros_facts

LATE_S = 0.001
"""A millisecond sleep that ends later than this counts as late."""


class Examination(HostFacts, RuntimeVersions, RosFacts):
    """Facts of the host and of the software.

    Attributes:
        providers: Execution providers of this ONNX Runtime, by its own names.
        jitter: Delay of wake-ups, measured.
    """

    providers: list[str]
    jitter: Jitter


def examine(sleeps: int) -> Examination:
    """Return the facts of host and software, and the jitter of `sleeps` sleeps of a millisecond."""
    return {
        **host_facts(),
        **runtime_versions(),
        "providers": available_providers(),
        **ros_facts(),
        "jitter": measure_jitter(sleeps),
    }


def advice(facts: Examination) -> list[str]:
    """Return advice for more punctual ticks, one text per measure; empty if nothing stands out."""
    found = [problem] if (problem := middleware.problem()) else []
    if facts["governor"] not in (None, "performance"):
        found.append(f"the governor is {facts['governor']}: cores wake slowly; cpupower frequency-set -g performance")
    if facts["clock_source"] not in (None, "tsc", "arch_sys_counter", "kvm-clock"):
        found.append(f"the clock source is {facts['clock_source']}: every reading of the clock is slow; boot with tsc")
    if facts["rtprio_limit"] == 0 and os.geteuid() != 0:
        found.append("SCHED_FIFO is not allowed here: '- rtprio 99' in /etc/security/limits.conf, then log in again")
    if facts["memlock_limit"] != resource.RLIM_INFINITY and os.geteuid() != 0:
        found.append("locked memory is limited: '- memlock unlimited' in /etc/security/limits.conf, then log in again")
    if facts["load"] > 0.5 * facts["cores"]:
        found.append(f"other programs keep {facts['load']:.1f} of {facts['cores']} cores busy: stop them")
    if facts["jitter"].p99_s > LATE_S:
        found.append(
            f"one sleep in a hundred ends {1e3 * facts['jitter'].p99_s:.1f} ms late or more: fifo_priority, a core "
            "of its own (cpu_affinity, isolcpus) and a PREEMPT_RT kernel help, in this order"
        )
    return found
