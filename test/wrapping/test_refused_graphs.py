"""What cannot be wrapped is refused by name, and nothing is written."""

import os
import threading
from pathlib import Path
from typing import Any

import onnx
import pytest
from foreign_graphs import description, write_description, write_graph, write_network

from vdd_ros.cli.main import main
from vdd_ros.errors import ConfigurationError, PolicyFileError, VddError
from vdd_ros.wrapping.draft import write_spec
from vdd_ros.wrapping.wrap import wrap

ACTED = [{"names": [f"o{k}" for k in range(6)], "unit": "m", "low": -9, "high": 9}]
GRAPHS: dict[str, tuple[str, str]] = {
    "recurrent": (
        "p (float[1, 6] obs, float[1, 1, 4] h_in, float[1, 1, 4] c_in) => (float[1, 6] y, float[1, 1, 4] h_out) "
        "{ y = Identity(obs) h_out = Add(h_in, c_in) }",
        r"keeps a recurrent state in inputs and outputs \(h_in, c_in\), .*Train the policy without recurrence",
    ),
    "several inputs": (
        "p (float[1, 3] image, float[1, 3] joints) => (float[1, 6] y) { y = Concat <axis = 1> (image, joints) }",
        r"has 2 inputs \(image, joints\), of which image, joints are not described; name one of them as the `input` of",
    ),
    "random": (
        "p (float[1, 6] x) => (float[1, 6] y) { n = RandomNormalLike(x) y = Add(x, n) }",
        r"draws random numbers \(RandomNormalLike\); export its mean action",
    ),
    "several outputs": (
        "p (float[1, 6] x) => (float[1, 6] y, float[1, 6] z) { y = Identity(x) z = Neg(x) }",
        r"has the outputs y, z; name the action with `output: NAME`",
    ),
    "whole numbers": ("p (int64[1, 6] x) => (int64[1, 6] y) { y = Neg(x) }", r"input x of the type int64"),
    "another width": ("p (float[1, 5] x) => (float[1, 5] y) { y = Neg(x) }", r"shape \[1, 5\], .*\[batch, 6|6 numbers"),
    "three axes": ("p (float[1, 1, 6] x) => (float[1, 1, 6] y) { y = Neg(x) }", r"shape \[1, 1, 6\], .*\[batch, 6\]"),
    "another output": (
        "p (float[1, 6] x) => (float[1, 12] y) { y = Concat <axis = 1> (x, x) }",
        r"output y of the shape \[1, 12\], .*6 numbers: 6 of the action times a horizon of 1",
    ),
    "a fixed batch inside": (
        "p (float[1, 6] x) => (float[1, 6] y) { s = Constant <value = int64[2] {1, 6}> () y = Reshape(x, s) }",
        r"is built for one observation at a time",
    ),
    "a batch that is averaged": (
        "p (float[N, 6] x) => (float[N, 6] y) { m = ReduceMean <axes = [0], keepdims = 1> (x) y = Sub(x, m) }",
        r"other actions for a batch of observations|times at each run",
    ),
    "not finite": (
        "p (float[N, 6] x) => (float[N, 6] y) { z = Sub(x, x) y = Div(x, z) }",
        r"non-finite numbers for",
    ),
    "an unknown operator": (
        "p (float[N, 6] x) => (float[N, 6] y) { y = NoSuchOperator(x) }",
        r"cannot open the graph|cannot open the wrapped graph",
    ),
}


def refused(folder: Path, foreign: Path, error: type[VddError], message: str, **changes: Any) -> None:
    """Wrap, and expect an error that matches; no file appears."""
    spec = write_description(folder / "spec.yaml", **changes)
    with pytest.raises(error, match=message):
        wrap(foreign, spec, folder / "policy.onnx")
    assert not list(folder.glob("policy*"))


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_is_refused(name: str, tmp_path: Path) -> None:
    text, message = GRAPHS[name]
    refused(tmp_path, write_graph(tmp_path / "foreign.onnx", text), PolicyFileError, message, action=ACTED)


def test_old_operators_are_refused(tmp_path: Path) -> None:
    foreign = write_graph(
        tmp_path / "foreign.onnx", "p (float[1, 6] x) => (float[1, 6] y) { y = Neg(x) }", opset=7, ir_version=4
    )
    refused(tmp_path, foreign, PolicyFileError, "is of operator set 7; export it again with 8", action=ACTED)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04" + bytes(100), "zip archive"),
        (b"\x80\x04" + bytes(100), "pickle"),
        (b"obs: 1\naction: 2\n", "it is text"),
        (b"", "empty"),
    ],
)
def test_other_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    foreign = tmp_path / "foreign.onnx"
    foreign.write_bytes(content)
    refused(tmp_path, foreign, PolicyFileError, message)


