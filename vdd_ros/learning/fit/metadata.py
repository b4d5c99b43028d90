"""The metadata of a checkpoint, validated field by field on reading."""

import dataclasses
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, TypedDict, TypeVar, get_args, get_origin, get_type_hints

from vdd_ros.documents import parse_json
from vdd_ros.errors import CheckpointError, ConfigurationError
from vdd_ros.features import Feature, Signature, from_pairs, to_pairs
from vdd_ros.learning.fit.windows import Statistics
from vdd_ros.learning.networks.backbones import NetworkConfig
from vdd_ros.policy.spec import MAX_WARNING, MAX_WARNINGS
from vdd_ros.policy.structure import OLD_KINDS, STRUCTURES
from vdd_ros.text import printable

Config = TypeVar("Config", bound=NetworkConfig)

FORMAT_VERSION = 2
READ_VERSIONS = (1, FORMAT_VERSION)  # 1: the method's name implied the structure, nothing was doubtful
MAX_METADATA_BYTES = 4 << 20
MAX_TEXT = 200
LARGEST = {
    **{"layers": 1_000, "head_layers": 1_000, "state_layers": 1_000, "octaves": 64, "levels": 100_000},
    **{"history": 4_096, "goal_length": 4_096, "horizon": 4_096, "conditions": 2},
}
"""Limits on sizes of a model that cost time, or memory beyond the file of its weights."""
LEAST = {"levels": 2, "experts": 1, "head_width": 1, "history": 1, "horizon": 1, "conditions": 1}
MAX_SIZE = 1 << 20
_SHA256 = re.compile("[0-9a-f]{64}")
_CONDITIONS_1 = {"cd": 1, "ctm": 2}


class TrainedModel(TypedDict):
    """The fields of `CheckpointMetadata` that a training adds to those of its source."""

    model: dict[str, Any]
    settings: dict[str, Any]
    steps: int
    versions: dict[str, str]


@dataclass(frozen=True)
class CheckpointMetadata:
    """Metadata of a checkpoint.

    Attributes:
        structure: Of the policy's graph, as in policy files: `mixture`, `diffusion`, `one_step`.
        method: How it was trained: `vdd`, `ddpm`.
        task: Name of the task.
        observation, action: Features; only names and units are kept.
        rate_hz: Control rate.
        statistics: `observation_` and `action_` `mean` and `std`, `action_low`, `action_high`: lists, SI units.
        model: Arguments of the model's configuration.
        settings: Arguments of the training's configuration.
        steps: Training steps done.
        data_sha256, teacher_sha256: Digests of training data and teacher; None if unknown or absent.
        warnings: Doubts about the training data, a sentence each; policy files repeat them.
        versions: Package versions.
    """

    structure: str
    method: str
    task: str
    observation: tuple[Feature, ...]
    action: tuple[Feature, ...]
    rate_hz: float
    statistics: dict[str, list[float]]
    model: dict[str, Any]
    settings: dict[str, Any]
    steps: int
    data_sha256: str | None
    teacher_sha256: str | None
    versions: dict[str, str]
    warnings: tuple[str, ...] = ()

    @property
    def signature(self) -> Signature:
        """Observation, action and control rate of the policy."""
        return Signature(self.observation, self.action, self.rate_hz)

    def to_json(self) -> str:
        """Return the metadata as JSON."""
        features = {"observation": to_pairs(self.observation), "action": to_pairs(self.action)}
        return json.dumps({"format_version": FORMAT_VERSION, **dataclasses.asdict(self), **features}, indent=2)

    @classmethod
    def from_json(cls, text: str, where: Path) -> "CheckpointMetadata":
        """Read metadata.

        Raises:
            CheckpointError: It is damaged, of another version, lacks a field, or has an invalid one.
        """
        fields = parse_json(text, f"the metadata of '{where}'", CheckpointError, max_bytes=MAX_METADATA_BYTES)
        if not isinstance(fields, dict):
            raise CheckpointError(
                f"'{printable(where)}' has damaged metadata (no JSON object); train or distil it again"
            )
        version = fields.pop("format_version", None)
        if isinstance(version, bool) or version not in READ_VERSIONS:
            raise CheckpointError(
                f"'{printable(where)}' has checkpoint version {printable(version)}; this version of vdd_ros reads "
                f"{' and '.join(map(str, READ_VERSIONS))}"
            )
        if version == 1 and "kind" in fields:
            kind = fields.pop("kind")
            fields |= {"structure": OLD_KINDS.get(str(kind), ""), "method": kind, "warnings": []}
            fields["model"] = _from_version_1(fields.get("model"))
        return _MetadataFields(fields, where).read()


