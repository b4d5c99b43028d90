"""A small robot file as its writer types it, and the reason of its refusal."""

import re
from collections.abc import Callable

import pytest

from vdd_ros.errors import RobotFileError

TEXT = """
inputs:
  arm:
    topic: /joint_states
    type: sensor_msgs/msg/JointState
    max_age_s: 0.2
    qos: sensor_data
    entries:
      elbow: {joint: elbow_joint, interface: position, unit: rad}
command:
  topic: /arm/commands
  type: std_msgs/msg/Float64MultiArray
  on_loss: hold
  entries:
    - {name: elbow, action: elbow_go, measured: elbow, unit: rad, low: -1.0, high: 1.0, max_step: 0.05, first_step: 0.1}
"""


def refused(load: Callable[[], object]) -> str:
    """Return why a robot file is refused; no refusal shows a regular expression or more than a screen."""
    with pytest.raises(RobotFileError) as error:
        load()
    message = str(error.value)
    assert not re.search(r"\[a-z|\)\?|\]\*|\(\?", message), message
    assert "\n" not in message
    assert len(message) < 1000
    return message
