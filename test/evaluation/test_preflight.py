"""Pre-flight checks on synthetic recordings: faults of known order, unit and sign are named, clean ones are not."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vdd_ros.evaluation.preflight.assignment import least_assignment
from vdd_ros.evaluation.preflight.joint_order import wrong_order
from vdd_ros.evaluation.preflight.moments import AT_REST, Moments, off_width
from vdd_ros.evaluation.preflight.ranges import cuts, dead, outside
from vdd_ros.evaluation.preflight.scales import FACTORS, SIGN, wrong_scales

D = 7


def demonstrations(rng: np.random.Generator, apart: float = 1.0) -> Moments:
    """Return the moments of the demonstrations of an arm with seven joints, whose means differ by `apart` at least."""
    places = rng.permutation(D) - (D - 1) / 2
    return Moments(places * apart + rng.uniform(-0.2, 0.2, D) * apart, rng.uniform(0.05, 0.3, D))


def recording(rng: np.random.Generator, wanted: Moments, *, ticks: int = 300, most: float = 4.0) -> np.ndarray:
    """Return one episode, (ticks, 7): its mean is a draw from the demonstrations, and it varies less than they."""
    inner = rng.uniform(0.2, 0.9, D) * wanted.std
    between = np.sqrt(np.maximum(wanted.std**2 - inner**2, 0))
    times = np.arange(ticks)[:, None] * rng.uniform(0.01, 0.1, D)
    wave = np.sin(times + rng.uniform(0, 6, D)) * math.sqrt(2)
    return np.asarray(wanted.mean + between * np.clip(rng.normal(size=D), -most, most) + inner * wave)


def test_an_entry_at_rest_is_rated_without_a_word_of_numpy() -> None:
    """Also where denormal numbers count as zero, as beside a policy: the smallest number over 1.3 is one."""
    with np.errstate(all="raise"):
        assert off_width(np.zeros(2), Moments(np.zeros(2), np.array([1.3, 0.2]))).tolist() == [AT_REST, AT_REST]


@pytest.mark.parametrize("kind", ["uniform", "few values", "products", "far apart"])
def test_the_assignment_costs_as_little_as_scipy_finds(kind: str) -> None:
    from scipy.optimize import linear_sum_assignment

    for seed in range(20):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(0, 24))
        cost = {
            "uniform": rng.uniform(-1, 1, (n, n)),
            "few values": rng.integers(0, 3, (n, n)).astype(np.float64),
            "products": np.outer(np.arange(n), np.arange(n)).astype(np.float64),
            "far apart": np.minimum(10.0 ** rng.uniform(-3, 12, (n, n)), 1e8),
        }[kind]
        columns = least_assignment(cost)
        assert sorted(columns.tolist()) == list(range(n))
        least = cost[linear_sum_assignment(cost)].sum()
        assert cost[np.arange(n), columns].sum() == pytest.approx(least, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("apart", [0.0, 0.1, 0.3, 1.0])
def test_clean_recordings_raise_no_alarm(apart: float) -> None:
    """1,000 episodes, also of arms whose joints are all alike."""
    for seed in range(250):
        rng = np.random.default_rng(seed)
        wanted = demonstrations(rng, apart)
        values = recording(rng, wanted)
        found = Moments.of(values)
        assert wrong_order(found, wanted, ["rad"] * D) == []
        assert wrong_scales(found, wanted, ["rad"] * D, ["joints"] * D) == []
        free = np.full(D, math.inf)
        assert outside(values, wanted, -free, free).max() == 0
        assert not dead(values).any()


@pytest.mark.parametrize("seed", range(100))
def test_a_robot_that_stands_still_raises_no_alarm(seed: int) -> None:
    """Also one at zero with a little noise, which a unit that is 57.3 times too large would look like."""
    rng = np.random.default_rng(seed)
    wanted = demonstrations(rng, 0.1)
    where = wanted.mean + rng.normal(0, wanted.std) if seed % 2 else np.zeros(D)
    if seed % 2 == 0:
        wanted = Moments(rng.normal(0, 0.5, D) * wanted.std, wanted.std)
    found = Moments.of(where + rng.normal(0, 10.0 ** rng.uniform(-6, -3), (300, D)))
    assert wrong_order(found, wanted, ["rad"] * D) == []
    assert wrong_scales(found, wanted, ["rad"] * D, ["joints"] * D) == []


@given(st.integers(0, 2**32 - 1), st.permutations(range(D)))
@settings(deadline=None, max_examples=200)
def test_a_permutation_is_found(seed: int, places: list[int]) -> None:
    """Entry k gets the values of joint places[k]; the means are 8 deviations apart or more."""
    rng = np.random.default_rng(seed)
    wanted = demonstrations(rng, 4.0)
    found = Moments.of(recording(rng, wanted, most=1.5)[:, places])
    values_of = list(range(D))
    for cycle in wrong_order(found, wanted, ["rad"] * D):
        for entry, source in zip(cycle.entries, cycle.values_of, strict=True):
            values_of[entry] = source
    assert [places[source] for source in values_of] == list(range(D))


def test_entries_of_different_units_are_not_confused() -> None:
    wanted = Moments(np.array([0.0, 5.0]), np.array([0.1, 0.1]))
    found = Moments(wanted.mean[::-1], wanted.std)
    assert wrong_order(found, wanted, ["rad", "m"]) == []
    (cycle,) = wrong_order(found, wanted, ["rad", "rad"])
    assert (cycle.entries, cycle.values_of) == ((0, 1), (1, 0))


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("seed", range(20))
def test_a_unit_or_a_sign_of_a_whole_message_is_found(factor: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    wanted = demonstrations(rng, 1.5)
    found = Moments.of(factor * recording(rng, wanted))
    (fault,) = wrong_scales(found, wanted, ["unknown"] * D, ["joints"] * D)
    assert (fault.entries, fault.factor) == (tuple(range(D)), factor)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("factor", [SIGN, math.degrees(1)])
def test_a_sign_or_a_unit_of_one_joint_is_found(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    wanted = demonstrations(rng, 1.5)
    joint = int(np.argmax(np.abs(wanted.mean) / wanted.std))  # a mean of zero has no sign
    values = recording(rng, wanted)
    values[:, joint] *= factor
    (fault,) = wrong_scales(Moments.of(values), wanted, ["rad"] * D, ["joints"] * D)
    assert (fault.entries, fault.factor) == ((joint,), factor)


@pytest.mark.parametrize("seed", range(40))
def test_units_are_told_by_motion_around_zero(seed: int) -> None:
    """Means of zero: only the deviations show that the values are 57.3 times too small."""
    rng = np.random.default_rng(seed)
    wanted = Moments(np.zeros(D), rng.uniform(0.1, 0.3, D))
    times = np.arange(300)[:, None] * rng.uniform(0.05, 0.1, D)
    values = np.sin(times) * wanted.std
    assert wrong_scales(Moments.of(values), wanted, ["rad"] * D, ["joints"] * D) == []
    (fault,) = wrong_scales(Moments.of(np.radians(values)), wanted, ["rad"] * D, ["joints"] * D)
    assert fault.factor == pytest.approx(math.pi / 180)


def test_another_robot_is_no_unit() -> None:
    """Values that no factor explains are left to other checks."""
    rng = np.random.default_rng(0)
    wanted = demonstrations(rng, 1.0)
    found = Moments(wanted.mean + 40 * wanted.std * rng.choice([-1, 1], D) * rng.uniform(1, 3, D), wanted.std)
    assert [fault for fault in wrong_scales(found, wanted, ["rad"] * D, ["joints"] * D) if len(fault.entries) > 1] == []


def test_what_is_outside_is_counted() -> None:
    values = np.array([[0.0, 0.0], [5.1, 2.0], [-5.1, 0.5], [4.9, 3.0]])
    wanted = Moments(np.zeros(2), np.ones(2))
    low, high = np.array([-math.inf, 0.0]), np.array([math.inf, 1.0])
    np.testing.assert_allclose(outside(values, wanted, low, high), [0.5, 0.5])


def test_exact_zeros_are_dead_and_other_constants_are_not() -> None:
    values = np.zeros((60, 3))
    values[:, 1] = 0.3
    values[59, 2] = 1e-9
    assert dead(values).tolist() == [True, False, False]
    assert not dead(values[:10]).any()


@given(st.lists(st.floats(-1, 2, allow_subnormal=False), min_size=1, max_size=30))
def test_limits_that_hold_every_number_cut_none(numbers: list[float]) -> None:
    assert not cuts(float(np.mean(numbers)), float(np.std(numbers)), -1, 2)


@pytest.mark.parametrize(
    ("mean", "std", "cut"),
    [(0.5, 0.49, False), (0.5, 0.51, True), (0.1, 0.29, False), (0.1, 0.31, True), (1.2, 0.01, True)],
)
def test_limits_cut_more_variance_than_fits_between_them(mean: float, std: float, cut: bool) -> None:
    """Of numbers in [0, 1] a coin that shows 1 with the probability of the mean varies most: m (1 - m)."""
    assert cuts(mean, std, 0, 1) is cut
