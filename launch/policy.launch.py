"""Run a policy on a robot, optionally with shadow policies and a recorder."""

import difflib
import sys
from collections.abc import Collection
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
from vdd_ros.errors import ConfigurationError, VddError
from vdd_ros.nodes.ros.installed import require_installed
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.running.arguments import (
    absolute,
    forbids_commands,
    matched_sections,
    new_bag,
    policy_file,
    recorded_topics,
    robot_file,
    shadow_policies,
)
from vdd_ros.text import printable

RECORDER_READY = b"ready: every topic is subscribed"
ARGUMENTS = {
    "policy": "policy compare_with robot record episode_topic seed shadow activate params_file use_sim_time",
    "compare": "",
    "demo": "task episodes",
}
"""The arguments that each launch file adds to those of policy.launch.py."""


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; `ros2 launch --show-args` prints them."""
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
            DeclareLaunchArgument(
                "robot", default_value="", description="robot file; empty: the shipped one, for shipped policies"
            ),
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
    robot_path = robot_file(given["robot"], given["policy"])
    robot = RobotFile.load(robot_path)
    space = given.get("ros_namespace", "").strip("/")
    names = {name: f"/{space}/{name}" if space else f"/{name}" for name in ("policy", *_shadows(given))}
    matched = matched_sections(given["params_file"], names)
    shadow = given["shadow"] == "true"
    require_installed(robot, control=not shadow and not forbids_commands(matched["policy"]))
    shadows = _shadows(given)
    policies = {"policy": given["policy"], **shadows}
    nodes = {
        name: _policy_node(
            given,
            name,
            policy,
            robot_path,
            shadow=shadow or name in shadows,
            compared=bool(shadows),
            params_file=str(absolute(given["params_file"])) if matched[name] else "",
        )
        for name, policy in policies.items()
    }
    actions: list[Action] = []
    wanted = given["activate"] == "true"
    if given["record"]:
        if not shadow and forbids_commands(matched["policy"]):
            raise ConfigurationError("params_file says enable_control: false, so give shadow:=true to record")
        recorder = _recorder(given, robot, nodes, shadow)
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
    words = map(str.strip, given["compare_with"].split(","))
    return shadow_policies(given["policy"], filter(None, words))


def _policy_node(
    given: dict[str, str], name: str, policy: str, robot: Path, *, shadow: bool, compared: bool, params_file: str
) -> LifecycleNode:
    parameters: dict[str, Any] = {"policy_path": str(policy_file(policy)), "robot_file": str(robot)}
    # Set only what an argument asks for: a params_file that forbids commands stays in force.
    if shadow:
        parameters["enable_control"] = False
        if given["shadow"] != "true":  # another node commands
            parameters["phase_topic"] = "policy/phase"
    if given["use_sim_time"] == "true":
        parameters["use_sim_time"] = True
    if given["activate"] != "true":  # also if the params_file starts the node by itself
        parameters["autostart"] = False
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


def _whole_number(name: str, given: str) -> int:
    try:
        return int(given)
    except ValueError:
        raise ConfigurationError(f"{name} is {given}; it must be a whole number") from None


def _recorder(given: dict[str, str], robot: RobotFile, nodes: Collection[str], shadow: bool) -> Node:
    episodes = [given["episode_topic"]] if given["episode_topic"] else []
    topics, optional = recorded_topics(robot, nodes, control=not shadow, more=episodes)
    return Node(
        package="vdd_ros",
        executable="bag_recorder",
        name="bag_recorder",
        output="screen",
        on_exit=_end,
        parameters=[
            {"output": str(new_bag(given["record"])), "topics": topics, "optional_topics": optional},
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
