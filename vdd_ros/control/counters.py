"""Counters of a policy loop."""

from dataclasses import dataclass


@dataclass
class Counters:
    """Event counts since the loop was created."""

    ticks: int = 0
    waiting: int = 0
    """Ticks before all inputs, the goal (if the policy takes one) and the first chunk arrived."""
    paused: int = 0
    """Ticks outside of episodes: the policy was paused, the robot was homing, or the task was over."""
    stale: int = 0
    """Ticks with an input older than its `max_age_s`."""
    skewed: int = 0
    """Ticks whose inputs have stamps further apart than `max_skew_s`."""
    contradicted: int = 0
    """Ticks with an input whose messages contradict each other."""
    records: int = 0
    commands: int = 0
    failsafes: int = 0
    """Entries into the fail-safe, which applies `on_loss`: stale inputs, refused actions, deactivation."""
    failed_calls: int = 0
    """Failed calls of `loss_service`; calls repeat until one succeeds or commanding resumes."""
    failed_goals: int = 0
    """Goals of an action that were rejected, aborted or not sent."""
    obstructed: int = 0
    """Ticks that commanded nothing because an action had no server."""
    failed_homes: int = 0
    """Failed calls of the home service."""
    first_refused: int = 0
    """Actions refused because the first command was too far from the measured position."""
    not_followed: int = 0
    """Ends of commanding because the robot did not follow, or its input was frozen."""
    overruns: int = 0
    """Actions refused because inference took too long."""
    hangs: int = 0
    """Ticks that hung: still running well past the inference limit."""
    novel: int = 0
    """Actions at out-of-distribution observations."""
    outside_limits: int = 0
    """Actions outside the limits in the policy file."""
    decisions: int = 0
    """Inference results; a chunk counts once."""
    dropped_answers: int = 0
    """Requested chunks discarded because an episode began, or the fail-safe was entered, before they were due."""
    expert_switches: int = 0
    """Decisions whose expert differs from the previous decision's."""
    deadline_misses: int = 0
    clock_jumps: int = 0
    """Backward jumps of the clock of the stamps; each restarts the loop as for a new episode."""
    refused_messages: int = 0
    other_joints: int = 0
    """JointStates with none of an input's joints: published for other nodes on the same topic, and skipped."""
    refused_policies: int = 0
    """Policy files that failed to take over."""
    goals: int = 0
    refused_goals: int = 0
