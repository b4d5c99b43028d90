"""A hand on a gamepad, whose stick moves a desired position, as in the recordings of D3IL.

A stick moves the desired position by at most 8.33 mm a step and axis, and a deflection under 5 mm a step counts as none
(D3IL's dead zone), so that every action entry is 0 or between 5 and 8.33 mm. A hand sends deflections below the dead
zone as pulses, each as long as a press of the thumb.
"""

import numpy as np

from vdd_ros.tasks.base import Floats

STICK_MAX = 1.0 / 120.0
STICK_DEAD = 0.005
PULSE_STEPS = 3


class Gamepad:
    """The stick and the thumb on it.

    Args:
        tremor: Deviation of the deflection in m a step.
        random: The hand's random stream.
    """

    def __init__(self, tremor: float, random: np.random.Generator) -> None:
        self._deviation = tremor
        self._random = random
        self._tremor = np.zeros(2)
        self._pulse = np.zeros(2)
        self._pulse_left = np.zeros(2, dtype=np.int64)

    def press(self, wanted: Floats) -> Floats:
        """Return the action, (2,) in m, of a hand that wants a displacement, (2,) in m a step."""
        self._tremor = 0.8 * self._tremor + self._deviation * self._random.standard_normal(2)
        wish = wanted + self._tremor
        return np.array([self._deflect(axis, float(wish[axis])) for axis in (0, 1)])

    def _deflect(self, axis: int, wish: float) -> float:
        """Turn a wanted deflection into one that the gamepad can produce: itself, or pulses of the right share."""
        if abs(wish) >= STICK_DEAD:
            self._pulse_left[axis] = 0
            return float(np.clip(wish, -STICK_MAX, STICK_MAX))
        if self._pulse_left[axis] == 0:
            size = self._random.uniform(STICK_DEAD, 0.007)
            pressed = self._random.random() < abs(wish) / size
            self._pulse[axis] = np.sign(wish) * size if pressed else 0.0
            self._pulse_left[axis] = self._random.integers(1, PULSE_STEPS + 1)
        self._pulse_left[axis] -= 1
        return float(self._pulse[axis])
