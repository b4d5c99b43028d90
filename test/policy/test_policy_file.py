"""Reading a policy file: only ordinary files, once, whole, from one file; other files are identified."""

import gzip
import json
import os
import pickle
import threading
import zipfile
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from policy_files import mixture_spec, replace_metadata, write_mixture

from vdd_ros.errors import PolicyFileError
from vdd_ros.policy.onnx_policy import OnnxPolicy

OBSERVATION = np.array([[0.4, 0.1, 0.5, 0.2]])
DEADLINE_S = 120.0
MAX_FILE_BYTES = 512 << 20


def refusal(path: Path | str) -> str:
    with pytest.raises(PolicyFileError) as refused:
        OnnxPolicy.load(path)
    return str(refused.value)


def test_a_policy_tells_the_hash_and_the_size_of_what_acts(tmp_path: Path) -> None:
    path = write_mixture(tmp_path / "p.onnx")
    policy = OnnxPolicy.load(path)
    assert policy.sha256 == sha256(path.read_bytes()).hexdigest()
    assert policy.size == path.stat().st_size


def test_the_hashed_bytes_act_although_the_file_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, other = write_mixture(tmp_path / "p.onnx"), write_mixture(tmp_path / "q.onnx", seed=5)
    expected, content = OnnxPolicy.load(path).mixture(OBSERVATION), path.read_bytes()
    real = onnxruntime.InferenceSession

    def swap_and_open(*args: Any, **options: Any) -> Any:
        path.write_bytes(other.read_bytes())
        return real(*args, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", swap_and_open)
    policy = OnnxPolicy.load(path)
    assert path.read_bytes() != content
    np.testing.assert_array_equal(policy.mixture(OBSERVATION).means, expected.means)
    assert policy.sha256 == sha256(content).hexdigest()


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/", "/no/such/file.onnx", "p\0.onnx"])
def test_a_special_file_is_refused(path: str) -> None:
    assert "is not a file" in refusal(path) or "cannot be read" in refusal(path)


def test_a_pipe_is_refused_at_once_by_the_policy_and_by_the_node(tmp_path: Path) -> None:
    """Reading one waits for a writer, for ever."""
    pytest.importorskip("rclpy")
    from node_rig import AVOIDING

    from vdd_ros.nodes.policy.loading import load
    from vdd_ros.nodes.policy.parameters import PolicyParameters
    from vdd_ros.robot.robot_file import RobotFile

    pipe = tmp_path / "p.onnx"
    os.mkfifo(pipe)
    assert "is not a file but a pipe" in refusal(pipe)
    parameters = PolicyParameters(policy_path=str(pipe), robot_file=str(AVOIDING))
    said: list[str] = []

    def load_it() -> None:
        try:
            load(str(pipe), RobotFile.load(AVOIDING), parameters, "/policy")
        except PolicyFileError as error:
            said.append(str(error))

    thread = threading.Thread(target=load_it, daemon=True)
    thread.start()
    thread.join(DEADLINE_S)
    assert said
    assert "is not a file but a pipe" in said[0]


def test_a_file_beyond_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "p.onnx"
    with path.open("wb") as stream:
        stream.truncate(MAX_FILE_BYTES + 1)  # sparse: it takes no room
    assert "537 MB; a policy file has at most 537 MB" in refusal(path)


def keep_weights_aside(path: Path, how: str) -> None:
    """Move a tensor of a policy file into a second file, as one of the places where ONNX allows tensors."""
    model = onnx.load(path)
    model.graph.initializer.append(numpy_helper.from_array(np.ones(300, np.float32), "aside"))
    tensor = model.graph.initializer[-1]
    (path.parent / "weights.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    if how != "initializer":
        moved = TensorProto()
        moved.CopyFrom(tensor)
        del model.graph.initializer[-1]
        node = helper.make_node("Constant", [], ["aside"])
        node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(moved)
        if how == "branch":
            branch = helper.make_graph([node], "branch", [], [helper.make_tensor_value_info("aside", 1, [300])])
            condition = helper.make_node("Constant", [], ["always"], value=helper.make_tensor("", 9, [], [True]))
            node = helper.make_node("If", ["always"], ["aside_out"], then_branch=branch, else_branch=branch)
            model.graph.node.append(condition)
        model.graph.node.append(node)
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("how", ["initializer", "constant", "branch"])
def test_weights_in_a_second_file_are_refused_with_a_remedy(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime opens them, from beside the file or, for bytes, from the working directory."""
    path = write_mixture(tmp_path / "p.onnx")
    keep_weights_aside(path, how)
    monkeypatch.chdir(tmp_path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    said = refusal(path)
    assert "keeps weights in a second file (those of 'aside')" in said
    assert "onnx.save(onnx.load(path), path)" in said


def test_the_mend_makes_one_file(tmp_path: Path) -> None:
    path = write_mixture(tmp_path / "p.onnx")
    means = OnnxPolicy.load(path).mixture(OBSERVATION).means
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    assert "keeps weights in a second file" in refusal(path)
    onnx.save(onnx.load(path), path)
    (tmp_path / "w.bin").unlink()
    np.testing.assert_array_equal(OnnxPolicy.load(path).mixture(OBSERVATION).means, means)


def _zip() -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    return stream.getvalue()


SAFETENSORS = b'{"__metadata__":{"format":"pt"}}'


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n", "a Git LFS pointer.*git lfs pull"),
        (b"\n<!DOCTYPE html><html><body>Not found</body></html>", "an HTML page.*Download the file again"),
        (b"<html>", "an HTML page"),
        (len(SAFETENSORS).to_bytes(8, "little") + SAFETENSORS, "a safetensors file"),
        (_zip(), "a zip archive, as torch.save"),
        (pickle.dumps({"weights": [1.0]}, protocol=4), "a Python pickle.*never unpickles"),
        (gzip.compress(b"x", mtime=0), "a gzip archive"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b'{"type": "act"}', "a JSON document"),
        (b"\x1c\x00\x00\x00TFL3", "a TensorFlow Lite model"),
        (b"\x1c\x00\x00\x00ORTM", "ONNX Runtime's own format"),
        (b"\x08\x08\x12\x07pytorch", "cut off"),
    ],
)
def test_a_foreign_format_is_named(tmp_path: Path, content: bytes, named: str) -> None:
    path = tmp_path / "p.onnx"
    path.write_bytes(content)
    with pytest.raises(PolicyFileError, match=named):
        OnnxPolicy.load(path)


def test_the_onnx_of_others_is_named_by_what_it_takes_and_gives(tmp_path: Path) -> None:
    """As exporters of reinforcement learning write it, and with names that would reach a terminal."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["obs\x1b[2J"], ["actions"])],
        "actor",
        [helper.make_tensor_value_info("obs\x1b[2J", 1, [1, 48])],
        [helper.make_tensor_value_info("actions", 1, [1, 48])],
    )
    path = tmp_path / "p.onnx"
    onnx.save(helper.make_model(graph, producer_name="pytorch", producer_version="2.7.0"), path)
    said = refusal(path)
    for part in ("pytorch 2.7.0", "inputs obs\\x1b[2J", "outputs actions", "not a policy file", "vdd export"):
        assert part in said
    assert "\x1b" not in said


@pytest.mark.parametrize(("field", "named"), [("ir", "IR version 99"), ("opset", "operator sets ai.onnx 99")])
def test_a_file_for_a_newer_onnx_runtime_is_reported(tmp_path: Path, field: str, named: str) -> None:
    path = write_mixture(tmp_path / "p.onnx")
    model = onnx.load(path)
    if field == "ir":
        model.ir_version = 99
    else:
        model.opset_import[0].version = 99
    path.write_bytes(model.SerializeToString())
    said = refusal(path)
    for part in ("too new for this ONNX Runtime", onnxruntime.__version__, named, "Install a newer onnxruntime"):
        assert part in said


def test_a_file_of_the_newest_operator_set_names_what_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ONNX Runtime 1.22 says so of a file with attention as one operator."""
    path = write_mixture(tmp_path / "p.onnx")
    model = onnx.load(path)
    model.opset_import[0].version, model.ir_version = 23, 11
    path.write_bytes(model.SerializeToString())

    def refuse(*_args: object, **_options: object) -> None:
        raise RuntimeError("Unsupported model IR version: 11, max supported IR version: 10")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    said = refusal(path)
    for part in ("IR version 11 and operator sets ai.onnx 23", "onnxruntime 1.23 or newer", "vdd export --opset 18"):
        assert part in said


def metadata_refusal(tmp_path: Path, text: str) -> str:
    return refusal(replace_metadata(write_mixture(tmp_path / "p.onnx"), text))


def test_metadata_beyond_the_limit_are_refused_before_they_are_parsed(tmp_path: Path) -> None:
    said = metadata_refusal(tmp_path, '{"kind": "' + 2_000_000 * "x" + '"}')
    assert "its metadata has 2,000,0" in said
    assert "at most 1,048,576 are read" in said


@pytest.mark.parametrize("field", ["kind", "task", "rate_hz", "observation", "settings", "teacher_sha256"])
def test_a_refused_value_is_clipped_and_printable(tmp_path: Path, field: str) -> None:
    document = json.loads(mixture_spec().to_json()) | {field: "\x1b[2J" + 500_000 * "x"}
    said = metadata_refusal(tmp_path, json.dumps(document))
    assert f"field {field}:" in said
    assert len(said) < 1000
    assert "\x1b" not in said


def test_an_unknown_field_is_clipped_and_printable(tmp_path: Path) -> None:
    document = json.loads(mixture_spec().to_json()) | {"\x1b" + 500_000 * "x": 1}
    said = metadata_refusal(tmp_path, json.dumps(document))
    assert "unknown" in said
    assert len(said) < 1000
    assert "\x1b" not in said


@pytest.mark.parametrize("depth", [30, 100_000])
def test_settings_of_great_depth_are_refused(tmp_path: Path, depth: int) -> None:
    text = mixture_spec().to_json().replace('"settings": {}', '"settings": ' + depth * '{"a":' + "1" + depth * "}")
    assert "nested" in metadata_refusal(tmp_path, text)


def test_a_key_that_comes_twice_is_refused(tmp_path: Path) -> None:
    text = mixture_spec().to_json().replace('"rate_hz":', '"rate_hz": 5.0, "rate_hz":')
    assert "'rate_hz' is duplicated" in metadata_refusal(tmp_path, text)


def test_metadata_that_repeat_are_refused(tmp_path: Path) -> None:
    """One reader takes the first, another the last."""
    path = write_mixture(tmp_path / "p.onnx")
    model = onnx.load(path)
    model.metadata_props.add().CopyFrom(model.metadata_props[0])
    onnx.save(model, path)
    assert "'vdd_ros.policy' 2 times" in refusal(path)


def test_text_is_named_and_a_robot_file_sent_to_its_parameter(tmp_path: Path) -> None:
    """Whoever swaps the two paths should not read of protobuf."""
    robot = Path(__file__).parents[2] / "config" / "robots" / "avoiding.yaml"
    assert "is a robot file, not a policy file; " in refusal(robot)
    assert "the parameter robot_file take it" in refusal(robot)
    (tmp_path / "notes.onnx").write_text("some lines\nof text\n")
    assert "it is text" in refusal(tmp_path / "notes.onnx")
