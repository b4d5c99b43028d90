"""The cases, figures and table of a comparison of two checkouts; without torch."""

from dataclasses import dataclass
from statistics import mean, median
from typing import Any

SUCCESS_WITHIN, ENTROPY_WITHIN = 0.01, 0.02
HORIZON = 8
SIDES = ("this", "other")


@dataclass(frozen=True)
class Case:
    """One training that both checkouts run.

    Attributes:
        name: Name of its folder.
        title: Title in the table.
        goal: Wanted ratio of wall times on the idle machine.
        busy_goal: Wanted ratio beside busy neighbours; None if it is not timed there.
        teacher: Name of its teacher's folder; None for a teacher.
        horizon: Actions of a chunk.
        judged: Whether it is trained to the end and evaluated; otherwise `like` gives its number of steps.
        like: Name of a judged case.
        options: Further options of `vdd distil`.
    """

    name: str
    title: str
    goal: float
    busy_goal: float | None
    teacher: str | None = None
    horizon: int = 1
    judged: bool = True
    like: str = ""
    options: tuple[str, ...] = ()


CASES = (
    Case("teacher", "teacher", 2.0, 5.0),
    Case("student", "distillation", 2.5, 5.0, teacher="teacher"),
    Case(
        "full_student", f"full covariance of {2 * HORIZON} numbers", 5.0, None,
        teacher="chunk_teacher", horizon=HORIZON, judged=False, like="student",
        options=("--covariance", "full", "--experts", "24"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """A whole training.

    Attributes:
        steps: Optimiser steps.
        cpu_s: Processor seconds, in one thread.
        success: Share of episodes that succeed.
        entropy: Task entropy, from 0 to 1.
    """

    steps: int
    cpu_s: float
    success: float
    entropy: float


@dataclass(frozen=True)
class Timing:
    """Wall times of a training.

    Attributes:
        start_s: Time before and after the steps, s.
        step_s: Time of a step, s.
    """

    start_s: float
    step_s: float

    @classmethod
    def of(cls, wall_s: float, steps: int, ended: dict[int, float]) -> "Timing":
        """Return both of a run: `ended` maps each logged step, at least two, to the seconds of its end."""
        first, last = min(ended), max(ended)
        step_s = (ended[last] - ended[first]) / (last - first)
        return cls(max(0.0, wall_s - steps * step_s), step_s)

    def whole_s(self, steps: int) -> float:
        """Return the seconds of a training of `steps` steps."""
        return self.start_s + steps * self.step_s


@dataclass(frozen=True)
class SideFigures:
    """One checkout's figures in a case: medians over the repeats and means over the seeds.

    Attributes:
        steps: Steps of a whole training.
        start_s: Time before and after the steps, s.
        step_s: Time of a step, s.
        whole_s: Time of a whole training, s.
        busy_whole_s: Time of a whole training beside busy neighbours, s; None if it was not measured.
        success, entropy: As in `Result`; None if the case is not judged.
    """

    steps: int
    start_s: float
    step_s: float
    whole_s: float
    busy_whole_s: float | None
    success: float | None
    entropy: float | None


@dataclass(frozen=True)
class Comparison:
    """The figures of both checkouts in one case.

    Attributes:
        title: Title of the case.
        this: Figures of this checkout.
        other: Figures of the other one.
        ratio: Wall time of the other checkout divided by that of this one.
        busy_ratio: The same ratio beside busy neighbours; None if it was not measured.
        goal, busy_goal: Wanted values of `ratio` and `busy_ratio`.
        as_good: Whether success and entropy are lower by at most `SUCCESS_WITHIN` and `ENTROPY_WITHIN`; None if not
            judged.
        reached: Whether results are as good, or not judged, and every ratio that was measured reaches its goal.
    """

    title: str
    this: SideFigures
    other: SideFigures
    ratio: float
    busy_ratio: float | None
    goal: float
    busy_goal: float | None
    as_good: bool | None
    reached: bool


@dataclass(frozen=True)
class ComparisonRecord:
    """A whole comparison.

    Attributes:
        comparison: Its settings, without the folders.
        machine: Machine of the comparison.
        results: Whole trainings by checkout and case.
        timings: Timed trainings by checkout, case and number of busy neighbours.
        cases: The comparison of each case.
    """

    comparison: dict[str, Any]
    machine: dict[str, Any]
    results: dict[str, dict[str, list[Result]]]
    timings: dict[str, dict[str, dict[int, list[Timing]]]]
    cases: list[Comparison]

    @classmethod
    def of(
        cls,
        comparison: dict[str, Any],
        machine: dict[str, Any],
        results: dict[str, dict[str, list[Result]]],
        timings: dict[str, dict[str, dict[int, list[Timing]]]],
    ) -> "ComparisonRecord":
        """Compare the measurements."""
        cases = [_compare(case, *(_figures(case, results[side], timings[side]) for side in SIDES)) for case in CASES]
        return cls(comparison, machine, results, timings, cases)


def _figures(case: Case, results: dict[str, list[Result]], timings: dict[str, dict[int, list[Timing]]]) -> SideFigures:
    steps = results[case.name if case.judged else case.like][0].steps
    judged = results[case.name]
    alone = timings[case.name][0]
    beside = [times for busy, times in timings[case.name].items() if busy]
    return SideFigures(
        steps=steps,
        start_s=median(time.start_s for time in alone),
        step_s=median(time.step_s for time in alone),
        whole_s=median(time.whole_s(steps) for time in alone),
        busy_whole_s=median(time.whole_s(steps) for time in beside[0]) if beside else None,
        success=mean(one.success for one in judged) if judged else None,
        entropy=mean(one.entropy for one in judged) if judged else None,
    )


def _compare(case: Case, this: SideFigures, other: SideFigures) -> Comparison:
    ratio, busy_ratio, as_good = other.whole_s / this.whole_s, None, None
    if this.busy_whole_s is not None and other.busy_whole_s is not None:
        busy_ratio = other.busy_whole_s / this.busy_whole_s
    if this.success is not None and this.entropy is not None:
        success, entropy = this.success - (other.success or 0.0), this.entropy - (other.entropy or 0.0)
        as_good = success >= -SUCCESS_WITHIN - 1e-12 and entropy >= -ENTROPY_WITHIN - 1e-12
    fast = ratio >= case.goal and (busy_ratio is None or busy_ratio >= (case.busy_goal or 0.0))
    return Comparison(
        case.title, this, other, ratio, busy_ratio, case.goal, case.busy_goal, as_good, fast and as_good is not False
    )


def table(record: ComparisonRecord) -> str:
    """Return the Markdown table of a comparison; cells read `this checkout / the other`."""
    heads = ("training", "steps", "ms a step", "seconds", "ratio", "ratio beside busy", "success", "entropy", "as good")
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    return "\n".join([*rows, *(_row(case) for case in record.cases)])


def _row(case: Comparison) -> str:
    def pair(name: str, form: str, factor: float = 1.0) -> str:
        values = [getattr(side, name) for side in (case.this, case.other)]
        return " / ".join("–" if value is None else format(factor * value, form) for value in values)

    def ratio(found: float | None, goal: float | None) -> str:
        return "–" if found is None or goal is None else f"{found:.2f} (goal {goal:g})"

    as_good = "not judged" if case.as_good is None else "yes" if case.as_good else "no"
    cells = [case.title, pair("steps", ".0f"), pair("step_s", ".0f", 1e3), pair("whole_s", ".0f")]
    cells += [ratio(case.ratio, case.goal), ratio(case.busy_ratio, case.busy_goal)]
    return f"| {' | '.join([*cells, pair('success', '.3f'), pair('entropy', '.3f'), as_good])} |"
