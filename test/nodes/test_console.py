"""The console of a node: a line for each change, none for each second."""

import pytest

from vdd_ros.nodes.policy.console import AGAIN_S, REMIND_S, Console, Loudness

OK, WARN, ERROR, STALE = range(4)


class Terminal:
    """A console with a clock that is set by hand."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.now_s = 1000.0
        tells = [lambda text, mark=mark: self.lines.append(mark + text) for mark in ("", "W ", "E ")]
        self.console = Console(Loudness(*tells), lambda: self.now_s)

    def say(self, level: int, *texts: str) -> list[str]:
        """Say one text a second; return what was printed."""
        before = len(self.lines)
        for text in texts:
            self.now_s += 1.0
            self.console.say(level, text)
        return self.lines[before:]


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def test_a_state_is_printed_once(terminal: Terminal) -> None:
    assert terminal.say(OK, *["inactive"] * 5) == ["inactive"]
    assert terminal.say(OK, *["running"] * 500) == ["running"]


def test_counts_and_times_alone_are_no_news(terminal: Terminal) -> None:
    late = [f"{count} ticks missed their deadline" for count in range(1, 30)]
    assert terminal.say(WARN, *late) == [f"W {late[0]}"]
    assert terminal.say(WARN, "7 messages refused") == ["W 7 messages refused"]


def test_numbers_in_names_are_words(terminal: Terminal) -> None:
    assert terminal.say(WARN, "waiting for joint_1", "waiting for joint_2", "/arm2 is silent", "/arm3 is silent") == [
        "W waiting for joint_1",
        "W waiting for joint_2",
        "W /arm2 is silent",
        "W /arm3 is silent",
    ]


def test_each_level_is_told_as_such(terminal: Terminal) -> None:
    assert terminal.say(STALE, "stale: tcp") == ["W stale: tcp"]
    assert terminal.say(ERROR, "a tick hangs") == ["E a tick hangs"]


def test_a_problem_that_lasts_is_repeated_with_its_age_and_its_end_is_told(terminal: Terminal) -> None:
    lines = terminal.say(WARN, *["waiting for tcp"] * int(2 * REMIND_S + 1))
    assert lines == ["W waiting for tcp", "W for 60 s: waiting for tcp", "W for 120 s: waiting for tcp"]
    assert terminal.say(OK, "running") == ["running, after 121 s of problems"]


def test_a_state_that_flips_is_told_at_most_every_ten_seconds_but_its_end_is(terminal: Terminal) -> None:
    for _ in range(10):
        terminal.say(STALE, "stale: tcp")
        terminal.say(OK, "running")
    assert terminal.lines[:2] == ["W stale: tcp", "running, after 1 s of problems"]
    assert len(terminal.lines) <= 2 + 20 // AGAIN_S
    terminal.say(OK, *["running"] * int(AGAIN_S))
    assert terminal.lines[-1].startswith("running")


def test_a_part_that_comes_and_goes_is_no_news_each_time(terminal: Terminal) -> None:
    other = "other nodes command the robot too: /bench"
    both = f"{other}; 3 ticks missed their deadline"
    assert terminal.say(WARN, other, both, other, both, other) == [f"W {other}", f"W {both}"]


def test_a_problem_that_comes_again_later_is_told_again(terminal: Terminal) -> None:
    assert len(terminal.say(STALE, "stale: tcp")) == 1
    terminal.say(OK, *["running"] * 20)
    assert terminal.say(STALE, "stale: tcp") == ["W stale: tcp"]
