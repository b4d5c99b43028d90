"""`vdd evaluate --delay` on policies whose chunks say whether they were told what is executed until they arrive."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from echo_policy import Action, write_echo
from policy_files import write_mixture

from vdd_ros.cli.main import main
from vdd_ros.errors import ConfigurationError
from vdd_ros.evaluation.continuing import check_continuation, prefix_for
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.tasks import get_task

LEFT, RIGHT = (-0.0048, 0.0096), (0.004, 0.0095)
"""Displacements in m a step: past all cylinders on either side, modes 0 and 23."""
JUMP = math.dist(LEFT, RIGHT)
COUNT = 6


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a policy that goes left once it is told what is executed until its answer arrives; otherwise right."""
    return write_echo(tmp_path / "echo.onnx", 8, told=LEFT, untold=RIGHT)


def evaluate(file: Path, *options: str) -> dict[str, Any]:
    out = file.with_suffix(".json")
    assert run(file, "--json", str(out), *options) == 0
    record: dict[str, Any] = json.loads(out.read_text())
    return record


def run(file: Path, *options: str) -> int:
    return main(
        ["evaluate", str(file), "--task", "avoiding", "--rollouts", str(COUNT), "--action-steps", "4", *options]
    )


def by_hand(*first: Action, then: Action) -> tuple[bool, int, int]:
    """Return success, mode and length of an episode with these first actions and another one ever after."""
    sim, running, steps = get_task("avoiding").make_sim(1), True, 0
    sim.reset(None)
    while running:
        action = first[steps] if steps < len(first) else then
        result = sim.step(np.array([action], np.float32).astype(np.float64))
        steps += 1
        running = not (result.terminated | result.truncated)[0]
    return bool(result.success[0]), int(sim.modes()[0]), steps


def test_a_policy_that_is_told_goes_on_from_what_is_executed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Four actions of the first chunk, which was told nothing; then every chunk knows the two actions before it."""
    record = evaluate(file, "--delay", "0", "2", "4")
    still, later, ends = record["delays"]
    assert [row["delay"] for row in record["delays"]] == [0, 2, 4]
    assert [row["prefix"] for row in record["delays"]] == ["condition"] * 3
    straight, turned = by_hand(then=RIGHT), by_hand(*[RIGHT] * 4, then=LEFT)
    assert straight[:2] == (True, 23)
    for row, (success, mode, _) in ((still, straight), (later, turned), (ends, turned)):
        assert row["pooled"]["success_rate"] == success
        assert row["pooled"]["modes"] == ({str(mode): COUNT} if success else {})
    assert still["seam"]["p95"] == 0
    joins = COUNT * ((turned[2] - 1) // 4)
    assert (later["seam"]["count"], later["seam"]["unit"]) == (joins, "m")
    assert later["seam"]["mean"] == pytest.approx(COUNT * JUMP / joins, rel=1e-6)
    assert later["seam"]["entries"]["delta_desired_x"] == pytest.approx(COUNT * 0.0088 / joins, rel=1e-5)
    assert ends["seam"] is None
    bends = COUNT * (turned[2] - 2)
    assert later["second_difference"]["count"] == bends
    assert later["second_difference"]["mean"] == pytest.approx(2 * COUNT * JUMP / bends, rel=1e-6)
    difference = later["difference_to_no_delay"]
    assert difference["success"]["value"] == turned[0] - straight[0]
    assert "difference_to_no_delay" not in still
    printed = capsys.readouterr().out
    assert [line.split()[:2] for line in printed.splitlines() if " condition " in line] == [
        [delay, "condition"] for delay in "024"
    ]
    assert "seam (m): " in printed
    assert "echo.onnx: later answers − answers without delay" in printed


@pytest.mark.parametrize("prefix", ["none", "average", "blend"])
def test_a_policy_that_is_not_told_goes_straight(file: Path, prefix: str) -> None:
    record = evaluate(file, "--delay", "0", "2", "--prefix", prefix)
    for row in record["delays"]:
        assert (row["prefix"], row["pooled"]["modes"], row["pooled"]["success_rate"]) == (prefix, {"23": COUNT}, 1.0)
        assert row["seam"]["p95"] == pytest.approx(0, abs=1e-9)
    assert record["delays"][1]["difference_to_no_delay"]["success"]["value"] == 0
    assert record["settings"]["prefix"] == prefix


@pytest.mark.parametrize("options", [[], ["--expert", "sticky"], ["--noise", "full"]])
def test_no_delay_is_what_it_was(tmp_path: Path, options: list[str]) -> None:
    file = write_mixture(tmp_path / "mixture.onnx", horizon=8)
    usual = evaluate(file, "--seeds", "1", "2", *options)
    record = evaluate(file, "--seeds", "1", "2", *options, "--delay", "0", "3")
    (still, later), same = record["delays"], ("pooled", "per_seed")
    assert "delays" not in usual
    for name in same:
        assert usual[name] == record[name] == still[name]
    assert later["second_difference"] != still["second_difference"]
    settings = record["settings"]
    assert (settings.pop("delay"), settings.pop("prefix")) == (0, "none")
    assert settings == usual["settings"]


def test_without_a_prefix_seams_are_those_of_a_simulation_in_a_few_lines(tmp_path: Path) -> None:
    """The likeliest expert's mean: every episode is the same one."""
    file = write_mixture(tmp_path / "mixture.onnx", horizon=8)
    (row,) = evaluate(file, "--expert", "greedy", "--delay", "3")["delays"]
    policy, sim = OnnxPolicy.load(file, expert="greedy"), get_task("avoiding").make_sim(1)
    seen, chunks, jumps, running = [sim.reset(None)], list[tuple[int, Any]](), list[float](), True
    while running:
        step = len(seen) - 1
        if step % 4 == 0:
            asked = max(step - 3, 0)
            chunk = policy.act(seen[asked]).action.astype(np.float64)
            if chunks:
                jumps.append(math.dist(chunk[step - asked], chunks[-1][1][step - chunks[-1][0]]))
            chunks.append((asked, chunk))
        result = sim.step(chunks[-1][1][None, step - chunks[-1][0]])
        seen.append(result.observation)
        running = not (result.terminated | result.truncated)[0]
    assert row["seam"]["count"] == COUNT * len(jumps)
    assert row["seam"]["p50"] == pytest.approx(np.median(jumps))
    assert row["pooled"]["success_rate"] == result.success[0]


