"""Standardised windows of demonstrations."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from toy_targets import small_demonstrations

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats import npz
from vdd_ros.errors import DemonstrationError
from vdd_ros.features import Feature
from vdd_ros.learning.fit.mapped_rows import MappedRows
from vdd_ros.learning.fit.windows import Statistics, Windows, small_deviations, unchanging_actions


def test_the_statistics_are_moments_and_the_range_widened_by_a_tenth() -> None:
    demonstrations = small_demonstrations()
    statistics = Statistics.of(demonstrations)
    for name in ("observation", "action"):
        values = getattr(demonstrations, name)
        np.testing.assert_allclose(getattr(statistics, f"{name}_mean"), values.mean(0), rtol=1e-5)
        np.testing.assert_allclose(getattr(statistics, f"{name}_std"), values.std(0), rtol=1e-5)
    low, high = demonstrations.action.min(0), demonstrations.action.max(0)
    np.testing.assert_allclose(statistics.action_high - statistics.action_low, 1.1 * (high - low), rtol=1e-5)
    np.testing.assert_allclose(statistics.action_high + statistics.action_low, high + low, rtol=1e-3, atol=1e-6)


def test_lists_and_back() -> None:
    statistics = Statistics.of(small_demonstrations())
    again = Statistics.from_lists(statistics.to_lists())
    assert all(torch.equal(value, getattr(again, name)) for name, value in vars(statistics).items())


def test_standard_limits_are_the_limits_of_standardised_actions() -> None:
    statistics = Statistics.of(small_demonstrations())
    low, high = statistics.standard_limits()
    torch.testing.assert_close(low * statistics.action_std + statistics.action_mean, statistics.action_low)
    torch.testing.assert_close(high * statistics.action_std + statistics.action_mean, statistics.action_high)


def test_windows_are_standardised_and_chunks_are_flat() -> None:
    demonstrations = small_demonstrations(episodes=3, length=10)
    statistics = Statistics.of(demonstrations)
    windows = Windows.of(demonstrations, statistics, history=4, horizon=3)
    assert windows.observation[:].shape == (3 * 8, 4, 4)
    assert windows.action[:].shape == (len(windows), 3 * 2)
    at = 10 + 5  # the second episode's sixth pair is its sixth window
    index = 8 + 5
    observation = windows.observation[index] * statistics.observation_std + statistics.observation_mean
    action = windows.action[index].reshape(3, 2) * statistics.action_std + statistics.action_mean
    np.testing.assert_allclose(observation, demonstrations.observation[at - 3 : at + 1], atol=1e-5)
    np.testing.assert_allclose(action, demonstrations.action[at : at + 3], atol=1e-7)


def test_single_pairs_have_zero_mean_and_unit_deviation() -> None:
    demonstrations = small_demonstrations()
    windows = Windows.of(demonstrations, Statistics.of(demonstrations), history=1, horizon=1)
    for values in (windows.observation[:, 0], windows.action[:]):
        assert values.mean(0).abs().max() < 1e-5
        assert (values.std(0, correction=0) - 1).abs().max() < 1e-5


@pytest.mark.parametrize(("field", "column", "name"), [("observation", 2, "tcp_x"), ("action", 1, "delta_desired_y")])
def test_an_entry_that_never_changes_has_the_deviation_one_and_is_reported(field: str, column: int, name: str) -> None:
    demonstrations = small_demonstrations()
    values = getattr(demonstrations, field).copy()
    values[:, column] = 0.3  # whose mean is rounded
    constant = replace(demonstrations, **{field: values})
    statistics, before = Statistics.of(constant), Statistics.of(demonstrations)
    means, deviations = getattr(statistics, f"{field}_mean"), getattr(statistics, f"{field}_std")
    assert deviations[column] == 1
    assert means[column] == pytest.approx(0.3)
    others = torch.arange(len(deviations)) != column
    torch.testing.assert_close(deviations[others], getattr(before, f"{field}_std")[others])
    windows = Windows.of(constant, statistics, history=1, horizon=1)
    standard = windows.observation[..., column] if field == "observation" else windows.action[:, column]
    assert standard.abs().max() < 1e-6
    told = [*small_deviations([Feature(name, "m")], [0.0]), *unchanging_actions(constant)]
    assert (
        f"observation entry {name} never changed in the demonstrations: it is standardised with the deviation 1 m"
        in (told[0])
    )
    if field == "action":
        assert (
            f"action entry {name} is always 0.3 m in the demonstrations: the policy keeps it within 0.001 m" in told[1]
        )
        low, high = statistics.action_low[column], statistics.action_high[column]
        assert low == pytest.approx(0.299)
        assert high == pytest.approx(0.301)


@pytest.mark.parametrize(
    ("unit", "given", "least"), [("m", 0.0, 1e-3), ("mm", 0.0, 1.0), ("N", 0.0, 1e-3), ("m", 1e-5, 1e-5)]
)
def test_an_entry_that_hardly_changes_is_standardised_with_the_least_deviation_of_its_unit(
    unit: str, given: float, least: float
) -> None:
    """Noise of 1e-9: 1 mm more is one deviation, not a million."""
    demonstrations = small_demonstrations()
    observation = demonstrations.observation.copy()
    observation[:, 2] = 0.3 + 1e-9 * np.random.default_rng(0).normal(size=len(observation))
    features = tuple(replace(one, unit=unit) for one in demonstrations.header.observation)
    header = replace(demonstrations.header, observation=features)
    deviations = Statistics.of(replace(demonstrations, header=header, observation=observation), given).observation_std
    assert deviations[2] == pytest.approx(least, rel=1e-6)
    others = np.maximum(np.delete(observation, 2, axis=1).std(axis=0), least)
    np.testing.assert_allclose(np.delete(deviations.numpy(), 2), others, rtol=1e-6)


def test_small_deviations_are_reported_with_what_to_do() -> None:
    entries = (Feature("tcp_x", "m"), Feature("tcp\x1b_y", "m"), Feature("tilt", "deg"))
    (first, second) = small_deviations(entries, (0.2, 1e-9, float(np.float32(0.18 / np.pi))))
    assert "entry tcp\\x1b_y hardly changed" in first
    assert "1e-09 m, the floor is 0.001 m" in first
    assert "leave the entry out" in first
    assert "entry tilt" in second
    assert small_deviations(entries, (0.2, 1e-9, 1.0), least_deviation=1e-10) == []


def test_a_horizon_beyond_every_episode_is_refused() -> None:
    demonstrations = small_demonstrations(length=5)
    with pytest.raises(DemonstrationError, match="no episode has 6 actions"):
        Windows.of(demonstrations, Statistics.of(demonstrations), history=1, horizon=6)


def uneven(lengths: list[int]) -> DemonstrationSet:
    """Return episodes of different lengths."""
    cut = small_demonstrations(episodes=1, length=sum(lengths))
    return replace(cut, lengths=np.array(lengths), modes=np.full(len(lengths), -1))


def test_episodes_shorter_than_a_chunk_give_no_windows() -> None:
    demonstrations = uneven([10, 2, 5, 7])
    statistics = Statistics.of(demonstrations)
    windows = Windows.of(demonstrations, statistics, history=1, horizon=6, goal_length=1)
    assert windows.now.tolist() == [0, 1, 2, 3, 4, 17, 18]
    assert windows.last.tolist() == [9, 9, 9, 9, 9, 23, 23]
    torch.testing.assert_close(windows.states[windows.now], windows.observation[:, -1])


@pytest.mark.parametrize("goal_length", [1, 3])
def test_goals_are_later_states_of_the_same_episode_each_as_likely(goal_length: int) -> None:
    demonstrations, length = uneven([8, 6, 5]), goal_length
    windows = Windows.of(demonstrations, Statistics.of(demonstrations), 2, 2, goal_length)
    draws, generator = 2_000, torch.Generator().manual_seed(0)
    for window, (now, last) in enumerate(zip(windows.now.tolist(), windows.last.tolist(), strict=True)):
        goal = windows.draw_goals(torch.full((draws,), window), generator)
        assert goal is not None
        assert goal.shape == (draws, length, 4)
        found = torch.cdist(goal, windows.states[:], compute_mode="donot_use_mm_for_euclid_dist").argmin(-1)
        assert torch.equal(windows.states[found], goal), "each is a demonstrated state"
        first = torch.arange(now + 1, max(last - length + 1, now + 1) + 1)
        expected = torch.minimum(first[:, None] + torch.arange(length), torch.tensor(last))
        rows, counts = found.unique(dim=0, return_counts=True)
        assert torch.equal(rows, expected), "every later time, and beyond the end the last state"
        assert (counts - draws / len(rows)).abs().max() < 5 * (draws / len(rows)) ** 0.5


def test_without_goals_there_are_none() -> None:
    windows = Windows.of(uneven([8]), Statistics.of(uneven([8])), 2, 2)
    assert windows.draw_goals(torch.arange(3), torch.Generator()) is None


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"task": "a task "}, "task has the text 'a task ', which policy files cannot hold"),
        ({"task": "x" * 300}, "at most 200 printable characters"),
        ({"observation": tuple(Feature(f"o{k}\x1b", "m") for k in range(4))}, r"observation has the text 'o0\\x1b'"),
        ({"action": (Feature("u", "m"), Feature("v", " m"))}, "action has the text ' m'"),
        ({"rate_hz": 1e6}, "rate_hz is 1e[+]06; policies act at 0.001 to 100,000 Hz"),
    ],
)
def test_headers_that_policy_files_cannot_hold_are_refused_before_training(
    header: dict[str, Any], message: str
) -> None:
    demonstrations = small_demonstrations()
    with pytest.raises(DemonstrationError, match=message):
        Statistics.of(replace(demonstrations, header=replace(demonstrations.header, **header)))


@pytest.mark.parametrize(
    ("name", "factor", "offset"), [("observation", 1, 1e9), ("action", 1e-4, 1e6), ("action", 1e44, 0)]
)
def test_numbers_beyond_single_precision_are_refused_before_training(name: str, factor: float, offset: float) -> None:
    demonstrations = small_demonstrations()
    values = offset + factor * getattr(demonstrations, name)
    with pytest.raises(DemonstrationError, match=f"single precision cannot represent the {name} entries"):
        Statistics.of(replace(demonstrations, **{name: values}))


@pytest.mark.parametrize("goal_length", [0, 2])
def test_windows_of_a_mapped_set_are_those_in_memory_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goal_length: int
) -> None:
    monkeypatch.setattr(npz, "COMPRESSED_BELOW", 1)
    monkeypatch.setattr(npz, "MAPPED_FROM", 1)
    memory = uneven([10, 2, 5, 7])
    mapped = DemonstrationSet.load(memory.save(tmp_path))
    assert mapped.is_mapped
    statistics = Statistics.of(mapped)
    expected = Windows.of(memory, statistics, 3, 4, goal_length)
    found = Windows.of(mapped, statistics, 3, 4, goal_length)
    assert isinstance(found.observation, MappedRows)
    index = torch.tensor([3, 0, 5, 5, len(expected) - 1])
    assert len(found) == len(expected)
    assert torch.equal(found.observation[index], expected.observation[index])
    assert torch.equal(found.action[index], expected.action[index])
    assert torch.equal(found.action[index, None], expected.action[index, None])
    assert torch.equal(found.observation[:], expected.observation[:])
    draws = [windows.draw_goals(index, torch.Generator().manual_seed(1)) for windows in (found, expected)]
    assert (draws[0] is None and draws[1] is None) or torch.equal(*draws)  # type: ignore[arg-type]
    with pytest.raises(DemonstrationError, match="no episode has 11 actions"):
        Windows.of(mapped, statistics, history=1, horizon=11)
    with pytest.raises(TypeError, match="not by int"):
        found.action[3]
