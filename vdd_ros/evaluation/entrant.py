"""Policy files that `vdd evaluate` runs side by side: opened, checked before any rollout, scored, compared."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.documents import JsonObject, json_object, to_json
from vdd_ros.evaluation.compatibility import check_action_steps, fits, goal_of_episode, goals_of
from vdd_ros.evaluation.continuing import NONE, check_continuation, prefix_for
from vdd_ros.evaluation.differences import ScoreDifference
from vdd_ros.evaluation.rollout_report import RolloutRecord, RolloutSettings, headline, rollout_record
from vdd_ros.evaluation.rollouts import Elsewhere, EpisodesScore, SeedScores, roll_out_seeds, score_seeds
from vdd_ros.evaluation.score_table import difference_table, score_table
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.policy_file import PolicyFile
from vdd_ros.tasks import Task
from vdd_ros.tasks.base import Floats
from vdd_ros.tasks.rollout import Rollouts
from vdd_ros.workers import Workers


@dataclass(frozen=True)
class Entrant:
    """A policy file that is evaluated.

    Attributes:
        name: Name for tables.
        file: The file.
        policy: The policy, opened.
        expert, noise: How a mixture acts, as in `OnnxPolicy.load`.
    """

    name: str
    file: PolicyFile
    policy: OnnxPolicy
    expert: str
    noise: str

    @classmethod
    def open(cls, path: Path, expert: str, noise: str) -> "Entrant":
        """Open a policy file.

        Raises:
            PolicyFileError: It cannot be used.
        """
        file = PolicyFile.read(path)
        return cls(path.name, file, OnnxPolicy.load(file, expert=expert, noise=noise), expert, noise)


@dataclass(frozen=True)
class Evaluated:
    """An entrant after its episodes.

    Attributes:
        entrant: The entrant.
        task: The task.
        settings: Settings of its episodes.
        runs: Its episodes by seed.
        scores: Their scores.
    """

    entrant: Entrant
    task: Task
    settings: RolloutSettings
    runs: dict[int, Rollouts]
    scores: SeedScores

    def tables(self) -> tuple[str, str]:
        """Return what acted, and how well."""
        one = self.entrant
        line = headline(one.name, one.policy.spec, self.task.spec, one.expert, one.noise)
        return line, score_table(self.scores, self.task)

    def record(self) -> RolloutRecord:
        """Return the record."""
        one = self.entrant
        return rollout_record(one.file, one.policy.spec, self.task.spec, self.settings, self.scores)


def prepared(
    entrants: Sequence[Entrant], task: Task, settings: RolloutSettings, goals: DemonstrationSet | None
) -> list[tuple[Entrant, Floats | None, RolloutSettings]]:
    """Return each entrant with its goals and its own settings.

    Args:
        entrants: The first must take goals if there are any, and a prefix if that is asked for; the others take them if
            they can.
        task: Their task.
        settings: Settings of the episodes.
        goals: Demonstrations whose last observations are the goals, or None.

    Raises:
        ConfigurationError: An entrant does not fit the task, the goals, the number of actions or the delay.
    """
    found = []
    for number, one in enumerate(entrants):
        spec = one.policy.spec
        fits(spec, task.spec)
        check_action_steps(spec, settings.action_steps)
        own = goals if number == 0 or spec.goal_length else None
        ends = None if own is None else goals_of(own, spec)
        goal_of_episode(spec, ends, settings.rollouts)  # refuses what does not fit
        prefix = prefix_for(spec, settings.prefix, must=number == 0)
        check_continuation(spec, settings.action_steps, settings.delay or 0, prefix)
        sha256 = None if own is None else own.sha256
        found.append((one, ends, replace(settings, goals_sha256=sha256, prefix=prefix)))
    return found


def evaluate_entrants(
    entrants: Sequence[Entrant],
    task: Task,
    settings: RolloutSettings,
    goals: DemonstrationSet | None,
    contexts: int | Floats | None,
    pool: Workers,
) -> list[Evaluated]:
    """Run the episodes of entrants, one after the other, from the same contexts with the same seeds.

    Args:
        entrants: As `prepared`, like the next three.
        task: Their task.
        settings: Settings of the episodes.
        goals: Demonstrations whose last observations are the goals, or None.
        contexts: As `contexts_of_episodes` takes them.
        pool: Runs the episodes.

    Raises:
        ConfigurationError: As `prepared`.
    """
    found = []
    for one, ends, how in prepared(entrants, task, settings, goals):
        elsewhere = Elsewhere(pool, one.file, one.expert, one.noise)
        runs = roll_out_seeds(
            one.policy,
            task,
            how.rollouts,
            how.seeds,
            action_steps=how.action_steps,
            goals=ends,
            contexts=contexts,
            delay=how.delay or 0,
            prefix=how.prefix or NONE,
            elsewhere=elsewhere,
        )
        found.append(Evaluated(one, task, how, runs, score_seeds(task, runs)))
    return found


def differences(first: EpisodesScore, second: EpisodesScore) -> dict[str | None, ScoreDifference]:
    """Return the differences of two scores from the same contexts: of the task under None, of milestones by name."""
    found: dict[str | None, ScoreDifference] = {None: ScoreDifference.of(first.score, second.score)}
    for name, score in first.milestones.items():
        found[name] = ScoreDifference.of(score, second.milestones[name])
    return found


def compared_tables(found: Sequence[Evaluated]) -> list[str]:
    """Return the table of the differences between the first and each other policy; none if there is only one."""
    first, *others = found
    return [
        difference_table(first.entrant.name, other.entrant.name, differences(first.scores.pooled, other.scores.pooled))
        for other in others
    ]


def compared_record(found: Sequence[Evaluated]) -> RolloutRecord:
    """Return the record of the first policy, with that of the second and the differences, if there is a second."""
    first, *others = found
    record = first.record()
    for other in others:
        record["against"] = other.record()
        record["difference"] = difference_record(differences(first.scores.pooled, other.scores.pooled))
    return record


def difference_record(found: dict[str | None, ScoreDifference]) -> JsonObject:
    """Return differences, as from `differences`, as a JSON object."""
    content = json_object(found[None])
    if milestones := {name: json_object(one) for name, one in found.items() if name is not None}:
        content["milestones"] = to_json(milestones)
    return content