class _MetadataFields:
    """The fields of the metadata before validation."""

    def __init__(self, fields: dict[str, Any], where: Path) -> None:
        known = {field.name for field in dataclasses.fields(CheckpointMetadata)}
        self._fields, self._where = fields, where
        if missing := sorted(known - fields.keys()):
            self._refuse(f"lacks {', '.join(missing)}")
        if unknown := sorted(fields.keys() - known):
            self._refuse(f"has the unknown field {printable(unknown[0])}")

    def read(self) -> CheckpointMetadata:
        observation, action = self._entries("observation"), self._entries("action")
        sizes = {"observation": len(observation), "action": len(action)}
        rate_hz, steps = self._fields["rate_hz"], self._fields["steps"]
        if not _is_number(rate_hz) or rate_hz <= 0:
            self._refuse(f"has the rate_hz {printable(rate_hz)}; it must be a number above 0")
        if not isinstance(steps, int) or isinstance(steps, bool) or steps < 0:
            self._refuse(f"has {printable(steps)} steps; they must be a whole number, 0 or more")
        return CheckpointMetadata(
            structure=self._structure(),
            method=self._text("method"),
            task=self._text("task"),
            observation=observation,
            action=action,
            rate_hz=float(rate_hz),
            statistics=self._statistics(sizes),
            model=self._scalars("model"),
            settings=self._scalars("settings"),
            steps=steps,
            data_sha256=self._digest("data_sha256"),
            teacher_sha256=self._digest("teacher_sha256"),
            versions=self._scalars("versions"),
            warnings=self._warnings(),
        )

    def _refuse(self, problem: str) -> NoReturn:
        raise CheckpointError(
            f"'{printable(self._where)}' has metadata that {problem}; take another copy, or train or distil it again"
        )

    def _text(self, name: str) -> str:
        value = self._fields[name]
        if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
            self._refuse(f"has the {name} {printable(value)!r}; it must be a text of 1 to {MAX_TEXT} characters")
        return value

    def _structure(self) -> str:
        value = self._fields["structure"]
        if value not in STRUCTURES:
            self._refuse(
                f"has the structure {printable(value)!r} and the method {printable(self._fields['method'])!r}; the "
                f"structure must be one of {', '.join(STRUCTURES)}"
            )
        return str(value)

    def _warnings(self) -> tuple[str, ...]:
        value = self._fields["warnings"]
        if not isinstance(value, list) or len(value) > MAX_WARNINGS:
            self._refuse(f"has no list of at most {MAX_WARNINGS} texts as its warnings")
        for text in value:
            if not isinstance(text, str) or not 0 < len(text) <= MAX_WARNING:
                self._refuse(f"has the warning {printable(text)!r}; it must be a text of 1 to {MAX_WARNING} characters")
        return tuple(value)

    def _digest(self, name: str) -> str | None:
        value = self._fields[name]
        if value is not None and not (isinstance(value, str) and _SHA256.fullmatch(value)):
            self._refuse(f"has the {name} {printable(value)!r}; it must be null or have 64 hexadecimal digits")
        return value

    def _entries(self, name: str) -> tuple[Feature, ...]:
        try:
            return from_pairs(self._fields[name], MAX_SIZE, MAX_TEXT)
        except ValueError as error:
            self._refuse(f"has a wrong {name}: it {error}")

    def _statistics(self, sizes: dict[str, int]) -> dict[str, list[float]]:
        lists = self._fields["statistics"]
        wanted = [field.name for field in dataclasses.fields(Statistics)]
        if not isinstance(lists, dict) or sorted(lists) != sorted(wanted):
            self._refuse(f"has other statistics than {', '.join(wanted)}")
        for name, values in lists.items():
            size = sizes[name.partition("_")[0]]
            if not isinstance(values, list) or len(values) != size or not all(_is_number(value) for value in values):
                self._refuse(f"has a {name} that is not a list of {size} finite numbers")
            if name.endswith("_std") and min(values) <= 0:
                self._refuse(f"has a {name} of {min(values)}; deviations are above 0")
        if any(low > high for low, high in zip(lists["action_low"], lists["action_high"], strict=True)):
            self._refuse("has an action_low above its action_high")
        return {name: [float(value) for value in values] for name, values in lists.items()}

    def _scalars(self, name: str) -> dict[str, Any]:
        values = self._fields[name]
        if not isinstance(values, dict):
            self._refuse(f"has no object as its {name}")
        for key, value in values.items():
            if not (value is None or isinstance(value, str | bool) or _is_number(value)):
                self._refuse(f"has a {name}.{printable(key)} that is neither text nor a finite number")
        return values


