"""What a policy file says about itself: the JSON metadata, checked field by field."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vdd_ros.documents import parse_json
from vdd_ros.errors import PolicyFileError
from vdd_ros.policy.spec_checks import (
    MAX_COUNT,
    MAX_DEPTH,
    MAX_METADATA_BYTES,
    build_all,
    check_choice,
    check_count,
    check_list,
    check_number,
    check_object,
    check_text,
    members,
    names,
    refuse,
)
from vdd_ros.text import printable

METADATA_KEY = "vdd_ros.policy"
SCHEMA_VERSION = 3
READ_VERSIONS = (2, SCHEMA_VERSION)  # 2: without novelty
MIXTURE_KINDS = ("vdd", "em", "imc")
DIFFUSION_KINDS = ("ddpm", "beso")
ONE_STEP_KINDS = ("cd", "ctm")
COVARIANCES = ("diagonal", "full")

MAX_NUMBERS = 1_000_000
"""In the noise for one action."""
MAX_WINDOW = 100_000
"""Numbers in a window, a goal or a chunk, each of which has a label in records."""
SLOWEST_HZ, FASTEST_HZ = 0.001, 100_000.0
DETERMINISTIC = "deterministic"
"""The setting of files whose draws are constants."""

_MOST_SAMPLES = 2**53
_DIGIT = 2.0**-24  # half of float32's least significant digit, relative: what is told apart at best
_SHA256 = re.compile(r"[0-9a-f]{64}")


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
        check_choice("kind", self.kind, MIXTURE_KINDS + DIFFUSION_KINDS + ONE_STEP_KINDS)
        if self.task is not None:
            check_text("task", self.task)
        _check_entries("observation", self.observation, ObservationEntry)
        _check_entries("action", self.action, ActionEntry)
        for i, entry in enumerate(self.action):
            check_number(f"action[{i}].low", entry.low)
            check_number(f"action[{i}].high", entry.high)
            if entry.low >= entry.high:
                refuse(f"action[{i}].low", entry.low, f"below high, which is {entry.high}")
        check_number("rate_hz", self.rate_hz, positive=True)
        if not SLOWEST_HZ <= self.rate_hz <= FASTEST_HZ:
            refuse("rate_hz", self.rate_hz, f"between {SLOWEST_HZ:g} and {FASTEST_HZ:,.0f}")
        check_count("history", self.history)
        check_count("horizon", self.horizon)
        check_count("goal_length", self.goal_length, least=0)
        self._check_kind_fields()
        self._check_statistics()
        for name in ("teacher_sha256", "data_sha256"):
            digest = getattr(self, name)
            if digest is not None and not (isinstance(digest, str) and _SHA256.fullmatch(digest)):
                refuse(name, digest, "null or 64 lower-case hexadecimal digits")
        for name in ("seeds", "versions", "fidelity", "settings"):
            check_object(name, getattr(self, name))
        if not isinstance(self.settings.get(DETERMINISTIC, False), bool):
            refuse(f"settings.{DETERMINISTIC}", self.settings[DETERMINISTIC], "true or false")
        self._check_sizes()
        self._check_parity()
        self._check_novelty()

    @classmethod
    def from_json(cls, text: str) -> "PolicySpec":
        """Read the metadata of a policy file.

        Raises:
            PolicyFileError: The text is not JSON, or a field is missing, unknown, of the wrong type or inconsistent.
        """
        raw = parse_json(
            text, "The policy metadata", PolicyFileError, max_bytes=MAX_METADATA_BYTES, max_depth=MAX_DEPTH
        )
        if isinstance(raw, dict) and "schema_version" in raw:
            _check_version(raw["schema_version"])  # before the fields: another version has other fields
            if raw["schema_version"] < SCHEMA_VERSION:
                raw = {"novelty": None, **raw, "schema_version": SCHEMA_VERSION}
        values = dict(members("", raw, cls))
        values["observation"] = build_all("observation", values["observation"], ObservationEntry)
        values["action"] = build_all("action", values["action"], ActionEntry)
        statistics = members("statistics", values["statistics"], Statistics)
        values["statistics"] = Statistics(
            **{name: tuple(check_list(f"statistics.{name}", value)) for name, value in statistics.items()}
        )
        values["parity"] = Parity(**members("parity", values["parity"], Parity))
        if values["novelty"] is not None:
            values["novelty"] = Novelty(**members("novelty", values["novelty"], Novelty))
        return cls(**values)

    def to_json(self) -> str:
        """Return the metadata text; `from_json` gives an equal spec.

        Raises:
            PolicyFileError: It is larger than what is read.
        """
        text = json.dumps(asdict(self), allow_nan=False)
        if len(text) > MAX_METADATA_BYTES:
            raise PolicyFileError(
                f"Policy metadata have {len(text):,} bytes; at most {MAX_METADATA_BYTES:,} are read. Note fewer "
                "figures in fidelity, or fewer settings."
            )
        return text

    @property
    def is_mixture(self) -> bool:
        """Whether the policy is a mixture of experts."""
        return self.kind in MIXTURE_KINDS

    @property
    def is_deterministic(self) -> bool:
        """Whether the draws are constants of the graph, so that it takes no `noise` and no `expert_uniform`."""
        return self.settings.get(DETERMINISTIC) is True

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
            check_count("experts", self.experts)
            check_choice("covariance", self.covariance, COVARIANCES)
        else:
            for name in ("experts", "covariance"):
                if getattr(self, name) is not None:
                    refuse(name, getattr(self, name), f"null for the kind {self.kind!r}, which is not a mixture")
        if self.kind in DIFFUSION_KINDS:
            check_count("sampling_steps", self.sampling_steps)
        elif self.sampling_steps is not None:
            refuse("sampling_steps", self.sampling_steps, f"null for the kind {self.kind!r}, which takes one step")

    def _check_sizes(self) -> None:
        """Refuse what would fill the memory: arrays of these sizes are made for one observation."""
        for what, counts, most in (
            ("history", (self.history, self.obs_dim), MAX_WINDOW),
            ("goal_length", (self.goal_length, self.obs_dim), MAX_WINDOW),
            ("horizon", (self.horizon, self.act_dim), MAX_WINDOW),
            ("sampling_steps", (self.sampling_steps or 1, self.horizon, self.act_dim), MAX_NUMBERS),
        ):
            if math.prod(counts) > most:
                product = " times ".join(f"{count:,}" for count in counts)
                refuse(what, getattr(self, what), f"such that {product} numbers are at most {most:,}")

    def _check_statistics(self) -> None:
        if not isinstance(self.statistics, Statistics):
            refuse("statistics", self.statistics, "an object of means and deviations")
        for name, dim in (("observation", self.obs_dim), ("action", self.act_dim)):
            for moment in ("mean", "std"):
                where = f"statistics.{name}_{moment}"
                values = getattr(self.statistics, f"{name}_{moment}")
                if not isinstance(values, tuple) or len(values) != dim:
                    refuse(where, values, f"a list of {dim} numbers, one for each entry of the {name}")
                for i, value in enumerate(values):
                    check_number(f"{where}[{i}]", value, positive=moment == "std")
        for i, (mean, std) in enumerate(
            zip(self.statistics.observation_mean, self.statistics.observation_std, strict=True)
        ):
            if std < abs(mean) * _DIGIT:
                allowed = f"at least {abs(mean) * _DIGIT:.2g}, which is what single precision resolves at {mean:.6g}"
                refuse(f"statistics.observation_std[{i}]", std, allowed)

    def _check_parity(self) -> None:
        if not isinstance(self.parity, Parity):
            refuse("parity", self.parity, "an object of measured figures")
        check_number("parity.max_error", self.parity.max_error)
        if self.parity.max_error < 0:
            refuse("parity.max_error", self.parity.max_error, "0 or more")
        for name in ("expert_mismatches", "samples"):
            check_count(f"parity.{name}", getattr(self.parity, name), least=0, most=_MOST_SAMPLES)

    def _check_novelty(self) -> None:
        if self.novelty is None:
            return
        if not isinstance(self.novelty, Novelty):
            refuse("novelty", self.novelty, "null or an object of bound, quantile and components")
        check_number("novelty.bound", self.novelty.bound)
        check_number("novelty.quantile", self.novelty.quantile, positive=True)
        if self.novelty.quantile > 1:
            refuse("novelty.quantile", self.novelty.quantile, "1 or less")
        check_count("novelty.components", self.novelty.components)


def _check_version(value: object) -> None:
    if isinstance(value, int) and not isinstance(value, bool) and value > SCHEMA_VERSION:
        raise PolicyFileError(
            f"Policy metadata, field schema_version: {printable(value)} was made by a newer vdd_ros; this one reads "
            f"the versions {' and '.join(map(str, READ_VERSIONS))}. Update vdd_ros here, or export the policy again "
            "with this version."
        )
    if isinstance(value, bool) or not isinstance(value, int) or value not in READ_VERSIONS:
        raise PolicyFileError(
            f"Policy metadata, field schema_version: {printable(repr(value))} is unknown; this vdd_ros reads the "
            f"versions {' and '.join(map(str, READ_VERSIONS))}. Export the policy again with this version, or install "
            "the one that made it."
        )


def _check_entries(field: str, entries: object, entry_type: type[ObservationEntry] | type[ActionEntry]) -> None:
    if not isinstance(entries, tuple) or not 1 <= len(entries) <= MAX_COUNT:
        refuse(field, entries, f"a list of 1 to {MAX_COUNT:,} entries")
    seen: set[str] = set()
    for i, entry in enumerate(entries):
        if not isinstance(entry, entry_type):
            refuse(f"{field}[{i}]", entry, "an object like " + names(entry_type))
        check_text(f"{field}[{i}].name", entry.name)
        check_text(f"{field}[{i}].unit", entry.unit)
        if entry.name in seen:
            refuse(f"{field}[{i}].name", entry.name, "different from the names of the other entries")
        seen.add(entry.name)
