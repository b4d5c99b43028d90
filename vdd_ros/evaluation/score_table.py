"""The table of what rollouts scored, as text for the terminal."""

from typing import Any

from vdd_ros.tasks.rollout import FAILURE, TIME_LIMIT

MODES_A_ROW = 12

_MORE = {"returns": "return", "partial_success": "partial success"}

_ROW = "  {:<6}{:>9}  {:<24}{:<24}{:>7}{:>10}{:>12}"


def score_table(scores: dict[str, Any], modes: int) -> str:
    """Return the scores of each seed and of all, and how often each mode succeeded.

    Args:
        scores: As `vdd_ros.evaluation.rollouts.evaluate_policy` gives them.
        modes: Number of modes of the task.
    """
    per_seed, pooled = scores["per_seed"], scores["pooled"]
    rows = [_ROW.format("seed", "rollouts", "success", "task entropy", "modes", "failures", "time limits")]
    for name, score in per_seed.items() if len(per_seed) == 1 else [*per_seed.items(), ("all", pooled)]:
        rows.append(
            _ROW.format(
                name,
                score["rollouts"],
                _with_interval(score["success_rate"], score["success_interval"]),
                _with_interval(score["entropy"], score["entropy_interval"]),
                f"{score['modes_found']}/{modes}",
                score["ends"].get(FAILURE, 0),
                score["ends"].get(TIME_LIMIT, 0),
            )
        )
    rows += [
        f"  {name}: {_with_interval(pooled[key], pooled[f'{key}_interval'])}"
        for key, name in _MORE.items()
        if pooled[key] is not None
    ]
    if pooled["contexts"] > 1:
        rows.append(f"  task entropy: mean of {pooled['contexts']} contexts")
    return "\n".join([*rows, "  in brackets the 95 % interval", "", *_mode_rows(pooled["modes"], modes)])


def _with_interval(value: float, interval: list[float]) -> str:
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _mode_rows(counts: dict[str, int], base: int) -> list[str]:
    """Return how often each mode succeeded, a dozen a row."""
    lines = ["successful rollouts of each mode"]
    for start in range(0, base, MODES_A_ROW):
        row = range(start, min(start + MODES_A_ROW, base))
        lines.append("  mode     " + "".join(f"{mode:>5}" for mode in row))
        lines.append("  rollouts " + "".join(f"{counts.get(str(mode), 0):>5}" for mode in row))
    if incomplete := sum(number for mode, number in counts.items() if not 0 <= int(mode) < base):
        lines.append(f"  and {incomplete} of an incomplete mode")
    return lines
