"""The training loop against its formulas; interrupted, crashed and resumed runs against uninterrupted ones."""

import itertools
import math
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from tensorboard.summary.writer import event_file_writer
from torch import Tensor, nn
from toy_targets import small_demonstrations
from trainings import distil, train_teacher

from vdd_ros.errors import CheckpointError, ConfigurationError
from vdd_ros.learning.fit.checkpoint import STATE_FILE, load_model, load_tensors, save_tensors
from vdd_ros.learning.fit.figure import read_curves
from vdd_ros.learning.fit.training_loop import LoopConfig, LossFunction, TrainingLoop
from vdd_ros.learning.methods.configs import DistilConfig, TrainConfig

SMALL: dict[str, Any] = {
    **{"backbone": "mlp", "width": 8, "layers": 1, "heads": 2, "octaves": 1, "history": 2, "batch": 8, "steps": 30}
}


def small_loop(folder: Path, steps: int = 120, seed: int = 0, **settings: Any) -> TrainingLoop:
    torch.manual_seed(seed)
    return TrainingLoop(folder, nn.Linear(3, 1), LoopConfig(steps, 0.05, **settings), seed)


def regression(loop: TrainingLoop) -> LossFunction:
    def loss(generator: torch.Generator, _step: int) -> tuple[Tensor, dict[str, Tensor]]:
        x = torch.randn((16, 3), generator=generator)
        value = (loop.module(x).squeeze(1) - x.sum(1) - 2).square().mean()
        return value, {"loss": value.detach()}

    return loss


def do_at(step: int, loss: LossFunction, action: Callable[[], None]) -> LossFunction:
    """Let something happen while a step, counted from 1, is computed."""
    count = itertools.count(1)

    def wrapped(generator: torch.Generator, done: int) -> tuple[Tensor, dict[str, Tensor]]:
        if next(count) == step:
            action()
        return loss(generator, done)

    return wrapped


def nothing() -> None:
    pass


def weights(loop: TrainingLoop) -> dict[str, Tensor]:
    return {**loop.module.state_dict(), **{f"averaged.{k}": v for k, v in loop.averaged.state_dict().items()}}


