"""Episodes: when commanding pauses and resumes, and what happens in between."""

from collections.abc import Callable
from enum import Enum
from threading import Lock


class Phase(Enum):
    """Phase of a policy loop.

    Attributes:
        RUNNING: The policy acts.
        PAUSED: A pause was requested; only a resumption ends it.
        HOMING: The home service has been called, but has not answered yet.
        ENDED: The episode is over, or homing failed; a new episode or a resumption ends this.
    """

    RUNNING = "running"
    PAUSED = "paused"
    HOMING = "homing"
    ENDED = "ended"


class Episodes:
    """The phases of a policy loop; docs/node.md has the diagram.

    Requests come from any thread. They end commanding at once; the next tick does the rest.

    Args:
        stop: Ends commanding, from any thread.
        begin: Begins an episode in the loop, given the time of arrival from which messages count; called by a tick.

    Attributes:
        phase: The present phase.
        reason: Why the loop does not run; empty while it runs.
        failed: Whether it stands still because homing failed.
        astray: Whether the robot may be on its way home: the service was called and has not succeeded, or timed out.
        entered: Called with the name of each entered phase, from any thread: `running` before the first command, the
            others after the last one. None: no listener.
        go_home: Calls the home service without waiting; `homed` takes its answer. None without such a service.
    """

    def __init__(self, stop: Callable[[], None], begin: Callable[[float], None]) -> None:
        self.phase = Phase.RUNNING
        self.reason = ""
        self.failed = self.astray = False
        self.entered: Callable[[str], object] | None = None
        self.go_home: Callable[[], None] | None = None
        self._stop = stop
        self._begin = begin
        self._lock = Lock()
        self._wanted = False  # a new episode, at the next tick
        self._away = False  # the home service has not answered
        self._follows = False  # stands because the commanding node does

    @property
    def running(self) -> bool:
        """Whether the loop acts."""
        return self.phase is Phase.RUNNING

    def start(self) -> None:
        """Run, as at activation, regardless of the earlier phase."""
        with self._lock:
            self._set(Phase.RUNNING)
            self._wanted = self._away = self._follows = self.astray = False

    def pause(self, reason: str) -> None:
        """Stop commanding until `resume`, from any thread."""
        with self._lock:
            self._follows = False
            self._set(Phase.PAUSED, reason)
            self._wanted = False
        self._stop_and_tell()

    def resume(self) -> str:
        """Begin an episode at the robot's present position, from any thread; return the effect in words.

        If the home service has not answered yet, the loop still waits for its answer.
        """
        with self._lock:
            if self.phase is Phase.RUNNING:
                return "it is already running"
            if self._away:
                self._set(Phase.HOMING, "waiting for the robot to reach home")
                self._tell()
                return self.reason
            self._wanted = True
            return "an episode begins with the next tick"

    def new_number(self, since_s: float) -> None:
        """Take a new episode's number, in a tick: begin the episode, after homing if there is a home service.

        Args:
            since_s: Arrival time from which messages count: older queued ones belong to another episode.
        """
        with self._lock:
            if self.phase in (Phase.PAUSED, Phase.HOMING):
                return
            home = self._leave("a new episode was announced")
            if home is None:
                self._set(Phase.RUNNING)
        if home is None:
            self._begin(since_s)
        else:
            self._stop_and_tell()
            home()

    def end(self, reason: str) -> None:
        """Take the end of the task: the robot homes, or stands still until the next episode."""
        with self._lock:
            if self.phase is not Phase.RUNNING:
                return
            home = self._leave(reason)
            if home is None:
                self._set(Phase.ENDED, f"the episode is over: {reason}")
        self._stop_and_tell()
        if home is not None:
            home()

    def send_home(self, reason: str) -> str:
        """Call the home service in any phase, from any thread; return the effect in words."""
        with self._lock:
            if self._away:
                self._set(Phase.HOMING, "waiting for the robot to reach home")
                self._tell()
                return "the robot is already homing"
            home = self._leave(reason)
        if home is None:
            return "the robot file names no home service"
        self._stop_and_tell()
        home()
        return "the home service has been called; an episode begins once it has answered"

    def follow(self, phase: str, since_s: float) -> None:
        """Take a phase of the commanding node, in a tick: a shadow stands still while that node does.

        Args:
            phase: Its name.
            since_s: Arrival time from which messages count if it begins an episode.

        Raises:
            ValueError: There is no such phase.
        """
        entered = Phase(phase)
        with self._lock:
            if not (self._follows or self.phase is Phase.RUNNING) or entered is self.phase:
                return
            self._follows = entered is not Phase.RUNNING
            self._wanted = False
            self._set(entered, f"the commanding node is {phase}" if self._follows else "")
        if self._follows:
            self._stop_and_tell()
        else:
            self._begin(since_s)

    def homed(self, failure: str) -> None:
        """Take the home service's answer, from any thread; `failure` is its error, empty after success."""
        with self._lock:
            if not self._away:
                return
            self._away, self.astray = False, bool(failure)
            if self.phase is not Phase.HOMING:
                if failure:  # an operator who resumes should know the robot's position
                    self.failed = True
                    self.reason += f"; the robot did not reach home: {failure}"
                return
            if failure:
                self._set(Phase.ENDED, f"the robot did not reach home: {failure}", failed=True)
                self._tell()
            else:
                self._wanted = True

    def give_up_home(self) -> None:
        """Expect no answer of the home service, as at deactivation, once the robot has been stopped."""
        with self._lock:
            self._away = self.astray = False

    def advance(self, now_s: float) -> bool:
        """Return whether the loop acts in this tick; begin the requested phase."""
        if self.phase is Phase.RUNNING:
            return True
        with self._lock:
            if not self._wanted:
                return False
            self._wanted = False
            self._set(Phase.RUNNING)
        self._begin(now_s)
        return True

    def _leave(self, reason: str) -> Callable[[], None] | None:
        """Enter homing if there is a home service; return the function that calls it once commanding has ended."""
        if self.go_home is not None:
            self._set(Phase.HOMING, f"waiting for the robot to reach home: {reason}")
            self._away = self.astray = True
            self._wanted = False
        return self.go_home

    def _set(self, phase: Phase, reason: str = "", *, failed: bool = False) -> None:
        self.phase, self.reason, self.failed = phase, reason, failed
        if phase is Phase.RUNNING:
            self._tell()

    def _stop_and_tell(self) -> None:
        """End commanding in a phase that was set, then tell the phase: a tick may send its command until then."""
        self._stop()
        with self._lock:
            self._tell()

    def _tell(self) -> None:
        if self.entered is not None:
            self.entered(self.phase.value)
