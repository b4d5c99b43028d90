"""`vdd doctor`: what this host does for a control loop, and what would make it better."""

import argparse
import os
import resource
from dataclasses import asdict
from typing import Any

from vdd_ros import middleware
from vdd_ros.console import show
from vdd_ros.documents import write_json
from vdd_ros.host.facts import available_providers, runtime_versions
from vdd_ros.host.realtime import Jitter, host_facts, measure_jitter
from vdd_ros.host.software import ros_facts
from vdd_ros.places import OutputFile

HELP = "what this host does for a control loop: clocks, limits, versions, jitter"

LATE_S = 0.001


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd doctor`."""
    parser.add_argument("--sleeps", type=int, default=1000, help="of the jitter's measurement (default: %(default)s)")
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the facts as JSON")


def run(args: argparse.Namespace) -> int:
    """Print facts and advice."""
    facts = examine(args.sleeps)
    width = 2 + max(map(len, facts))
    for name, value in facts.items():
        show(f"{name.replace('_', ' '):<{width}}{_text(name, value)}")
    for line in advice(facts):
        show(f"- {line}")
    if args.json is not None:
        write_json(args.json, facts | {"advice": advice(facts)})
    return 0


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


def _text(name: str, value: Any) -> str:
    if name == "jitter":
        jitter = Jitter(**value)
        p50, p99, most = (1e6 * late for late in (jitter.p50_s, jitter.p99_s, jitter.max_s))
        return f"{p50:.0f} us median, {p99:.0f} us p99, {most:.0f} us at most, {jitter.count} sleeps of 1 ms"
    if name.endswith("_limit"):
        return "unlimited" if value == resource.RLIM_INFINITY else str(value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "unknown" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
