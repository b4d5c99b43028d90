"""The file of results: a list with one object a trial, which several processes may add to."""

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vdd_ros.benchmark.methods.matrix import METHODS, VARIANTS
from vdd_ros.documents import read_json, write_json
from vdd_ros.errors import ConfigurationError
from vdd_ros.files import updating
from vdd_ros.text import printable

Record = dict[str, Any]

IDENTITY = ("task", "backbone", "method", "variant", "seed")
_MEASURED = (
    "teacher experts rollouts steps success success_interval entropy entropy_interval modes_found inference_s_p50 "
    "inference_s_interval inference_at inference_machine"
)
_MADE = "train_s distil_s machine commit settings versions teacher_sha256 policy_sha256 policy_bytes key finished_at"
KEYS = (*IDENTITY, *_MEASURED.split(), *_MADE.split())
"""What every trial has; what was not measured or does not exist is null."""
_NUMBERS = ["rollouts", "steps", "success", "entropy", "modes_found", "inference_s_p50", "train_s", "distil_s"]
_INTERVALS = ["success_interval", "entropy_interval", "inference_s_interval"]
_NAME = re.compile(r"[\w.-]{1,200}")


def read_results(file: Path) -> list[Record]:
    """Read a file of results; one that does not exist yet is empty.

    Raises:
        ConfigurationError: It is not such a file.
    """
    if not file.exists():
        return []
    records: Any = read_json(file, ConfigurationError)
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ConfigurationError(f"{printable(file)} is no list of objects, one a trial; name another file")
    for number, record in enumerate(records):
        _check(record, f"trial {number} of {printable(file)}")
    return records


def _check(record: Record, where: str) -> None:
    """Refuse a record that lacks something or holds what tables and figures cannot show."""
    if missing := [key for key in KEYS if key not in record]:
        raise ConfigurationError(f"{where} lacks {', '.join(missing)}; remove it and run it again")
    for key, names in (("method", METHODS), ("variant", [None, *VARIANTS])):
        if record[key] not in list(names):
            raise ConfigurationError(f"{where} has the {key} '{printable(record[key])}', which is none; remove it")
    seed = record["seed"]
    right = {
        "seed": isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 1 << 32,
        **{key: _is_name(record[key]) for key in ("task", "backbone")},
        "key": record["key"] is None or _is_name(record["key"]),
        **{key: record[key] is None or _is_number(record[key]) for key in _NUMBERS},
        **{key: record[key] is None or _is_interval(record[key]) for key in _INTERVALS},
        **{key: isinstance(record[key], dict | None) for key in ("machine", "settings", "versions")},
    }
    if wrong := next((key for key, fits in right.items() if not fits), None):
        raise ConfigurationError(
            f"{where} has the {wrong} {printable(record[wrong], 60)!r}, which cannot be; remove it and run it again"
        )


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None and ".." not in value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _is_interval(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_is_number(end) for end in value)


def merge_results(file: Path, records: Iterable[Record]) -> None:
    """Add trials to a file of results, in place of older ones of the same task, method, variant, backbone and seed."""
    with updating(file):
        merged = {_identity(record): record for record in (*read_results(file), *records)}
        write_json(file, [merged[identity] for identity in sorted(merged)])


def _identity(record: Record) -> tuple[str, ...]:
    return (*(str(record[key] or "") for key in IDENTITY[:-1]), f"{record['seed']:06d}")
