"""Tasks on a Ray cluster; see `vdd_ros.workers`. The only module that needs Ray."""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray import exceptions

from vdd_ros.errors import ConfigurationError
from vdd_ros.text import printable
from vdd_ros.workers import RAY_LOCAL, Function, Result, Task, attempt, packed, unpacked

REACH_S = 10.0
"""Time limit for a cluster's first answer, seconds."""
CANCEL_S = 60.0
"""Time limit for interrupted tasks to save their progress, seconds."""


class RayWorkers:
    """Runs each task in a worker of the cluster that this process is connected to.

    Args:
        gpus: GPUs that each task gets.
    """

    def __init__(self, gpus: int) -> None:
        # Deaths are counted here, as for other workers; Ray itself would retry silently.
        self._attempt = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(_attempt)
        self._running: dict[Future[bytes], tuple[Any, Task]] = {}

    def submit(self, key: str, function: Function, payload: object) -> None:
        """See `Workers`."""
        self._begin(Task(key, function, payload))

    def _begin(self, task: Task) -> None:
        task.attempts += 1
        reference = self._attempt.remote(task.key, task.function, task.payload)
        self._running[reference.future()] = reference, task

    def results(self) -> Iterator[Result]:
        """See `Workers`."""
        while self._running:  # not by ray.wait, which would turn every signal into Ctrl-C
            for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                _, task = self._running.pop(future)
                if (result := self._result(future, task)) is not None:
                    yield result

    def _result(self, future: "Future[bytes]", task: Task) -> Result | None:
        """Return a result, or None if the task is run again."""
        try:
            return unpacked(task.key, future.result())
        except (exceptions.RayTaskError, exceptions.TaskCancelledError) as error:  # not picklable, or interrupted
            return Result(task.key, failure=f"{task.key}: {getattr(error, 'cause', None) or error}")
        except exceptions.RayError:  # the worker or its machine died
            if (result := task.worker_died()) is None:
                self._begin(task)
            return result

    def interrupt(self) -> None:
        """Interrupt running tasks, and wait until they have saved their progress."""
        for reference, _ in self._running.values():
            ray.cancel(reference, force=False)
        wait(self._running, CANCEL_S)


def _attempt(key: str, function: Function, payload: object) -> bytes:
    return packed(attempt(key, function, payload))


@contextmanager
def ray_workers(jobs: int, address: str, *, gpus: bool, threads: int | None = None) -> Iterator[RayWorkers]:
    """Connect to a cluster while the block runs; see `vdd_ros.workers.workers`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    local = address == RAY_LOCAL
    variables = {"TQDM_DISABLE": "1"}
    if local:  # workers get this process's import path and priority, and share the cores of the machine evenly
        os.environ.setdefault("RAY_worker_niceness", "0")  # else 15: hardly any time beside other work
        threads = threads or max(1, len(os.sched_getaffinity(0)) // jobs)
        variables |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if threads is not None:
        variables |= {"OMP_NUM_THREADS": str(threads)}
    where: dict[str, Any] = {"num_cpus": jobs, "include_dashboard": False} if local else {"address": address}
    with _own_handlers():
        try:
            _check_reachable(address)
            ray.init(**where, runtime_env={"env_vars": variables}, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, ValueError, RuntimeError) as error:
            raise ConfigurationError(
                f"--ray {printable(address)}: there is no such Ray cluster ({printable(error)}); start one with 'ray "
                f"start --head', or give --ray {RAY_LOCAL}"
            ) from error
    try:
        cluster = RayWorkers(1 if gpus and ray.cluster_resources().get("GPU", 0) >= 1 else 0)
        try:
            yield cluster
        except BaseException:
            with suppress(exceptions.RayError):
                cluster.interrupt()
            raise
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raise OSError if nothing listens at HOST:PORT, ValueError for another address; Ray itself tries for minutes."""
    if address in (RAY_LOCAL, "auto"):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ValueError("an address is HOST:PORT")
    socket.create_connection((host.rpartition("/")[2].strip("[]"), int(port)), timeout=REACH_S).close()


@contextmanager
def _own_handlers() -> Iterator[None]:
    """Restore this process's SIGTERM handler; Ray's would raise SystemExit."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
