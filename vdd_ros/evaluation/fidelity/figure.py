"""The figure of `vdd fidelity`: entropy map, calibration, distances and sampled actions."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vdd_ros.files import replacing
from vdd_ros.policy.spec import PolicySpec
from vdd_ros.tasks.palette import SAFE
from vdd_ros.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from vdd_ros.evaluation.fidelity.report import Evidence, FidelityReport

SHOWN_STATES = 6
TEACHER, STUDENT, PLAIN = "#888888", SAFE[1], SAFE[0]
SIDE = 0.2
"""Horizontal offset of the two policies' points from an action entry's position, with more than two entries."""


def save_figure(path: Path, report: "FidelityReport", evidence: "Evidence", student: PolicySpec, title: str) -> None:
    """Draw an entropy map, the calibration, the distances, and the actions in the most multimodal states into a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(13, 11.5), layout="constrained")
    grid = figure.add_gridspec(3, 3, height_ratios=[1.25, 1, 1])
    _draw_map(figure, figure.add_subplot(grid[0, 0]), evidence, student)
    _draw_calibration(figure.add_subplot(grid[0, 1]), report)
    _draw_bars(figure.add_subplot(grid[0, 2]), report)
    chosen = np.sort(np.argsort(-evidence.mode_entropy, kind="stable")[:SHOWN_STATES])
    for place, state in enumerate(chosen):
        _draw_actions(figure.add_subplot(grid[1 + place // 3, place % 3]), evidence, int(state), student)
    figure.suptitle(printable(title))
    handles, labels = figure.axes[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, markerscale=2)
    with replacing(path) as aside:
        figure.savefig(aside, dpi=120, format="png")
    plt.close(figure)


def _draw_map(figure: "Figure", axes: "Axes", evidence: "Evidence", student: PolicySpec) -> None:
    positions = evidence.map_positions
    labels = [printable(f"{entry.name} ({entry.unit})") for entry in student.observation[:2]]
    if positions.shape[1] == 1:
        axes.plot(positions[:, 0], evidence.map_entropy, ".", markersize=3, color=PLAIN)
        axes.set(xlabel=labels[0], ylabel="entropy (nats)")
    else:
        points = axes.scatter(
            positions[:, 0], positions[:, 1], c=evidence.map_entropy, s=5, cmap="viridis", linewidths=0
        )
        figure.colorbar(points, ax=axes, label="nats")
        axes.set(xlabel=labels[0], ylabel=labels[1])
    axes.set_title("entropy of the student's gating" if student.is_mixture else "entropy of the teacher's modes")


def _draw_calibration(axes: "Axes", report: "FidelityReport") -> None:
    axes.set_title("calibration of the student's density", pad=42)
    axes.plot([0, 1], [0, 1], color=TEACHER, linewidth=0.8)
    for name, found, style in (
        ("teacher's actions", report.teacher_calibration, "o-"),
        ("demonstrated actions", report.demonstrations_calibration, "s--"),
    ):
        if found is not None:
            label = f"{name}: error {found.error:.3f} (floor {found.error_floor:.3f})"
            axes.plot(found.levels, found.coverage, style, markersize=3, label=label)
    if report.teacher_calibration is None and report.demonstrations_calibration is None:
        axes.text(0.5, 0.25, "it has none", ha="center")
    else:
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8)
    axes.set(xlabel="probability of the region", ylabel="share of actions inside", xlim=(0, 1), ylim=(0, 1))


def _draw_bars(axes: "Axes", report: "FidelityReport") -> None:
    """Draw the measures that should be small, of the student beside its floor."""
    names = {
        "wasserstein": "Wasserstein\n(deviations)",
        "energy": "energy\n(deviations)",
        "mode_recall": "modes missed\n(by weight)",
        "mode_precision": "actions\noutside modes",
    }
    at = np.arange(len(names))
    for side, label, colour in ((-0.2, "student", STUDENT), (0.2, "floor: teacher", TEACHER)):
        estimates = [report.measures[name].student if side < 0 else report.measures[name].floor for name in names]
        values = np.array([(found.mean, *found.interval) for found in estimates])
        shares = np.array([name.startswith("mode") for name in names])
        values[shares] = 1 - values[shares][:, [0, 2, 1]]
        spread = np.abs(values[:, 1:] - values[:, :1]).T
        axes.bar(at + side, values[:, 0], 0.38, color=colour, label=label, yerr=spread, error_kw={"linewidth": 1})
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_xticks(at, list(names.values()), fontsize=8)
    axes.set_title("distance from the teacher")
    axes.legend(fontsize=8)


def _draw_actions(axes: "Axes", evidence: "Evidence", state: int, student: PolicySpec) -> None:
    """Draw both first actions: one entry as a distribution function, two against each other, more side by side."""
    names = [printable(entry.name) for entry in student.action]
    both = (evidence.teacher, "teacher", TEACHER, "o", -SIDE), (evidence.student, "student", STUDENT, "x", SIDE)
    for actions, label, colour, marker, side in both:
        drawn = actions[state][:, : len(names)]
        points: dict[str, Any] = {
            "linestyle": "none",
            "marker": marker,
            "markersize": 3,
            "alpha": 0.5,
            "color": colour,
            "label": label,
        }
        if len(names) == 1:
            axes.step(np.sort(drawn[:, 0]), np.linspace(0, 1, len(drawn)), color=colour, label=label)
        elif len(names) == 2:
            axes.plot(*drawn.T, **points)
        else:
            within = np.random.default_rng(0).uniform(-SIDE, SIDE, len(drawn)) * 0.8
            places = (np.arange(len(names)) + side)[:, None] + within
            axes.plot(places.ravel(), drawn.T.ravel(), **points)
    if len(names) <= 2:
        second = f"{names[1]} (deviations)" if len(names) > 1 else "share below"
        axes.set(xlabel=f"{names[0]} (deviations)", ylabel=second)
    else:
        axes.set(ylabel="action (deviations)", xlim=(-0.5, len(names) - 0.5))
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
        axes.grid(alpha=0.3, axis="y")
    axes.set_title(f"state {state}: teacher's mode entropy {evidence.mode_entropy[state]:.2f} nats", fontsize=9)
