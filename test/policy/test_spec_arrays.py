"""Arrays in the metadata of a policy file: separate inputs, and refusals."""

import json
from dataclasses import replace
from typing import Any

import pytest
from policy_files import diffusion_spec, mixture_spec

from vdd_ros.errors import PolicyFileError
from vdd_ros.features import Feature
from vdd_ros.policy.signature import Tensor, graph_inputs
from vdd_ros.policy.spec import PolicySpec, Statistics

CAMERA = Feature("camera", "1", shape=(96, 128, 3), dtype="uint8")
LIT = Feature("lit", "1", dtype="bool")


def array_spec(*arrays: Feature, **overrides: Any) -> PolicySpec:
    return mixture_spec(observation=(*mixture_spec().observation[:2], *arrays), **SMALL | overrides)


SMALL = {"statistics": Statistics((0.1, 0.2), (1.0, 1.0), (0.0, 0.0), (1.0, 1.0))}


def test_arrays_are_inputs_of_their_own_named_as_they_are() -> None:
    depth = Feature("depth", "mm", 0.0, 5000.0, shape=(48, 64), dtype="uint16")
    spec = array_spec(CAMERA, LIT, depth, history=2)
    assert PolicySpec.from_json(spec.to_json()) == spec
    assert (spec.obs_dim, spec.arrays) == (2, (CAMERA, LIT, depth))
    inputs = graph_inputs(spec)
    assert list(inputs) == ["observation", "camera", "lit", "depth", "noise", "expert_uniform"]
    assert inputs["observation"] == Tensor((2, 2))
    assert inputs["camera"] == Tensor((2, 96, 128, 3), "tensor(uint8)")
    assert inputs["lit"] == Tensor((2,), "tensor(bool)")
    assert inputs["depth"] == Tensor((2, 48, 64), "tensor(uint16)")


def test_without_plain_numbers_there_is_no_vector() -> None:
    spec = diffusion_spec(observation=(CAMERA,), statistics=Statistics((), (), (0.0, 0.0), (1.0, 1.0)))
    assert list(graph_inputs(spec)) == ["camera", "noise"]


def test_plain_numbers_are_written_without_form_and_limits() -> None:
    document = json.loads(array_spec(LIT).to_json())
    assert document["observation"][1:] == [
        {"name": "desired_y", "unit": "m"},
        {"name": "lit", "unit": "1", "shape": [], "dtype": "bool"},
    ]
    assert document["action"][0] == {"name": "delta_desired_x", "unit": "m", "low": -0.01, "high": 0.01}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"shape": "large"}, r"observation\[2\].shape"),
        ({"shape": [96, 0, 3]}, r"observation\[2\].shape\[1\]"),
        ({"shape": [96.5]}, r"observation\[2\].shape\[0\]"),
        ({"shape": [True]}, r"observation\[2\].shape\[0\]"),
        ({"shape": [1] * 9}, r"observation\[2\].shape"),
        ({"shape": [20_000, 20_000]}, r"observation\[2\].shape"),
        ({"dtype": "float64"}, r"observation\[2\].dtype"),
        ({"dtype": ["uint8"]}, r"observation\[2\].dtype"),
        ({"dtype": None}, r"observation\[2\].dtype"),
        ({"name": "noise"}, r"observation\[2\].name"),
        ({"name": "action"}, r"observation\[2\].name"),
        ({"low": "0"}, r"observation\[2\].low"),
        ({"low": 5.0, "high": 4.0}, r"observation\[2\].low"),
        ({"encoding": "rgb8"}, r"observation\[2\].encoding"),
    ],
)
def test_a_wrong_array_is_refused(change: dict[str, Any], field: str) -> None:
    document = json.loads(array_spec(CAMERA).to_json())
    document["observation"][2] |= change
    with pytest.raises(PolicyFileError, match=f"field {field}:"):
        PolicySpec.from_json(json.dumps(document))


def test_goals_of_arrays_and_actions_of_arrays_are_refused() -> None:
    with pytest.raises(PolicyFileError, match=r"field goal_length: .* 0 if arrays are observed, here camera"):
        array_spec(CAMERA, goal_length=1)
    action = mixture_spec().action
    with pytest.raises(PolicyFileError, match=r"field action\[1\].shape: \[2\] .*left out"):
        mixture_spec(action=(action[0], replace(action[1], shape=(2,))))
    with pytest.raises(PolicyFileError, match=r"field action\[0\].dtype: 'int64'"):
        mixture_spec(action=(replace(action[0], dtype="int64"), action[1]))
    with pytest.raises(PolicyFileError, match=r"field action\[0\].high: inf"):
        mixture_spec(action=(Feature("free", "m", low=0.0), action[1]))


def test_arrays_that_would_fill_the_memory_together_are_refused() -> None:
    """Each alone could be taken: 60 million numbers of 8 bytes."""
    document = json.loads(array_spec(LIT).to_json())
    large = {"unit": "1", "shape": [60_000, 1_000], "dtype": "int64"}
    document["observation"] += [large | {"name": "one"}]
    assert PolicySpec.from_json(json.dumps(document)).arrays[1].shape == (60_000, 1_000)
    document["observation"] += [large | {"name": "other"}]
    with pytest.raises(PolicyFileError, match=r"observation\[4\].shape: .* at most 100,000,000 numbers"):
        PolicySpec.from_json(json.dumps(document))
