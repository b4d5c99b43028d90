"""The results of simulated episodes: counted by the names of the task, written and read."""

from pathlib import Path

import pytest

from vdd_ros.errors import RecordingError
from vdd_ros.nodes.sim_robot.episodes import EpisodeResult
from vdd_ros.nodes.sim_robot.results import EpisodeResults, read_results, write_results

EPISODES = (
    EpisodeResult(0, True, 1, 50),
    EpisodeResult(1, True, 1, 52),
    EpisodeResult(2, False, None, 120),
    EpisodeResult(3, True, 0, 48),
)


def test_results_are_counted_by_the_names_of_the_modes() -> None:
    results = EpisodeResults("example_arm", EPISODES)
    assert results.successes == 3
    assert results.modes == {"elbow up": 1, "elbow down": 2}
    assert results.describe().startswith("3 of 4 episodes of example_arm succeeded (95 % interval 0.30 to 0.95): elbow")


def test_modes_without_names_have_numbers() -> None:
    assert EpisodeResults("avoiding", EPISODES[:1]).modes == {"mode 1": 1}


def test_the_line_for_people_keeps_modes_apart_from_counts() -> None:
    """A number right after `mode 21` would read as one more number of the mode."""
    assert EpisodeResults("avoiding", EPISODES).describe().endswith(": mode 0 (1 episode), mode 1 (2 episodes)")
    only = EpisodeResults("example_arm", EPISODES[3:]).describe()
    assert only.endswith(": elbow up (1 episode), elbow down (0 episodes)")
    assert EpisodeResults("avoiding", EPISODES[2:3]).describe().endswith("0.79)")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    assert read_results(file) is None
    write_results(file, "example_arm", EPISODES)
    assert read_results(file) == EpisodeResults("example_arm", EPISODES)


@pytest.mark.parametrize("content", ["{}", "[]", '{"task": "example_arm", "episodes": [{"episode": 0}]}', "{"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(RecordingError, match=r"results\.json"):
        read_results(tmp_path / "results.json")
