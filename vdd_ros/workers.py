"""Work in other processes: a pool on this machine, or tasks on a Ray cluster. Results arrive as they become ready.

A task is a module-level function and one payload, both picklable. Exceptions are results too. A task whose worker died
(killed, out of memory, its machine gone) is run again, up to `ATTEMPTS` times in all. Only the submitting process, the
driver, receives results and writes them.
"""

import os
import pickle
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from typing import Any, Protocol

from vdd_ros.console import tell
from vdd_ros.errors import ConfigurationError, ProcessError, VddError

ATTEMPTS = 3
"""Attempts at a task whose workers die."""
MOST_JOBS = 1024
"""Limit on the processes of one machine; more are surely a mistake."""
RAY_LOCAL = "local"
"""Name of a Ray cluster that this command starts and stops on this machine."""
_NUMBER = "VDD_ROS_WORKER"

Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Result:
    """Result of a task.

    Attributes:
        key: The task's name.
        value: Return value of the function; None after a failure.
        failure: The failure in words; None after a success.
        details: The traceback of a failure.
    """

    key: str
    value: Any = None
    failure: str | None = None
    details: str = ""


class Workers(Protocol):
    """A pool that runs tasks."""

    def submit(self, key: str, function: Function, payload: object) -> None:
        """Queue a task.

        Args:
            key: Its name, different from those of all unfinished tasks.
            function: A module-level function, called with the payload in a worker.
            payload: Its argument; it must be picklable.
        """

    def results(self) -> Iterator[Result]:
        """Yield results as they become ready, until no task is left; more may be submitted in between."""


@contextmanager
def workers(
    jobs: int = 1, ray: str | None = None, *, gpus: bool = False, threads: int | None = None
) -> Iterator[Workers]:
    """Provide workers while the block runs; an interrupted block interrupts the tasks, which save checkpoints.

    Args:
        jobs: Processes at a time. One without Ray: this process does the work itself.
        ray: None for processes of this machine; `local` for a Ray cluster of `jobs` processes on this machine that ends
            with the block; `auto` for the cluster that `ray start` started here; otherwise a cluster's address.
        threads: Threads of each worker; None: the workers of a machine share its cores evenly. Has no effect on this
            process.
        gpus: Give each Ray task one of the cluster's GPUs, if it has any.

    Raises:
        ConfigurationError: `jobs` is below 1 or above `MOST_JOBS`, or there is no such cluster.
        ModuleNotFoundError: Ray is not installed.
    """
    if not 1 <= jobs <= MOST_JOBS:
        raise ConfigurationError(f"--jobs is {jobs}; it must be from 1 to {MOST_JOBS}")
    if ray is not None:
        from vdd_ros.ray_workers import ray_workers

        with ray_workers(jobs, ray, gpus=gpus, threads=threads) as cluster:
            yield cluster
    elif jobs == 1:
        yield InProcess()
    else:
        with process_pool(jobs, threads) as pool:
            yield pool


def attempt(key: str, function: Function, payload: object) -> Result:
    """Run a task here; exceptions other than interruptions become its result."""
    try:
        return Result(key, function(payload))
    except Exception as error:
        known = isinstance(error, (VddError, OSError))
        return Result(key, failure=f"{key}: {error if known else repr(error)}", details=traceback.format_exc())


def _attempt_here(key: str, function: Function, payload: object) -> Result:
    """Run a task as `attempt` does; a call of sys.exit is a failure of the task and does not end this process."""
    try:
        return attempt(key, function, payload)
    except SystemExit as error:
        return Result(key, failure=f"{key}: it called sys.exit({error.code!r})", details=traceback.format_exc())


def packed(result: Result) -> bytes:
    """Return a result as bytes for the driver; a value that cannot be pickled becomes a failure."""
    try:
        return pickle.dumps(result)
    except Exception as error:  # another package's class may raise anything
        why = f"{result.key}: its result cannot be sent: {error!r}"
        return pickle.dumps(Result(result.key, failure=why, details=traceback.format_exc()))


def unpacked(key: str, content: bytes) -> Result:
    """Return the result packed by our own worker; a value that cannot be unpickled here becomes a failure."""
    try:
        result: Result = pickle.loads(content)
    except Exception as error:  # another package's class may raise anything
        return Result(key, failure=f"{key}: its result cannot be read: {error!r}", details=traceback.format_exc())
    return result


def run_all(
    pool: Workers, function: Function, payloads: Mapping[str, object], ended: Callable[[str], None] = lambda key: None
) -> list[Any]:
    """Run a function on many payloads, in an otherwise idle pool.

    Args:
        pool: The workers.
        function: A module-level function.
        payloads: By the name of the task.
        ended: Called with the name of each task that has ended.

    Returns:
        The return values, in the order of the payloads.

    Raises:
        ProcessError: A task failed.
    """
    for key, payload in payloads.items():
        pool.submit(key, function, payload)
    values: dict[str, Any] = {}
    for result in pool.results():
        if result.failure is not None:
            raise ProcessError(result.failure)
        values[result.key] = result.value
        ended(result.key)
    return [values[key] for key in payloads]


def shares(count: int, size: int) -> list[range]:
    """Return the numbers 0 to count - 1 in ranges of `size`; the last may be shorter."""
    return [range(first, min(first + size, count)) for first in range(0, count, size)]


