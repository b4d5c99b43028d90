"""`vdd benchmark --speed`: the distillation against a straightforward loop, as a table, a figure and JSON."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vdd_ros.cli.benchmark.matrix import Model
from vdd_ros.cli.report import write_json
from vdd_ros.files import replacing

if TYPE_CHECKING:
    from vdd_ros.cli.benchmark.maker import Maker

NAME = "benchmark_speed"
LABELS = {"product": "vdd_ros", "reference": "straightforward loop"}


def race(maker: "Maker", task: str, backbone: str, steps: int, folder: Path) -> str:
    """Run the race from the BESO teacher of a task, which is trained if need be; write JSON and figure.

    Args:
        maker: Where the teacher is.
        task: Name of the task.
        backbone: Of teacher and student.
        steps: Expert steps of each loop.
        folder: Where JSON and figure go.

    Returns:
        The table.
    """
    from vdd_ros.cli.benchmark.speed import measure_speed
    from vdd_ros.cli.benchmark.training import make_config
    from vdd_ros.training.distil import DistilConfig

    student = Model.of(task, "vdd-beso", backbone, 0)
    if student.teacher is None:
        raise TypeError(f"the model {student.label} has no teacher")
    config = make_config(student, maker.device, steps)
    if not isinstance(config, DistilConfig):
        raise TypeError(f"the model {student.label} is not distilled")
    found = measure_speed(maker.checkpoint(student.teacher), maker.demonstrations[task], config)
    record = {"task": task, "backbone": backbone, "steps": steps, "batch": config.batch, **found}
    write_json(folder / f"{NAME}.json", record)
    _draw(folder / f"{NAME}.png", record)
    return table(record)


def table(record: dict[str, Any]) -> str:
    """Return the Markdown table of a race."""
    rows = ["| | expert samples/s | seconds | energy distance at the end |", "|---|---|---|---|"]
    for name, label in LABELS.items():
        distance = record["curves"][name]["distance"][-1]
        rate, seconds = record["samples_per_s"][name], record["seconds"][name]
        rows.append(f"| {label} | {rate:.0f} | {seconds:.0f} | {distance:.4f} |")
    low, high = record["speedup_interval"]
    ratio = f"{record['speedup']:.1f} times as many expert samples a second ({low:.1f} to {high:.1f})"
    sooner = record["time_speedup"]
    reached = "not reached" if sooner is None else f"reached {sooner:.1f} times sooner"
    return "\n".join([*rows, "", f"{ratio}; the fidelity at which the straightforward loop ends was {reached}."])


def _draw(file: Path, record: dict[str, Any]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for name, label in LABELS.items():
        curve = record["curves"][name]
        axes.plot(curve["seconds"], curve["distance"], marker="o", markersize=3, label=label)
    axes.set(xlabel="seconds of training", ylabel="energy distance to the teacher", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    with replacing(file) as aside:
        figure.savefig(aside, dpi=150, format="png")
    plt.close(figure)
