"""The file of results: a list with one object for each trial, to which several processes may add."""

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeGuard

from vdd_ros.benchmark.methods.data_names import is_name
from vdd_ros.benchmark.methods.matrix import METHODS, VARIANTS
from vdd_ros.documents import JsonObject, read_json, write_json
from vdd_ros.errors import ConfigurationError
from vdd_ros.files import updating
from vdd_ros.host.facts import MachineFacts
from vdd_ros.tasks.metrics import Score
from vdd_ros.text import printable

MeanKey = Literal["returns", "goal_share", "modes_found", "inference_s_p50", "train_s", "distil_s"]
"""Numbers of a trial that tables show as a mean over seeds."""


class TrainingMachine(MachineFacts, total=False):
    """The machine of a training.

    Attributes:
        threads: Number of torch's threads.
        gpu: Name of the GPU; None for a training on the CPU.
    """

    threads: int
    gpu: str | None


class _FurtherOutcome(TypedDict, total=False):
    """Keys that outcomes in records of older versions lack."""

    entropy_estimate: float
    by_context: list[list[int]]
    entropy_by_context: list[float]


class Outcome(_FurtherOutcome):
    """How often a task, or a milestone of it, was achieved, and in how many ways.

    Attributes:
        success, success_interval: Success rate and its 95 % interval.
        entropy, entropy_interval: Task entropy and its 95 % interval.
        entropy_estimate: The task entropy, nearly unbiased.
        by_context: Successes and rollouts of each context, in the order in which the task draws them.
        entropy_by_context: Task entropy of each context, in the same order.
    """

    success: float
    success_interval: list[float]
    entropy: float
    entropy_interval: list[float]


def outcome(score: Score) -> Outcome:
    """Return the outcome of a score."""
    return {
        "success": score.success_rate,
        "success_interval": list(score.success_interval),
        "entropy": score.entropy,
        "entropy_interval": list(score.entropy_interval),
        "entropy_estimate": score.entropy_estimate,
        "by_context": [list(counts) for counts in score.by_context],
        "entropy_by_context": list(score.entropy_by_context),
    }


class _Further(TypedDict, total=False):
    """Keys that records of older versions may lack."""

    style: str | None
    milestones: dict[str, Outcome]
    returns: float | None
    returns_interval: list[float] | None
    goal_share: float | None
    goal_share_interval: list[float] | None
    contexts: int
    contexts_sha256: str | None
    modes: dict[str, int]
    ends: dict[str, int]
    sampler: str | None
    schedule: str | None
    data_sha256: str | None


class Record(_Further, Outcome):
    """A trial in the file of results.

    Attributes:
        task, backbone, seed: Of its model.
        style: Style of the demonstrations; None for the usual one.
        method: Name in `METHODS`.
        variant: Name in `VARIANTS`; None for a policy that is not an ablation.
        teacher: Diffusion model that the policy is or learned from; None if it learned only from demonstrations.
        experts: Number of experts; None for a policy that is not a mixture.
        rollouts: Number of episodes.
        milestones: Outcomes of the task's milestones by name.
        returns, returns_interval: Mean return and its 95 % interval; None if the task has no reward.
        goal_share, goal_share_interval: Mean share of their goals that rollouts achieved and its 95 % interval; None
            for a policy without goals, or if the task does not score them.
        contexts: Number of contexts that the rollouts started from.
        contexts_sha256: Hash of the context of each rollout; None if all start alike.
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
        "seed": _is_count(seed) and seed < 1 << 32,
        **{key: is_name(record[key]) for key in ("task", "backbone")},
        "key": record["key"] is None or is_name(record["key"]),
        **{key: record[key] is None or _is_number(record[key]) for key in _NUMBERS},
        **{key: record[key] is None or _is_interval(record[key]) for key in _INTERVALS},
        **{key: isinstance(record[key], dict | None) for key in ("machine", "settings", "versions")},
        **{key: record[key] is None or fits(record[key]) for key, fits in _FURTHER.items() if key in record},
        "milestones": _are_milestones(record.get("milestones", {})),
    }
    if wrong := next((key for key, fits in right.items() if not fits), None):
        raise ConfigurationError(
            f"{where} has the {wrong} {printable(record[wrong], 60)!r}, which cannot be; remove it and run it again"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _is_interval(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_is_number(end) for end in value)


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _are_counts(value: object) -> bool:
    """Return whether a value lists successes and rollouts by context."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(row, list) and len(row) == 2 and all(map(_is_count, row)) for row in value)
        and all(0 < rollouts >= successes for successes, rollouts in value)
    )


def _are_numbers(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_number, value))


def _are_milestones(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(one, dict) and all(key in one and fits(one[key]) for key, fits in _OUTCOME.items())
        for one in value.values()
    )


_FURTHER: dict[str, Callable[[object], bool]] = {
    **{"style": is_name, "contexts": _is_count, "contexts_sha256": is_name, "entropy_estimate": _is_number},
    **{"returns": _is_number, "returns_interval": _is_interval},
    **{"goal_share": _is_number, "goal_share_interval": _is_interval},
    **{"by_context": _are_counts, "entropy_by_context": _are_numbers},
}
"""What the values of keys must be that records of older versions lack, unless they are null."""
_OUTCOME: dict[str, Callable[[object], bool]] = {
    **{"success": _is_number, "success_interval": _is_interval},
    **{"entropy": _is_number, "entropy_interval": _is_interval},
    **{"by_context": _are_counts, "entropy_by_context": _are_numbers},
}
"""What the values of a milestone must be."""


def merge_results(file: Path, records: Iterable[Record]) -> None:
    """Add trials to a file of results; replace those of the same task, style, backbone, method, variant and seed."""
    with updating(file):
        merged = {_identity(record): record for record in (*read_results(file), *records)}
        write_json(file, [merged[identity] for identity in sorted(merged)])


def _identity(record: Record) -> tuple[str, ...]:
    content: Mapping[str, object] = record
    task, *others = (str(content[key] or "") for key in IDENTITY[:-1])
    return (task, record.get("style") or "", *others, f"{record['seed']:06d}")
