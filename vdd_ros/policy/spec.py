"""The JSON metadata of a policy file, checked field by field."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from vdd_ros.documents import parse_json
from vdd_ros.errors import PolicyFileError
from vdd_ros.features import Feature, Signature
from vdd_ros.policy.spec_checks import (
    MAX_DEPTH,
    MAX_METADATA_BYTES,
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
from vdd_ros.policy.spec_features import check_action, check_observation, read_action, read_observation, to_objects
from vdd_ros.policy.spec_settings import DEMONSTRATED_STEPS, DETERMINISTIC, PAST_ACTIONS, PREFIX, check_settings
from vdd_ros.policy.spec_versions import check_version, upgraded
from vdd_ros.policy.structure import DIFFUSION, MIXTURE, STRUCTURES

METADATA_KEY = "vdd_ros.policy"
COVARIANCES = ("diagonal", "full", "cosine", "principal")
"""Those of a mixture's experts: the last two are diagonal in a basis of the chunk, whose graph keeps the basis."""

MAX_NUMBERS = 1_000_000
"""Limit on the numbers in the noise for one action."""
MAX_WINDOW = 100_000
"""Limit on the numbers in a window, a goal or a chunk; each has a label in records."""
SLOWEST_HZ, FASTEST_HZ = 0.001, 100_000.0
MAX_WARNINGS = 100
MAX_WARNING = 1_000
"""Length limit of a warning, in characters."""

_MOST_SAMPLES = 2**53
_DIGIT = 2.0**-24  # half of float32's least significant digit, relative: the finest resolution
_SHA256 = re.compile(r"[0-9a-f]{64}")
_Part = TypeVar("_Part", "Parity", "Novelty")


@dataclass(frozen=True)
class Statistics:
    """Normalisation of the graph, per number and in physical units; arrays have none here."""

    observation_mean: tuple[float, ...]
    observation_std: tuple[float, ...]
    action_mean: tuple[float, ...]
    action_std: tuple[float, ...]


@dataclass(frozen=True)
class Parity:
    """The exporter's comparison with torch.

    Attributes:
        max_error: Largest absolute difference of an action (diffusion: of a sampling step), in standardised units;
            divided by the slope if above the tolerance.
        expert_mismatches: Samples with a different expert; 0 for policies without experts.
        samples: Number of samples compared.
    """

    max_error: float
    expert_mismatches: int
    samples: int


@dataclass(frozen=True)
class Novelty:
    """Calibration of the output `novelty`, -log p of an observation.

    Attributes:
        bound: Novelty above which an observation is out of distribution, in nats.
        quantile: Share of held-out demonstrated observations within the bound.
        components: Number of components of the density, a Gaussian mixture.
    """

    bound: float
    quantile: float
    components: int


