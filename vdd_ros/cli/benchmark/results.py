"""The file of results: a list with one object a cell, which several processes may add to."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vdd_ros.cli.benchmark.matrix import METHODS, VARIANTS
from vdd_ros.cli.report import write_json
from vdd_ros.errors import ConfigurationError
from vdd_ros.files import updating

Record = dict[str, Any]

IDENTITY = ("task", "backbone", "method", "variant", "seed")
_MEASURED = (
    "teacher experts rollouts steps success success_interval entropy entropy_interval modes_found inference_s_p50 "
    "inference_s_interval inference_at inference_machine"
)
_MADE = "train_s distil_s machine commit settings versions teacher_sha256 policy_sha256 policy_bytes key finished_at"
KEYS = (*IDENTITY, *_MEASURED.split(), *_MADE.split())
"""What every cell has; what was not measured or does not exist is null."""


def read_results(file: Path) -> list[Record]:
    """Read a file of results; one that does not exist yet is empty.

    Raises:
        ConfigurationError: It is not such a file.
    """
    try:
        records = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise ConfigurationError(f"{file} cannot be read as JSON ({error}); mend it or name another file") from error
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ConfigurationError(f"{file} is no list of objects, one a cell; name another file")
    for number, record in enumerate(records):
        if missing := [key for key in KEYS if key not in record]:
            raise ConfigurationError(f"cell {number} of {file} lacks {', '.join(missing)}; remove it and run it again")
        for key, names in (("method", METHODS), ("variant", [None, *VARIANTS])):
            if record[key] not in names:
                raise ConfigurationError(
                    f"cell {number} of {file} has the {key} '{record[key]}', which is none; remove it"
                )
    return records


def merge_results(file: Path, records: Iterable[Record]) -> None:
    """Add cells to a file of results, in place of older ones of the same task, method, variant, backbone and seed."""
    with updating(file):
        merged = {_identity(record): record for record in (*read_results(file), *records)}
        write_json(file, [merged[identity] for identity in sorted(merged)])


def _identity(record: Record) -> tuple[str, ...]:
    return (*(str(record[key] or "") for key in IDENTITY[:-1]), f"{record['seed']:06d}")
