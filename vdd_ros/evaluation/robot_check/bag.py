"""A robot file checked on a bag."""

from pathlib import Path

from vdd_ros.bags.topics import Recording, open_bag
from vdd_ros.evaluation.robot_check.live import files_of
from vdd_ros.evaluation.robot_check.report import RobotReport, check_robot
from vdd_ros.recordings.topics import wanted_topics


def check_bag(robot: Path, bag: Path, policy: Path | None = None, rate_hz: float | None = None) -> RobotReport:
    """Check a robot file, and optionally a policy file, on a bag.

    Raises:
        RobotFileError, PolicyFileError, RecordingError: A file cannot be read, or they do not fit together.
    """
    file, loaded = files_of(robot, policy)
    ends = tuple(wanted.topic.removeprefix("~").lstrip("/") for wanted in wanted_topics(file))
    with open_bag(bag, wanted=lambda topic: topic.endswith(ends)) as recording:
        found: Recording = recording
        return check_robot(file, found, policy=loaded, rate_hz=rate_hz)
