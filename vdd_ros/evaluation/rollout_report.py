"""The record of `vdd evaluate`: scores with their provenance, figures and a video of the episodes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np

from vdd_ros.documents import JsonObject
from vdd_ros.evaluation.policy_facts import PolicyFacts, policy_facts
from vdd_ros.evaluation.rollouts import SeedScores
from vdd_ros.host.facts import MachineFacts, RuntimeVersions, machine_facts, runtime_versions
from vdd_ros.policy.policy_file import PolicyFile
from vdd_ros.policy.spec import PolicySpec
from vdd_ros.tasks import Task
from vdd_ros.tasks.base import TaskSpec
from vdd_ros.tasks.rollout import Rollouts


@dataclass(frozen=True)
class RolloutSettings:
    """Settings of an evaluation.

    Attributes:
        rollouts: Episodes for each seed.
        seeds: Seeds of the random draws.
        action_steps: Actions of a chunk to execute before the next inference.
        expert, noise: How a mixture acts, as in `OnnxPolicy.load`.
        goals_sha256: Hash of the demonstrations whose last observations are the goals, or None.
        contexts_sha256: Hash of the given contexts, float64 row by row; None if the task drew them.
        delay: Steps until an answer arrives; None: no delay, which the record need not say.
        prefix: How an answer continues what is executed until then, one of `continuing.PREFIXES`; None: what each
            policy can do best.
    """

    rollouts: int
    seeds: list[int]
    action_steps: int
    expert: str
    noise: str
    goals_sha256: str | None
    contexts_sha256: str | None = None
    delay: int | None = None
    prefix: str | None = None


class _IfPresent(TypedDict, total=False):
    deterministic: bool
    contexts_sha256: str
    delay: int
    prefix: str


class EvaluationSettings(_IfPresent):
    """Settings of an evaluation in its record.

    Attributes:
        rollouts_a_seed: Episodes for each seed.
        action_steps: As in `RolloutSettings`.
        expert, noise: As in `RolloutSettings`; None for a policy without experts, and for a deterministic one.
        deterministic: True for a deterministic policy file, absent for others.
        goals_sha256: As in `RolloutSettings`.
        contexts_sha256: As in `RolloutSettings`; absent if the task drew the contexts.
        delay, prefix: As in `RolloutSettings`; absent without --delay and --prefix.
    """

    rollouts_a_seed: int
    action_steps: int
    expert: str | None
    noise: str | None
    goals_sha256: str | None


class _IfCompared(TypedDict, total=False):
    against: "RolloutRecord"
    difference: JsonObject
    delays: list[JsonObject]


class RolloutRecord(_IfCompared):
    """Content of the JSON file of `vdd evaluate`.

    Attributes:
        task: Name of the task.
        policy: The policy file.
        settings: Settings of the policy.
        seeds: Seeds of the random draws.
        pooled: Score of all episodes, the keys of `EpisodesScore.to_dict`.
        per_seed: The same of each seed, by the seed as text.
        machine, versions: Machine and software of the measurement.
        against: Record of the policy of `--against`; absent without it.
        difference: Differences to that policy: `success`, `entropy` and, if there are any, both of each of the
            `milestones`; the keys of `Difference`. Absent without it.
        delays: With --delay, what was found at each delay, see `vdd_ros.evaluation.delays`; all else is then about the
            first of them. Absent without it.
    """

    task: str
    policy: PolicyFacts
    settings: EvaluationSettings
    seeds: list[int]
    pooled: JsonObject
    per_seed: dict[str, JsonObject]
    machine: MachineFacts
    versions: RuntimeVersions


def rollout_record(
    file: PolicyFile, policy: PolicySpec, task: TaskSpec, settings: RolloutSettings, scores: SeedScores
) -> RolloutRecord:
    """Return the record of an evaluation.

    Args:
        file: The policy file.
        policy: Its metadata.
        task: Its task.
        settings: Settings of the policy.
        scores: Its scores.
    """
    drawn = policy.is_mixture and not policy.is_deterministic
    present: _IfPresent = {"deterministic": True} if policy.is_deterministic else {}
    if settings.contexts_sha256 is not None:
        present["contexts_sha256"] = settings.contexts_sha256
    if settings.delay is not None and settings.prefix is not None:
        present |= {"delay": settings.delay, "prefix": settings.prefix}
    return {
        "task": task.name,
        "policy": policy_facts(file, policy),
        "settings": {
            "rollouts_a_seed": settings.rollouts,
            "action_steps": settings.action_steps,
            "expert": settings.expert if drawn else None,
            "noise": settings.noise if drawn else None,
            **present,
            "goals_sha256": settings.goals_sha256,
        },
        "seeds": settings.seeds,
        "pooled": scores.pooled.to_dict(),
        "per_seed": {str(seed): score.to_dict() for seed, score in scores.per_seed.items()},
        "machine": machine_facts(),
        "versions": runtime_versions(),
    }


def draw_all(
    files: Mapping[str, Path | None], name: str, task: Task, run: Rollouts, seed: int, *, speed: float = 1.0
) -> None:
    """Draw the rollouts of a policy in all requested ways.

    Args:
        files: `figure`, a PNG of all trajectories; `sheet`, a PNG of some episodes of each mode and some failures;
            `video`, an MP4 of fewer. None: not requested.
        name: Name of the policy file.
        task: The task.
        run: The rollouts of a seed.
        seed: The seed.
        speed: Simulated seconds in a second of the video.
    """
    if (file := files.get("figure")) is not None:
        _draw_rollouts(file, name, task, run, seed)
    title = f"{name}: {int(run.success.sum())} of {len(run.success)} rollouts succeeded (seed {seed})"
    if (file := files.get("sheet")) is not None:
        from vdd_ros.tasks.contact_sheet import save_contact_sheet

        save_contact_sheet(file, task, run, title=title)
    if (file := files.get("video")) is not None:
        from vdd_ros.tasks.video import save_video

        save_video(file, task, run, speed=speed, title=title)


def _draw_rollouts(file: Path, name: str, task: Task, run: Rollouts, seed: int) -> None:
    """Draw the trajectories, coloured by expert; by mode without experts, or if modes have names."""
    from vdd_ros.tasks.render import position_columns, save_trajectories

    paths = run.paths(position_columns(task.spec))
    colours = None if task.mode_names else run.expert_paths()
    label = "mode" if colours is None else "expert"
    if colours is None:
        modes = np.minimum(run.modes, task.spec.modes)  # one colour for all incomplete ones
        colours = [np.full(len(path), mode) for path, mode in zip(paths, modes, strict=True)]
    names = task.mode_names
    title = f"{name}: {int(run.success.sum())} of {len(paths)} rollouts reached the goal (seed {seed})"
    save_trajectories(file, task.spec.name, paths, colours, label=label, names=names, success=run.success, title=title)


def headline(name: str, policy: PolicySpec, task: TaskSpec, expert: str, noise: str) -> str:
    """Return a line that says which policy acted in which task, and how."""
    what = f"{policy.experts} experts, expert {expert}, noise {noise}" if policy.is_mixture else "no experts"
    if policy.is_deterministic and policy.is_mixture:
        what = f"{policy.experts} experts, deterministic: the mean of the likeliest"
    elif policy.is_deterministic:
        what = "deterministic: one fixed noise in the file"
    what = f"{policy.sampling_steps} sampling steps" if policy.sampling_steps else what
    return f"{name} in {task.name}: {policy.method}, {what}"
