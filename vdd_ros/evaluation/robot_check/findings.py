"""What a check found, by how much it matters."""

from collections.abc import Iterable
from dataclasses import dataclass

ERROR, WARNING, NOTE = "error", "warning", "note"
LEVELS = (ERROR, WARNING, NOTE)
"""From what keeps the node from commanding, or makes it command wrongly, to what is worth knowing."""


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Attributes:
        level: One of `LEVELS`.
        where: Place in the robot file, such as `inputs.joints.entries.shoulder`.
        text: What is found, what is allowed or expected, and how to mend it.
    """

    level: str
    where: str
    text: str


def sorted_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings by level, otherwise in their order."""
    return tuple(sorted(findings, key=lambda finding: LEVELS.index(finding.level)))
