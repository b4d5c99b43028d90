"""One comparison of features for all readers and writers: it finds all differences, and only these."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vdd_ros.errors import ConfigurationError
from vdd_ros.features import DTYPES, Feature, Signature, from_pairs, to_pairs

X, Y = Feature("tcp_x", "m"), Feature("tcp_y", "m")
CAMERA = Feature("camera", shape=(96, 96, 3), dtype="uint8")
GO = Feature("go", "rad/s", -1.0, 1.0)
BOX = Feature("box_x", "m")
WANTED = Signature((X, Y, CAMERA), (GO,), 1000 / 35, (BOX,))


def problems(**changes: object) -> list[str]:
    return [str(one) for one in replace(WANTED, **changes).differences(WANTED)]  # type: ignore[arg-type]


def test_what_is_the_same_fits() -> None:
    assert problems() == []


def test_limits_do_not_matter() -> None:
    assert problems(action=(replace(GO, low=-2.0, high=3.0),)) == []


def test_an_owner_without_contexts_fits_any() -> None:
    assert problems(context=None) == []
    assert WANTED.differences(replace(WANTED, context=None)) == []


@pytest.mark.parametrize("rate_hz", [28.57, None])
def test_a_rounded_rate_and_none_fit(rate_hz: float | None) -> None:
    assert problems(rate_hz=rate_hz) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"observation": (X, CAMERA)}, ["the observation lacks tcp_y (m)"]),
        ({"context": ()}, ["the context lacks box_x (m)"]),
        ({"context": (Feature("box_x", "mm"),)}, ["the context has box_x in mm instead of m"]),
        (
            {"observation": (X, Y, CAMERA, Feature("grip", "1"))},
            ["the observation has grip (1), which the other does not have"],
        ),
        (
            {"observation": (X, Feature("TCP_Y", "m"), CAMERA)},
            [
                "the observation lacks tcp_y (m)",
                "the observation has TCP_Y (m), which the other does not have (did you mean 'tcp_y' for 'TCP_Y'?)",
            ],
        ),
        (
            {"observation": (Y, X, CAMERA)},
            [
                "the observation is in the order tcp_y (m), tcp_x (m), camera (1, uint8, 96 x 96 x 3) instead of "
                "tcp_x (m), tcp_y (m), camera (1, uint8, 96 x 96 x 3)"
            ],
        ),
        ({"observation": (X, Feature("tcp_y", "mm"), CAMERA)}, ["the observation has tcp_y in mm instead of m"]),
        (
            {"observation": (X, Y, replace(CAMERA, shape=(3, 96, 96)))},
            ["the observation has camera as uint8, 3 x 96 x 96 instead of uint8, 96 x 96 x 3"],
        ),
        (
            {"observation": (X, Y, replace(CAMERA, dtype="float32"))},
            ["the observation has camera as 96 x 96 x 3 instead of uint8, 96 x 96 x 3"],
        ),
        (
            {"action": (replace(GO, unit="1", shape=(2,)),)},
            ["the action has go in 1 instead of rad/s and as 2 instead of one number"],
        ),
        ({"rate_hz": 20}, ["the rate is 20 Hz instead of 28.5714 Hz"]),
        ({"action": (GO, GO)}, ["the action has a name more than once"]),
    ],
)
def test_each_difference_is_named(changes: dict[str, object], expected: list[str]) -> None:
    assert problems(**changes) == expected


def test_by_name_neither_order_nor_unit_matters() -> None:
    other = replace(WANTED, observation=(CAMERA, Feature("tcp_y", "mm"), X), rate_hz=None)
    assert other.differences(WANTED, by_name=True) == []
    assert len(replace(WANTED, action=()).differences(WANTED, by_name=True)) == 1


def test_the_error_says_who_does_not_fit_whom_in_what_and_how_to_mend_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        replace(WANTED, rate_hz=20, action=()).check(
            WANTED, "the policy", "the task 'reach'", "train it on demonstrations of the task", ConfigurationError
        )
    assert str(caught.value) == (
        "the policy cannot be used with the task 'reach': the action lacks go (rad/s); the rate is 20 Hz instead of "
        "28.5714 Hz. To mend it, train it on demonstrations of the task"
    )


def test_foreign_names_are_printed_safely_and_many_are_clipped() -> None:
    many = tuple(Feature(f"\x1b[2J{number}", "m") for number in range(1000))
    text = str(replace(WANTED, observation=many).differences(WANTED)[1])
    assert "\x1b" not in text
    assert "and 992 more" in text
    assert len(text) < 1000


features = st.builds(
    Feature,
    st.sampled_from("abcd"),
    st.sampled_from(["m", "rad"]),
    shape=st.sampled_from([(), (2,), (2, 3)]),
    dtype=st.sampled_from(DTYPES),
)
several = st.lists(features, max_size=4, unique_by=lambda feature: feature.name).map(tuple)
signatures = st.builds(Signature, several, several, st.sampled_from([1.0, 2.0]), st.sampled_from([(), (BOX,)]))


@settings(suppress_health_check=[HealthCheck.too_slow])  # as on a busy machine
@given(signatures, signatures)
def test_signatures_fit_exactly_if_they_are_equal(one: Signature, other: Signature) -> None:
    assert (one.differences(other) == []) == (one == other)
    assert (other.differences(one) == []) == (one == other)


@given(several)
def test_by_name_any_order_fits(found: tuple[Feature, ...]) -> None:
    for order in itertools.permutations(found):
        assert Signature(order, ()).differences(Signature(found, ()), by_name=True) == []


def test_plain_numbers_are_kept_as_pairs() -> None:
    assert to_pairs((X, Y)) == [["tcp_x", "m"], ["tcp_y", "m"]]
    assert from_pairs(to_pairs((X, Y)), 2, 5) == (X, Y)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("x", "not a list of 1 to 3 pairs"),
        ([], "not a list of 1 to 3 pairs"),
        ([["a", "m"]] * 4, "not a list of 1 to 3 pairs"),
        ([["a", "m"], ["a", "rad"]], "the entry 'a' twice"),
        ([["a"]], "not a pair"),
        ([["a", 1]], "not a pair"),
        ([["", "m"]], "not a pair"),
        ([["abcdef", "m"]], "not a pair"),
        ([[]], "not a pair"),
        ([{"a": "m", "b": "rad"}], "not a pair"),
    ],
)
def test_what_is_no_list_of_pairs_is_refused(value: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        from_pairs(value, 3, 5)


def test_what_is_limited_and_what_is_a_plain_number() -> None:
    assert (X.is_limited, GO.is_limited, Feature("one", "1", low=0.0).is_limited) == (False, True, False)
    assert (X.is_scalar, CAMERA.is_scalar, Feature("on", dtype="bool").is_scalar) == (True, False, False)
