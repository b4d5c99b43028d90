"""False alarms and detections of a policy file's novelty."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.documents import JsonObject, json_object
from vdd_ros.errors import ConfigurationError
from vdd_ros.evaluation.compatibility import fits, goals_of
from vdd_ros.evaluation.novelty.probes import (
    Floats,
    Found,
    Probe,
    anywhere,
    displaced,
    frozen,
    judge,
    novelty_of,
    swapped,
)
from vdd_ros.evaluation.rollouts import roll_out_seeds
from vdd_ros.host.facts import RuntimeVersions, runtime_versions
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.tasks import get_task

UNIFORM = 5000
MOST_ROLLOUTS = 1_000_000
DISPLACED = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05)  # in the unit of the observation


@dataclass(frozen=True)
class NoveltySettings:
    """Settings of a test of novelty.

    Attributes:
        rollouts: Rollouts of the policy itself that are probed too; 0: none.
        ticks: Consecutive observations beyond the bound that raise an alarm.
        seed: Seed of all random draws.
    """

    rollouts: int
    ticks: int
    seed: int

    def __post_init__(self) -> None:
        for name, low in (("rollouts", 0), ("ticks", 1), ("seed", 0)):
            if name == "rollouts" and self.rollouts > MOST_ROLLOUTS:
                raise ConfigurationError(f"--rollouts is {self.rollouts}; it must be at most {MOST_ROLLOUTS:,}")
            if getattr(self, name) < low:
                raise ConfigurationError(f"--{name} is {getattr(self, name)}; it must be {low} or more")


class NamedPolicy(TypedDict):
    """A policy file: its name without the folder, and its hash."""

    file: str
    sha256: str


class NamedDemonstrations(TypedDict):
    """A demonstration set: its hash, and the seed of its demonstrator."""

    sha256: str
    seed: int | None


class NoveltyRecord(TypedDict):
    """Content of the JSON file of `vdd novelty`.

    Attributes:
        policy, demonstrations: The tested policy file, and the demonstrations.
        bound, quantile: As in the policy file.
        ticks, rollouts, seed: As in `NoveltySettings`.
        probes: The attributes of `Found`, for each probe.
        versions: Software.
    """

    policy: NamedPolicy
    demonstrations: NamedDemonstrations
    bound: float | None
    quantile: float | None
    ticks: int
    rollouts: int
    seed: int
    probes: list[JsonObject]
    versions: RuntimeVersions


@dataclass(frozen=True)
class NoveltyReport:
    """Result of a test of novelty.

    Attributes:
        bound: Novelty beyond which an observation is out of distribution, nats.
        found: Result of each probe.
        novelties: (n,) novelty of each probe's n observations, nats.
        record: Content of the JSON file.
    """

    bound: float
    found: list[Found]
    novelties: list[Floats]
    record: NoveltyRecord


def measure_novelty(file: Path, folder: Path, robot_file: Path | None, settings: NoveltySettings) -> NoveltyReport:
    """Measure the novelty of a policy file on probes made from held-out demonstrations.

    Args:
        file: Policy file.
        folder: Demonstrations that the policy was not trained on.
        robot_file: Robot file of its task, or None for the task's own.
        settings: Settings of the test.

    Raises:
        ConfigurationError: The policy file has no novelty or names no task, or was trained on the demonstrations.
        VddError: A file cannot be read, or does not fit the others.
    """
    policy, demonstrations = OnnxPolicy.load(file), DemonstrationSet.load(folder)
    bound = _check(policy, demonstrations, folder)
    robot = RobotFile.load(robot_file or get_task(str(policy.spec.task)).get_robot_file())
    probes = _probes(policy, demonstrations, robot, settings)
    novelties = [novelty_of(policy, probe.observation) for probe in probes]
    found = [judge(probe, one, bound, settings.ticks) for probe, one in zip(probes, novelties, strict=True)]
    return NoveltyReport(bound, found, novelties, _record(file, settings, policy, demonstrations, found))


def _check(policy: OnnxPolicy, demonstrations: DemonstrationSet, folder: Path) -> float:
    """Return the bound of the novelty; refuse invalid tests."""
    if policy.spec.novelty is None:
        raise ConfigurationError("the policy file has no novelty; export it again, with its demonstrations")
    if policy.spec.task is None:
        raise ConfigurationError("the policy file does not name its task; export it with one")
    fits(policy.spec, get_task(policy.spec.task).spec)
    goals_of(demonstrations, policy.spec)
    if demonstrations.sha256 == policy.spec.data_sha256:
        raise ConfigurationError(
            f"--demos {folder} holds the policy's training data; make others, such as with 'vdd demos "
            f"{policy.spec.task} --seed 1 --out OTHER'"
        )
    return policy.spec.novelty.bound


def _probes(
    policy: OnnxPolicy, demonstrations: DemonstrationSet, robot: RobotFile, settings: NoveltySettings
) -> list[Probe]:
    random = np.random.default_rng(settings.seed)
    spec = get_task(str(policy.spec.task)).spec
    robot.check(spec.observation, spec.action)
    found = [Probe("other demonstrations", False, demonstrations.observation, demonstrations.lengths)]
    if settings.rollouts:
        found += _rolled_out(policy, demonstrations, settings)
    found.append(anywhere(demonstrations, UNIFORM, random))
    for source in robot.inputs:
        found += displaced(demonstrations, source, DISPLACED, random)
    for source in robot.inputs:
        found += frozen(demonstrations, source, spec.rate_hz)
    return [*found, *swapped(demonstrations, robot.inputs)]


def _rolled_out(policy: OnnxPolicy, demonstrations: DemonstrationSet, settings: NoveltySettings) -> list[Probe]:
    """Return the observations of the policy's own episodes, successful and failed ones separately."""
    goals = goals_of(demonstrations, policy.spec) if policy.spec.goal_length else None
    task = get_task(str(policy.spec.task))
    runs = roll_out_seeds(policy, task, settings.rollouts, [settings.seed], goals=goals)[settings.seed]
    names = {True: "own episodes that reached the goal", False: "own episodes that did not"}
    found = []
    for success, name in names.items():
        paths: list[Floats] = [
            path[:length]
            for path, length, good in zip(runs.observations, runs.lengths, runs.success, strict=True)
            if good == success
        ]
        if paths:
            found.append(Probe(name, False, np.concatenate(paths), np.array([len(path) for path in paths])))
    return found


def _record(
    file: Path, settings: NoveltySettings, policy: OnnxPolicy, demonstrations: DemonstrationSet, found: list[Found]
) -> NoveltyRecord:
    novelty = policy.spec.novelty
    return {
        "policy": {"file": file.name, "sha256": policy.sha256},
        "demonstrations": {"sha256": demonstrations.sha256, "seed": demonstrations.header.seed},
        "bound": novelty.bound if novelty else None,
        "quantile": novelty.quantile if novelty else None,
        "ticks": settings.ticks,
        "rollouts": settings.rollouts,
        "seed": settings.seed,
        "probes": [json_object(one) for one in found],
        "versions": runtime_versions(),
    }
