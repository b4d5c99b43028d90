"""`vdd evaluate`: a policy file acts in many episodes of its task; how often and how variedly does it succeed?"""

import argparse
import platform
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from vdd_ros import __version__
from vdd_ros.cli.results import add_result_options, check_result_options, keep_result
from vdd_ros.errors import ConfigurationError
from vdd_ros.policy.machine import machine_facts
from vdd_ros.policy.onnx_policy import NOISES, OnnxPolicy
from vdd_ros.policy.selection import SELECTIONS
from vdd_ros.policy.spec import PolicySpec
from vdd_ros.tasks import Task, get_task
from vdd_ros.tasks.base import Ints, TaskSpec
from vdd_ros.tasks.metrics import Score
from vdd_ros.tasks.rollout import FAILURE, TIME_LIMIT, Rollouts, roll_out

HELP = "run a policy file in its task: success and diversity"

MODES_A_ROW = 12


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
    parser.add_argument("--figure", type=Path, metavar="PNG", help="draw the trajectories of the first seed")
    add_result_options(parser)


def run(args: argparse.Namespace) -> int:
    """Run the episodes, print the table, write what was asked for."""
    _check_arguments(args)
    policy = OnnxPolicy.load(args.policy, expert=args.expert, noise=args.noise)
    task = _task_of(policy.spec, args)
    runs = _run_seeds(policy, task, args.rollouts, args.seeds)
    scores = {str(seed): _score(task.spec, [runs[seed]]) for seed in args.seeds}
    pooled = _score(task.spec, list(runs.values()))
    keep_result(args, _record(args, policy.spec, task.spec, scores, pooled))
    print(_format(args, policy.spec, task.spec, scores, pooled))
    if args.figure is not None:
        _draw(args.figure, args.policy.name, task.spec, runs[args.seeds[0]], args.seeds[0])
    return 0


def fits(policy: PolicySpec, task: TaskSpec) -> None:
    """Refuse a policy that does not fit a task.

    Raises:
        ConfigurationError: Names, units or their order, the control rate or the task itself differ.
    """
    if policy.task not in (None, task.name):
        raise ConfigurationError(
            f"the policy was made for the task '{policy.task}', not for '{task.name}'; omit --task"
        )
    for what in ("observation", "action"):
        has = [f"{entry.name} ({entry.unit})" for entry in getattr(policy, what)]
        needs = [f"{entry.name} ({entry.unit})" for entry in getattr(task, what)]
        if has != needs:
            raise ConfigurationError(
                f"the policy's {what} is {', '.join(has)}, but the task '{task.name}' has {', '.join(needs)}, in this "
                "order; give a policy that was trained on this task"
            )
    if not np.isclose(policy.rate_hz, task.rate_hz, rtol=1e-3, atol=0):
        raise ConfigurationError(
            f"the policy acts at {policy.rate_hz:g} Hz, but the task '{task.name}' runs at {task.rate_hz:g} Hz; train "
            "it on demonstrations of that rate"
        )


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
    task = get_task(name)
    fits(policy, task.spec)
    return task


def _run_seeds(policy: OnnxPolicy, task: Task, rollouts: int, seeds: list[int]) -> dict[int, Rollouts]:
    from tqdm import tqdm

    def act(windows: NDArray[np.float32]) -> tuple[NDArray[np.float32], Ints | None]:
        batch = policy.act_batch(windows)
        return batch.action, batch.expert

    runs = {}
    with tqdm(total=rollouts * len(seeds), desc="rollouts", unit="episode") as bar:
        for number, seed in enumerate(seeds):
            before = number * rollouts
            policy.seed(seed)
            policy.reset()
            runs[seed] = roll_out(
                task.make_sim(rollouts),
                act,
                history=policy.spec.history,
                seed=seed,
                progress=lambda ended, before=before: bar.update(before + ended - bar.n),  # type: ignore[misc]
            )
    return runs


