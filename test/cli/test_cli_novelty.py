"""`vdd novelty` against policies whose novelty is known in closed form: half the squared length, standardised."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from policy_files import mixture_spec, write_mixture, write_policy

from vdd_ros import resources
from vdd_ros.cli.main import main
from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.errors import ConfigurationError
from vdd_ros.evaluation.novelty.probes import Probe, anywhere, displaced, frozen, judge, novelty_of, swapped
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.spec import Novelty
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.tasks import get_task

ROBOT = RobotFile.load(resources.path("config/robots/avoiding.yaml"))
DESIRED, TCP = ROBOT.inputs
BOUND = Novelty(4.0, 0.999, 8)


def demonstrations(episodes: int = 3, length: int = 40) -> DemonstrationSet:
    """Return episodes in which every observation is another one: entry k is k + t / 100, from 10 episodes on."""
    spec = get_task("avoiding").spec
    header = Header("avoiding", spec.observation, spec.action, spec.rate_hz, "a test", 5)
    time, lengths = np.arange(episodes * length)[:, None], np.full(episodes, length)
    observation = np.arange(4.0) + time / 100
    return DemonstrationSet(header, observation, np.zeros((len(time), 2)), lengths, np.zeros(episodes, int))


@pytest.mark.parametrize("kind", ["vdd", "ddpm", "cd"])
@pytest.mark.parametrize("shape", [{}, {"history": 3, "goal_length": 2}])
def test_novelty_is_asked_in_several_runs(
    tmp_path: Path, kind: str, shape: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vdd_ros.evaluation.novelty.probes.ROWS_A_RUN", 3)
    policy = OnnxPolicy.load(write_policy(tmp_path / "p.onnx", kind, novelty=BOUND, **shape))
    observations = np.random.default_rng(0).normal(size=(10, 4))
    mean, deviation = (np.array(getattr(policy.spec.statistics, f"observation_{what}")) for what in ("mean", "std"))
    expected = 0.5 * (((observations - mean) / deviation) ** 2).sum(1)
    np.testing.assert_allclose(novelty_of(policy, observations), expected, rtol=1e-4)


def test_an_alarm_takes_consecutive_observations_of_one_episode() -> None:
    """The run across the border of two episodes is none."""
    novelty = np.array([0, 9, 9, 0, 0, 9, 9, 9, 0, 9, 0, 9.0])
    for ticks, alarmed in ((1, 1.0), (2, 2 / 3), (3, 0.0)):
        found = judge(Probe("p", False, np.zeros((12, 1)), np.array([4, 3, 5])), novelty, 5.0, ticks)
        assert found.alarmed == pytest.approx(alarmed)
        assert (found.episodes, found.observations) == (3, 12)
        assert found.beyond == pytest.approx(7 / 12)
    alone = judge(Probe("p", True, np.zeros((12, 1))), novelty, 5.0, 3)
    assert (alone.alarmed, alone.episodes) == (None, None)


def test_displaced_observations_are_so_far_away_in_one_input_only() -> None:
    taught = demonstrations()
    (probe,) = displaced(taught, TCP, [0.03], np.random.default_rng(0))
    moved = probe.observation - taught.observation
    assert not moved[:, :2].any()
    np.testing.assert_allclose(np.linalg.norm(moved[:, 2:], axis=1), 0.03)
    assert abs(moved[:, 2:].mean()) < 0.01
    assert (probe.outside, probe.distance, probe.name) == (True, 0.03, "tcp displaced by 0.03 m")


def test_a_frozen_input_is_old_and_the_other_is_not() -> None:
    taught = demonstrations(episodes=2, length=40)
    probe = next(iter(frozen(taught, DESIRED, rate_hz=25.0)))
    assert probe.name == "desired frozen for 0.2 s"
    assert len(probe.observation) == 2 * (40 - 5)
    lag = probe.observation[:, 2:] - 2 - probe.observation[:, :2]
    np.testing.assert_allclose(lag, 0.05)


def test_inputs_and_entries_are_exchanged() -> None:
    taught = demonstrations(episodes=1, length=4)
    found = {probe.name: probe.observation[0].round(6).tolist() for probe in swapped(taught, ROBOT.inputs)}
    assert found == {
        "desired and tcp exchanged": [2, 3, 0, 1],
        "desired_x and desired_y exchanged": [1, 0, 2, 3],
        "tcp_x and tcp_y exchanged": [0, 1, 3, 2],
    }


def test_anywhere_is_the_enlarged_box() -> None:
    taught = demonstrations()
    drawn = anywhere(taught, 4000, np.random.default_rng(0)).observation
    low, high = taught.observation.min(0), taught.observation.max(0)
    margin = 0.2 * (high - low)
    assert ((drawn > low - margin) & (drawn < high + margin)).all()
    np.testing.assert_allclose(drawn.max(0), high + margin, atol=0.01 * float((high - low)[0]))


def test_the_command_tells_known_from_new(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Demonstrations are around the mean of the policy's statistics, and axes are exchanged far from it."""
    statistics = replace(
        mixture_spec().statistics, observation_mean=(0.6, 1.6, 2.6, 3.6), observation_std=(0.35, 0.35, 0.35, 0.35)
    )
    policy = write_mixture(tmp_path / "p.onnx", novelty=BOUND, statistics=statistics)
    demonstrations().save(tmp_path / "D")
    words = ["novelty", str(policy), "--demos", str(tmp_path / "D"), "--rollouts", "0"]
    assert main([*words, "--json", str(tmp_path / "n.json"), "--figure", str(tmp_path / "n.png")]) == 0
    assert "of 3" in capsys.readouterr().out
    found = {probe["name"]: probe for probe in json.loads((tmp_path / "n.json").read_text())["probes"]}
    scaled = (demonstrations().observation - statistics.observation_mean) / 0.35
    expected = (0.5 * (scaled**2).sum(1) > 4.0).mean()
    assert found["other demonstrations"]["beyond"] == pytest.approx(expected)
    assert found["tcp_x and tcp_y exchanged"]["beyond"] > expected
    assert found["desired and tcp exchanged"]["beyond"] == 1.0
    assert min(imread(tmp_path / "n.png").shape[:2]) > 300


