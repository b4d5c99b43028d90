"""A policy on a robot, with shadows and a recorder: started in order, watched, ended in order."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from vdd_ros import middleware, resources
from vdd_ros.errors import ConfigurationError
from vdd_ros.nodes.ros.leaving import signals_noted
from vdd_ros.nodes.ros.parameter_files import Section
from vdd_ros.nodes.sim_robot.results import EpisodeResults, read_results
from vdd_ros.policy.onnx_session import read_spec
from vdd_ros.policy.policy_file import PolicyFile
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.running.arguments import (
    COMMANDER,
    absolute,
    forbids_commands,
    matched_sections,
    new_bag,
    policy_file,
    recorded_topics,
    shadow_policies,
)
from vdd_ros.running.log_tail import LogTail
from vdd_ros.running.node_processes import NodeProcesses
from vdd_ros.tasks import Task, get_task, task_names
from vdd_ros.text import printable

POLL_S = 0.1
HOLD_S = 3.0
"""Longest time from a simulated robot's last message to its end."""
PATIENT_S = 1e6
"""How long a simulated robot that no policy moves by itself waits for commands: as long as its node allows."""
UNHEARD = "nobody publishes"
MOST_EPISODES, MOST_SEED = 1_000_000, 2**31 - 1
RECORDER, ROBOT = "bag_recorder", "sim_robot"
READY = f"{RECORDER}/ready"
RESULTS = f"{ROBOT}.json"

Value = bool | int | float | str | list[str]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class RobotRun:
    """Description of a run.

    Attributes:
        robot: Robot file; None for that of the simulated task.
        policy: The commanding policy: `student`, `teacher` or a file.
        shadows: Policies that see the same inputs and command nothing; `other` is allowed.
        record: New bag; None for none.
        commands: False: nothing is commanded, and all policies are shadows.
        activate: False: the nodes are configured and wait for a manager.
        episode_topic: Topic of episode numbers; empty: as in params_file.
        seed: Seed of the policies; None: as in params_file.
        params_file: Parameters of the policy nodes; None for the shipped ones.
        use_sim_time: Whether the nodes follow /clock.
        task: Task whose robot is simulated, empty for that of the policy file; None for a real robot.
        episodes: Episodes of the simulated robot; the run ends after them.
    """

    robot: Path | None
    policy: str = "student"
    shadows: tuple[str, ...] = ()
    record: Path | None = None
    commands: bool = True
    activate: bool = True
    episode_topic: str = ""
    seed: int | None = None
    params_file: Path | None = None
    use_sim_time: bool = False
    task: str | None = None
    episodes: int = 10

    @property
    def simulated(self) -> bool:
        """Whether the robot is simulated."""
        return self.task is not None

    def check(self) -> None:
        """Raise ConfigurationError if a number is outside the range of the nodes' parameters."""
        for name, value, low, high in (
            ("episodes", self.episodes, 1, MOST_EPISODES),
            ("seed", self.seed or 0, 0, MOST_SEED),
        ):
            if not low <= value <= high:
                raise ConfigurationError(f"--{name} is {value}; it must be from {low} to {high:,}")


@dataclass(frozen=True)
class Ending:
    """End of a run.

    Attributes:
        code: Exit code: 0 in order, 1 if a node ended by itself or not in order.
        reason: Why, in words.
        results: Results of the finished simulated episodes; None without any.
    """

    code: int
    reason: str
    results: EpisodeResults | None = None


@dataclass(frozen=True)
class _Node:
    module: str
    parameter_file: Path | None
    parameters: dict[str, Value] = field(default_factory=dict)


