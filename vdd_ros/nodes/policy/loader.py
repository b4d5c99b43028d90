"""Loads policy files beside the node, one at a time, with a deadline for the whole of it."""

from collections.abc import Callable
from threading import Event, Lock, Thread, Timer
from typing import Any

from vdd_ros.errors import ConfigurationError
from vdd_ros.nodes.policy.loading import LoadedPolicy
from vdd_ros.nodes.ros.leaving import asked_to_leave

POLL_S = 0.05
STILL_LOADING = (
    "a file is still loading past its time limit: the load cannot be interrupted; call again when it has "
    "ended, or restart the process"
)


class Loader:
    """Runs one load at a time in a thread of its own, which the end of the process does not wait for.

    Native code that reads a file, or builds engines, cannot be stopped. What can be given up is the wait for it: its
    result is then thrown away when it comes, and until then nothing else is loaded.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._running = False

    def begin(
        self, load: Callable[[], LoadedPolicy], timeout_s: float, settle: Callable[[LoadedPolicy | Exception], object]
    ) -> None:
        """Load.

        Args:
            load: Loads.
            timeout_s: How long it may take.
            settle: Told once, from whatever thread, what was loaded or why nothing was.

        Raises:
            ConfigurationError: A load that was given up has not ended.
        """
        with self._lock:
            if self._running:
                raise ConfigurationError(STILL_LOADING)
            self._running = True
        settled = _Once(settle)
        timer = Timer(timeout_s, settled, (_too_slow(timeout_s),))
        timer.daemon = True

        def run() -> None:
            try:
                result: LoadedPolicy | Exception = load()
            except Exception as error:  # whatever it is, the caller has to hear of it
                result = error
            self._running = False
            timer.cancel()
            if not settled(result) and isinstance(result, LoadedPolicy):
                result.active.chunks.close()

        timer.start()
        Thread(target=run, daemon=True, name="load_policy").start()

    def load(self, load: Callable[[], LoadedPolicy], timeout_s: float) -> LoadedPolicy:
        """Load and wait for it, but not once the process is asked to leave.

        Raises:
            ConfigurationError: It took too long, or the process is to leave.
            VddError: What `load` raises.
        """
        came = Event()
        results: list[Any] = []

        def settle(result: Any) -> None:
            results.append(result)
            came.set()

        self.begin(load, timeout_s, settle)
        while not came.wait(POLL_S):
            if asked_to_leave():
                raise ConfigurationError("loading was given up, because the process was asked to leave")
        if isinstance(results[0], Exception):
            raise results[0]
        loaded: LoadedPolicy = results[0]
        return loaded


class _Once:
    """Hands the first of several results on."""

    def __init__(self, settle: Callable[[Any], object]) -> None:
        self._settle = settle
        self._lock = Lock()
        self._settled = False

    def __call__(self, result: Any) -> bool:
        """Hand a result on, and return True, if it is the first."""
        with self._lock:
            if self._settled:
                return False
            self._settled = True
        self._settle(result)
        return True


def _too_slow(timeout_s: float) -> ConfigurationError:
    return ConfigurationError(
        f"loading took longer than {timeout_s:g} s and was given up (parameter load_timeout_s); give it longer, or let "
        "`vdd prebuild` build TensorRT's engines before"
    )
