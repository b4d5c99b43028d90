"""From actions to commands: what is added, bounded, refused, and done when there is nothing to command."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vdd_ros.policy.counters import Counters
from vdd_ros.policy.limits import CommandLimits
from vdd_ros.policy.robot_messages import CommandChannel, Floats


class Commander:
    """Turns actions into commands that are safe to send.

    Args:
        channel: The command of the robot file.
        counters: Where commands are counted.
        send: Sends a command, (n,) in the units of the robot file; None in shadow mode, where all but that is done.

    Attributes:
        channel: The same.
        limits: What bounds the commands, with counters of its own.
    """

    def __init__(self, channel: CommandChannel, counters: Counters, send: Callable[[Floats], None] | None) -> None:
        self.channel = channel
        self.limits = CommandLimits(channel.low, channel.high, channel.max_step)
        self._counters = counters
        self._send = send
        self._command = np.zeros(len(channel.low))
        self._before = np.zeros_like(self._command)
        self._step_start = np.zeros_like(self._command)
        self._commanding = False

    def restart(self) -> None:
        """Limit the next command afresh, as at the start of an episode."""
        self.limits.restart()

    def command(self, action: NDArray[np.float32], newest: NDArray[np.float32]) -> bool:
        """Bound the command of an action (act_dim,) at an observation (obs_dim,), and send it; return whether it was.

        An action that is not finite is refused, and counts as a loss.
        """
        relative = self.channel.relative
        if relative.all() or (self._commanding and relative.any()):
            self.channel.reference(newest, self._step_start)
            np.copyto(self._step_start, self._before, where=~relative)
            self.limits.restart(self._step_start)
        self.channel.from_action(action, newest, self._command)
        if not self.limits.apply(self._command):
            self.lose()
            return False
        self._before[:] = self._command
        self._commanding = True
        if self._send is None:
            return False
        self._send(self._command)
        self._counters.commands += 1
        return True

    def lose(self) -> None:
        """Do what the robot file wants when there is nothing to command."""
        if self._commanding and self.channel.command.on_loss == "zero":
            self._before.fill(0.0)
            self.limits.restart(self._before)
            if self._send is not None:
                self._send(self._before)

    def stop(self) -> None:
        """End, as at deactivation; a robot that obeys velocities is told to stand still."""
        self.lose()
        self._commanding = False