def test_its_own_episodes_are_rolled_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = write_mixture(tmp_path / "p.onnx", novelty=BOUND)
    demonstrations().save(tmp_path / "D")
    words = ["novelty", str(policy), "--demos", str(tmp_path / "D"), "--rollouts", "2", "--ticks", "1"]
    assert main(words) == 0
    assert "own episodes that did not" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("overrides", "options", "message"),
    [
        ({"novelty": None}, [], "has no novelty; export it again"),
        ({"novelty": BOUND, "task": None}, [], "does not name its task"),
        ({"novelty": BOUND, "data_sha256": "same"}, [], "holds the policy's training data"),
        ({"novelty": BOUND}, ["--ticks", "0"], "--ticks is 0; it must be from 1 to 1,000,000"),
        ({"novelty": BOUND}, ["--rollouts", "-1"], "--rollouts is -1"),
    ],
)
def test_what_would_be_no_test_is_refused(
    tmp_path: Path, overrides: dict[str, Any], options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if "data_sha256" in overrides:
        overrides = overrides | {"data_sha256": demonstrations().sha256}
    policy = write_mixture(tmp_path / "p.onnx", **overrides)
    demonstrations().save(tmp_path / "D")
    assert main(["novelty", str(policy), "--demos", str(tmp_path / "D"), *options]) == 2
    assert message in capsys.readouterr().err


def test_a_policy_without_novelty_is_refused_by_the_function_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no novelty"):
        novelty_of(OnnxPolicy.load(write_mixture(tmp_path / "p.onnx")), np.zeros((1, 4)))
