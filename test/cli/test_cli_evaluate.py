"""`vdd evaluate` on policies whose success and entropy are known beforehand."""

import json
import math
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import policy_files
import pytest
from policy_files import (
    DIFFUSIONS,
    MIXTURES,
    ONE_STEPS,
    MixtureParameters,
    mixture_parameters,
    mixture_spec,
    write_diffusion,
    write_mixture,
    write_policy,
)

from vdd_ros.cli.main import main
from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.errors import ConfigurationError
from vdd_ros.evaluation.compatibility import fits
from vdd_ros.evaluation.rollouts import evaluate_policy
from vdd_ros.features import Feature
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.spec import PolicySpec
from vdd_ros.policy.structure import OLD_KINDS
from vdd_ros.tasks import get_task
from vdd_ros.tasks.base import Floats
from vdd_ros.tasks.metrics import wilson_interval
from vdd_ros.tasks.rollout import Rollouts

LEFT, RIGHT, INTO_A_CYLINDER = (-0.0048, 0.0096), (0.004, 0.0095), (-0.0015, 0.0096)
"""Displacements in m a step: past all cylinders on either side (modes 0 and 23), and into the first one."""


def write_constant(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *means: tuple[float, ...],
    gating: tuple[float, ...],
    **overrides: Any,
) -> Path:
    """Write a mixture whose experts, (D,) each, always do the same; `gating` are their logits."""

    def constant(spec: PolicySpec, *, seed: int = 0) -> MixtureParameters:
        usual = mixture_parameters(spec, seed=seed)
        mean, std = (
            np.tile(moment, spec.horizon) for moment in (spec.statistics.action_mean, spec.statistics.action_std)
        )
        return replace(
            usual,
            gating_weight=0 * usual.gating_weight,
            gating_bias=np.array(gating),
            mean_weight=0 * usual.mean_weight,
            mean_bias=(np.array(means) - mean) / std,
        )

    with monkeypatch.context() as patch:
        patch.setattr(policy_files, "mixture_parameters", constant)
        return write_mixture(path, experts=len(means), **overrides)


@pytest.fixture
def two_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a policy with an expert for the left and one for the right, almost equally likely."""
    return write_constant(tmp_path / "two.onnx", monkeypatch, LEFT, RIGHT, gating=(0.01, 0.0))


@pytest.fixture
def to_goal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a policy that goes left where desired_x of the last observation of its goal is -0.1 m, right at 0.3 m."""

    def steered(spec: PolicySpec, *, seed: int = 0) -> MixtureParameters:
        usual = mixture_parameters(spec, seed=seed)
        moments = spec.statistics
        std, left, right = (np.array(values) for values in (moments.action_std, LEFT, RIGHT))
        middle = (0.1 - moments.observation_mean[0]) / moments.observation_std[0]
        weight = 0 * usual.mean_weight
        weight[0, -4] = (right - left) / 2 / std * (moments.observation_std[0] / 0.2)
        bias = ((left + right) / 2 - np.array(moments.action_mean)) / std - weight[0, -4] * middle
        return replace(usual, mean_weight=weight, mean_bias=bias[None])

    with monkeypatch.context() as patch:
        patch.setattr(policy_files, "mixture_parameters", steered)
        return write_mixture(tmp_path / "to_goal.onnx", experts=1, goal_length=2)


def save_demonstrations(folder: Path, *goals: float, pairs: int = 3, unit: str = "m") -> Path:
    """Write demonstrations whose desired_x ends at the goals, having been on the other side until then."""
    observation = np.zeros((len(goals), pairs, 4))
    observation[:, :, 0] = 0.2 - np.array(goals)[:, None]
    observation[:, -1, 0] = goals
    header = Header(
        task="avoiding",
        observation=tuple(Feature(entry.name, unit) for entry in get_task("avoiding").spec.observation),
        action=get_task("avoiding").spec.action,
        rate_hz=get_task("avoiding").spec.rate_hz,
        source="test",
    )
    count = len(goals)
    DemonstrationSet(
        header=header,
        observation=observation.reshape(-1, 4),
        action=np.zeros((count * pairs, 2)),
        lengths=np.full(count, pairs),
        modes=np.full(count, -1),
    ).save(folder)
    return folder