class InProcess:
    """Does the work in this process, in the order of submission, when the next result is requested."""

    def __init__(self) -> None:
        self._queue: deque[tuple[str, Function, object]] = deque()

    def submit(self, key: str, function: Function, payload: object) -> None:
        """See `Workers`."""
        self._queue.append((key, function, payload))

    def results(self) -> Iterator[Result]:
        """See `Workers`."""
        while self._queue:
            yield _attempt_here(*self._queue.popleft())


@dataclass
class Task:
    """A task and the number of its attempts."""

    key: str
    function: Function
    payload: object
    attempts: int = field(default=0)

    def worker_died(self) -> Result | None:
        """Report the death of the task's worker; return a result if the task is not retried."""
        why = f"{self.key}: its worker died {self.attempts} times; it may have run out of memory"
        if self.attempts >= ATTEMPTS:
            return Result(self.key, failure=why)
        tell(f"{self.key}: its worker died; it runs again")
        return None


class _Slot:
    """One process of a pool. Each has its own executor, so that a death affects only one task."""

    def __init__(self, number: int, threads: int) -> None:
        self._executor = ProcessPoolExecutor(1, get_context("spawn"), _begin_worker, (number, threads))
        self._pid = self._executor.submit(os.getpid)

    def start(self, task: Task) -> "Future[bytes]":
        future = self._executor.submit(_attempt_in_worker, task.key, task.function, task.payload)
        task.attempts += 1
        return future

    def interrupt(self) -> None:
        """Request an orderly end, as an external signal does."""
        with suppress(BrokenProcessPool, ProcessLookupError):
            os.kill(self._pid.result(), signal.SIGTERM)

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)


class ProcessPool:
    """Processes of this machine. They start when there is work for them, and share its cores evenly."""

    def __init__(self, jobs: int, threads: int | None = None) -> None:
        self._threads = threads or max(1, len(os.sched_getaffinity(0)) // jobs)
        self._slots: list[_Slot | None] = [None] * jobs
        self._queue: deque[Task] = deque()
        self._running: dict[Future[bytes], tuple[int, Task]] = {}

    def submit(self, key: str, function: Function, payload: object) -> None:
        """See `Workers`."""
        self._queue.append(Task(key, function, payload))
        self._fill()

    def results(self) -> Iterator[Result]:
        """See `Workers`."""
        while self._running:
            for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                number, task = self._running.pop(future)
                result = self._result(future, number, task)
                self._fill()
                if result is not None:
                    yield result

    def _fill(self) -> None:
        busy = {number for number, _ in self._running.values()}
        free = [number for number in range(len(self._slots)) if number not in busy]
        for number in free[: len(self._queue)]:
            task = self._queue.popleft()
            self._running[self._start(number, task)] = number, task

    def _start(self, number: int, task: Task) -> "Future[bytes]":
        slot = self._slots[number] = self._slots[number] or _Slot(number, self._threads)
        try:
            return slot.start(task)
        except BrokenProcessPool:  # it died while idle
            self._drop(number)
            slot = self._slots[number] = _Slot(number, self._threads)
            return slot.start(task)

    def _result(self, future: "Future[bytes]", number: int, task: Task) -> Result | None:
        """Return a result, or None if the task is to be run again."""
        try:
            return unpacked(task.key, future.result())
        except BrokenProcessPool:
            self._drop(number)
            result = task.worker_died()
            if result is None:
                self._queue.appendleft(task)
            return result
        except KeyboardInterrupt:  # the worker was terminated in order, but not by this process
            return Result(task.key, failure=f"{task.key}: its worker was terminated")
        except Exception as error:  # the payload cannot be pickled
            return Result(task.key, failure=f"{task.key}: {error!r}")

    def _drop(self, number: int) -> None:
        if (slot := self._slots[number]) is not None:
            slot.close()
        self._slots[number] = None

    def interrupt(self) -> None:
        """Interrupt running tasks."""
        self._queue.clear()
        for number, _ in self._running.values():
            if (slot := self._slots[number]) is not None:
                slot.interrupt()

    def close(self) -> None:
        """Wait for running tasks, and end the processes."""
        for number in range(len(self._slots)):
            self._drop(number)


@contextmanager
def process_pool(jobs: int, threads: int | None = None) -> Iterator[ProcessPool]:
    """Provide a pool of processes while the block runs; an interrupted block interrupts the tasks."""
    pool = ProcessPool(jobs, threads)
    try:
        yield pool
    except BaseException:
        pool.interrupt()
        raise
    finally:
        pool.close()


def worker_number() -> int:
    """Return the number of this worker among those of a pool on this machine, from 0; 0 elsewhere."""
    return int(os.environ.get(_NUMBER, "0"))


def _begin_worker(number: int, threads: int) -> None:
    """Initialise a process of a pool: its share of the cores, no progress bars, no Ctrl-C; it ends with the driver."""
    os.setsid()  # the driver forwards an interruption, once
    os.environ |= {_NUMBER: str(number), "OMP_NUM_THREADS": str(threads), "TQDM_DISABLE": "1"}
    threading.Thread(target=_end_with_driver, daemon=True).start()


def _end_with_driver() -> None:
    """End this process cleanly once the driver has ended for any reason."""
    if (driver := parent_process()) is not None:
        driver.join(None)
        os.kill(os.getpid(), signal.SIGTERM)


def _attempt_in_worker(key: str, function: Function, payload: object) -> bytes:
    try:
        return packed(_attempt_here(key, function, payload))
    finally:
        driver = parent_process()
        if driver is not None and not driver.is_alive():  # nobody is waiting for the result
            os._exit(1)
