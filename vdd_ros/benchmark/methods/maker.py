"""How a cell is made: its model trained, its policy file written, its rollouts counted, each step kept at once."""

import hashlib
import json
import subprocess
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

import torch

from vdd_ros.benchmark.methods.locks import holding, read_json, read_seconds, timed
from vdd_ros.benchmark.methods.matrix import Cell, Model
from vdd_ros.benchmark.methods.results import Record, merge_results
from vdd_ros.benchmark.methods.training import lasting_settings, make_config, train
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.documents import write_json
from vdd_ros.errors import ProcessError, VddError
from vdd_ros.evaluation.compatibility import goals_of
from vdd_ros.evaluation.rollouts import evaluate_policy
from vdd_ros.host.facts import machine_facts
from vdd_ros.learning.export.export import export
from vdd_ros.learning.fit.checkpoint import model_sha256
from vdd_ros.learning.fit.run_folder import versions
from vdd_ros.learning.methods.configs import ExportConfig
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.tasks import get_task

CELL_FILE = "cell.json"
POLICY_FILE = "policy.onnx"
CHECKPOINT = "checkpoint"
KEYED_VERSIONS = ("vdd_ros", "torch")

_CLOCK = "clock.json"
_TRAINED = "trained.json"
_FAILURE = "failure.json"


class BusyError(Exception):
    """Another process is making what is needed; the message says what."""