def evaluate(policy: Path, *options: str) -> int:
    return main(["evaluate", str(policy), "--task", "avoiding", *options])


def test_one_held_expert_of_two_gives_success_and_the_entropy_of_two_modes(
    two_ways: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new" / "out.json"
    options = ["--rollouts", "200", "--seeds", "3", "4", "--expert", "sticky", "--json", str(file)]
    assert evaluate(two_ways, *options) == 0
    record = json.loads(file.read_text())
    pooled = record["pooled"]
    assert (pooled["rollouts"], pooled["success_rate"], pooled["modes_found"]) == (400, 1.0, 2)
    assert pooled["success_interval"] == pytest.approx(wilson_interval(400, 400))
    left = pooled["modes"]["0"] / 400
    assert pooled["modes"] == {"0": round(400 * left), "23": round(400 * (1 - left))}
    assert 0.4 < left < 0.6
    entropy = -(left * math.log(left) + (1 - left) * math.log(1 - left)) / math.log(24)
    assert pooled["entropy"] == pytest.approx(entropy)
    for mode in ("0", "23"):
        assert pooled["modes"][mode] == sum(record["per_seed"][seed]["modes"][mode] for seed in ("3", "4"))
    assert pooled["ends"] == {"success": 400}

    printed = capsys.readouterr().out
    assert "two.onnx in avoiding: vdd, 2 experts, expert sticky, noise mean" in printed
    rows = [line.split() for line in printed.splitlines()]
    assert [row[:3] for row in rows if row and row[0] in ("3", "4", "all")] == [
        ["3", "200", "1.000"],
        ["4", "200", "1.000"],
        ["all", "400", "1.000"],
    ]
    assert ["rollouts", str(pooled["modes"]["0"]), *["0"] * 11] in rows
    assert ["rollouts", *["0"] * 11, str(pooled["modes"]["23"])] in rows


def test_the_record_says_what_was_measured_and_where(two_ways: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    assert evaluate(two_ways, "--rollouts", "4", "--json", str(file)) == 0
    record = json.loads(file.read_text())
    assert record["policy"]["sha256"] == sha256(two_ways.read_bytes()).hexdigest()
    assert record["policy"]["bytes"] == two_ways.stat().st_size
    assert (record["policy"]["method"], record["policy"]["experts"], record["task"]) == ("vdd", 2, "avoiding")
    settings = {"rollouts_a_seed": 4, "action_steps": 1, "expert": "sample", "noise": "mean", "goals_sha256": None}
    assert record["settings"] == settings
    assert record["seeds"] == [0]
    assert record["machine"]["cores"] >= 1 and record["machine"]["cpu"]
    assert set(record["versions"]) == {"vdd_ros", "python", "numpy", "onnxruntime"}


def test_the_likeliest_expert_alone_gives_one_mode(two_ways: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    assert evaluate(two_ways, "--rollouts", "20", "--expert", "greedy", "--json", str(file)) == 0
    pooled = json.loads(file.read_text())["pooled"]
    assert (pooled["modes"], pooled["entropy"], pooled["entropy_interval"]) == ({"0": 20}, 0.0, [0.0, 0.0])


def test_contact_and_time_limit_are_distinguished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = {}
    for name, mean in (("contact", INTO_A_CYLINDER), ("rest", (0.0, 0.0))):
        policy = write_constant(tmp_path / f"{name}.onnx", monkeypatch, mean, gating=(0.0,))
        assert evaluate(policy, "--rollouts", "6", "--json", str(tmp_path / "out.json")) == 0
        pooled = json.loads((tmp_path / "out.json").read_text())["pooled"]
        assert (pooled["success_rate"], pooled["entropy"], pooled["modes"]) == (0.0, 0.0, {})
        ends[name] = pooled["ends"]
    assert ends == {"contact": {"failure": 6}, "rest": {"time limit": 6}}


def test_the_same_seed_gives_the_same_numbers_and_another_one_others(two_ways: Path, tmp_path: Path) -> None:
    modes = []
    for seed in ("5", "5", "8"):
        options = ["--rollouts", "100", "--seeds", seed, "--expert", "sticky", "--noise", "full"]
        assert evaluate(two_ways, *options, "--json", str(tmp_path / "out.json")) == 0
        modes.append(json.loads((tmp_path / "out.json").read_text())["pooled"]["modes"])
    assert modes[0] == modes[1] != modes[2]


def test_a_seed_gives_the_same_numbers_alone_and_among_others(two_ways: Path, tmp_path: Path) -> None:
    found = []
    for seeds in (["7"], ["6", "7"]):
        options = ["--rollouts", "50", "--expert", "sticky", "--json", str(tmp_path / "out.json")]
        assert evaluate(two_ways, *options, "--seeds", *seeds) == 0
        found.append(json.loads((tmp_path / "out.json").read_text())["per_seed"]["7"])
    assert found[0] == found[1]


def test_workers_get_the_same_numbers(two_ways: Path, tmp_path: Path) -> None:
    found = []
    for options in ([], ["--jobs", "2"]):
        given = ["--rollouts", "70", "--noise", "full", "--json", str(tmp_path / "out.json"), *options]
        assert evaluate(two_ways, *given) == 0
        found.append(json.loads((tmp_path / "out.json").read_text()))
    assert found[0] == found[1]


def test_other_commands_get_the_same_scores_without_a_word(
    two_ways: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "out.json"
    assert evaluate(two_ways, "--rollouts", "9", "--seeds", "3", "4", "--json", str(file)) == 0
    record = json.loads(file.read_text())
    capsys.readouterr()
    scores = evaluate_policy(OnnxPolicy.load(two_ways), get_task("avoiding"), 9, [3, 4], progress=False)
    assert capsys.readouterr() == ("", "")
    assert json.loads(json.dumps(scores.to_dict())) == {"pooled": record["pooled"], "per_seed": record["per_seed"]}


@pytest.mark.parametrize("kind", MIXTURES + DIFFUSIONS + ONE_STEPS)
def test_every_kind_of_policy_is_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    policy = write_policy(tmp_path / "policy.onnx", kind, horizon=2)
    assert evaluate(policy, "--rollouts", "3", "--json", str(tmp_path / "out.json")) == 0
    record = json.loads((tmp_path / "out.json").read_text())
    assert (record["policy"]["method"], record["policy"]["structure"]) == (kind, OLD_KINDS[kind])
    assert record["pooled"]["rollouts"] == 3
    assert f"policy.onnx in avoiding: {kind}, " in capsys.readouterr().out


@pytest.mark.parametrize(("steps", "end"), [(1, "success"), (2, "failure")])
def test_as_many_actions_of_a_chunk_are_executed_as_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int, end: str
) -> None:
    """The first of two actions leads past the cylinders on the left, both in turn into the one in the middle."""
    policy = write_constant(tmp_path / "chunks.onnx", monkeypatch, LEFT + RIGHT, gating=(0.0,), horizon=2)
    file = tmp_path / "out.json"
    assert evaluate(policy, "--rollouts", "3", "--action-steps", str(steps), "--json", str(file)) == 0
    record = json.loads(file.read_text())
    assert (record["pooled"]["ends"], record["settings"]["action_steps"]) == ({end: 3}, steps)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("0", "--action-steps is 0; it must be at least 1"),
        ("-1", "--action-steps is -1; it must be at least 1"),
        ("3", "3 actions are to be executed at a time, but the policy returns 2"),
    ],
)
def test_no_more_actions_are_executed_than_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], steps: str, message: str
) -> None:
    assert evaluate(write_mixture(tmp_path / "policy.onnx", horizon=2), "--action-steps", steps) == 2
    assert message in capsys.readouterr().err


