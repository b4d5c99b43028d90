"""`vdd benchmark speed --against`: how fast this checkout and another learn, by turns on equal settings and data."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from vdd_ros.benchmark.speed.checkouts import Checkout, Spent, busy_neighbours
from vdd_ros.console import tell
from vdd_ros.host.facts import machine_facts

SUCCESS_WITHIN, ENTROPY_WITHIN = 0.01, 0.02
HORIZON = 8

Words = list[str | Path]


@dataclass(frozen=True)
class CheckoutComparison:
    """What two checkouts learn, and how often.

    Attributes:
        task: Name of the task.
        backbone: Of all networks.
        demonstrations: Folder of the data.
        work: Folder of what they make, in which nothing of an earlier comparison is.
        seeds: Of the runs, 0 to seeds - 1.
        rollouts: Episodes that judge each model.
        steps: Training steps of each model; None for as many as each checkout takes by default.
        busy: Processes that never rest beside them.
    """

    task: str
    backbone: str
    demonstrations: Path
    work: Path
    seeds: int = 3
    rollouts: int = 480
    steps: int | None = None
    busy: int = 0


@dataclass(frozen=True)
class Case:
    """One model that both make.

    Attributes:
        title: In the table.
        goal: Ratio of wall times that is wanted; None where it only makes what another case needs.
        name: Of its folder.
        words: The command that makes it in a folder, from the folders' parent and a seed.
        action_steps: Actions of each chunk that are executed.
    """

    title: str
    goal: float | None
    name: str
    words: Callable[[CheckoutComparison, Path, int], Words]
    action_steps: int = 1


def cases(busy: bool) -> tuple[Case, ...]:
    """Return what is compared, and the goals alone or beside a busy neighbour."""
    return (
        Case("teacher", 5.0 if busy else 2.0, "teacher", _teacher(1)),
        Case("distillation", 5.0 if busy else 2.5, "student", _student("teacher")),
        Case(f"teacher of chunks of {HORIZON}", None, "chunk_teacher", _teacher(HORIZON), HORIZON),
        Case(
            f"full covariance, chunks of {HORIZON}", 5.0, "chunk_student",
            _student("chunk_teacher", "--covariance", "full", "--experts", "24"), HORIZON,
        ),
    )  # fmt: skip


def _teacher(horizon: int) -> Callable[[CheckoutComparison, Path, int], Words]:
    def words(comparison: CheckoutComparison, _folder: Path, _seed: int) -> Words:
        given: Words = ["train", "--task", comparison.task, "--demos", comparison.demonstrations, "--teacher", "beso"]
        return [*given, "--horizon", str(horizon)]

    return words


def _student(teacher: str, *options: str) -> Callable[[CheckoutComparison, Path, int], Words]:
    def words(_comparison: CheckoutComparison, folder: Path, _seed: int) -> Words:
        return ["distil", "--teacher", folder / teacher, *options]

    return words


@dataclass
class Runs:
    """What one checkout's runs of a case took and gave, in the order of the seeds."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    success: list[float] = field(default_factory=list)
    entropy: list[float] = field(default_factory=list)

    def note(self, spent: Spent, success: float, entropy: float) -> None:
        """Add a run."""
        self.wall_s.append(spent.wall_s)
        self.cpu_s.append(spent.cpu_s)
        self.success.append(success)
        self.entropy.append(entropy)


def compare_checkouts(other: Path, demonstrations: Path, work: Path, **settings: Any) -> dict[str, Any]:
    """Compare the checkout that this code belongs to with another one, in a folder of `work` that is removed again.

    Args:
        other: Folder of the other checkout.
        demonstrations: Folder of the data.
        work: Folder for what they make.
        **settings: Further fields of `CheckoutComparison`.

    Returns:
        As `run_comparison`.

    Raises:
        ConfigurationError: There is no such checkout.
        ProcessError: A command failed.
    """
    this, against = Checkout.of("this", Path(__file__).parents[3]), Checkout.of("other", other)
    work.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="speed_", dir=work) as folder:
        comparison = CheckoutComparison(
            demonstrations=demonstrations.resolve(), work=Path(folder).resolve(), **settings
        )
        return run_comparison(comparison, this, against, lambda text: tell(f"speed: {text}"))


