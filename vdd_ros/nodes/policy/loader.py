"""Loads policy files in the background, one at a time, with a time limit."""

from collections.abc import Callable
from threading import Event, Lock, Thread, Timer
from typing import Any

from vdd_ros.errors import ConfigurationError
from vdd_ros.nodes.policy.loading import LoadedPolicy
from vdd_ros.nodes.ros.leaving import asked_to_leave
from vdd_ros.policy import trial

POLL_S = 0.05
LOADING = "load_policy"
"""Name of the thread that loads."""
STILL_LOADING = (
    "a file is still loading past its time limit: the load cannot be interrupted; call again when it has "
    "ended, or restart the process"
)


class Loader:
    """Runs one load at a time in a daemon thread.

    Native code that reads a file or builds engines cannot be interrupted. On timeout the wait ends, the late result is
    discarded, and until it arrives nothing else is loaded.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._running = False

    @property
    def running(self) -> bool:
        """Whether a load runs, possibly past its time limit."""
        return self._running

    def check_ticks(self) -> None:
        """Raise ConfigurationError if a running load would stop ticks that begin now."""
        if self._running and trial.opening_stops_python():
            raise ConfigurationError(
                f"a policy file is being loaded, and {trial.STOPS_TICKS}: activate again afterwards"
            )

    def begin(
        self, load: Callable[[], LoadedPolicy], timeout_s: float, settle: Callable[[LoadedPolicy | Exception], object]
    ) -> None:
        """Start a load in the background.

        Args:
            load: Does the load.
            timeout_s: Time limit in seconds.
            settle: Called once, from any thread, with the result or the error.

        Raises:
            ConfigurationError: An earlier load exceeded its time limit and is still running.
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
            except Exception as error:  # the caller must learn of any error
                result = error
            self._running = False
            timer.cancel()
            if not settled(result) and isinstance(result, LoadedPolicy):
                result.active.chunks.close()

        timer.start()
        Thread(target=run, daemon=True, name=LOADING).start()

    def load(self, load: Callable[[], LoadedPolicy], timeout_s: float) -> LoadedPolicy:
        """Load and wait, unless the process is asked to exit.

        Raises:
            ConfigurationError: The load timed out, or the process was asked to exit.
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
                raise ConfigurationError("loading was aborted, because the process was asked to exit")
        if isinstance(results[0], Exception):
            raise results[0]
        loaded: LoadedPolicy = results[0]
        return loaded


class _Once:
    """Forwards only the first of several results."""

    def __init__(self, settle: Callable[[Any], object]) -> None:
        self._settle = settle
        self._lock = Lock()
        self._settled = False

    def __call__(self, result: Any) -> bool:
        """Forward the result if it is the first; return whether it was."""
        with self._lock:
            if self._settled:
                return False
            self._settled = True
        self._settle(result)
        return True


def _too_slow(timeout_s: float) -> ConfigurationError:
    return ConfigurationError(
        f"loading took longer than {timeout_s:g} s and was aborted (parameter load_timeout_s); allow more time, or "
        "build TensorRT's engines in advance with `vdd prebuild`"
    )
