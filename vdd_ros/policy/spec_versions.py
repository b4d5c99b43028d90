"""Versions of a policy's metadata: which are readable, and upgrades of older ones."""

from collections.abc import Sequence

from vdd_ros.documents import JsonObject
from vdd_ros.errors import PolicyFileError
from vdd_ros.policy.spec_checks import check_choice, members
from vdd_ros.policy.structure import OLD_KINDS
from vdd_ros.text import printable

SCHEMA_VERSION = 4
READ_VERSIONS = (2, 3, SCHEMA_VERSION)
"""Version 2 had no novelty; versions 2 and 3 named only the method, as `kind`."""


def upgraded(raw: JsonObject, newest: Sequence[str]) -> JsonObject:
    """Return older metadata upgraded to the newest version: `kind` was the method and implied the structure.

    Args:
        raw: Metadata of a version that `check_version` accepts.
        newest: Fields of the newest version.

    Raises:
        PolicyFileError: A field is missing or unknown, or the kind is.
    """
    if raw["schema_version"] == SCHEMA_VERSION:
        return raw
    known: JsonObject = {"novelty": None, **raw} if raw["schema_version"] == 2 else raw
    new = ("structure", "method", "warnings")
    known = dict(members("", known, ["kind", *(name for name in newest if name not in new)]))
    kind = check_choice("kind", known.pop("kind"), tuple(OLD_KINDS))
    return {**known, "schema_version": SCHEMA_VERSION, "structure": OLD_KINDS[kind], "method": kind, "warnings": []}


def check_version(value: object) -> None:
    """Refuse an unreadable version; raises PolicyFileError, which distinguishes newer from invalid versions."""
    versions = f"{', '.join(map(str, READ_VERSIONS[:-1]))} and {READ_VERSIONS[-1]}"
    if isinstance(value, int) and not isinstance(value, bool) and value > SCHEMA_VERSION:
        raise PolicyFileError(
            f"Policy metadata, field schema_version: {printable(value)} was made by a newer vdd_ros, update this one; "
            f"it reads the versions {versions}. Or export the policy again with this version."
        )
    if isinstance(value, bool) or not isinstance(value, int) or value not in READ_VERSIONS:
        raise PolicyFileError(
            f"Policy metadata, field schema_version: {printable(repr(value))} is unknown; this vdd_ros reads the "
            f"versions {versions}. Export the policy again with this version, or install the one that made it."
        )
