"""The figure of `vdd soak`: each process's memory over time, and the deadlines that were missed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vdd_ros.demo.soak_judge import MOST_GROWTH_MB, Floats
from vdd_ros.evaluation.latency.deadline_misses import DeadlineMiss
from vdd_ros.evaluation.plots import colour, significant
from vdd_ros.files import replacing
from vdd_ros.text import printable

HOST, NODE = "#666666", "#a00000"


def save_figure(
    path: Path,
    began_s: float,
    seconds: Floats,
    megabytes: Mapping[str, Floats],
    misses: Sequence[DeadlineMiss],
    warm_up_s: float,
) -> None:
    """Draw the growth of resident memory since the warm-up, and mark missed deadlines.

    Args:
        path: File to write.
        began_s: Time of the first sample, seconds since the epoch.
        seconds: (n,) times of the samples, since then.
        megabytes: Node to its resident memory, (n,) in MB.
        misses: Missed deadlines.
        warm_up_s: Memory must not grow after this time, seconds.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(10, 5), layout="constrained")
    warm = int(np.searchsorted(seconds, warm_up_s).clip(max=len(seconds) - 1))
    megabytes = {name: values for name, values in megabytes.items() if np.isfinite(values[warm])}  # had not ended
    for index, (name, values) in enumerate(megabytes.items()):
        look: dict[str, Any] = {"color": colour(index), "linestyle": ("-", "--", "-.", ":")[index // 7 % 4]}
        axes.plot(
            seconds / 60, values - values[warm], label=f"{printable(name)}, {significant(values[warm])} MB", **look
        )
    axes.axhspan(-MOST_GROWTH_MB, MOST_GROWTH_MB, color="black", alpha=0.05, label="allowed growth")
    axes.axvline(warm_up_s / 60, color="black", linestyle=":", linewidth=1, label="end of the warm-up")
    low, high = -2 * MOST_GROWTH_MB, 2 * MOST_GROWTH_MB
    later = [values[warm:] - values[warm] for values in megabytes.values()]
    low, high = min(low, *map(np.nanmin, later)), max(high, *map(np.nanmax, later))
    axes.set(xlabel="time (min)", ylabel="resident memory less that after the warm-up (MB)", ylim=(low, 1.1 * high))
    for explained, ink, what in ((True, HOST, "the host was away"), (False, NODE, "unexplained")):
        times = [(miss.due_s - began_s) / 60 for miss in misses if miss.explained == explained]
        if times:
            label = f"{len(times)} deadlines missed, {what}"
            axes.plot(times, np.full(len(times), high), "v" if explained else "X", color=ink, label=label)
    figure.legend(loc="outside lower center", ncols=3, fontsize="small")
    axes.grid(alpha=0.3)
    with replacing(path) as aside:
        figure.savefig(aside, dpi=120, format="png")
    plt.close(figure)
