"""`vdd wrap`: a wrapped graph is the foreign function with scales, order and limits, held against numpy."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from foreign_graphs import WIDTH, network, write_description, write_graph, write_network

from vdd_ros import resources
from vdd_ros.cli.main import main
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.wrapping.description import read_description
from vdd_ros.wrapping.wrap import HALF_TOLERANCE, TOLERANCE, wrap


def wrapped(folder: Path, foreign: Path, *, half: bool = False, **changes: Any) -> OnnxPolicy:
    """Wrap a foreign file and load the result as a robot does."""
    made = wrap(foreign, write_description(folder / "spec.yaml", **changes), folder / "policy.onnx")
    assert made.max_error <= (HALF_TOLERANCE if half else TOLERANCE)
    return OnnxPolicy.load(folder / "policy.onnx")


@pytest.mark.parametrize("batch", ["1", "N"])
def test_scales_and_limits_surround_the_foreign_network(tmp_path: Path, batch: str) -> None:
    rng = np.random.default_rng(1)
    scale, offset = rng.uniform(0.5, 2, WIDTH), rng.normal(size=WIDTH)
    observed = {"names": [f"q{k}" for k in range(WIDTH)], "unit": "rad", "mean": 0.1, "std": 0.5}
    observed |= {"scale": scale.tolist(), "offset": offset.tolist()}
    acted = {"names": ["a0", "a1"], "unit": "rad", "scale": [0.5, -0.25], "offset": [0.1, 0.7]}
    acted |= {"low": [-0.4, 0.5], "high": [0.6, 0.9]}
    policy = wrapped(
        tmp_path, write_network(tmp_path / "foreign.onnx", batch=batch), observation=[observed], action=[acted]
    )
    values = rng.normal(0, 2, (200, WIDTH))
    expected = network((values - offset) * scale) * [0.5, -0.25] + [0.1, 0.7]
    limited = np.clip(expected, [-0.4, 0.5], [0.6, 0.9])
    assert 0 < (limited != expected).mean() < 1
    np.testing.assert_allclose(policy.act_batch(values[:, None]).action[:, 0], limited, atol=2e-6)
    np.testing.assert_allclose(policy.act(values[:1]).action[0], limited[0], atol=2e-6)


def test_the_file_says_what_the_description_says(tmp_path: Path) -> None:
    policy = wrapped(tmp_path, write_network(tmp_path / "foreign.onnx"))
    spec = policy.spec
    assert (spec.method, spec.structure, spec.rate_hz, spec.is_deterministic) == ("ppo", "one_step", 50, True)
    assert [str(feature) for feature in spec.action] == ["a0 (rad)", "a1 (rad)"]
    assert spec.statistics.observation_mean == (0.1,) * WIDTH
    assert (spec.statistics.action_mean, spec.statistics.action_std) == ((0.0, 0.0), (1.0, 1.0))
    assert spec.settings["foreign"]["producer"] == "another_tool 2.1"
    assert spec.parity.samples == 512
    assert "another_tool" in spec.warnings[0]


@pytest.mark.parametrize(
    ("grouped_by", "newest", "expected"),
    [
        ("frame", "last", [1, 2, 3, 4, 5, 6]),
        ("frame", "first", [4, 5, 6, 1, 2, 3]),
        ("entry", "last", [1, 2, 4, 5, 3, 6]),
        ("entry", "first", [4, 5, 1, 2, 6, 3]),
    ],
)
def test_a_history_reaches_the_graph_in_its_order(
    tmp_path: Path, grouped_by: str, newest: str, expected: list[int]
) -> None:
    """The foreign graph returns its input; the window is [[1, 2, 3], [4, 5, 6]], oldest first."""
    echo = write_graph(tmp_path / "echo.onnx", "echo (float[1, 6] x) => (float[1, 6] y) { y = Identity(x) }")
    policy = wrapped(
        tmp_path,
        echo,
        history={"length": 2, "grouped_by": grouped_by, "newest": newest},
        observation=[{"names": ["a", "b"], "unit": "m"}, {"name": "c", "unit": "m"}],
        action=[{"names": [f"o{k}" for k in range(6)], "unit": "m", "low": -9, "high": 9}],
    )
    assert policy.act(np.array([[1.0, 2, 3], [4, 5, 6]])).action[0].tolist() == expected


def test_a_chunk_of_actions(tmp_path: Path) -> None:
    foreign = write_network(tmp_path / "foreign.onnx", outputs=6)
    policy = wrapped(tmp_path, foreign, horizon=3)
    values = np.random.default_rng(0).normal(size=(1, WIDTH))
    expected = np.clip(network(values, outputs=6).reshape(3, 2), -1, 1)
    np.testing.assert_allclose(policy.act(values).action, expected, atol=2e-6)


@pytest.mark.parametrize("kind", ["double", "float16"])
def test_other_number_types_are_converted(tmp_path: Path, kind: str) -> None:
    text = f"twice ({kind}[N, 6] x) => ({kind}[N, 6] y) {{ y = Add(x, x) }}"
    echo = write_graph(tmp_path / "twice.onnx", text)
    half = kind == "float16"
    policy = wrapped(
        tmp_path, echo, half=half, action=[{"names": [f"o{k}" for k in range(6)], "unit": "m", "low": -9, "high": 9}]
    )
    assert policy.act(np.arange(6.0)[None] / 4).action[0].tolist() == (np.arange(6) / 2).tolist()


def test_names_of_the_foreign_graph_may_be_ours_and_branches_see_its_input(tmp_path: Path) -> None:
    text = """
    policy (float[N, 6] action) => (float[N, 6] observation)
    {
        sum = ReduceSum <keepdims = 0> (action)
        zero = Constant <value = float {0.0}> ()
        positive = Greater(sum, zero)
        observation = If (positive) <
            then_branch = up () => (float[N, 6] plus) { plus = Add(action, action) },
            else_branch = down () => (float[N, 6] minus) { minus = Neg(action) }
        >
    }"""
    # One decision for a whole batch: compared one observation at a time, it is another function.
    foreign = write_graph(tmp_path / "branch.onnx", text)
    acted = [{"names": [f"o{k}" for k in range(6)], "unit": "m", "low": -9, "high": 9}]
    description = write_description(tmp_path / "spec.yaml", action=acted)
    assert main(["wrap", str(foreign), "--spec", str(description), "--out", str(tmp_path / "p.onnx")]) == 2
    assert not (tmp_path / "p.onnx").exists()
    always = text.replace("Greater(sum, zero)", "Equal(sum, sum)")
    policy = wrapped(tmp_path, write_graph(tmp_path / "branch.onnx", always), action=acted)
    assert policy.act(np.arange(6.0)[None] - 3).action[0].tolist() == (2 * (np.arange(6.0) - 3)).tolist()


def test_a_number_that_is_none_is_not_turned_into_a_limit(tmp_path: Path) -> None:
    """The logarithm of a negative number and of zero: the node has to see it, and refuse it."""
    text = "log (float[N, 6] x) => (float[N, 6] y) { y = Log(x) }"
    acted = [{"names": [f"o{k}" for k in range(6)], "unit": "1", "low": -9, "high": 9}]
    observed = [{"names": [f"q{k}" for k in range(6)], "unit": "1", "mean": 100, "std": 1}]
    policy = wrapped(tmp_path, write_graph(tmp_path / "log.onnx", text), observation=observed, action=acted)
    found = policy.act(np.array([[-1.0, 0.0, 1.0, np.e, 2.0, 3.0]])).action[0]
    assert np.isnan(found[:2]).all()
    np.testing.assert_allclose(found[2:], np.log([1, np.e, 2, 3]), atol=1e-6)


def test_weights_beside_the_file_are_taken_in(tmp_path: Path) -> None:
    foreign = write_network(tmp_path / "foreign.onnx")
    onnx.save(onnx.load(foreign), foreign, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").exists()
    policy = wrapped(tmp_path, foreign)
    (tmp_path / "weights.bin").unlink()
    values = np.zeros((1, WIDTH))
    expected = np.clip(network(values), -1, 1)
    np.testing.assert_allclose(policy.act(values).action, expected, atol=2e-6)


def test_weights_among_the_inputs_are_no_inputs(tmp_path: Path) -> None:
    foreign = write_network(tmp_path / "foreign.onnx")
    model = onnx.load(foreign)
    for tensor in model.graph.initializer:
        kind = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        model.graph.input.append(kind)
    onnx.save(model, foreign)
    assert wrapped(tmp_path, foreign).spec.obs_dim == WIDTH


def test_one_of_several_outputs_is_the_action(tmp_path: Path) -> None:
    text = "two (float[N, 6] x) => (float[N, 6] value, float[N, 6] y) { y = Identity(x) value = Neg(x) }"
    acted = [{"names": [f"o{k}" for k in range(6)], "unit": "m", "low": -9, "high": 9}]
    policy = wrapped(tmp_path, write_graph(tmp_path / "two.onnx", text), action=acted, output="y")
    assert policy.act(np.arange(6.0)[None]).action[0].tolist() == list(range(6))


def test_statistics_that_nobody_knows_are_told(tmp_path: Path) -> None:
    observed = [{"names": ["q0", "q1", "q2"], "unit": "rad", "low": -2, "high": 4}, {"name": "q3", "unit": "rad"}]
    observed += [{"names": ["q4", "q5"], "unit": "rad", "mean": [1, 2], "std": [3, 4]}]
    policy = wrapped(tmp_path, write_network(tmp_path / "foreign.onnx"), observation=observed)
    assert policy.spec.settings["unknown_statistics"] == ["q3"]
    assert list(policy.spec.statistics.observation_mean) == [1, 1, 1, 0, 1, 2]
    assert list(policy.spec.statistics.observation_std) == [3, 3, 3, 1, 3, 4]
    assert "of q3 are unknown" in policy.spec.warnings[1]


def test_a_robot_file_fits_and_the_command_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    robot = RobotFile.load(resources.path("config/robots/avoiding.yaml"))
    observed = [{"name": entry.name, "unit": "m", "mean": 0.3, "std": 0.1} for entry in robot.input_entries]
    acted = [{"names": ["delta_desired_x", "delta_desired_y"], "unit": "m", "low": -0.01, "high": 0.01}]
    foreign = write_network(tmp_path / "foreign.onnx", width=4)
    description = write_description(tmp_path / "spec.yaml", observation=observed, action=acted)
    out, numbers = tmp_path / "policy.onnx", tmp_path / "numbers.json"
    arguments = ["wrap", str(foreign), "--spec", str(description), "--out", str(out), "--json", str(numbers)]
    assert main(arguments) == 0
    assert "4 numbers observed, 1 time; 2 commanded" in capsys.readouterr().out
    assert json.loads(numbers.read_text())["foreign_sha256"]
    spec = OnnxPolicy.load(out).spec
    robot.check(spec.observation, spec.action)
    before = out.read_bytes()
    assert main(arguments) == 2
    assert "--force" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0
    assert out.read_bytes() == before
    assert main(["wrap", str(out), "--spec", str(description), "--out", str(tmp_path / "again.onnx")]) == 2
    assert "is already a policy file" in capsys.readouterr().err


def test_the_description_of_the_documentation_is_read(tmp_path: Path) -> None:
    """Width and order of its example: twelve numbers of two times, all times of an item before the next item."""
    page = (Path(__file__).parents[2] / "docs" / "policy_file.md").read_text()
    (tmp_path / "spec.yaml").write_text(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[0])
    described = read_description(tmp_path / "spec.yaml")
    assert [number.feature.name for number in described.action] == ["hip", "knee"]
    assert described.inputs[0].order == (0, 1, 2, 9, 10, 11, 3, 4, 12, 13, 5, 6, 14, 15, 7, 8, 16, 17)
    foreign = write_network(tmp_path / "foreign.onnx", width=18)
    made = wrap(foreign, tmp_path / "spec.yaml", tmp_path / "policy.onnx")
    assert (made.history, made.observation, made.action) == (2, 9, 2)