def test_weights_that_are_missing_are_told(tmp_path: Path) -> None:
    import onnx

    foreign = write_network(tmp_path / "foreign.onnx")
    onnx.save(onnx.load(foreign), foreign, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "weights.bin").unlink()
    refused(tmp_path, foreign, PolicyFileError, "keeps weights in another file, which cannot be read")


def test_the_foreign_file_is_never_replaced(tmp_path: Path) -> None:
    foreign = write_network(tmp_path / "foreign.onnx")
    with pytest.raises(ConfigurationError, match="is the foreign file itself"):
        wrap(foreign, write_description(tmp_path / "spec.yaml"), foreign, force=True)


def observed(**changes: Any) -> list[dict[str, Any]]:
    return [description()["observation"][0] | changes]


def acted(**changes: Any) -> list[dict[str, Any]]:
    item = description()["action"][0] | changes
    return [{key: value for key, value in item.items() if value is not None}]


DESCRIPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"rate": 50}, r"spec.yaml: rate: is unknown here \(did you mean 'rate_hz'\?\)"),
    "no method": ({"method": None}, r"method: is missing"),
    "rate": ({"rate_hz": -1}, r"rate_hz: is -1; it must be above 0"),
    "rate as text": ({"rate_hz": "fast"}, r"rate_hz: is 'fast'; it must be a finite number"),
    "no observation": ({"observation": []}, r"observation: must be a list"),
    "name and names": ({"observation": observed(name="x")}, r"observation\[0\].name: give `name`, or `names`"),
    "twice": ({"action": acted(names=["a", "a"])}, r"action: names a more than once"),
    "no limits": ({"action": acted(low=None)}, r"action\[0\].low: is missing: an action needs limits"),
    "limits the wrong way": ({"action": acted(low=2)}, r"action\[0\].low: is 2 for a0, not below high \(1\)"),
    "mean alone": ({"action": acted(mean=1)}, r"action\[0\].std: is missing; give both"),
    "scale of zero": ({"observation": observed(scale=0)}, r"observation\[0\].scale: is 0"),
    "deviation of zero": ({"observation": observed(std=0)}, r"observation\[0\].std: is 0 for q0; it must be above 0"),
    "a list of another length": ({"observation": observed(mean=[1, 2])}, r"mean: has 2 numbers for 6 names"),
    "too large": ({"observation": observed(mean=1e39)}, r"mean: is 1e\+39; single precision ends at"),
    "no number": ({"observation": observed(offset=[0, 0, "x", 0, 0, 0])}, r"observation\[0\].offset\[2\]: is 'x'"),
    "history without order": ({"history": 3}, r"history: is longer than 1: state the order of the graph's input"),
    "order": (
        {"history": {"length": 2, "grouped_by": "time", "newest": "last"}},
        r"history.grouped_by: is 'time'; it must be frame or entry",
    ),
    "horizon": ({"horizon": 0}, r"horizon: is 0; it must be a whole number from 1"),
    "no such input": ({"input": "observations"}, r"has no input 'observations'; its inputs are obs"),
    "an input that no item names": ({"input": None, "observation": observed(input="other")}, r"has no input 'other'"),
    "inputs of some items": (
        {"observation": [observed(input="obs")[0], {"name": "x", "unit": "m"}]},
        r"observation: names the `input` of only some items",
    ),
    "inputs twice": ({"input": "obs", "observation": observed(input="obs")}, r"input: conflicts with the `input` of"),
    "an input of an action": ({"action": acted(input="obs")}, r"action\[0\].input: is unknown here"),
    "an open question": ({"rate_hz": "???"}, r"rate_hz: is an open question; answer it in place of \?\?\?"),
    "an open name": ({"action": acted(names=["???"])}, r"action\[0\].names: is an open question"),
    "no such output": ({"output": "mu"}, r"has no output 'mu'; its outputs are actions"),
    "unit": ({"action": acted(unit=7)}, r"action\[0\].unit: is 7; it must be text"),
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_description_is_refused(name: str, tmp_path: Path) -> None:
    changes, message = DESCRIPTIONS[name]
    error = PolicyFileError if name.startswith(("no such", "an input that")) else ConfigurationError
    refused(tmp_path, write_network(tmp_path / "foreign.onnx"), error, message, **changes)


