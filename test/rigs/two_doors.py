"""A task as another package would add it, in one file: a cart starts somewhere on a rail and leaves by either end.

Its observation has an entry that never changes; it gives rewards and tells partial success.
"""

from collections.abc import Callable

import numpy as np

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.features import Feature
from vdd_ros.tasks import Task
from vdd_ros.tasks.base import Bools, Floats, Ints, StepResult, TaskSpec, check_contexts

SPEC = TaskSpec(
    name="two-doors",
    observation=(Feature("x", "m"), Feature("height", "m")),
    action=(Feature("dx", "m"),),
    rate_hz=10.0,
    max_steps=30,
    modes=2,
    context=(Feature("start", "m"),),
)
DOOR, HEIGHT = 1.0, 0.5


class Rail:
    """N carts; the left door is mode 0, the right one mode 1, none of them is 2."""

    spec = SPEC

    def __init__(self, count: int) -> None:
        self._start, self._x = np.zeros(count), np.zeros(count)
        self._steps = np.zeros(count, dtype=np.int64)

    def reset(self, contexts: Floats | None = None, which: Bools | None = None) -> Floats:
        start = check_contexts(SPEC, contexts, len(self._x))[:, 0]
        chosen = np.ones(len(start), dtype=bool) if which is None else which
        self._start, self._x = np.where(chosen, start, self._start), np.where(chosen, start, self._x)
        self._steps = np.where(chosen, 0, self._steps)
        return self._observe()

    def step(self, action: Floats) -> StepResult:
        running = (np.abs(self._x) < DOOR) & (self._steps < SPEC.max_steps)
        self._x = self._x + running * action[:, 0]
        self._steps += running
        out = np.abs(self._x) >= DOOR
        truncated = running & ~out & (self._steps >= SPEC.max_steps)
        way: Floats = np.clip((np.abs(self._x) - np.abs(self._start)) / (DOOR - np.abs(self._start)), 0.0, 1.0)
        return StepResult(self._observe(), out, truncated, out.copy(), np.where(running, -1.0, 0.0), way)

    def modes(self) -> Ints:
        return np.where(np.abs(self._x) < DOOR, 2, self._x > 0).astype(np.int64)

    def _observe(self) -> Floats:
        return np.stack([self._x, np.full(len(self._x), HEIGHT)], axis=1)


def draw_contexts(count: int, random: np.random.Generator) -> Floats:
    return random.uniform(-0.5, 0.5, (count, 1))


def demonstrate(episodes: int, seed: int, progress: Callable[[], None] = lambda: None) -> DemonstrationSet:
    return demonstrate_part(range(episodes), seed, progress)


def demonstrate_part(numbers: range, seed: int, progress: Callable[[], None] = lambda: None) -> DemonstrationSet:
    contexts, observations, actions = [], [], []
    modes = np.array(numbers, dtype=np.int64) % 2
    for number, mode in zip(numbers, modes, strict=True):
        random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
        contexts.append(draw_contexts(1, random)[0])
        steps = random.uniform(0.1, 0.2, SPEC.max_steps) * (2 * mode - 1)
        x = np.concatenate([contexts[-1], contexts[-1] + np.cumsum(steps)])
        length = int(np.argmax(np.abs(x) >= DOOR))
        observations.append(np.stack([x[:length], np.full(length, HEIGHT)], axis=1))
        actions.append(steps[:length, None])
        progress()
    header = SPEC.header("two-doors demonstrator", seed)
    lengths = np.array([len(action) for action in actions], dtype=np.int64)
    return DemonstrationSet(
        header, np.concatenate(observations), np.concatenate(actions), lengths, modes, np.array(contexts)
    )


SMALL = {"backbone": "mlp", "batch": 64, "width": 16, "layers": 1, "octaves": 1}
TASK = Task(
    SPEC,
    Rail,
    demonstrate,
    12,
    demonstrate_part=demonstrate_part,
    contexts=draw_contexts,
    test_contexts=4,
    presets={"small": {"train": SMALL, "vdd": {**SMALL, "experts": 2, "pool_copies": 1}}, "mlp": {}},
    default_preset="small",
)
