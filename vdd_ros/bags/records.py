"""A record of named numbers, as a sensor_msgs/JointState that viewers plot by name.

It is the only standard message with a stamp and a name for each number. Its three arrays are plotted separately, so
each holds numbers that can share an axis, and NaN otherwise; all are as long as the names, as the message requires and
viewers assume:

- `position`: quantities in the units of their labels: seconds of a latency record, physical units of a decision;
- `velocity`: numbers without units: flags, counts, nats, the number of an expert;
- `effort`: the sequence number, which grows without limit.

The time of the tick is the stamp of the header.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import RecordingError
from vdd_ros.text import printable

Floats = NDArray[np.float64]

RECORD_TYPE = "sensor_msgs/msg/JointState"
ARRAY_TYPE = "std_msgs/msg/Float64MultiArray"
"""Type of records in older bags: numbers, including `seq` and `stamp_s`, with their labels in `layout.dim`."""
RECORD_TYPES = (RECORD_TYPE, ARRAY_TYPE)

SEQUENCE, STAMP = "seq", "stamp_s"
_ARRAYS = ("position", "velocity", "effort")
_UNITLESS = frozenset({"log_prob", "expert", "deadline_missed", "commanded", "novelty", "chunk_step"})


def array_of(label: str) -> str:
    """Return the message's array that holds a label's number."""
    if label == SEQUENCE:
        return "effort"
    return "velocity" if label in _UNITLESS else "position"


def names_of(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the names in the message: all labels except the stamp's."""
    return tuple(label for label in labels if label != STAMP)


class RecordLayout:
    """Writes the numbers of a record into a message.

    Args:
        labels: Labels of the record, including `stamp_s`.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._arrays = [array_of(name) for name in names_of(labels)]

    def write(self, values: Floats, message: Any) -> None:
        """Write values (n,), in the order of the labels but without the stamp, into a message that has the names."""
        for array in _ARRAYS:
            numbers = [v if a == array else np.nan for v, a in zip(values.tolist(), self._arrays, strict=True)]
            setattr(message, array, numbers)


def read_record(message: Any) -> tuple[tuple[str, ...], Floats]:
    """Return the labels (n,) and the values (n,) of a record of either type, NaN for a missing number.

    Args:
        message: A sensor_msgs/JointState, or a std_msgs/Float64MultiArray as in older bags.

    Raises:
        RecordingError: A number has no label, a label no number, or two numbers the same label.
    """
    if hasattr(message, "layout"):
        labels = tuple(dimension.label for dimension in message.layout.dim)
        values = np.asarray(message.data, dtype=np.float64)
        _check(labels, {len(values)})
        return labels, values
    names = tuple(message.name)
    arrays = [np.asarray(getattr(message, array), dtype=np.float64) for array in _ARRAYS]
    _check(names, {len(array) for array in arrays})
    numbers = arrays[0].copy()
    for array in arrays[1:]:
        np.copyto(numbers, array, where=~np.isnan(array))
    stamp = message.header.stamp
    place = names.index(SEQUENCE) + 1 if SEQUENCE in names else 0
    stamp_s = (stamp.sec * 1_000_000_000 + stamp.nanosec) / 1e9
    return (*names[:place], STAMP, *names[place:]), np.insert(numbers, place, stamp_s)


def _check(labels: tuple[str, ...], sizes: set[int]) -> None:
    if sizes != {len(labels)} or len(set(labels)) < len(labels):
        raise RecordingError(
            f"a record has {', '.join(map(str, sorted(sizes)))} values and {len(labels)} labels "
            f"({printable(', '.join(labels))}); each value needs its own label, each label a value"
        )
