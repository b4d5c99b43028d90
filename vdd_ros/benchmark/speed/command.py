"""`vdd benchmark speed`: the distillation against a straightforward loop, as a table, a figure and JSON."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from vdd_ros.benchmark.methods.clock import read_json
from vdd_ros.benchmark.methods.matrix import Model
from vdd_ros.benchmark.speed.figures import LoopFigures, ReferenceFigures, SpeedRecord
from vdd_ros.documents import write_json
from vdd_ros.evaluation.plots import compact, log_ticks, style
from vdd_ros.files import replacing
from vdd_ros.text import counted

if TYPE_CHECKING:
    from vdd_ros.benchmark.methods.runner import Runner

RECORD_FILE, FIGURE_FILE = "benchmark_speed.json", "benchmark_speed.png"
PRODUCT = "vdd_ros"


def compare_speed(
    runner: "Runner", task: str, backbone: str, steps: int, folder: Path, rates: Sequence[float] | None = None
) -> SpeedRecord:
    """Distil the BESO teacher of a task by both loops alternately; write the record and a figure.

    A teacher that is missing is trained first. All run in this process, with its number of torch's threads.

    Args:
        runner: Holds the teacher and the demonstrations.
        task: Name of the task.
        backbone: Backbone of teacher and student.
        steps: Expert steps of each loop.
        folder: Folder of the record and the figure.
        rates: Learning rates of the straightforward loop; by default the paper's, the product's and their geometric
            mean.

    Raises:
        VddError: The teacher cannot be trained, or the loops cannot be compared; see `measure_speed`.
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
    found = measure_speed(teacher, runner.demonstrations(student), config, rates=rates)
    record: SpeedRecord = {"task": task, "backbone": backbone, "steps": steps, "batch": config.batch, **found}
    write_json(folder / RECORD_FILE, record)
    draw_comparison(folder)
    return record


def draw_comparison(folder: Path) -> None:
    """Draw the comparison whose record a folder holds, if any."""
    record = _read(folder)
    if record is not None:
        _draw(folder / FIGURE_FILE, record)


def section(folder: Path, figures: Path) -> list[str]:
    """Return the paragraphs of a report on a comparison; an empty list without its record.

    Args:
        folder: Folder of the record.
        figures: The same folder, relative to the page.
    """
    record = _read(folder)
    if record is None:
        return []
    machine = record["machine"]
    text = (
        f"{record['steps']} expert steps of {record['batch']} states each, from the BESO teacher of "
        f"{record['task'].capitalize()}, {record['backbone'].upper()} backbone, by turns in one run on "
        f"{counted(machine['cores'], 'core')} of {machine['cpu']}. *Reached*: how much sooner {PRODUCT} reaches "
        "the loop's final energy distance to the teacher."
    )
    figure = f"![Distance to the teacher against seconds of training]({(figures / FIGURE_FILE).as_posix()})"
    return ["## Speed of distillation", text, table(record), figure]


def _read(folder: Path) -> SpeedRecord | None:
    return cast("SpeedRecord | None", read_json(folder / RECORD_FILE))


def table(record: SpeedRecord) -> str:
    """Return the Markdown table of a comparison."""
    heads = ("loop", "expert samples/s", "seconds", "energy distance at the end", "ratio of samples/s", "reached")
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", _row(PRODUCT, record["product"], "–", "–")]
    return "\n".join([*rows, *(_row(_label(found), found, *_gain(found)) for found in record["references"])])


def _row(label: str, found: LoopFigures, ratio: str, reached: str) -> str:
    cells = [label, f"{found['samples_per_s']:.0f}", f"{found['seconds'][-1]:.0f}", f"{found['distance'][-1]:.4f}"]
    return f"| {' | '.join([*cells, ratio, reached])} |"


def _gain(found: ReferenceFigures) -> tuple[str, str]:
    low, high = found["speedup_interval"]
    sooner = found["time_speedup"]
    reached = "not reached" if sooner is None else f"{sooner:.1f} times sooner"
    return f"{found['speedup']:.1f} [{low:.1f}, {high:.1f}]", reached


def _label(found: ReferenceFigures) -> str:
    return f"straightforward, learning rate {found['learning_rate']:.1e}"


def _drawn(found: ReferenceFigures) -> str:
    return f"straightforward, learning rate {compact(found['learning_rate'], 2)}"


def _draw(file: Path, record: SpeedRecord) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    curves: dict[str, LoopFigures] = {PRODUCT: record["product"]}
    curves |= {_drawn(found): found for found in record["references"]}
    for number, (label, curve) in enumerate(curves.items()):
        axes.plot(curve["seconds"], curve["distance"], markersize=4, label=label, **style(number))
    axes.set(xlabel="time of training", ylabel="energy distance to the teacher (standardised)")
    seconds = [value for curve in curves.values() for value in curve["seconds"]]
    distances = [value for curve in curves.values() for value in curve["distance"]]
    log_ticks(axes.xaxis, min(seconds), max(seconds), time=True)
    log_ticks(axes.yaxis, min(distances), max(distances), time=False)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=2)
    with replacing(file) as aside:
        figure.savefig(aside, dpi=150, format="png")
    plt.close(figure)