def test_a_description_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("- a\n- b\n")
    with pytest.raises(ConfigurationError, match=r"the document: is .*must be a mapping with the keys method, task"):
        wrap(write_network(tmp_path / "foreign.onnx"), tmp_path / "spec.yaml", tmp_path / "policy.onnx")


class Endless:
    """Replaces a session whose graph has an endless loop."""

    def run(self, outputs: Any, inputs: Any, options: Any) -> Any:
        while not options.terminate:
            threading.Event().wait(0.01)
        raise RuntimeError("Exiting due to terminate flag being set to true.")


def test_a_graph_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vdd_ros.wrapping.wrap._session", lambda *args: Endless())
    monkeypatch.setattr("vdd_ros.wrapping.wrap.RUN_S", 0.05)
    graph, spec = write_network(tmp_path / "g.onnx"), write_description(tmp_path / "s.yaml")
    with pytest.raises(
        PolicyFileError, match=r"did not end within 0.05 s and was given up; it may have an endless loop"
    ):
        wrap(graph, spec, tmp_path / "p.onnx")
    assert not (tmp_path / "p.onnx").exists()


def test_a_graph_of_nothing_is_refused(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "g.onnx", "p () => (float[1, 2] y) { y = Constant <value = float[1, 2] {1, 2}> () }")
    match = "has no input or no output, so it is not a policy"
    with pytest.raises(PolicyFileError, match=match):
        wrap(graph, write_description(tmp_path / "s.yaml"), tmp_path / "p.onnx")
    model = onnx.load(write_network(tmp_path / "n.onnx"))
    del model.graph.output[:]
    (tmp_path / "n.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(PolicyFileError, match=match):
        write_spec(tmp_path / "n.onnx", tmp_path / "new.yaml")


def test_a_type_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    model = onnx.load(write_network(tmp_path / "g.onnx"))
    model.graph.input[0].type.tensor_type.elem_type = 99
    (tmp_path / "g.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(PolicyFileError, match="of the type number 99; it must be one of float32"):
        wrap(tmp_path / "g.onnx", write_description(tmp_path / "s.yaml"), tmp_path / "p.onnx")


@pytest.mark.parametrize(
    ("location", "match"),
    [
        ("../weights.bin", "'../weights.bin' is outside of its folder"),
        ("link.bin", "'link.bin' is outside of its folder"),
        ("pipe", "'pipe' is not a file beside it"),
        ("none.bin", "'none.bin' is not a file beside it"),
        ("weights.bin", "they have more than 100 bytes"),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_weights_that_are_elsewhere_or_too_large_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str, match: str, inside: bool
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(400))
    (folder / "weights.bin").write_bytes(bytes(400))
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    os.mkfifo(folder / "pipe")
    model = onnx.load(write_network(folder / "g.onnx"))
    tensor = model.graph.initializer[0]
    if inside:
        tensor = model.graph.node.add(op_type="Constant", output=["unused"]).attribute.add(name="value", type=4).t
        tensor.CopyFrom(model.graph.initializer[0])
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (folder / "g.onnx").write_bytes(model.SerializeToString())
    monkeypatch.setattr("vdd_ros.wrapping.foreign_model.MAX_FILE_BYTES", 100)
    with pytest.raises(PolicyFileError, match=f"keeps weights in another file, which cannot be read .{match}"):
        wrap(folder / "g.onnx", write_description(tmp_path / "s.yaml"), tmp_path / "p.onnx")


def test_a_name_in_a_graph_cannot_steer_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """ONNX Runtime's own log would print it unescaped."""
    text = "p (float[1, 6] x) => (float[1, 6] y) { s = Constant <value = int64[2] {1, 5}> () y = Reshape(x, s) }"
    model = onnx.load(write_graph(tmp_path / "g.onnx", text))
    model.graph.node[1].name = "\x1b[31mred"
    (tmp_path / "g.onnx").write_bytes(model.SerializeToString())
    spec = write_description(tmp_path / "s.yaml", action=ACTED)
    assert main(["wrap", str(tmp_path / "g.onnx"), "--spec", str(spec), "--out", str(tmp_path / "p.onnx")]) == 2
    out, error = capfd.readouterr()
    assert "cannot" in error
    assert "\x1b" not in out + error
