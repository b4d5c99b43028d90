"""The episodes in the bag of a demo: their results and the robot's paths."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from vdd_ros.bags.reader import BagMessage, read_messages
from vdd_ros.documents import parse_json
from vdd_ros.errors import RecordingError, VddError
from vdd_ros.robot.channels import InputChannel
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.tasks.base import TaskSpec
from vdd_ros.text import printable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_RESULT = "/sim_robot/result"
_EPISODE = "/episode"
_MOST_BYTES = 1 << 16


class EpisodeSummary(TypedDict):
    """Result of an episode, as the simulated robot publishes it.

    Attributes:
        episode: Number of the episode, from 0.
        success: Whether the goal was reached.
        mode: The mode taken; None without success.
        steps: Control periods from the first command to the end.
    """

    episode: int
    success: bool
    mode: int | None
    steps: int


@dataclass(frozen=True)
class DemoRecord:
    """The episodes of a demo.

    Attributes:
        results: Result of each episode.
        paths: Positions (T, 2) in m for each episode.
        experts: The expert (T,) that acted at each position; None if the commanding policy has no experts.
    """

    results: list[EpisodeSummary]
    paths: list[Floats]
    experts: list[Ints] | None

    @property
    def successes(self) -> int:
        """Episodes that reached the goal."""
        return sum(result["success"] for result in self.results)

    @property
    def modes(self) -> list[int]:
        """The different modes of the successful episodes."""
        return sorted({mode for result in self.results if result["success"] and (mode := result["mode"]) is not None})


def read_demo(bag: Path, robot: RobotFile, spec: TaskSpec, entries: tuple[str, str], commander: str) -> DemoRecord:
    """Read a demo's bag.

    Args:
        bag: The bag.
        robot: Robot file of the simulated robot.
        spec: Its task.
        entries: Observation entries of the position.
        commander: Name of the node that commanded.

    Raises:
        RecordingError: If the bag cannot be read or has no episode.
    """
    source = next(s for s in robot.inputs if entries[0] in [entry.name for entry in s.entries])
    channel = InputChannel(source, spec.observation)
    experts_topic = f"/{commander}/expert"
    topics = (f"/{source.topic.lstrip('/')}", _EPISODE, _RESULT, experts_topic)
    messages: dict[str, list[BagMessage]] = {topic: [] for topic in topics}
    for message in read_messages(bag, topics, {topic: ("std_msgs/msg/Int64",) for topic in (_EPISODE, experts_topic)}):
        if message.topic in messages:
            messages[message.topic].append(message)
    results = [found for message in messages[_RESULT] if (found := _result(message)) is not None]
    if not results:
        raise RecordingError(f"{bag} has no result of an episode on {_RESULT}")

    times = np.array([message.received_ns for message in messages[topics[0]]])
    values = np.empty((len(times), len(channel.columns)))
    for row, message in zip(values, messages[topics[0]], strict=True):
        try:
            channel.read(message.message, row)
        except (VddError, AttributeError, TypeError, ValueError, IndexError) as error:
            raise RecordingError(
                f"a message on {topics[0]} does not match the robot file: {printable(error)}; is it another robot's "
                f"topic?"
            ) from error
    names = [spec.observation[column].name for column in channel.columns]
    positions = values[:, [names.index(entry) for entry in entries]]

    starts = np.searchsorted(times, [message.received_ns for message in messages[_EPISODE]])
    experts = _experts_after(times, messages[experts_topic])
    return DemoRecord(
        results, np.split(positions, starts)[1:], None if experts is None else np.split(experts, starts)[1:]
    )


def _result(message: BagMessage) -> EpisodeSummary | None:
    """Return the result of an episode; None for the summary of all episodes.

    Raises:
        RecordingError: The message holds neither.
    """
    result = parse_json(getattr(message.message, "data", ""), _RESULT, RecordingError, max_bytes=_MOST_BYTES)
    fields = result if isinstance(result, dict) else {}
    if "summary" in fields:
        return None
    episode, success, mode, steps = (fields.get(name) for name in ("episode", "success", "mode", "steps"))
    fits = isinstance(mode, int) if success else isinstance(mode, int | None)
    if not (fits and isinstance(episode, int) and isinstance(success, bool) and isinstance(steps, int)):
        raise RecordingError(
            f"{_RESULT} holds {printable(result)!r}; an object with episode, success, mode and steps is needed: does "
            "another node publish there?"
        )
    return {"episode": episode, "success": success, "mode": mode if isinstance(mode, int) else None, "steps": steps}


def _experts_after(times: Ints, messages: list[BagMessage]) -> Ints | None:
    """Return the expert (T,) of the first tick after each time, (T,); None without any."""
    if not messages:
        return None
    ticks = np.array([message.received_ns for message in messages])
    experts = np.array([message.message.data for message in messages], dtype=np.int64)
    return np.asarray(experts[np.searchsorted(ticks, times).clip(max=len(ticks) - 1)])
