"""`vdd evaluate`: a policy file acts in many episodes of its task; how often and how variedly does it succeed?"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.cli.fitting import check_action_steps, fits, goal_of_episode, goals_of
from vdd_ros.cli.output import show
from vdd_ros.cli.places import OutputFile
from vdd_ros.cli.results import add_result_options, check_result_options, keep_result
from vdd_ros.cli.score_table import score_table
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError
from vdd_ros.policy.machine import machine_facts, runtime_versions
from vdd_ros.policy.onnx_policy import NOISES, OnnxPolicy
from vdd_ros.policy.selection import SELECTIONS
from vdd_ros.policy.spec import PolicySpec
from vdd_ros.progress import progress as track
from vdd_ros.tasks import Task, get_task
from vdd_ros.tasks.base import Ints, TaskSpec
from vdd_ros.tasks.metrics import Score
from vdd_ros.tasks.rollout import Rollouts, roll_out

HELP = "run a policy file in its task: success and diversity"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd evaluate`."""
    parser.add_argument("policy", type=Path, help="policy file (.onnx)")
    parser.add_argument("--task", help="task to run it in (default: the one that the file was made for)")
    parser.add_argument("--rollouts", type=int, default=480, help="episodes for each seed (default: %(default)s)")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0], help="seeds of the random draws; one run for each (default: 0)"
    )
    parser.add_argument(
        "--expert", choices=SELECTIONS, default="sample", help="of a mixture, which expert acts (default: %(default)s)"
    )
    parser.add_argument(
        "--noise",
        choices=NOISES,
        default="mean",
        help="of a mixture: execute the expert's mean, or a draw from it (default: %(default)s)",
    )
    parser.add_argument(
        "--action-steps",
        type=int,
        default=1,
        metavar="N",
        help="execute N actions of a chunk before the policy is asked again (default: %(default)s)",
    )
    parser.add_argument(
        "--goals", type=Path, metavar="DIR", help="of a policy with goals: demonstrations whose ends are the goals"
    )
    parser.add_argument("--figure", type=OutputFile, metavar="PNG", help="draw the trajectories of the first seed")
    add_result_options(parser)


def run(args: argparse.Namespace) -> int:
    """Run the episodes, print the table, write what was asked for."""
    _check_arguments(args)
    policy = OnnxPolicy.load(args.policy, expert=args.expert, noise=args.noise)
    task = _task_of(policy.spec, args)
    demonstrations = None if args.goals is None else DemonstrationSet.load(args.goals)
    goals = None if demonstrations is None else goals_of(demonstrations, policy.spec)
    runs = roll_out_seeds(policy, task, args.rollouts, args.seeds, action_steps=args.action_steps, goals=goals)
    scores = score_seeds(task.spec, runs)
    goals_sha256 = None if demonstrations is None else demonstrations.sha256
    show(_headline(args, policy.spec, task.spec), score_table(scores, task.spec.modes))
    keep_result(args, _record(args, policy, task.spec, goals_sha256, scores))
    if args.figure is not None:
        _draw(args.figure, args.policy.name, task.spec, runs[args.seeds[0]], args.seeds[0])
    return 0


