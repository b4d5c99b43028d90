"""The trial of thread counts: its choice, and that it has no other effect."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from toy_targets import small_demonstrations

from vdd_ros.host.threads import ThreadCount
from vdd_ros.learning.fit.checkpoint import STATE_FILE, load_tensors
from vdd_ros.learning.fit.thread_trial import RECENT, REPEAT_AFTER, ROUNDS, ThreadTrial
from vdd_ros.learning.methods.configs import TrainConfig
from vdd_ros.learning.methods.registry import teacher_method
from vdd_ros.learning.methods.trainer import Trainer


@pytest.fixture(autouse=True)
def restored_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Machine:
    """A clock whose steps take some seconds by the number of threads, and every third one half as long again."""

    def __init__(self, seconds: dict[int, float], most: int = 2) -> None:
        self.now, self.seconds, self.counts = 0.0, seconds, list[int]()
        self.limit = ThreadCount(most, f"{most}.0 cores free")
        self.trial = ThreadTrial(self.limit, lambda: self.now, lambda: self.limit)

    def train(self, steps: int) -> None:
        for _ in range(steps):
            self.trial.next_step()
            self.counts.append(torch.get_num_threads())
            self.now += self.seconds[self.counts[-1]] * (1.0 if len(self.counts) % 3 else 1.5)


TRIAL = [1, *[2, 1] * ROUNDS]
"""Threads of the steps of a trial."""


@pytest.mark.parametrize(("two", "chosen"), [(0.6, 2), (0.84, 2), (0.9, 1), (1.1, 1)])
def test_more_threads_are_taken_where_they_are_clearly_faster(two: float, chosen: int) -> None:
    machine = Machine({1: 0.1, 2: 0.1 * two})
    machine.train(len(TRIAL) + 20)
    assert machine.counts == TRIAL + [chosen] * 20
    assert machine.trial.chosen.threads == chosen
    assert machine.trial.chosen.reason == f"a step took 100.0 ms with 1, {100 * two:.1f} ms with 2; 2.0 cores free"


def test_each_doubling_has_to_be_worth_it() -> None:
    machine = Machine({1: 0.1, 2: 0.06, 4: 0.05, 6: 0.049}, most=6)
    machine.train(30)
    assert machine.counts[:13] == [1, *[6, 4, 2, 1] * ROUNDS]
    assert set(machine.counts[13:]) == {4}


def test_a_neighbour_that_comes_later_leaves_one_thread_until_it_goes() -> None:
    machine = Machine({1: 0.1, 2: 0.06})
    machine.train(50)
    machine.seconds = {1: 0.11, 2: 0.43}
    machine.train(40)
    assert machine.counts[50 + RECENT + len(TRIAL) :] == [1] * (40 - RECENT - len(TRIAL))
    assert machine.counts[50 : 50 + RECENT // 2] == [2] * (RECENT // 2), "one slow step is no neighbour"
    machine.seconds = {1: 0.1, 2: 0.06}
    machine.train(REPEAT_AFTER + len(TRIAL))
    assert machine.counts[-1] == 2
    assert machine.trial.chosen.reason.endswith("; 2.0 cores free; changed 2 times during the run")


def test_a_neighbour_that_is_there_first_leaves_one_thread_until_it_goes() -> None:
    """And while it is there, no step tries two."""
    machine = Machine({1: 0.1, 2: 0.43}, most=1)
    machine.train(REPEAT_AFTER + 50)
    assert set(machine.counts) == {1}
    assert machine.trial.chosen == ThreadCount(1, "1.0 cores free")
    machine.seconds, machine.limit = {1: 0.1, 2: 0.06}, ThreadCount(2, "1.9 cores free")
    machine.train(REPEAT_AFTER)
    assert machine.counts[-1] == 2
    assert machine.trial.chosen.reason.endswith("; 1.9 cores free; changed 1 time during the run")
    machine.seconds, machine.limit = {1: 0.1, 2: 0.43}, ThreadCount(1, "0.9 cores free")
    machine.train(2 * REPEAT_AFTER)
    assert machine.counts[-REPEAT_AFTER - len(TRIAL) :] == [1] * (REPEAT_AFTER + len(TRIAL))
    assert machine.trial.chosen == ThreadCount(1, "0.9 cores free; changed 2 times during the run")


def test_one_slow_step_in_three_is_no_neighbour() -> None:
    """A checkpoint, or another process for a moment."""
    machine = Machine({1: 0.1, 2: 0.06})
    machine.train(50)
    for _ in range(20):
        machine.now += 5.0
        machine.train(3)
    assert machine.counts[len(TRIAL) :] == [2] * (110 - len(TRIAL))


@pytest.mark.parametrize("given", [ThreadCount(2, "as asked", is_asked=True), ThreadCount(1, "1.0 of 1 core free")])
def test_nothing_is_changed_where_there_is_no_choice(given: ThreadCount, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(given.threads)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: pytest.fail("the number was changed"))
    trial = ThreadTrial(given, look=lambda: given)
    for _ in range(2 * REPEAT_AFTER):
        trial.next_step()
    assert trial.chosen == given


def test_a_trial_changes_no_random_number(tmp_path: Path) -> None:
    """Its steps are steps of the training, with sums that round otherwise."""
    config = TrainConfig(
        backbone="gpt", width=8, layers=1, heads=2, octaves=1, dropout=0.2, batch=4, steps=9, device="cpu"
    )
    trainer, made = Trainer(teacher_method(config.teacher), config), []
    for name in ("without", "with"):
        torch.set_num_threads(1)
        trial = ThreadTrial(ThreadCount(2, "free"), map(float, count()).__next__)  # all steps take as long
        trainer.run(small_demonstrations(), tmp_path / name, trial=trial if name == "with" else None)
        made.append(load_tensors(tmp_path / name / STATE_FILE)[0])
    assert trial.chosen.reason.startswith("a step took")
    without, with_trial = made
    assert torch.equal(with_trial["generator"], without["generator"])
    assert torch.equal(with_trial["dropout"], without["dropout"])
    for name, value in without.items():
        torch.testing.assert_close(with_trial[name], value, rtol=1e-3, atol=1e-4)
