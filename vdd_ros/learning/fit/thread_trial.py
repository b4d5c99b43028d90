"""Timed trials of thread counts during a training on a CPU.

Whether a second thread gains anything depends on the processor, on the sizes of the network and on its neighbours, and
no rule of sizes was right on two machines. So the first training steps are run with one thread, two, four and so on by
turns, and timed. A neighbour may come later, and threads that wait for one that has lost its core are several times as
slow as a single one: the trial is repeated once steps take longer than they did with one thread, and now and then,
with at most as many threads as others leave cores free.

A trial changes no random number: its steps are steps of the training. It affects the rounding of sums.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import torch

from vdd_ros.host.threads import CoreMeter, ThreadCount, threads_on
from vdd_ros.text import counted

ROUNDS = 3
WORTH = 0.85
"""Share of the time with fewer threads below which more are taken: each occupies a core of the machine."""
RECENT = 10
"""Steps whose median is compared with the time of one thread."""
REPEAT_AFTER = 500
"""Steps from one trial to the next."""


class ThreadTrial:
    """Decides how many threads compute, up to the chosen number, unless the user set it.

    Attributes:
        chosen: The number, and the reason.
        changes: How often a later trial has decided otherwise than the one before it.
    """

    def __init__(
        self,
        chosen: ThreadCount,
        clock: Callable[[], float] = time.perf_counter,
        look: Callable[[], ThreadCount] | None = None,
    ) -> None:
        """Take the largest number of threads.

        Args:
            chosen: As from `choose_threads`.
            clock: Seconds.
            look: Returns the largest number of threads of a later trial; None: by the cores that are free.
        """
        self.chosen = chosen
        self.changes = 0
        self._clock = clock
        self._look = look or _free_cores()
        self._began: float | None = None
        self._has_decided = False
        self._alone_s = 0.0
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._begin_trial(chosen)

    def next_step(self) -> None:
        """Set torch's number of threads for the training step that begins now; the one before has just ended."""
        if self.chosen.is_asked:
            return
        now = self._clock()
        if self._began is not None:
            self._note(now - self._began)
        threads = self._plan[-1] if self._plan else self.chosen.threads
        if threads != torch.get_num_threads():
            torch.set_num_threads(threads)
        self._began = self._clock()

    def _begin_trial(self, limit: ThreadCount) -> None:
        self._limit = limit
        self._counts = _counts(limit.threads)
        self._best = dict.fromkeys(self._counts, float("inf"))
        self._is_first = True
        self._steps = 0
        if limit.threads == 1:
            self._plan = []
            self._take(limit)
        else:  # from the end; the first step allocates, so that its time is not used
            self._plan = [*(self._counts * ROUNDS), *self._counts[:1]]

    def _note(self, seconds: float) -> None:
        if not self._plan:
            self._recent.append(seconds)
            self._steps += 1
            is_slow = len(self._recent) == RECENT and median(self._recent) > self._alone_s
            if self._steps >= REPEAT_AFTER or (is_slow and self.chosen.threads > 1):
                self._begin_trial(self._look())
            return
        threads = self._plan.pop()
        if not self._is_first:
            self._best[threads] = min(self._best[threads], seconds)
        self._is_first = False
        if not self._plan:
            self._decide()

    def _decide(self) -> None:
        threads = 1
        for more in self._counts[1:]:
            if self._best[more] < WORTH * self._best[threads]:
                threads = more
        self._alone_s = self._best[1]
        times = ", ".join(f"{1e3 * self._best[count]:.1f} ms with {count}" for count in self._counts)
        self._take(ThreadCount(threads, f"a step took {times}; {self._limit.reason}"))

    def _take(self, decided: ThreadCount) -> None:
        self._recent.clear()
        self.changes += self._has_decided and decided.threads != self.chosen.threads
        self._has_decided = True
        again = f"; changed {counted(self.changes, 'time')} during the run" if self.changes else ""
        self.chosen = replace(decided, reason=f"{decided.reason}{again}")


def _free_cores() -> Callable[[], ThreadCount]:
    """Return a function that returns the number of threads for the cores that were free since the last call."""
    meter = CoreMeter()
    return lambda: threads_on(meter.free())


def _counts(most: int) -> list[int]:
    """Return 1, 2, 4 and so on, and `most`."""
    powers = [1 << power for power in range(most.bit_length()) if 1 << power < most]
    return [*powers, most]
