"""One run of the demo: a simulated robot, the policies of one round and the recorder, as separate processes."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vdd_ros import resources
from vdd_ros.progress import progress
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.running.arguments import recorded_topics
from vdd_ros.running.node_processes import NodeProcesses
from vdd_ros.tasks import SHIPPED_TASK, get_task

POLL_S = 0.1


@dataclass(frozen=True)
class Run:
    """Nodes that run at the same time.

    Attributes:
        title: Title of the progress bar.
        bag: Bag to record.
        logs: Folder of the nodes' logs; created if missing.
        files: Node to policy file; the first one commands.
        episodes: Number of episodes.
        seed: Seed of policies and simulation.
        speed: Simulated seconds a second.
        task: Task of the simulated robot.
    """

    title: str
    bag: Path
    logs: Path
    files: Mapping[str, Path]
    episodes: int
    seed: int
    speed: float
    task: str = SHIPPED_TASK


def plan(
    out: Path,
    files: Mapping[str, Path],
    *,
    repeats: int,
    episodes: int,
    seed: int,
    speed: float,
    task: str = SHIPPED_TASK,
) -> tuple[list[Run], list[Run]]:
    """Return the runs of a demo in order, and those of them in which all policies run together.

    Args:
        out: Folder of the results.
        files: Node to policy file; the first one commands when all run together.
        repeats: Rounds of every policy alone and then all together; 0: only together, once.
        episodes: Number of episodes of each run.
        seed: Seed of the first round; each further round adds `episodes`, so that its episodes differ.
        speed: Simulated seconds a second.
        task: Task of the simulated robot.
    """
    runs, together = [], []
    for number in range(1, max(repeats, 1) + 1):
        of_round = seed + (number - 1) * episodes
        for node, file in files.items() if repeats else ():
            name = f"{node}_alone_{number}"
            logs = out / "log" / name
            runs.append(Run(f"{node} alone", out / f"bag_{name}", logs, {node: file}, episodes, of_round, speed, task))
        bag, logs = ("bag", out / "log") if number == 1 else (f"bag_{number}", out / "log" / f"together_{number}")
        together.append(Run("episodes", out / bag, logs, files, episodes, of_round, speed, task))
        runs.append(together[-1])
    return runs, together


def execute(run: Run, watch: Callable[[NodeProcesses, Run], None] | None = None) -> None:
    """Run the robot, the policies and the recorder until the episodes are over, or `watch` returns.

    The robot publishes nothing before the recorder has subscribed to everything and every policy to the robot, so that
    the record begins with the first tick, and all policies see the same.

    Raises:
        ProcessError: A node ended unexpectedly.
    """
    task = get_task(run.task)
    robot_file, spec = task.get_robot_file(), task.spec
    robot = RobotFile.load(robot_file)
    topics, optional = recorded_topics(robot, run.files, control=True, more=("episode", "sim_robot/result"))
    config = resources.path("config")
    run.logs.mkdir(parents=True, exist_ok=True)
    with NodeProcesses(run.logs) as nodes:
        nodes.start(
            "bag_recorder",
            "vdd_ros.nodes.bag_recorder",
            config / "bag_recorder.params.yaml",
            output=str(run.bag),
            topics=topics,
            optional_topics=optional,
        )
        nodes.start(
            "sim_robot",
            "vdd_ros.nodes.sim_robot_node",
            config / "sim_robot.params.yaml",
            task=run.task,
            robot_file=str(robot_file),
            episodes=run.episodes,
            seed=run.seed,
            speed=run.speed,
            start_topic="bag_recorder/ready",
            listeners=len(run.files) + 1,  # and the recorder
        )
        for index, (node, file) in enumerate(run.files.items()):
            nodes.start(
                node,
                "vdd_ros.nodes.policy_node",
                config / "policy_node.params.yaml",
                policy_path=str(file),
                robot_file=str(robot_file),
                rate_hz=spec.rate_hz * run.speed,
                enable_control=index == 0,
                episode_topic="episode",
                seed=run.seed,
                autostart=True,
            )
        (watch or _watch)(nodes, run)
        for name in (*run.files, "bag_recorder"):
            nodes.stop_well(name)


def _watch(nodes: NodeProcesses, run: Run) -> None:
    """Show the progress until the robot has ended."""
    with progress(run.episodes, run.title, "episode") as bar:
        while True:
            over = nodes.ended("sim_robot")
            finished = len(re.findall(r": episode \d+: ", nodes.output("sim_robot")))
            if finished > bar.n:
                bar.update(finished - bar.n)
            if over:
                return
            time.sleep(POLL_S)
