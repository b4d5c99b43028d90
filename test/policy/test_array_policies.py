"""Policies that observe arrays: each is an input of its own, in its own type, and the answer is that of numpy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_policies import CAMERA, FORCES, OBSERVATION, write_linear
from numpy.testing import assert_allclose

from vdd_ros.errors import ObservationError
from vdd_ros.features import DTYPES, Feature
from vdd_ros.policy.onnx_policy import OnnxPolicy


def windows(spec: Any, rng: np.random.Generator, *batch: int) -> dict[str, np.ndarray]:
    """Return random windows of all inputs of a policy."""
    drawn = {"observation": rng.normal(size=(*batch, spec.history, spec.obs_dim)).astype(np.float32)}
    for feature in spec.arrays:
        values = rng.integers(0, 2 if feature.dtype == "bool" else 200, (*batch, spec.history, *feature.shape))
        drawn[feature.name] = values.astype(feature.dtype)
    return drawn


@pytest.mark.parametrize("history", [1, 3])
def test_the_action_is_that_of_all_numbers_of_all_arrays(tmp_path: Path, history: int) -> None:
    written = write_linear(tmp_path / "p.onnx", history=history)
    policy, rng = OnnxPolicy.load(written.path), np.random.default_rng(1)
    policy.warm_up()
    for _ in range(3):
        seen = windows(written.spec, rng)
        wanted = written.action(**seen)
        vector = seen.pop("observation")
        for act in (policy.dry_run, policy.act):
            assert_allclose(act(vector, None, seen).action, [wanted], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_array_of_every_type_may_be_all_that_is_observed(tmp_path: Path, dtype: str) -> None:
    written = write_linear(tmp_path / "p.onnx", (Feature("grid", shape=(2, 3), dtype=dtype),), history=2)
    policy, seen = OnnxPolicy.load(written.path), windows(written.spec, np.random.default_rng(2))
    vector = seen.pop("observation")
    assert vector.shape == (2, 0)
    assert_allclose(policy.act(vector, None, seen).action, [written.action(**seen)], rtol=1e-4, atol=1e-5)


def test_a_batch_is_row_by_row_what_one_is(tmp_path: Path) -> None:
    written = write_linear(tmp_path / "p.onnx", history=2)
    policy, seen = OnnxPolicy.load(written.path), windows(written.spec, np.random.default_rng(3), 4)
    vectors = seen.pop("observation")
    together = policy.act_batch(vectors, None, seen).action
    for row in range(4):
        one = policy.act(vectors[row], None, {name: window[row] for name, window in seen.items()})
        assert_allclose(together[row], one.action, rtol=1e-5, atol=1e-6)


def test_arrays_that_are_missing_or_of_another_form_are_refused(tmp_path: Path) -> None:
    written = write_linear(tmp_path / "p.onnx")
    policy, seen = OnnxPolicy.load(written.path), windows(written.spec, np.random.default_rng(4))
    vector = seen.pop("observation")
    broken: list[tuple[Any, str]] = [
        (None, r"observes wrist_cam .* forces .*, but the arrays given are \(none\)"),
        ({CAMERA.name: seen[CAMERA.name]}, "the arrays given are wrist_cam"),
        (seen | {"other": np.zeros(1)}, "the arrays given are wrist_cam, forces, other"),
        (seen | {CAMERA.name: seen[CAMERA.name].astype(np.float32)}, r"wrist_cam is float32 .* takes uint8"),
        (seen | {FORCES.name: np.zeros((1, 4), np.float32)}, r"forces is float32 of the shape \(1, 4\)"),
        (seen | {FORCES.name: np.full((1, 5), np.nan, np.float32)}, "forces has a value that is not finite"),
    ]
    for given, message in broken:
        with pytest.raises(ObservationError, match=message):
            policy.act(vector, None, given)
    alone = OnnxPolicy.load(write_linear(tmp_path / "q.onnx", OBSERVATION[:2]).path)
    with pytest.raises(ObservationError, match="observes no arrays, but the arrays given are wrist_cam"):
        alone.act(vector, None, {CAMERA.name: seen[CAMERA.name]})
