"""Run a policy on a robot, optionally with shadow policies and a recorder."""

import difflib
import sys
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction, RegisterEventHandler, Shutdown
from launch.event_handlers import OnProcessIO
from launch.events.process import ProcessExited, ProcessIO
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

from vdd_ros import resources
from vdd_ros.bags.diagnostics import DIAGNOSTICS
from vdd_ros.bags.latency import NODE_TOPICS, OPTIONAL_TOPICS
from vdd_ros.errors import ConfigurationError, VddError
from vdd_ros.nodes.policy.parameters import PolicyParameters
from vdd_ros.nodes.ros.arguments import unknown_parameters
from vdd_ros.nodes.ros.parameter_files import Section, read_sections
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.text import printable

OTHER = {"student": "teacher", "teacher": "student"}
SHIPPED = {name: f"models/avoiding_{name}.onnx" for name in OTHER}
RECORDER_READY = b"ready: every topic is subscribed"
ARGUMENTS = {
    "policy": "policy compare_with robot record episode_topic seed shadow activate params_file use_sim_time",
    "compare": "",
    "demo": "task episodes",
}
"""The arguments that each launch file adds to those of policy.launch.py."""


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; `ros2 launch --show-args` prints them."""
    robot = str(resources.path("config/robots/avoiding.yaml"))
    params = str(resources.path("config/policy_node.params.yaml"))
    switch = {"choices": ["true", "false"]}
    return LaunchDescription(
        [
            DeclareLaunchArgument("policy", default_value="student", description="student, teacher or a policy file"),
            DeclareLaunchArgument(
                "compare_with",
                default_value="",
                description="shadow policies, separated by commas: student, teacher, policy files, or `other`",
            ),
            DeclareLaunchArgument("robot", default_value=robot, description="robot file"),
            DeclareLaunchArgument("record", default_value="", description="new directory for a bag; empty: no bag"),
            DeclareLaunchArgument(
                "episode_topic", default_value="", description="topic of episode numbers; empty: as in params_file"
            ),
            DeclareLaunchArgument("seed", default_value="", description="policies' seed; empty: as in params_file"),
            DeclareLaunchArgument(
                "shadow",
                default_value="false",
                description="true: no commands; false: as enable_control in params_file",
                **switch,
            ),
            DeclareLaunchArgument("activate", default_value="true", description="false: configure only", **switch),
            DeclareLaunchArgument(
                "params_file",
                default_value=params,
                description="parameters of the policy nodes; others keep their defaults",
            ),
            DeclareLaunchArgument(
                "use_sim_time",
                default_value="false",
                description="true: follow /clock; false: as in params_file",
                **switch,
            ),
            OpaqueFunction(function=_start),
        ]
    )


def _start(context: LaunchContext) -> list[Action]:
    """Describe the nodes; refuse wrong arguments before anything starts."""
    _refuse_unknown(sys.argv)
    given = context.launch_configurations
    robot = RobotFile.load(_absolute(given["robot"]))
    space = given.get("ros_namespace", "").strip("/")
    names = {name: f"/{space}/{name}" if space else f"/{name}" for name in ("policy", *_shadows(given))}
    matched = _matched(given["params_file"], names)
    shadow = given["shadow"] == "true"
    shadows = _shadows(given)
    policies = {"policy": given["policy"], **shadows}
    nodes = {
        name: _policy_node(
            given,
            name,
            policy,
            shadow=shadow or name in shadows,
            compared=bool(shadows),
            params_file=str(_absolute(given["params_file"])) if matched[name] else "",
        )
        for name, policy in policies.items()
    }
    actions: list[Action] = []
    wanted = given["activate"] == "true"
    if given["record"]:
        if not shadow and _forbids_commands(matched["policy"]):
            raise ConfigurationError("params_file says enable_control: false, so give shadow:=true to record")
        topics = [*(f"{name}/{topic}" for name in nodes for topic in NODE_TOPICS), DIAGNOSTICS]
        optional = [f"{name}/{topic}" for name in nodes for topic in OPTIONAL_TOPICS]
        recorder = _recorder(given, robot, topics, optional, shadow)
        activate = [_change(node, Transition.TRANSITION_ACTIVATE) for node in nodes.values()] if wanted else []
        actions = [RegisterEventHandler(_once_ready(recorder, activate)), recorder]
    for name, node in nodes.items():
        actions += [
            RegisterEventHandler(_refused(node, "configuring", "unconfigured", f"{name} could not be configured")),
            node,
        ]
        if wanted:
            refused = _refused(node, "activating", "inactive", f"{name} could not be activated")
            actions.append(RegisterEventHandler(refused))
        if wanted and not given["record"]:
            ready = OnStateTransition(
                target_lifecycle_node=node,
                start_state="configuring",
                goal_state="inactive",
                entities=[_change(node, Transition.TRANSITION_ACTIVATE)],
                handle_once=True,
            )
            actions.append(RegisterEventHandler(ready))
        actions.append(_change(node, Transition.TRANSITION_CONFIGURE))
    return actions


def _refuse_unknown(words: list[str]) -> None:
    """Refuse unknown arguments, which launch ignores: a robot would move despite `shadwo:=true`.

    Only if the command line starts a launch file of this package; others that include it have arguments of their own.
    """
    folder = Path(__file__).resolve().parent
    for place, word in enumerate(words):
        file = Path(word)
        name = file.name.removesuffix(".launch.py")
        if (
            name != file.name
            and name in ARGUMENTS
            and (words[place - 1 : place] == ["vdd_ros"] or file.resolve().parent == folder)
        ):
            known = list(dict.fromkeys(f"{ARGUMENTS['policy']} {ARGUMENTS[name]}".split()))
            given_names = [given.partition(":=")[0] for given in words[place + 1 :] if ":=" in given]
            if unknown := [each for each in given_names if each not in known]:
                close = difflib.get_close_matches(unknown[0], known, n=1)
                hint = f" (did you mean {close[0]}?)" if close else ""
                raise ConfigurationError(f"no argument is called {printable(unknown[0])}{hint}; there are {known}")
            return


def _shadows(given: dict[str, str]) -> dict[str, str]:
    """Return the shadow policies by node: shadow_policy, shadow_policy_2 and so on."""
    others = [word.strip() for word in given["compare_with"].split(",") if word.strip()]
    other = OTHER.get(given["policy"], "teacher")
    return {
        "shadow_policy" if number == 1 else f"shadow_policy_{number}": other if policy == "other" else policy
        for number, policy in enumerate(others, start=1)
    }


def _policy_node(
    given: dict[str, str], name: str, policy: str, *, shadow: bool, compared: bool, params_file: str
) -> LifecycleNode:
    parameters: dict[str, Any] = {"policy_path": _policy_file(policy), "robot_file": str(_absolute(given["robot"]))}
    # Set only what an argument asks for: a params_file that forbids commands stays in force.
    if shadow:
        parameters["enable_control"] = False
    if given["use_sim_time"] == "true":
        parameters["use_sim_time"] = True
    if given["episode_topic"]:
        parameters["episode_topic"] = given["episode_topic"]
    if given["seed"]:
        parameters["seed"] = _whole_number("seed", given["seed"])
    if compared:
        parameters["publish_decisions"] = True
    return LifecycleNode(
        package="vdd_ros",
        executable="policy_node",
        name=name,
        namespace="",
        output="screen",
        on_exit=_end,
        parameters=[params_file, parameters] if params_file else [parameters],
    )


def _policy_file(policy: str) -> str:
    if policy in SHIPPED:
        return str(resources.path(SHIPPED[policy]))
    file = _absolute(policy)
    if not file.is_file():
        raise ConfigurationError(f"the policy {policy} is not a file; give student, teacher or a policy file")
    return str(file)


def _whole_number(name: str, given: str) -> int:
    try:
        return int(given)
    except ValueError:
        raise ConfigurationError(f"{name} is {given}; it must be a whole number") from None


def _matched(given: str, nodes: dict[str, str]) -> dict[str, list[Section]]:
    """Return the sections of the parameter file by node.

    A section that matches no node is refused: with `enable_control: false` in it, a robot would move nevertheless.
    Sections of shadows that do not run are reported and skipped.
    """
    file = _absolute(given)
    if not file.is_file():
        raise ConfigurationError(f"params_file {given} is not a file; config/policy_node.params.yaml is the example")
    sections = read_sections(file)
    known = [item.name for item in fields(PolicyParameters)]
    for section in sections:
        if problem := unknown_parameters(section.names, known):
            raise ConfigurationError(f"params_file {given}, section {section.name}: {problem} there are {known}")
        if any(map(section.matches, nodes.values())):
            continue
        if not section.name.rpartition("/")[2].startswith("shadow_policy"):
            raise ConfigurationError(
                f"params_file {given} has a section for {section.name}, but the nodes are {', '.join(nodes.values())}; "
                "rename it to one of them, or to /** for all"
            )
        print(f"params_file {given}: the section {section.name} matches no node of this launch", file=sys.stderr)
    return {name: [section for section in sections if section.matches(node)] for name, node in nodes.items()}


def _forbids_commands(sections: list[Section]) -> bool:
    """Return whether the parameters disable commands; the recorder must not wait for the command topic then."""
    return any(section.values.get("enable_control") in (False, 0, "false", "off", "no") for section in sections)


def _absolute(path: str) -> Path:
    """Return an absolute path, which no parameter parser mistakes for a number, as it would a file called 1e3."""
    return Path(path).expanduser().absolute()


def _recorder(given: dict[str, str], robot: RobotFile, topics: list[str], optional: list[str], shadow: bool) -> Node:
    output = _absolute(given["record"])
    if output.exists():
        raise ConfigurationError(f"record {given['record']} exists already; remove it or choose another directory")
    on_robot = [source.topic for source in robot.inputs] + (
        [] if shadow else [command.topic for command in robot.commands]
    )
    episodes = [given["episode_topic"]] if given["episode_topic"] else []
    return Node(
        package="vdd_ros",
        executable="bag_recorder",
        name="bag_recorder",
        output="screen",
        on_exit=_end,
        parameters=[
            {"output": str(output), "topics": on_robot + episodes + topics, "optional_topics": optional},
        ],
    )


def _once_ready(recorder: Node, actions: list[Action]) -> OnProcessIO:
    """Return a handler that runs the actions once the recorder has subscribed to every topic: no record is lost."""
    pending = list(actions)

    def act(event: ProcessIO) -> list[Action]:
        if RECORDER_READY not in event.text:
            return []
        taken = pending[:]
        pending.clear()
        return taken

    return OnProcessIO(target_action=recorder, on_stdout=act, on_stderr=act)


def _refused(node: LifecycleNode, start: str, goal: str, what: str) -> OnStateTransition:
    """Return a handler that shuts down with an error if a node falls back from a transition."""
    return OnStateTransition(
        target_lifecycle_node=node,
        start_state=start,
        goal_state=goal,
        entities=[OpaqueFunction(function=partial(_fail, f"{what}; see the reason above"))],
    )


def _fail(what: str, _context: LaunchContext) -> None:
    """Shut down: only a raised error makes launch exit with 1."""
    raise VddError(what)


def _end(event: ProcessExited, context: LaunchContext) -> list[Action]:
    """Shut down, unless a shutdown is under way: launch cannot handle a second one."""
    if event.returncode:
        _fail(f"{event.process_name} ended with exit code {event.returncode}", context)
    return [] if context.is_shutdown else [Shutdown(reason=f"{event.process_name} ended")]


def _change(node: LifecycleNode, transition: int) -> EmitEvent:
    return EmitEvent(event=ChangeState(lifecycle_node_matcher=lambda action: action is node, transition_id=transition))
