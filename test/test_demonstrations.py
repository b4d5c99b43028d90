"""Demonstration sets: files that come back as they were or are refused, and windows against a naive loop."""

import contextlib
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vdd_ros.data.demonstrations import FILE_NAME, DemonstrationSet, Header
from vdd_ros.errors import DemonstrationError

HEADER = Header("toy", (("x", "m"), ("v", "m/s"), ("w", "rad")), (("dx", "m"), ("dy", "m")), 20.0, "a test", 3)
LENGTHS = (4, 1, 6)


def toy(**changes: Any) -> DemonstrationSet:
    random = np.random.default_rng(0)
    values: dict[str, Any] = {
        "header": HEADER,
        "observation": random.normal(size=(11, 3)),
        "action": random.normal(size=(11, 2)),
        "lengths": np.array(LENGTHS),
        "modes": np.array([2, -1, 0]),
    }
    return DemonstrationSet(**values | changes)


def saved(folder: Path, **changes: Any) -> Path:
    """Write a file by hand, with members replaced; None leaves a member out."""
    demonstrations = toy()
    members: dict[str, Any] = {
        "header": np.array(json.dumps({"format_version": 1, **demonstrations.header.__dict__})),
        **{name: getattr(demonstrations, name) for name in ("observation", "action", "lengths", "modes")},
    }
    members = {name: value for name, value in (members | changes).items() if value is not None}
    np.savez_compressed(folder / FILE_NAME, **members)
    return folder


def test_a_set_comes_back_as_it_was(tmp_path: Path) -> None:
    demonstrations = toy()
    file = demonstrations.save(tmp_path / "new" / "folder")
    for place in (file, file.parent):
        back = DemonstrationSet.load(place)
        assert back.header == demonstrations.header
        for name in ("observation", "action", "lengths", "modes"):
            assert np.array_equal(getattr(back, name), getattr(demonstrations, name))
        assert back.sha256 == demonstrations.sha256


def test_a_file_written_by_hand_is_read(tmp_path: Path) -> None:
    assert DemonstrationSet.load(saved(tmp_path)).sha256 == toy().sha256


def test_the_digest_changes_with_any_number_and_with_the_header() -> None:
    digests = {toy().sha256}
    for name in ("observation", "action"):
        for index in np.ndindex(getattr(toy(), name).shape):
            values = getattr(toy(), name).copy()
            values[index] = np.nextafter(values[index], np.inf)
            digests.add(toy(**{name: values}).sha256)
    digests.add(toy(modes=np.array([2, -1, 1])).sha256)
    digests.add(toy(lengths=np.array([5, 1, 5])).sha256)
    headers = (replace(HEADER, task="other"), replace(HEADER, rate_hz=21.0), replace(HEADER, seed=4))
    digests |= {toy(header=header).sha256 for header in headers}
    assert len(digests) == 1 + 33 + 22 + 1 + 1 + 3
    assert toy().sha256 in digests


@pytest.mark.parametrize("history", [1, 2, 5])
@pytest.mark.parametrize("horizon", [1, 3])
def test_windows_are_those_of_a_naive_loop(history: int, horizon: int) -> None:
    demonstrations = toy()
    observations, actions = [], []
    start = 0
    for length in LENGTHS:
        for step in range(length - horizon + 1):
            past = [max(step - back, 0) for back in reversed(range(history))]
            observations.append([demonstrations.observation[start + index] for index in past])
            actions.append([demonstrations.action[start + step + ahead] for ahead in range(horizon)])
        start += length
    observation, action = demonstrations.windows(history, horizon)
    assert observation.dtype == action.dtype == np.float32
    assert np.array_equal(observation, np.array(observations, dtype=np.float32))
    assert np.array_equal(action, np.array(actions, dtype=np.float32))


