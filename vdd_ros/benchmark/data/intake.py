"""Intake of some joints of a JointState: by field, and of the whole message with rclpy."""

from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from vdd_ros.benchmark.data.recording import JOINT_STATE, joint_state
from vdd_ros.nodes.ros.messages import message_class
from vdd_ros.nodes.ros.schemas import message_format
from vdd_ros.robot.channels import stamp_ns
from vdd_ros.robot.layouts import JointLayout
from vdd_ros.robot.raw_messages import Read, numbers_of

JOINTS, ASKED_FOR = 30, 6
CALLS = 1000
_MESSAGES = 50


def by_turns(rounds: int) -> NDArray[np.float64]:
    """Return the seconds that one message takes, (2, rounds): by field, and deserialised by rclpy.

    Both read the stamp and the positions of `ASKED_FOR` joints of `JOINTS` from the same bytes.
    """
    from rclpy.serialization import deserialize_message

    random = np.random.default_rng(0)
    contents = [joint_state(JOINTS, random) for _ in range(_MESSAGES)]
    layout = JointLayout([(f"joint_{5 * number + 1}", "position") for number in range(ASKED_FOR)])
    kind = message_class(JOINT_STATE)

    def as_a_whole(content: bytes, out: NDArray[np.float64]) -> int | None:
        message = deserialize_message(content, kind)
        layout.read(message, out)
        return stamp_ns(message)

    reads: tuple[Read, Read] = numbers_of(message_format(JOINT_STATE), layout, as_a_whole), as_a_whole
    found = np.empty((len(reads), rounds))
    for turn in range(rounds):
        for row, read in enumerate(reads):
            found[row, turn] = _seconds(read, contents)
    return found


def _seconds(read: Read, contents: list[bytes]) -> float:
    out = np.empty(ASKED_FOR)
    began = perf_counter()
    for call in range(CALLS):
        read(contents[call % _MESSAGES], out)
    return (perf_counter() - began) / CALLS
