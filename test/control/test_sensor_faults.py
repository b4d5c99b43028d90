"""Sensors that stop or send nonsense, on a hand-fed loop: no wrong command, and recovery."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from loop_rig import AVOIDING, PERIOD_S, Rig
from policy_files import write_mixture
from robot_messages import joint_state, pose

from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile

FILE = RobotFile.load(AVOIDING)
MAX_AGE_S = max(source.max_age_s for source in FILE.inputs)
LOST = math.ceil(MAX_AGE_S / PERIOD_S) + 1
"""Ticks without news after which every input is stale."""
INPUTS = ("desired", "tcp")
SPACING = float(np.spacing(np.float32(0.5)))


class Watch:
    """Ticks a loop with messages that arrive just before, and checks every command.

    Each has to be finite, within its range, and within a step of a place that was seen at most MAX_AGE_S before.
    """

    def __init__(self, rig: Rig) -> None:
        self.rig, self.now_s = rig, 100.0
        self.places: list[tuple[float, float, float]] = []

    @property
    def counters(self) -> Any:
        """Of the loop."""
        return self.rig.loop.counters

    def send(self, name: str, x: float, y: float, *, offset_s: float = 0.0) -> None:
        """Give an input a message; the tool is alive: its last digit changes."""
        alive = x + SPACING * (self.counters.ticks % 5) if name == "tcp" else x
        self.rig.receive(name, pose(alive, y, stamp_s=self.now_s + offset_s), self.now_s)

    def see(self, x: float = 0.5, y: float = 0.1, **stamp: float) -> None:
        """Give both inputs a message."""
        for name in INPUTS:
            self.send(name, x, y, **stamp)

    def tick(self, see: Callable[[], object] = lambda: None, *, ticks: int = 1) -> int:
        """Tick so often; return how many commands came of it."""
        before = len(self.rig.out.commands)
        for _ in range(ticks):
            self.now_s += PERIOD_S
            see()
            sent = len(self.rig.out.commands)
            self.rig.loop.tick(self.now_s, 0.0)
            for command in self.rig.out.commands[sent:]:
                self._check(np.array(command))
        return len(self.rig.out.commands) - before

    def act(self, x: float = 0.5, y: float = 0.1, *, ticks: int = 5) -> None:
        """Observe what is right; every tick has to command."""
        assert self.tick(lambda: self._see_right(x, y), ticks=ticks) == ticks

    def recover(self) -> None:
        """Observe what is right until a leap back to it is believed, and no longer doubted."""
        self.tick(lambda: self._see_right(0.5, 0.1), ticks=3 * LOST)

    def _see_right(self, x: float, y: float) -> None:
        self.places.append((self.now_s, x, y))
        self.see(x, y)

    def _check(self, command: np.ndarray) -> None:
        entries = FILE.command_entries
        assert np.isfinite(command).all()
        assert (command >= [entry.low for entry in entries]).all()
        assert (command <= [entry.high for entry in entries]).all()
        recent = [(x, y) for at_s, x, y in self.places if self.now_s - at_s <= MAX_AGE_S]
        steps = np.array([entry.max_step for entry in entries]) + 1e-6
        assert any((np.abs(command - place) <= steps).all() for place in recent), (command, recent)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    """A loop that acts, with a policy whose action is NaN beyond x = 0.505; at its end it acts again."""
    path = write_mixture(tmp_path / "policy.onnx", nan_above=0.505)
    watch = Watch(Rig(OnnxPolicy.load(path, expert="greedy"), FILE))
    watch.act()
    yield watch
    watch.act()


def test_sensors_that_stop(watch: Watch) -> None:
    """Commands end with the age that the robot file allows, which is one loss."""
    allowed = int(MAX_AGE_S / PERIOD_S)
    assert watch.tick(ticks=allowed) == allowed
    assert watch.tick(ticks=10) == 0
    assert (watch.counters.stale, watch.counters.failsafes) == (10, 1)
    assert watch.rig.loop.observer.stale(watch.now_s) == ["desired", "tcp"]


@pytest.mark.parametrize("stops", INPUTS)
def test_one_of_two_sensors_stops(watch: Watch, stops: str) -> None:
    """The other one does not keep the commands going."""
    (goes_on,) = set(INPUTS) - {stops}
    watch.places = [(watch.now_s + MAX_AGE_S, 0.5, 0.1)]
    watch.tick(lambda: watch.send(goes_on, 0.5, 0.1), ticks=LOST)
    assert watch.tick(lambda: watch.send(goes_on, 0.5, 0.1), ticks=5) == 0
    assert watch.rig.loop.observer.stale(watch.now_s) == [stops]
    assert watch.counters.failsafes == 1


@pytest.mark.parametrize("offset_s", [-3600.0, 3600.0])
def test_stamps_that_jump_and_return(watch: Watch, offset_s: float) -> None:
    """By an hour: each is refused and counted, commands end, and begin again when the stamps are right."""
    watch.tick(lambda: watch.see(offset_s=offset_s), ticks=LOST)
    assert watch.tick(lambda: watch.see(offset_s=offset_s), ticks=5) == 0
    assert watch.counters.refused_messages == 2 * (LOST + 5)
    assert "are the clocks synchronised?" in watch.rig.loop.observer.last_refusal
    assert (watch.counters.failsafes, watch.counters.clock_jumps) == (1, 0)


def test_stamps_out_of_order(watch: Watch) -> None:
    """An older message after a newer one is refused and counted, and the newer one acted upon."""

    def see() -> None:
        watch.places.append((watch.now_s, 0.5, 0.1))
        watch.see()
        for delay_s in (0.03, 0.06):
            watch.see(0.3, offset_s=-delay_s)

    assert watch.tick(see, ticks=10) == 10
    assert watch.counters.refused_messages == 40
    assert watch.rig.loop.observer.last_refusal == "tcp: stamp not newer than the last one"
    assert watch.counters.failsafes == 0


def test_one_message_from_the_future(watch: Watch) -> None:
    """As far ahead as is tolerated, it does not keep the messages after it out for longer than that."""
    watch.places.append((watch.now_s + 2 * PERIOD_S, 0.5, 0.1))
    watch.tick(lambda: watch.see(offset_s=0.9 * MAX_AGE_S))
    ahead = int(0.9 * MAX_AGE_S / PERIOD_S)
    assert watch.tick(watch.see, ticks=ahead) == ahead
    assert watch.counters.refused_messages == 2 * ahead
    watch.act()
    assert watch.counters.refused_messages == 2 * ahead


@pytest.mark.parametrize("value", [math.nan, math.inf, -1e300])
def test_bursts_that_are_not_finite(watch: Watch, value: float) -> None:
    """Again and again: refused and counted each time; what is right in between is acted upon."""
    for burst in range(1, 4):
        watch.tick(lambda: watch.see(y=value), ticks=LOST)
        assert watch.tick(lambda: watch.see(y=value), ticks=5) == 0
        assert watch.counters.refused_messages == burst * 2 * (LOST + 5)
        assert watch.counters.failsafes == burst
        watch.act()
    assert "not finite in single precision" in watch.rig.loop.observer.last_refusal


def test_a_robot_that_is_seen_far_outside_its_range(watch: Watch) -> None:
    """Once that is believed, no command is both in range and near it, so none is sent; it is counted."""
    watch.tick(lambda: watch.see(y=5.0), ticks=2 * LOST)
    before = watch.rig.loop.commander.limits.unreachable
    assert watch.tick(lambda: watch.see(y=5.0), ticks=5) == 0
    assert watch.rig.loop.commander.limits.unreachable == before + 5
    watch.recover()


def test_policy_that_gives_nan(watch: Watch) -> None:
    """Actions that are not finite are dropped and counted; the next good one is commanded, from what is measured."""
    assert watch.tick(lambda: watch.see(x=0.51), ticks=5) == 0
    assert watch.rig.loop.commander.limits.refused == 5
    assert watch.counters.failsafes == 1


def joints_file(folder: Path) -> RobotFile:
    """Return Avoiding's robot file with the tool as two joints."""
    document = yaml.safe_load(AVOIDING.read_text())
    document["inputs"]["tcp"] = {
        "topic": "joints",
        "type": "sensor_msgs/msg/JointState",
        "max_age_s": MAX_AGE_S,
        "entries": {
            "tcp_x": {"joint": "slide_x", "interface": "position", "unit": "m"},
            "tcp_y": {"joint": "slide_y", "interface": "position", "unit": "m"},
        },
    }
    path = folder / "robot.yaml"
    path.write_text(yaml.safe_dump(document))
    return RobotFile.load(path)