def test_a_horizon_beyond_every_episode_is_refused() -> None:
    with pytest.raises(DemonstrationError, match="no episode has 7 actions"):
        toy().windows(1, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observation": np.zeros((10, 3))}, "'observation' has shape"),
        ({"observation": np.zeros((11, 4))}, "'observation' has shape"),
        ({"action": np.zeros((11, 3))}, "'action' has shape"),
        ({"modes": np.zeros(2, dtype=np.int64)}, "'modes' has shape"),
        ({"lengths": np.array([4, 0, 7])}, "without a pair"),
        ({"observation": np.full((11, 3), np.nan)}, "'observation' is not finite in 11 pairs, first in pair 0"),
        ({"action": np.full((11, 2), np.inf)}, "not finite"),
        (
            {
                "lengths": np.array([], dtype=np.int64),
                "modes": np.array([], dtype=np.int64),
                "observation": np.zeros((0, 3)),
                "action": np.zeros((0, 2)),
            },
            "no episode",
        ),
    ],
)
def test_arrays_that_contradict_each_other_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DemonstrationError, match=message):
        toy(**changes)


def test_a_missing_file_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(DemonstrationError, match="vdd demos"):
        DemonstrationSet.load(tmp_path)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    content = toy().save(tmp_path).read_bytes()
    for size in range(0, len(content), 50):
        (tmp_path / FILE_NAME).write_bytes(content[:size])
        with pytest.raises(DemonstrationError, match="cut off"):
            DemonstrationSet.load(tmp_path)


def test_every_damaged_byte_is_refused_or_harmless(tmp_path: Path) -> None:
    content = toy().save(tmp_path).read_bytes()
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        (tmp_path / FILE_NAME).write_bytes(damaged)
        with contextlib.suppress(DemonstrationError):
            assert DemonstrationSet.load(tmp_path).sha256 == toy().sha256


def test_another_version_is_refused(tmp_path: Path) -> None:
    header = np.array(json.dumps({"format_version": 2, **HEADER.__dict__}))
    with pytest.raises(DemonstrationError, match="format version 2; this version of vdd_ros reads 1"):
        DemonstrationSet.load(saved(tmp_path, header=header))


class Bomb:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("a pickle was executed",)


def test_pickled_content_is_refused_and_not_executed(tmp_path: Path) -> None:
    with pytest.raises(DemonstrationError, match="not a readable demonstration set"):
        DemonstrationSet.load(saved(tmp_path, modes=np.array([Bomb()], dtype=object)))
    (tmp_path / FILE_NAME).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DemonstrationError, match="not a readable demonstration set"):
        DemonstrationSet.load(tmp_path)


def test_one_bare_array_is_refused(tmp_path: Path) -> None:
    with open(tmp_path / FILE_NAME, "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DemonstrationError, match=r"no \.npz archive"):
        DemonstrationSet.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"action": None}, "action"),
        ({"header": None}, "header"),
        ({"header": np.array("no JSON")}, "not a readable"),
        ({"header": np.array("[1]")}, "no JSON object"),
        ({"header": np.array('{"format_version": 1}')}, "malformed header"),
        (
            {"header": np.array(json.dumps({"format_version": 1, **HEADER.__dict__, "colour": "red"}))},
            "malformed header",
        ),
        ({"lengths": np.array([4.0, 1.0, 6.0])}, "'lengths' is float64, not int64"),
        ({"observation": np.zeros((11, 3), dtype=np.complex128)}, "'observation' is complex128, not float64"),
        ({"observation": np.full((11, 3), np.nan)}, "not finite"),
    ],
)
def test_members_that_are_missing_or_of_another_kind_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DemonstrationError, match=message):
        DemonstrationSet.load(saved(tmp_path, **changes))


def test_a_failing_write_leaves_the_set_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = toy().save(tmp_path).read_bytes()

    def half_written(file: Any, **_: Any) -> None:
        file.write(b"PK half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", half_written)
    with pytest.raises(OSError, match="No space left"):
        toy(modes=np.array([1, 1, 1])).save(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == before
    assert DemonstrationSet.load(tmp_path).sha256 == toy().sha256
