"""How the episodes of a simulation ended: which run, how long, and with what result."""

import numpy as np

from vdd_ros.tasks.base import Bools


class Endings:
    """Steps and results of N episodes.

    Args:
        count: Number of episodes.
        max_steps: Steps after which an episode is truncated.

    Attributes:
        success, failed: (N,) whether each episode has ended so.
    """

    def __init__(self, count: int, max_steps: int) -> None:
        self._max_steps = max_steps
        self._steps = np.zeros(count, dtype=np.int64)
        self._ended, self.success, self.failed = np.zeros((3, count), dtype=bool)

    @property
    def running(self) -> Bools:
        """(N,) whether each episode has not ended yet."""
        return ~self._ended

    @property
    def terminated(self) -> Bools:
        """(N,) whether each episode has ended by success or failure."""
        return self.success | self.failed

    def reset(self, which: Bools) -> None:
        """Start the episodes where `which`, (N,), is true."""
        self._steps[which] = 0
        for flag in (self._ended, self.success, self.failed):
            flag[which] = False

    def note(self, reached: Bools, failed: Bools) -> Bools:
        """Note a step of all running episodes: (N,) which reached the goal in it, and which of the others failed.

        Returns:
            (N,) the episodes that were truncated in it.
        """
        running = self.running
        reached, failed = running & reached, running & failed & ~reached
        self._steps += running
        truncated = running & ~reached & ~failed & (self._steps >= self._max_steps)
        self.success |= reached
        self.failed |= failed
        self._ended |= reached | failed | truncated
        return truncated
