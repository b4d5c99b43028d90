"""The sink for commands, and each command's fail-safe."""

from typing import Protocol

import numpy as np

from vdd_ros.robot.command_channel import CommandChannel, Floats

Parts = tuple[int, ...]
"""Indices of commands in the robot file."""


class Sender(Protocol):
    """The sink for commands; called within the tick, so implementations should allocate little."""

    def command(self, values: Floats, parts: Parts) -> None:
        """Send these commands, of the numbers of all, (n,), in the units of the robot file."""
        ...

    def trajectory(self, values: Floats, parts: Parts) -> None:
        """Send these commands, of the numbers (m, n): the first row is due now, each next one a period later.

        A command without chunks gets the first row.
        """
        ...

    def dry_run(self, values: Floats) -> None:
        """Dry-run `command`: send nothing."""
        ...

    def request_stop(self) -> None:
        """Call each `loss_service` of the robot file until it succeeds."""
        ...

    def cancel_request(self) -> None:
        """Stop calling them."""
        ...

    def cancel_goals(self) -> None:
        """Cancel the goals of the robot file's actions; called only if it has any."""
        ...


class FailSafe:
    """Applies each command's own `on_loss`.

    Args:
        channel: The commands of the robot file.
        sender: Where commands go.

    Attributes:
        cut: The commands whose trajectories are cut off: those with chunks that are not set to zero.
    """

    def __init__(self, channel: CommandChannel, sender: Sender) -> None:
        commands = [part.command for part in channel.parts]
        self._sender = sender
        self._zeroed = tuple(i for i, command in enumerate(commands) if command.on_loss == "zero")
        self.cut = tuple(i for i, command in enumerate(commands) if command.on_loss != "zero" and command.takes_chunks)
        self._has_goals = any(command.message.is_action for command in commands)
        self._calls = any(command.on_loss == "call" for command in commands)
        self._zeros = np.zeros(len(channel.entries))

    def begin(self, due: Floats | None) -> None:
        """Cut off trajectories, cancel goals and request the services' calls, once per fail-safe.

        Args:
            due: The present point of a trajectory in progress, (n,); None if none is in progress.
        """
        if due is not None and self.cut:
            self._sender.trajectory(due[None], self.cut)
        if self._has_goals:
            self._sender.cancel_goals()
        if self._calls:
            self._sender.request_stop()

    def repeat(self) -> None:
        """Send zeros to the commands with `on_loss: zero`, at each call."""
        if self._zeroed:
            self._sender.command(self._zeros, self._zeroed)
