"""The steps of a trial: train its model, write its policy file, count its rollouts; each is kept at once."""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import TypedDict, cast

import torch

from vdd_ros.benchmark.methods.clock import read_json, read_seconds, timed
from vdd_ros.benchmark.methods.matrix import Model, Trial
from vdd_ros.benchmark.methods.results import Record, TrainingMachine, outcome
from vdd_ros.benchmark.methods.training import lasting_settings, make_config, train
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.documents import JsonObject
from vdd_ros.errors import ProcessError
from vdd_ros.evaluation.compatibility import goals_of
from vdd_ros.evaluation.contexts import contexts_of_episodes
from vdd_ros.evaluation.rollouts import EpisodesScore, evaluate_policy
from vdd_ros.host.facts import machine_facts
from vdd_ros.learning.export.export import export
from vdd_ros.learning.fit.checkpoint import model_sha256
from vdd_ros.learning.fit.run_folder import versions
from vdd_ros.learning.methods.configs import ExportConfig
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.tasks import get_task

TRIAL_FILE = "trial.json"
POLICY_FILE = "policy.onnx"
CHECKPOINT = "checkpoint"
TRAINED_FILE = "trained.json"
FAILURE_FILE = "failure.json"
KEYED_VERSIONS = ("vdd_ros", "torch")

_CLOCK = "clock.json"


class Training(TypedDict):
    """The training of a model.

    Attributes:
        seconds: Its time, s, over all processes that took part in it.
        settings, versions: As in the metadata of the checkpoint.
        machine: Machine on which it ended.
        commit: As `commit` returns it.
        sha256: Hash of the model.
    """

    seconds: float
    settings: JsonObject
    versions: dict[str, str]
    machine: TrainingMachine
    commit: str | None
    sha256: str


