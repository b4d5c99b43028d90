"""`vdd benchmark speed`: the distillation against a straightforward loop, as a table, a figure and JSON."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vdd_ros.benchmark.methods.clock import read_json
from vdd_ros.benchmark.methods.matrix import Model
from vdd_ros.documents import write_json
from vdd_ros.evaluation.plots import compact, log_ticks, style
from vdd_ros.files import replacing

if TYPE_CHECKING:
    from vdd_ros.benchmark.methods.runner import Runner

RECORD_FILE, FIGURE_FILE = "benchmark_speed.json", "benchmark_speed.png"
PRODUCT = "vdd_ros"


def compare_speed(
    runner: "Runner", task: str, backbone: str, steps: int, folder: Path, rates: Sequence[float] | None = None
) -> dict[str, Any]:
    """Train both loops by turns from the BESO teacher of a task, which is trained if need be; write JSON and figure.

    Args:
        runner: Where the teacher is.
        task: Name of the task.
        backbone: Of teacher and student.
        steps: Expert steps of each loop.
        folder: Where JSON and figure go.
        rates: Learning rates of the straightforward loop; by default the paper's, the product's and one between them.

    Returns:
        The record, which `table` takes.
    """
    from vdd_ros.benchmark.methods.reference_loop import LEARNING_RATE
    from vdd_ros.benchmark.methods.suite import train_alone
    from vdd_ros.benchmark.methods.training import make_config
    from vdd_ros.benchmark.speed.loops import measure_speed
    from vdd_ros.learning.methods.configs import DistilConfig

    student = Model.of(task, "vdd-beso", backbone, 0)
    if student.teacher is None:
        raise TypeError(f"the model {student.label} has no teacher")
    config = make_config(student, runner.device, steps)
    if not isinstance(config, DistilConfig):
        raise TypeError(f"the model {student.label} is not distilled")
    rates = rates or (LEARNING_RATE, math.sqrt(LEARNING_RATE * config.learning_rate), config.learning_rate)
    teacher = train_alone(runner, student.teacher)
    found = measure_speed(teacher, runner.demonstrations(task), config, rates=rates)
    record = {"task": task, "backbone": backbone, "steps": steps, "batch": config.batch, **found}
    write_json(folder / RECORD_FILE, record)
    draw_comparison(folder)
    return record


def draw_comparison(folder: Path) -> None:
    """Draw the comparison whose record is in a folder, if there is one."""
    record = read_json(folder / RECORD_FILE)
    if record is not None:
        _draw(folder / FIGURE_FILE, record)


def section(folder: Path, figures: Path) -> list[str]:
    """Return the paragraphs of a report on the comparison whose record is in `folder`; none without one.

    Args:
        folder: Where the record is.
        figures: The same, as seen from the page.
    """
    record = read_json(folder / RECORD_FILE)
    if record is None:
        return []
    machine = record["machine"]
    text = (
        f"{record['steps']} expert steps of {record['batch']} states each, from the BESO teacher of "
        f"{record['task'].capitalize()}, {record['backbone'].upper()} backbone, by turns in one run on "
        f"{machine['cores']} cores of {machine['cpu']}. *Reached*: how much sooner {PRODUCT} reaches the loop's final "
        "energy distance to the teacher."
    )
    figure = f"![Distance to the teacher against seconds of training]({(figures / FIGURE_FILE).as_posix()})"
    return ["## Speed of distillation", text, table(record), figure]


def table(record: dict[str, Any]) -> str:
    """Return the Markdown table of a comparison."""
    heads = ("loop", "expert samples/s", "seconds", "energy distance at the end", "ratio of samples/s", "reached")
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", _row(PRODUCT, record["product"])]
    return "\n".join([*rows, *(_row(_label(found), found) for found in record["references"])])


def _row(label: str, found: dict[str, Any]) -> str:
    cells = [label, f"{found['samples_per_s']:.0f}", f"{found['seconds'][-1]:.0f}", f"{found['distance'][-1]:.4f}"]
    if "speedup" not in found:
        return f"| {' | '.join([*cells, '–', '–'])} |"
    low, high = found["speedup_interval"]
    cells.append(f"{found['speedup']:.1f} [{low:.1f}, {high:.1f}]")
    sooner = found["time_speedup"]
    cells.append("not reached" if sooner is None else f"{sooner:.1f} times sooner")
    return f"| {' | '.join(cells)} |"


def _label(found: dict[str, Any]) -> str:
    return f"straightforward, learning rate {found['learning_rate']:.1e}"


def _drawn(found: dict[str, Any]) -> str:
    return f"straightforward, learning rate {compact(found['learning_rate'], 2)}"


def _draw(file: Path, record: dict[str, Any]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    curves = {PRODUCT: record["product"], **{_drawn(found): found for found in record["references"]}}
    for number, (label, curve) in enumerate(curves.items()):
        axes.plot(curve["seconds"], curve["distance"], markersize=4, label=label, **style(number))
    axes.set(xlabel="time of training", ylabel="energy distance to the teacher (standardised)")
    for axis, key in ((axes.xaxis, "seconds"), (axes.yaxis, "distance")):
        values = [value for curve in curves.values() for value in curve[key]]
        log_ticks(axis, min(values), max(values), time=key == "seconds")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=2)
    with replacing(file) as aside:
        figure.savefig(aside, dpi=150, format="png")
    plt.close(figure)
