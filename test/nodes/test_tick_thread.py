"""The thread that ticks: its instants, its end, and its errors."""

import sys
import time
from threading import Event

import pytest

from vdd_ros.nodes.ros.tick_thread import SWITCH_INTERVAL_S, Deadlines, TickThread

MS = 1_000_000
DEADLINE_S = 120.0


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_ns = 5_000 * MS

    def __call__(self) -> int:
        return self.now_ns


@pytest.mark.parametrize(("late_ms", "next_ms"), [(0, 20), (9, 20), (10, 30), (25, 40), (-3, 20)])
def test_late_ticks_do_not_shift_the_ones_after_them(late_ms: int, next_ms: int) -> None:
    """The first is due after 10 ms; instants that are over when it ends are left out, the others stay where they were.

    One that ends before its instant, after a jump of the clock, is not repeated.
    """
    clock = Clock()
    deadlines = Deadlines(0.01, clock)
    assert deadlines.due_ns == 5_010 * MS
    clock.now_ns = (5_010 + late_ms) * MS
    deadlines.step()
    assert deadlines.due_ns == (5_000 + next_ms) * MS


def failed_not(error: Exception) -> None:
    raise AssertionError(error)


def test_a_step_wakes_after_its_instant_and_never_before() -> None:
    woken: list[int] = []
    enough = Event()
    deadlines = Deadlines(0.002)

    def step(thread: TickThread) -> None:
        if thread.sleep_until(deadlines.due_ns):
            woken.append(time.monotonic_ns() - deadlines.due_ns)
            deadlines.step()
        if len(woken) == 20:
            enough.set()

    thread = TickThread(lambda: None, step, failed_not)
    assert enough.wait(DEADLINE_S)
    thread.stop()
    assert min(woken) >= 0


def test_stopping_ends_a_long_sleep_and_gives_the_interpreter_its_interval_back() -> None:
    before = sys.getswitchinterval()
    asleep, slept = Event(), []

    def step(thread: TickThread) -> None:
        asleep.set()
        slept.append(thread.sleep_until(time.monotonic_ns() + 3_600_000 * MS))

    thread = TickThread(lambda: None, step, failed_not)
    assert sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL_S)
    assert asleep.wait(DEADLINE_S)
    thread.stop()
    assert slept == [False]
    assert sys.getswitchinterval() == before


@pytest.mark.parametrize("where", ["begin", "step"])
def test_an_error_ends_the_thread_and_is_handed_over(where: str) -> None:
    seen: list[Exception] = []
    handed = Event()

    def fail(*_: TickThread) -> None:
        raise ZeroDivisionError(where)

    def take(error: Exception) -> None:
        seen.append(error)
        handed.set()

    def pause(thread: TickThread) -> None:
        thread.sleep_until(time.monotonic_ns() + MS)

    thread = TickThread(fail if where == "begin" else lambda: None, fail if where == "step" else pause, take)
    assert handed.wait(DEADLINE_S)
    thread.stop()
    assert [str(error) for error in seen] == [where]
