"""Who demonstrates with the example arm: moves each joint to its goal in one smooth motion, by either way."""

from collections.abc import Callable

import numpy as np

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.errors import DemonstrationError
from vdd_ros.tasks.base import Floats
from vdd_ros.tasks.example_arm.sim import ELBOW_UP, HOME, SPEC, ExampleArmSim, draw_targets, joint_angles

MOVES_S = 2.5
"""Usual duration of a motion."""


class Motion:
    """What the operator wants while the arm moves from its home to a target, with minimum jerk.

    Attributes:
        target: (2,) in m.
        duration_s: From the first to the last moment of the motion.
    """

    def __init__(self, random: np.random.Generator, *, elbow_up: bool) -> None:
        """Draw a target and a duration."""
        self.target = draw_targets(1, random)[0]
        self.duration_s = random.uniform(0.9, 1.1) * MOVES_S
        self._goal = np.array(joint_angles(*self.target, elbow_up=elbow_up))

    def wanted(self, time_s: float) -> Floats:
        """Return the wanted joint angles, (2,) in rad, so long after the motion began; home before, the goal after."""
        share = min(max(time_s / self.duration_s, 0.0), 1.0)
        return np.array(HOME) + (self._goal - HOME) * (10 * share**3 - 15 * share**4 + 6 * share**5)


def demonstrate_part(numbers: range, seed: int, progress: Callable[[], None]) -> DemonstrationSet:
    """Demonstrate the episodes of these numbers, each from a stream of its own: even ones with the elbow up."""
    ways = np.array(numbers, dtype=np.int64) % SPEC.modes
    motions = [
        Motion(np.random.default_rng([seed, number]), elbow_up=bool(way == ELBOW_UP))
        for number, way in zip(numbers, ways, strict=True)
    ]
    targets = np.array([motion.target for motion in motions])
    observations, actions, lengths = [], [], []
    for motion in motions:
        sim = ExampleArmSim(1)
        observation, step = sim.reset(motion.target[None]), 0
        while True:
            wanted = motion.wanted((step + 1) / SPEC.rate_hz)
            observations.append(observation[0])
            actions.append(wanted)
            result = sim.step(wanted[None])
            observation, step = result.observation, step + 1
            if result.terminated[0]:
                break
            if result.truncated[0]:
                raise DemonstrationError(f"a demonstration to {motion.target} m did not arrive; please report this")
        lengths.append(step)
        progress()
    header = Header(
        task=SPEC.name,
        observation=SPEC.observation,
        action=SPEC.action,
        rate_hz=SPEC.rate_hz,
        source="scripted operator",
        seed=seed,
        context=SPEC.context,
    )
    return DemonstrationSet(
        header, np.array(observations), np.array(actions), np.array(lengths, dtype=np.int64), ways, targets
    )


def demonstrate(episodes: int, seed: int, progress: Callable[[], None] = lambda: None) -> DemonstrationSet:
    """Demonstrate to targets within reach, with the elbow up and down in turn.

    Args:
        episodes: Number of episodes.
        seed: Seed; the same seed gives the same demonstrations.
        progress: Called after each episode.

    Raises:
        DemonstrationError: `episodes` is not positive.
    """
    if episodes < 1:
        raise DemonstrationError(f"{episodes} demonstrations were asked for; the number must be at least 1")
    return demonstrate_part(range(episodes), seed, progress)