def _score(task: TaskSpec, runs: list[Rollouts]) -> dict[str, Any]:
    success, modes, ends = (
        np.concatenate([getattr(run, name) for run in runs]) for name in ("success", "modes", "ends")
    )
    return {**Score.of(success, modes, task.modes).to_dict(), "ends": dict(Counter(ends.tolist()))}


def _record(
    args: argparse.Namespace,
    policy: PolicySpec,
    task: TaskSpec,
    scores: dict[str, dict[str, Any]],
    pooled: dict[str, Any],
) -> dict[str, Any]:
    """Return all that the JSON file holds."""
    return {
        "task": task.name,
        "policy": {
            "file": args.policy.name,
            "sha256": sha256(args.policy.read_bytes()).hexdigest(),
            "bytes": args.policy.stat().st_size,
            "kind": policy.kind,
            "experts": policy.experts,
            "sampling_steps": policy.sampling_steps,
            "history": policy.history,
            "teacher_sha256": policy.teacher_sha256,
            "data_sha256": policy.data_sha256,
        },
        "settings": {
            "rollouts_a_seed": args.rollouts,
            "expert": args.expert if policy.is_mixture else None,
            "noise": args.noise if policy.is_mixture else None,
        },
        "seeds": args.seeds,
        "pooled": pooled,
        "per_seed": scores,
        "machine": machine_facts(),
        "versions": {
            "vdd_ros": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
    }


_ROW = "  {:<6}{:>9}  {:<24}{:<24}{:>7}{:>10}{:>12}"


def _format(
    args: argparse.Namespace,
    policy: PolicySpec,
    task: TaskSpec,
    scores: dict[str, dict[str, Any]],
    pooled: dict[str, Any],
) -> str:
    what = f"{policy.experts} experts, expert {args.expert}, noise {args.noise}" if policy.is_mixture else "no experts"
    what = f"{policy.sampling_steps} sampling steps" if policy.sampling_steps else what
    rows = [
        f"{args.policy.name} in {task.name}: {policy.kind}, {what}",
        _ROW.format("seed", "rollouts", "success", "task entropy", "modes", "failures", "time limits"),
    ]
    for name, score in scores.items() if len(scores) == 1 else [*scores.items(), ("all", pooled)]:
        rows.append(
            _ROW.format(
                name,
                score["rollouts"],
                _with_interval(score["success_rate"], score["success_interval"]),
                _with_interval(score["entropy"], score["entropy_interval"]),
                f"{score['modes_found']}/{task.modes}",
                score["ends"].get(FAILURE, 0),
                score["ends"].get(TIME_LIMIT, 0),
            )
        )
    return "\n".join([*rows, "  in brackets the 95 % interval", "", *_format_modes(pooled["modes"], task.modes)])


def _with_interval(value: float, interval: list[float]) -> str:
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _format_modes(counts: dict[str, int], base: int) -> list[str]:
    """Return how often each mode succeeded, a dozen a row."""
    lines = ["successful rollouts of each mode"]
    for start in range(0, base, MODES_A_ROW):
        row = range(start, min(start + MODES_A_ROW, base))
        lines.append("  mode     " + "".join(f"{mode:>5}" for mode in row))
        lines.append("  rollouts " + "".join(f"{counts.get(str(mode), 0):>5}" for mode in row))
    if incomplete := sum(number for mode, number in counts.items() if not 0 <= int(mode) < base):
        lines.append(f"  and {incomplete} of an incomplete mode")
    return lines


def _draw(file: Path, name: str, task: TaskSpec, run: Rollouts, seed: int) -> None:
    """Draw the trajectories, coloured by expert, or by mode where there are no experts."""
    from vdd_ros.tasks.render import position_columns, save_trajectories

    paths, colours, label = run.paths(position_columns(task)), run.expert_paths(), "expert"
    if colours is None:
        label, modes = "mode", np.minimum(run.modes, task.modes)  # one colour for all that are incomplete
        colours = [np.full(len(path), mode) for path, mode in zip(paths, modes, strict=True)]
    title = f"{name}: {int(run.success.sum())} of {len(paths)} rollouts reached the goal (seed {seed})"
    save_trajectories(file, task.name, paths, colours, label=label, title=title)