def test_each_episode_has_the_end_of_a_demonstration_as_its_goal(to_goal: Path, tmp_path: Path) -> None:
    """Episodes 0 to 4 take the goals of demonstrations 0, 1, 2, 0, 1, with each seed."""
    demonstrations, file = save_demonstrations(tmp_path / "goals", -0.1, 0.3, -0.1), tmp_path / "out.json"
    options = ["--rollouts", "5", "--seeds", "0", "1", "--goals", str(demonstrations), "--json", str(file)]
    assert evaluate(to_goal, *options) == 0
    record = json.loads(file.read_text())
    assert [record["per_seed"][seed]["modes"] for seed in ("0", "1")] == [{"0": 3, "23": 2}] * 2
    assert record["settings"]["goals_sha256"] == DemonstrationSet.load(demonstrations).sha256
    assert record["policy"]["goal_length"] == 2


def test_what_goals_ask_for_is_scored_where_the_task_can(
    to_goal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Goals on the left are achieved here: 4 of 5 episodes."""

    def share(run: Rollouts) -> Floats:
        assert run.goals is not None
        return np.asarray(run.goals[:, -1, 0] < 0, dtype=np.float64)

    scored = replace(get_task("avoiding"), goal_share=share)
    monkeypatch.setattr("vdd_ros.cli.evaluate.get_task", lambda name: scored)
    demonstrations, file = save_demonstrations(tmp_path / "goals", -0.1, -0.1, 0.3), tmp_path / "out.json"
    assert evaluate(to_goal, "--rollouts", "5", "--goals", str(demonstrations), "--json", str(file)) == 0
    pooled = json.loads(file.read_text())["pooled"]
    assert pooled["goal_share"] == pytest.approx(0.8)
    assert pooled["goal_share_interval"][0] < 0.8 < pooled["goal_share_interval"][1]
    assert "share of what the goals ask for: 0.800 [" in capsys.readouterr().out


def test_goals_that_are_missing_not_taken_or_do_not_fit_are_refused(
    to_goal: Path, two_ways: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, short, other = (tmp_path / name for name in ("good", "short", "other"))
    for policy, folder, message in (
        (to_goal, None, "takes goals of 2 observations: give --goals"),
        (two_ways, save_demonstrations(good, 0.3), "takes no goals: omit --goals"),
        (to_goal, save_demonstrations(short, 0.3, pairs=1), "an episode has 1 observations, but a goal"),
        (to_goal, save_demonstrations(other, 0.3, unit="mm"), "give demonstrations of the policy's task"),
        (to_goal, tmp_path / "absent", "absent"),
    ):
        assert evaluate(policy, "--rollouts", "2", *(["--goals", str(folder)] if folder else [])) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("shape", [(0, 2, 4), (2, 4), (3, 1, 4), (3, 2, 3)])
def test_goals_given_from_code_are_checked(to_goal: Path, shape: tuple[int, ...]) -> None:
    policy = OnnxPolicy.load(to_goal)
    with pytest.raises(ConfigurationError, match=r"takes \(N, 2, 4\)"):
        evaluate_policy(policy, get_task("avoiding"), 2, [0], goals=np.zeros(shape), progress=False)


def test_a_diffusion_policy_with_a_history_runs_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = write_diffusion(tmp_path / "teacher.onnx", steps=4, history=3, horizon=2)
    file = tmp_path / "out.json"
    assert main(["evaluate", str(policy), "--rollouts", "3", "--json", str(file)]) == 0
    record = json.loads(file.read_text())
    assert (record["settings"]["expert"], record["settings"]["noise"]) == (None, None)
    assert record["policy"]["sampling_steps"] == 4
    assert "teacher.onnx in avoiding: ddpm, 4 sampling steps" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["mixture", "diffusion"])
def test_the_figure_is_drawn(tmp_path: Path, two_ways: Path, kind: str) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    policy = two_ways if kind == "mixture" else write_diffusion(tmp_path / "teacher.onnx", steps=2)
    assert evaluate(policy, "--rollouts", "5", "--figure", str(tmp_path / "new" / "figure.png")) == 0
    assert imread(tmp_path / "new" / "figure.png").ndim == 3


def test_results_are_added_by_name_and_replaced_under_the_same_one(two_ways: Path, tmp_path: Path) -> None:
    results = tmp_path / "results" / "avoiding.json"
    for label, rollouts in (("a", "3"), ("b", "4"), ("a", "5")):
        assert evaluate(two_ways, "--rollouts", rollouts, "--append", str(results), "--label", label) == 0
    found = json.loads(results.read_text())
    assert {label: record["pooled"]["rollouts"] for label, record in found.items()} == {"a": 5, "b": 4}
    assert [path.name for path in results.parent.iterdir()] == ["avoiding.json"]


@pytest.mark.parametrize("content", ["half {", "[1, 2]"])
def test_results_that_cannot_be_added_to_are_left_alone(
    two_ways: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    results = tmp_path / "results.json"
    results.write_text(content)
    assert evaluate(two_ways, "--rollouts", "3", "--append", str(results), "--label", "a") == 2
    assert "name another" in capsys.readouterr().err
    assert results.read_text() == content


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rollouts", "0"], "--rollouts is 0"),
        (["--seeds", "1", "1"], "must be different"),
        (["--seeds", "-1"], "--seeds is -1"),
        (["--append", "results.json"], "belong together"),
        (["--label", "a"], "belong together"),
        (["--task", "juggling"], "unknown task 'juggling'"),
    ],
)
def test_wrong_arguments_are_refused(
    two_ways: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert evaluate(two_ways, *options) == 2
    assert message in capsys.readouterr().err


def test_a_file_of_another_kind_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "policy.onnx").write_text("no policy")
    assert evaluate(tmp_path / "policy.onnx") == 2
    assert "cannot be read as ONNX" in capsys.readouterr().err


def test_without_a_task_anywhere_it_asks_for_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = write_mixture(tmp_path / "policy.onnx", task=None)
    assert main(["evaluate", str(policy)]) == 2
    assert "--task NAME" in capsys.readouterr().err
    assert evaluate(policy, "--rollouts", "2") == 0


NAMES = [entry.name for entry in get_task("avoiding").spec.observation]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"task": "pushing"}, "made for the task 'pushing', not for 'avoiding'"),
        ({"observation": tuple(Feature(name, "m") for name in reversed(NAMES))}, "is in the order tcp_y"),
        ({"observation": tuple(Feature(name, "mm") for name in NAMES)}, "has desired_x in mm instead of m"),
        ({"observation": tuple(Feature(name, "m") for name in NAMES[:3])}, r"lacks tcp_y \(m\)"),
        ({"action": (Feature("dx", "m", -1, 1), Feature("dy", "m", -1, 1))}, r"action has dx \(m\), dy \(m\), which"),
        ({"rate_hz": 10.0}, "policy cannot be used with the task 'avoiding': the rate is 10 Hz instead of 28.5714 Hz"),
    ],
)
def test_a_policy_that_does_not_fit_the_task_is_refused(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        fits(mixture_spec(**overrides), get_task("avoiding").spec)


def test_a_policy_that_does_not_fit_is_refused_before_any_rollout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = write_mixture(tmp_path / "policy.onnx", rate_hz=10.0)
    assert evaluate(policy) == 2
    assert "the rate is 10 Hz" in capsys.readouterr().err


def test_actions_that_are_not_finite_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = write_mixture(tmp_path / "policy.onnx", nan_above=0.0)
    assert evaluate(policy, "--rollouts", "3", "--json", str(tmp_path / "out.json")) == 2
    assert "not finite in 3 of 3 episodes, first in episode 0 at step 0" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()
