"""`vdd benchmark methods`: its records, and recovery from interruptions, failures and deaths of its workers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from terminal import OnTerminal

from vdd_ros.benchmark.methods.clock import read_json, read_seconds, timed
from vdd_ros.benchmark.methods.inference_times import measure_trials
from vdd_ros.benchmark.methods.matrix import Model, Trial
from vdd_ros.benchmark.methods.results import KEYS, read_results
from vdd_ros.benchmark.methods.runner import Runner
from vdd_ros.cli.main import main
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.fit.checkpoint import STATE_FILE, load_tensors
from vdd_ros.learning.fit.metadata import CheckpointMetadata
from vdd_ros.learning.kinds import DIFFUSION
from vdd_ros.learning.methods.trainer import Trainer
from vdd_ros.locks import LOCK_FILE, holding
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.tasks import get_task

DEADLINE_S = 600.0
METHODS = ["beso", "beso-1", "em", "vdd-beso"]
Capture = pytest.CaptureFixture[str]
T = TypeVar("T")


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demos")
    get_task("avoiding").demonstrate(2, 0, lambda: None).save(folder)
    return folder


def command(demos: Path, work: Path, *methods: str, steps: int = 3) -> list[str]:
    """Return a tiny benchmark."""
    fixed = ["--seeds", "1", "--backbone", "mlp", "--rollouts", "4", "--device", "cpu"]
    files = ["--demos", str(demos), "--work", str(work)]
    return ["benchmark", "methods", "--methods", *methods, "--steps", str(steps), *fixed, *files]


def start(argv: list[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "vdd_ros.cli.main", *argv],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(happened: Callable[[], T | None], process: subprocess.Popen[str]) -> T:
    """Wait for something, and return it."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := happened()):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def trainings(work: Path) -> dict[str, int]:
    """Return how often the training of each model was started."""
    folders = (work / "models").glob("*/checkpoint/tensorboard")
    return {folder.parents[1].name.rpartition("-")[0]: len(list(folder.glob("events*"))) for folder in folders}


def methods_in(work: Path) -> list[str]:
    return sorted(record["method"] for record in read_results(work / "benchmark.json"))


