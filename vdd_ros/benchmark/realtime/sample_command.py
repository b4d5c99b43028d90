"""A command such as a robot file describes, for measurements that publish one."""

import time
from typing import Any

import numpy as np

from vdd_ros.nodes.ros.messages import command_message
from vdd_ros.robot.channels import set_stamp
from vdd_ros.robot.commands import Command


def sample_command(command: Command) -> Any:
    """Return a message of the command's type: each number as near to zero as its limits allow, stamped now."""
    message = command_message(command, 0.0)
    values = [np.clip(0.0, entry.low, entry.high) for entry in command.entries]
    command.layout.write(np.array(values), message)
    if command.message.stamped:
        set_stamp(message, time.time_ns())
    return message