def test_a_policy_to_compare_with_is_told_if_it_can_be(file: Path, tmp_path: Path) -> None:
    other = write_mixture(tmp_path / "other.onnx", horizon=8)
    record = evaluate(file, "--against", str(other), "--delay", "2", "0", "--prefix", "condition")
    assert record["against"]["settings"]["prefix"] == "none"
    for row in record["delays"]:
        assert (row["prefix"], row["against"]["prefix"]) == ("condition", "none")
        values = [one["pooled"]["success_rate"] for one in (row, row["against"])]
        assert row["difference"]["success"]["value"] == pytest.approx(values[0] - values[1])
        assert row["against"]["seam"]["count"] > 0
    later, still = record["delays"]
    change = later["against"]["difference_to_no_delay"]["entropy"]["value"]
    assert change == later["against"]["pooled"]["entropy"] - still["against"]["pooled"]["entropy"]
    assert record["settings"]["delay"] == 2


def test_workers_find_the_same(file: Path) -> None:
    assert evaluate(file, "--delay", "2") == evaluate(file, "--delay", "2", "--jobs", "2")


def test_the_figure_is_drawn(file: Path, tmp_path: Path) -> None:
    from matplotlib.image import imread

    target, other = tmp_path / "new" / "delay.png", write_mixture(tmp_path / "other.onnx", horizon=8)
    assert run(file, "--against", str(other), "--delay", "0", "4", "--delay-figure", str(target)) == 0
    assert imread(target).ndim == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--delay", "0", "5"], "--delay is 5; it must be from 0 to 4, the actions that are executed from a chunk"),
        (["--delay", "0", "3", "--action-steps", "6"], "9 actions of a chunk are needed, but the policy returns 8"),
        (["--delay", "1", "1"], "must be different"),
        (["--delay", "-1"], "--delay is -1; it must be at least 0"),
    ],
)
def test_delays_that_cannot_be_are_refused_before_anything_runs(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    def never(*args: Any, **settings: Any) -> None:
        pytest.fail("it ran")

    monkeypatch.setattr("vdd_ros.evaluation.entrant.roll_out_seeds", never)
    assert run(file, *options) == 2
    assert message in capsys.readouterr().err


def test_a_file_that_takes_no_prefix_is_not_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    usual = write_mixture(tmp_path / "usual.onnx", horizon=8)
    assert run(usual, "--prefix", "condition") == 2
    assert "the policy takes no prefix; export a mixture with 'vdd export --prefix'" in capsys.readouterr().err
    spec = OnnxPolicy.load(usual).spec
    assert prefix_for(spec, None, must=True) == prefix_for(spec, "condition", must=False) == "none"
    with pytest.raises(ConfigurationError, match="prefix is 'glue'; use one of condition"):
        check_continuation(spec, 4, 0, "glue")
