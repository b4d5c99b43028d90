"""`max_rate` of rotations: the angle between two messages decides, whichever numbers the rotation is given as."""

import math
from typing import Any

import numpy as np
import pytest
from input_channels import channel, oriented, read, robot_with

from vdd_ros.control.continuity import Continuity, max_rates, rotation_rates
from vdd_ros.features import Feature

Rotation = pytest.importorskip("scipy.spatial.transform").Rotation
RATE = 2.0  # rad/s


class Judge:
    """Judges orientations as the observer does."""

    def __init__(self, wanted: str = "", **entry: Any) -> None:
        entries = {"tool": {"field": "pose.orientation"} | entry}
        robot = robot_with(entries=entries)
        source = robot.inputs[0]
        features = [Feature(each.name, wanted or each.unit) for each in source.entries]
        self.channel = channel(entries=entries, units={each.name: each.unit for each in features})
        self.judge = Continuity(
            [each.name for each in source.entries],
            max_rates(source, features, robot.command_entries, 0.01),
            [each.unit for each in features],
            least_s=0.01,
            forget_s=1.0,
            rotations=rotation_rates(source, features),
        )
        self.now_s = 0.0

    def refuses(self, rotation: Any) -> str:
        """Return why an orientation 0.1 s after the last accepted one is refused."""
        self.now_s += 0.1
        values = np.array(read(self.channel, oriented(*rotation.as_quat())))
        why = self.judge.contradiction(self.now_s, values, self.now_s)
        if why:
            self.now_s -= 0.1
        else:
            self.judge.take(self.now_s)
        return why


FORMS: list[dict[str, Any]] = [
    {"rotation": "yaw"},
    {"rotation": "yaw", "unit": "deg", "max_rate": math.degrees(RATE)},
    {"rotation": "yaw", "encode": "sin_cos"},
    {"rotation": "vector"},
    {"rotation": "vector", "unit": "deg", "max_rate": math.degrees(RATE)},
    {"rotation": "six_d"},
]


@pytest.mark.parametrize("form", FORMS)
def test_turning_at_the_rate_is_never_refused(form: dict[str, Any]) -> None:
    """Around z, over every wrap: half turns, full turns and the sign of the quaternion."""
    judge = Judge(**{"max_rate": RATE} | form)
    for step in range(100):
        assert judge.refuses(Rotation.from_euler("z", 0.099 * RATE * step)) == ""


@pytest.mark.parametrize("form", [form for form in FORMS if form["rotation"] != "yaw"])
def test_turning_about_any_axis_at_the_rate_is_never_refused(form: dict[str, Any]) -> None:
    judge = Judge(**{"max_rate": RATE} | form)
    axes = Rotation.random(200, random_state=1).apply([1.0, 0.0, 0.0])
    rotation = Rotation.identity()
    for axis in axes:
        rotation = Rotation.from_rotvec(0.099 * RATE * axis) * rotation
        assert judge.refuses(rotation) == ""


@pytest.mark.parametrize("form", FORMS)
def test_a_jump_is_refused(form: dict[str, Any]) -> None:
    judge = Judge(**{"max_rate": RATE} | form)
    assert judge.refuses(Rotation.from_euler("z", 3.0)) == ""
    why = judge.refuses(Rotation.from_euler("z", 3.0 + 1.5))
    assert "tool" in why
    assert "faster than its max_rate of" in why


def test_a_rotation_vector_is_judged_by_its_angle_in_the_unit_of_the_policy() -> None:
    """2.1 rad/s from pi - 0.05 to -(pi - 0.16): the numbers differ by almost a turn."""
    judge = Judge(wanted="deg", rotation="vector", max_rate=RATE)
    assert judge.refuses(Rotation.from_rotvec([0, 0, math.pi - 0.05])) == ""
    assert "tool changed by 0.21 within 0.1 s" in judge.refuses(Rotation.from_rotvec([0, 0, -(math.pi - 0.16)]))
    assert judge.refuses(Rotation.from_rotvec([0, 0, -(math.pi - 0.14)])) == ""


def test_without_a_rate_nothing_is_judged() -> None:
    assert not Judge(rotation="vector").judge.watches
    assert not Judge(rotation="vector", max_rate=math.inf).judge.watches
    assert Judge(rotation="vector", max_rate=RATE).judge.watches
