"""A demonstration set with all that one can have: images, contexts, modes, units; its numbers are float32's."""

import numpy as np

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.features import Feature

IMAGE = Feature("images.top", shape=(4, 6, 3), dtype="uint8")
LENGTHS = [3, 1, 6]


def made(rate_hz: float = 20.0, *, image: bool = True) -> DemonstrationSet:
    """Return three episodes of the task "push"."""
    random = np.random.default_rng(0)
    observation = (Feature("x", "m"), *([IMAGE] if image else []), Feature("yaw", "rad"))
    header = Header("push", observation, (Feature("dx", "m"),), rate_hz, "a test", 3, (Feature("start", "m"),))
    numbers = random.normal(size=(10, 2)).astype(np.float32).astype(float)
    action = random.normal(size=(10, 1)).astype(np.float32).astype(float)
    arrays = {IMAGE.name: random.integers(0, 256, (10, 4, 6, 3), dtype=np.uint8)} if image else {}
    modes, contexts = np.array([1, -1, 0]), random.normal(size=(3, 1))
    return DemonstrationSet(header, numbers, action, np.array(LENGTHS), modes, contexts, arrays)
