"""Settings in a policy's metadata that runners read, and their checks."""

from collections.abc import Mapping
from typing import Any

from vdd_ros.policy.spec_checks import check_count, check_number, refuse
from vdd_ros.policy.structure import MIXTURE

DETERMINISTIC = "deterministic"
"""Key of the setting that marks files with constant draws."""
PAST_ACTIONS = "past_actions"
"""Key of the setting with the rows of the noise beyond the horizon, of actions before the newest observation."""
UNKNOWN_STATISTICS = "unknown_statistics"
"""Key of the setting that lists observation entries with unknown mean and deviation, stored as 0 and 1."""
PREFIX = "prefix"
"""Key of the setting of mixtures that take the first actions of a chunk as given: `{tempering}`."""
DEMONSTRATED_STEPS = "demonstrated_steps"
"""Key of the setting with the change of demonstrated actions per tick: `{quantile, steps}`."""


def check_settings(settings: Mapping[str, Any], structure: str, act_dim: int) -> None:
    """Refuse settings that runners could not read; raises PolicyFileError, which names the field."""
    if not isinstance(settings.get(DETERMINISTIC, False), bool):
        refuse(f"settings.{DETERMINISTIC}", settings[DETERMINISTIC], "true or false")
    check_count(f"settings.{PAST_ACTIONS}", settings.get(PAST_ACTIONS, 0), least=0)
    if structure == MIXTURE and settings.get(PAST_ACTIONS):
        refuse(f"settings.{PAST_ACTIONS}", settings[PAST_ACTIONS], "0 or missing for a mixture")
    if PREFIX in settings:
        _check_prefix(settings[PREFIX], structure)
    if DEMONSTRATED_STEPS in settings:
        _check_steps(settings[DEMONSTRATED_STEPS], act_dim)


def _check_prefix(found: object, structure: str) -> None:
    where = f"settings.{PREFIX}"
    if structure != MIXTURE:
        refuse(where, found, f"absent for the structure {structure!r}: only mixtures take a prefix")
    if not isinstance(found, Mapping) or set(found) != {"tempering"}:
        refuse(where, found, "an object of tempering")
    check_number(f"{where}.tempering", found["tempering"])
    if not 0 <= found["tempering"] <= 1:
        refuse(f"{where}.tempering", found["tempering"], "between 0 and 1")


def _check_steps(found: object, act_dim: int) -> None:
    where = f"settings.{DEMONSTRATED_STEPS}"
    steps = found.get("steps") if isinstance(found, Mapping) else None
    if not isinstance(steps, list) or len(steps) != act_dim:
        refuse(where, found, f"an object of quantile and steps, a list of {act_dim} numbers")
    for i, step in enumerate(steps):
        check_number(f"{where}.steps[{i}]", step)
        if step < 0:
            refuse(f"{where}.steps[{i}]", step, "0 or more")