def assert_same(some: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert some.keys() == other.keys()
    assert all(torch.equal(some[name], other[name]) for name in some), "bit by bit"


@pytest.fixture
def uninterrupted(tmp_path: Path) -> dict[str, Tensor]:
    loop = small_loop(tmp_path / "uninterrupted")
    loop.run(regression(loop), nothing, "test")
    return weights(loop)


@pytest.fixture(autouse=True)
def files_of_scalars_out_of_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of one process and second differ by a number that TensorBoard sorts as text: 10 before 9."""
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(9))


def logged_steps(folder: Path) -> list[int]:
    return read_curves(folder)["loss"].steps


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_and_resumed_run_is_the_uninterrupted_one(
    tmp_path: Path, uninterrupted: dict[str, Tensor], number: signal.Signals
) -> None:
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    loop, saved = small_loop(tmp_path), []
    stop = do_at(50, regression(loop), lambda: os.kill(os.getpid(), number))
    with pytest.raises(KeyboardInterrupt):
        loop.run(stop, lambda: saved.append(loop.step), "test")
    assert saved == [50], "the step in hand is finished and saved"
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers

    again = small_loop(tmp_path, seed=99)
    again.resume()
    again.run(regression(again), nothing, "test")
    assert_same(weights(again), uninterrupted)
    assert logged_steps(tmp_path) == [50, 100, 120]


def test_whenever_a_signal_comes_a_checkpoint_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also just after it was asked whether one has come."""
    loop, saved = small_loop(tmp_path), []
    clock = time.monotonic
    sent: list[int] = []

    def interrupting() -> float:
        if loop.step == 3 and not sent:
            sent.append(loop.step)
            os.kill(os.getpid(), signal.SIGINT)
        return clock()

    monkeypatch.setattr("vdd_ros.learning.fit.training_loop.time.monotonic", interrupting)
    with pytest.raises(KeyboardInterrupt):
        loop.run(regression(loop), lambda: saved.append(loop.step), "test")
    assert saved == [loop.step], "and nothing was done after it"
    assert (tmp_path / STATE_FILE).is_file()


def test_a_crashed_run_goes_on_from_its_last_checkpoint(tmp_path: Path, uninterrupted: dict[str, Tensor]) -> None:
    def crash() -> None:
        raise MemoryError

    loop = small_loop(tmp_path, checkpoint_every_s=math.inf)
    with pytest.raises(KeyboardInterrupt):
        loop.run(do_at(30, regression(loop), lambda: os.kill(os.getpid(), signal.SIGINT)), nothing, "test")
    loop = small_loop(tmp_path, checkpoint_every_s=math.inf)
    loop.resume()
    with pytest.raises(MemoryError):
        loop.run(do_at(75, regression(loop), crash), nothing, "test")  # step 105, after logging steps 50 and 100

    again = small_loop(tmp_path)
    again.resume()
    assert again.step == 30
    again.run(regression(again), nothing, "test")
    assert_same(weights(again), uninterrupted)
    assert logged_steps(tmp_path) == [50, 100, 120], "what was logged twice is there once"


def test_checkpoints_are_written_along_the_way(tmp_path: Path) -> None:
    loop, saved = small_loop(tmp_path, steps=4, checkpoint_every_s=-1.0), []
    loop.run(regression(loop), lambda: saved.append(loop.step), "test")
    assert saved == [1, 2, 3, 4, 4]


def test_a_finished_run_that_is_resumed_does_nothing(tmp_path: Path) -> None:
    loop = small_loop(tmp_path, steps=5)
    loop.run(regression(loop), nothing, "test")
    again = small_loop(tmp_path, steps=5, seed=1)
    again.resume()
    again.run(do_at(1, regression(again), lambda: pytest.fail("a step was taken")), nothing, "test")
    assert_same(weights(again), weights(loop))


def test_the_averaged_weights_follow_their_formula(tmp_path: Path) -> None:
    loop = small_loop(tmp_path, steps=60, ema_decay=0.8)
    after: list[Tensor] = []
    loss = regression(loop)

    def watched(generator: torch.Generator, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        after.append(loop.module.state_dict()["weight"].clone())
        return loss(generator, step)

    loop.run(watched, nothing, "test")
    after.append(loop.module.state_dict()["weight"])
    average = after[0].double()
    for step, weight in enumerate(after[1:]):
        decay = min(0.8, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * weight
    torch.testing.assert_close(loop.averaged.state_dict()["weight"].double(), average, rtol=1e-5, atol=1e-6)


def test_the_learning_rate_warms_up_and_decays_by_a_cosine() -> None:
    config = LoopConfig(steps=1_000, learning_rate=0.1, warmup_steps=100)
    for step in range(1_000):
        warm = (step + 1) / 100 if step < 100 else 1.0
        assert config.rate(step) == pytest.approx(0.1 * warm * math.cos(math.pi * step / 2_000) ** 2)


def test_the_learning_rate_can_decay_linearly() -> None:
    config = LoopConfig(steps=1_000, learning_rate=0.1, decay="linear", warmup_steps=0)
    for step in (0, 1, 500, 999):
        assert config.rate(step) == pytest.approx(0.1 * (1 - step / 1_000))


def test_the_loss_and_what_follows_a_step_are_given_the_progress(tmp_path: Path) -> None:
    loop, told, after = small_loop(tmp_path, steps=4), [], []
    loss = regression(loop)

    def counted(generator: torch.Generator, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        told.append(step)
        return loss(generator, step)

    loop.run(counted, nothing, "test", lambda step, _generator, _averaged: after.append(step))
    assert told == [0, 1, 2, 3]
    assert after == [1, 2, 3, 4]


@pytest.mark.parametrize("steps", [70, 50])
def test_weights_that_are_not_finite_never_replace_a_checkpoint(tmp_path: Path, steps: int) -> None:
    """The run is stopped at step 20, goes on, and diverges at step 30; no later than step 50 that is noticed."""
    loop = small_loop(tmp_path, steps=steps)
    with pytest.raises(KeyboardInterrupt):
        loop.run(do_at(20, regression(loop), lambda: os.kill(os.getpid(), signal.SIGINT)), nothing, "test")
    loop = small_loop(tmp_path, steps=steps)
    loop.resume()
    good, before = regression(loop), (tmp_path / STATE_FILE).read_bytes()

    def diverging(generator: torch.Generator, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        value, scalars = good(generator, step)
        return value * (math.nan if step == 30 else 1.0), scalars

    with pytest.raises(ConfigurationError, match=r"diverged: at step 50 .* learning rate below 0.05"):
        loop.run(diverging, lambda: pytest.fail("it was saved"), "test")
    assert (tmp_path / STATE_FILE).read_bytes() == before


def test_it_finds_the_answer(tmp_path: Path) -> None:
    loop = small_loop(tmp_path, steps=400, ema_decay=0.9)
    loop.run(regression(loop), nothing, "test")
    averaged = loop.averaged.state_dict()
    torch.testing.assert_close(averaged["weight"], torch.ones(1, 3), rtol=0, atol=0.05)
    torch.testing.assert_close(averaged["bias"], torch.full((1,), 2.0), rtol=0, atol=0.05)


@pytest.mark.parametrize("steps", [0, -3])
def test_a_run_without_steps_is_refused(tmp_path: Path, steps: int) -> None:
    with pytest.raises(ConfigurationError, match=f"{steps} training steps"):
        small_loop(tmp_path, steps=steps)


def test_a_state_of_another_model_is_refused(tmp_path: Path) -> None:
    loop = small_loop(tmp_path, steps=2)
    loop.run(regression(loop), nothing, "test")
    other = TrainingLoop(tmp_path, nn.Linear(4, 1), LoopConfig(2, 0.1), 0)
    with pytest.raises(CheckpointError, match="does not belong to this run"):
        other.resume()


@pytest.mark.parametrize("missing", ["generator", "dropout", "exp_avg.weight", "averaged.bias"])
def test_a_state_that_lacks_something_is_refused(tmp_path: Path, missing: str) -> None:
    loop = small_loop(tmp_path, steps=2)
    loop.run(regression(loop), nothing, "test")
    tensors, header = load_tensors(tmp_path / STATE_FILE)
    del tensors[missing]
    save_tensors(tmp_path / STATE_FILE, tensors, header)
    with pytest.raises(CheckpointError, match="does not belong to this run"):
        small_loop(tmp_path, steps=2).resume()


def test_a_truncated_state_is_refused(tmp_path: Path) -> None:
    loop = small_loop(tmp_path, steps=2)
    loop.run(regression(loop), nothing, "test")
    content = (tmp_path / STATE_FILE).read_bytes()
    (tmp_path / STATE_FILE).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match="is truncated"):
        small_loop(tmp_path, steps=2).resume()


def interrupt_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send SIGINT while a step of the next run is computed."""
    run = TrainingLoop.run

    def interrupted(self: TrainingLoop, loss: LossFunction, *rest: Any) -> None:
        monkeypatch.setattr(TrainingLoop, "run", run)
        run(self, do_at(step, loss, lambda: os.kill(os.getpid(), signal.SIGINT)), *rest)

    monkeypatch.setattr(TrainingLoop, "run", interrupted)


def train(folder: Path, resume: bool, **settings: Any) -> None:
    train_teacher(small_demonstrations(), folder, TrainConfig(**{**SMALL, **settings}), resume=resume)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    train(folder, resume=False, goal_length=2)
    return folder


def distillation(teacher: Path) -> Callable[..., None]:
    def distil_teacher(folder: Path, resume: bool, **settings: Any) -> None:
        small = {name: value for name, value in SMALL.items() if name != "history"}
        config = DistilConfig(**{**small, "experts": 4, "pool_samples": 2, "pool_copies": 1, **settings})
        distil(teacher, small_demonstrations(), folder, config, resume=resume)

    return distil_teacher


@pytest.fixture(params=["train", "distil"])
def work(request: pytest.FixtureRequest, teacher: Path) -> Callable[..., None]:
    """Return a training or a distillation, as a function of (folder, resume, settings)."""
    return train if request.param == "train" else distillation(teacher)


def assert_resumes(folder: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[..., None], settings: Any) -> None:
    """Compare an uninterrupted run with one that is interrupted at step 17 and resumed."""
    work(folder / "whole", resume=False, **settings)
    interrupt_at(17, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        work(folder / "parts", resume=False, **settings)
    assert load_model(folder / "parts")[0].steps == 17
    torch.manual_seed(99)
    work(folder / "parts", resume=True, **settings)
    metadata, tensors = load_model(folder / "whole")
    again, resumed = load_model(folder / "parts")
    assert again == metadata
    assert_same(resumed, tensors)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"teacher": "beso", "goal_length": 2, "horizon": 3},
        {"backbone": "gpt", "dropout": 0.2},
        {"backbone": "gpt", "teacher": "beso", "decay": "linear", "ema_decay": 0.9, "precision": "bfloat16"},
    ],
    ids=str,
)
def test_training_resumes_bit_by_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]) -> None:
    assert_resumes(tmp_path, monkeypatch, train, settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"gating_every": 4},
        {"gating_every": 20},
        {"revive_every": 5, "revive_below": 0.9, "gating_every": 2},
        {"gating": "uniform", "expert_start": "kmeans", "noise_scheme": "anneal"},
        {"update": "paper", "covariance": "full", "head_layers": 1, "detach_gating": True},
        {"backbone": "gpt", "dropout": 0.2, "samples": 2},
        {"gating_on": "data", "decay": "linear", "noise_scheme": "uniform"},
    ],
    ids=str,
)
def test_distilling_resumes_bit_by_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, teacher: Path, settings: dict[str, Any]
) -> None:
    assert_resumes(tmp_path, monkeypatch, distillation(teacher), settings)


def test_the_seed_decides(tmp_path: Path, work: Callable[..., None]) -> None:
    for name, seed in (("one", 5), ("same", 5), ("other", 6)):
        work(tmp_path / name, resume=False, seed=seed)
    one, same, other = (load_model(tmp_path / name)[1] for name in ("one", "same", "other"))
    assert_same(one, same)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_resuming_with_other_settings_is_refused(tmp_path: Path, work: Callable[..., None]) -> None:
    work(tmp_path, resume=False)
    with pytest.raises(CheckpointError, match=r"other settings \(batch 8 -> 9\)"):
        work(tmp_path, resume=True, batch=9)
    with pytest.raises(CheckpointError, match="already holds a run"):
        work(tmp_path, resume=False)


def test_resuming_with_other_demonstrations_is_refused(tmp_path: Path) -> None:
    train(tmp_path, resume=False)
    config = TrainConfig(**SMALL)
    with pytest.raises(CheckpointError, match=r"other settings .*data_sha256"):
        train_teacher(small_demonstrations(seed=1), tmp_path, config, resume=True)
