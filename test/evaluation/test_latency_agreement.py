"""Agreement of two policies: actions whose distances and densities are known in closed form."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_files import LABELS
from policy_files import mixture_parameters, write_mixture
from scipy.stats import multivariate_normal

from vdd_ros.bags.decisions import Decisions
from vdd_ros.bags.latency import NodeLatency
from vdd_ros.bags.sequence import SequenceCheck
from vdd_ros.control.decision import HEAD, decision_labels
from vdd_ros.evaluation.latency.agreement import MISSING_FILE, Agreement, agreements
from vdd_ros.evaluation.latency.pairs import pair_decisions
from vdd_ros.evaluation.latency.policies import structure_of
from vdd_ros.features import Feature
from vdd_ros.policy.density import draw
from vdd_ros.policy.onnx_policy import OnnxPolicy

PERIOD_S = 0.035
WIDE = tuple(Feature(name, "m", -1.0, 1.0) for name in ("delta_desired_x", "delta_desired_y"))


def node(
    name: str, labels: tuple[str, ...], values: np.ndarray, *, stamps: np.ndarray, places: Any = 0, **info: Any
) -> NodeLatency:
    """Return a node with one decision a tick, whose values after the head are given."""
    count = len(values)
    latency = np.zeros((count, len(LABELS)))
    numbers = np.arange(count)
    latency[:, LABELS.index("seq")], latency[:, LABELS.index("stamp_s")] = numbers, stamps
    latency[:, LABELS.index("chunk_step")] = places
    latency[:, LABELS.index("period_s")] = PERIOD_S
    head = np.stack([numbers, stamps, np.full(count, np.nan), np.full(count, np.nan)], axis=1)
    keys = np.stack([numbers, stamps], axis=1).astype(float)
    decisions = Decisions(labels, np.concatenate([head, values], axis=1), keys)
    policies = (info["policy_sha256"],) if "policy_sha256" in info else ()
    return NodeLatency(name, LABELS, latency, SequenceCheck(), info, decisions, policies)


class Setting:
    """A student's file, observations, and nodes that acted there."""

    def __init__(self, folder: Path, count: int = 300, **overrides: Any) -> None:
        self.path = write_mixture(folder / "student.onnx", **({"action": WIDE} | overrides))
        self.digest = sha256(self.path.read_bytes()).hexdigest()
        self.policy = OnnxPolicy.load(self.path)
        self.spec = self.policy.spec
        self.labels = decision_labels(self.spec)
        self.stamps = 100 + PERIOD_S * np.arange(count)
        rng = np.random.default_rng(0)
        self.windows = rng.uniform(0.1, 0.5, (count, self.spec.history, 4)).astype(np.float32)
        self.parameters = mixture_parameters(self.spec)

    def student(self, actions: np.ndarray, **info: Any) -> NodeLatency:
        given = {"kind": "vdd", "policy_sha256": self.digest, "noise": "full", "rate_hz": 1 / PERIOD_S} | info
        return node("/student", self.labels, self.values(actions), stamps=self.stamps, **given)

    def other(self, actions: np.ndarray, late_s: float = 0.0, **more: Any) -> NodeLatency:
        return node("/teacher", self.labels, self.values(actions), stamps=self.stamps + late_s, kind="ddpm", **more)

    def values(self, actions: np.ndarray) -> np.ndarray:
        return np.concatenate([self.windows.reshape(len(self.windows), -1), actions], axis=1)

    def draws(self, seed: int) -> np.ndarray:
        """Return an action (n, 2) from the whole mixture at each observation."""
        rng = np.random.default_rng(seed)
        return np.concatenate([draw(self.policy.mixture(window), rng, 1) for window in self.windows])

    def compare(self, student: NodeLatency, other: NodeLatency, known: bool = True, **more: Any) -> Agreement:
        (agreed,), left_out = agreements([student, other], {self.digest: self.path} if known else {}, warmup=0, **more)
        assert not left_out
        return agreed.agreement


