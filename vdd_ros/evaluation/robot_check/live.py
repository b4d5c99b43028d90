"""A robot file checked on a running robot."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from vdd_ros.bags.topics import Recording
from vdd_ros.evaluation.robot_check.findings import ERROR, NOTE, WARNING, Finding, sorted_findings
from vdd_ros.evaluation.robot_check.report import RobotReport, check_robot
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile


class LiveRecording(Recording, Protocol):
    """Messages and graph of a running robot.

    Attributes:
        problems: Problems in the ROS graph: publishers or subscribers with another type or quality of service.
        listeners: Subscribed nodes of each command, by its topic in the robot file.
        commanders: Publishing nodes of each command.
        not_installed: Missing packages that a policy needs here, by the place in the robot file.
    """

    @property
    def problems(self) -> Sequence[str]:
        """The problems."""
        ...

    @property
    def listeners(self) -> Mapping[str, Sequence[str]]:
        """The names."""
        ...

    @property
    def commanders(self) -> Sequence[str]:
        """The names."""
        ...

    @property
    def not_installed(self) -> Sequence[tuple[str, str]]:
        """Places in the robot file, and the missing packages."""
        ...


def files_of(robot: Path, policy: Path | None) -> tuple[RobotFile, OnnxPolicy | None]:
    """Load a robot file and a policy file that fits it.

    Raises:
        RobotFileError, PolicyFileError: A file cannot be read, or they do not fit together.
    """
    file = RobotFile.load(robot)
    loaded = None if policy is None else OnnxPolicy.load(policy)
    if loaded is not None:
        file.check(loaded.spec.observation, loaded.spec.action)
    return file, loaded


def check_live(
    robot: RobotFile, captured: LiveRecording, *, policy: OnnxPolicy | None = None, rate_hz: float | None = None
) -> RobotReport:
    """Check a robot file, and optionally a policy, on a running robot's messages; errors as in `check_robot`."""
    report = check_robot(robot, captured, policy=policy, rate_hz=rate_hz)
    found = [one for one in report.findings if not _is_silence(robot, one)]
    return replace(report, findings=sorted_findings([*_graph(robot, captured), *found]))


def _is_silence(robot: RobotFile, finding: Finding) -> bool:
    """Return whether a finding is that nobody publishes a command, as it should be before a policy does."""
    return finding.level == NOTE and finding.where in {f"{command.path}.topic" for command in robot.commands}


def _graph(robot: RobotFile, captured: LiveRecording) -> Iterator[Finding]:
    for where, missing in captured.not_installed:
        yield Finding(ERROR, where, missing)
    for problem in captured.problems:
        yield Finding(ERROR, "ROS graph", problem)
    for command in (each for each in robot.commands if not each.message.is_action):
        where, topic = f"{command.path}.topic", command.topic
        if listeners := captured.listeners.get(topic):
            yield Finding(NOTE, where, f"{', '.join(listeners)} listens to {topic}")
        else:
            yield Finding(WARNING, where, f"nobody listens to {topic}: is the controller active?")
    if captured.commanders:
        text = f"{', '.join(captured.commanders)} publishes commands; a second source of them contradicts a policy"
        yield Finding(WARNING, "commands", text)
