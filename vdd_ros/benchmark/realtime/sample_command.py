"""A command as a robot file describes it, for measurements."""

import time
from typing import Any

import numpy as np

from vdd_ros.nodes.ros.messages import command_message
from vdd_ros.robot.channels import set_stamp
from vdd_ros.robot.command_channel import CommandPart
from vdd_ros.robot.commands import Command


def sample_command(command: Command) -> Any:
    """Return a message of the command's type: numbers as near to zero as the limits allow, stamped now."""
    message = command_message(command, 0.0)
    values = [np.clip(0.0, *np.nan_to_num((e.low, e.high))) if e.fixed is None else e.fixed for e in command.entries]
    CommandPart(command, 0).write(np.array(values), message)
    if command.message.stamped:
        set_stamp(message, time.time_ns())
    return message