@pytest.mark.parametrize(
    ("names", "values", "reason"),
    [
        (["slide_x"], [0.5], "lacks the joints ['slide_y']"),
        (["slide_x", "slide_y"], [0.5], "has 2 names but 1 value"),
        (["slide_x", "slide_y"], [0.5, 0.1, 0.2], "has 2 names but 3 values"),
        ([], [], "lacks the joints"),
    ],
    ids=["a joint too few", "a value too few", "a value too many", "nothing"],
)
def test_messages_change_their_dimension_while_it_runs(
    tmp_path: Path, names: list[str], values: list[float], reason: str
) -> None:
    """They are refused with the reason; a joint too many is ignored."""
    path = write_mixture(tmp_path / "policy.onnx")
    watch = Watch(Rig(OnnxPolicy.load(path, expert="greedy"), joints_file(tmp_path)))

    def see(**joints: float) -> Any:
        watch.places.append((watch.now_s, 0.5, 0.1))
        watch.send("desired", 0.5, 0.1)
        message = joint_state(watch.now_s, **joints)
        watch.rig.receive("tcp", message, watch.now_s)
        return message

    def see_wrong() -> None:
        watch.send("desired", 0.5, 0.1)
        message = joint_state(watch.now_s)
        message.name, message.position = names, values
        watch.rig.receive("tcp", message, watch.now_s)

    right = {"slide_x": 0.5, "slide_y": 0.1}
    assert watch.tick(lambda: see(**right), ticks=5) == 5
    watch.places = [(watch.now_s + MAX_AGE_S, 0.5, 0.1)]
    watch.tick(see_wrong, ticks=LOST)
    assert reason in watch.rig.loop.observer.last_refusal
    assert watch.tick(see_wrong, ticks=3) == 0
    assert watch.counters.refused_messages == LOST + 3
    assert watch.tick(lambda: see(**right, gripper=9.0), ticks=5) == 5
