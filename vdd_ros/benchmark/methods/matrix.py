"""The methods that a benchmark compares, their ablations, and its trials."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict, cast, get_args

from vdd_ros.benchmark.methods.data_names import file_name, join_name, split_name
from vdd_ros.learning.configs import Backbone, BackboneConfig, Sampler, Schedule
from vdd_ros.learning.diffusion.teachers import TEACHERS
from vdd_ros.learning.methods import registry
from vdd_ros.tasks import get_task


@dataclass(frozen=True)
class Source:
    """The origin of a model.

    Attributes:
        method: Name of a method, or of a kind of teacher.
        teacher: Name of the model that it is distilled from; None if it learns from the demonstrations.
        settings: The model's own settings: fields of the method's configuration.
    """

    method: str
    teacher: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """A policy that is compared.

    Attributes:
        label: Name in tables.
        model: Name of its model in `SOURCES`.
        steps, sampler, schedule: As in `ExportConfig`; None unless it is a diffusion policy.
    """

    label: str
    model: str
    steps: int | None = None
    sampler: str | None = None
    schedule: str | None = None


# The paper's objective on Avoiding (its public configuration), with our networks and as many steps as ours. They need a
# learning rate at which the gating abandons experts before they have found their modes, unless a share of the experts'
# weights is uniform; docs/results.md has the figures without it.
PAPER_UPDATE = {
    "update": "paper",
    "draws": 0,
    "gating_on": "data",
    "noise_scheme": "uniform",
    "min_noise": 0.2,
    "max_noise": 0.5,
    "uniform_weight": 0.5,
    "forward_kl": 0.0,
}

_METHODS = {method.name: method for method in registry.all_methods() if method.name != "vdd"}
"""All but VDD, which is compared from several teachers."""

SOURCES = {
    "ddpm": Source("ddpm", settings={"teacher": "ddpm"}),
    "beso": Source("beso", settings={"teacher": "beso"}),
    "vdd-ddpm": Source("vdd", "ddpm"),
    "vdd-beso": Source("vdd", "beso"),
    "vdd-paper-beso": Source("vdd", "beso", PAPER_UPDATE),
    **{name: Source(name, "beso" if method.trains_from == "teacher" else None) for name, method in _METHODS.items()},
}

FEW_STEPS = (1, 2, 4, 16)

METHODS = {
    "ddpm": Candidate("DDPM teacher, 8 steps", "ddpm", 8, "ancestral", "karras"),
    "beso": Candidate("BESO teacher, 8 steps", "beso", 8, "euler-ancestral", "karras"),
    **{f"ddpm-{n}": Candidate(f"DDPM, DDIM {n}", "ddpm", n, "ddim", "karras") for n in FEW_STEPS},
    **{f"beso-{n}": Candidate(f"BESO, Euler {n}", "beso", n, "euler", "karras") for n in FEW_STEPS},
    **{name: Candidate(method.label, name) for name, method in _METHODS.items()},
    "vdd-paper-beso": Candidate("VDD from BESO, the paper's update", "vdd-paper-beso"),
    "vdd-ddpm": Candidate("VDD from DDPM", "vdd-ddpm"),
    "vdd-beso": Candidate("VDD from BESO", "vdd-beso"),
}

ABLATED = "vdd-beso"
ABLATIONS: dict[str, dict[str, Any]] = {
    **{f"experts-{number}": {"experts": number} for number in (1, 2, 4, 8, 16)},
    "gating-uniform": {"gating": "uniform"},
    "noise-fixed": {"noise_scheme": "fixed", "min_noise": 0.2},
}
# Whole settings, whatever the defaults are.
MULTI_NOISE_UPDATE = {
    "update": "multi-noise",
    "noise_scheme": "log-uniform",
    "min_noise": 0.03,
    "max_noise": 1.0,
    "forward_kl": 0.1,
}
UPDATES: dict[str, dict[str, Any]] = {
    f"{update['update']}-{gating}-{weight}": {**update, "draws": 8, "gating_on": gating, "uniform_weight": weight}
    for update in (MULTI_NOISE_UPDATE, PAPER_UPDATE)
    for gating in ("teacher", "data")
    for weight in (0.0, 0.5)
}
"""Updates of the experts, with the actions that train the gating, and the uniform share of the experts' weights.

