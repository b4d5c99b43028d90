"""Progress in a log file is a few lines, in a terminal a bar, and never the end of the work."""

import io
import sys
from collections.abc import Iterator
from itertools import count

import pytest

from vdd_ros import progress as module
from vdd_ros.progress import FIRST_S, Lines, each, progress


class Clock:
    """Seconds that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_quick_work_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines(200, "training", "step", clock=Clock()) as bar:
        for _ in range(200):
            bar.update()
            bar.set_postfix_str("loss 0.25")
    assert capsys.readouterr().err == "training: 200 of 200 steps, 0 s, loss 0.25\n"


@pytest.mark.parametrize(("hours", "most"), [(1, 60), (8, 85)])
def test_long_work_says_so_at_growing_intervals(capsys: pytest.CaptureFixture[str], hours: int, most: int) -> None:
    clock = Clock()
    with Lines(hours * 3600, "soak", "second", clock=clock) as bar:
        for _ in range(hours * 3600):
            clock.now += 1.0
            bar.update()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"soak: 10 of {hours * 3600:,} seconds, 10 s"
    assert lines[-1] == f"soak: {hours * 3600:,} of {hours * 3600:,} seconds, {hours * 3600} s"
    assert 20 < len(lines) <= most


def test_what_was_done_before_counts_and_one_is_no_plural(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines(1, "one", "episode", initial=1, clock=Clock()):
        pass
    assert capsys.readouterr().err == "one: 1 of 1 episode, 0 s\n"


def test_an_interruption_leaves_how_far_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), Lines(10, "cells", "cell", clock=Clock()) as bar:
        bar.update(3)
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "cells: 3 of 10 cells, 0 s\n"


def test_a_log_file_gets_lines_and_a_terminal_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, returns in ((io.StringIO(), 0), (Terminal(), 1)):
        monkeypatch.setattr(sys, "stderr", stream)
        for _ in each(range(200), 200, "steps", "step"):
            pass
        assert min(stream.getvalue().count("\r"), 1) == returns
        assert "200" in stream.getvalue()
    assert len(stream.getvalue()) > 0


def test_without_tqdm_a_terminal_gets_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(module, "_in_terminal", lambda: True)
    with progress(2, "steps", "step") as bar:
        bar.update(2)
    assert capsys.readouterr().err == "steps: 2 of 2 steps, 0 s\n"


def test_progress_can_be_turned_off(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "1")
    with progress(2, "steps", "step") as bar:
        bar.update(2)
        bar.write("a line")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("trouble", [BrokenPipeError(), OSError(28, "No space left on device"), ValueError("closed")])
def test_a_log_that_nobody_reads_does_not_end_the_work(monkeypatch: pytest.MonkeyPatch, trouble: Exception) -> None:
    class Broken(io.StringIO):
        def write(self, _: str) -> int:
            raise trouble

    ticks: Iterator[float] = (FIRST_S * n for n in count())
    monkeypatch.setattr(sys, "stderr", Broken())
    with Lines(3, "steps", "step", clock=lambda: next(ticks)) as bar:
        for _ in range(3):
            bar.update()
    assert bar.n == 3


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines(1, "\x1b[31mcell", "cell", clock=Clock()) as bar:
        bar.write("\x1b]0;title\x07")
    assert "\x1b" not in capsys.readouterr().err
