"""Rerun, which reads our bags with its own code, plots every number of a record by its name, and no stamp."""

import importlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_files import LABELS, write_bag

from vdd_ros.bags.records import array_of

pytest.importorskip("rerun")

COUNT = 40
ACTIONS = tuple(f"action.joint_{k}" for k in range(7))
DECISION = ("seq", "stamp_s", "log_prob", "expert", "observation[0].joint_0", *ACTIONS)


def plotted(bag: Path) -> dict[str, tuple[list[str], Any]]:
    """Return what Rerun plots of a bag: entity to the names of its lines, and their values (n, lines)."""
    try:
        reader = importlib.import_module("rerun.chunk").McapReader
    except ModuleNotFoundError:  # until 0.40
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            reader = importlib.import_module("rerun.experimental").McapReader
    (mcap,) = bag.glob("*.mcap")
    found: dict[str, tuple[list[str], list[Any]]] = {}
    for chunk in reader(mcap).stream().to_chunks():
        columns = chunk.to_record_batch()
        if "Scalars:scalars" in columns.schema.names:
            names = columns["SeriesLines:names"].to_pylist() if "SeriesLines:names" in columns.schema.names else [[]]
            assert all(name == names[0] for name in names)
            found.setdefault(str(chunk.entity_path), (names[0], []))[1].extend(columns["Scalars:scalars"].to_pylist())
    return {entity: (names, np.array(values)) for entity, (names, values) in found.items()}


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    stamps = 1.8e9 + 0.035 * np.arange(COUNT)
    records = np.random.default_rng(0).random((COUNT, len(LABELS))) * 1e-3
    answers = np.random.default_rng(1).random((COUNT, len(DECISION)))
    for table in (records, answers):
        table[:, 0], table[:, 1] = np.arange(COUNT), stamps
    folder = tmp_path_factory.mktemp("bags") / "bag"
    return write_bag(folder, {"/student": records}, decisions={"/student": [(DECISION, answers)]}, named=True)


@pytest.mark.parametrize(("topic", "labels"), [("latency", LABELS), ("decision", DECISION)])
def test_every_number_is_a_line_with_its_name(bag: Path, topic: str, labels: tuple[str, ...]) -> None:
    found = plotted(bag)
    names = [label for label in labels if label != "stamp_s"]
    for array in ("position", "velocity", "effort"):
        lines, values = found[f"/student/{topic}/{array}"]
        assert lines == names
        assert values.shape == (COUNT, len(names))
        shown = {name for name, column in zip(lines, values.T, strict=True) if np.isfinite(column).any()}
        assert shown == {label for label in names if array_of(label) == array}


def test_values_of_one_plot_share_a_visible_range(bag: Path) -> None:
    """No plot has a stamp of 1.8e9 in it, and none of seconds the number of the tick."""
    found = plotted(bag)
    assert set(found) == {
        f"/student/{topic}/{a}" for topic in ("latency", "decision") for a in ("position", "velocity", "effort")
    }
    assert all(np.nanmax(values) < 1e6 for _, values in found.values())
    assert np.nanmax(found["/student/latency/position"][1]) < 1e-3
