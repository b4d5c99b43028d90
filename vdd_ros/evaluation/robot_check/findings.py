"""Findings of a check, by severity."""

from collections.abc import Iterable
from dataclasses import dataclass

ERROR, WARNING, NOTE = "error", "warning", "note"
LEVELS = (ERROR, WARNING, NOTE)
"""Severities, from problems that stop commanding or make it wrong to mere remarks."""


@dataclass(frozen=True)
class Finding:
    """One finding of a check.

    Attributes:
        level: One of `LEVELS`.
        where: Place in the robot file, such as `inputs.joints.entries.shoulder`.
        text: The finding, the allowed or expected values, and the remedy.
    """

    level: str
    where: str
    text: str


def sorted_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings by level, otherwise in their order."""
    return tuple(sorted(findings, key=lambda finding: LEVELS.index(finding.level)))
