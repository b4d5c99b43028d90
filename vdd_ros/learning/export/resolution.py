"""Whether single precision suffices for the observations of a policy file: the effect of the least digit on actions."""

from pathlib import Path

import numpy as np

from vdd_ros.errors import ExportError
from vdd_ros.learning.export.graphs import DeterministicGraph
from vdd_ros.learning.export.onnx_graph import Inputs, PolicyGraph, open_graph
from vdd_ros.learning.export.parity import draw_inputs
from vdd_ros.learning.fit.checkpoint import CheckpointMetadata
from vdd_ros.policy.selection import named_expert

LARGEST_SHARE = 0.01
"""Largest change of an action, as a share of its range, by an observation's least significant digit."""
QUANTILE = 0.9
"""Share of observations above which it counts: between two modes, a sampling chain is as good as discontinuous."""
SAMPLES = 256


def check_resolution(
    graph: PolicyGraph | DeterministicGraph, metadata: CheckpointMetadata, file: Path, seed: int
) -> None:
    """Refuse a file whose actions depend on digits of an observation that single precision cannot represent.

    Each entry of random observations, and of goals, is moved by one unit of its least significant digit as float32; the
    action of the file must not move by more than 1 % of its range in more than a tenth of them, nor may that digit be
    more than the entry's deviation. Draws and the choice of the expert stay as they are.

    Raises:
        ExportError: With the entries and what to do.
    """
    run = open_graph(file, graph.outputs)
    inputs = draw_inputs(graph, metadata, SAMPLES, np.random.default_rng(seed))
    before = run(inputs)
    if "expert_uniform" in inputs:
        inputs = inputs | {"expert_uniform": named_expert(before["expert"])}
    lists = metadata.statistics
    span = np.array(lists["action_high"]) - np.array(lists["action_low"])
    found = []
    for number, entry in enumerate(metadata.observation):
        after = run(_moved(inputs, number))["action"]
        share = (np.abs(after - before["action"]) / span).reshape(SAMPLES, -1).max(1)  # (B,)
        moved = float(np.quantile(share, QUANTILE))
        mean, deviation = (lists[f"observation_{moment}"][number] for moment in ("mean", "std"))
        if not moved <= LARGEST_SHARE or deviation < np.spacing(np.float32(abs(mean))):
            found.append(
                f"{entry.name} ({mean:.4g} {entry.unit}, deviation {deviation:.2g} {entry.unit}) by {100 * moved:.0f} %"
            )
    if found:
        raise ExportError(
            f"the least significant digit of an observation moves the action by more than {100 * LARGEST_SHARE:g} % of "
            f"its range, or exceeds the entry's deviation: {', '.join(found)}. These entries hardly "
            "changed in the demonstrations; leave them out, or train again with a larger deviation for them "
            "(--least-deviation)"
        )


def _moved(inputs: Inputs, number: int) -> Inputs:
    """Return inputs with one entry of all observations, now and in the future, moved by its least digit."""
    moved = dict(inputs)
    for name in ("observation", "goal"):
        if name in inputs:
            moved[name] = inputs[name].copy()
            moved[name][..., number] = np.nextafter(inputs[name][..., number], np.float32(np.inf))
    return moved
