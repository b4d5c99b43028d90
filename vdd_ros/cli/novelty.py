"""`vdd novelty`: how often a policy file's novelty raises a false alarm, and how often it notices what is new."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from vdd_ros.cli.results import add_result_options, check_result_options, keep_result
from vdd_ros.console import show
from vdd_ros.control.guards import GuardSettings
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError
from vdd_ros.evaluation.compatibility import fits, goals_of
from vdd_ros.evaluation.novelty.probes import (
    Floats,
    Found,
    Probe,
    anywhere,
    displaced,
    frozen,
    judge,
    novelty_of,
    swapped,
)
from vdd_ros.evaluation.rollouts import roll_out_seeds
from vdd_ros.host.facts import runtime_versions
from vdd_ros.places import OutputFile
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.tasks import get_task

HELP = "how often a policy file's novelty raises a false alarm, and how often it notices what is new"

UNIFORM = 5000
DISPLACED = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05)  # in the unit of the observation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd novelty`."""
    parser.add_argument("policy", type=Path, help="policy file (.onnx) that knows novelty")
    parser.add_argument(
        "--demos", type=Path, required=True, metavar="DIR", help="demonstrations that it did not learn from"
    )
    parser.add_argument("--robot", type=Path, metavar="FILE", help="robot file (default: the shipped one of the task)")
    parser.add_argument("--rollouts", type=int, default=96, help="episodes of its own; 0: none (default: %(default)s)")
    parser.add_argument(
        "--ticks",
        type=int,
        default=GuardSettings.novelty_ticks,
        help="in a row beyond the bound are an alarm (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of every random draw (default: %(default)s)")
    parser.add_argument(
        "--figure", type=OutputFile, metavar="PNG", help="draw the distributions and the rates of detection"
    )
    add_result_options(parser)


def run(args: argparse.Namespace) -> int:
    """Make the probes, ask the policy, print the table."""
    for name, low in (("rollouts", 0), ("ticks", 1), ("seed", 0)):
        if getattr(args, name) < low:
            raise ConfigurationError(f"--{name} is {getattr(args, name)}; it must be {low} or more")
    check_result_options(args)
    policy = OnnxPolicy.load(args.policy)
    demonstrations = DemonstrationSet.load(args.demos)
    _check(policy, demonstrations, args.demos)
    robot = RobotFile.load(args.robot or get_task(str(policy.spec.task)).get_robot_file())
    probes = _probes(policy, demonstrations, robot, args)
    novelties = [novelty_of(policy, probe.observation) for probe in probes]
    bound = policy.spec.novelty.bound  # type: ignore[union-attr]
    found = [judge(probe, one, bound, args.ticks) for probe, one in zip(probes, novelties, strict=True)]
    show(_table(args, bound, found))
    keep_result(args, _record(args, policy, demonstrations, found))
    if args.figure is not None:
        from vdd_ros.evaluation.novelty.figure import save_figure

        save_figure(args.figure, found, novelties, bound, args.policy.name)
    return 0


def _check(policy: OnnxPolicy, demonstrations: DemonstrationSet, folder: Path) -> None:
    """Refuse what would not be a test."""
    if policy.spec.novelty is None:
        raise ConfigurationError("the policy file does not know novelty; export it again, with its demonstrations")
    if policy.spec.task is None:
        raise ConfigurationError("the policy file does not say which task it was made for; export it with one")
    fits(policy.spec, get_task(policy.spec.task).spec)
    goals_of(demonstrations, policy.spec)
    if demonstrations.sha256 == policy.spec.data_sha256:
        raise ConfigurationError(
            f"--demos {folder} holds what the policy learned from; make others, such as with 'vdd demos "
            f"{policy.spec.task} --seed 1 --out OTHER'"
        )


def _probes(
    policy: OnnxPolicy, demonstrations: DemonstrationSet, robot: RobotFile, args: argparse.Namespace
) -> list[Probe]:
    random = np.random.default_rng(args.seed)
    spec = get_task(str(policy.spec.task)).spec
    robot.check(spec.observation, spec.action)
    found = [Probe("other demonstrations", False, demonstrations.observation, demonstrations.lengths)]
    if args.rollouts:
        found += _rolled_out(policy, demonstrations, args)
    found.append(anywhere(demonstrations, UNIFORM, random))
    for source in robot.inputs:
        found += displaced(demonstrations, source, DISPLACED, random)
    for source in robot.inputs:
        found += frozen(demonstrations, source, spec.rate_hz)
    return [*found, *swapped(demonstrations, robot.inputs)]


def _rolled_out(policy: OnnxPolicy, demonstrations: DemonstrationSet, args: argparse.Namespace) -> list[Probe]:
    """Return the observations of the policy's own episodes, those that reached the goal apart from the others."""
    goals = goals_of(demonstrations, policy.spec) if policy.spec.goal_length else None
    task = get_task(str(policy.spec.task))
    runs = roll_out_seeds(policy, task, args.rollouts, [args.seed], goals=goals)[args.seed]
    names = {True: "own episodes that reached the goal", False: "own episodes that did not"}
    found = []
    for success, name in names.items():
        paths: list[Floats] = [
            path[:length]
            for path, length, good in zip(runs.observations, runs.lengths, runs.success, strict=True)
            if good == success
        ]
        if paths:
            found.append(Probe(name, False, np.concatenate(paths), np.array([len(path) for path in paths])))
    return found


def _record(
    args: argparse.Namespace, policy: OnnxPolicy, demonstrations: DemonstrationSet, found: list[Found]
) -> dict[str, Any]:
    novelty = policy.spec.novelty
    return {
        "policy": {"file": args.policy.name, "sha256": policy.sha256},
        "demonstrations": {"sha256": demonstrations.sha256, "seed": demonstrations.header.seed},
        "bound": novelty.bound if novelty else None,
        "quantile": novelty.quantile if novelty else None,
        "ticks": args.ticks,
        "rollouts": args.rollouts,
        "seed": args.seed,
        "probes": [one.to_dict() for one in found],
        "versions": runtime_versions(),
    }


def _table(args: argparse.Namespace, bound: float, found: list[Found]) -> str:
    row = "  {:<40}{:>14}{:>11}{:>14}{:>11}"
    lines = [
        f"{args.policy.name}: outside is beyond {bound:.3g} nats; an alarm is {args.ticks} observations in a row",
        row.format("", "observations", "outside", "median, nats", "alarms"),
    ]
    for one in found:
        alarms = "" if one.alarmed is None else f"{round(one.alarmed * (one.episodes or 0))} of {one.episodes}"
        share = f"{100 * one.beyond:.2f} %"
        lines.append(row.format(one.name, one.observations, share, f"{one.p50:.3g}", alarms))
    return "\n".join(lines)
