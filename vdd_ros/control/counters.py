"""What happened in a policy loop, in numbers."""

from dataclasses import dataclass


@dataclass
class Counters:
    """What happened since the loop was made."""

    ticks: int = 0
    waiting: int = 0
    """Ticks before every input and, where the policy takes one, a goal was seen, or before the first chunk came."""
    stale: int = 0
    """Ticks with an input older than its `max_age_s`."""
    contradicted: int = 0
    """Ticks with an input whose messages contradict each other."""
    records: int = 0
    commands: int = 0
    failsafes: int = 0
    """Times that commanding ended and `on_loss` was done: stale inputs, actions that a guard refused, deactivation."""
    failed_calls: int = 0
    """Calls of `loss_service` that failed; each is repeated until one succeeds or commanding goes on."""
    first_refused: int = 0
    """Actions refused because the first command would have been too far from what is measured."""
    not_followed: int = 0
    """Times that commanding ended because the robot did not follow, or what measures it was frozen."""
    overruns: int = 0
    """Actions refused because inference took too long."""
    hangs: int = 0
    """Ticks that had not ended long after inference should have."""
    novel: int = 0
    """Actions at observations outside what was demonstrated."""
    outside_limits: int = 0
    """Answers outside the limits that the policy file states itself."""
    decisions: int = 0
    """Answers of the policy; a chunk is one."""
    expert_switches: int = 0
    """Decisions in which another expert acted than in the one before."""
    deadline_misses: int = 0
    clock_jumps: int = 0
    """Times that the clock of the stamps was set back, after which all begins anew, as in a new episode."""
    refused_messages: int = 0
    other_joints: int = 0
    """JointStates of none of an input's joints: they belong to others on the same topic, and are passed over."""
    refused_policies: int = 0
    """Files that were to take over and did not."""
    goals: int = 0
    refused_goals: int = 0
