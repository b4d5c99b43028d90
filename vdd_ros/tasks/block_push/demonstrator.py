"""The published oracle of Block Push: two straight pushes, with corrections of the block's orientation between them.

Its tool may slip and stray, so that the data show how to go on after an error.
"""

import math
from collections.abc import Callable
from enum import Enum

import numpy as np

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import DemonstrationError
from vdd_ros.tasks.base import Floats, check_episodes
from vdd_ros.tasks.block_push.sim import SPEC, START, WORKSPACE, BlockPushSim, draw_contexts

MAX_TRIES = 50
ARRIVED = 0.001
LET_GO = 0.04
"""Distance in m from its target at which the first block is left alone."""
TURN_RAD, FLAT_RAD = 0.2, 0.03
"""Errors of a block's orientation beyond which it is turned, and below which that ends."""
ORBIT_M = 0.025
SLIPS, SLIP_M = 0.2, 0.007
"""Share of the steps in which the tool slips where it may, and the deviation of a slip along each axis in m."""
STRAYS, STRAY_STEPS, STRAY_M, STRAY_RAD = 0.02, (2, 8), 0.03, 0.6
"""Share of the steps in which the tool begins to stray where it may; for how many more steps, how far in each of them,
and the deviation of its direction from that of the oracle."""


class _Phase(Enum):
    PREPARE = "to a place behind the block"
    APPROACH = "close to it"
    PUSH = "through it"
    LEFT = "turn it to the left"
    RIGHT = "turn it to the right"
    BACK = "back to the place behind the first block"
    HOME = "and to the start"


_BEHIND = {_Phase.PREPARE: 0.05, _Phase.APPROACH: 0.03, _Phase.PUSH: 0.01}
"""Distance in m behind the block's centre, by phase."""
_SPEED = dict.fromkeys((_Phase.PREPARE, _Phase.BACK, _Phase.HOME), 0.3) | dict.fromkeys(
    (_Phase.APPROACH, _Phase.PUSH), 0.35
)
_TURNING_SPEED = 0.15


class Oracle:
    """The demonstrator of one episode.

    Args:
        mode: The mode to demonstrate.
        targets: (2, 2) places of the targets in m.
    """

    def __init__(self, mode: int, targets: Floats) -> None:
        block, target = divmod(mode, 2)
        self._left = [(block, targets[target]), (1 - block, targets[1 - target])]
        self._phase = _Phase.PREPARE
        self._place: Floats | None = None  # the first one behind the first block

    def act(self, observation: Floats) -> Floats:
        """Return the action, (2,) in m, at an observation, (10,)."""
        block, target = self._left[0]
        pose, tool = observation[3 * block : 3 * block + 3], observation[8:10]
        aim = self._aim(pose, tool, target)
        way = aim - tool
        distance = float(np.hypot(*way))
        speed = _SPEED.get(self._phase, _TURNING_SPEED)
        return np.asarray(way * min(1.0, speed / SPEC.rate_hz / max(distance, 1e-9)))

    def look_again(self) -> None:
        """Begin anew with the block in hand, behind it: the tool has strayed."""
        self._phase = _Phase.PREPARE

    @property
    def may_err(self) -> bool:
        """Whether the last action led to a block or pushed it; the other phases wait for exact places."""
        return self._phase in (_Phase.PREPARE, _Phase.PUSH)

    def _aim(self, pose: Floats, tool: Floats, target: Floats) -> Floats:
        """Return where the tool's target is to go, (2,) in m, and change the phase."""
        centre, to_target = pose[:2], target - pose[:2]
        along = to_target / np.hypot(*to_target)
        error = _quarter_turn(math.atan2(along[1], along[0]) - float(pose[2]))
        if len(self._left) > 1 and self._phase not in (_Phase.BACK, _Phase.HOME) and np.hypot(*to_target) < LET_GO:
            self._phase = _Phase.BACK
        if self._phase is _Phase.BACK:
            if self._place is not None and np.hypot(*(self._place - tool)) > ARRIVED:
                return self._place
            self._phase = _Phase.HOME
        if self._phase is _Phase.HOME:
            if np.hypot(*(START - tool)) > ARRIVED:
                return np.array(START)
            self._left.pop(0)
            self._phase = _Phase.PREPARE
            return tool
        self._phase = self._next(centre, along, tool, error)
        if self._phase in (_Phase.LEFT, _Phase.RIGHT):
            angle = TURN_RAD if self._phase is _Phase.LEFT else -TURN_RAD
            out = (tool - centre) / max(float(np.hypot(*(tool - centre))), 1e-9)
            cosine, sine = math.cos(angle), math.sin(angle)
            return centre + ORBIT_M * np.array([cosine * out[0] - sine * out[1], sine * out[0] + cosine * out[1]])
        return np.asarray(centre - _BEHIND[self._phase] * along)

    def _next(self, centre: Floats, along: Floats, tool: Floats, error: float) -> _Phase:
        """Return the phase of this step."""
        phase = self._phase
        if phase is _Phase.LEFT:
            return _Phase.PREPARE if error < FLAT_RAD else phase
        if phase is _Phase.RIGHT:
            return _Phase.PREPARE if error > -FLAT_RAD else phase
        if phase is _Phase.PUSH:
            return _Phase.PREPARE if abs(error) > TURN_RAD else phase
        arrived = np.hypot(*(centre - _BEHIND[phase] * along - tool)) < ARRIVED
        if phase is _Phase.PREPARE and arrived:
            if self._place is None:
                self._place = tool.copy()
            return _Phase.APPROACH
        if phase is _Phase.APPROACH and abs(error) > TURN_RAD:
            return _Phase.LEFT if error > 0 else _Phase.RIGHT
        return _Phase.PUSH if phase is _Phase.APPROACH and arrived else phase