@dataclass(frozen=True)
class Maker:
    """Makes cells in a folder that several processes may share; what is finished stays finished.

    Attributes:
        work: The folder.
        results: File that each finished cell is added to.
        demonstrations: By task.
        rollouts: Episodes of each cell.
        steps: Training steps, or None for as many as usual.
        device: `auto`, `cpu` or `cuda`.
        started: What failed since is not tried again, seconds since the epoch.
    """

    work: Path
    results: Path
    demonstrations: Mapping[str, DemonstrationSet]
    rollouts: int
    steps: int | None = None
    device: str = "auto"
    started: float = field(default_factory=time.time)

    @property
    def cells(self) -> Path:
        """The folder of all cells, shared by those who make one, and held alone by who measures times."""
        return self.work / "cells"

    def folder(self, cell: Cell) -> Path:
        """Return the folder of a cell, whose name has the key of all that its figures depend on."""
        content = {"model": self._model_key(cell.model), "rollouts": self.rollouts, **cell.sampling}
        return self.cells / f"{cell.label}-{_digest(content)}"

    def model_folder(self, model: Model) -> Path:
        """Return the folder of a model, whose name has its key."""
        return self.work / "models" / f"{model.label}-{self._model_key(model)}"

    def finished(self, cell: Cell) -> Record | None:
        """Return the record of a cell, or None if it is not finished."""
        return read_json(self.folder(cell) / CELL_FILE)

    def make(self, cell: Cell) -> Record:
        """Return the record of a cell, made now unless it is finished; it goes to the results at once.

        Raises:
            BusyError: Another process makes this cell or its model, or measures times.
            ProcessError: It fails, or has failed since the start; the message says why.
            KeyboardInterrupt: The process was interrupted; what is done so far is kept.
        """
        folder = self.folder(cell)
        with holding(self.cells, shared=True) as quiet, holding(folder) as mine:
            if not quiet or not mine:
                raise BusyError(cell.label if quiet else "the measurement of inference times")
            record = self.finished(cell)
            if record is None:
                with _noting_failure(folder, self.started, cell.label):
                    record = self._measure(cell, folder)
                    write_json(folder / CELL_FILE, record)
            merge_results(self.results, [record])
        return record

    def _model_key(self, model: Model) -> str:
        return _digest(
            {
                "method": model.source.method,
                "settings": lasting_settings(make_config(model, self.device, self.steps)),
                "data": self.demonstrations[model.task].sha256,
                "teacher": model.teacher and self._model_key(model.teacher),
                "versions": {name: versions()[name] for name in KEYED_VERSIONS},
            }
        )

    def checkpoint(self, model: Model) -> Path:
        """Return the checkpoint of a model, trained now unless it is finished."""
        folder = self.model_folder(model)
        if (folder / _TRAINED).exists():
            return folder / CHECKPOINT
        with holding(folder) as mine:
            if not mine:
                raise BusyError(model.label)
            if not (folder / _TRAINED).exists():
                with _noting_failure(folder, self.started, model.label):
                    self._train_in(folder, model)
        return folder / CHECKPOINT

    def _train_in(self, folder: Path, model: Model) -> None:
        teacher = self.checkpoint(model.teacher) if model.teacher else None
        config = make_config(model, self.device, self.steps)
        with timed(folder / _CLOCK):
            card = train(model, config, self.demonstrations[model.task], folder / CHECKPOINT, teacher)
        cuda = config.pick_device().type == "cuda"
        gpu = torch.cuda.get_device_name() if cuda else None
        trained = {
            "seconds": read_seconds(folder / _CLOCK),
            "settings": card.settings,
            "versions": card.versions,
            "machine": machine_facts() | {"threads": torch.get_num_threads(), "gpu": gpu},
            "commit": commit(),
            "sha256": model_sha256(folder / CHECKPOINT),
        }
        write_json(folder / _TRAINED, trained)

    def _measure(self, cell: Cell, folder: Path) -> Record:
        checkpoint = self.checkpoint(cell.model)
        file = folder / POLICY_FILE
        if not file.exists():
            export(checkpoint, file, ExportConfig(**cell.sampling, novelty=False))
        policy = OnnxPolicy.load(file, intra_op_threads=torch.get_num_threads())
        goals = goals_of(self.demonstrations[cell.model.task], policy.spec) if policy.spec.goal_length else None
        scores = evaluate_policy(policy, get_task(cell.model.task), self.rollouts, [cell.model.seed], goals=goals)
        return self._record(cell, policy, scores["pooled"])

    def _record(self, cell: Cell, policy: OnnxPolicy, score: dict[str, Any]) -> Record:
        model, spec = cell.model, policy.spec
        trained = self._trained(model)
        teacher = model.teacher and self._trained(model.teacher)
        return {
            "task": model.task,
            "backbone": model.backbone,
            "method": cell.method,
            "variant": model.variant,
            "seed": model.seed,
            "teacher": cell.teacher,
            "experts": spec.experts,
            "rollouts": score["rollouts"],
            "success": score["success_rate"],
            "success_interval": score["success_interval"],
            "entropy": score["entropy"],
            "entropy_interval": score["entropy_interval"],
            "modes_found": score["modes_found"],
            "modes": score["modes"],
            "ends": score["ends"],
            "steps": spec.sampling_steps or 1,
            "sampler": cell.sampling.get("sampler"),
            "schedule": cell.sampling.get("schedule"),
            "inference_s_p50": None,
            "inference_s_interval": None,
            "inference_at": None,
            "inference_machine": None,
            "train_s": (teacher or trained)["seconds"],
            "distil_s": trained["seconds"] if teacher else None,
            "machine": trained["machine"],
            "commit": trained["commit"],
            "settings": trained["settings"],
            "versions": trained["versions"],
            "data_sha256": spec.data_sha256,
            "teacher_sha256": spec.teacher_sha256,
            "policy_sha256": policy.sha256,
            "policy_bytes": policy.size,
            "key": self.folder(cell).name,
            "finished_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }

    def _trained(self, model: Model) -> dict[str, Any]:
        trained = read_json(self.model_folder(model) / _TRAINED)
        if trained is None:
            raise ProcessError(f"{self.model_folder(model)} was taken away while it was in use; run the command again")
        return trained


@contextmanager
def _noting_failure(folder: Path, started: float, label: str) -> Iterator[None]:
    """Turn what goes wrong into a ProcessError and a note, and refuse what has gone wrong since `started`."""
    file = folder / _FAILURE
    note = read_json(file)
    if note is not None and note["at"] >= started:
        raise ProcessError(note["message"])
    try:
        yield
    except BusyError:
        raise
    except Exception as error:
        known = isinstance(error, (VddError, OSError))
        message = str(error) if isinstance(error, ProcessError) else f"{label}: {error if known else repr(error)}"
        write_json(file, {"at": time.time(), "message": message, "traceback": traceback.format_exc()})
        raise ProcessError(message) from error
    file.unlink(missing_ok=True)


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


@cache
def commit() -> str | None:
    """Return the commit of this package's checkout, with -dirty if the package was changed since; None without one."""
    package = Path(__file__).parents[2]

    def git(*words: str) -> str:
        command = ["git", "-C", str(package), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("-dirty" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
