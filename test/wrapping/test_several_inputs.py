"""`vdd wrap` of graphs with several inputs, and first descriptions of graphs (`--new-spec`)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from foreign_graphs import network, write_description, write_graph, write_network

from vdd_ros.cli.main import main
from vdd_ros.errors import PolicyFileError
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.wrapping.draft import write_spec
from vdd_ros.wrapping.wrap import wrap

TWO = """
p (float[1, 4] joints, double[N, 2] robot_state) => (float[1, 6] y)
{ s = Cast <to = 1> (robot_state) y = Concat <axis = 1> (s, joints) }"""
ACTED = [{"names": [f"o{k}" for k in range(6)], "unit": "m", "low": -9, "high": 9}]
OBSERVED = [
    {"input": "joints", "name": "a", "unit": "rad"},
    {"input": "robot_state", "name": "b", "unit": "m", "scale": 10, "offset": 0.5},
    {"input": "joints", "name": "c", "unit": "rad"},
]


@pytest.mark.parametrize(
    ("grouped_by", "newest", "joints"),
    [
        ("frame", "last", [1, 3, 4, 6]),
        ("frame", "first", [4, 6, 1, 3]),
        ("entry", "last", [1, 4, 3, 6]),
        ("entry", "first", [4, 1, 6, 3]),
    ],
)
def test_each_input_gets_its_entries_in_its_order(
    tmp_path: Path, grouped_by: str, newest: str, joints: list[int]
) -> None:
    """The window is [[1, 2, 3], [4, 5, 6]], oldest first; the graph returns state, then joints."""
    spec = write_description(
        tmp_path / "spec.yaml",
        observation=OBSERVED,
        action=ACTED,
        history={"length": 2, "grouped_by": grouped_by, "newest": newest},
    )
    made = wrap(write_graph(tmp_path / "two.onnx", TWO), spec, tmp_path / "policy.onnx")
    assert (made.observation, made.history) == (3, 2)
    policy = OnnxPolicy.load(tmp_path / "policy.onnx")
    state = [15, 45] if newest == "last" else [45, 15]
    window = np.array([[1.0, 2, 3], [4, 5, 6]])
    found = policy.act(window).action[0].tolist()
    assert found == np.clip([*state, *joints], -9, 9).tolist()
    assert policy.spec.settings["foreign"]["input"] == "joints, robot_state"


def test_an_input_that_is_not_described_is_refused(tmp_path: Path) -> None:
    spec = write_description(tmp_path / "spec.yaml", observation=[OBSERVED[0]], action=ACTED)
    with pytest.raises(PolicyFileError, match=r"has 2 inputs \(joints, robot_state\), of which robot_state is not"):
        wrap(write_graph(tmp_path / "two.onnx", TWO), spec, tmp_path / "policy.onnx")


def draft(folder: Path, foreign: Path) -> tuple[str, Any]:
    write_spec(foreign, folder / "new.yaml")
    text = (folder / "new.yaml").read_text()
    return text, yaml.safe_load(text)


def test_a_first_description_becomes_a_policy_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign, spec, out = write_network(tmp_path / "foreign.onnx"), tmp_path / "new.yaml", tmp_path / "policy.onnx"
    assert main(["wrap", str(foreign), "--new-spec", str(spec), "--json", str(tmp_path / "draft.json")]) == 0
    printed = capsys.readouterr().out
    assert "from a graph of another_tool 2.1: inputs obs; outputs actions" in printed
    questions = json.loads((tmp_path / "draft.json").read_text())["questions"]
    assert f"{questions} open questions" in printed
    arguments = ["wrap", str(foreign), "--spec", str(spec), "--out", str(out)]
    assert main(arguments) == 2
    assert "is an open question" in capsys.readouterr().err
    text = spec.read_text()
    assert text.count('"???"') == questions + 1  # of the comment that asks for answers
    for key, answer in {"method": "ppo", "rate_hz": "50", "scale": "0.5", "offset": "0.25", "low": "-1"}.items():
        text = text.replace(f'{key}: "???"', f"{key}: {answer}")
    spec.write_text(text.replace('high: "???"', "high: 1").replace('unit: "???"', "unit: rad"))
    assert main(arguments) == 0
    policy, values = OnnxPolicy.load(out), np.linspace(-1, 1, 6)[None]
    assert [feature.name for feature in policy.spec.observation] == [f"obs_{k}" for k in range(6)]
    expected = np.clip(network(values) * 0.5 + 0.25, -1, 1)
    np.testing.assert_allclose(policy.act(values).action, expected, atol=2e-6)
    assert main(["wrap", str(foreign), "--new-spec", str(spec)]) == 2
    assert "exists already; name another file, or replace it with --force" in capsys.readouterr().err


def test_inputs_outputs_and_metadata_are_in_the_description(tmp_path: Path) -> None:
    text = TWO.replace("(float[1, 6] y)", "(float[1, 6] y, float[1, 2] value)").replace(
        "y = Concat", "value = Neg(s) y = Concat"
    )
    foreign = write_graph(tmp_path / "two.onnx", text)
    model = onnx.load(foreign)
    onnx.helper.set_model_props(model, {"joint_names": "hip,knee", "bell": "\a"})
    onnx.save(model, foreign)
    written, document = draft(tmp_path, foreign)
    assert "#   input joints [1, 4], float32" in written
    assert "#   input robot_state [free, 2], float64" in written
    assert "#   metadata joint_names: hip,knee" in written
    assert "\a" not in written
    assert "the action, one of y, value" in written
    assert [item["input"] for item in document["observation"]] == ["joints", "robot_state"]
    assert document["observation"][0]["names"] == [f"joints_{k}" for k in range(4)]
    assert document["action"][0]["names"] == ["???"]
    assert (document["output"], "input" in document) == ("???", False)


def test_long_lists_are_wrapped_and_free_sizes_are_asked_for(tmp_path: Path) -> None:
    foreign = write_network(tmp_path / "foreign.onnx", width=235, outputs=12)
    written, document = draft(tmp_path, foreign)
    assert max(map(len, written.splitlines())) <= 120
    assert (len(document["observation"][0]["names"]), len(document["action"][0]["names"])) == (235, 12)
    free = write_graph(tmp_path / "free.onnx", "p (float[N, M] x) => (float[N, K] y) { y = Neg(x) }")
    (tmp_path / "new.yaml").unlink()
    _, document = draft(tmp_path, free)
    assert document["observation"][0]["names"] == document["action"][0]["names"] == ["???"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "p (float[1, 3, 8, 8] image) => (float[1, 3] y) { y = ReduceMean(image) }",
            r"the shape \[1, 3, 8, 8\]; .*flat",
        ),
        (
            "p (float[1, 6] obs, float[1, 4] h_in) => (float[1, 6] y, float[1, 4] h_out) "
            "{ y = Identity(obs) h_out = Neg(h_in) }",
            "keeps a recurrent state",
        ),
        ("p (float[1, 6] x) => (float[1, 6] y) { y = RandomNormalLike(x) }", "draws random numbers"),
    ],
)
def test_what_could_never_be_wrapped_gets_no_description(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PolicyFileError, match=message):
        write_spec(write_graph(tmp_path / "foreign.onnx", text), tmp_path / "new.yaml")
    assert not (tmp_path / "new.yaml").exists()


def test_options_that_do_not_go_together_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign, spec = write_network(tmp_path / "foreign.onnx"), write_description(tmp_path / "spec.yaml")
    assert main(["wrap", str(foreign), "--spec", str(spec)]) == 2
    assert "--spec needs --out" in capsys.readouterr().err
    assert main(["wrap", str(foreign), "--new-spec", str(tmp_path / "n.yaml"), "--out", str(tmp_path / "p.onnx")]) == 2
    assert "writes no policy file" in capsys.readouterr().err
