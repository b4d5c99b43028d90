"""How far demonstrated actions change from one tick to the next."""

import numpy as np

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.documents import JsonObject
from vdd_ros.learning.fit.windows import LIMIT_MARGIN

QUANTILE = 0.999
"""Share of the demonstrated steps within the limit, before the margin: a glitch of a recording does not set it."""


def demonstrated_steps(demonstrations: DemonstrationSet) -> JsonObject:
    """Return the step of each number of the action, in its unit, for the settings of a policy file.

    It is the quantile of the changes within episodes, widened by a tenth, as the range is.
    """
    changes = np.abs(np.diff(np.asarray(demonstrations.action, np.float64), axis=0))
    changes = np.delete(changes, np.cumsum(demonstrations.lengths)[:-1] - 1, axis=0)
    steps = np.quantile(changes, QUANTILE, axis=0) if len(changes) else np.zeros(changes.shape[1])
    return {"quantile": QUANTILE, "steps": ((1 + LIMIT_MARGIN) * steps).tolist()}