@dataclass(frozen=True)
class PolicySpec:
    """The metadata of a policy file; docs/policy_file.md gives the meaning of each field.

    Raises:
        PolicyFileError: A field is of the wrong type, not finite, or contradicts another; the message names it.
    """

    schema_version: int
    structure: str
    method: str
    task: str | None
    observation: tuple[Feature, ...]
    action: tuple[Feature, ...]
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
    warnings: tuple[str, ...]
    seeds: Mapping[str, Any]
    versions: Mapping[str, Any]
    fidelity: Mapping[str, Any]
    settings: Mapping[str, Any]
    parity: Parity
    novelty: Novelty | None

    def __post_init__(self) -> None:
        check_version(self.schema_version)
        check_choice("structure", self.structure, STRUCTURES)
        check_text("method", self.method)
        if self.task is not None:
            check_text("task", self.task)
        check_number("rate_hz", self.rate_hz, positive=True)
        if not SLOWEST_HZ <= self.rate_hz <= FASTEST_HZ:
            refuse("rate_hz", self.rate_hz, f"between {SLOWEST_HZ:g} and {FASTEST_HZ:,.0f}")
        check_count("history", self.history)
        check_count("horizon", self.horizon)
        check_count("goal_length", self.goal_length, least=0)
        check_observation(self.observation, self.history)
        check_action(self.action)
        self._check_structure()
        self._check_statistics()
        for name in ("teacher_sha256", "data_sha256"):
            digest = getattr(self, name)
            if digest is not None and not (isinstance(digest, str) and _SHA256.fullmatch(digest)):
                refuse(name, digest, "null or 64 lower-case hexadecimal digits")
        _check_warnings(self.warnings)
        for name in ("seeds", "versions", "fidelity", "settings"):
            check_object(name, getattr(self, name))
        check_settings(self.settings, self.structure, self.act_dim)
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
            check_version(raw["schema_version"])  # before the fields, which depend on the version
            raw = upgraded(raw, names(cls))
        values: dict[str, Any] = dict(members("", raw, names(cls)))
        values["observation"] = read_observation(values["observation"])
        values["action"] = read_action(values["action"])
        statistics = members("statistics", values["statistics"], names(Statistics))
        values["statistics"] = Statistics(
            **{name: tuple(check_list(f"statistics.{name}", value)) for name, value in statistics.items()}
        )
        values["warnings"] = tuple(check_list("warnings", values["warnings"]))
        values["parity"] = _part(Parity, "parity", values["parity"])
        if values["novelty"] is not None:
            values["novelty"] = _part(Novelty, "novelty", values["novelty"])
        return cls(**values)

    def to_json(self) -> str:
        """Return the metadata text; `from_json` gives an equal spec.

        Raises:
            PolicyFileError: The text exceeds the readable size.
        """
        features = {"observation": to_objects(self.observation), "action": to_objects(self.action)}
        text = json.dumps(asdict(self) | features, allow_nan=False)
        if len(text) > MAX_METADATA_BYTES:
            raise PolicyFileError(
                f"Policy metadata has {len(text):,} bytes; at most {MAX_METADATA_BYTES:,} are read. Store fewer "
                f"figures in fidelity, or fewer settings."
            )
        return text

    @property
    def is_mixture(self) -> bool:
        """Whether the policy is a mixture of experts."""
        return self.structure == MIXTURE

    @property
    def is_deterministic(self) -> bool:
        """Whether draws are constants of the graph, which then takes neither `noise` nor `expert_uniform`."""
        return self.settings.get(DETERMINISTIC) is True

    @property
    def takes_prefix(self) -> bool:
        """Whether the graph has the inputs `prefix` and `prefix_steps`: first actions of the chunk that are given."""
        return PREFIX in self.settings

    @property
    def demonstrated_steps(self) -> dict[str, float]:
        """Largest usual change per tick of each number of the action, by name; empty if unknown."""
        if DEMONSTRATED_STEPS not in self.settings:
            return {}
        steps = self.settings[DEMONSTRATED_STEPS]["steps"]
        return {entry.name: float(step) for entry, step in zip(self.action, steps, strict=True)}

    @property
    def signature(self) -> Signature:
        """Observation and action features, and the control rate."""
        return Signature(self.observation, self.action, self.rate_hz)

    @property
    def vector(self) -> tuple[Feature, ...]:
        """The scalar features of an observation, in the order of the graph's vector input."""
        return tuple(feature for feature in self.observation if feature.is_scalar)

    @property
    def arrays(self) -> tuple[Feature, ...]:
        """The array features of an observation, such as images; each is a separate graph input."""
        return tuple(feature for feature in self.observation if not feature.is_scalar)

    @property
    def obs_dim(self) -> int:
        """Number of scalars in one observation."""
        return len(self.vector)

    @property
    def act_dim(self) -> int:
        """Number of numbers in one action."""
        return len(self.action)

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """Shape of the noise input, without the batch: (horizon, act_dim), for diffusion (steps, horizon, act_dim).

        A policy that also estimates actions before the newest observation takes rows for them too, the last ones.
        """
        steps = () if self.sampling_steps is None else (self.sampling_steps,)
        return (*steps, self.horizon + self.settings.get(PAST_ACTIONS, 0), self.act_dim)

    @property
    def period_s(self) -> float:
        """Control period in seconds."""
        return 1.0 / self.rate_hz

    def _check_structure(self) -> None:
        """Check the fields that only some structures have."""
        if self.is_mixture:
            check_count("experts", self.experts)
            check_choice("covariance", self.covariance, COVARIANCES)
        else:
            for name in ("experts", "covariance"):
                if getattr(self, name) is not None:
                    refuse(name, getattr(self, name), f"null for the structure {self.structure!r}, which has none")
        if self.structure == DIFFUSION:
            check_count("sampling_steps", self.sampling_steps)
        elif self.sampling_steps is not None:
            refuse("sampling_steps", self.sampling_steps, f"null for the structure {self.structure!r}: it has one step")
        if self.goal_length and self.arrays:
            refuse("goal_length", self.goal_length, f"0 if arrays are observed, here {self.arrays[0]}")

    def _check_sizes(self) -> None:
        """Refuse sizes that would exhaust memory: one observation allocates arrays of these sizes."""
        for what, counts, most in (
            ("history", (self.history, self.obs_dim), MAX_WINDOW),
            ("goal_length", (self.goal_length, self.obs_dim), MAX_WINDOW),
            ("horizon", (self.horizon, self.act_dim), MAX_WINDOW),
            ("sampling_steps", (self.sampling_steps or 1, *self.noise_shape[-2:]), MAX_NUMBERS),
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
                    refuse(where, values, f"a list of {dim} numbers, one for each number of the {name}")
                for i, value in enumerate(values):
                    check_number(f"{where}[{i}]", value, positive=moment == "std")
        for i, (mean, std) in enumerate(
            zip(self.statistics.observation_mean, self.statistics.observation_std, strict=True)
        ):
            if std < abs(mean) * _DIGIT:
                allowed = f"at least {abs(mean) * _DIGIT:.2g}, the resolution of single precision at {mean:.6g}"
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


def _part(cls: type[_Part], field: str, raw: object) -> _Part:
    """Return an object within the metadata; the whole checks the types of its values."""
    values: dict[str, Any] = members(field, raw, names(cls))
    return cls(**values)


def _check_warnings(warnings: object) -> None:
    if not isinstance(warnings, tuple) or len(warnings) > MAX_WARNINGS:
        refuse("warnings", warnings, f"a list of at most {MAX_WARNINGS} texts")
    for index, warning in enumerate(warnings):
        check_text(f"warnings[{index}]", warning, MAX_WARNING)
