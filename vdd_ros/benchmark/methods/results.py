"""The file of results: a list with one object for each trial, to which several processes may add."""

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict

from vdd_ros.benchmark.methods.matrix import METHODS, VARIANTS
from vdd_ros.documents import JsonObject, read_json, write_json
from vdd_ros.errors import ConfigurationError
from vdd_ros.files import updating
from vdd_ros.host.facts import MachineFacts
from vdd_ros.text import printable

MeanKey = Literal["modes_found", "inference_s_p50", "train_s", "distil_s"]
"""Numbers of a trial that tables show as a mean over seeds."""


class TrainingMachine(MachineFacts, total=False):
    """The machine of a training.

    Attributes:
        threads: Number of torch's threads.
        gpu: Name of the GPU; None for a training on the CPU.
    """

    threads: int
    gpu: str | None


class _Further(TypedDict, total=False):
    """Keys that records of older versions may lack."""

    modes: dict[str, int]
    ends: dict[str, int]
    sampler: str | None
    schedule: str | None
    data_sha256: str | None


class Record(_Further):
    """A trial in the file of results.

    Attributes:
        task, backbone, seed: Of its model.
        method: Name in `METHODS`.
        variant: Name in `VARIANTS`; None for a policy that is not an ablation.
        teacher: Diffusion model that the policy is or learned from; None if it learned only from demonstrations.
        experts: Number of experts; None for a policy that is not a mixture.
        rollouts: Number of episodes.
        success, success_interval: Success rate and its 95 % interval.
        entropy, entropy_interval: Task entropy and its 95 % interval.
        modes_found, modes, ends: As in `Score` and `EpisodesScore`, with modes as text.
        steps: Passes of the network for one action.
        sampler, schedule: As in `ExportConfig`; None for a policy of one pass.
        inference_s_p50, inference_s_interval: Median time of an action and its 95 % interval, s; None if not measured.
        inference_at, inference_machine: When, ISO 8601 in UTC, and where these times were measured.
        train_s: Time of the training, of the teacher's for a distilled policy, s.
        distil_s: Time of the distillation, s; None for a policy that is not distilled.
        machine, commit, settings, versions: Those of the training; `commit` is None outside a checkout.
        data_sha256, teacher_sha256, policy_sha256: Hashes of demonstrations, teacher and policy file.
        policy_bytes: Size of the policy file, bytes.
        key: Name of the trial's folder.
        finished_at: ISO 8601 in UTC.
    """

    task: str
    backbone: str
    method: str
    variant: str | None
    seed: int
    teacher: str | None
    experts: int | None
    rollouts: int
    steps: int
    success: float
    success_interval: list[float]
    entropy: float
    entropy_interval: list[float]
    modes_found: int
    inference_s_p50: float | None
    inference_s_interval: list[float] | None
    inference_at: str | None
    inference_machine: MachineFacts | None
    train_s: float
    distil_s: float | None
    machine: TrainingMachine
    commit: str | None
    settings: JsonObject
    versions: dict[str, str]
    teacher_sha256: str | None
    policy_sha256: str
    policy_bytes: int
    key: str
    finished_at: str


IDENTITY = ("task", "backbone", "method", "variant", "seed")
_MEASURED = (
    "teacher experts rollouts steps success success_interval entropy entropy_interval modes_found inference_s_p50 "
    "inference_s_interval inference_at inference_machine"
)
_MADE = "train_s distil_s machine commit settings versions teacher_sha256 policy_sha256 policy_bytes key finished_at"
KEYS = (*IDENTITY, *_MEASURED.split(), *_MADE.split())
"""The keys of every trial; null for a value that was not measured or does not exist."""
_NUMBERS = ["rollouts", "steps", "success", "entropy", "modes_found", "inference_s_p50", "train_s", "distil_s"]
_INTERVALS = ["success_interval", "entropy_interval", "inference_s_interval"]
_NAME = re.compile(r"[\w.-]{1,200}")


def read_results(file: Path) -> list[Record]:
    """Read a file of results; return an empty list if it does not exist yet.

    Raises:
        ConfigurationError: The file is not a file of results.
    """
    if not file.exists():
        return []
    records: Any = read_json(file, ConfigurationError)
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ConfigurationError(f"{printable(file)} is not a list of objects, one a trial; name another file")
    for number, record in enumerate(records):
        _check(record, f"trial {number} of {printable(file)}")
    return records


def _check(record: JsonObject, where: str) -> None:
    """Refuse a record that lacks a key, or holds a value that tables and figures cannot show."""
    if missing := [key for key in KEYS if key not in record]:
        raise ConfigurationError(f"{where} lacks {', '.join(missing)}; remove it and run it again")
    for key, names in (("method", METHODS), ("variant", [None, *VARIANTS])):
        if record[key] not in list(names):
            raise ConfigurationError(f"{where} has the {key} '{printable(record[key])}', which is unknown; remove it")
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
    """Add trials to a file of results; replace those of the same task, backbone, method, variant and seed."""
    with updating(file):
        merged = {_identity(record): record for record in (*read_results(file), *records)}
        write_json(file, [merged[identity] for identity in sorted(merged)])


def _identity(record: Record) -> tuple[str, ...]:
    content: Mapping[str, object] = record
    return (*(str(content[key] or "") for key in IDENTITY[:-1]), f"{record['seed']:06d}")
