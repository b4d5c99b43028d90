"""The metadata of a policy file: accepted and refused values, and the messages."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from policy_files import diffusion_spec, mixture_spec

from vdd_ros.errors import PolicyFileError
from vdd_ros.features import Feature
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.spec import METADATA_KEY, Novelty, PolicySpec
from vdd_ros.policy.structure import OLD_KINDS
from vdd_ros.tasks.avoiding.sim import SPEC

DESIGN_FIELDS = [
    "schema_version", "structure", "method", "task", "observation", "action", "rate_hz", "history", "horizon",
    "goal_length", "experts", "covariance", "sampling_steps", "statistics", "teacher_sha256", "data_sha256",
    "warnings", "seeds", "versions", "fidelity", "settings", "parity", "novelty",
]  # fmt: skip


@pytest.mark.parametrize(
    "spec",
    [
        mixture_spec(covariance="full", settings={"lr": 1e-3, "widths": [64, 64]}, seeds={"train": 3}),
        mixture_spec(task=None, teacher_sha256="0" * 64, rate_hz=50, method="imc"),
        diffusion_spec(history=3, horizon=8, goal_length=2),
        diffusion_spec(method="ctm", sampling_steps=None),
        diffusion_spec(structure="diffusion", method="flow matching, mine"),
        mixture_spec(warnings=("the teacher learned from unknown demonstrations",)),
        mixture_spec(novelty=Novelty(bound=-3.5, quantile=0.999, components=16)),
    ],
)
def test_reading_what_was_written_gives_an_equal_spec(spec: PolicySpec) -> None:
    text = spec.to_json()
    assert PolicySpec.from_json(text) == spec
    assert list(json.loads(text)) == DESIGN_FIELDS


def test_derived_properties() -> None:
    mixture, diffusion = mixture_spec(horizon=4, rate_hz=50.0), diffusion_spec(horizon=4, sampling_steps=16)
    one_step = diffusion_spec(method="cd", sampling_steps=None)
    assert (mixture.obs_dim, mixture.act_dim, mixture.period_s) == (4, 2, 0.02)
    assert (mixture.is_mixture, diffusion.is_mixture, one_step.is_mixture) == (True, False, False)
    assert (mixture.noise_shape, diffusion.noise_shape, one_step.noise_shape) == ((4, 2), (16, 4, 2), (1, 2))


def _set(*path: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = to

    return change


def _drop(*path: str | int) -> Callable[[dict[str, Any]], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return change


@pytest.mark.parametrize(
    ("change", "field"),
    [
        *[(_drop(name), name) for name in DESIGN_FIELDS],
        (_drop("action", 1, "low"), r"action\[1\].low"),
        (_drop("statistics", "action_std"), "statistics.action_std"),
        (_drop("parity", "samples"), "parity.samples"),
        (_set("colour", to="red"), "colour"),
        (_set("observation", 2, "frame", to="base"), r"observation\[2\].frame"),
        (_set("schema_version", to=True), "schema_version"),
        (_set("structure", to="gan"), "structure"),
        (_set("structure", to=["mixture"]), "structure"),
        (_set("method", to=["vdd"]), "method"),
        (_set("method", to=""), "method"),
        (_set("method", to="vdd\x1b[2J"), "method"),
        (_set("kind", to="vdd"), "kind"),
        (_set("warnings", to=None), "warnings"),
        (_set("warnings", to=["a"] * 101), "warnings"),
        (_set("warnings", to=[1]), r"warnings\[0\]"),
        (_set("warnings", to=["fine", "x" * 1001]), r"warnings\[1\]"),
        (_set("task", to=""), "task"),
        (_set("observation", to=[]), "observation"),
        (_set("observation", to="x"), "observation"),
        (_set("observation", 0, to="x"), r"observation\[0\]"),
        (_set("observation", 1, "name", to="desired_x"), r"observation\[1\].name"),
        (_set("observation", 1, "unit", to=""), r"observation\[1\].unit"),
        (_set("action", 0, "name", to=7), r"action\[0\].name"),
        (_set("action", 0, "low", to=0.01), r"action\[0\].low"),
        (_set("action", 0, "low", to="-1"), r"action\[0\].low"),
        (_set("action", 0, "high", to=float("inf")), r"action\[0\].high"),
        (_set("rate_hz", to=0), "rate_hz"),
        (_set("rate_hz", to=float("nan")), "rate_hz"),
        (_set("rate_hz", to=10**400), "rate_hz"),
        (_set("history", to=0), "history"),
        (_set("history", to=1.0), "history"),
        (_set("horizon", to=True), "horizon"),
        (_set("goal_length", to=-1), "goal_length"),
        (_set("goal_length", to=None), "goal_length"),
        (_set("experts", to=None), "experts"),
        (_set("covariance", to="spherical"), "covariance"),
        (_set("sampling_steps", to=8), "sampling_steps"),
        (_set("statistics", to=None), "statistics"),
        (_set("statistics", "observation_mean", to=None), "statistics.observation_mean"),
        (_set("statistics", "observation_mean", to=[0.0]), "statistics.observation_mean"),
        (_set("statistics", "observation_mean", 3, to=float("nan")), r"statistics.observation_mean\[3\]"),
        (_set("statistics", "action_std", 1, to=0.0), r"statistics.action_std\[1\]"),
        (_set("teacher_sha256", to="abc"), "teacher_sha256"),
        (_set("data_sha256", to=5), "data_sha256"),
        (_set("seeds", to=[1]), "seeds"),
        (_set("fidelity", to={"success": float("nan")}), "fidelity"),
        (_set("parity", to=0.0), "parity"),
        (_set("parity", "max_error", to=-1e-6), "parity.max_error"),
        (_set("parity", "expert_mismatches", to=0.5), "parity.expert_mismatches"),
        (_set("novelty", to=3.0), "novelty"),
        (_set("novelty", to={"bound": 1.0}), "novelty.quantile"),
        (_set("novelty", to={"bound": None, "quantile": 0.9, "components": 2}), "novelty.bound"),
        (_set("novelty", to={"bound": 1.0, "quantile": 1.1, "components": 2}), "novelty.quantile"),
        (_set("novelty", to={"bound": 1.0, "quantile": 0.9, "components": 0}), "novelty.components"),
        (_set("novelty", to={"bound": float("nan"), "quantile": 0.9, "components": 2}), "novelty.bound"),
        (_set("novelty", to={"bound": 1.0, "quantile": float("nan"), "components": 2}), "novelty.quantile"),
        (_set("parity", "max_error", to=float("nan")), "parity.max_error"),
        # What parses and would fill the memory, hold a tick for ever or reach a terminal.
        (_set("schema_version", to=4.0), "schema_version"),
        (_set("rate_hz", to=1e-300), "rate_hz"),
        (_set("rate_hz", to=1e300), "rate_hz"),
        (_set("history", to=10**9), "history"),
        (_set("horizon", to=10**9), "horizon"),
        (_set("goal_length", to=10**9), "goal_length"),
        (_set("experts", to=10**9), "experts"),
        (_set("parity", "samples", to=10**400), "parity.samples"),
        (_set("novelty", to={"bound": 1.0, "quantile": 0.9, "components": 10**9}), "novelty.components"),
        (_set("task", to="avoiding\n"), "task"),
        (_set("task", to="\x1b[2Javoiding"), "task"),
        (_set("observation", 1, "name", to="desired_y\x07"), r"observation\[1\].name"),
        (_set("observation", 1, "name", to="desired_x "), r"observation\[1\].name"),
        (_set("observation", 1, "name", to="desired_\u202ey"), r"observation\[1\].name"),
        (_set("observation", 1, "name", to=201 * "x"), r"observation\[1\].name"),
        (_set("action", 0, "unit", to="m\r"), r"action\[0\].unit"),
        (_set("action", 0, "high", to=1e39), r"action\[0\].high"),
        (_set("statistics", "observation_mean", 0, to=1e300), r"statistics.observation_mean\[0\]"),
        (_set("statistics", "observation_std", 0, to=1e-10), r"statistics.observation_std\[0\]"),
        (_set("settings", to={"deterministic": "yes"}), "settings.deterministic"),
        (_set("settings", to={"demonstrated_steps": [0.1, 0.1]}), "settings.demonstrated_steps"),
        (_set("settings", to={"demonstrated_steps": {"steps": [0.1]}}), "settings.demonstrated_steps"),
        (_set("settings", to={"demonstrated_steps": {"steps": [0.1, -1]}}), r"settings.demonstrated_steps.steps\[1\]"),
        (_set("observation", to=[{"name": f"x{i}", "unit": "m"} for i in range(10_001)]), "observation"),
    ],
)
def test_a_wrong_mixture_is_refused_and_the_field_is_named(
    change: Callable[[dict[str, Any]], None], field: str
) -> None:
    document = json.loads(mixture_spec().to_json())
    change(document)
    with pytest.raises(PolicyFileError, match=f"field {field}:"):
        PolicySpec.from_json(json.dumps(document))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (_set("experts", to=4), "experts"),
        (_set("covariance", to="full"), "covariance"),
        (_set("sampling_steps", to=None), "sampling_steps"),
        (_set("structure", to="one_step"), "sampling_steps"),
        (_set("sampling_steps", to=10**9), "sampling_steps"),
        (lambda document: document.update(sampling_steps=10_000, horizon=100), "sampling_steps"),
    ],
)
def test_a_wrong_diffusion_policy_is_refused(change: Callable[[dict[str, Any]], None], field: str) -> None:
    document = json.loads(diffusion_spec().to_json())
    change(document)
    with pytest.raises(PolicyFileError, match=f"field {field}:"):
        PolicySpec.from_json(json.dumps(document))


def test_another_version_is_named_before_its_unknown_fields() -> None:
    with pytest.raises(PolicyFileError, match="1 is unknown; this vdd_ros reads the versions 2, 3 and 4"):
        PolicySpec.from_json('{"schema_version": 1, "cameras": []}')


@pytest.mark.parametrize("version", [5, 400, 10**30])
def test_a_newer_version_asks_for_an_update(version: int) -> None:
    with pytest.raises(PolicyFileError, match="made by a newer vdd_ros, update this one; it reads"):
        PolicySpec.from_json(json.dumps({"schema_version": version, "cameras": []}))


@pytest.mark.parametrize("value", [["nested"], "long"])
def test_settings_that_no_reader_takes_are_not_written(value: Any) -> None:
    """What is written can be read: too deep is refused when the spec is made, too large when it is written."""
    if value == "long":
        with pytest.raises(PolicyFileError, match="at most 1,048,576 are read"):
            mixture_spec(settings={"note": 600_000 * "x"}, fidelity={"note": 600_000 * "x"}).to_json()
        return
    for _ in range(2_000):
        value = [value]
    with pytest.raises(PolicyFileError, match=r"field settings: .* nested at most 16 deep"):
        mixture_spec(settings={"note": value})


def older(spec: PolicySpec, version: int) -> dict[str, Any]:
    """Return metadata as an older version wrote them."""
    document = json.loads(spec.to_json()) | {"schema_version": version, "kind": spec.method}
    newer = ("structure", "method", "warnings", *(["novelty"] if version == 2 else []))
    return {name: value for name, value in document.items() if name not in newer}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("method", OLD_KINDS)
def test_files_of_older_versions_are_read_as_those_of_the_newest(method: str, version: int) -> None:
    """Their kind was the method and implied the structure; version 2 had no novelty."""
    if OLD_KINDS[method] == "mixture":
        spec = mixture_spec(method=method)
    else:
        spec = diffusion_spec(method=method, sampling_steps=8 if OLD_KINDS[method] == "diffusion" else None)
    read = PolicySpec.from_json(json.dumps(older(spec, version)))
    assert read == spec
    assert (read.structure, read.method, read.warnings) == (OLD_KINDS[method], method, ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "gan"}, "field kind: 'gan' is not allowed; it must be one of vdd, em, imc, ddpm, beso, cd, ctm"),
        ({"kind": ["vdd"]}, "field kind: "),
        ({"structure": "mixture"}, "field structure: unknown"),
        ({"schema_version": 4}, "field structure: missing"),
    ],
)
def test_a_wrong_file_of_version_3_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyFileError, match=message):
        PolicySpec.from_json(json.dumps(older(mixture_spec(), 3) | change))


def test_version_3_must_say_whether_it_knows_novelty() -> None:
    document = older(mixture_spec(), 3)
    del document["novelty"]
    with pytest.raises(PolicyFileError, match="field novelty: missing"):
        PolicySpec.from_json(json.dumps(document))


@pytest.mark.parametrize(("name", "structure"), [("student", "mixture"), ("teacher", "diffusion")])
def test_the_files_that_shipped_with_version_3_are_read_on(name: str, structure: str) -> None:
    file = Path(__file__).parent / "files" / f"avoiding_{name}_v3.onnx"
    text = next(each.value for each in onnx.load(file).metadata_props if each.key == METADATA_KEY)
    assert json.loads(text)["schema_version"] == 3
    policy = OnnxPolicy.load(file)
    assert (policy.spec.structure, policy.spec.method) == (structure, json.loads(text)["kind"])
    assert policy.spec.signature.differences(SPEC.signature) == []
    observation = np.tile(policy.spec.statistics.observation_mean, (policy.spec.history, 1))
    assert np.isfinite(policy.act(observation).action).all()


@pytest.mark.parametrize("text", ["", "{", "vdd"])
def test_a_text_that_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(PolicyFileError, match="not JSON"):
        PolicySpec.from_json(text)


@pytest.mark.parametrize("text", ["[]", "null", "3"])
def test_json_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(PolicyFileError, match="must be an object"):
        PolicySpec.from_json(text)


def test_a_spec_built_in_code_is_checked_too() -> None:
    spec = mixture_spec()
    with pytest.raises(PolicyFileError, match=r"action\[1\].name"):
        replace(spec, action=(spec.action[0], replace(spec.action[1], name=spec.action[0].name)))
    with pytest.raises(PolicyFileError, match="field action:"):
        replace(spec, action=[Feature("x", "m", 0.0, 1.0)])  # type: ignore[arg-type]
    with pytest.raises(PolicyFileError, match="field settings:"):
        replace(spec, settings={"loss": object()})