def test_known_differences_give_known_distances(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    actions = setting.draws(0)
    found = setting.compare(setting.student(actions), setting.other(actions + np.array([0.003, 0.004])))
    assert (found.pairs, found.unit) == (300, "m")
    for value in (found.apart.mean, found.apart.p50, found.apart.p95, *found.apart.mean_interval):
        assert value == pytest.approx(0.005)
    std = np.array(setting.spec.statistics.action_std)
    assert found.apart_standardised is not None
    assert found.apart_standardised.mean == pytest.approx(np.linalg.norm([0.003, 0.004] / std))


def test_actions_from_the_students_own_mixture_are_as_far_and_as_likely_as_its_own(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    found = setting.compare(setting.student(setting.draws(0)), setting.other(setting.draws(1))).same
    assert found is not None
    assert (found.states, found.clipped, found.beyond, found.seen_by) == (300, 0, 0, "/teacher")
    low, high = found.self_apart.mean_interval
    assert found.apart.mean == pytest.approx(found.self_apart.mean, abs=2 * (high - low))
    for own in (found.log_prob_own, found.log_prob_draws):
        low, high = own.mean_interval
        assert found.log_prob_other.mean == pytest.approx(own.mean, abs=2 * (high - low))


def test_the_density_of_the_others_actions_is_the_closed_form(tmp_path: Path) -> None:
    setting = Setting(tmp_path, experts=1, count=50)
    actions = np.random.default_rng(3).uniform(-0.01, 0.01, (50, 2))
    found = setting.compare(setting.student(actions), setting.other(actions)).same
    assert found is not None
    factor = setting.parameters.choleskys()[0]
    expected = [
        multivariate_normal(setting.parameters.means(window)[0], factor @ factor.T).logpdf(action)
        for window, action in zip(setting.windows, actions, strict=True)
    ]
    assert found.log_prob_other.mean == pytest.approx(np.mean(expected), abs=0.01)
    assert found.log_prob_other.p50 == pytest.approx(np.median(expected), abs=0.01)


def test_actions_that_the_student_never_takes_are_far_and_unlikely(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    found = setting.compare(setting.student(setting.draws(0)), setting.other(setting.draws(1) + 0.05)).same
    assert found is not None
    assert found.apart.mean > 5 * found.self_apart.mean
    assert found.log_prob_other.mean < found.log_prob_draws.mean - 50


def test_a_greedy_student_of_means_is_its_own_twin(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    student = setting.student(setting.draws(0), noise="mean", expert="greedy")
    found = setting.compare(student, setting.other(setting.draws(1))).same
    assert found is not None
    assert found.self_apart.mean == 0


def test_later_actions_of_a_chunk_are_compared_with_the_same_place(tmp_path: Path) -> None:
    setting = Setting(tmp_path, experts=1, horizon=3, covariance="full", count=40)
    places = np.arange(40) % 4
    actions = np.random.default_rng(3).uniform(-0.01, 0.01, (40, 2))
    found = setting.compare(setting.student(actions), setting.other(actions, places=places)).same
    assert found is not None
    assert (found.states, found.beyond) == (30, 10)
    factor = setting.parameters.choleskys()[0]
    covariance, expected = factor @ factor.T, []
    for window, action, place in zip(setting.windows, actions, places, strict=True):
        if place < 3:
            part = slice(2 * place, 2 * place + 2)
            mean = setting.parameters.means(window)[0][part]
            expected.append(multivariate_normal(mean, covariance[part, part]).logpdf(action))
    assert found.log_prob_other.mean == pytest.approx(np.mean(expected), abs=0.02)


def test_states_at_which_limits_hide_the_mixture_are_left_out_and_counted(tmp_path: Path) -> None:
    """A limit at the median reach of mean and factor hides half of the states."""
    wide = Setting(tmp_path, experts=1)
    reach = [
        np.abs(wide.parameters.means(window)[0] + wide.parameters.choleskys()[0].T).max() for window in wide.windows
    ]
    limit = float(np.median(reach))
    names = ("delta_desired_x", "delta_desired_y")
    setting = Setting(tmp_path, experts=1, action=tuple(Feature(name, "m", -limit, limit) for name in names))
    actions = np.zeros((300, 2))
    found = setting.compare(setting.student(actions), setting.other(actions)).same
    assert found is not None
    assert (found.states, found.clipped) == (150, 150)


def test_without_the_file_only_recorded_actions_are_compared(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    found = setting.compare(setting.student(setting.draws(0)), setting.other(setting.draws(1)), known=False)
    assert (found.same, found.apart_standardised, found.note) == (None, None, MISSING_FILE)
    assert found.apart.count == 300


def test_the_students_own_windows_serve_where_the_other_sees_less(tmp_path: Path) -> None:
    setting = Setting(tmp_path, history=2, count=30)
    actions = setting.draws(0)
    short = tuple(label for label in setting.labels if "[-1]" not in label)
    values = np.concatenate([setting.windows[:, 1], actions], axis=1)
    other = node("/teacher", short, values, stamps=setting.stamps, kind="ddpm")
    found = setting.compare(setting.student(actions), other).same
    assert found is not None
    assert found.seen_by == "/student"


def test_densities_are_read_at_no_more_states_than_wanted(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    found = setting.compare(setting.student(setting.draws(0)), setting.other(setting.draws(1)), states=7).same
    assert found is not None
    assert (found.states, found.log_prob_other.count) == (7, 7)


@pytest.mark.parametrize(("late", "pairs"), [(0.4, 20), (-0.4, 20), (0.6, 19), (-0.6, 19), (30, 0)])
def test_decisions_are_paired_with_the_nearest_within_half_a_period(tmp_path: Path, late: float, pairs: int) -> None:
    """More than half a period late, a decision belongs to the next one of the student; beyond its end to none."""
    setting = Setting(tmp_path, count=20)
    actions = setting.draws(0)
    student, other = setting.student(actions), setting.other(actions, late_s=late * PERIOD_S)
    found = pair_decisions(student, other, 0, PERIOD_S)
    if pairs == 0:
        assert isinstance(found, str)
        assert "no decision of /teacher was made within half a period" in found
        return
    assert not isinstance(found, str)
    assert len(found.rows) == pairs
    assert set((found.rows[:, 0] - found.rows[:, 1]).tolist()) == {round(late)}
    assert (np.abs(found.apart_s) <= PERIOD_S / 2).all()


def test_the_warm_up_is_left_out_of_both(tmp_path: Path) -> None:
    setting = Setting(tmp_path, count=20)
    student, other = (make(setting.draws(0)) for make in (setting.student, setting.other))
    found = pair_decisions(student, other, 5, PERIOD_S)
    assert not isinstance(found, str)
    assert found.rows[:, 1].tolist() == list(range(5, 20))


def test_actions_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    setting = Setting(tmp_path, count=20)
    actions = setting.draws(0)
    broken = actions.copy()
    broken[3, 0] = np.nan
    assert setting.compare(setting.student(actions), setting.other(broken)).pairs == 19


def test_what_cannot_be_compared_is_reported(tmp_path: Path) -> None:
    setting = Setting(tmp_path, count=20)
    actions = setting.draws(0)
    student, other = setting.student(actions), setting.other(actions)
    labels = (*HEAD, "observation[0].x", "action.torque")
    strange = node("/strange", labels, np.zeros((20, 2)), stamps=setting.stamps, kind="ddpm")
    silent = NodeLatency("/silent", LABELS, other.values, SequenceCheck(), {"kind": "ddpm"})
    swapped = NodeLatency("/swapped", LABELS, other.values, SequenceCheck(), {}, other.decisions, ("a", "b"))
    found, left_out = agreements([student, strange, silent, swapped], {}, warmup=0)
    assert not found
    for text in (
        "/strange has other actions: torque instead of delta_desired_x, delta_desired_y",
        "/silent published no decisions",
        "another policy took over in /swapped",
    ):
        assert any(text in reason for reason in left_out)


def test_two_mixtures_are_compared_once(tmp_path: Path) -> None:
    setting = Setting(tmp_path, count=20)
    actions = setting.draws(0)
    twin = node("/twin", setting.labels, setting.values(actions), stamps=setting.stamps, kind="vdd")
    found, _ = agreements([setting.student(actions), twin], {}, warmup=0)
    assert [(agreed.agreement.student, agreed.agreement.other) for agreed in found] == [("/student", "/twin")]


@pytest.mark.parametrize(
    ("info", "structure"),
    [
        ({"structure": "mixture", "method": "mine"}, "mixture"),
        ({"kind": "imc"}, "mixture"),
        ({"kind": "beso"}, "diffusion"),
        ({"kind": "cd"}, "one_step"),
        ({"structure": "one_step", "kind": "vdd"}, "one_step"),
        ({"kind": "gan"}, None),
        ({"structure": "vdd"}, None),
        ({}, None),
    ],
)
def test_the_structure_of_a_policy_is_read_out_of_newer_and_older_bags(
    info: dict[str, Any], structure: str | None
) -> None:
    assert structure_of(info) == structure
