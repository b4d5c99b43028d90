"""Rollouts of a policy file in a task, for several seeds, and their scores."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from vdd_ros.documents import JsonObject, to_json
from vdd_ros.evaluation.compatibility import check_action_steps, fits, goal_of_episode
from vdd_ros.evaluation.contexts import contexts_of_episodes
from vdd_ros.evaluation.continuing import CONDITION, JOINT_OF, NONE, check_continuation
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.policy_file import PolicyFile
from vdd_ros.progress import Progress
from vdd_ros.progress import progress as track
from vdd_ros.tasks import Task, get_task
from vdd_ros.tasks.base import Floats, Ints
from vdd_ros.tasks.entropy import Interval
from vdd_ros.tasks.metrics import Score, mean_interval, number_contexts
from vdd_ros.tasks.rollout import Rollouts, roll_out
from vdd_ros.workers import InProcess, Workers, run_all, shares

EPISODES_A_SHARE = 60
"""Number of episodes that are simulated together, by any worker."""


@dataclass(frozen=True)
class EpisodesScore:
    """Score of some episodes.

    Attributes:
        score: Success and entropy.
        ends: Number of episodes by the way they ended, one of the names of `vdd_ros.tasks.rollout`.
        milestones: Scores of the task's milestones by name.
        goal_share: Mean share of their goals that rollouts of a policy with goals achieved, 0 to 1; None without goals,
            or if the task does not score them.
        goal_share_interval: Its 95 % interval (bootstrap), or None.
    """

    score: Score
    ends: dict[str, int]
    milestones: dict[str, Score] = field(default_factory=dict)
    goal_share: float | None = None
    goal_share_interval: Interval | None = None

    def to_dict(self) -> JsonObject:
        """Return a JSON object: the keys of `Score.to_dict`, `ends` and, if there are any, the other attributes."""
        content = self.score.to_dict()
        content["ends"] = dict(self.ends)
        if self.milestones:
            content["milestones"] = {name: score.to_dict() for name, score in self.milestones.items()}
        if self.goal_share is not None:
            content |= {"goal_share": self.goal_share, "goal_share_interval": to_json(self.goal_share_interval)}
        return content


@dataclass(frozen=True)
class SeedScores:
    """Scores of a policy over several seeds.

    Attributes:
        pooled: Score of all episodes together.
        per_seed: Score of each seed.
    """

    pooled: EpisodesScore
    per_seed: dict[int, EpisodesScore]

    def to_dict(self) -> JsonObject:
        """Return a JSON object: `pooled`, and `per_seed` by the seed as text."""
        return {
            "pooled": self.pooled.to_dict(),
            "per_seed": {str(seed): score.to_dict() for seed, score in self.per_seed.items()},
        }


def evaluate_policy(
    policy: OnnxPolicy,
    task: Task,
    rollouts: int,
    seeds: Sequence[int],
    *,
    action_steps: int = 1,
    goals: NDArray[np.floating] | None = None,
    contexts: int | Floats | None = None,
    progress: bool = True,
) -> SeedScores:
    """Run many episodes of a task under a policy and score them, as `vdd evaluate` does.

    Args:
        policy: The policy; its random stream restarts with each seed.
        task: The task.
        rollouts: Episodes for each seed.
        seeds: Seeds of the random draws.
        action_steps: Actions of a chunk to execute before the next inference.
        goals: (N, goal_length, obs_dim) in physical units if the policy takes goals, otherwise None; episode i of each
            seed has goal i mod N.
        contexts: Contexts, (C, c), that the episodes of each seed start from, episode i from context i mod C; or C;
            None: the task's `test_contexts`.
        progress: Show a progress bar.

    Raises:
        ConfigurationError: The policy does not fit the task, `action_steps` or `goals` the policy, or `contexts` the
            task.
        TaskError: The policy returns non-finite values.
    """
    runs = roll_out_seeds(
        policy, task, rollouts, seeds, action_steps=action_steps, goals=goals, contexts=contexts, progress=progress
    )
    return score_seeds(task, runs)


@dataclass(frozen=True)
class Elsewhere:
    """Workers for rollouts, and the policy that each of them opens.

    Attributes:
        pool: The workers.
        file: The policy file, which is sent to them.
        expert, noise: How a mixture acts; see `OnnxPolicy.load`.
    """

    pool: Workers
    file: PolicyFile
    expert: str = "sample"
    noise: str = "mean"


@dataclass(frozen=True)
class Share:
    """Consecutive episodes of one seed that are simulated together. Each share has its own random stream.

    Attributes:
        seed: Seed of the draws.
        number: Number of the share, and of its stream of this seed.
        action_steps: Actions of a chunk to execute before the next inference.
        contexts: (n, c) contexts of its n episodes.
        goals: (n, goal_length, obs_dim) their goals, or None.
        delay: Steps until an answer arrives.
        prefix: How an answer continues what is executed until then, one of `continuing.PREFIXES`.
    """

    seed: int
    number: int
    action_steps: int
    contexts: Floats
    goals: NDArray[np.floating] | None
    delay: int
    prefix: str


def roll_out_seeds(
    policy: OnnxPolicy,
    task: Task,
    rollouts: int,
    seeds: Sequence[int],
    *,
    action_steps: int = 1,
    goals: NDArray[np.floating] | None = None,
    contexts: int | Floats | None = None,
    delay: int = 0,
    prefix: str = NONE,
    progress: bool = True,
    elsewhere: Elsewhere | None = None,
) -> dict[int, Rollouts]:
    """Return the episodes of each seed; see `evaluate_policy`.

    They are run in shares of `EPISODES_A_SHARE`, by this process or `elsewhere`; the result is the same to the bit.
    An answer arrives `delay` steps after its question, and continues what is executed until then as `prefix` says, one
    of `vdd_ros.evaluation.continuing.PREFIXES`.

    Raises:
        ConfigurationError: As `evaluate_policy`; or the policy's chunks do not permit the delay or the prefix.
        ProcessError: A share failed elsewhere.
    """
    fits(policy.spec, task.spec)
    check_action_steps(policy.spec, action_steps)
    check_continuation(policy.spec, action_steps, delay, prefix)
    starts = contexts_of_episodes(task, contexts, rollouts)
    episode_goals = goal_of_episode(policy.spec, goals, rollouts)
    by_name: dict[str, Share] = {}
    for seed in seeds:
        for number, episodes in enumerate(shares(rollouts, EPISODES_A_SHARE)):
            rows = slice(episodes.start, episodes.stop)
            given = None if episode_goals is None else episode_goals[rows]
            name = f"seed {seed}, episodes {episodes.start} to {episodes.stop - 1}"
            by_name[name] = Share(seed, number, action_steps, starts[rows], given, delay, prefix)
    with track(rollouts * len(seeds), "rollouts", "episode", disable=not progress) as bar:
        if elsewhere is None or isinstance(elsewhere.pool, InProcess):
            parts = []
            for share in by_name.values():
                ended = partial(_note, bar, bar.n)
                parts.append(_roll_out(policy, task, share, ended))
        else:
            actor = (elsewhere.file, elsewhere.expert, elsewhere.noise)
            payloads = {name: (actor, task.spec.name, share) for name, share in by_name.items()}
            parts = run_all(
                elsewhere.pool, _roll_out_share, payloads, lambda name: bar.update(len(by_name[name].contexts))
            )
    together = list(zip(by_name.values(), parts, strict=True))
    return {seed: Rollouts.joined([part for share, part in together if share.seed == seed]) for seed in seeds}


def _note(bar: Progress, before: int, ended: int) -> None:
    bar.update(before + ended - bar.n)


def _roll_out(policy: OnnxPolicy, task: Task, share: Share, progress: Callable[[int], None]) -> Rollouts:
    """Run the episodes of a share; `progress` is called after every step with the number that have ended."""

    def act(windows: NDArray[np.float32]) -> tuple[NDArray[np.float32], Ints | None]:
        batch = policy.act_batch(windows, share.goals)
        return batch.action, batch.expert

    def continued(windows: NDArray[np.float32], known: NDArray[np.floating]) -> tuple[NDArray[np.float32], Ints | None]:
        batch = policy.act_batch(windows, share.goals, prefixes=known)
        return batch.action, batch.expert

    policy.seed(share.seed, share.number)
    policy.executes(share.action_steps)
    policy.reset()
    run = roll_out(
        task.make_sim(len(share.contexts)),
        act,
        history=policy.spec.history,
        action_steps=share.action_steps,
        delay=share.delay,
        joint=JOINT_OF[share.prefix],
        given=continued if share.prefix == CONDITION else None,
        contexts=share.contexts,
        progress=progress,
    )
    return replace(run, goals=share.goals)


def _roll_out_share(payload: tuple[tuple[PolicyFile, str, str], str, Share]) -> Rollouts:
    actor, task, share = payload
    return _roll_out(_open(*actor), get_task(task), share, lambda ended: None)


@lru_cache(maxsize=1)
def _open(file: PolicyFile, expert: str, noise: str) -> OnnxPolicy:
    """Open a policy file in a worker, once for all of its shares."""
    return OnnxPolicy.load(file, expert=expert, noise=noise)


def score_seeds(task: Task, runs: Mapping[int, Rollouts]) -> SeedScores:
    """Return the scores of all episodes together and of each seed.

    Args:
        task: The task of the episodes.
        runs: Seed to its episodes, at least one, as from `roll_out_seeds`.

    Raises:
        TaskError: As `Score.of`.
    """
    return SeedScores(_score(task, list(runs.values())), {seed: _score(task, [run]) for seed, run in runs.items()})


def _score(task: Task, runs: list[Rollouts]) -> EpisodesScore:
    success, modes, ends, contexts = (
        np.concatenate([getattr(run, name) for run in runs]) for name in ("success", "modes", "ends", "contexts")
    )
    returns, partial = (_together([getattr(run, name) for run in runs]) for name in ("returns", "partial"))
    starts = number_contexts(contexts)
    score = Score.of(success, modes, task.spec.modes, contexts=starts, returns=returns, partial=partial)
    milestones = {one.name: Score.of(*one.judge(modes), one.modes, contexts=starts) for one in task.milestones}
    counts = dict(Counter(ends.tolist()))
    if task.goal_share is None or any(run.goals is None for run in runs):
        return EpisodesScore(score, counts, milestones)
    achieved = np.concatenate([task.goal_share(run) for run in runs])
    return EpisodesScore(score, counts, milestones, float(achieved.mean()), mean_interval(achieved))


def _together(values: list[Floats | None]) -> Floats | None:
    given = [one for one in values if one is not None]
    return np.concatenate(given) if given else None
