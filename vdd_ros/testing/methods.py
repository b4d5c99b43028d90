"""Conformance tests of other packages' methods and kinds of teachers.

Both train for a few steps on synthetic demonstrations, on the CPU. Torch is imported only for a check.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.errors import ConformanceError, VddError
from vdd_ros.features import Feature
from vdd_ros.learning.diffusion.teachers import TEACHERS, TeacherKind
from vdd_ros.learning.field_docs import field_docs
from vdd_ros.learning.methods.configs import ExportConfig, TrainConfig
from vdd_ros.learning.methods.offer import setting_problems
from vdd_ros.learning.methods.registry import METHODS, Method, teacher_method
from vdd_ros.registry import Registry
from vdd_ros.testing.names import check_name
from vdd_ros.text import printable

if TYPE_CHECKING:
    from vdd_ros.learning.diffusion.teacher import Teacher
    from vdd_ros.learning.methods.trainer import Trainer

SMALL: dict[str, Any] = {"backbone": "mlp", "width": 8, "layers": 1, "octaves": 1, "heads": 2}
SHORT: dict[str, Any] = {"steps": 3, "batch": 8, "device": "cpu"}
FEW: dict[str, Any] = {"experts": 3, "pool_copies": 1, "pool_samples": 2}


def check_method(method: Method, **settings: Any) -> None:
    """Check a method: its settings, training, reading and export.

    Args:
        method: The object of the entry point; it must be installed.
        **settings: Fields of its configuration that keep a training of three steps short; those of the shipped
            networks, mixtures and fits are preset.

    Raises:
        ConformanceError: The first violation.
    """
    _check_registered(METHODS, method, Method)
    for text in (method.label, method.summary):
        _require(text == printable(text) and 0 < len(text) <= 80, f"has the text '{printable(text)}'; keep it short")
    _check_config(method)
    demonstrations = made_up()
    with TemporaryDirectory() as folder:
        teacher = None
        if method.trains_from == "teacher":
            teacher = Path(folder, "teacher")
            _trainer(teacher_method("beso"), {}).run(demonstrations, teacher)
        _check_training(method, settings, demonstrations, Path(folder), teacher)


def check_teacher(kind: TeacherKind, **settings: Any) -> None:
    """Check a kind of teacher: its scalings and levels, training, sampling, reading and export.

    Args:
        kind: The object of the entry point; it must be installed.
        **settings: Fields of `TrainConfig` that it needs.

    Raises:
        ConformanceError: The first violation.
    """
    _check_registered(TEACHERS, kind, TeacherKind)
    demonstrations = made_up()
    method = teacher_method(kind.name)
    with TemporaryDirectory() as folder:
        _check_training(method, settings, demonstrations, Path(folder), None)
        from vdd_ros.learning.kinds import DIFFUSION

        teacher, _ = DIFFUSION.load(Path(folder, "first"))
    _check_scalings(teacher)
    _check_levels(teacher)


def made_up(episodes: int = 3, length: int = 14) -> DemonstrationSet:
    """Return small demonstrations: random walks of three entries, and two actions that depend on them."""
    random = np.random.default_rng(0)
    observation = np.cumsum(random.normal(size=(episodes * length, 3)), axis=0)
    action = np.sin(observation[:, :2]) + 0.2 * random.normal(size=(episodes * length, 2))
    names = tuple(Feature(name, "m") for name in ("x", "y", "z"))
    header = Header("conformance", names, tuple(Feature(f"d{name}", "m") for name in "xy"), 20.0, "made up", 0)
    lengths, modes = np.full(episodes, length), np.full(episodes, -1)
    return DemonstrationSet(header, observation, action, lengths, modes)


def _require(good: bool, problem: str) -> None:
    if not good:
        raise ConformanceError(problem)


def _check_registered(registry: Registry[Any], member: object, kind: type) -> None:
    if not isinstance(member, kind):
        raise ConformanceError(f"{printable(repr(member), 100)} is a {type(member).__name__}, not a {kind.__name__}")
    name = str(getattr(member, "name", ""))
    check_name(registry, name, member)
    if name not in registry.names() or registry.get(name) is not member:
        raise ConformanceError(
            f"no installed package registers '{printable(name)}' as this {kind.__name__}; name it in the entry points "
            f"{registry.group} of the package, under that name, and install it"
        )


def _check_config(method: Method) -> None:
    """Check that the settings can be options, that each is documented, and that the presets are valid."""
    for problem in setting_problems(method, [one for one in METHODS.usable()[0].values() if one.name != method.name]):
        raise ConformanceError(problem)
    docs = field_docs(method.config)
    for name in sorted(method.settings):
        where = f"the setting '{name}' of '{method.name}'"
        _require(bool(docs.get(name)), f"{where} is not explained under 'Attributes:' in the class's docstring")
    _run("the default settings", method.config)
    for name, preset in method.presets.items():
        _run(f"the preset '{name}'", partial(method.config, **preset))


def _trainer(method: Method, settings: dict[str, Any]) -> "Trainer":
    from vdd_ros.learning.methods.trainer import Trainer

    known = {name: value for name, value in {**SMALL, **SHORT, **FEW}.items() if name in method.settings}
    if method.config is TrainConfig:
        known["teacher"] = method.name
    return Trainer(method, method.config(**{**known, **settings}))


def _check_training(
    method: Method, settings: dict[str, Any], demonstrations: DemonstrationSet, folder: Path, teacher: Path | None
) -> None:
    """Train twice, read, export, act."""
    import torch

    from vdd_ros.learning.export.export import export
    from vdd_ros.learning.fit.checkpoint import load_model
    from vdd_ros.learning.kinds import KINDS
    from vdd_ros.policy.onnx_policy import OnnxPolicy

    trainer = _run("its settings", lambda: _trainer(method, settings))
    for name in ("first", "second"):
        _run("a training", partial(trainer.run, demonstrations, folder / name, teacher=teacher))
    metadata, tensors = load_model(folder / "first")
    again = load_model(folder / "second")[1]
    _require(all(bool(value.isfinite().all() | value.isinf().any()) for value in tensors.values()), "learned NaN")
    same = all(torch.equal(tensors[name], again[name]) for name in tensors)
    _require(same, "two trainings with one seed differ; draw from the generator passed to the loss, and from torch's")
    _require(metadata.method == method.name, f"made a checkpoint of the method '{printable(metadata.method)}'")
    _run("reading its checkpoint", lambda: KINDS[method.structure].load(folder / "first"))
    file = folder / "policy.onnx"
    spec = _run("the export", lambda: export(folder / "first", file, ExportConfig(steps=3, novelty=False)))
    _require(spec.structure == method.structure, f"was exported as a {spec.structure} policy")
    window = demonstrations.observation[: spec.history].astype(np.float32)
    goal = demonstrations.observation[: spec.goal_length].astype(np.float32) if spec.goal_length else None
    action = _run("an action of its policy file", lambda: OnnxPolicy.load(file).act(window, goal)).action
    _require(bool(np.isfinite(action).all()), "returns non-finite actions")


def _check_scalings(teacher: "Teacher") -> None:
    """Check that an exact network yields the posterior mean of a Gaussian, at every level."""
    import torch

    low, high = teacher.sigma_range
    sigma = torch.logspace(math.log10(low), math.log10(high), 9)[None]
    noisy = sigma[..., None] * torch.randn((1, 9, teacher.size), generator=torch.Generator().manual_seed(0))
    clean = noisy / (1 + sigma[..., None].square())  # the mean of a standard normal
    skip, out, scale_in = teacher.preconditioning.scalings(sigma[..., None])
    values = torch.cat([one.expand_as(skip) for one in (skip, out, scale_in)])
    _require(
        bool(values.isfinite().all() & (out != 0).all() & (scale_in != 0).all()),
        "has non-finite or zero scalings",
    )
    right = (clean - skip * noisy) / out
    found = teacher.preconditioning.denoise(lambda *_: right, None, noisy, sigma)
    _require(bool(torch.isclose(found, clean, rtol=1e-4, atol=1e-4).all()), "does not return the clean action")
    loss = teacher.preconditioning.loss(lambda *_: right, None, noisy, clean, sigma)
    _require(float(loss) < 1e-6, f"has the loss {float(loss):.2g} for an exact network")
    _require(bool((teacher.preconditioning.stretch(sigma) > 0).all()), "has a stretch of 0 or less")


def _check_levels(teacher: "Teacher") -> None:
    import torch

    levels = teacher.levels
    low, high = levels.span
    _require(0 < low < high < math.inf, f"has levels from {low} to {high}")
    drawn = levels.draw((64, 3), torch.Generator().manual_seed(0))
    good = drawn.shape == (64, 3) and bool((drawn > 0).all() & drawn.isfinite().all())
    _require(good, "draws levels of another shape, or of 0 or less")
    _require(levels.cover(low, high), "does not cover its own span")
    nearest = levels.nearest(drawn, low, high)
    _require(
        bool(((nearest >= low * 0.999) & (nearest <= high * 1.001)).all()) or not levels.cover(low, high),
        "leaves its span",
    )
    sampled = levels.sampling_levels(3, "karras")
    falls = all(above > below > 0 for above, below in pairwise(sampled))
    _require(len(sampled) == 3 and falls, f"visits the levels {sampled}; they must descend")
    context = teacher.encode(torch.zeros(2, teacher.config.history, teacher.config.obs_dim))
    sample = teacher.sample(context, torch.randn((2, 5, 3, teacher.size), generator=torch.Generator().manual_seed(0)))
    _require(sample.shape == (2, 5, teacher.size) and bool(sample.isfinite().all()), "samples non-finite numbers")


def _run(what: str, call: Callable[[], Any]) -> Any:
    """Call, and name the failed step in errors."""
    try:
        return call()
    except ConformanceError:
        raise
    except Exception as error:  # foreign code may raise anything
        kind = "" if isinstance(error, VddError) else f"{type(error).__name__}: "
        raise ConformanceError(f"{what} failed: {kind}{printable(error, 1_000)}") from error
