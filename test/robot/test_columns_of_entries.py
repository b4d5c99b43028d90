"""Entries and actions of many messages at once, against one after the other: the same to the bit."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vdd_ros.errors import ObservationError
from vdd_ros.features import Feature
from vdd_ros.robot.command_channel import CommandChannel
from vdd_ros.robot.conversion import Conversion
from vdd_ros.robot.entries import InputEntry
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.robot.rotations import unit_quaternion, unit_quaternions

NUMBERS = st.one_of(
    st.floats(-2, 2, allow_subnormal=False), st.sampled_from([0.0, -0.0, 1.0, -1.0, math.nan, math.inf, 1e200])
)
LONG = st.tuples(*[st.floats(-1, 1, allow_subnormal=False)] * 4).filter(lambda q: math.hypot(*q) > 0.1)
QUATERNIONS = st.one_of(
    st.tuples(*[NUMBERS] * 4), LONG.map(lambda q: _scaled(q, 1.0)), LONG.map(lambda q: _scaled(q, 1.004))
)


def _scaled(q: tuple[float, ...], norm: float) -> tuple[float, ...]:
    length = math.hypot(*q)
    return tuple(norm * part / length for part in q)


@settings(max_examples=50)
@given(st.lists(QUATERNIONS, min_size=1, max_size=6))
def test_quaternions(rows: list[tuple[float, ...]]) -> None:
    parts, known = unit_quaternions(np.array(rows))
    for row, given_ in enumerate(rows):
        try:
            expected = unit_quaternion(*given_)
        except ObservationError:
            assert not known[row]
        else:
            assert known[row]
            assert np.array([part[row] for part in parts]).tobytes() == np.array(expected).tobytes()


def entries() -> list[InputEntry]:
    """A constant, a six_d, an angle as sine and cosine, a yaw, a plain number: 14 numbers of a message give 11."""
    found = [InputEntry("c", "m", constant=2.0)]
    found += [InputEntry(f"r{n}", "1", field="pose.orientation", rotation="six_d", part=n, parts=6) for n in range(6)]
    found += [
        InputEntry(f"a{n}", "1", field="a", encode="sin_cos", angle_unit="deg", part=n, parts=2, scale=2.0, offset=1.0)
        for n in range(2)
    ]
    found.append(InputEntry("y", "deg", field="other.orientation", rotation="yaw"))
    return [*found, InputEntry("x", "m", field="x", scale=-0.5, offset=3.0)]


@settings(max_examples=50)
@given(st.lists(st.tuples(QUATERNIONS, NUMBERS, QUATERNIONS, NUMBERS), min_size=1, max_size=5), st.booleans())
def test_entries_of_every_kind(rows: list[Any], first_is_unreadable: bool) -> None:
    conversion = Conversion(entries())
    numbers = np.array([[*turn, angle, *other, x] for turn, angle, other, x in rows])
    skipped = {0} if first_is_unreadable else set()
    with np.errstate(all="ignore"):
        found, errors = conversion.read_rows(numbers.copy(), skipped)
        for row, given_ in enumerate(numbers):
            out = np.full(len(entries()), np.nan)
            try:
                if row not in skipped:
                    conversion.read(given_.copy(), out)
            except ObservationError as error:
                assert str(errors[row]) == str(error)
                out[:] = np.nan
            else:
                assert row not in errors
            np.testing.assert_array_equal(found[row], out)
            assert (np.signbit(found[row]) == np.signbit(out))[~np.isnan(out)].all()


@pytest.mark.parametrize("relative", ["x", "last_command", None])
def test_actions_of_consecutive_commands(relative: str | None) -> None:
    limits = {"unit": "m", "low": -9.0, "high": 9.0, "max_step": 9.0}
    entry = {"name": "a", "action": "a_target", "measured": "x", **limits} | (
        {"relative_to": relative} if relative else {}
    )
    robot = RobotFile.from_dict(
        {
            "inputs": {
                "i": {
                    **{"topic": "/i", "type": "geometry_msgs/msg/PoseStamped", "max_age_s": 1.0},
                    "entries": {"x": {"field": "pose.position.x", "unit": "cm"}},
                }
            },
            "command": {"topic": "/c", "type": "std_msgs/msg/Float64MultiArray", "on_loss": "hold", "entries": [entry]},
        }
    )
    channel = CommandChannel(robot.commands, (Feature("x", "cm"),), (Feature("a_target", "mm"),))
    random = np.random.default_rng(0)
    values, seen = random.normal(size=(2, 20, 1))
    found, expected = np.empty((2, 20, 1))
    channel.to_actions(values, seen, found)
    for row, last in enumerate([None, *values[:-1]]):
        channel.to_action(values[row], seen[row], expected[row], last)
    assert found.tobytes() == expected.tobytes()
