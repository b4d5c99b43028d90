"""Numbers so large that rounding hides their changes: the policy observes single precision."""

from collections.abc import Iterator, Sequence

import numpy as np

from vdd_ros.evaluation.robot_check.findings import WARNING, Finding
from vdd_ros.evaluation.robot_check.readings import InputReadings
from vdd_ros.evaluation.robot_check.windows import difference
from vdd_ros.robot.quantities import spaced, unit_factor

LARGE_SINGLE, LARGE_DOUBLE = 2.0**24, 2.0**53
"""Largest values up to which all whole numbers are exact."""
FEW_STEPS = 2.0**16
"""Range of an entry, in steps of single precision, from which their rounding does not matter."""

_RELATIVE = "publish it relative to its start, within 2^53"


def precision_findings(found: InputReadings, inputs: Sequence[InputReadings]) -> Iterator[Finding]:
    """Yield the entries of one input with large numbers whose changes are lost by rounding.

    Args:
        found: The readings of the input.
        inputs: Those of all inputs, for entries that are differences.
    """
    is_array = found.source.array is not None
    for index, (entry, feature) in enumerate(zip(found.source.entries, found.features, strict=True)):
        values = found.values if is_array else found.values[:, index]
        if not (entry.is_plain and values.size):
            continue
        unit, factor = spaced(feature.unit), unit_factor(feature.unit, entry.unit, entry.name)
        most = float(np.abs(values).max())
        number = float(np.abs((values * factor - entry.offset) / entry.scale).max())
        step = float(np.spacing(np.float32(most)))
        double_step = float(np.spacing(number)) * abs(entry.scale) / factor
        text = f"reaches {most:.6g}{unit}, where the policy's single precision has steps of {step:.3g}"
        less = None if is_array else difference(inputs, found, index)
        if most > LARGE_SINGLE and np.ptp(values) < FEW_STEPS * step:
            mend = "give an `offset` that brings it near 0" if number <= LARGE_DOUBLE else _RELATIVE
        elif most > LARGE_SINGLE and less is not None and less.size and np.ptp(less) < FEW_STEPS * step:
            mend = f"publish the difference from {entry.minus}"
        elif number > LARGE_DOUBLE and double_step > step:
            text = f"is made of numbers up to {number:.6g}, where double precision has steps of {double_step:.3g}{unit}"
            mend = _RELATIVE
        else:
            continue
        where = f"inputs.{found.name}.entries.{entry.name}"
        yield Finding(WARNING, where, f"{text}: smaller changes are lost; {mend}")