All ask the teacher for as many scores a step.
"""
VARIANTS = {**ABLATIONS, **UPDATES}


def method_of(source: Source) -> registry.Method:
    """Return the method that trains a model."""
    if source.method in TEACHERS.names():
        return registry.teacher_method(source.method)
    return registry.METHODS.get(source.method)


@dataclass(frozen=True)
class Model:
    """A model, trained once for all trials that share it.

    Attributes:
        task: Name of the task.
        name: Name in `SOURCES`.
        backbone: `gpt` or `mlp`.
        seed: Seed of its training.
        variant: Name in `VARIANTS`, or None.
        teacher: Model that it is distilled from; None if it learns from the demonstrations.
        style: Style of the demonstrations; None for the usual one.
    """

    task: str
    name: str
    backbone: str
    seed: int = 0
    variant: str | None = None
    teacher: "Model | None" = None
    style: str | None = None

    @classmethod
    def of(cls, data: str, name: str, backbone: str, seed: int, variant: str | None = None) -> "Model":
        """Return a model of TASK or TASK:STYLE with its teacher, always that of seed 0, as in the paper."""
        source = SOURCES[name]
        teacher = cls.of(data, source.teacher, backbone, 0) if source.teacher else None
        task, style = split_name(data)
        return cls(task, name, backbone, seed, variant, teacher, style)

    @property
    def data(self) -> str:
        """What it learns from, TASK or TASK:STYLE."""
        return join_name(self.task, self.style)

    @property
    def source(self) -> Source:
        """Its origin."""
        return SOURCES[self.name]

    @property
    def settings(self) -> dict[str, object]:
        """Its own settings: fields of its method's configuration, by name."""
        return {**self.source.settings, **VARIANTS.get(self.variant or "", {}), "seed": self.seed}

    @property
    def label(self) -> str:
        """Name for people and folders."""
        return _label(self, self.name)


class Sampling(TypedDict, total=False):
    """How a diffusion policy is exported; fields of `ExportConfig`."""

    steps: int
    sampler: Sampler
    schedule: Schedule


@dataclass(frozen=True)
class Trial:
    """One policy to make and measure.

    Attributes:
        method: Name in `METHODS`.
        model: Its model.
    """

    method: str
    model: Model

    @property
    def sampling(self) -> Sampling:
        """How a diffusion policy is exported; empty for other policies."""
        method = METHODS[self.method]
        fields = {name: getattr(method, name) for name in ("steps", "sampler", "schedule")} if method.steps else {}
        return cast(Sampling, fields)

    @property
    def label(self) -> str:
        """Name for people and folders."""
        return _label(self.model, self.method)

    @property
    def teacher(self) -> str | None:
        """The diffusion model that it is or comes from; None if it learned only from demonstrations."""
        return self.model.name if self.sampling else self.model.source.teacher


def usual_backbone(data: str) -> str:
    """Return the backbone of TASK or TASK:STYLE: that after which the task's default preset is named, else `gpt`."""
    preset = get_task(split_name(data)[0]).default_preset
    return BackboneConfig.backbone if preset is None or preset not in get_args(Backbone) else preset


def expand(tasks: Iterable[str], methods: Iterable[str], seeds: int, backbone: str | None = None) -> list[Trial]:
    """Return the trials of some methods: first teachers, only with seed 0; then the others, with each seed.

    Args:
        tasks: TASK or TASK:STYLE each.
        methods: Names in `METHODS`.
        seeds: Number of seeds.
        backbone: `gpt` or `mlp`; None for the usual one of each task.
    """
    wanted = [name for name in METHODS if name in set(methods)]
    return [
        trial
        for task in tasks
        for name in wanted
        for trial in _trials(task, name, seeds, backbone or usual_backbone(task))
    ]


def expand_variants(tasks: Iterable[str], variants: Iterable[str], seeds: int, backbone: str) -> list[Trial]:
    """Return the trials of some of `VARIANTS`, after those of their teacher and of the student that they vary."""
    trials, variants = [], list(variants)
    for task in tasks:
        trials += expand([task], [SOURCES[ABLATED].teacher or "", ABLATED], seeds, backbone)
        for variant in variants:
            trials += _trials(task, ABLATED, seeds, backbone, variant)
    return trials


def unique(trials: Iterable[Trial]) -> list[Trial]:
    """Return the trials without repetitions, in their order."""
    return list({trial.label: trial for trial in trials}.values())


def _trials(task: str, method: str, seeds: int, backbone: str, variant: str | None = None) -> Iterator[Trial]:
    for seed in range(1 if METHODS[method].steps else seeds):
        yield Trial(method, Model.of(task, METHODS[method].model, backbone, seed, variant))


def _label(model: Model, name: str) -> str:
    variant = [model.variant] if model.variant else []
    return "-".join([file_name(model.task, model.style), name, *variant, model.backbone, str(model.seed)])
