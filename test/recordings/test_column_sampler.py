"""Sampling in blocks of messages equals the node's observer message by message, bit for bit."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_recordings import MadeBag, recording, robot_document

pytest.importorskip("rosbags")

from vdd_ros.documents import json_object
from vdd_ros.recordings import bag_conversion, column_sampler
from vdd_ros.recordings.bag_list import NamedBag
from vdd_ros.recordings.episodes import Episode, EpisodeRules
from vdd_ros.recordings.form import SamplingForm
from vdd_ros.recordings.tick_columns import STATES, RawEpisode
from vdd_ros.recordings.ticks import SEEN, SKEWED
from vdd_ros.robot.robot_file import RobotFile


class Result:
    """A conversion: its record, its episodes, and the ticks that they were made of."""

    def __init__(self, bag: MadeBag, robot: RobotFile, *, by_columns: bool) -> None:
        self.episodes: list[Episode] = []
        self.raw: list[RawEpisode] = []
        rules, whole = EpisodeRules.episodes, SamplingForm.of(robot)

        def keeping(made: EpisodeRules, raw: RawEpisode) -> Any:
            self.raw.append(copy.deepcopy(raw))  # traffic after its end is counted on
            return rules(made, raw)

        with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
            patch.setattr(bag_conversion, "RawBag", bag.open)
            patch.setattr(EpisodeRules, "episodes", keeping)
            made = bag_conversion.convert_bag(
                NamedBag("bag", Path("bag")), whole, robot, self.episodes.append, by_columns=by_columns
            )
        self.record = json_object(made)


def bits(values: Any) -> bytes:
    return np.ascontiguousarray(values).tobytes()


def compare_ticks(found: RawEpisode, expected: RawEpisode) -> None:
    """Compare the ticks that both have: message by message, those before the first pair are not kept."""
    after = np.isin(found.ticks.seen.now_ns, expected.ticks.seen.now_ns)
    one, other = found.ticks.taken(after), expected.ticks
    assert bits(one.seen.now_ns) == bits(other.seen.now_ns)
    assert bits(one.seen.states) == bits(other.seen.states)
    assert bits(one.seen.blamed) == bits(other.seen.blamed)
    assert bits(one.commanded.whole) == bits(other.commanded.whole)
    dropped = found.ticks.taken(~after)
    assert not dropped.is_pair.any()
    assert dropped.seen.reasons() + found.skipped == expected.skipped
    assert dropped.seen.ever_blamed(dropped.inputs) | found.blamed == expected.blamed
    assert max(dropped.seen.apart_s(), found.apart_s) == expected.apart_s
    skewed = one.seen.states == STATES.index(SKEWED)
    assert bits(one.seen.spread_s[skewed]) == bits(other.seen.spread_s[skewed])
    for place in ("inputs", "commands", "missing", "label", "begin_ns"):
        assert getattr(found, place) == getattr(expected, place), place
    pairs = one.is_pair
    for name in ("observation", "ages_s", "spread_s", "numbers"):
        assert bits(getattr(one.seen, name)[pairs]) == bits(getattr(other.seen, name)[pairs])
    for name in ("values", "received_ns", "numbers"):
        assert bits(getattr(one.commanded, name)[pairs]) == bits(getattr(other.commanded, name)[pairs])


def check(seed: int, count: int, variant: int, size: int, trouble: float) -> Result:
    robot = RobotFile.from_dict(robot_document(variant))
    bag = MadeBag(recording(seed, count, trouble), size)
    found, expected = (Result(bag, robot, by_columns=by_columns) for by_columns in (True, False))
    for one, other in zip(found.raw, expected.raw, strict=True):
        compare_ticks(one, other)
    assert found.record == expected.record
    for episode, same in zip(found.episodes, expected.episodes, strict=True):
        assert bits(episode.observation) == bits(same.observation)
        assert bits(episode.action) == bits(same.action)
    return found


@settings(max_examples=12)
@given(
    seed=st.integers(0, 1 << 30),
    count=st.integers(1, 150),
    variant=st.integers(0, 2047),
    size=st.sampled_from([1, 7, 50, 1000]),
    trouble=st.sampled_from([0.0, 0.02, 0.3]),
)
def test_random_recordings(seed: int, count: int, variant: int, size: int, trouble: float) -> None:
    check(seed, count, variant, size, trouble)


@pytest.mark.parametrize(("seed", "variant"), [(3, 0b1010101010), (5, 0b1111111000), (8, 0b0010011001)])
def test_long_recordings_with_little_trouble_give_pairs(seed: int, variant: int) -> None:
    found = check(seed, 700, variant, 300, 0.01)
    assert sum(int(raw.ticks.is_pair.sum()) for raw in found.raw) > 20


def test_inputs_whose_stamps_are_far_apart() -> None:
    found = [check(seed, 700, 0b10000000000, 300, 0.01) for seed in (9, 10, 11)]
    states = np.concatenate([raw.ticks.seen.states for one in found for raw in one.raw])
    assert min(np.count_nonzero(states == STATES.index(state)) for state in (SEEN, SKEWED)) > 20


def test_many_ticks_before_the_first_pair_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_sampler, "_TICKS", 8)
    for seed in range(3):
        check(seed, 200, 0b0000010000, 50, 0.3)


def test_a_recording_of_nothing_but_bursts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages faster than the node keeps them, at the same time, and stamped after the tick."""
    monkeypatch.setattr("random_recordings._WAITS_MS", (0, 0.0001, 0.1, 0.3))
    for variant in (0b0110000100, 0):
        check(11, 900, variant, 200, 0.1)
