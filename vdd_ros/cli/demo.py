"""`vdd demo`: a simulated robot, a policy that commands it and one that shadows it, recorded and compared."""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from vdd_ros import resources
from vdd_ros.cli.demo_processes import NodeProcesses
from vdd_ros.cli.demo_record import DemoRecord, read_demo
from vdd_ros.cli.latency_report.tables import format_table
from vdd_ros.cli.report import LatencyReport, report_latency, write_json
from vdd_ros.data.latency_bag import NODE_TOPICS, read_latency_bag
from vdd_ros.errors import ConfigurationError, VddError
from vdd_ros.policy.robot import RobotFile
from vdd_ros.tasks import get_task

HELP = "run student and teacher beside a simulated robot over ROS 2"

TASK = "avoiding"
POSITION = ("tcp_x", "tcp_y")
SHADOWS = {"student": "teacher", "teacher": "student"}
MADE_BY = "vdd demo"
POLL_S = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd demo`."""
    parser.add_argument("--out", type=Path, default=Path("demo_out"), help="folder to make (default: %(default)s)")
    parser.add_argument("--episodes", type=int, default=10, help="episodes (default: %(default)s)")
    parser.add_argument(
        "--policy",
        default="student",
        metavar="student|teacher|FILE",
        help="the policy that commands; the teacher shadows it, or the student the teacher (default: %(default)s)",
    )
    parser.add_argument("--student", type=Path, metavar="FILE", help="student's policy file (default: the shipped one)")
    parser.add_argument("--teacher", type=Path, metavar="FILE", help="teacher's policy file (default: the shipped one)")
    parser.add_argument("--seed", type=int, default=0, help="seed of policies and simulation (default: %(default)s)")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="simulated seconds a second (default: real time, %(default)s)"
    )


@dataclass(frozen=True)
class Demo:
    """What is run.

    Attributes:
        out: Folder of the results.
        files: Node to policy file; the first one commands.
        episodes: Number of episodes.
        seed: Seed of policies and simulation.
        speed: Simulated seconds a second.
    """

    out: Path
    files: dict[str, Path]
    episodes: int
    seed: int
    speed: float

    @classmethod
    def from_arguments(cls, args: argparse.Namespace) -> "Demo":
        """Check the arguments; raises ConfigurationError where one is wrong."""
        for name in ("episodes", "speed"):
            if getattr(args, name) <= 0:
                raise ConfigurationError(f"--{name} is {getattr(args, name)}; it must be above 0")
        files = _policy_files(args)
        for name, file in files.items():
            if not file.is_file():
                raise ConfigurationError(
                    f"the policy file {file} of the {name} does not exist; give one: --{name} FILE"
                )
        return cls(args.out, files, args.episodes, args.seed, args.speed)


def _policy_files(args: argparse.Namespace) -> dict[str, Path]:
    """Return node to policy file, the one that commands first."""
    shipped = {name: getattr(args, name) or resources.path(f"models/{TASK}_{name}.onnx") for name in SHADOWS}
    first = args.policy if args.policy in shipped else "policy"
    second = SHADOWS.get(first, "teacher")
    return {first: shipped.get(first, Path(args.policy)), second: shipped[second]}


def run(args: argparse.Namespace) -> int:
    """Run the demo; return 0 if more than half of the episodes reached the goal and no record is missing."""
    demo = Demo.from_arguments(args)
    _make_folder(demo.out)
    policies = {name: str(file) for name, file in demo.files.items()}
    report: dict[str, Any] = {"made_by": MADE_BY, "status": "interrupted", "policies": policies}
    try:
        with _interruptible_once():
            _run_nodes(demo)
            passed = _report(demo, report)
        report["status"] = "passed" if passed else "failed"
    except VddError as error:
        report.update(status="failed", reason=str(error))
        raise
    finally:
        write_json(demo.out / "report.json", report)
    return 0 if passed else 1


def _make_folder(out: Path) -> None:
    """Make the folder anew; one that this command did not make is refused."""
    if out.exists():
        try:
            ours = json.loads((out / "report.json").read_text(encoding="utf-8"))["made_by"] == MADE_BY
        except (OSError, ValueError, KeyError, TypeError):
            ours = False
        if not ours:
            raise ConfigurationError(
                f"--out {out} exists and was not made by `vdd demo`; remove it or choose another folder"
            )
        shutil.rmtree(out)
    (out / "log").mkdir(parents=True)
    write_json(out / "report.json", {"made_by": MADE_BY, "status": "running"})


@contextlib.contextmanager
def _interruptible_once() -> Iterator[None]:
    """Let the first SIGINT or SIGTERM raise KeyboardInterrupt; the next ones must not disturb the end of the nodes."""
    wanted = (signal.SIGINT, signal.SIGTERM)

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in wanted:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = [signal.signal(number, interrupt) for number in wanted]
    try:
        yield
    finally:
        for number, handler in zip(wanted, before, strict=True):
            signal.signal(number, handler)


def _run_nodes(demo: Demo) -> None:
    """Run the robot, the policies and the recorder until the episodes are over.

    The robot publishes nothing before the recorder has subscribed to everything, so that the record begins with the
    first tick.
    """
    robot_file = resources.path(f"config/robots/{TASK}.yaml")
    robot = RobotFile.load(robot_file)
    spec = get_task(TASK).spec
    topics = [source.topic for source in robot.inputs] + [robot.command.topic, "episode", "sim_robot/result"]
    topics += [f"{node}/{topic}" for node in demo.files for topic in NODE_TOPICS]
    config = resources.path("config")
    with NodeProcesses(demo.out / "log", domain_id=1 + os.getpid() % 100) as nodes:
        nodes.start(
            "bag_recorder",
            "bag_recorder",
            config / "bag_recorder.params.yaml",
            output=str(demo.out / "bag"),
            topics=topics,
        )
        nodes.start(
            "sim_robot",
            "sim_robot_node",
            config / "sim_robot.params.yaml",
            task=TASK,
            robot_file=str(robot_file),
            episodes=demo.episodes,
            seed=demo.seed,
            speed=demo.speed,
            start_topic="bag_recorder/ready",
        )
        for index, (node, file) in enumerate(demo.files.items()):
            nodes.start(
                node,
                "policy_node",
                config / "policy_node.params.yaml",
                policy_path=str(file),
                robot_file=str(robot_file),
                rate_hz=spec.rate_hz * demo.speed,
                enable_control=index == 0,
                episode_topic="episode",
                seed=demo.seed,
                autostart=True,
            )
        _watch(nodes, demo.episodes)
        for name in (*demo.files, "bag_recorder"):
            nodes.stop_well(name)


def _watch(nodes: NodeProcesses, episodes: int) -> None:
    """Show the progress until the robot has ended."""
    from tqdm import tqdm

    with tqdm(total=episodes, desc="episodes", unit="episode") as bar:
        while True:
            over = nodes.ended("sim_robot")
            finished = len(re.findall(r": episode \d+: ", nodes.output("sim_robot")))
            if finished > bar.n:
                bar.update(finished - bar.n)
            if over:
                return
            time.sleep(POLL_S)


def _report(demo: Demo, report: dict[str, Any]) -> bool:
    """Read the bag, write figures, fill the report, print it; return whether the demo went well."""
    from vdd_ros.cli.report_figure import save_figure

    bag = demo.out / "bag"
    commander = next(iter(demo.files))
    latencies = read_latency_bag(bag)
    latency = report_latency(latencies)
    robot = RobotFile.load(resources.path(f"config/robots/{TASK}.yaml"))
    record = read_demo(bag, robot, get_task(TASK).spec, POSITION, commander)
    late = [f"{node.node}: the record begins with {first}" for node in latencies if (first := node.sequence.first)]
    missing = latency.gaps + late
    save_figure(demo.out / "latency.png", latencies, latency)
    _save_trajectories(demo.out / "trajectories.png", record)
    report.update(
        commander=commander,
        successes=record.successes,
        episodes=record.results,
        modes=record.modes,
        missing=missing,
        latency=latency.to_dict(),
    )
    _print(latency, record, commander, missing, demo.out)
    return not missing and 2 * record.successes > len(record.results)


def _print(latency: LatencyReport, record: DemoRecord, commander: str, missing: list[str], out: Path) -> None:
    print(format_table(latency))
    print(
        f"\nthe {commander} reached the goal in {record.successes} of {len(record.results)} episodes, "
        f"along {len(record.modes)} different routes"
    )
    print("\n".join(missing) if missing else "every tick is in the record")
    print(f"see {out}/latency.png, {out}/trajectories.png, {out}/report.json and the bag {out}/bag")


def _save_trajectories(path: Path, record: DemoRecord) -> None:
    """Draw the paths over the task, coloured by expert."""
    from vdd_ros.tasks.render import save_trajectories

    title = f"{record.successes} of {len(record.results)} episodes reached the goal"
    save_trajectories(path, TASK, record.paths, record.experts, title=title)
