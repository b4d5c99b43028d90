"""The tasks as gymnasium environments; importing this module registers them, such as `vdd_ros/Avoiding-v0`.

`info` is a dictionary because gymnasium's interface demands one.
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from vdd_ros.tasks.base import Bools, Floats, TaskSpec
from vdd_ros.tasks.gym_names import register
from vdd_ros.tasks.registry import get_task

Array = NDArray[Any]
SEEDS = 2**31


class TaskEnv(gymnasium.Env[Array, Array]):
    """One episode of a task at a time.

    Observation and action are those of the task's spec in SI units, without bounds, as the simulation clips nothing. An
    episode starts from a context that the seed draws, or from `options["context"]`, (c,), of `reset`. The reward is the
    task's; for a task without one it is 1 in the step that succeeds, otherwise 0. `info` holds `success` and `mode`,
    the way taken so far.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012, as gymnasium has it

    def __init__(self, task: str, render_mode: str | None = None) -> None:
        """Take the name of a task, and `rgb_array` if `render` is to return images; raises TaskError if unknown."""
        found = get_task(task)
        self._task, self._sim, self._draw = found.spec, found.make_sim(1), found.draw_contexts
        self.render_mode = render_mode
        self.metadata = self.metadata | {"render_fps": round(found.spec.rate_hz)}
        self.observation_space, self.action_space = spaces(found.spec)
        self._path: list[Floats] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Start an episode; return its first observation, (obs_dim,), and `info`.

        Args:
            seed: Seed of the contexts, as in gymnasium.
            options: `context`, (c,), starts the episode from that context.
        """
        super().reset(seed=seed)
        drawn = self._draw(1, int(self.np_random.integers(SEEDS)))
        given = (options or {}).get("context")
        observation = self._sim.reset(drawn if given is None else np.asarray(given, dtype=np.float64)[None])[0]
        self._path = [observation]
        return observation, self._info(False)

    def step(self, action: Floats) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Apply an action, (act_dim,), for one control period."""
        result = self._sim.step(np.asarray(action, dtype=np.float64)[None])
        observation, success = result.observation[0], bool(result.success[0])
        self._path.append(observation)
        reward = float(success) if result.reward is None else float(result.reward[0])
        return observation, reward, bool(result.terminated[0]), bool(result.truncated[0]), self._info(success)

    def render(self) -> NDArray[np.uint8] | None:
        """Return an image (480, 400, 3) of the path so far; None without the render mode `rgb_array`."""
        if self.render_mode != "rgb_array":
            return None
        from vdd_ros.tasks.render import draw_frame, position_columns

        return draw_frame(self._task.name, np.stack(self._path)[:, position_columns(self._task)])

    def _info(self, success: bool) -> dict[str, Any]:
        return {"success": success, "mode": int(self._sim.modes()[0])}


class TaskVectorEnv(VectorEnv[Array, Array, Array]):
    """N episodes of a task, stepped together in numpy; each starts anew in the step after its end."""

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012, as gymnasium has it

    def __init__(self, task: str, num_envs: int = 1) -> None:
        """Take the name of a task; raises TaskError if it is unknown or `num_envs` is below 1."""
        found = get_task(task)
        self._sim, self._draw = found.make_sim(num_envs), found.draw_contexts
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = spaces(found.spec)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._ended: Bools = np.zeros(num_envs, dtype=bool)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Start all episodes."""
        super().reset(seed=seed)
        self._ended[:] = False
        return self._sim.reset(self._draw_contexts()), self._info(self._ended)

    def step(self, actions: Floats) -> tuple[Floats, Floats, Bools, Bools, dict[str, Any]]:
        """Apply actions, (N, act_dim), for one control period; episodes that had ended start anew instead."""
        fresh = self._ended
        result = self._sim.step(np.asarray(actions, dtype=np.float64))
        observation = self._sim.reset(self._draw_contexts(), fresh) if fresh.any() else result.observation
        success, terminated = result.success & ~fresh, result.terminated & ~fresh
        self._ended = terminated | result.truncated
        reward = success.astype(np.float64) if result.reward is None else np.where(fresh, 0.0, result.reward)
        return observation, reward, terminated, result.truncated, self._info(success)

    def _draw_contexts(self) -> Floats:
        return self._draw(self.num_envs, int(self.np_random.integers(SEEDS)))

    def _info(self, success: Bools) -> dict[str, Any]:
        every = np.ones(self.num_envs, dtype=bool)
        return {"success": success.copy(), "_success": every, "mode": self._sim.modes(), "_mode": every.copy()}


def spaces(task: TaskSpec) -> tuple[Box, Box]:
    """Return the unbounded float64 spaces of one observation, (obs_dim,), and of one action, (act_dim,)."""
    observation, action = (
        Box(-np.inf, np.inf, (len(entries),), np.float64) for entries in (task.observation, task.action)
    )
    return observation, action


register()
