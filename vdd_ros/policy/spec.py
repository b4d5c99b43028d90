"""What a policy file says about itself: the JSON metadata, checked field by field."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NoReturn, TypeVar

from vdd_ros.errors import PolicyFileError

METADATA_KEY = "vdd_ros.policy"
SCHEMA_VERSION = 3
READ_VERSIONS = (2, SCHEMA_VERSION)  # 2: without novelty
MIXTURE_KINDS = ("vdd", "em", "imc")
DIFFUSION_KINDS = ("ddpm", "beso")
ONE_STEP_KINDS = ("cd", "ctm")
COVARIANCES = ("diagonal", "full")

_LARGEST = sys.float_info.max
_SHA256 = re.compile(r"[0-9a-f]{64}")
_T = TypeVar("_T")


@dataclass(frozen=True)
class ObservationEntry:
    """One named number of an observation; `unit` is SI as text, "1" where there is none."""

    name: str
    unit: str


@dataclass(frozen=True)
class ActionEntry:
    """One named number of an action and the limits that the graph applies to it, in `unit`."""

    name: str
    unit: str
    low: float
    high: float


@dataclass(frozen=True)
class Statistics:
    """What the graph normalises with, per entry and in physical units."""

    observation_mean: tuple[float, ...]
    observation_std: tuple[float, ...]
    action_mean: tuple[float, ...]
    action_std: tuple[float, ...]


@dataclass(frozen=True)
class Parity:
    """What the exporter measured against torch.

    Attributes:
        max_error: Largest absolute difference of an action, in standardised units, of a diffusion policy of a sampling
            step; where it is above what is allowed, divided by the slope.
        expert_mismatches: Samples in which another expert acted; 0 for policies without experts.
        samples: How many samples were compared.
    """

    max_error: float
    expert_mismatches: int
    samples: int


@dataclass(frozen=True)
class Novelty:
    """What the output `novelty`, -log p of an observation, means.

    Attributes:
        bound: Beyond it an observation is outside what was demonstrated.
        quantile: Share of the demonstrated observations that is within the bound, under a density without them.
        components: Of the density, a Gaussian mixture.
    """

    bound: float
    quantile: float
    components: int


@dataclass(frozen=True)
class PolicySpec:
    """The metadata of a policy file; `docs/design.md` gives the meaning of each field.

    Raises:
        PolicyFileError: A field is of the wrong type, not finite, or contradicts another; the message names it.
    """

    schema_version: int
    kind: str
    task: str | None
    observation: tuple[ObservationEntry, ...]
    action: tuple[ActionEntry, ...]
    rate_hz: float
    history: int
    horizon: int
    goal_length: int
    experts: int | None
    covariance: str | None
    sampling_steps: int | None
    statistics: Statistics
    teacher_sha256: str | None
    data_sha256: str | None
    seeds: Mapping[str, Any]
    versions: Mapping[str, Any]
    fidelity: Mapping[str, Any]
    settings: Mapping[str, Any]
    parity: Parity
    novelty: Novelty | None

    def __post_init__(self) -> None:
        _check_version(self.schema_version)
        _check_choice("kind", self.kind, MIXTURE_KINDS + DIFFUSION_KINDS + ONE_STEP_KINDS)
        if self.task is not None:
            _check_text("task", self.task)
        _check_entries("observation", self.observation, ObservationEntry)
        _check_entries("action", self.action, ActionEntry)
        for i, entry in enumerate(self.action):
            _check_number(f"action[{i}].low", entry.low)
            _check_number(f"action[{i}].high", entry.high)
            if entry.low >= entry.high:
                _refuse(f"action[{i}].low", entry.low, f"below high, which is {entry.high}")
        _check_number("rate_hz", self.rate_hz, positive=True)
        _check_count("history", self.history)
        _check_count("horizon", self.horizon)
        _check_count("goal_length", self.goal_length, least=0)
        self._check_kind_fields()
        self._check_statistics()
        for name in ("teacher_sha256", "data_sha256"):
            digest = getattr(self, name)
            if digest is not None and not (isinstance(digest, str) and _SHA256.fullmatch(digest)):
                _refuse(name, digest, "null or 64 lower-case hexadecimal digits")
        for name in ("seeds", "versions", "fidelity", "settings"):
            _check_object(name, getattr(self, name))
        self._check_parity()
        self._check_novelty()

    @classmethod
    def from_json(cls, text: str) -> "PolicySpec":
        """Read the metadata of a policy file.

        Raises:
            PolicyFileError: The text is not JSON, or a field is missing, unknown, of the wrong type or inconsistent.
        """
        try:
            raw = json.loads(text)
        except ValueError as error:
            raise PolicyFileError(
                f"The policy metadata is not JSON ({error}). Export the policy again with vdd export."
            ) from error
        if isinstance(raw, dict) and "schema_version" in raw:
            _check_version(raw["schema_version"])  # before the fields: another version has other fields
            if raw["schema_version"] < SCHEMA_VERSION:
                raw = {"novelty": None, **raw, "schema_version": SCHEMA_VERSION}
        values = dict(_members("", raw, cls))
        values["observation"] = _build_all("observation", values["observation"], ObservationEntry)
        values["action"] = _build_all("action", values["action"], ActionEntry)
        statistics = _members("statistics", values["statistics"], Statistics)
        values["statistics"] = Statistics(
            **{name: tuple(_check_list(f"statistics.{name}", value)) for name, value in statistics.items()}
        )
        values["parity"] = Parity(**_members("parity", values["parity"], Parity))
        if values["novelty"] is not None:
            values["novelty"] = Novelty(**_members("novelty", values["novelty"], Novelty))
        return cls(**values)

    def to_json(self) -> str:
        """Return the metadata text; `from_json` gives an equal spec."""
        return json.dumps(asdict(self), allow_nan=False)

    @property
    def is_mixture(self) -> bool:
        """Whether the policy is a mixture of experts."""
        return self.kind in MIXTURE_KINDS

    @property
    def obs_dim(self) -> int:
        """Number of entries of one observation."""
        return len(self.observation)

    @property
    def act_dim(self) -> int:
        """Number of entries of one action."""
        return len(self.action)

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """Shape of the noise input, without the batch: (horizon, act_dim), for diffusion (steps, horizon, act_dim)."""
        steps = () if self.sampling_steps is None else (self.sampling_steps,)
        return (*steps, self.horizon, self.act_dim)

    @property
    def period_s(self) -> float:
        """Control period in seconds."""
        return 1.0 / self.rate_hz

    def _check_kind_fields(self) -> None:
        if self.is_mixture:
            _check_count("experts", self.experts)
            _check_choice("covariance", self.covariance, COVARIANCES)
        else:
            for name in ("experts", "covariance"):
                if getattr(self, name) is not None:
                    _refuse(name, getattr(self, name), f"null for the kind {self.kind!r}, which is not a mixture")
        if self.kind in DIFFUSION_KINDS:
            _check_count("sampling_steps", self.sampling_steps)
        elif self.sampling_steps is not None:
            _refuse("sampling_steps", self.sampling_steps, f"null for the kind {self.kind!r}, which takes one step")

    def _check_statistics(self) -> None:
        if not isinstance(self.statistics, Statistics):
            _refuse("statistics", self.statistics, "an object of means and deviations")
        for name, dim in (("observation", self.obs_dim), ("action", self.act_dim)):
            for moment in ("mean", "std"):
                where = f"statistics.{name}_{moment}"
                values = getattr(self.statistics, f"{name}_{moment}")
                if not isinstance(values, tuple) or len(values) != dim:
                    _refuse(where, values, f"a list of {dim} numbers, one for each entry of the {name}")
                for i, value in enumerate(values):
                    _check_number(f"{where}[{i}]", value, positive=moment == "std")

    def _check_parity(self) -> None:
        if not isinstance(self.parity, Parity):
            _refuse("parity", self.parity, "an object of measured figures")
        _check_number("parity.max_error", self.parity.max_error)
        if self.parity.max_error < 0:
            _refuse("parity.max_error", self.parity.max_error, "0 or more")
        _check_count("parity.expert_mismatches", self.parity.expert_mismatches, least=0)
        _check_count("parity.samples", self.parity.samples, least=0)

    def _check_novelty(self) -> None:
        if self.novelty is None:
            return
        if not isinstance(self.novelty, Novelty):
            _refuse("novelty", self.novelty, "null or an object of bound, quantile and components")
        _check_number("novelty.bound", self.novelty.bound)
        _check_number("novelty.quantile", self.novelty.quantile, positive=True)
        if self.novelty.quantile > 1:
            _refuse("novelty.quantile", self.novelty.quantile, "1 or less")
        _check_count("novelty.components", self.novelty.components)


def _refuse(field: str, value: object, allowed: str) -> NoReturn:
    raise PolicyFileError(
        f"Policy metadata, field {field}: {value!r} is not allowed; it must be {allowed}. "
        "Correct it where the policy is made and export the policy again."
    )


def _check_version(value: object) -> None:
    if isinstance(value, bool) or value not in READ_VERSIONS:
        raise PolicyFileError(
            f"Policy metadata, field schema_version: {value!r} is unknown; this vdd_ros reads the versions "
            f"{' and '.join(map(str, READ_VERSIONS))}. Export the policy again with this version, or install the one "
            "that made it."
        )


def _check_choice(field: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        _refuse(field, value, "one of " + ", ".join(allowed))


def _check_text(field: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        _refuse(field, value, "a text that is not empty")


def _check_number(field: str, value: object, *, positive: bool = False) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_LARGEST <= value <= _LARGEST:
        _refuse(field, value, "a finite number")
    if positive and value <= 0:
        _refuse(field, value, "above 0")


def _check_count(field: str, value: object, *, least: int = 1) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        _refuse(field, value, f"a whole number, {least} or more")


def _check_object(field: str, value: object) -> None:
    try:
        plain = isinstance(value, Mapping) and json.loads(json.dumps(value, allow_nan=False)) == value
    except (TypeError, ValueError):
        plain = False
    if not plain:
        _refuse(field, value, "a JSON object of finite values, with texts as keys and lists rather than tuples")


def _check_entries(field: str, entries: object, entry_type: type[ObservationEntry] | type[ActionEntry]) -> None:
    if not isinstance(entries, tuple) or not entries:
        _refuse(field, entries, "a list of one entry or more")
    seen: set[str] = set()
    for i, entry in enumerate(entries):
        if not isinstance(entry, entry_type):
            _refuse(f"{field}[{i}]", entry, "an object like " + _names(entry_type))
        _check_text(f"{field}[{i}].name", entry.name)
        _check_text(f"{field}[{i}].unit", entry.unit)
        if entry.name in seen:
            _refuse(f"{field}[{i}].name", entry.name, "different from the names of the other entries")
        seen.add(entry.name)


def _check_list(field: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        _refuse(field, value, "a list")
    return value


def _names(cls: type) -> str:
    return ", ".join(field.name for field in fields(cls))


def _members(where: str, raw: object, cls: type) -> dict[str, Any]:
    """Return the members of a JSON object that must have exactly the fields of a dataclass."""
    if not isinstance(raw, dict):
        _refuse(where or "(all of it)", raw, "an object with the members " + _names(cls))
    prefix = f"{where}." if where else ""
    expected = [field.name for field in fields(cls)]
    for name in expected:
        if name not in raw:
            raise PolicyFileError(
                f"Policy metadata, field {prefix}{name}: missing. Export the policy again with vdd export."
            )
    for name in raw:
        if name not in expected:
            raise PolicyFileError(
                f"Policy metadata, field {prefix}{name}: unknown; known here are {', '.join(expected)}. "
                "Remove it, or put it into settings."
            )
    return raw


def _build_all(field: str, raw: object, entry_type: type[_T]) -> tuple[_T, ...]:
    items = _check_list(field, raw)
    return tuple(entry_type(**_members(f"{field}[{i}]", item, entry_type)) for i, item in enumerate(items))
