"""The first actions of a chunk as inputs of a graph run: what a robot executes before the answer arrives."""

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ObservationError
from vdd_ros.policy.binding import BoundArrays
from vdd_ros.policy.observed import all_finite
from vdd_ros.policy.signature import PREFIX, PREFIX_STEPS
from vdd_ros.policy.spec import PolicySpec


class Prefix:
    """The inputs `prefix` and `prefix_steps` of a run, if its graph has them.

    Args:
        spec: Metadata of the policy.
        bound: The arrays of a run.
    """

    def __init__(self, spec: PolicySpec, bound: BoundArrays) -> None:
        self._spec = spec
        self._actions, self._steps = bound.inputs.get(PREFIX), bound.inputs.get(PREFIX_STEPS)

    def put(self, prefix: NDArray[np.floating] | None) -> None:
        """Copy the known actions of a single row, (steps, act_dim), into the arrays of a run; None: none is known.

        Raises:
            ObservationError: The policy takes none, or they are too many, not finite or of the wrong shape.
        """
        if self._actions is None or self._steps is None:
            if prefix is not None:
                raise self._untaken()
            return
        if prefix is None:
            self._steps[0] = 0
            return
        horizon, act_dim = self._actions.shape[1:]
        if prefix.ndim != 2 or prefix.shape[1] != act_dim:
            raise self._wrong_shape(prefix.shape, ("steps", act_dim))
        steps = len(prefix)
        if steps > horizon:
            raise self._too_long(steps)
        known = self._actions[0, :steps]
        known[...] = prefix
        if not all_finite(known.reshape(-1)):
            raise self._not_finite(known)
        self._steps[0] = steps

    def put_batch(self, prefixes: NDArray[np.floating] | None, steps: NDArray[np.integer] | None) -> None:
        """Copy the known actions of all rows, (B, n, act_dim), and their numbers (B,), each at most n; None: all n.

        Raises:
            ObservationError: As `put`; or numbers are given without actions.
        """
        if self._actions is None or self._steps is None:
            if prefixes is not None or steps is not None:
                raise self._untaken()
            return
        if prefixes is None:
            if steps is not None:
                raise ObservationError("prefix_steps are given without prefixes; give both, or none.")
            self._steps[:] = 0
            return
        batch, horizon, act_dim = self._actions.shape
        if prefixes.ndim != 3 or (len(prefixes), prefixes.shape[2]) != (batch, act_dim):
            raise self._wrong_shape(prefixes.shape, (batch, "steps", act_dim))
        longest = prefixes.shape[1]
        counts = np.full(batch, longest) if steps is None else np.asarray(steps)
        if counts.shape != (batch,) or not np.issubdtype(counts.dtype, np.integer):
            raise ObservationError(
                f"prefix_steps are {counts.dtype} of the shape {counts.shape}; they must be {batch} whole numbers."
            )
        if longest > horizon:
            raise self._too_long(longest)
        if counts.min() < 0 or counts.max() > longest:
            wrong = counts.min() if counts.min() < 0 else counts.max()
            raise ObservationError(f"prefix_steps has {wrong}; it must be from 0 to {longest}, the actions given.")
        self._actions[:, :longest] = np.where(np.arange(longest)[:, None] < counts[:, None, None], prefixes, 0)
        if not np.isfinite(self._actions).all():
            raise self._not_finite(self._actions)
        self._steps[:] = counts

    def _untaken(self) -> ObservationError:
        return ObservationError(
            f"This policy takes no prefix: it is a {self._spec.structure} policy, exported without that input. Leave it"
            " out, or export a mixture with 'vdd export --prefix'."
        )

    def _too_long(self, steps: int) -> ObservationError:
        return ObservationError(
            f"prefix_steps is {steps}; it must be from 0 to {self._spec.horizon}, the actions of this policy's chunk. "
            "Give only actions of this chunk, oldest first: an answer that late needs a policy with a longer --horizon."
        )

    def _wrong_shape(self, shape: tuple[int, ...], expected: tuple[int | str, ...]) -> ObservationError:
        names = ", ".join(entry.name for entry in self._spec.action)
        return ObservationError(f"The prefix has the shape {shape}; this policy takes {expected}, of {names}.")

    def _not_finite(self, known: NDArray[np.float32]) -> ObservationError:
        entry = self._spec.action[np.argwhere(~np.isfinite(known))[0, -1]].name
        return ObservationError(f"The prefix has a value of {entry} that is not finite; give what the robot executes.")
