"""Demonstrations by scripted hands, which fail at times: attempts side by side until each episode has succeeded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import DemonstrationError
from vdd_ros.tasks.base import Floats, Ints, TaskSim, TaskSpec

MAX_TRIES = 50
TRIES_A_CONTEXT = 10
"""Attempts from one context, after which another one is drawn."""


class Hand(Protocol):
    """Demonstrates one episode."""

    def act(self, observation: Floats) -> Floats:
        """Return the action, (act_dim,), at an observation, (obs_dim,)."""
        ...


@dataclass(frozen=True)
class HandDemonstrator:
    """Demonstrates episodes of a task, each in a mode that its number decides.

    Attributes:
        spec: The task.
        source: Name of the demonstrator in the header.
        make_sim: Builds a simulation of N episodes.
        draw_contexts: (count, random) -> contexts (count, c).
        make_hand: (mode, random) -> a hand for one attempt.
        mode_of: Number of an episode -> its mode; None: number n in mode n mod `spec.modes`.
    """

    spec: TaskSpec
    source: str
    make_sim: Callable[[int], TaskSim]
    draw_contexts: Callable[[int, np.random.Generator], Floats]
    make_hand: Callable[[int, np.random.Generator], Hand]
    mode_of: Callable[[int], int] | None = None

    def demonstrate(self, numbers: range, seed: int, progress: Callable[[], None]) -> DemonstrationSet:
        """Demonstrate the episodes of these numbers, each from its own random stream.

        Raises:
            DemonstrationError: No attempt at an episode succeeded, which is a bug of the demonstrator.
        """
        streams = [np.random.default_rng([seed, number]) for number in numbers]
        mode_of = self.mode_of or (lambda number: number % self.spec.modes)
        modes = np.array([mode_of(number) for number in numbers], dtype=np.int64)
        contexts = np.concatenate([self.draw_contexts(1, stream) for stream in streams])
        found: list[tuple[Floats, Floats] | None] = [None] * len(streams)
        for tried in range(MAX_TRIES):
            rows = [row for row, episode in enumerate(found) if episode is None]
            if not rows:
                break
            if tried and tried % TRIES_A_CONTEXT == 0:
                contexts[rows] = np.concatenate([self.draw_contexts(1, streams[row]) for row in rows])
            hands = [self.make_hand(int(modes[row]), streams[row]) for row in rows]
            for row, episode in zip(rows, self.attempt(hands, contexts[rows], modes[rows]), strict=True):
                found[row] = episode
                if episode is not None:
                    progress()
        episodes = [episode for episode in found if episode is not None]
        if len(episodes) < len(found):
            number = numbers[found.index(None)]
            raise DemonstrationError(
                f"demonstration {number} of seed {seed} did not succeed in {MAX_TRIES} tries; please report this"
            )
        lengths = np.array([len(action) for _, action in episodes], dtype=np.int64)
        observation, action = (np.concatenate(parts) for parts in zip(*episodes, strict=True))
        header = self.spec.header(self.source, seed)
        return DemonstrationSet(header, observation, action, lengths, modes, contexts)

    def attempt(self, hands: Sequence[Hand], contexts: Floats, modes: Ints) -> list[tuple[Floats, Floats] | None]:
        """Return the observations (T, obs_dim) and actions (T, act_dim) of each hand, or None where it failed."""
        sim, still = self.make_sim(len(hands)), np.zeros(len(self.spec.action))
        observation = sim.reset(contexts)
        running, lengths = np.ones(len(hands), dtype=bool), np.zeros(len(hands), dtype=np.int64)
        observations, actions = [], []
        while running.any():
            rows = zip(hands, observation, running, strict=True)
            action = np.array([hand.act(row) if runs else still for hand, row, runs in rows])
            observations.append(observation)
            actions.append(action)
            result = sim.step(action)
            observation = result.observation
            lengths += running
            running &= ~(result.terminated | result.truncated)
        good = result.success & (sim.modes() == modes)
        seen, done = np.stack(observations, axis=1), np.stack(actions, axis=1)
        return [(seen[row, :end], done[row, :end]) if good[row] else None for row, end in enumerate(lengths.tolist())]
