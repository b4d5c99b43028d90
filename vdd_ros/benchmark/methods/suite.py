"""The driver of `vdd benchmark methods`: gives models and cells to workers, and alone writes what they return."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vdd_ros.benchmark.methods.inference_times import measure_cells
from vdd_ros.benchmark.methods.maker import CELL_FILE, FAILURE_FILE, TRAINED_FILE, Maker
from vdd_ros.benchmark.methods.matrix import Cell, Model
from vdd_ros.benchmark.methods.results import Record, merge_results, read_results
from vdd_ros.benchmark.methods.schedule import Step, run_steps
from vdd_ros.console import tell
from vdd_ros.data.demonstrations import FILE_NAME, DemonstrationSet
from vdd_ros.documents import write_json
from vdd_ros.errors import ProcessError
from vdd_ros.evaluation.compatibility import check_demonstrations
from vdd_ros.evaluation.demonstrations import make_demonstrations
from vdd_ros.progress import Progress, progress
from vdd_ros.tasks import get_task
from vdd_ros.workers import Result, Workers, worker_number


def find_demonstrations(tasks: Sequence[str], given: Path | None, work: Path, workers: Workers) -> dict[str, Path]:
    """Return the folder of each task's demonstrations, which are made where they are missing.

    Args:
        tasks: Names.
        given: Folder of the demonstrations of the one task, or None for those in `work`.
        work: Folder of the work.
        workers: Who makes them.

    Raises:
        VddError: A task is unknown, a set does not fit its task or cannot be made.
    """
    specs = {name: get_task(name).spec for name in tasks}
    folders = {name: given or work / "demos" / name for name in tasks}
    for name, folder in folders.items():
        if given is None and not (folder / FILE_NAME).exists():
            workers.submit(f"demonstrations of {name}", _demonstrate, (name, folder))
    for result in workers.results():
        if result.failure is not None:
            raise ProcessError(result.failure)
    for name, folder in folders.items():
        check_demonstrations(DemonstrationSet.load(folder).header, specs[name])
    return folders


def run_cells(cells: Sequence[Cell], maker: Maker, results: Path, workers: Workers) -> dict[str, str]:
    """Make the cells that are not finished; each goes to the results at once.

    Returns:
        Why cells failed, by label.

    Raises:
        KeyboardInterrupt: The command was interrupted; what is done so far is kept.
    """
    for cell in cells:
        if record := maker.finished(cell):
            merge_results(results, [record])
    left = [cell for cell in cells if maker.finished(cell) is None]
    with progress(len(cells), "cells", "cell", initial=len(cells) - len(left)) as bar:
        driver = _Driver(left, maker, results, bar)
        try:
            run_steps(list(driver.steps()), workers, driver.keep)
        except KeyboardInterrupt:
            tell(f"{bar.n} of {len(cells)} cells are finished; all is kept in {maker.work}, the same command goes on")
            raise
    return driver.failed


@dataclass
class _Driver:
    """Knows which step is which, and keeps what comes of it."""

    cells: Sequence[Cell]
    maker: Maker
    results: Path
    bar: Progress

    def __post_init__(self) -> None:
        self.failed: dict[str, str] = {}
        self._models = {_training(model): model for model in _models(self.cells)}
        self._by_label = {cell.label: cell for cell in self.cells}

    def steps(self) -> Iterator[Step]:
        """Yield the trainings that have not ended, teachers first, then the cells."""
        for key, model in self._models.items():
            if self.maker.trained(model) is None:
                needs = (_training(model.teacher),) if model.teacher else ()
                yield Step(key, _train, (self.maker, model), needs)
        for cell in self.cells:
            yield Step(cell.label, _measure, (self.maker, cell), (_training(cell.model),))

    def keep(self, result: Result) -> None:
        """Write what a worker returned."""
        if result.key in self._models:
            self._keep_in(self.maker.model_folder(self._models[result.key]), TRAINED_FILE, result)
            return
        cell = self._by_label[result.key]
        self._keep_in(self.maker.folder(cell), CELL_FILE, result)
        self.bar.update(result.failure is None)
        if result.failure is None:
            merge_results(self.results, [result.value])
            text = f"success {result.value['success']:.3f}, entropy {result.value['entropy']:.3f}"
        else:
            self.failed[cell.label] = result.failure
            text = f"failed: {result.failure}"
        self.bar.write(f"{cell.label}: {text}", file=sys.stderr)

    def _keep_in(self, folder: Path, name: str, result: Result) -> None:
        if result.failure is None:
            write_json(folder / name, result.value)
            (folder / FAILURE_FILE).unlink(missing_ok=True)
        elif result.failure.startswith(f"{result.key}: "):  # else it is that of a step that this one needs
            note = {"at": time.time(), "message": result.failure, "traceback": result.details}
            write_json(folder / FAILURE_FILE, note)


def measure_latency(maker: Maker, results: Path) -> None:
    """Measure the inference times of all cells of the results; nothing else should run meanwhile."""
    folders = [maker.cells / record["key"] for record in read_results(results)]
    merge_results(results, measure_cells(folders))


def train_alone(maker: Maker, model: Model) -> Path:
    """Return the checkpoint of a model, trained here unless it has ended, its teacher first."""
    if model.teacher is not None:
        train_alone(maker, model.teacher)
    if maker.trained(model) is None:
        write_json(maker.model_folder(model) / TRAINED_FILE, maker.train(model))
    return maker.checkpoint(model)


def _models(cells: Iterable[Cell]) -> list[Model]:
    """Return the models of cells, each once and after its teacher."""
    found: dict[str, Model] = {}
    for cell in cells:
        for model in (cell.model.teacher, cell.model):
            if model is not None:
                found.setdefault(model.label, model)
    return list(found.values())


def _training(model: Model) -> str:
    """Return the name of the step that trains a model."""
    return f"training of {model.label}"


def _train(payload: tuple[Maker, Model]) -> dict[str, Any]:
    maker, model = payload
    if torch.cuda.is_available():
        torch.cuda.set_device(worker_number() % torch.cuda.device_count())
    return maker.train(model)


def _measure(payload: tuple[Maker, Cell]) -> Record:
    maker, cell = payload
    return maker.measure(cell)


def _demonstrate(payload: tuple[str, Path]) -> None:
    name, folder = payload
    make_demonstrations(get_task(name), folder)
