"""The driver of `vdd benchmark methods`: passes models and trials to workers; only it writes their results."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from vdd_ros.benchmark.methods.data_names import file_name, split_name
from vdd_ros.benchmark.methods.inference_times import measure_trials
from vdd_ros.benchmark.methods.matrix import Model, Trial
from vdd_ros.benchmark.methods.results import Record, merge_results, read_results
from vdd_ros.benchmark.methods.runner import FAILURE_FILE, TRAINED_FILE, TRIAL_FILE, Runner, Training
from vdd_ros.benchmark.methods.schedule import Step, run_steps
from vdd_ros.console import tell
from vdd_ros.data.demonstrations import FILE_NAME, DemonstrationSet
from vdd_ros.documents import write_json
from vdd_ros.evaluation.compatibility import check_demonstrations
from vdd_ros.evaluation.demonstrations import make_demonstrations
from vdd_ros.progress import Progress, progress
from vdd_ros.tasks import get_task
from vdd_ros.workers import Result, Workers, worker_number


def find_demonstrations(tasks: Sequence[str], given: Path | None, work: Path, workers: Workers) -> dict[str, Path]:
    """Return the folder of the demonstrations of each name; make those that are missing.

    Args:
        tasks: TASK or TASK:STYLE each.
        given: Folder of the demonstrations of a single task; None for those in `work`.
        work: Work folder.
        workers: Make the demonstrations.

    Raises:
        VddError: A task or style is unknown, or demonstrations do not fit their task or cannot be made.
    """
    parts = {name: split_name(name) for name in tasks}
    known = {name: get_task(task) for name, (task, _) in parts.items()}
    folders = {name: given or work / "demos" / file_name(*part) for name, part in parts.items()}
    for name, folder in folders.items():
        if given is None and not (folder / FILE_NAME).exists():
            make_demonstrations(known[name], folder, pool=workers, style=parts[name][1])
    for name, folder in folders.items():
        check_demonstrations(DemonstrationSet.load(folder).header, known[name].spec)
    return folders


def run_trials(trials: Sequence[Trial], runner: Runner, results: Path, workers: Workers) -> dict[str, str]:
    """Run the trials that are not finished; add each to the results as soon as it is.

    Returns:
        Label of each failed trial to the reason.

    Raises:
        KeyboardInterrupt: The command was interrupted; finished steps are kept.
    """
    for trial in trials:
        if record := runner.finished(trial):
            merge_results(results, [record])
    left = [trial for trial in trials if runner.finished(trial) is None]
    with progress(len(trials), "trials", "trial", initial=len(trials) - len(left)) as bar:
        driver = _Driver(left, runner, results, bar)
        try:
            run_steps(list(driver.steps()), workers, driver.keep)
        except KeyboardInterrupt:
            tell(f"{bar.n} of {len(trials)} trials are finished, in {runner.work}; the same command continues")
            raise
    return driver.failed


@dataclass
class _Driver:
    """Makes the steps and keeps their results."""

    trials: Sequence[Trial]
    runner: Runner
    results: Path
    bar: Progress

    def __post_init__(self) -> None:
        self.failed: dict[str, str] = {}
        self._models = {_training(model): model for model in _models(self.trials)}
        self._by_label = {trial.label: trial for trial in self.trials}

    def steps(self) -> Iterator[Step]:
        """Yield the trainings that have not ended, teachers first, then the trials."""
        for key, model in self._models.items():
            if self.runner.trained(model) is None:
                needs = (_training(model.teacher),) if model.teacher else ()
                yield Step(key, _train, (self.runner, model), needs)
        for trial in self.trials:
            yield Step(trial.label, _measure, (self.runner, trial), (_training(trial.model),))

    def keep(self, result: Result) -> None:
        """Write the result of a step."""
        if result.key in self._models:
            self._keep_in(self.runner.model_folder(self._models[result.key]), TRAINED_FILE, result)
            return
        trial = self._by_label[result.key]
        self._keep_in(self.runner.folder(trial), TRIAL_FILE, result)
        self.bar.update(result.failure is None)
        if result.failure is None:
            merge_results(self.results, [result.value])
            text = f"success {result.value['success']:.3f}, entropy {result.value['entropy']:.3f}"
        else:
            self.failed[trial.label] = result.failure
            text = f"failed: {result.failure}"
        self.bar.write(f"{trial.label}: {text}", file=sys.stderr)

    def _keep_in(self, folder: Path, name: str, result: Result) -> None:
        if result.failure is None:
            write_json(folder / name, result.value)
            (folder / FAILURE_FILE).unlink(missing_ok=True)
        elif result.failure.startswith(f"{result.key}: "):  # else it is that of a step that this one needs
            note = {"at": time.time(), "message": result.failure, "traceback": result.details}
            write_json(folder / FAILURE_FILE, note)


def measure_latency(runner: Runner, results: Path) -> None:
    """Measure the inference times of all trials in the results; nothing else should run meanwhile."""
    folders = [runner.trials / record["key"] for record in read_results(results)]
    merge_results(results, measure_trials(folders))


def train_alone(runner: Runner, model: Model) -> Path:
    """Return the checkpoint of a model; train it in this process if it is missing, its teacher first."""
    if model.teacher is not None:
        train_alone(runner, model.teacher)
    if runner.trained(model) is None:
        write_json(runner.model_folder(model) / TRAINED_FILE, runner.train(model))
    return runner.checkpoint(model)


def _models(trials: Iterable[Trial]) -> list[Model]:
    """Return the models of trials, each once and after its teacher."""
    found: dict[str, Model] = {}
    for trial in trials:
        for model in (trial.model.teacher, trial.model):
            if model is not None:
                found.setdefault(model.label, model)
    return list(found.values())


def _training(model: Model) -> str:
    """Return the name of the step that trains a model."""
    return f"training of {model.label}"


def _train(payload: tuple[Runner, Model]) -> Training:
    runner, model = payload
    if torch.cuda.is_available():
        torch.cuda.set_device(worker_number() % torch.cuda.device_count())
    return runner.train(model)


def _measure(payload: tuple[Runner, Trial]) -> Record:
    runner, trial = payload
    return runner.measure(trial)
