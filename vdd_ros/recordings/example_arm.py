"""Example recordings: an operator moves a planar arm of two joints to a target, with the elbow up or down.

The arm is simulated. It stands for a robot of one's own in the tutorial and in tests: joint states at 100 Hz, a target
from a camera at 30 Hz, commands at 20 Hz, waits at both ends, and a lag behind the commands.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vdd_ros.bags.types import Encoder
from vdd_ros.bags.writer import BagWriter
from vdd_ros.errors import ConfigurationError, RecordingError
from vdd_ros.files import replacing
from vdd_ros.progress import progress
from vdd_ros.text import printable

JOINTS = ("shoulder_joint", "elbow_joint")
UPPER, LOWER = 0.40, 0.35
"""Lengths of the links in m."""
HOME = (math.pi / 2, 0.0)
ROBOT_FILE = "arm.yaml"
MOST_EPISODES = 10_000

_STATES, _TARGET, _COMMANDS = "/joint_states", "/camera/target_pose", "/arm_controller/commands"
_JOINT_STATE, _POSE = "sensor_msgs/msg/JointState", "geometry_msgs/msg/PoseStamped"
_ARRAY = "std_msgs/msg/Float64MultiArray"
_EPOCH_NS = 1_760_000_000_000_000_000
_STEP_NS = 10_000_000
_COMMANDS_EVERY, _TARGETS_EVERY = 5, 3
_LAG_S, _MOVES_S, _WAITS_S = 0.06, 2.5, 0.6
_NOISE = 2e-4

_ROBOT = f"""# Robot file of the example recordings: a planar arm of two joints (docs/your_robot.md).
name: example_arm
rate_hz: 20

inputs:
  joints:
    topic: {_STATES}
    type: {_JOINT_STATE}
    max_age_s: 0.2
    entries:
      shoulder: {{joint: shoulder_joint, interface: position, unit: rad}}
      elbow: {{joint: elbow_joint, interface: position, unit: rad}}
  target:
    topic: {_TARGET}
    type: {_POSE}
    max_age_s: 0.5
    entries:
      target_x: {{field: pose.position.x, unit: m}}
      target_y: {{field: pose.position.y, unit: m}}

command:
  topic: {_COMMANDS}
  type: {_ARRAY}
  on_loss: hold
  entries:
    - name: shoulder_joint
      action: shoulder_target
      measured: shoulder
      unit: rad
      low: -1.0
      high: 4.0
      max_step: 0.2
    - {{name: elbow_joint, action: elbow_target, measured: elbow, unit: rad, low: -2.8, high: 2.8, max_step: 0.2}}

demonstrations:
  trim: {{until: first_motion, after_s: 0.5}}
"""


class Recorded(NamedTuple):
    """What was recorded.

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
        folder: The folder; it may exist, but not hold such bags.
        episodes: Number of bags.
        seed: Of targets, ways and noise.

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
            random = np.random.default_rng([seed, number])
            elbow_up = number % 2 == 0
            up += elbow_up
            _record(bag, encoder, random, elbow_up, _EPOCH_NS + number * 60_000_000_000)
            bar.update()
    with replacing(folder / ROBOT_FILE) as aside:
        aside.write_text(_ROBOT, encoding="utf-8")
    return Recorded(bags, folder / ROBOT_FILE, up)


def joint_angles(x: float, y: float, *, elbow_up: bool) -> tuple[float, float]:
    """Return the angles in rad at which the arm's end is at a place in m, by the law of cosines."""
    cosine = (x * x + y * y - UPPER**2 - LOWER**2) / (2 * UPPER * LOWER)
    elbow = math.acos(min(max(cosine, -1.0), 1.0)) * (-1.0 if elbow_up else 1.0)
    shoulder = math.atan2(y, x) - math.atan2(LOWER * math.sin(elbow), UPPER + LOWER * math.cos(elbow))
    return shoulder, elbow


def _record(bag: Path, encoder: Encoder, random: np.random.Generator, elbow_up: bool, begin_ns: int) -> None:
    radius, direction = random.uniform(0.35, 0.6), random.uniform(0.2, 0.8) * math.pi
    target = radius * math.cos(direction), radius * math.sin(direction)
    writer = BagWriter(bag)
    for topic, kind in ((_STATES, _JOINT_STATE), (_TARGET, _POSE), (_COMMANDS, _ARRAY)):
        writer.add_topic(topic, kind)
    goal = joint_angles(*target, elbow_up=elbow_up)
    for step, (seen, wanted) in enumerate(_moves(random, np.array(goal))):
        now_ns = begin_ns + step * _STEP_NS
        late_ns = int(random.uniform(0.5e6, 1.5e6))
        writer.write(_STATES, now_ns + late_ns, encoder.joint_state(now_ns, JOINTS, seen))
        if step % _TARGETS_EVERY == 0:
            writer.write(_TARGET, now_ns + late_ns, encoder.pose(now_ns, *target))
        if step % _COMMANDS_EVERY == 2:
            writer.write(_COMMANDS, now_ns + 2 * late_ns, encoder.numbers(wanted))
    writer.close()


def _moves(
    random: np.random.Generator, goal: NDArray[np.float64]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield what is measured and what the operator wants, every 10 ms."""
    home, step_s = np.array(HOME), _STEP_NS * 1e-9
    place, waits_s = home.copy(), random.uniform(0.5, 1.5) * _WAITS_S
    moves_s = random.uniform(0.9, 1.1) * _MOVES_S
    for step in range(round((2 * waits_s + moves_s) / step_s)):
        share = min(max((step * step_s - waits_s) / moves_s, 0.0), 1.0)
        wanted = home + (goal - home) * (10 * share**3 - 15 * share**4 + 6 * share**5)  # minimum jerk
        place += (wanted - place) * step_s / _LAG_S
        yield place + _NOISE * random.standard_normal(2), wanted
