"""The request for a run on a robot, checked before anything starts; shared by `vdd run` and the launch files."""

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from vdd_ros import resources
from vdd_ros.bags.diagnostics import DIAGNOSTICS
from vdd_ros.bags.latency import NODE_TOPICS, OPTIONAL_TOPICS
from vdd_ros.errors import ConfigurationError
from vdd_ros.file_kinds import POLICY, misplaced
from vdd_ros.nodes.ros.parameter_files import Section, read_sections
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.robot.transforms import TF, TF_STATIC
from vdd_ros.tasks import SHIPPED_TASK

OTHER = {"student": "teacher", "teacher": "student"}
SHIPPED = {name: f"models/{SHIPPED_TASK}_{name}.onnx" for name in OTHER}
_SHIPPED_ROBOT = f"config/robots/{SHIPPED_TASK}.yaml"
COMMANDER = "policy"
SHADOW = "shadow_policy"


def absolute(path: str | Path) -> Path:
    """Return an absolute path, so that no parameter parser mistakes a file called 1e3 for a number."""
    return Path(path).expanduser().absolute()


def policy_file(policy: str) -> Path:
    """Return the file of a policy: `student`, `teacher` or a path; raises ConfigurationError if it does not exist."""
    if policy in SHIPPED:
        return resources.path(SHIPPED[policy])
    file = absolute(policy)
    if why := misplaced(file, POLICY, "a policy file"):
        raise ConfigurationError(f"the policy {policy} {why}")
    if not file.is_file():
        raise ConfigurationError(f"the policy {policy} is not a file; give student, teacher or a policy file")
    return file


def robot_file(robot: str, policy: str) -> Path:
    """Return the robot file of a run: the given one, or, for a shipped policy, the shipped one.

    Args:
        robot: Path of the robot file; empty if none is given.
        policy: The commanding policy.

    Raises:
        ConfigurationError: None is given for a user's own policy, or there is no such policy.
    """
    if robot:
        return absolute(robot)
    if policy in SHIPPED:
        return resources.path(_SHIPPED_ROBOT)
    policy_file(policy)  # a misspelt name is reported as that
    raise ConfigurationError(f"no robot file is given for the policy {policy}; give robot:=FILE")


def shadow_policies(policy: str, others: Iterable[str]) -> dict[str, str]:
    """Return the shadow policies by node: shadow_policy, shadow_policy_2 and so on.

    Args:
        policy: The commanding policy.
        others: The shadows; `other` is the teacher beside the student or a file, and the student beside the teacher.
    """
    other = OTHER.get(policy, "teacher")
    return {
        SHADOW if number == 1 else f"{SHADOW}_{number}": other if given == "other" else given
        for number, given in enumerate(others, start=1)
    }


def matched_sections(given: str | Path, nodes: Mapping[str, str]) -> dict[str, list[Section]]:
    """Return the sections of a parameter file by node.

    A section that matches no node is refused: with `enable_control: false` in it, a robot would move nevertheless.
    Sections of shadows that do not run are reported and skipped.

    Args:
        given: The file.
        nodes: Full name of each node, such as `/policy`, by name.

    Raises:
        ConfigurationError: There is no such file, or it has a section or parameter that applies to no node.
    """
    from vdd_ros.nodes.policy.parameters import PolicyParameters
    from vdd_ros.nodes.ros.arguments import unknown_parameters

    file = absolute(given)
    if not file.is_file():
        raise ConfigurationError(f"params_file {given} is not a file; config/policy_node.params.yaml is the example")
    sections = read_sections(file)
    known = [item.name for item in fields(PolicyParameters)]
    for section in sections:
        if problem := unknown_parameters(section.names, known):
            raise ConfigurationError(f"params_file {given}, section {section.name}: {problem} there are {known}")
        if any(map(section.matches, nodes.values())):
            continue
        if not section.name.rpartition("/")[2].startswith(SHADOW):
            raise ConfigurationError(
                f"params_file {given} has a section for {section.name}, but the nodes are {', '.join(nodes.values())}; "
                "rename it to one of them, or to /** for all"
            )
        print(f"params_file {given}: the section {section.name} matches no node of this launch", file=sys.stderr)
    return {name: [section for section in sections if section.matches(node)] for name, node in nodes.items()}


def forbids_commands(sections: Sequence[Section]) -> bool:
    """Return whether the parameters disable commands; the recorder must not wait for the command topic then."""
    return any(section.values.get("enable_control") in (False, 0, "false", "off", "no") for section in sections)


def recorded_topics(
    robot: RobotFile, nodes: Collection[str], *, control: bool, more: Iterable[str] = ()
) -> tuple[list[str], list[str]]:
    """Return the topics that the recorder waits for, and those that it records if they are published.

    Goals of an action are not a topic. If none of the nodes commands, the commands are an operator's, or nobody's.

    Args:
        robot: The robot file.
        nodes: Names of the policy nodes.
        control: Whether one of them commands.
        more: Further topics.
    """
    on_robot = [source.topic for source in robot.inputs]
    commands = [one.topic for one in robot.commands if not one.message.is_action]
    on_robot += commands if control else []
    own = [f"{node}/{topic}" for node in nodes for topic in NODE_TOPICS]
    optional = [f"{node}/{topic}" for node in nodes for topic in OPTIONAL_TOPICS]
    needed = [*on_robot, *more, *own, DIAGNOSTICS]
    seldom = [robot.episodes.topic, robot.episodes.done_topic if control else ""]
    seldom += [] if control else commands
    seldom += [TF, TF_STATIC] if robot.needs_transforms else []
    return needed, [*optional, *(topic for topic in seldom if topic and topic not in needed)]


def new_bag(given: str | Path) -> Path:
    """Return the absolute path of a bag to record; raises ConfigurationError if something is there."""
    output = absolute(given)
    if output.exists():
        raise ConfigurationError(f"record {given} exists already; remove it or choose another directory")
    return output
