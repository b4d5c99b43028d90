"""A timed trial of thread counts at the start of a training on a CPU.

Whether a second thread gains anything depends on the processor, on the sizes of the network and on its neighbours, and
no rule of sizes was right on two machines. So some steps are timed with one thread, and with one per free core. They
have their own generators and change no weights: the trial affects only the number of threads, and thereby the rounding
of sums.
"""

import time
from collections.abc import Callable

import torch

from vdd_ros.host.threads import ThreadCount

ROUNDS = 3
WORTH = 0.85
"""Share of one thread's time below which more threads are taken: each occupies a core of the machine."""


class ThreadTrial:
    """Decides between one thread and the chosen number, unless the user set it.

    Attributes:
        chosen: The number, and the reason.
    """

    def __init__(self, chosen: ThreadCount, clock: Callable[[], float] = time.perf_counter) -> None:
        """Take the largest number of threads.

        Args:
            chosen: As `choose_threads` gives it.
            clock: Seconds.
        """
        self.chosen = chosen
        self._clock = clock

    def run(self, step: Callable[[], object]) -> None:
        """Time a training step, and set torch's number of threads.

        Args:
            step: Computes a loss and its gradients; may run any number of times.
        """
        most = self.chosen.threads
        if self.chosen.is_asked or most == 1:
            return
        step()  # the first one allocates
        alone, together = zip(*((self._time(step, 1), self._time(step, most)) for _ in range(ROUNDS)), strict=True)
        threads = most if min(together) < WORTH * min(alone) else 1
        torch.set_num_threads(threads)
        times = f"a step took {1e3 * min(alone):.1f} ms with one thread, {1e3 * min(together):.1f} ms with {most}"
        self.chosen = ThreadCount(threads, f"{times}; {self.chosen.reason}")

    def _time(self, step: Callable[[], object], threads: int) -> float:
        torch.set_num_threads(threads)
        began = self._clock()
        step()
        return self._clock() - began