def _from_version_1(model: Any) -> Any:
    """Return a model's fields; version 1 implied a one-step policy's number of noise conditions by its method."""
    if not isinstance(model, dict) or model.get("kind") not in _CONDITIONS_1:
        return model
    others = {name: value for name, value in model.items() if name != "kind"}
    return {**others, "conditions": _CONDITIONS_1[model["kind"]]}


def origin_warning(metadata: CheckpointMetadata, given: str, who: str, used: str) -> tuple[str, ...]:
    """Return a warning if demonstrations are not known to be a model's training data, else nothing.

    Args:
        metadata: Metadata of the model.
        given: Digest of the demonstrations.
        who: The model in words, such as "the teacher".
        used: Use of the demonstrations, such as "it was distilled at the states of".
    """
    if metadata.data_sha256 == given:
        return ()
    learned = (
        f"other demonstrations (sha256 {metadata.data_sha256[:12]})"
        if metadata.data_sha256
        else "unknown demonstrations"
    )
    return (f"{who} learned from {learned}; {used} those with the sha256 {given[:12]}",)


def _is_number(value: object) -> bool:
    """Return whether a value is a number within the range of a float, and not a bool."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def read_shape(config: Callable[..., Config], metadata: CheckpointMetadata, folder: Path) -> Config:
    """Build the configuration of the model that the metadata describes.

    Raises:
        CheckpointError: The metadata describes another model, one of implausible sizes, or one that does not fit
            its own entries.
    """

    def refuse(problem: str) -> NoReturn:
        raise CheckpointError(
            f"the metadata in '{printable(folder)}' describes another model ({problem}); make it again"
        )

    types = get_type_hints(config)
    for name, value in metadata.model.items():
        if name not in types:
            refuse(f"unknown field {printable(name)!r}")
        if not _fits(value, types[name]):
            refuse(f"{name} is {printable(value)!r}")
        least, most = LEAST.get(name, 0), LARGEST.get(name, MAX_SIZE)
        if types[name] is int and not least <= value <= most:
            refuse(f"{name} is {value}; it must be from {least} to {most:,}")
        if types[name] is float and name != "dropout" and value <= 0:
            refuse(f"{name} is {value}; it must be above 0")
        if name == "floor" and value >= 1:
            refuse(f"floor is {value}; it must be below 1")
    try:
        shape = config(**metadata.model)
        shape.check()
    except (ConfigurationError, TypeError) as error:
        refuse(printable(error))
    for name, entries in (("obs_dim", metadata.observation), ("act_dim", metadata.action)):
        if getattr(shape, name) != len(entries):
            refuse(f"{name} is {getattr(shape, name)}, but the metadata has {len(entries)} entries")
    return shape


def check_sizes(shape: NetworkConfig) -> None:
    """Refuse, before it is trained, a model that `read_shape` would refuse afterwards.

    Raises:
        ConfigurationError: With the field, its value and the allowed values.
    """
    shape.check()
    for field in dataclasses.fields(shape):
        value, most = getattr(shape, field.name), LARGEST.get(field.name, MAX_SIZE)
        if isinstance(value, int) and value > most:
            raise ConfigurationError(f"{field.name} is {value}; it must be at most {most:,}")


def _fits(value: object, kind: Any) -> bool:
    """Return whether a value from JSON has a field's type: a number, a bool or one of a `Literal`'s choices."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if kind is float:
        return _is_number(value)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