@dataclass(frozen=True)
class Runner:
    """Makes models and trials in a folder, each once. Can be pickled.

    Attributes:
        work: The folder; workers on other machines see it under the same path.
        data: TASK or TASK:STYLE to the folder of its demonstrations, which workers see too.
        rollouts: Episodes of each trial.
        steps: Training steps; None for the default of each method.
        device: `auto`, `cpu` or `cuda`.
    """

    work: Path
    data: Mapping[str, Path]
    rollouts: int
    steps: int | None = None
    device: str = "auto"

    @property
    def trials(self) -> Path:
        """The folder of all trials."""
        return self.work / "trials"

    def folder(self, trial: Trial) -> Path:
        """Return the folder of a trial; its name ends with a hash of all that the figures depend on."""
        content = {"model": self._model_key(trial.model), "rollouts": self.rollouts, **trial.sampling}
        return self.trials / f"{trial.label}-{_digest(content)}"

    def model_folder(self, model: Model) -> Path:
        """Return the folder of a model; its name ends with a hash of all that the model depends on."""
        return self.work / "models" / f"{model.label}-{self._model_key(model)}"

    def finished(self, trial: Trial) -> Record | None:
        """Return the record of a trial, or None if it is not finished."""
        return cast("Record | None", read_json(self.folder(trial) / TRIAL_FILE))

    def trained(self, model: Model) -> Training | None:
        """Return the record of a model's training, or None if it has not ended."""
        return cast("Training | None", read_json(self.model_folder(model) / TRAINED_FILE))

    def demonstrations(self, model: Model) -> DemonstrationSet:
        """Return the demonstrations that a model learns from."""
        return _load(self.data[model.data])

    def _model_key(self, model: Model) -> str:
        return _digest(
            {
                "method": model.source.method,
                "settings": lasting_settings(make_config(model, self.device, self.steps)),
                "data": self.demonstrations(model).sha256,
                "teacher": model.teacher and self._model_key(model.teacher),
                "versions": {name: versions()[name] for name in KEYED_VERSIONS},
            }
        )

    def checkpoint(self, model: Model) -> Path:
        """Return the folder of a model's checkpoint."""
        return self.model_folder(model) / CHECKPOINT

    def train(self, model: Model) -> Training:
        """Train a model, after its teacher, if any; continue where a stopped process left it.

        Returns:
            The record, which the caller keeps for `trained`.

        Raises:
            VddError: The training fails.
            KeyboardInterrupt: The training was interrupted; a checkpoint is kept.
        """
        folder = self.model_folder(model)
        teacher = self.checkpoint(model.teacher) if model.teacher else None
        config = make_config(model, self.device, self.steps)
        with timed(folder / _CLOCK):
            metadata = train(model, config, self.demonstrations(model), folder / CHECKPOINT, teacher)
        gpu = torch.cuda.get_device_name() if config.pick_device().type == "cuda" else None
        return {
            "seconds": read_seconds(folder / _CLOCK),
            "settings": metadata.settings,
            "versions": metadata.versions,
            "machine": {**machine_facts(), "threads": torch.get_num_threads(), "gpu": gpu},
            "commit": commit(),
            "sha256": model_sha256(folder / CHECKPOINT),
        }

    def measure(self, trial: Trial) -> Record:
        """Export the trained model of a trial, roll it out, and return the trial's record, without inference times."""
        file = self.folder(trial) / POLICY_FILE
        if not file.exists():
            export(self.checkpoint(trial.model), file, ExportConfig(**trial.sampling, novelty=False))
        policy = OnnxPolicy.load(file, intra_op_threads=torch.get_num_threads())
        goals = goals_of(self.demonstrations(trial.model), policy.spec) if policy.spec.goal_length else None
        task = get_task(trial.model.task)
        scores = evaluate_policy(policy, task, self.rollouts, [trial.model.seed], goals=goals)
        return self._record(trial, policy, scores.pooled)

    def _record(self, trial: Trial, policy: OnnxPolicy, scored: EpisodesScore) -> Record:
        score = scored.score
        model, spec = trial.model, policy.spec
        trained = self._trained(model)
        teacher = model.teacher and self._trained(model.teacher)
        return {
            "task": model.task,
            "style": model.style,
            "backbone": model.backbone,
            "method": trial.method,
            "variant": model.variant,
            "seed": model.seed,
            "teacher": trial.teacher,
            "experts": spec.experts,
            "rollouts": score.rollouts,
            **outcome(score),
            "milestones": {name: outcome(part) for name, part in scored.milestones.items()},
            "returns": score.returns,
            "returns_interval": list(score.returns_interval) if score.returns_interval else None,
            "goal_share": scored.goal_share,
            "goal_share_interval": list(scored.goal_share_interval) if scored.goal_share_interval else None,
            "contexts": score.contexts,
            "contexts_sha256": self._contexts_sha256(model.task),
            "modes_found": score.modes_found,
            "modes": {str(mode): number for mode, number in score.modes.items()},
            "ends": dict(scored.ends),
            "steps": spec.sampling_steps or 1,
            "sampler": trial.sampling.get("sampler"),
            "schedule": trial.sampling.get("schedule"),
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
            "key": self.folder(trial).name,
            "finished_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }

    def _contexts_sha256(self, name: str) -> str | None:
        task = get_task(name)
        if not task.spec.context:
            return None
        return hashlib.sha256(contexts_of_episodes(task, None, self.rollouts).tobytes()).hexdigest()

    def _trained(self, model: Model) -> Training:
        trained = self.trained(model)
        if trained is None:
            raise ProcessError(f"{self.model_folder(model)} was taken away while it was in use; run the command again")
        return trained


@cache
def _load(folder: Path) -> DemonstrationSet:
    return DemonstrationSet.load(folder)


def _digest(content: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


@cache
def commit() -> str | None:
    """Return the commit of this checkout, with `-dirty` if the package has changed since; None outside a checkout."""
    package = Path(__file__).parents[2]

    def git(*words: str) -> str:
        command = ["git", "-C", str(package), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("-dirty" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
