"""Avoiding: steer a rod through three rows of cylinders to the far side, along any of 24 routes (D3IL).

Geometry, timing, observation and success test are those of D3IL's obstacle avoidance task. The Panda and its torque
control are replaced by a rod whose tip follows the desired position with a first-order lag; see docs/tasks.md.
"""

import numpy as np
from numpy.typing import NDArray

from vdd_ros.features import Feature
from vdd_ros.tasks.base import Bools, Floats, Ints, StepResult, TaskSpec, check_action, check_contexts, check_count

SPEC = TaskSpec(
    name="avoiding",
    observation=(Feature("desired_x", "m"), Feature("desired_y", "m"), Feature("tcp_x", "m"), Feature("tcp_y", "m")),
    action=(Feature("delta_desired_x", "m"), Feature("delta_desired_y", "m")),
    rate_hz=1000.0 / 35.0,
    max_steps=250,
    modes=24,
)

START: tuple[float, float] = (0.525, -0.28)
GOAL_Y = 0.35
ROD_RADIUS = 0.01
SUBSTEP_S = 0.001
SUBSTEPS = 35
LAG_S = 10.0 / 120.0
"""Time constant of the rod: damping over stiffness of the joint controller that D3IL drives the first joints with."""

CYLINDERS: NDArray[np.float64] = np.array(
    [
        # x, y, radius
        (0.500, -0.10, 0.030),
        (0.425, 0.08, 0.025),
        (0.575, 0.08, 0.025),
        (0.350, 0.26, 0.025),
        (0.500, 0.26, 0.025),
        (0.650, 0.26, 0.025),
    ]
)
ROW_Y = (-0.10, 0.08, 0.26)
ROW_DIVIDERS = (np.array([0.5]), np.array([0.425, 0.575]), np.array([0.35, 0.5, 0.65]))
BAND = 0.03

UNSET = -1


def mode_of(gaps: Ints) -> Ints:
    """Number the routes.

    Args:
        gaps: (N, 3) gap taken in each row, counted from the left; -1 where the row was never seen.

    Returns:
        (N,) 0 to 23 for a complete route. An incomplete one has a code of its own from 24 on, as in D3IL, where
        unset rows still count as distinct.
    """
    row_1, row_2, row_3 = gaps.T
    complete = 12 * row_1 + 4 * row_2 + row_3
    incomplete = SPEC.modes + 20 * (row_1 + 1) + 5 * (row_2 + 1) + row_3 + 1
    return np.where((gaps == UNSET).any(axis=1), incomplete, complete).astype(np.int64)


class AvoidingSim:
    """N independent episodes of Avoiding, stepped together. Deterministic: there is no context and no noise."""

    def __init__(self, count: int) -> None:
        """Prepare `count` episodes; call `reset` before `step`.

        Raises:
            TaskError: `count` is not positive.
        """
        check_count(count)
        self.spec = SPEC
        self.count = count
        self._decay = float(np.exp(-SUBSTEP_S / LAG_S)) ** SUBSTEPS
        self._desired, self._tcp, self._seen_tcp = np.zeros((3, count, 2))
        self._gaps = np.zeros((count, 3), dtype=np.int64)
        self._steps = np.zeros(count, dtype=np.int64)
        self._ended, self._success, self._contact = np.zeros((3, count), dtype=bool)
        self.reset()

    def reset(self, contexts: Floats | None = None, which: Bools | None = None) -> Floats:
        """Start episodes anew, all or those where `which`, (N,), is true. Every episode starts in the same state.

        Returns:
            (N, 4) observations of all episodes in m.

        Raises:
            TaskError: Contexts with entries were given.
        """
        check_contexts(self.spec, contexts, self.count)
        chosen = np.ones(self.count, dtype=bool) if which is None else which
        for position in (self._desired, self._tcp, self._seen_tcp):
            position[chosen] = START
        self._gaps[chosen] = UNSET
        self._steps[chosen] = 0
        for flag in (self._ended, self._success, self._contact):
            flag[chosen] = False
        return self._observe()

    def step(self, action: Floats) -> StepResult:
        """Move the desired position by `action`, (N, 2) in m, and simulate one control period of 35 ms.

        As in D3IL the observation holds the new desired position and the rod as it was BEFORE the period, and the end
        of an episode is tested on that rod position, so that a finished episode runs for one more period.
        """
        running = ~self._ended
        check_action(self.spec, action, running)
        self._desired[running] += action[running]
        self._seen_tcp[running] = self._tcp[running]
        self._note_gaps(running)
        self._steps += running
        contact = running & self._touches(self._tcp)
        reached = running & (self._tcp[:, 1] > GOAL_Y)
        self._tcp[running] = self._desired[running] + (self._tcp - self._desired)[running] * self._decay
        ending = contact | reached
        self._success |= reached | (ending & (self._tcp[:, 1] > GOAL_Y))
        self._contact |= contact & ~self._success
        truncated = running & ~ending & (self._steps >= SPEC.max_steps)
        self._ended |= ending | truncated
        return StepResult(self._observe(), self._success | self._contact, truncated, self._success.copy())

    def modes(self) -> Ints:
        """Return the route of each episode so far, (N,); see `mode_of`."""
        return mode_of(self._gaps)

    def _observe(self) -> Floats:
        return np.concatenate([self._desired, self._seen_tcp], axis=1)  # (N, 4)

    def _touches(self, tcp: Floats) -> Bools:
        offset = tcp[:, None, :] - CYLINDERS[None, :, :2]  # (N, 6, 2)
        reach = CYLINDERS[:, 2] + ROD_RADIUS
        return ((offset**2).sum(axis=2) < reach**2).any(axis=1)

    def _note_gaps(self, running: Bools) -> None:
        x, y = self._tcp.T
        in_row = (abs(y - ROW_Y[0]) <= BAND, abs(y - ROW_Y[1]) <= BAND, y >= ROW_Y[2])
        for row, (inside, dividers) in enumerate(zip(in_row, ROW_DIVIDERS, strict=True)):
            on_divider = (x[:, None] == dividers).any(axis=1)
            new = running & inside & (self._gaps[:, row] == UNSET) & ~on_divider
            self._gaps[new, row] = np.searchsorted(dividers, x[new])
