"""The part of a policy's metadata that an observer needs."""

from typing import Protocol

from vdd_ros.features import Feature


class WindowForm(Protocol):
    """The part of a policy's metadata that an observer needs; `PolicySpec` is one."""

    @property
    def vector(self) -> tuple[Feature, ...]:
        """The single numbers of an observation, in order."""

    @property
    def arrays(self) -> tuple[Feature, ...]:
        """The arrays of an observation, in order."""

    @property
    def history(self) -> int:
        """Observations in a window."""

    @property
    def period_s(self) -> float:
        """Time between the observations of a window."""

    @property
    def goal_length(self) -> int:
        """Observations in a goal; 0 without goals."""
