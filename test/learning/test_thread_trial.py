"""The trial of thread counts: what it chooses, and that it changes nothing else."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from toy_targets import small_demonstrations

from vdd_ros.host.threads import ThreadCount
from vdd_ros.learning.fit.checkpoint import MODEL_FILE
from vdd_ros.learning.fit.thread_trial import ROUNDS, ThreadTrial
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

    def __init__(self, seconds: dict[int, float]) -> None:
        self.now, self.steps, self._seconds = 0.0, 0, seconds

    def step(self) -> None:
        self.steps += 1
        self.now += self._seconds[torch.get_num_threads()] * (1.0 if self.steps % 3 else 1.5)


@pytest.mark.parametrize(("two", "chosen"), [(0.6, 2), (0.84, 2), (0.9, 1), (1.1, 1)])
def test_more_threads_are_taken_where_they_are_clearly_faster(two: float, chosen: int) -> None:
    torch.set_num_threads(2)
    machine = Machine({1: 0.1, 2: 0.1 * two})
    trial = ThreadTrial(ThreadCount(2, "2.0 of 2 cores free"), lambda: machine.now)
    machine.steps = 1
    trial.run(machine.step)
    assert (trial.chosen.threads, torch.get_num_threads(), machine.steps) == (chosen, chosen, 2 + 2 * ROUNDS)
    assert trial.chosen.reason.endswith("; 2.0 of 2 cores free")


@pytest.mark.parametrize("given", [ThreadCount(2, "as asked", is_asked=True), ThreadCount(1, "1.0 of 2 cores free")])
def test_no_step_is_tried_where_there_is_no_choice(given: ThreadCount) -> None:
    trial = ThreadTrial(given)
    trial.run(lambda: pytest.fail("a step was tried"))
    assert trial.chosen == given


def test_a_trial_changes_no_random_number_and_no_weight(tmp_path: Path) -> None:
    """Whatever it chooses here has one thread, so that sums round alike."""
    config = TrainConfig(
        backbone="gpt", width=8, layers=1, heads=2, octaves=1, dropout=0.2, batch=4, steps=3, device="cpu"
    )
    trainer, made = Trainer(teacher_method(config.teacher), config), []
    for name in ("without", "with"):
        torch.set_num_threads(1)
        trial = ThreadTrial(ThreadCount(2, "free"), map(float, count()).__next__)  # all steps take as long
        trainer.run(small_demonstrations(), tmp_path / name, trial=trial if name == "with" else None)
        made.append((tmp_path / name / MODEL_FILE).read_bytes())
    assert trial.chosen.threads == 1
    assert made[0] == made[1]