class ErringHand:
    """Lets the tool slip for a step, or stray for several, where the oracle can correct it.

    Args:
        oracle: What the tool should do.
        random: Source of errors.
    """

    def __init__(self, oracle: Oracle, random: np.random.Generator) -> None:
        self._oracle, self._random = oracle, random
        self._stray, self._left = np.zeros(2), 0

    def act(self, observation: Floats) -> Floats:
        """Return the action, (2,) in m, at an observation, (10,)."""
        action, target = self._action(observation), observation[8:10]
        return np.asarray(np.clip(target + action, *WORKSPACE.T) - target)

    def _action(self, observation: Floats) -> Floats:
        """Return the action, which may lead out of the workspace."""
        random = self._random
        if self._left:
            self._left -= 1
            if not self._left:
                self._oracle.look_again()
            return self._stray
        action = self._oracle.act(observation)
        if not self._oracle.may_err:
            return action
        if random.random() < STRAYS:
            self._left = int(random.integers(*STRAY_STEPS, endpoint=True))
            heading = math.atan2(action[1], action[0]) + random.normal(0.0, STRAY_RAD)
            self._stray = STRAY_M * np.array([math.cos(heading), math.sin(heading)])
            return self._stray
        return action + random.normal(0.0, SLIP_M, 2) if random.random() < SLIPS else action


def _quarter_turn(angle: float) -> float:
    """Return an angle in rad modulo a quarter turn, from -pi / 4 to pi / 4: a block looks alike on its four sides."""
    return math.remainder(angle, math.pi / 2)


def demonstrate_part(numbers: range, seed: int, progress: Callable[[], None]) -> DemonstrationSet:
    """Demonstrate the episodes of these numbers, each from its own random stream: number n in mode n mod 4.

    On its way to a block and while it pushes, the tool slips and strays at times, and the oracle corrects it. Without
    that, policies do not learn how to go on after their own errors (Laskey et al., DART, 2017). An episode in which the
    oracle fails or takes another mode is drawn anew, as for the published data.

    Raises:
        DemonstrationError: No attempt at an episode succeeded, which is a bug of the demonstrator.
    """
    return _demonstrate(numbers, seed, progress, errs=True)


def demonstrate_undisturbed(numbers: range, seed: int, progress: Callable[[], None]) -> DemonstrationSet:
    """Demonstrate as the published oracle does, without errors; otherwise as `demonstrate_part`."""
    return _demonstrate(numbers, seed, progress, errs=False)


def _demonstrate(numbers: range, seed: int, progress: Callable[[], None], errs: bool) -> DemonstrationSet:
    observations, actions, contexts = [], [], []
    modes = np.array([number % SPEC.modes for number in numbers], dtype=np.int64)
    for number, mode in zip(numbers, modes.tolist(), strict=True):
        random = np.random.default_rng([seed, number])
        for _ in range(MAX_TRIES):
            context = draw_contexts(1, random)
            if (found := _attempt(mode, context, random, errs)) is not None:
                break
        else:
            raise DemonstrationError(
                f"demonstration {number} of seed {seed} did not succeed in {MAX_TRIES} tries; please report this"
            )
        contexts.append(context)
        observations.append(found[0])
        actions.append(found[1])
        progress()
    lengths = np.array([len(action) for action in actions], dtype=np.int64)
    header = SPEC.header("scripted oracle that slips and strays" if errs else "scripted oracle", seed)
    together = np.concatenate(observations), np.concatenate(actions)
    return DemonstrationSet(header, *together, lengths, modes, np.concatenate(contexts))


def _attempt(mode: int, context: Floats, random: np.random.Generator, errs: bool) -> tuple[Floats, Floats] | None:
    """Return observations (T, 10) and actions (T, 2), or None if the oracle fails."""
    sim, oracle = BlockPushSim(1), Oracle(mode, context[0, 6:].reshape(2, 2))
    act = ErringHand(oracle, random).act if errs else oracle.act
    observation = sim.reset(context)
    observations, actions = [], []
    while True:
        action = act(observation[0])
        observations.append(observation[0])
        actions.append(action)
        result = sim.step(action[None])
        observation = result.observation
        if result.success[0]:
            return (np.array(observations), np.array(actions)) if sim.modes()[0] == mode else None
        if result.truncated[0]:
            return None


def demonstrate(episodes: int, seed: int, progress: Callable[[], None] = lambda: None) -> DemonstrationSet:
    """Demonstrate the four modes in turn, each from a context of its own.

    Args:
        episodes: Number of episodes.
        seed: Seed; the same seed gives the same demonstrations.
        progress: Called after each episode.

    Raises:
        DemonstrationError: `episodes` is not positive.
    """
    check_episodes(episodes)
    return demonstrate_part(range(episodes), seed, progress)
