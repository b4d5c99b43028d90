"""ROS nodes as child processes: started together, watched, ended in order."""

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from vdd_ros import middleware
from vdd_ros.errors import ProcessError
from vdd_ros.running.ros_domains import take_domain

STOP_DEADLINE_S = 10.0
PR_SET_PDEATHSIG = 1
LOG_LINES = 15


def ending_with_parent() -> Callable[[], None] | None:
    """Return a function that makes a child process get SIGTERM when its parent dies; None if the system cannot."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up here, since a child must not load anything between fork and exec

    def bind() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    return bind


class NodeProcesses:
    """Nodes of one ROS domain.

    Leaving the context ends the remaining ones, the last started first: SIGINT, and SIGKILL after a deadline. They run
    in separate sessions, so that Ctrl-C in a terminal reaches only the process that ends them in order.

    Args:
        logs: Existing folder for one log per node.
        domain_id: ROS domain; None for an unused one on this machine.
        isolated: Whether only this machine sees the nodes; otherwise domain and discovery are those of the environment.
        bound: Whether the nodes end if this process dies, so that no robot moves unattended.

    Raises:
        ProcessError: All domains are in use.
        ConfigurationError: The environment requests a missing middleware.
    """

    def __init__(self, logs: Path, domain_id: int | None = None, *, isolated: bool = True, bound: bool = False) -> None:
        middleware.check()
        self._isolated = isolated
        self._bind = ending_with_parent() if bound else None
        self._logs = logs
        self._domain_id = domain_id
        self._locks: list[int] = []
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._environment = os.environ | {"ROS_LOG_DIR": str(logs), "PYTHONUNBUFFERED": "1"}
        if isolated:
            self._environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        # The wheels of ROS leave this unset; an installation sets it.
        self._environment.setdefault("AMENT_PREFIX_PATH", sys.prefix)

    @property
    def pids(self) -> dict[str, int]:
        """Process number of each running node."""
        return {name: process.pid for name, process in self._running.items()}

    def start(self, name: str, module: str, parameter_file: Path | None, **parameters: Any) -> None:
        """Start a node.

        Args:
            name: Name of the node.
            module: Module that runs it, such as `vdd_ros.nodes.policy_node`.
            parameter_file: YAML with parameters; None for the node's defaults.
            parameters: Values that override those of the file.
        """
        given = [word for key, value in parameters.items() for word in ("-p", f"{key}:={json.dumps(value)}")]
        command = [sys.executable, "-m", module, "--ros-args", "-r", f"__node:={name}"]
        command += [*([] if parameter_file is None else ["--params-file", str(parameter_file)]), *given]
        with self._log(name).open("wb") as log:
            self._running[name] = subprocess.Popen(
                command,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=self._locks,
                preexec_fn=self._bind,  # noqa: PLW1509 - it only calls the kernel
            )

    def exit_codes(self) -> dict[str, int]:
        """Return the exit code of each node that has ended by itself."""
        codes = {name: process.poll() for name, process in self._running.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def ended(self, name: str) -> bool:
        """Return whether a node has ended; raises ProcessError if any node ended by itself with an error."""
        for other, process in self._running.items():
            code = process.poll()
            if code is not None and (code != 0 or other != name):
                raise self.error(other, code)
        return self._running[name].poll() is not None

    def stop(self, name: str) -> int:
        """End a node by SIGINT, after a deadline by SIGKILL, and return its exit code."""
        process = self._running[name]
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            code = process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        del self._running[name]
        return code

    def stop_well(self, name: str) -> None:
        """End a node; raises ProcessError if its exit code is not 0."""
        if (code := self.stop(name)) != 0:
            raise self.error(name, code)

    def output(self, name: str) -> str:
        """Return the log of a node so far."""
        return self._log(name).read_text(encoding="utf-8", errors="replace")

    def error(self, name: str, code: int) -> ProcessError:
        """Return the error of a node that ended with an exit code, with the end of its log."""
        tail = "\n".join(f"  {line}" for line in self.output(name).splitlines()[-LOG_LINES:])
        return ProcessError(f"{name} ended with exit code {code}; the end of its log {self._log(name)}:\n{tail}")

    def __enter__(self) -> "NodeProcesses":
        domain = self._domain_id
        if domain is None and self._isolated:
            domain, handle = take_domain()
            self._locks.append(handle)
        if domain is not None:
            self._environment["ROS_DOMAIN_ID"] = str(domain)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in reversed(list(self._running)):
            self.stop(name)
        while self._locks:
            os.close(self._locks.pop())

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"