def run_comparison(
    comparison: CheckoutComparison, this: Checkout, other: Checkout, watch: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Make every case with both checkouts, by turns, and judge what they made.

    Each distils its own teacher; who begins changes from seed to seed. Models are judged while nothing else runs.

    Args:
        comparison: What to do.
        this: Whose speed is asked for.
        other: What it is compared with.
        watch: Told what begins.

    Returns:
        The `settings`, the machine, and for each case both checkouts' runs, `ratio` and `cpu_ratio` (medians over
        the seeds of the other's time by this one's), the differences of the means of `success` and `entropy`, whether
        the results are `equal`, and whether the goal is `reached` (None where there is none).

    Raises:
        ProcessError: A command failed.
    """
    found = []
    for case in cases(comparison.busy > 0):
        runs = {one.name: Runs() for one in (this, other)}
        for seed in range(comparison.seeds):
            for one in (this, other) if seed % 2 == 0 else (other, this):
                watch(f"{case.title}, seed {seed}, {one.name}")
                folder = comparison.work / one.name / str(seed)
                with busy_neighbours(comparison.busy):
                    spent = one.run([*case.words(comparison, folder, seed), *_common(comparison, case, folder, seed)])
                runs[one.name].note(spent, *one.score(folder / case.name, comparison.rollouts, seed, case.action_steps))
        found.append(_compare(case, runs[this.name], runs[other.name]))
    settings = {**asdict(comparison), "demonstrations": str(comparison.demonstrations), "work": str(comparison.work)}
    return {"settings": settings, "machine": machine_facts(), "cases": found}


def _common(comparison: CheckoutComparison, case: Case, folder: Path, seed: int) -> Words:
    steps = [] if comparison.steps is None else ["--steps", str(comparison.steps)]
    return ["--backbone", comparison.backbone, "--seed", str(seed), *steps, "--out", folder / case.name]


def _compare(case: Case, this: Runs, other: Runs) -> dict[str, Any]:
    ratio = float(np.median(np.array(other.wall_s) / this.wall_s))
    success, entropy = (
        float(np.mean(a) - np.mean(b)) for a, b in ((this.success, other.success), (this.entropy, other.entropy))
    )
    equal = abs(success) <= SUCCESS_WITHIN and abs(entropy) <= ENTROPY_WITHIN
    return {
        "title": case.title,
        "goal": case.goal,
        "this": asdict(this),
        "other": asdict(other),
        "ratio": ratio,
        "cpu_ratio": float(np.median(np.array(other.cpu_s) / this.cpu_s)),
        "success_difference": success,
        "entropy_difference": entropy,
        "equal": equal,
        "reached": None if case.goal is None else equal and ratio >= case.goal,
    }


def table(record: dict[str, Any]) -> str:
    """Return the Markdown table of a comparison; each cell of a result has this checkout's mean and the other's."""
    heads = ("model", "seconds", "CPU seconds", "ratio", "CPU ratio", "goal", "success", "entropy", "equal results")
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    return "\n".join([*rows, *(_row(case) for case in record["cases"])])


def _row(case: dict[str, Any]) -> str:
    def pair(name: str, form: str) -> str:
        return " / ".join(format(float(np.mean(case[side][name])), form) for side in ("this", "other"))

    verdict = "reached" if case["reached"] else "not reached"
    goal = "–" if case["goal"] is None else f"{case['goal']:g}, {verdict}"
    ratios = [f"{case[name]:.2f}" for name in ("ratio", "cpu_ratio")]
    results = [pair("success", ".3f"), pair("entropy", ".3f"), "yes" if case["equal"] else "no"]
    cells = [case["title"], pair("wall_s", ".1f"), pair("cpu_s", ".1f"), *ratios, goal, *results]
    return f"| {' | '.join(cells)} |"
