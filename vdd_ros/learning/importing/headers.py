"""Names, units, rate and task of an imported teacher: of demonstrations, or as given by hand."""

from collections.abc import Mapping

from vdd_ros.data.demonstrations import Header
from vdd_ros.data.formats.source import UNKNOWN
from vdd_ros.errors import ConfigurationError, DemonstrationError
from vdd_ros.features import Feature
from vdd_ros.learning.fit.windows import check_header
from vdd_ros.learning.importing.registry import ImportRequest


def header_of(
    request: ImportRequest, program: str, observed: Mapping[str, int], actions: int, default_task: str
) -> Header:
    """Return the header of the demonstrations or, without, one with unnamed entries.

    Args:
        request: With demonstrations, or with the rate.
        program: Name of the other program.
        observed: Names of the observed vectors to their sizes, in order.
        actions: Entries of an action.
        default_task: Task if the request names none.

    Raises:
        ConfigurationError: There is neither a rate nor demonstrations, or both; or policy files cannot represent them.
    """
    if request.demonstrations is not None:
        if request.rate_hz is not None or request.task:
            raise ConfigurationError("the demonstrations state rate and task; give --rate-hz and --task only without")
        header = request.demonstrations.header
    elif request.rate_hz is None:
        raise ConfigurationError(
            f"{program}'s checkpoints lack the control rate; give --demos PATH, the set that the policy learned from, "
            "which also has the names and units, or --rate-hz, its frames per second"
        )
    else:
        names = [feature for name, size in observed.items() for feature in _unnamed(name, size)]
        action = _unnamed("action", actions)
        header = Header(request.task or default_task, tuple(names), tuple(action), request.rate_hz, program)
    try:
        check_header(header)
    except DemonstrationError as error:
        raise ConfigurationError(str(error)) from error
    return header


def _unnamed(name: str, size: int) -> list[Feature]:
    return [Feature(name if size == 1 else f"{name}_{index}", UNKNOWN) for index in range(size)]
