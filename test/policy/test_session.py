"""Every way a policy file, a provider or an option can be wrong."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from array_policies import UNUSED, write_camera_policy
from numpy.testing import assert_allclose
from policy_files import (
    diffusion_spec,
    mixture_spec,
    replace_metadata,
    write_diffusion,
    write_mixture,
)

from vdd_ros.errors import ConfigurationError, PolicyFileError, ProviderError
from vdd_ros.policy import onnx_session as session
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.providers import ProviderSettings

OBSERVATION = np.array([[0.4, 0.1, 0.5, 0.2]])


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "is not a file"), (b"", "cannot be read as ONNX"), (b"just some text", "cannot be read as ONNX")],
)
def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "p.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PolicyFileError, match=message):
        OnnxPolicy.load(path)


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyFileError, match="is not a file"):
        OnnxPolicy.load(tmp_path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: float) -> None:
    path = write_mixture(tmp_path / "p.onnx")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(PolicyFileError, match="it was cut off"):
        OnnxPolicy.load(path)


def test_a_file_without_policy_metadata_is_refused(tmp_path: Path) -> None:
    path = replace_metadata(write_mixture(tmp_path / "p.onnx"), None)
    with pytest.raises(PolicyFileError, match=r"p\.onnx: ONNX without the metadata 'vdd_ros\.policy'"):
        OnnxPolicy.load(path)


def test_text_that_is_damaged_is_refused(tmp_path: Path) -> None:
    path = write_mixture(tmp_path / "p.onnx")
    path.write_bytes(path.read_bytes().replace(b"delta_desired_x", b"delta_desired_\xff"))
    with pytest.raises(PolicyFileError, match="damaged text"):
        OnnxPolicy.load(path)


def test_a_graph_that_fails_while_it_runs_is_an_error_of_the_file(tmp_path: Path) -> None:
    path = write_mixture(tmp_path / "p.onnx")
    model = onnx.load(path)
    index = next(constant for constant in model.graph.initializer if constant.name == "newest_index")
    index.CopyFrom(onnx.numpy_helper.from_array(np.array(9), "newest_index"))
    onnx.save(model, path)
    policy = OnnxPolicy.load(path)
    with pytest.raises(PolicyFileError, match="graph failed"):
        policy.act(OBSERVATION)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 9}, "schema_version: 9 was made by a newer vdd_ros"),
        ({"structure": "transformer"}, "field structure: 'transformer'"),
        ({"statistics": None}, "field statistics"),
        ({"history": 2}, r"input observation has the shape \['B', 1, 4\], but its metadata calls for \[B, 2, 4\]"),
        ({"goal_length": 2}, "inputs are observation, noise, expert_uniform, but its metadata calls for .*goal"),
        ({"horizon": 3}, r"input noise has the shape .* \[B, 3, 2\]"),
        ({"experts": 5}, r"output gating has the shape .* \[B, 5\]"),
        (
            {"structure": "diffusion", "experts": None, "covariance": None, "sampling_steps": 4},
            "inputs are observation, noise, expert_uniform, but its metadata calls for observation, noise",
        ),
    ],
)
def test_metadata_that_are_wrong_or_contradict_the_graph_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    metadata = json.dumps(json.loads(mixture_spec().to_json()) | changes)
    path = replace_metadata(write_mixture(tmp_path / "p.onnx"), metadata)
    with pytest.raises(PolicyFileError, match=rf"p\.onnx: .*{message}"):
        OnnxPolicy.load(path)


def test_a_policy_of_arrays_is_read_and_checked(tmp_path: Path) -> None:
    path = write_camera_policy(tmp_path / "p.onnx")
    opened = session.open_session(path, provider=ProviderSettings(), intra_op_threads=1, inter_op_threads=1)
    assert opened.spec.arrays == (UNUSED,)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        ({"dtype": onnx.TensorProto.FLOAT}, r"input camera is a tensor\(float\); it must be a tensor\(uint8\)"),
        ({"height": 5}, r"input camera has the shape \['B', 1, 5, 6, 3\], .* \[B, 1, 4, 6, 3\]"),
    ],
)
def test_an_array_that_the_graph_takes_otherwise_is_refused(
    tmp_path: Path, graph: dict[str, int], message: str
) -> None:
    with pytest.raises(PolicyFileError, match=message):
        OnnxPolicy.load(write_camera_policy(tmp_path / "p.onnx", **graph))


def test_more_sampling_steps_than_the_graph_has_are_refused(tmp_path: Path) -> None:
    path = write_diffusion(tmp_path / "p.onnx", steps=4)
    replace_metadata(path, diffusion_spec(sampling_steps=8).to_json())
    with pytest.raises(PolicyFileError, match=r"input noise has the shape \['B', 4, 1, 2\]"):
        OnnxPolicy.load(path)


def test_a_goal_of_another_length_or_without_metadata_is_refused(tmp_path: Path) -> None:
    path = write_mixture(tmp_path / "p.onnx", goal_length=2)
    for length, message in ((3, r"input goal has the shape \['B', 2, 4\], .* \[B, 3, 4\]"), (0, "inputs are .*goal")):
        replace_metadata(path, mixture_spec(goal_length=length).to_json())
        with pytest.raises(PolicyFileError, match=message):
            OnnxPolicy.load(path)


def test_a_graph_with_a_fixed_batch_is_refused(tmp_path: Path) -> None:
    path = write_mixture(tmp_path / "p.onnx")
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, path)
    with pytest.raises(PolicyFileError, match="free batch"):
        OnnxPolicy.load(path)


def test_a_graph_without_an_output_is_refused(tmp_path: Path) -> None:
    path = write_mixture(tmp_path / "p.onnx")
    model = onnx.load(path)
    del model.graph.output[3]
    onnx.save(model, path)
    with pytest.raises(PolicyFileError, match=r"outputs are action, expert, gating, but .* calls for .* log_prob"):
        OnnxPolicy.load(path)


def test_a_graph_of_another_type_is_refused(tmp_path: Path) -> None:
    path = write_mixture(tmp_path / "p.onnx")
    model = onnx.load(path)
    model.graph.node.append(onnx.helper.make_node("Cast", ["expert"], ["expert_float"], to=onnx.TensorProto.FLOAT))
    renamed = {"expert": "expert_int", "expert_float": "expert"}
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    model.graph.output[1].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    onnx.save(model, path)
    with pytest.raises(PolicyFileError, match=r"output expert is a tensor\(float\); it must be a tensor\(int64\)"):
        OnnxPolicy.load(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"expert": "best"}, "'best' is unknown; use one of sample, greedy, sticky"),
        ({"switch_ratio": 0.5}, "switch_ratio is 0.5"),
        ({"noise": "low"}, "'low' is unknown; use one of mean, full"),
        ({"seed": -1}, "seed is -1"),
        ({"provider": "tpu"}, "'tpu' is unknown; use one of cpu, cuda, tensorrt"),
        ({"intra_op_threads": 0}, "intra_op_threads is 0"),
        ({"inter_op_threads": -1}, "inter_op_threads is -1"),
    ],
)
def test_options_that_are_not_allowed_are_errors(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        OnnxPolicy.load(write_mixture(tmp_path / "p.onnx"), **options)


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_provider_that_is_not_granted_is_refused(tmp_path: Path, provider: str) -> None:
    path = write_mixture(tmp_path / "p.onnx")
    try:
        policy = OnnxPolicy.load(path, provider=provider)
    except ProviderError as error:
        assert f"'{provider}' was not granted" in str(error)
    else:
        greedy = OnnxPolicy.load(path)
        assert_allclose(policy.mixture(OBSERVATION).means, greedy.mixture(OBSERVATION).means, atol=1e-5)


def test_a_provider_that_falls_back_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime may list a provider, fail to load it and go on with the CPU without an error."""
    path = write_mixture(tmp_path / "p.onnx")
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(session, "ignore_recordings_elsewhere", lambda: None)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda path, options, **_: real(path, options, providers=["CPUExecutionProvider"]),
    )
    with pytest.raises(ProviderError, match="the session was given CPUExecutionProvider"):
        OnnxPolicy.load(path, provider="cuda")


def test_a_provider_of_another_build_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ProviderError, match="has only CPUExecutionProvider"):
        OnnxPolicy.load(write_mixture(tmp_path / "p.onnx"), provider="cuda")


def test_loading_and_acting_on_the_cpu_print_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx"))
    policy.act(OBSERVATION)
    assert capfd.readouterr() == ("", "")
