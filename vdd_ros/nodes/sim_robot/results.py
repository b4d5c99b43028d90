"""The results of simulated episodes, in a file for the process that started the robot."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vdd_ros.documents import JsonObject, read_json, write_json
from vdd_ros.errors import RecordingError
from vdd_ros.nodes.sim_robot.episodes import EpisodeResult
from vdd_ros.tasks import get_task
from vdd_ros.tasks.entropy import Interval
from vdd_ros.tasks.metrics import wilson_interval
from vdd_ros.text import counted, printable


@dataclass(frozen=True)
class EpisodeResults:
    """Finished episodes of one task.

    Attributes:
        task: Name of the task.
        episodes: Their results, in order; at least one.
    """

    task: str
    episodes: tuple[EpisodeResult, ...]

    @property
    def successes(self) -> int:
        """Number of successful episodes."""
        return sum(result.success for result in self.episodes)

    @property
    def success_interval(self) -> Interval:
        """95 % interval of the success rate (Wilson)."""
        return wilson_interval(self.successes, len(self.episodes))

    @property
    def modes(self) -> dict[str, int]:
        """Number of successful episodes by the name of their mode; named modes without success count 0."""
        task = get_task(self.task)
        found = Counter(task.mode_name(result.mode) for result in self.episodes if result.mode is not None)
        return dict.fromkeys(task.mode_names, 0) | dict(sorted(found.items()))

    def to_dict(self) -> JsonObject:
        """Return a JSON object: task, counts, and each episode."""
        return {
            "task": self.task,
            "rollouts": len(self.episodes),
            "successes": self.successes,
            "success_interval": list(self.success_interval),
            "modes": dict(self.modes),
            "episodes": [result.to_dict() for result in self.episodes],
        }

    def describe(self) -> str:
        """Return a line for people."""
        low, high = self.success_interval
        ways = ", ".join(f"{name} ({counted(number, 'episode')})" for name, number in self.modes.items())
        return (
            f"{self.successes} of {len(self.episodes)} episodes of {self.task} succeeded (95 % interval {low:.2f} to "
            f"{high:.2f}){f': {ways}' if ways else ''}"
        )


def write_results(file: Path, task: str, episodes: Sequence[EpisodeResult]) -> None:
    """Write the results so far; raises ConfigurationError if the system refuses the file."""
    write_json(file, EpisodeResults(task, tuple(episodes)).to_dict())


def read_results(file: Path) -> EpisodeResults | None:
    """Read the file of `write_results`; None if no episode has ended.

    Raises:
        RecordingError: The file is damaged.
    """
    if not file.exists():
        return None
    content: Any = read_json(file, RecordingError)
    try:
        return EpisodeResults(content["task"], tuple(EpisodeResult(**one) for one in content["episodes"]))
    except (KeyError, TypeError) as error:
        raise RecordingError(f"{printable(file)} holds no results of episodes ({printable(error)})") from error
