"""The operator of the example arm: moves both joints to their goals in one motion, by either way.

The operator lays the target on the corners of the tray and then on places between them, spread evenly: a policy does
not reach beyond its demonstrations. Each target is demonstrated both ways, so that the policy has a choice there. Each
motion begins at once: a policy that hardly moves at first would waver between the ways.
"""

from collections.abc import Callable

import numpy as np

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import DemonstrationError
from vdd_ros.tasks.base import Floats, check_episodes
from vdd_ros.tasks.example_arm.sim import ELBOW_DOWN, ELBOW_UP, HOME, SPEC, TRAY_M, ExampleArmSim, joint_angles

MOVES_S = 2.5
"""Usual duration of a motion."""
_PLASTIC = 1.324717957244746
"""The root of x**3 = x + 1: multiples of its inverse powers spread evenly in two dimensions, for any number of them."""
_CORNERS = ((0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0))


class Motion:
    """The operator's intended motion from the arm's home to a target: fast at first, then evenly slower.

    Args:
        number: Number of the demonstration: two in a row have one target, the first of them the elbow up.
        seed: Seed of all demonstrations.

    Attributes:
        mode: The way, `ELBOW_UP` or `ELBOW_DOWN`.
        target: (2,) in m.
        duration_s: Duration of the motion.
        random: Random stream for all other differences between demonstrations.
    """

    def __init__(self, number: int, seed: int) -> None:
        """Lay the target and draw a duration."""
        self.mode = (ELBOW_UP, ELBOW_DOWN)[number % SPEC.modes]
        self.target = _place(number // SPEC.modes, seed)
        self.random = np.random.default_rng([seed, number])
        self.duration_s = self.random.uniform(0.9, 1.1) * MOVES_S
        self._goal = np.array(joint_angles(*self.target, elbow_up=self.mode == ELBOW_UP))

    def wanted(self, time_s: float) -> Floats:
        """Return the wanted joint angles, (2,) in rad, at a time since the motion's start; home before, goal after."""
        share = min(max(time_s / self.duration_s, 0.0), 1.0)
        return np.array(HOME) + (self._goal - HOME) * share * (2.0 - share)


def _place(number: int, seed: int) -> Floats:
    """Return a place on the tray, (2,) in m: its corners, and then an even sequence whose start depends on the seed."""
    low, high = np.array(TRAY_M).T
    steps = np.array([_PLASTIC**-1, _PLASTIC**-2])
    within = (np.random.default_rng(seed).random(2) + number * steps) % 1.0
    return low + (high - low) * (_CORNERS[number] if number < len(_CORNERS) else within)


def demonstrate_part(numbers: range, seed: int, progress: Callable[[], None]) -> DemonstrationSet:
    """Demonstrate the episodes of these numbers, each from its own random stream: even ones with the elbow up."""
    motions = [Motion(number, seed) for number in numbers]
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
    header = SPEC.header("scripted operator", seed)
    ways = np.array([motion.mode for motion in motions], dtype=np.int64)
    targets = np.array([motion.target for motion in motions])
    return DemonstrationSet(
        header, np.array(observations), np.array(actions), np.array(lengths, dtype=np.int64), ways, targets
    )


def demonstrate(episodes: int, seed: int, progress: Callable[[], None] = lambda: None) -> DemonstrationSet:
    """Demonstrate to targets on the tray, to each with the elbow up and down.

    Args:
        episodes: Number of episodes.
        seed: Seed; the same seed gives the same demonstrations.
        progress: Called after each episode.

    Raises:
        DemonstrationError: `episodes` is not positive.
    """
    check_episodes(episodes)
    return demonstrate_part(range(episodes), seed, progress)
