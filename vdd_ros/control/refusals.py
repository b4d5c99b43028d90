"""Reasons for refusing an input's message, in words."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.control.rings import usable
from vdd_ros.robot.inputs import Input

NOT_NEWER = "stamp not newer than the last one"


def far_from_arrival(age_s: float) -> str:
    """Describe a message that arrived with an impermissible age, in seconds."""
    age = f"{age_s:.3f} s old" if age_s > 0 else f"{-age_s:.3f} s in the future"
    return (
        f"arrived with a stamp {age}; are the clocks synchronised? If they cannot be, `stamp: arrival` in the robot "
        f"file dates this input by its arrival"
    )


def not_finite(source: Input, values: NDArray[Any]) -> str:
    """Describe the first entry of an input with an unusable value; empty if all are usable."""
    for entry, value in zip(source.entries, values[None] if source.array else values, strict=True):
        if not usable(np.ravel(value)):
            what = "holds a value that is" if source.array else f"is {value:g},"
            return f"{entry.name} {what} not finite in single precision"
    return ""
