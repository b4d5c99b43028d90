"""What a host does for a control loop, and what would make it better."""

import os
import resource
from dataclasses import asdict
from typing import Any

from vdd_ros import middleware
from vdd_ros.host.facts import available_providers, runtime_versions
from vdd_ros.host.realtime import host_facts, measure_jitter
from vdd_ros.host.software import ros_facts

LATE_S = 0.001
"""A sleep of a millisecond that ends later than this is late."""


def examine(sleeps: int) -> dict[str, Any]:
    """Return the facts of the host, of the software, and the measured jitter."""
    return {
        **host_facts(),
        **runtime_versions(),
        "providers": available_providers(),
        **ros_facts(),
        "jitter": asdict(measure_jitter(sleeps)),
    }


def advice(facts: dict[str, Any]) -> list[str]:
    """Return what would make the ticks more punctual."""
    found = [problem] if (problem := middleware.problem()) else []
    if facts["governor"] not in (None, "performance"):
        found.append(f"the governor is {facts['governor']}: cores wake slowly; cpupower frequency-set -g performance")
    if facts["clock_source"] not in (None, "tsc", "arch_sys_counter", "kvm-clock"):
        found.append(f"the clock source is {facts['clock_source']}: every look at the clock is slow; boot with tsc")
    if facts["rtprio_limit"] == 0 and os.geteuid() != 0:
        found.append("SCHED_FIFO is not allowed here: '- rtprio 99' in /etc/security/limits.conf, then log in again")
    if facts["memlock_limit"] != resource.RLIM_INFINITY and os.geteuid() != 0:
        found.append("locked memory is limited: '- memlock unlimited' in /etc/security/limits.conf, then log in again")
    if facts["load"] > 0.5 * facts["cores"]:
        found.append(f"other programs keep {facts['load']:.1f} of {facts['cores']} cores busy: stop them")
    if facts["jitter"]["p99_s"] > LATE_S:
        found.append(
            f"one sleep in a hundred ends {1e3 * facts['jitter']['p99_s']:.1f} ms late or more: fifo_priority, a core "
            "of its own (cpu_affinity, isolcpus) and a PREEMPT_RT kernel help, in this order"
        )
    return found
