"""Observations as inputs of a graph run."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ObservationError
from vdd_ros.features import listed
from vdd_ros.policy.binding import BoundArrays
from vdd_ros.policy.spec import PolicySpec

Windows = Mapping[str, NDArray[Any]]
"""The newest observations of each array, by name: (history, *shape), oldest first."""
VECTOR, GOAL = "observation", "goal"


class Observed:
    """The observation and goal inputs of a run.

    Args:
        spec: Metadata of the policy.
        bound: The arrays of a run.
        row: Row of the batch, or all rows.

    Attributes:
        inputs: Views of those arrays, by name.
    """

    def __init__(self, spec: PolicySpec, bound: BoundArrays, row: int | slice = slice(None)) -> None:
        self._spec = spec
        names = [VECTOR, GOAL, *(feature.name for feature in spec.arrays)]
        self.inputs: dict[str, NDArray[Any]] = {name: bound.inputs[name][row] for name in names if name in bound.inputs}
        one = () if isinstance(row, int) else (bound.batch,)
        empty = np.empty((*one, spec.history, 0), np.float32)  # the vector of a policy with arrays only
        self._vector, self._goal = self.inputs.get(VECTOR, empty), self.inputs.get(GOAL)
        self._arrays = {feature.name: self.inputs[feature.name] for feature in spec.arrays}

    def put(self, observation: NDArray[np.floating], goal: NDArray[np.floating] | None, arrays: Windows | None) -> None:
        """Copy an observation into the arrays of a run; see `OnnxPolicy.act`.

        Raises:
            ObservationError: An input is missing, unexpected, not finite, or has the wrong shape or type.
        """
        self._copy(VECTOR, observation, self._vector)
        if (goal is None) != (self._goal is None):
            needs = (
                f"a goal of the shape {self._goal.shape[-2:]}" if self._goal is not None else "no goal; leave it out"
            )
            raise ObservationError(f"This policy takes {needs}.")
        if goal is not None and self._goal is not None:
            self._copy(GOAL, goal, self._goal)
        if self._arrays or arrays:
            self._put_arrays(arrays or {})

    def put_mean(self) -> None:
        """Fill a run's observation and goal with the mean observation, and its arrays with zeros."""
        for name, array in self.inputs.items():
            array[...] = self._spec.statistics.observation_mean if name in (VECTOR, GOAL) else 0

    def wrong_shape(self, name: str, shape: tuple[int, ...], expected: tuple[int | str, ...]) -> ObservationError:
        """Return the error for an observation or goal of the wrong shape."""
        return ObservationError(
            f"The {name} has the shape {shape}; this policy takes {expected}: "
            f"{'history' if name == VECTOR else 'goal_length'}, oldest first, and "
            f"{', '.join(entry.name for entry in self._spec.vector) or 'no single number'}."
        )

    def _put_arrays(self, given: Windows) -> None:
        if given.keys() != self._arrays.keys():
            takes = f"observes {listed(self._spec.arrays)}" if self._arrays else "observes no arrays"
            raise ObservationError(
                f"This policy {takes}, but the arrays given are {', '.join(given) or '(none)'}. Give exactly those "
                f"that it observes; if only vectors are available, as in simulated tasks, run another policy."
            )
        for name, array in self._arrays.items():
            window = given[name]
            if window.shape != array.shape or window.dtype != array.dtype:
                raise ObservationError(
                    f"The array {name} is {window.dtype} of the shape {window.shape}; this policy takes {array.dtype} "
                    f"of the shape {array.shape}, history first. Convert it before passing it."
                )
            array[...] = window
            if array.dtype == np.float32 and not all_finite(array):
                raise ObservationError(
                    f"The array {name} has a value that is not finite. Drop such arrays before passing them."
                )

    def _copy(self, name: str, given: NDArray[np.floating], array: NDArray[np.float32]) -> None:
        if given.shape != array.shape:
            raise self.wrong_shape(name, given.shape, array.shape)
        array[...] = given
        if all_finite(array):
            return
        finite = np.isfinite(array)
        raise ObservationError(
            f"The {name} entry {self._spec.vector[np.argwhere(~finite)[0, -1]].name} is {array[~finite][0]}; "
            "every value must be finite (in single precision). Drop such values before passing them."
        )


def all_finite(array: NDArray[np.float32]) -> bool:
    """Return whether every value of a contiguous array is finite."""
    # One call, infinite or NaN if a value is, or if squares overflow; `dot` would warn of that, `vdot` does not.
    return math.isfinite(np.vdot(array, array)) or bool(np.isfinite(array).all())
