"""`vdd demos split`: both sets together are the whole."""

import json
from pathlib import Path

import numpy as np
import pytest

from vdd_ros.cli.main import main
from vdd_ros.data import joining
from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.data.split import choose, copies
from vdd_ros.features import Feature


def write(folder: Path, count: int = 10) -> DemonstrationSet:
    """Write a set whose episodes tell their numbers."""
    lengths = np.arange(count) + 3
    values = np.repeat(np.arange(count, dtype=np.float64), lengths)[:, None]
    header = Header("toy", (Feature("x", "m"),), (Feature("dx", "m"),), 10.0, "test", context=(Feature("start", "m"),))
    contexts = 0.5 * np.arange(count, dtype=np.float64)[:, None]
    found = DemonstrationSet(header, values, -values, lengths, np.arange(count) % 3, contexts)
    found.save(folder)
    return found


@pytest.mark.parametrize("in_memory", [0, 1 << 20])
def test_every_episode_is_in_one_of_both_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], in_memory: int
) -> None:
    monkeypatch.setattr(joining, "IN_MEMORY", in_memory)
    whole = write(tmp_path / "D")
    numbers = tmp_path / "split.json"
    assert main(["demos", "split", str(tmp_path / "D"), "--hold-out", "3", "--json", str(numbers)]) == 0
    train, held_out = (DemonstrationSet.load(tmp_path / "D" / name) for name in ("train", "held_out"))
    told = json.loads(numbers.read_text())
    assert sorted(told["train"] + told["held_out"]) == list(range(10))
    for part, names in ((train, told["train"]), (held_out, told["held_out"])):
        assert part.lengths.tolist() == [3 + n for n in names]
        assert part.modes.tolist() == [n % 3 for n in names]
        assert part.contexts[:, 0].tolist() == [0.5 * n for n in names]
        assert [part.observation[one, 0].tolist() for one in part.episodes()] == [[n] * (3 + n) for n in names]
        assert np.array_equal(part.action, -part.observation)
        assert part.header == whole.header
    assert len(held_out.lengths) == 3
    assert DemonstrationSet.load(tmp_path / "D").sha256 == whole.sha256
    assert f"3 episodes, numbers {', '.join(map(str, told['held_out']))} (from 0)" in capsys.readouterr().out


def test_the_seed_decides(tmp_path: Path) -> None:
    assert choose(100, 20, 1) == choose(100, 20, 1)
    assert choose(100, 20, 1) != choose(100, 20, 2)


@pytest.mark.parametrize(("count", "why"), [("0", "--hold-out is 0"), ("10", "1 to 9 can be held out")])
def test_none_and_all_cannot_be_held_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], count: str, why: str
) -> None:
    write(tmp_path / "D")
    assert main(["demos", "split", str(tmp_path / "D"), "--hold-out", count]) == 2
    assert why in capsys.readouterr().err


def test_sets_are_replaced_only_by_force_and_never_their_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "D")
    argv = ["demos", "split", str(tmp_path / "D"), "--hold-out", "2"]
    assert main(argv) == 0
    assert main([*argv, "--seed", "1"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main([*argv, "--seed", "1", "--force"]) == 0
    argv[2] = str(tmp_path / "D" / "train")
    assert main([*argv, "--out", str(tmp_path / "D"), "--force"]) == 2
    assert "would be replaced by a part of it" in capsys.readouterr().err


def test_a_held_out_copy_of_an_episode_for_training_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its evaluation would be one on the data of the training."""
    whole = write(tmp_path / "D", 3)
    DemonstrationSet.joined([whole, whole.part(range(0, 1))]).save(tmp_path / "D")
    split = choose(4, 1, next(seed for seed in range(99) if choose(4, 1, seed).held_out == [3]))
    assert copies(DemonstrationSet.load(tmp_path / "D"), split) == [(3, 0)]
    for seed in range(99):
        held_out = choose(4, 1, seed).held_out
        options = ["--hold-out", "1", "--seed", str(seed), "--out", str(tmp_path / "E"), "--force"]
        assert main(["demos", "split", str(tmp_path / "D"), *options]) == 0
        told = capsys.readouterr().err
        if held_out == [3]:
            assert "warning: the held-out episode 3 is a copy of episode 0, which is for training" in told
            break
        assert ("warning" in told) is (held_out == [0])
