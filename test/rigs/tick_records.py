"""Latency records of a node as the benchmark's probe keeps them, made up."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.benchmark.realtime import judge

LABELS = ("seq", "stamp_s", "period_s", "lateness_s", "total_s", "deadline_missed")
RATE_HZ = 200.0
PERIOD_S = 1 / RATE_HZ


def measured(count: int = 100, **columns: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """Return records of punctual ticks with some columns replaced, after a warm-up."""
    values = {
        "seq": np.arange(count, dtype=float),
        "stamp_s": 1000.0 + PERIOD_S * np.arange(count),
        "period_s": np.full(count, PERIOD_S),
        "lateness_s": np.zeros(count),
        "total_s": np.full(count, 0.3 * PERIOD_S),
    }
    ends = columns.get("lateness_s", values["lateness_s"]) + columns.get("total_s", values["total_s"])
    values["deadline_missed"] = (ends > PERIOD_S).astype(float)
    records = np.stack([columns.get(label, values[label]) for label in LABELS], axis=1)
    return {"records": np.concatenate([records[:1].repeat(judge.WARM_UP, 0), records]), "labels": np.array(LABELS)}


def at(places: dict[int, float], otherwise: float, count: int = 100) -> NDArray[np.float64]:
    values = np.full(count, otherwise)
    values[list(places)] = list(places.values())
    return values