def execute(run: RobotRun, tell: Tell) -> Ending:
    """Run until a signal, the end of the simulated episodes, or the end of a node; end everything in order.

    The policies stop first, each with `on_loss` of the robot file, then the recorder, which completes its bag.

    Args:
        run: Description of the run.
        tell: Takes the lines of the console.

    Raises:
        ConfigurationError, RobotFileError: An argument is wrong; nothing was started.
    """
    nodes = _plan(run)
    logs = _log_folder()
    if run.simulated:
        nodes[ROBOT].parameters["results_file"] = str(logs / RESULTS)
    tail = LogTail(logs)
    tell(f"logs in {logs}")
    if run.record is not None:
        tell(f"recording into {nodes[RECORDER].parameters['output']}")
    if run.simulated and not run.commands:
        tell("nothing moves the simulated robot, so no episode ends: end the run with Ctrl-C")
    elif not run.commands:
        tell("no commands: every policy is a shadow")
    lines = _Lines(tell, holds=run.simulated)
    with signals_noted() as received, NodeProcesses(logs, isolated=run.simulated, bound=True) as processes:
        for name, node in nodes.items():
            if not received:
                processes.start(name, node.module, node.parameter_file, **node.parameters)
        ended: dict[str, int] = {}
        while not received and not ended:
            time.sleep(POLL_S)
            ended = processes.exit_codes()
            lines.take(tail.lines(nodes), robot_left=ended.get(ROBOT) == 0)
        codes = {}
        for name in _leaving_order(processes.pids):
            codes[name] = processes.stop(name)
            lines.take(tail.lines(nodes), robot_left=ended.get(ROBOT) == 0)
        lines.take(tail.lines(nodes, last=True), robot_left=ended.get(ROBOT) == 0)
        lines.finish()
        ending = _ending(bool(received), ended, codes)
        return replace(ending, results=read_results(logs / RESULTS)) if run.simulated else ending


def _ending(asked: bool, ended: dict[str, int], codes: dict[str, int]) -> Ending:
    """Describe the end of a run: whether it was requested, which nodes ended by themselves, and all exit codes."""
    if wrong := {name: code for name, code in codes.items() if code}:
        by_itself = [name for name in wrong if name in ended]
        what = "ended by itself" if by_itself else "did not end cleanly"
        name = (by_itself or list(wrong))[0]
        return Ending(1, f"{name} {what}, with exit code {wrong[name]}; see its lines above")
    if asked:
        return Ending(0, "ended on request; all nodes ended cleanly")
    if ROBOT in ended:
        return Ending(0, "the simulated episodes are over; all nodes ended cleanly")
    return Ending(1, f"{', '.join(ended)} ended by itself; see its lines above")