@pytest.fixture(scope="module")
def finished(demos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("finished")
    assert main(command(demos, work, *METHODS)) == 0
    return work


def test_each_cell_is_one_object_with_all_that_was_asked_for(finished: Path) -> None:
    records = {record["method"]: record for record in read_results(finished / "benchmark.json")}
    assert sorted(records) == sorted(METHODS)
    assert all(set(KEYS) <= set(record) for record in records.values())
    assert [records[name]["steps"] for name in METHODS] == [8, 1, 1, 1]
    assert [records[name]["teacher"] for name in METHODS] == ["beso", "beso", None, "beso"]
    assert [records[name]["experts"] for name in METHODS] == [None, None, 24, 24]
    for record in records.values():
        assert record["rollouts"] == 4
        low, high = record["inference_s_interval"] or (0.0, 0.0)
        assert 0 < low <= (record["inference_s_p50"] or 0.0) <= high
        assert record["settings"]["steps"] == 3
    assert len({record["inference_at"] for record in records.values()}) == 1


def test_a_cell_has_the_outcome_of_each_context(finished: Path) -> None:
    for record in read_results(finished / "benchmark.json"):
        assert record["by_context"] == [[round(4 * record["success"]), 4]]
        assert record["entropy_by_context"] == [record["entropy"]]
        assert (record["contexts"], record["contexts_sha256"], record["milestones"], record["style"]) == (
            1,
            None,
            {},
            None,
        )
        assert (record["returns"], record["returns_interval"]) == (None, None)
        assert record["entropy_estimate"] >= 0


def test_train_s_is_the_teachers_and_distil_s_the_students_own(finished: Path) -> None:
    records = {record["method"]: record for record in read_results(finished / "benchmark.json")}
    assert records["vdd-beso"]["train_s"] == records["beso"]["train_s"] == records["beso-1"]["train_s"] > 0
    assert (records["vdd-beso"]["distil_s"] or 0.0) > 0
    assert records["em"]["train_s"] > 0
    assert [records[name]["distil_s"] for name in ("beso", "beso-1", "em")] == [None] * 3


def test_a_cell_names_the_policy_that_was_measured(finished: Path) -> None:
    for record in read_results(finished / "benchmark.json"):
        file = finished / "trials" / record["key"] / "policy.onnx"
        assert sha256(file.read_bytes()).hexdigest() == record["policy_sha256"]
        assert file.stat().st_size == record["policy_bytes"]
        spec = OnnxPolicy.load(file).spec
        assert (spec.teacher_sha256, spec.sampling_steps or 1) == (record["teacher_sha256"], record["steps"])


def test_a_model_that_several_cells_share_is_trained_once(finished: Path) -> None:
    assert trainings(finished) == {f"avoiding-{name}-mlp-0": 1 for name in ("beso", "em", "vdd-beso")}


def test_what_is_finished_is_not_done_again(finished: Path, demos: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in finished.glob("*/*/*.json")}
    content = (finished / "benchmark.json").read_text()
    (finished / "benchmark.json").unlink()
    assert main(command(demos, finished, *METHODS)) == 0
    assert {file: file.stat().st_mtime_ns for file in finished.glob("*/*/*.json")} == before
    assert (finished / "benchmark.json").read_text() == content


def test_the_report_alone_runs_nothing(finished: Path, tmp_path: Path, capsys: Capture) -> None:
    argv = [
        "benchmark",
        "methods",
        "--report-only",
        "--results",
        str(finished / "benchmark.json"),
        "--report",
        str(tmp_path),
    ]
    assert main([*argv, "--work", str(tmp_path / "work")]) == 0
    assert "BESO teacher, 8 steps" in capsys.readouterr().out
    assert (tmp_path / "benchmark_avoiding_mlp_methods.png").exists()
    assert not (tmp_path / "work").exists()


def test_times_are_measured_again_for_all_once_a_cell_is_new(finished: Path) -> None:
    folders = sorted((finished / "trials").iterdir())
    old = {record["inference_at"] for record in measure_trials(folders)}
    file = folders[0] / "trial.json"
    file.write_text(json.dumps((read_json(file) or {}) | {"inference_at": None}))
    new = {record["inference_at"] for record in measure_trials(folders)}
    assert len(old) == len(new) == 1
    assert old != new


def test_an_interrupted_training_goes_on_where_it_stopped(demos: Path, tmp_path: Path) -> None:
    argv = command(demos, tmp_path, "beso", steps=120)
    command_line = OnTerminal(argv, {"OMP_NUM_THREADS": "1"})
    try:
        command_line.read_until(r"beso:.* [1-9]\d*/120")
        command_line.process.send_signal(signal.SIGTERM)
        assert command_line.read_to_the_end() == 143
    finally:
        command_line.kill()
    assert "0 of 1 trials are finished" in command_line.said
    assert "the same command continues" in command_line.said
    (folder,) = (tmp_path / "models").iterdir()
    done = json.loads(load_tensors(folder / "checkpoint" / STATE_FILE)[1])["step"]
    assert 0 < done < 120
    before = read_seconds(folder / "clock.json")
    assert main(argv) == 0
    assert DIFFUSION.load(folder / "checkpoint")[1].steps == 120
    (record,) = read_results(tmp_path / "benchmark.json")
    assert record["train_s"] == read_seconds(folder / "clock.json") > before > 0


def test_a_kill_between_cells_loses_nothing(demos: Path, tmp_path: Path) -> None:
    argv = command(demos, tmp_path, "beso", "em")
    process = start(argv)
    wait_until(lambda: read_results(tmp_path / "benchmark.json"), process)
    process.kill()
    process.communicate()
    first = read_results(tmp_path / "benchmark.json")[0]
    assert main(argv) == 0
    assert methods_in(tmp_path) == ["beso", "em"]
    again = next(record for record in read_results(tmp_path / "benchmark.json") if record["method"] == "beso")
    assert again["finished_at"] == first["finished_at"]
    assert trainings(tmp_path)["avoiding-beso-mlp-0"] == 1


def test_the_work_of_another_command_is_left_to_it(demos: Path, tmp_path: Path, capsys: Capture) -> None:
    with holding(tmp_path):
        assert main(command(demos, tmp_path, "em")) == 2
    assert f"is in use by process {os.getpid()}" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("where", [["--jobs", "2"], ["--jobs", "2", "--ray", "local"]], ids=["processes", "ray"])
def test_two_workers_share_the_work_and_what_a_killed_one_did_is_restarted(
    demos: Path, tmp_path: Path, where: list[str]
) -> None:
    if "--ray" in where:
        pytest.importorskip("ray")
    process = start([*command(demos, tmp_path, "beso", "em", steps=60), *where])
    try:
        os.kill(wait_until(lambda: holder_of_a_run(tmp_path), process), signal.SIGKILL)
        errors = process.communicate()[1]
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert errors.count("its worker died; it runs again") == 1
    assert methods_in(tmp_path) == ["beso", "em"]
    assert all(record["settings"]["steps"] == 60 for record in read_results(tmp_path / "benchmark.json"))


def holder_of_a_run(work: Path) -> int | None:
    """Return a process that trains."""
    for lock in (work / "models").glob(f"*/checkpoint/{LOCK_FILE}"):
        with suppress(OSError, IndexError):
            return int(lock.read_text().split()[0])
    return None


@pytest.fixture
def runner(demos: Path, tmp_path: Path) -> Runner:
    return Runner(tmp_path, {"avoiding": demos}, 4, 3, "cpu")


def test_the_key_says_what_the_figures_depend_on(runner: Runner, demos: Path) -> None:
    trial = Trial("vdd-beso", Model.of("avoiding", "vdd-beso", "mlp", 0))
    other = Runner(runner.work, runner.data, rollouts=5, steps=3, device="auto")
    longer = Runner(runner.work, runner.data, rollouts=4, steps=4, device="cpu")
    assert runner.folder(trial) != other.folder(trial)
    assert runner.model_folder(trial.model) == other.model_folder(trial.model)
    assert runner.model_folder(trial.model) != longer.model_folder(trial.model)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Make teachers fail; gives the folders in which one was to be trained."""
    tried: list[Path] = []

    run = Trainer.run

    def fail(self: Trainer, demonstrations: DemonstrationSet, folder: Path, **where: Any) -> CheckpointMetadata:
        if self.method.structure != "diffusion":
            return run(self, demonstrations, folder, **where)
        tried.append(folder)
        raise ValueError("no such luck")

    monkeypatch.setattr(Trainer, "run", fail)
    yield tried


def test_a_failure_is_reported_once_and_the_others_go_on(
    demos: Path, tmp_path: Path, broken: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    argv = command(demos, tmp_path, "beso", "beso-1", "vdd-beso", "em")
    assert main(argv) == 1
    assert len(broken) == 1
    assert methods_in(tmp_path) == ["em"]
    assert capsys.readouterr().err.count("\nfailed: training of avoiding-beso-mlp-0: ValueError('no such luck')") == 1
    (note,) = (tmp_path / "models").glob("avoiding-beso*/failure.json")
    assert "Traceback" in note.read_text()
    monkeypatch.undo()
    assert main(command(demos, tmp_path, "beso")) == 0
    assert methods_in(tmp_path) == ["beso", "em"]
    assert len({record["inference_at"] for record in read_results(tmp_path / "benchmark.json")}) == 1
    assert not note.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds", "0"], "--seeds is 0"),
        (["--rollouts", "0"], "--rollouts is 0"),
        (["--jobs", "0"], "--jobs is 0"),
        (["--ablation-seeds", "-1"], "--ablation-seeds is -1"),
        (["--tasks", "no-such-task"], "unknown task 'no-such-task'"),
        (["--tasks", "avoiding", "other"], "--demos"),
        (["--tasks", "avoiding:human"], "--demos"),
        (["--tasks", "avoiding:tidy"], "--demos"),
        (["--demos", "no-such-folder"], "no-such-folder"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    options: list[str], message: str, demos: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert main([*command(demos, tmp_path, "em"), *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{", "[]", '{"seconds": "3"}', '{"seconds": -1}', '{"seconds": NaN}', "{}"])
def test_a_clock_that_was_damaged_is_reported(tmp_path: Path, content: str) -> None:
    (tmp_path / "clock.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"clock\.json"):
        read_seconds(tmp_path / "clock.json")


def test_a_clock_goes_on_through_failures(tmp_path: Path) -> None:
    file = tmp_path / "clock.json"
    assert read_seconds(file) == 0.0
    readings = []
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt), timed(file):
            raise KeyboardInterrupt
        readings.append(read_seconds(file))
    assert 0 < readings[0] < readings[1] < readings[2]
