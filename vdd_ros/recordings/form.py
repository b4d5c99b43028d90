"""The form of the demonstrations that a robot file describes."""

from dataclasses import dataclass
from pathlib import Path

from vdd_ros.data.demonstrations import Header
from vdd_ros.errors import RobotFileError
from vdd_ros.features import Feature
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.text import printable

SOURCE = "bags"
"""`Header.source` of demonstrations from bags."""
LEAST_HZ, MOST_HZ = 1e-3, 10_000.0
"""Rates at which bags are sampled."""


@dataclass(frozen=True)
class SamplingForm:
    """Observation, action and rate of demonstrations from bags, in the units of the robot file.

    Attributes:
        task: Name of the task.
        observation: Features of the observation, input after input.
        action: Features of the action.
        rate_hz: Pairs per second.
    """

    task: str
    observation: tuple[Feature, ...]
    action: tuple[Feature, ...]
    rate_hz: float

    @classmethod
    def of(cls, robot: RobotFile, rate_hz: float | None = None, task: str = "") -> "SamplingForm":
        """Return the form that a robot file describes.

        Args:
            robot: The robot file.
            rate_hz: Pairs per second; None: `rate_hz` of the robot file.
            task: Name of the task; by default the robot's name, or that of its file.

        Raises:
            RobotFileError: The rate is missing or out of range, or no single number is observed.
        """
        rate_hz = rate_hz or robot.rate_hz
        if rate_hz is None:
            raise RobotFileError(
                f"robot file {robot.path}: rate_hz is missing; give the rate of the policy, at which bags are sampled, "
                "as in `rate_hz: 50`, or with --rate"
            )
        if not LEAST_HZ <= rate_hz <= MOST_HZ:
            raise RobotFileError(
                f"robot file {printable(robot.path)}: rate_hz is {rate_hz:g}; bags are sampled at {LEAST_HZ:g} to "
                f"{MOST_HZ:,.0f} Hz, so give the rate of the policy, as in `rate_hz: 50`, or with --rate"
            )
        form = cls(
            task or robot.name or Path(robot.path).stem or "robot",
            robot.signature.observation,
            robot.signature.action,
            rate_hz,
        )
        if not form.vector:
            raise RobotFileError(
                f"robot file {printable(robot.path)}: inputs has only arrays; demonstrations need at least one single "
                "number: add an input, such as the joints"
            )
        return form

    @property
    def vector(self) -> tuple[Feature, ...]:
        """The single numbers of an observation, in order."""
        return tuple(feature for feature in self.observation if feature.is_scalar)

    @property
    def arrays(self) -> tuple[Feature, ...]:
        """The arrays of an observation, in order."""
        return tuple(feature for feature in self.observation if not feature.is_scalar)

    @property
    def history(self) -> int:
        """Observations in a pair: one; training cuts its windows from episodes."""
        return 1

    @property
    def goal_length(self) -> int:
        """Observations in a goal: none."""
        return 0

    @property
    def period_s(self) -> float:
        """Time between pairs in seconds."""
        return 1.0 / self.rate_hz

    @property
    def header(self) -> Header:
        """The header of the demonstrations."""
        return Header(self.task, self.observation, self.action, self.rate_hz, SOURCE)