def evaluate_policy(
    policy: OnnxPolicy,
    task: Task,
    rollouts: int,
    seeds: Sequence[int],
    *,
    action_steps: int = 1,
    goals: NDArray[np.floating] | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Let a policy act in many episodes of a task and score them, as `vdd evaluate` does.

    Args:
        policy: The policy; its random stream starts anew with each seed.
        task: The task.
        rollouts: Episodes for each seed.
        seeds: Seeds of the random draws.
        action_steps: How many actions of a chunk are executed before the policy is asked again.
        goals: (N, goal_length, obs_dim) in physical units where the policy takes goals, else None; episode i of each
            seed has goal i mod N.
        progress: Show a progress bar.

    Returns:
        `pooled`: the score of all episodes; `per_seed`: the score of each seed, by its number as text. A score is that
        of `Score.to_dict`, and `ends`: how often episodes ended how.

    Raises:
        ConfigurationError: The policy does not fit the task, or `action_steps` or `goals` the policy.
        TaskError: The policy returns values that are not finite.
    """
    runs = roll_out_seeds(policy, task, rollouts, seeds, action_steps=action_steps, goals=goals, progress=progress)
    return score_seeds(task.spec, runs)


def roll_out_seeds(
    policy: OnnxPolicy,
    task: Task,
    rollouts: int,
    seeds: Sequence[int],
    *,
    action_steps: int = 1,
    goals: NDArray[np.floating] | None = None,
    progress: bool = True,
) -> dict[int, Rollouts]:
    """Return the episodes of each seed; see `evaluate_policy`."""
    fits(policy.spec, task.spec)
    check_action_steps(policy.spec, action_steps)
    episode_goals = goal_of_episode(policy.spec, goals, rollouts)

    def act(windows: NDArray[np.float32]) -> tuple[NDArray[np.float32], Ints | None]:
        batch = policy.act_batch(windows, episode_goals)
        return batch.action, batch.expert

    runs = {}
    with track(rollouts * len(seeds), "rollouts", "episode", disable=not progress) as bar:
        for number, seed in enumerate(seeds):
            before = number * rollouts
            policy.seed(seed)
            policy.reset()
            runs[seed] = roll_out(
                task.make_sim(rollouts),
                act,
                history=policy.spec.history,
                action_steps=action_steps,
                seed=seed,
                progress=lambda ended, before=before: bar.update(before + ended - bar.n),  # type: ignore[misc]
            )
    return runs


def score_seeds(task: TaskSpec, runs: Mapping[int, Rollouts]) -> dict[str, Any]:
    """Return the scores of all episodes together and of each seed; see `evaluate_policy`."""
    return {
        "pooled": _score(task, list(runs.values())),
        "per_seed": {str(seed): _score(task, [run]) for seed, run in runs.items()},
    }


def _check_arguments(args: argparse.Namespace) -> None:
    """Refuse what would fail only after the rollouts."""
    if args.rollouts < 1:
        raise ConfigurationError(f"--rollouts is {args.rollouts}; it must be at least 1")
    if len(set(args.seeds)) < len(args.seeds) or min(args.seeds) < 0:
        raise ConfigurationError(f"--seeds are {args.seeds}; they must be different numbers, 0 or more")
    check_result_options(args)


def _task_of(policy: PolicySpec, args: argparse.Namespace) -> Task:
    name = args.task or policy.task
    if name is None:
        raise ConfigurationError(f"{args.policy} does not say which task it was made for; give it: --task NAME")
    return get_task(name)


def _score(task: TaskSpec, runs: list[Rollouts]) -> dict[str, Any]:
    success, modes, ends = (
        np.concatenate([getattr(run, name) for run in runs]) for name in ("success", "modes", "ends")
    )
    return {**Score.of(success, modes, task.modes).to_dict(), "ends": dict(Counter(ends.tolist()))}


def _record(
    args: argparse.Namespace,
    opened: OnnxPolicy,
    task: TaskSpec,
    goals_sha256: str | None,
    scores: dict[str, Any],
) -> dict[str, Any]:
    """Return all that the JSON file holds."""
    policy = opened.spec
    drawn = policy.is_mixture and not policy.is_deterministic
    return {
        "task": task.name,
        "policy": {
            "file": args.policy.name,
            "sha256": opened.sha256,
            "bytes": opened.size,
            "kind": policy.kind,
            "experts": policy.experts,
            "sampling_steps": policy.sampling_steps,
            "history": policy.history,
            "horizon": policy.horizon,
            "goal_length": policy.goal_length,
            "teacher_sha256": policy.teacher_sha256,
            "data_sha256": policy.data_sha256,
        },
        "settings": {
            "rollouts_a_seed": args.rollouts,
            "action_steps": args.action_steps,
            "expert": args.expert if drawn else None,
            "noise": args.noise if drawn else None,
            **({"deterministic": True} if policy.is_deterministic else {}),
            "goals_sha256": goals_sha256,
        },
        "seeds": args.seeds,
        **scores,
        "machine": machine_facts(),
        "versions": runtime_versions(),
    }


def _headline(args: argparse.Namespace, policy: PolicySpec, task: TaskSpec) -> str:
    what = f"{policy.experts} experts, expert {args.expert}, noise {args.noise}" if policy.is_mixture else "no experts"
    if policy.is_deterministic and policy.is_mixture:
        what = f"{policy.experts} experts, deterministic: the likeliest, its mean"
    elif policy.is_deterministic:
        what = "deterministic: one noise, kept in the file"
    what = f"{policy.sampling_steps} sampling steps" if policy.sampling_steps else what
    return f"{args.policy.name} in {task.name}: {policy.kind}, {what}"


def _draw(file: Path, name: str, task: TaskSpec, run: Rollouts, seed: int) -> None:
    """Draw the trajectories, coloured by expert, or by mode where there are no experts."""
    from vdd_ros.tasks.render import position_columns, save_trajectories

    paths, colours, label = run.paths(position_columns(task)), run.expert_paths(), "expert"
    if colours is None:
        label, modes = "mode", np.minimum(run.modes, task.modes)  # one colour for all that are incomplete
        colours = [np.full(len(path), mode) for path, mode in zip(paths, modes, strict=True)]
    title = f"{name}: {int(run.success.sum())} of {len(paths)} rollouts reached the goal (seed {seed})"
    save_trajectories(file, task.name, paths, colours, label=label, title=title)
