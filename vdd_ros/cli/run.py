"""`vdd run`: a policy on a robot, real or simulated, with shadows and a recorder, without a ROS installation."""

import argparse
from pathlib import Path

from vdd_ros.cli.numbers import SEED, Whole
from vdd_ros.cli.results import add_result_options, check_result_options, keep_result
from vdd_ros.console import show, tell
from vdd_ros.errors import ConfigurationError
from vdd_ros.places import OutputFolder
from vdd_ros.running.robot_run import RobotRun, execute

HELP = "run a policy on a robot, with shadow policies and a recorder, until Ctrl-C"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd run`."""
    parser.add_argument("--robot", type=Path, metavar="FILE", help="robot file (default with --sim: that of the task)")
    parser.add_argument(
        "--policy",
        default="student",
        metavar="FILE|student|teacher",
        help="policy that commands (default: %(default)s)",
    )
    parser.add_argument(
        "--shadow",
        action="append",
        default=[],
        metavar="FILE|student|teacher|other",
        help="policy that sees the same inputs and commands nothing; may be repeated (nodes shadow_policy, "
        "shadow_policy_2, ...). other: the teacher beside a student, the student beside the teacher",
    )
    parser.add_argument("--record", type=OutputFolder, metavar="DIR", help="new directory for a bag of everything")
    parser.add_argument("--no-commands", action="store_true", help="command nothing: all policies are shadows")
    parser.add_argument("--inactive", action="store_true", help="configure the nodes, but leave them inactive")
    parser.add_argument("--episode-topic", default="", metavar="TOPIC", help="topic of episode numbers")
    parser.add_argument("--seed", type=SEED, metavar="N", help="seed of the policies")
    parser.add_argument("--params-file", type=Path, metavar="FILE", help="parameters of the policy nodes (.yaml)")
    parser.add_argument("--use-sim-time", action="store_true", help="follow /clock")
    parser.add_argument(
        "--sim",
        nargs="?",
        const="",
        metavar="TASK",
        help="simulate the robot of a task (default: the policy's own), in a separate ROS domain",
    )
    parser.add_argument("--episodes", type=Whole(), default=10, help="with --sim: episodes (default: %(default)s)")
    add_result_options(parser)


def run(args: argparse.Namespace) -> int:
    """Run until a signal, the end of the simulated episodes, or the end of a node; return 1 if anything went wrong."""
    check_result_options(args)
    if args.sim is None and (args.json or args.append) is not None:
        raise ConfigurationError(
            "--json and --append store the results of simulated episodes; give --sim, or omit them"
        )
    asked = RobotRun(
        robot=args.robot,
        policy=args.policy,
        shadows=tuple(args.shadow),
        record=args.record,
        commands=not args.no_commands,
        activate=not args.inactive,
        episode_topic=args.episode_topic,
        seed=args.seed,
        params_file=args.params_file,
        use_sim_time=args.use_sim_time,
        task=args.sim,
        episodes=args.episodes,
    )
    ending = execute(asked, show)
    tell(f"vdd run: {ending.reason}")
    if ending.results is not None:
        show(ending.results.describe())
        keep_result(args, ending.results.to_dict())
    if args.record is not None and args.record.is_dir():
        show(f"see the bag {args.record}: vdd latency {args.record}")
    return ending.code
