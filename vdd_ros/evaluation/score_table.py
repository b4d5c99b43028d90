"""Scores of rollouts as a table for the terminal."""

from collections.abc import Mapping

from vdd_ros.evaluation.differences import ScoreDifference
from vdd_ros.evaluation.rollouts import EpisodesScore, SeedScores
from vdd_ros.tasks import Task
from vdd_ros.tasks.entropy import Interval
from vdd_ros.tasks.rollout import FAILURE, TIME_LIMIT

MODES_A_ROW = 12
MANY_MODES = 100
"""Above this number only the modes that were found are listed, the most frequent ones first."""
LISTED_MODES = 20

_ROW = "  {:<6}{:>9}  {:<24}{:<24}{:>7}{:>10}{:>12}"


def score_table(scores: SeedScores, task: Task) -> str:
    """Return the scores of each seed and of all episodes, and the successes of each mode.

    Args:
        scores: Result of `vdd_ros.evaluation.rollouts.evaluate_policy`.
        task: The task.
    """
    modes = task.spec.modes
    named = [(str(seed), score) for seed, score in scores.per_seed.items()]
    rows = [_ROW.format("seed", "rollouts", "success", "task entropy", "modes", "failures", "time limits")]
    rows += [_row(name, score, modes) for name, score in named]
    if len(named) > 1:
        rows.append(_row("all", scores.pooled, modes))
    pooled = scores.pooled.score
    for name, part in scores.pooled.milestones.items():
        success = with_interval(part.success_rate, part.success_interval)
        entropy = with_interval(part.entropy, part.entropy_interval)
        rows.append(f"  {name}: success {success}, task entropy {entropy}")
    if pooled.returns is not None:
        rows.append(f"  return: {with_interval(pooled.returns, pooled.returns_interval)}")
    if pooled.partial_success is not None:
        rows.append(f"  partial success: {with_interval(pooled.partial_success, pooled.partial_success_interval)}")
    if scores.pooled.goal_share is not None:
        share = with_interval(scores.pooled.goal_share, scores.pooled.goal_share_interval)
        rows.append(f"  share of what the goals ask for: {share}")
    if pooled.contexts > 1:
        rows.append(f"  task entropy: mean of {pooled.contexts} contexts; intervals over contexts")
    if modes > 1:
        rows.append(f"  task entropy, nearly unbiased: {pooled.entropy_estimate:.3f}")
    return "\n".join([*rows, "  in brackets the 95 % interval", "", *_mode_rows(pooled.modes, task)])


def difference_table(first: str, second: str, differences: Mapping[str | None, ScoreDifference]) -> str:
    """Return the differences between two policies.

    Args:
        first: Name of the first.
        second: Name of the second.
        differences: As from `vdd_ros.evaluation.entrant.differences`.
    """
    return "\n".join([f"{first} − {second}", *difference_rows(differences), pairing(differences)])


def difference_rows(differences: Mapping[str | None, ScoreDifference], before: str = "") -> list[str]:
    """Return a row for each difference, each beginning with `before`."""
    rows = []
    for name, found in differences.items():
        where = "" if name is None else f"{name}: "
        rows.append(f"  {before}{where}success {found.success}, task entropy {found.entropy}")
    return rows


def pairing(differences: Mapping[str | None, ScoreDifference]) -> str:
    """Return the row that says what the intervals of differences rest on."""
    contexts = differences[None].success.contexts
    how = f"paired by {contexts} contexts" if contexts else "of independent rollouts"
    return f"  in brackets the 95 % interval, {how}"


def _row(name: str, found: EpisodesScore, modes: int) -> str:
    score = found.score
    return _ROW.format(
        name,
        score.rollouts,
        with_interval(score.success_rate, score.success_interval),
        with_interval(score.entropy, score.entropy_interval),
        f"{score.modes_found}/{modes}",
        found.ends.get(FAILURE, 0),
        found.ends.get(TIME_LIMIT, 0),
    )


def with_interval(value: float, interval: Interval | None) -> str:
    """Return a number and, in brackets, its interval if there is one."""
    return f"{value:.3f}" if interval is None else f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _mode_rows(counts: dict[int, int], task: Task) -> list[str]:
    """Return the successes of each mode: a dozen modes per row, or one row per named mode, or per frequent one."""
    lines, base = ["successful rollouts of each mode"], task.spec.modes
    if base > MANY_MODES:
        found = sorted((mode for mode in counts if 0 <= mode < base), key=lambda mode: (-counts[mode], mode))
        rows = [f"  {counts[mode]:>7}  {task.mode_name(mode)}" for mode in found[:LISTED_MODES]]
        rest = sum(counts[mode] for mode in found[LISTED_MODES:])
        more = [f"  {rest:>7}  in {len(found) - LISTED_MODES} other modes"] if rest else []
        return [*lines, *rows, *more, *_incomplete(counts, base)]
    if task.mode_names:
        total, longest = max(sum(counts.values()), 1), max(map(len, task.mode_names))
        numbers = {name: counts.get(mode, 0) for mode, name in enumerate(task.mode_names)}
        rows = [f"  {name:<{longest}}{number:>7}  {number / total:.3f}" for name, number in numbers.items()]
        return [*lines, *rows, *_incomplete(counts, base)]
    for start in range(0, base, MODES_A_ROW):
        row = range(start, min(start + MODES_A_ROW, base))
        lines.append("  mode     " + "".join(f"{mode:>5}" for mode in row))
        lines.append("  rollouts " + "".join(f"{counts.get(mode, 0):>5}" for mode in row))
    return [*lines, *_incomplete(counts, base)]


def _incomplete(counts: dict[int, int], base: int) -> list[str]:
    incomplete = sum(number for mode, number in counts.items() if not 0 <= mode < base)
    return [f"  and {incomplete} of an incomplete mode"] if incomplete else []