class _Lines:
    """Passes the nodes' lines on.

    Lines about an input without publisher are delayed. They are dropped if the simulated robot ends meanwhile, as it
    does after its episodes.

    Args:
        tell: Takes the lines.
        holds: Whether a robot is simulated.
        now_s: A monotonic clock, in seconds.
    """

    def __init__(self, tell: Tell, *, holds: bool, now_s: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._holds, self._now_s = tell, holds, now_s
        self._held: list[tuple[float, str]] = []

    def take(self, lines: list[str], *, robot_left: bool) -> None:
        """Pass lines on, and those whose delay is over."""
        now_s = self._now_s()
        for line in lines:
            if self._holds and UNHEARD in line:
                self._held.append((now_s, line))
            else:
                self._tell(line)
        if robot_left:
            self._held.clear()
        while self._held and now_s - self._held[0][0] > HOLD_S:
            self._tell(self._held.pop(0)[1])

    def finish(self) -> None:
        """Pass on the delayed lines."""
        for _, line in self._held:
            self._tell(line)
        self._held.clear()


def _leaving_order(names: dict[str, int]) -> list[str]:
    """Return nodes in the order of their end: the commanding one first, the recorder last."""
    last = (ROBOT, RECORDER)
    return [name for name in names if name not in last] + [name for name in last if name in names]


def _plan(run: RobotRun) -> dict[str, _Node]:
    """Return the nodes in the order of their start; raises a VddError before any starts."""
    run.check()
    middleware.check()
    if run.robot is None and not run.simulated:
        raise ConfigurationError("no robot file is given; give --robot FILE, or --sim for the simulated robot")
    policies = {COMMANDER: run.policy, **shadow_policies(run.policy, run.shadows)}
    files = {name: policy_file(policy) for name, policy in policies.items()}
    task = _simulated_task(run, files[COMMANDER]) if run.simulated else None
    robot_file = absolute(run.robot) if run.robot else task.get_robot_file() if task else Path()
    robot = RobotFile.load(robot_file)
    params_file = absolute(run.params_file) if run.params_file else resources.path("config/policy_node.params.yaml")
    matched = matched_sections(run.params_file or params_file, {name: f"/{name}" for name in policies})
    if task:
        _refuse_actions(robot)
    commands = run.commands and not forbids_commands(matched[COMMANDER])
    _require_installed(robot, control=commands)
    episode_topic = run.episode_topic or ("episode" if task else "")
    plan: dict[str, _Node] = {}
    if run.record is not None:
        _check_recorded(run, matched)
        more = [*([episode_topic] if episode_topic else []), *([f"{ROBOT}/result"] if task else [])]
        topics, optional = recorded_topics(robot, policies, control=run.commands, more=more)
        plan[RECORDER] = _Node(
            "vdd_ros.nodes.bag_recorder",
            None,
            {"output": str(new_bag(run.record)), "topics": topics, "optional_topics": optional},
        )
    if task:
        robot.check(task.spec.observation, task.spec.action)
        listeners = len(policies) + (run.record is not None)
        plan[ROBOT] = _simulated(run, task, robot_file, listeners, moves=commands and run.activate)
    for name, file in files.items():
        own: dict[str, Value] = {"policy_path": str(file), "robot_file": str(robot_file)}
        own |= _asked(run, episode_topic, commands=run.commands and name == COMMANDER, compared=len(files) > 1)
        plan[name] = _Node("vdd_ros.nodes.policy_node", params_file if matched[name] else None, own)
    return plan


def _require_installed(robot: RobotFile, *, control: bool) -> None:
    from vdd_ros.nodes.ros.installed import require_installed  # needs rclpy

    require_installed(robot, control=control)


def _refuse_actions(robot: RobotFile) -> None:
    for command in robot.commands:
        if command.message.is_action:
            raise ConfigurationError(
                f"{command.path}: the simulated robot accepts no goals of an action ({command.type}); use a robot "
                f"file that commands messages with --sim"
            )


def _simulated_task(run: RobotRun, file: Path) -> Task:
    """Return the task whose robot is simulated, after checking the policy's own task."""
    made_for = read_spec(PolicyFile.read(file)).task
    if not (name := run.task or made_for):
        raise ConfigurationError(
            f"the policy {file.name} does not name its task; name the simulated one: --sim TASK, one of "
            f"{', '.join(task_names())}"
        )
    if made_for not in (None, name):
        raise ConfigurationError(
            f"the policy {file.name} was made for the task '{printable(made_for)}', not for '{printable(name)}'; omit "
            "the task of --sim"
        )
    if not run.task and made_for not in task_names():
        raise ConfigurationError(
            f"the policy {file.name} was made for '{printable(made_for)}', which has no simulation; there are "
            f"{', '.join(task_names())}. Omit --sim to run it on the robot"
        )
    return get_task(name)


def _check_recorded(run: RobotRun, matched: dict[str, list[Section]]) -> None:
    if run.commands and forbids_commands(matched[COMMANDER]):
        raise ConfigurationError("params_file says enable_control: false, so give --no-commands to record")


def _asked(run: RobotRun, episode_topic: str, *, commands: bool, compared: bool) -> dict[str, Value]:
    """Return a policy node's parameters from the arguments; a params_file that forbids commands stays in force."""
    asked: dict[str, Value] = {"autostart": True, "stay_inactive": not run.activate}
    if not commands:
        asked["enable_control"] = False
    if run.commands and not commands:
        asked["phase_topic"] = f"{COMMANDER}/phase"
    if run.activate and run.record is not None:
        asked["start_topic"] = READY
    if run.use_sim_time:
        asked["use_sim_time"] = True
    if episode_topic:
        asked["episode_topic"] = episode_topic
    if run.seed is not None:
        asked["seed"] = run.seed
    if compared:
        asked["publish_decisions"] = True
    return asked


def _simulated(run: RobotRun, task: Task, robot_file: Path, listeners: int, *, moves: bool) -> _Node:
    """Return the simulated robot, which begins once all nodes listen."""
    asked: dict[str, Value] = {
        "task": task.spec.name,
        "robot_file": str(robot_file),
        "episodes": run.episodes,
        "seed": run.seed or 0,
        "listeners": listeners,
    }
    if run.record is not None:
        asked["start_topic"] = READY
    if not moves:
        asked["idle_timeout_s"] = PATIENT_S
    return _Node("vdd_ros.nodes.sim_robot_node", resources.path("config/sim_robot.params.yaml"), asked)


def _log_folder() -> Path:
    """Make the folder of this run's logs, beside those of ROS."""
    home = os.environ.get("ROS_HOME") or Path.home() / ".ros"
    root = Path(os.environ.get("ROS_LOG_DIR") or Path(home) / "log")
    folder = root.expanduser().absolute() / f"vdd_run_{time.strftime('%Y%m%d_%H%M%S')}_{os.getpid()}"
    folder.mkdir(parents=True)
    return folder
