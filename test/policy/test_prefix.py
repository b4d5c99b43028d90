"""The prefix of a chunk as an argument of a policy: copied, counted, or refused with what to do."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from echo_policy import write_echo
from numpy.testing import assert_array_equal
from policy_files import mixture_spec, write_mixture

from vdd_ros.errors import ObservationError, PolicyFileError
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.signature import graph_inputs
from vdd_ros.policy.spec import PolicySpec

HORIZON, ACT_DIM = 4, 2
WINDOW = np.full((1, 4), 0.3)
PREFIX = np.arange(1.0, 1 + HORIZON * ACT_DIM).reshape(HORIZON, ACT_DIM) / 1000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Write a file that gives the known actions, then zeros; its density is the number of known actions."""
    return write_echo(tmp_path / "echo.onnx", HORIZON)


def expected(steps: int) -> np.ndarray:
    return np.concatenate([PREFIX[:steps], np.zeros((HORIZON - steps, ACT_DIM))]).astype(np.float32)


def test_the_known_actions_reach_the_graph(file: Path) -> None:
    policy = OnnxPolicy.load(file)
    for steps in (3, 0, HORIZON, 1):
        act = policy.act(WINDOW, prefix=PREFIX[:steps])
        assert_array_equal(act.action, expected(steps))
        assert act.log_prob == steps
    assert_array_equal(policy.act(WINDOW).action, expected(0))
    assert_array_equal(policy.dry_run(WINDOW, prefix=PREFIX[:2]).action, expected(2))


def test_rows_of_a_batch_have_prefixes_of_their_own_length(file: Path) -> None:
    policy, windows = OnnxPolicy.load(file), np.repeat(WINDOW[None], 3, axis=0)
    counts = np.array([2, 0, 3])
    many = np.repeat(PREFIX[None], 3, axis=0)
    many[1] = np.nan  # not known, so not looked at
    found = policy.act_batch(windows, prefixes=many, prefix_steps=counts)
    assert_array_equal(found.action, [expected(steps) for steps in counts])
    assert_array_equal(policy.act_batch(windows, prefixes=many[[0, 0, 0], :2]).action, [expected(2)] * 3)
    assert_array_equal(policy.act_batch(windows).action, [expected(0)] * 3)


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        (np.zeros((5, ACT_DIM)), r"prefix_steps is 5; it must be from 0 to 4, the actions of this policy's chunk"),
        (np.zeros((2, 3)), r"prefix has the shape \(2, 3\); this policy takes \('steps', 2\), of delta_desired_x"),
        (np.zeros(2), r"prefix has the shape \(2,\)"),
        (np.array([[0.0, np.nan]]), "prefix has a value of delta_desired_y that is not finite"),
        (np.array([[np.inf, 0.0]]), "prefix has a value of delta_desired_x that is not finite"),
    ],
)
def test_other_prefixes_are_refused(file: Path, prefix: np.ndarray, message: str) -> None:
    policy = OnnxPolicy.load(file)
    with pytest.raises(ObservationError, match=message):
        policy.act(WINDOW, prefix=prefix)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"prefix_steps": [1]}, "prefix_steps are given without prefixes"),
        ({"prefixes": PREFIX[None], "prefix_steps": [5]}, "prefix_steps has 5; it must be from 0 to 4"),
        ({"prefixes": PREFIX[None], "prefix_steps": [-1]}, "prefix_steps has -1; it must be from 0 to 4"),
        ({"prefixes": PREFIX[None], "prefix_steps": [1.0]}, "must be 1 whole numbers"),
        ({"prefixes": PREFIX[None], "prefix_steps": [1, 1]}, "must be 1 whole numbers"),
        ({"prefixes": np.zeros((1, 5, ACT_DIM))}, "prefix_steps is 5; it must be from 0 to 4"),
        ({"prefixes": np.zeros((2, 1, ACT_DIM))}, r"prefix has the shape \(2, 1, 2\); this policy takes \(1, 'steps'"),
        ({"prefixes": np.full((1, 1, ACT_DIM), np.nan)}, "not finite"),
    ],
)
def test_other_batches_of_prefixes_are_refused(file: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ObservationError, match=message):
        OnnxPolicy.load(file).act_batch(WINDOW[None], **given)


def test_a_policy_that_takes_none_says_so(tmp_path: Path) -> None:
    policy = OnnxPolicy.load(write_mixture(tmp_path / "usual.onnx", horizon=HORIZON))
    assert not policy.spec.takes_prefix
    assert "prefix" not in graph_inputs(policy.spec)
    with pytest.raises(ObservationError, match=r"takes no prefix: it is a mixture policy.*vdd export --prefix"):
        policy.act(WINDOW, prefix=PREFIX[:1])
    with pytest.raises(ObservationError, match="takes no prefix"):
        policy.act_batch(WINDOW[None], prefixes=PREFIX[None])


def test_the_metadata_calls_for_the_inputs(file: Path) -> None:
    inputs = graph_inputs(OnnxPolicy.load(file).spec)
    assert (inputs["prefix"].shape, inputs["prefix"].type) == ((HORIZON, ACT_DIM), "tensor(float)")
    assert (inputs["prefix_steps"].shape, inputs["prefix_steps"].type) == ((), "tensor(int64)")


def test_a_graph_without_the_inputs_that_its_metadata_calls_for_is_refused(tmp_path: Path) -> None:
    file = write_mixture(tmp_path / "usual.onnx", settings={"prefix": {"tempering": 1.0}})
    with pytest.raises(PolicyFileError, match="its metadata calls for observation, noise, expert_uniform, prefix"):
        OnnxPolicy.load(file)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (True, r"settings.prefix: True is not allowed; it must be an object of tempering"),
        ({}, "must be an object of tempering"),
        ({"tempering": 1, "more": 2}, "must be an object of tempering"),
        ({"tempering": 1.5}, r"settings.prefix.tempering: 1.5 is not allowed; it must be between 0 and 1"),
        ({"tempering": -1}, "must be between 0 and 1"),
        ({"tempering": "1"}, "must be a finite number"),
    ],
)
def test_other_settings_are_refused(found: Any, message: str) -> None:
    raw = json.loads(mixture_spec().to_json())
    raw["settings"]["prefix"] = found
    with pytest.raises(PolicyFileError, match=message):
        PolicySpec.from_json(json.dumps(raw))


def test_only_mixtures_take_a_prefix() -> None:
    raw = json.loads(mixture_spec().to_json())
    raw |= {"structure": "one_step", "experts": None, "covariance": None, "settings": {"prefix": {"tempering": 1.0}}}
    with pytest.raises(PolicyFileError, match="absent for the structure 'one_step': only mixtures take a prefix"):
        PolicySpec.from_json(json.dumps(raw))
