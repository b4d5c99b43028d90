"""Example recordings: an operator moves the example arm to a target, with the elbow up or down.

They replace a user's own recordings in the tutorial and in tests: joint states at 100 Hz, a target from a camera at 30
Hz, commands at 20 Hz, waits at both ends, and a lag behind the commands.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vdd_ros import resources
from vdd_ros.bags.types import Encoder
from vdd_ros.bags.writer import BagWriter
from vdd_ros.errors import ConfigurationError, RecordingError
from vdd_ros.files import replacing
from vdd_ros.progress import progress
from vdd_ros.tasks.base import Floats
from vdd_ros.tasks.example_arm.operator import Motion
from vdd_ros.tasks.example_arm.sim import ELBOW_UP, HOME, SUBSTEP_S, SUBSTEPS, follow
from vdd_ros.text import printable

JOINTS = ("shoulder_joint", "elbow_joint")
ROBOT_FILE = "arm.yaml"
MOST_EPISODES = 10_000

_STATES, _TARGET, _COMMANDS = "/joint_states", "/camera/target_pose", "/arm_controller/commands"
_JOINT_STATE, _POSE = "sensor_msgs/msg/JointState", "geometry_msgs/msg/PoseStamped"
_ARRAY = "std_msgs/msg/Float64MultiArray"
_EPOCH_NS = 1_760_000_000_000_000_000
_STEP_NS = round(1e9 * SUBSTEP_S)
_COMMAND_AT, _TARGETS_EVERY = 2, 3
_WAITS = (6, 18)
"""Commands before a motion."""
_NOISE_RAD, _NOISE_M = 2e-4, 2e-4


class Recorded(NamedTuple):
    """The recordings.

    Attributes:
        bags: The bags.
        robot: The robot file.
        elbow_up: Number of bags in which the elbow is up.
    """

    bags: list[Path]
    robot: Path
    elbow_up: int


def record_examples(folder: Path, episodes: int, seed: int = 0) -> Recorded:
    """Write bags `ep_000`, `ep_001`, … and the robot file into a folder.

    Args:
        folder: The folder; it may exist, but must not contain such bags.
        episodes: Number of bags.
        seed: Seed of targets, ways and noise.

    Raises:
        ConfigurationError: A number is out of range.
        RecordingError: A bag is there already, or cannot be written.
    """
    if not 1 <= episodes <= MOST_EPISODES or seed < 0:
        raise ConfigurationError(
            f"--episodes is {episodes} and --seed {seed}; they must be from 1 to {MOST_EPISODES:,}, and 0 or more"
        )
    bags = [folder / f"ep_{number:03}" for number in range(episodes)]
    if there := [bag for bag in bags if bag.exists()]:
        raise RecordingError(f"bag {printable(there[0])} exists already; remove it or name another folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    encoder, up = Encoder(), 0
    with progress(episodes, "recordings", "bag") as bar:
        for number, bag in enumerate(bags):
            motion = Motion(number, seed)
            up += motion.mode == ELBOW_UP
            _record(bag, encoder, motion, _EPOCH_NS + number * 60_000_000_000)
            bar.update()
    with replacing(folder / ROBOT_FILE) as aside:
        shutil.copyfile(resources.path("config/robots/example_arm.yaml"), aside)
    return Recorded(bags, folder / ROBOT_FILE, up)


def _record(bag: Path, encoder: Encoder, motion: Motion, begin_ns: int) -> None:
    random = motion.random
    writer = BagWriter(bag)
    for topic, kind in ((_STATES, _JOINT_STATE), (_TARGET, _POSE), (_COMMANDS, _ARRAY)):
        writer.add_topic(topic, kind)
    for step, (seen, command) in enumerate(_moves(motion)):
        now_ns = begin_ns + step * _STEP_NS
        late_ns = int(random.uniform(0.5e6, 1.5e6))
        writer.write(_STATES, now_ns + late_ns, encoder.joint_state(now_ns, JOINTS, seen))
        if step % _TARGETS_EVERY == 0:
            target_x, target_y = motion.target + _NOISE_M * random.standard_normal(2)
            writer.write(_TARGET, now_ns + late_ns, encoder.pose(now_ns, target_x, target_y))
        if command is not None:
            writer.write(_COMMANDS, now_ns + 2 * late_ns, encoder.numbers(command))
    writer.close()


def _moves(motion: Motion) -> Iterator[tuple[Floats, Floats | None]]:
    """Yield the measured angles every 10 ms, and every 50 ms the operator's command, which holds until the next."""
    random, joints, command = motion.random, np.array(HOME), np.array(HOME)
    waits = SUBSTEPS * random.integers(*_WAITS) + _COMMAND_AT  # a motion begins with a command
    for step in range(2 * int(waits) + round(motion.duration_s / SUBSTEP_S)):
        commands = step % SUBSTEPS == _COMMAND_AT
        if commands:
            command = motion.wanted((step - waits) * SUBSTEP_S)
        yield joints + _NOISE_RAD * random.standard_normal(2), command if commands else None
        joints = follow(joints, command)
