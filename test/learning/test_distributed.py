"""Two processes that train together, over gloo, against one that trains alone."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from toy_targets import small_demonstrations
from training_ranks import RIGS, TrainingRanks

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.fit.checkpoint import load_model
from vdd_ros.learning.fit.distributed import WorkerRank, own_rows, training_group

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SMALL = ["--backbone", "mlp", "--width", "8", "--layers", "1", "--history", "2", "--device", "cpu"]


@pytest.fixture(scope="module")
def ranks() -> Iterator[TrainingRanks]:
    with TrainingRanks() as ranks:
        yield ranks


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demos")
    small_demonstrations().save(folder)
    return folder


@pytest.mark.parametrize(
    ("backbone", "optimizer", "within"),
    [("mlp", "adamw", 1e-5), ("gpt", "adamw", 1e-5), ("gpt", "muon", 1e-5)],
)
def test_two_processes_have_the_losses_and_the_weights_of_one(
    backbone: str, optimizer: str, within: float, ranks: TrainingRanks, demos: Path, tmp_path: Path
) -> None:
    found = {}
    for world, name in enumerate(("one", "two"), start=1):
        done = ranks.run("losses", backbone, optimizer, demos, tmp_path / name, tmp_path / f"{name}.json", world=world)
        assert done.returncode == 0, done.stderr
        found[name] = json.loads((tmp_path / f"{name}.json").read_text())
    assert (found["one"]["world"], found["two"]["world"]) == ("1", "2")
    assert len(found["one"]["losses"]) == 30
    assert found["two"]["losses"] == pytest.approx(found["one"]["losses"], abs=1e-5)
    one, two = (load_model(tmp_path / name)[1] for name in ("one", "two"))
    assert set(one) == set(two)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=within, rtol=1e-4)


def test_the_command_shares_a_training_and_one_process_reports(
    ranks: TrainingRanks, demos: Path, tmp_path: Path
) -> None:
    """Begun by torchrun itself. No thread of gloo is left that could abort a process at its end."""
    out, numbers = tmp_path / "teacher", tmp_path / "numbers.json"
    command = ["train", "--task", "avoiding", "--demos", demos, *SMALL, "--batch", 16, "--steps", 20, "--out", out]
    script = str(RIGS / "train_and_list_threads.py")
    words = [*TORCHRUN, script, *map(str, command), "--json", str(numbers)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("steps           20") == 1
    assert done.stdout.count("threads of gloo: []") == 2, done.stdout
    assert json.loads(numbers.read_text())["steps"] == 20
    assert len(list((out / "tensorboard").iterdir())) == 1
    again = ranks.run("vdd", *command, "--resume")
    assert again.returncode == 0, again.stderr


def test_a_refusal_by_the_first_process_ends_all(ranks: TrainingRanks, demos: Path, tmp_path: Path) -> None:
    out = tmp_path / "teacher"
    command = ["vdd", "train", "--task", "avoiding", "--demos", demos, "--out", out, *SMALL, "--steps", 20]
    done = ranks.run(*command, "--batch", 15)
    assert done.returncode != 0
    assert "--batch is 15, which 2 processes cannot share evenly; give a multiple of 2" in done.stderr
    done = ranks.run(*command, "--resume")
    assert done.returncode != 0
    assert "holds no run to resume" in done.stderr
    assert not out.exists()


def test_commands_that_cannot_share_a_training_are_refused(ranks: TrainingRanks, demos: Path, tmp_path: Path) -> None:
    em = ["distil", "--method", "em", "--demos", demos, "--out", tmp_path / "em", "--steps", 3, *SMALL]
    done = ranks.run("vdd", *em)
    assert done.returncode != 0
    assert "torchrun started 2 processes, but only `vdd train` can share a training" in done.stderr
    assert not (tmp_path / "em").exists()


def test_alone_nothing_changes() -> None:
    rows = torch.arange(4.0)
    with training_group(3, cuda=False):
        assert own_rows(rows) is rows
        assert own_rows(None) is None


def test_torchrun_says_which_process_this_is() -> None:
    said = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    assert WorkerRank.of(said) == WorkerRank(5, 8, 1, 4)
    assert WorkerRank.of({}) == WorkerRank()
    assert WorkerRank.of({"RANK": "1", "WORLD_SIZE": "2"}) == WorkerRank(1, 2, 1, 2)


@pytest.mark.parametrize(
    "said",
    [
        {"RANK": "2", "WORLD_SIZE": "2"},
        {"RANK": "0"},
        {"WORLD_SIZE": "2"},
        {"RANK": "one", "WORLD_SIZE": "2"},
        {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "3"},
    ],
)
def test_an_environment_that_contradicts_itself_is_refused(said: Mapping[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="RANK"):
        WorkerRank.of(said)
